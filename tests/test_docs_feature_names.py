"""What docs/reference/feature-names.md and import-dialects.md list is what the code has.

``python tests/test_docs_feature_names.py`` writes the tables into the page of names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from cytolake.ingest.tables.dialects import dialects
from cytolake.ingest.tables.mapping import _FEATURE_KEYS, _KEYS
from cytolake.schemas.feature_synonyms import TOOLS, Synonym, synonyms

REFERENCE = Path(__file__).resolve().parents[1] / "docs" / "reference"
PAGE = REFERENCE / "feature-names.md"


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    header = tuple(header)
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines).replace("| --- ", "|---")


def readable(template: str) -> str:
    """``{region} Area{wave}`` as people read it."""
    plain = template.replace("{wave}", " wv1").replace("{c2}", "B").replace("{region}", "Nucleus")
    plain = plain.replace("{c}", "A" if "{c2}" in template else "CH")
    return re.sub(r"\{(?:[abdnpq]|way|word|shape|axis)\}", lambda place: f"⟨{place[0][1:-1]}⟩", plain)


def row(one: Synonym) -> tuple[str, ...]:
    ours = readable(one.ours)
    if one.suffix:
        ours = f"{ours.replace('_*', '')}_{one.suffix}"
    return f"`{readable(one.theirs)}`", f"`{ours}`", one.equal, one.note or ""


TABLES = {
    tool: table(("their name", "column here, behind the object set", "equal", "why"), map(row, rows))
    for tool in TOOLS
    if (rows := [one for one in synonyms() if one.tool == tool])
}


def block(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<=<!-- table: {name} -->\n)(.*?\n)(?=<!-- end of table -->)", re.DOTALL)


@pytest.mark.parametrize("tool", TABLES)
def test_tables_are_those_of_the_code(tool: str) -> None:
    (shown,) = block(tool).findall(PAGE.read_text(encoding="utf-8"))
    assert shown == TABLES[tool] + "\n", "python tests/test_docs_feature_names.py writes the page anew"


def test_every_dialect_and_every_key_is_described() -> None:
    text = (REFERENCE / "import-dialects.md").read_text(encoding="utf-8")
    assert [name for name in dialects() if f"`{name}`" not in text] == []
    assert [key for key in (*_KEYS, *_FEATURE_KEYS) if f"`{key}`" not in text] == []


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    for name, content in TABLES.items():
        page = block(name).sub(lambda _, content=content: f"{content}\n", page)
    PAGE.write_text(page, encoding="utf-8")
