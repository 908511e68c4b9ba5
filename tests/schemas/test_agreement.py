"""Every example is judged alike by LinkML's validator, by bulk validation and by the generated models."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from cytolake.schemas.generated import models
from cytolake.schemas.tables import TABLES
from cytolake.schemas.validation import validate_records

EXAMPLES = Path(__file__).resolve().parents[2] / "schemas" / "examples"
VALID = sorted((EXAMPLES / "valid").glob("*.yaml"))
INVALID = sorted((EXAMPLES / "invalid").glob("*.yaml"))


def class_of(path: Path) -> str:
    return path.stem.partition("-")[0]


def record(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def expected_rule(path: Path) -> str:
    match = re.match(r"# error: (\S+)\n", path.read_text(encoding="utf-8"))
    assert match, f"{path.name} must start with '# error: <rule>'"
    return match[1]


@pytest.fixture(scope="module")
def linkml_verdicts(linkml_python: Path) -> dict[str, list[str]]:
    """What linkml.validator says against each example; one process for all, because linkml loads for seconds."""
    paths = [*VALID, *INVALID]
    question = json.dumps([[class_of(path), record(path)] for path in paths])
    script = Path(__file__).with_name("linkml_verdicts.py")
    done = subprocess.run(
        [str(linkml_python), str(script)], input=question, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(zip((str(path) for path in paths), json.loads(done.stdout), strict=True))


def test_every_table_has_a_valid_and_an_invalid_example() -> None:
    classes = {spec.class_name for spec in TABLES.values()} | {"ObjectRow", "ProfileRow", "TreatmentRow"}
    assert {class_of(path) for path in VALID} == classes
    assert {class_of(path) for path in INVALID} == classes


@pytest.mark.parametrize("path", VALID, ids=lambda p: p.stem)
def test_valid_example(path: Path) -> None:
    assert validate_records(class_of(path), [record(path)]) == []
    getattr(models, class_of(path))(**record(path))


@pytest.mark.parametrize("path", INVALID, ids=lambda p: p.stem)
def test_invalid_example(path: Path) -> None:
    problems = validate_records(class_of(path), [record(path)])
    assert [problem.rule for problem in problems] == [expected_rule(path)]
    with pytest.raises(ValueError, match="validation error"):
        getattr(models, class_of(path))(**record(path))


def test_linkml_judges_alike(linkml_verdicts: dict[str, list[str]]) -> None:
    accepted = {path for path, faults in linkml_verdicts.items() if not faults}
    assert accepted == {str(path) for path in VALID}, {p: f for p, f in linkml_verdicts.items() if f and "/valid/" in p}
