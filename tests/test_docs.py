"""The documentation is true: what it shows is run, what there is to know is in it, its links lead somewhere."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import docs_runner
import pytest

if TYPE_CHECKING:
    from conftest import DemoRun

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def everything_written() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


@pytest.mark.slow
@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_the_page_shows_is_what_happens(page: Path, tmp_path: Path, demo_run: DemoRun) -> None:
    for step in docs_runner.steps(page.read_text(encoding="utf-8")):
        where = f"{page.relative_to(ROOT)}:{step.line}"
        if step.code == demo_run.command:
            # The same command has run once for all pages and for the tests of the demo itself.
            shutil.copytree(demo_run.folder, tmp_path, dirs_exist_ok=True)
            output, errors, code = demo_run.output, demo_run.errors, demo_run.exit_code
        else:
            output, errors, code = docs_runner.run(step, tmp_path)
        assert code == step.exit_code, f"{where}\n{step.code}\n{output}{errors}"
        if step.shown:
            assert docs_runner.matches(step.expected, output), (
                f"{where}: the output of\n{step.code}\nis\n{output}\nand the page shows\n" + "\n".join(step.expected)
            )


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    inside = [link for link in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in inside if not (page.parent / link).exists()] == []


def test_every_verb_is_described() -> None:
    from click import Context
    from cytolake.cli.main import cli

    text = everything_written()
    verbs = cli.list_commands(Context(cli))
    assert "ingest" in verbs
    assert [verb for verb in verbs if f"cytolake {verb}" not in text] == []


def test_every_table_is_described() -> None:
    from cytolake.schemas.tables import TABLES

    text = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    assert [name for name in TABLES if f"`{name}`" not in text] == []


def test_every_reader_is_described() -> None:
    from cytolake.ingest.readers import readers

    text = (ROOT / "docs" / "reference" / "formats.md").read_text(encoding="utf-8").lower()
    assert [name for name in readers() if f"`{name}`" not in text] == []


def test_every_shipped_recipe_is_described() -> None:
    text = everything_written()
    folders = (ROOT / "transforms" / "recipes", ROOT / "transforms" / "profiles" / "recipes")
    shipped = [path.stem for folder in folders for path in folder.glob("*.toml")]
    assert len(shipped) > len(folders)
    assert [name for name in shipped if f"`{name}`" not in text] == []


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        (("a", "b"), "a\nb\n", True),
        (("a ... c",), "a b c\n", True),
        (("a", "...", "d"), "a\nb\nc\nd\n", True),
        (("a", "..."), "a\n", True),
        (("a",), "a\nb\n", False),
        (("a.c",), "abc\n", False),
        ((), "", True),
    ],
)
def test_dots_stand_for_anything(expected: tuple[str, ...], actual: str, same: bool) -> None:
    assert docs_runner.matches(expected, actual) is same
