"""Whatever bytes an index, a layout or a sheet has: an answer or one of our errors, never another exception."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from cytolake.errors import CytolakeError
from cytolake.ingest.vendors.harmony import HarmonyReader
from cytolake.ingest.vendors.harmony_index import parse_assay_layout, parse_flatfields, parse_index
from harmony_xml import Export, grid, said_once
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SEEDS = [Export(version=v, images=grid(wells=[(1, 1)], times=2), bom=v == "V7").xml() for v in ("V5", "V7")]
SEEDS.append(Export(version="V6", images=grid(wells=[(1, 1)], times=2), tweak=said_once).xml())
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
#: Replaced by anything that a damaged, foreign or hostile index may hold there.
WORDS = [
    "Ok",
    "1",
    "0",
    "2.5E-07",
    "r01c01f01p01-ch1sk1fk1fl1.tiff",
    "m",
    "ChannelID",
    "Image",
    "utf-8",
    "</Row>",
    "Entry",
    "FieldID",
]
VALUES = ["", "-1", "nan", "1e400", "99999999999", "x" * 50, "&#0;", "<", "&lt;", "µ", "1.5", "../x", "0x10", "Entry"]

damage = st.one_of(
    st.tuples(st.just("cut"), st.integers(0, 20_000), st.just("")),
    st.tuples(st.just("byte"), st.integers(0, 20_000), st.sampled_from(["\0", "<", "&", "\xff", '"', ">"])),
    st.tuples(st.sampled_from(WORDS), st.integers(0, 30), st.sampled_from(VALUES)),
)


def damaged(seed: int, changes: list[tuple[str, int, str]]) -> bytes:
    data = SEEDS[seed]
    for kind, position, value in changes:
        if kind == "cut":
            data = data[:position]
        elif kind == "byte":
            data = data[:position] + value.encode("latin-1") + data[position + 1 :]
        else:
            parts = data.split(kind.encode())
            at = position % max(len(parts) - 1, 1)
            head, tail = kind.encode().join(parts[: at + 1]), kind.encode().join(parts[at + 1 :])
            data = head + value.encode() + tail if len(parts) > 1 else data
    return data


@FUZZ
@given(st.integers(0, 2), st.lists(damage, min_size=1, max_size=3))
def test_a_damaged_export(tmp_path: Path, seed: int, changes: list[tuple[str, int, str]]) -> None:
    (tmp_path / "Index.xml").write_bytes(damaged(seed, changes))
    reader = HarmonyReader()
    reader.detect(tmp_path)
    with contextlib.suppress(CytolakeError):
        (export,) = reader.read(tmp_path)
        assert export.planes.num_rows > 0


@pytest.mark.parametrize("parse", [parse_index, parse_assay_layout, parse_flatfields])
@FUZZ
@given(
    data=st.one_of(st.binary(max_size=200), st.text(alphabet='<>/?!&;"=[]xmlDOCTYPE \n', max_size=80).map(str.encode))
)
def test_any_bytes(parse: object, data: bytes) -> None:
    assert callable(parse)
    with contextlib.suppress(CytolakeError):
        parse(data, "file")
