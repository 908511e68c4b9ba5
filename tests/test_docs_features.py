"""What docs/reference/features.md says of families, columns and settings is what the code has.

``python tests/test_docs_features.py`` writes the tables into the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

import pytest
from cytolake.transforms.features.families import FAMILIES
from cytolake.transforms.features.family import Family, Use
from cytolake.transforms.features.volume_columns import VOLUME_FAMILIES
from cytolake.transforms.parameters import Parameter
from cytolake.transforms.recipe import load_recipe

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "features.md"
ROLES = ("DNA", "ER", "RNA", "AGP", "Mito")
_RELATED = {"nuclei": (("cells", "child"),), "cells": (("nuclei", "parent"),)}


def used(family: Family, object_set: str, roles: tuple[str, ...]) -> Use:
    return Use(
        object_set=object_set,
        roles=() if family.channels == "none" else roles,
        pairs=tuple(combinations(sorted(roles), 2)) if family.channels == "pairs" else (),
        parameters={name: parameter.default for name, parameter in family.parameters.items()},
        related=_RELATED[object_set] if family.name == "Relations" else (),
    )


def count(family: Family, n_channels: int) -> int:
    return len(family.columns(used(family, "nuclei", ROLES[:n_channels])))


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    header = tuple(header)
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines).replace("| --- ", "|---")


def counts(families: Mapping[str, Family], *, link: bool) -> str:
    rows = []
    for name, family in families.items():
        fixed, per_channel, five = count(family, 0), count(family, 1) - count(family, 0), count(family, 5)
        per_pair = count(family, 2) if family.channels == "pairs" else 0
        cells = (number or "" for number in (fixed, per_channel, per_pair))
        rows.append((f"[{name}](#{name.lower()})" if link else name, *cells, five))
    rows.append(("all", "", "", "", sum(row[-1] for row in rows)))
    return table(("family", "columns", "per channel", "per pair", "with five channels"), rows)


def settings() -> str:
    rows = [
        (f"{name}: `{key}`", f"`{_toml(one.default)}`", _allowed(one), one.meaning)
        for name, family in FAMILIES.items()
        for key, one in family.parameters.items()
    ]
    return table(("setting", "default", "may be", "what it is"), rows)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return f'"{value}"' if isinstance(value, str) else f"{value}"


def _allowed(one: Parameter) -> str:
    kind = one.default[0] if isinstance(one.default, tuple) and one.default else one.default
    many = isinstance(one.default, tuple)
    if one.choices:
        return ("several of " if many else "") + ", ".join(f"`{choice}`" for choice in one.choices)
    if isinstance(kind, bool):
        return "`true`, `false`"
    return f"{'several numbers' if many else 'a number'} from {one.low:g} to {one.high:g}"


TABLES = {
    "families": counts(FAMILIES, link=True),
    "families in volumes": counts(VOLUME_FAMILIES, link=False),
    "settings": settings(),
}


def block(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<=<!-- table: {name} -->\n)(.*?\n)(?=<!-- end of table -->)", re.DOTALL)


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_those_of_the_code(name: str) -> None:
    (shown,) = block(name).findall(PAGE.read_text(encoding="utf-8"))
    assert shown == TABLES[name] + "\n", "python tests/test_docs_features.py writes the page anew"


def test_every_family_has_its_words() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in FAMILIES if f"\n### {name}\n" not in text] == []


def test_the_count_of_the_shipped_recipe() -> None:
    bound = load_recipe("cell-painting").bind(ROLES, ROLES)
    counts = {name: len(one.columns) for name, one in bound.plans.items()}
    text = PAGE.read_text(encoding="utf-8")
    for name, number in counts.items():
        assert f"{number:,} of {name}" in text
    assert f"{sum(counts.values()):,} columns" in text


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    for name, content in TABLES.items():
        page = block(name).sub(lambda _, content=content: f"{content}\n", page)
    PAGE.write_text(page, encoding="utf-8")
