"""The floors of the house: which folder may import which. Read from the source, so lazy imports count too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: For everyone: what needs nothing of ours.
GROUND = {"errors", "wording"}
#: Folder or root module → what it may import of ours beside the ground.
ALLOWED = {
    "__init__": {"lake"},
    "errors": set(),
    "wording": set(),
    "schemas": set(),
    "store": {"schemas"},
    "ingest": {"schemas", "store"},
    "transforms": {"schemas", "store"},
    "catalog": {"schemas", "store"},
    "featurestore": {"schemas", "store", "ingest", "transforms", "catalog"},
    "imaging": {"schemas", "store", "ingest", "transforms", "catalog", "featurestore"},
    "questions": {"schemas", "store", "ingest", "transforms", "catalog", "featurestore"},
    "lake": {"schemas", "store", "ingest", "transforms", "catalog", "featurestore", "imaging", "questions"},
    "demo": {"schemas", "store", "ingest", "transforms", "catalog", "featurestore", "imaging", "questions", "lake"},
    "cli": {
        "schemas",
        "store",
        "ingest",
        "transforms",
        "catalog",
        "featurestore",
        "imaging",
        "questions",
        "lake",
        "demo",
    },
}
#: Beside the package, not in it: free to import anything, and imported by nothing of ours.
BESIDE = {"tests", "benchmarks", "docs", "build", "dist"}


def source_files() -> list[Path]:
    found = [ROOT / name for name in sorted(p.name for p in ROOT.glob("*.py"))]
    for folder in sorted(p for p in ROOT.iterdir() if p.is_dir()):
        if folder.name not in BESIDE and not folder.name.startswith((".", "_")):
            found += sorted(folder.rglob("*.py"))
    return found


def floor_of(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def imports_of(source: str, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Line and floor of every import of ours in ``source``, a module of ``package`` (path below the root)."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for name in node.names:
                parts = name.name.split(".")
                if parts[0] == "cytolake":
                    yield node.lineno, parts[1] if len(parts) > 1 else "__init__"
        elif isinstance(node, ast.ImportFrom):
            module = node.module.split(".") if node.module else []
            if node.level:
                keep = len(package) - (node.level - 1)
                assert keep >= 0, f"line {node.lineno}: the import leaves the package"
                parts = [*package[:keep], *module]
            elif module and module[0] == "cytolake":
                parts = module[1:]
            else:
                continue
            if parts:
                yield node.lineno, parts[0]
            else:
                yield from ((node.lineno, name.name) for name in node.names)


def violations(source: str, path: Path) -> list[str]:
    inside = path.relative_to(ROOT)
    floor = floor_of(path)
    if floor not in ALLOWED:
        return [f"{inside}: a new room; say in ALLOWED what it may import"]
    allowed = ALLOWED[floor] | GROUND | {floor, "__version__"}
    if floor not in {"schemas", "errors", "__init__"}:
        allowed |= {"__init__"}
    return [
        f"{inside}:{line} imports {target}"
        for line, target in imports_of(source, inside.parts[:-1])
        if target not in allowed
    ]


@pytest.mark.parametrize("path", source_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_arrow_runs_up(path: Path) -> None:
    assert violations(path.read_text(encoding="utf-8"), path) == []


@pytest.mark.parametrize(
    ("source", "where"),
    [
        ("from ..ingest.export import PlateExport", "store/tables.py"),
        ("from ...catalog import query", "transforms/features/x.py"),
        ("from cytolake.transforms import engine", "ingest/convert.py"),
        ("import cytolake.lake", "store/root.py"),
        ("def f():\n    from .. import lake", "catalog/query.py"),
        ("from .store import tables", "errors.py"),
        ("from ..store import tables", "schemas/units.py"),
        ("from ..cli import main", "demo/story.py"),
        ("import os", "newroom/module.py"),
    ],
)
def test_the_rule_catches(source: str, where: str) -> None:
    assert violations(source, ROOT / where)


def test_sources_were_found() -> None:
    floors = {floor_of(path) for path in source_files()}
    assert {"schemas", "store", "ingest", "transforms", "catalog", "cli", "demo"} <= floors
