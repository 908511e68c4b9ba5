"""Well names, path-safe identifiers and slugs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from cytolake.errors import InvalidDataError
from cytolake.schemas.identifiers import (
    MAX_COLUMNS,
    MAX_ROWS,
    check_id,
    format_well,
    is_id,
    parse_well,
    slug,
    well_blocks,
    well_or_none,
)
from hypothesis import given
from hypothesis import strategies as st

rows = st.integers(1, MAX_ROWS)
columns = st.integers(1, MAX_COLUMNS)


@given(rows, columns)
def test_every_well_of_1536_survives_a_round_trip(row: int, column: int) -> None:
    assert parse_well(format_well(row, column)) == (row, column)


@given(rows, columns, st.integers(1, 3), st.booleans())
def test_padding_and_case_do_not_matter(row: int, column: int, width: int, is_lower: bool) -> None:
    letters = format_well(row, 1)[:-2]
    text = f"{letters}{column:0{width}d}"
    assert parse_well(text.lower() if is_lower else text) == (row, column)
    assert parse_well(f"R{row:02d}C{column:02d}") == (row, column)
    assert parse_well(f"{row:02d}{column:02d}") == (row, column)


@pytest.mark.parametrize(
    ("text", "well"),
    [
        ("A1", (1, 1)),
        ("a01", (1, 1)),
        ("A001", (1, 1)),
        ("Z48", (26, 48)),
        ("AA01", (27, 1)),
        ("AF48", (32, 48)),
        (" B7 ", (2, 7)),
        ("r2c3", (2, 3)),
        ("0102", (1, 2)),
    ],
)
def test_parse_well(text: str, well: tuple[int, int]) -> None:
    assert parse_well(text) == well


@pytest.mark.parametrize(
    "text",
    ["", "A", "7", "A0", "A49", "AG01", "BA01", "ZZ1", "AAA1", "A-1", "A1.0", "1A", "0001", "3301", "R0C1", "A٣", "Ä1"],
)
def test_parse_well_refuses(text: str) -> None:
    with pytest.raises(InvalidDataError, match="well"):
        parse_well(text)
    assert well_or_none(text) is None


def test_well_or_none() -> None:
    assert (well_or_none("af48"), well_or_none("nonsense"), well_or_none(None)) == ((32, 48), None, None)


@pytest.mark.parametrize("position", [(0, 1), (1, 0), (33, 1), (1, 49), (-1, 1)])
def test_format_well_refuses_what_no_plate_has(position: tuple[int, int]) -> None:
    with pytest.raises(InvalidDataError, match="no well at row"):
        format_well(*position)


@pytest.mark.parametrize("text", ["a", "P001", "plate_1.v2-b", "_x", "0", "x" * 128])
def test_check_id_accepts(text: str) -> None:
    assert check_id(text, "plate") == text


@pytest.mark.parametrize("text", ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "µ", "x" * 129, "a\n", "a:b"])
def test_check_id_refuses_and_names_a_way_out(text: str) -> None:
    with pytest.raises(InvalidDataError, match="identifier of a plate") as caught:
        check_id(text, "plate")
    assert is_id(slug(text))
    assert caught.value.hint is not None


@given(st.text())
def test_a_slug_is_an_identifier_stable_and_final(text: str) -> None:
    made = slug(text)
    assert is_id(made)
    assert slug(text) == made
    assert slug(made) == made


@given(st.text())
def test_an_identifier_is_its_own_slug(text: str) -> None:
    assert not is_id(text) or slug(text) == text


def test_slugs_read_well_and_stay_apart() -> None:
    assert slug("Screen µ 1/2").startswith("Screen-u-1-2-")
    assert slug("Müller's plate #3").startswith("Muller-s-plate-3-")
    alike = ["A B", "A/B", "A-B", "A  B", "Ä-B", "A-B "]
    assert len({slug(text) for text in alike}) == len(alike)
    assert slug("細胞1") != slug("細菌1")
    assert slug("x" * 200) != slug("x" * 201)


def test_identifiers_are_cheap_to_import() -> None:
    code = (
        "import sys, cytolake.schemas.identifiers as i; print([m for m in ('pyarrow', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("wells", "blocks"),
    [
        ([], []),
        (["c7", "A01"], ["A01", "C07"]),
        (["A01", "A02", "A3", "B01", "B02", "B03"], ["A01:B03"]),
        (["A01", "A02", "B01", "C01", "C02"], ["A01:A02", "B01", "C01:C02"]),
        (["A01", "A03", "B03", "B05"], ["A01", "A03:B03", "B05"]),
    ],
)
def test_wells_as_blocks(wells: list[str], blocks: list[str]) -> None:
    assert well_blocks(wells) == blocks
