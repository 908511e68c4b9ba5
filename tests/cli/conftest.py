"""A command line to call, and a lake that only notes what it is asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cytolake.lake
import pytest
from cytolake.cli.main import main


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call the command line in an empty folder, without a lake in the environment."""
    monkeypatch.delenv("CYTOLAKE_LAKE", raising=False)
    monkeypatch.delenv("CYTOLAKE_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Ran:
        capfd.readouterr()
        code = main(list(arguments))
        captured = capfd.readouterr()
        return Ran(code, captured.out, captured.err)

    return call


@dataclass
class NotedLake:
    """Answers with what a test prepared, and notes the arguments; an exception is raised."""

    answers: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        if verb.startswith("_"):
            raise AttributeError(verb)

        def answer(*arguments: Any, **options: Any) -> Any:
            self.calls.append((verb, arguments, options))
            given = self.answers[verb]
            if isinstance(given, BaseException):
                raise given
            return given

        return answer

    @property
    def last(self) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        return self.calls[-1]


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> NotedLake:
    lake = NotedLake()

    def open_lake(url: str) -> NotedLake:
        lake.opened.append(url)
        return lake

    monkeypatch.setattr(cytolake.lake, "open_lake", open_lake)
    for name in ("inspect", "inspect_picture", "doctor", "validate"):
        monkeypatch.setattr(cytolake.lake, name, getattr(lake, name))
    return lake
