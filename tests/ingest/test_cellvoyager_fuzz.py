"""Whatever bytes the files of a Yokogawa measurement have: an answer or one of our errors, never another exception."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from cytolake.errors import CytolakeError
from cytolake.ingest.vendors.cellvoyager import CellVoyagerReader
from cytolake.ingest.vendors.cellvoyager_index import parse_mes, parse_mlf, parse_mrf, parse_plate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vendor_exports.cellvoyager import Err, Img, Measurement, stack

ACTION = ("ActionAcquire3D", 'bts:TopDistance="3" bts:BottomDistance="0" bts:SliceLength="1.5"', (1, 2))
SEED = Measurement(
    records=[
        *stack(Img(write=False), 2),
        Img(channel=2, action=2, write=False),
        Img(processing="Maximum", file="Projection/a.tif", write=False),
        Img(row=3, timeline=2, t=2, channel=4, write=False),
        Err(),
    ],
    timelines=[[ACTION]],
)
FILES = {
    "MeasurementData.mlf": SEED.mlf_bytes(),
    SEED.mrf: SEED.mrf_bytes(),
    SEED.mes: SEED.mes_bytes(),
    SEED.wpi: SEED.wpi_bytes(),
    SEED.wpp: SEED.wpp_bytes(),
}
FUZZ = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
#: What a damaged, foreign or hostile file may hold in place of a word of the format.
WORDS = ["bts:", '"1"', '"8"', '"3"', "0.325", "utf-8", "IMG", "-500.0", ".tif", "BP445/45", "Ch", "MeasurementRecord"]
VALUES = ["", '"-1"', '"nan"', '"1e400"', '"99999999999"', "x" * 50, "&#0;", "<", "&lt;", "µ", '"1.5"', "../x", '"²"']

damage = st.one_of(
    st.tuples(st.just("cut"), st.integers(0, 6_000), st.just("")),
    st.tuples(st.just("byte"), st.integers(0, 6_000), st.sampled_from(["\0", "<", "&", "\xff", '"', ">", "9"])),
    st.tuples(st.sampled_from(WORDS), st.integers(0, 40), st.sampled_from(VALUES)),
)


def damaged(data: bytes, changes: list[tuple[str, int, str]]) -> bytes:
    for kind, position, value in changes:
        if kind == "cut":
            data = data[:position]
        elif kind == "byte":
            data = data[:position] + value.encode("latin-1") + data[position + 1 :]
        else:
            parts = data.split(kind.encode())
            if len(parts) > 1:
                at = position % (len(parts) - 1)
                head, tail = kind.encode().join(parts[: at + 1]), kind.encode().join(parts[at + 1 :])
                data = head + value.encode() + tail
    return data


@FUZZ
@given(st.sampled_from(sorted(FILES)), st.lists(damage, min_size=1, max_size=3))
def test_a_damaged_measurement(tmp_path: Path, name: str, changes: list[tuple[str, int, str]]) -> None:
    for file, data in FILES.items():
        (tmp_path / file).write_bytes(damaged(data, changes) if file == name else data)
    reader = CellVoyagerReader()
    reader.detect(tmp_path)
    with contextlib.suppress(CytolakeError):
        (export,) = reader.read(tmp_path)
        assert export.planes.num_rows > 0


@pytest.mark.parametrize(
    ("parse", "name"),
    [
        (parse_mlf, "MeasurementData.mlf"),
        (parse_mrf, SEED.mrf),
        (parse_mes, SEED.mes),
        (partial(parse_plate, wanted="WellPlate"), SEED.wpi),
        (partial(parse_plate, wanted="WellPlateProduct"), SEED.wpp),
    ],
)
@FUZZ
@given(
    changes=st.lists(damage, max_size=4),
    other=st.none()
    | st.binary(max_size=200)
    | st.text(alphabet='<>/?!&;"=[]xmlDOCTYPE \n', max_size=80).map(str.encode),
)
def test_any_bytes(
    parse: Callable[[bytes, str], object], name: str, changes: list[tuple[str, int, str]], other: bytes | None
) -> None:
    with contextlib.suppress(CytolakeError):
        parse(damaged(FILES[name], changes) if other is None else other, name)


def test_the_seed_is_whole(tmp_path: Path) -> None:
    for file, data in FILES.items():
        (tmp_path / file).write_bytes(data)
    (export,) = CellVoyagerReader().read(tmp_path)
    assert [a.z_mode for a in export.acquisitions] == ["stack", "projection", "plane"]
    replaced = replace(SEED, prefix="x")
    assert parse_mlf(replaced.mlf_bytes()) == parse_mlf(FILES["MeasurementData.mlf"])
