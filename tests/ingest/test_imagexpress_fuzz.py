"""Whatever bytes MetaXpress's and MetaXpress Acquire's files have: an answer or one of our errors, nothing else."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable

import numpy as np
import pytest
import tifffile
from cytolake.errors import CytolakeError
from cytolake.ingest.vendors.hcsai_files import parse_image_rows, parse_jdce, parse_protocol
from cytolake.ingest.vendors.imagexpress_headers import plane_facts
from cytolake.ingest.vendors.imagexpress_htd import parse_htd
from cytolake.ingest.vendors.imagexpress_names import image_name, parse_image_name, split_folders
from cytolake.ingest.vendors.imagexpress_tiff import ImageHeader, parse_metaseries, read_header
from hypothesis import given, settings
from hypothesis import strategies as st
from vendor_exports.hcsai import Experiment, protocol
from vendor_exports.imagexpress import Img, Plate

FUZZ = settings(max_examples=150, deadline=None)


def _tiff() -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((4, 5), np.uint16), description=Plate().xml(Img()), metadata=None)
    return file.getvalue()


def header(data: bytes, name: str) -> object:
    return plane_facts(read_header(io.BytesIO(data), name))


def facts(data: bytes, name: str) -> object:
    return plane_facts(ImageHeader(height=1, width=1, properties=parse_metaseries(data, name)))


SEEDS: dict[Callable[[bytes, str], object], bytes] = {
    parse_htd: Plate(sites=((True, False), (True, True)), steps=3).htd(),
    facts: Plate().xml(Img()).encode(),
    header: _tiff(),
    parse_jdce: json.dumps(Experiment().jdce()).encode(),
    parse_image_rows: Experiment().csv().encode(),
    parse_protocol: json.dumps(protocol()).encode(),
}
VALUES = [
    b"",
    b"-1",
    b"nan",
    b"1e400",
    b"99999999999",
    b"\xff\xfe",
    b"\0",
    b'"',
    b"<",
    b"&#0;",
    b"[[[[",
    b"\r\n",
    b"true",
]

change = st.tuples(st.sampled_from(["cut", "put", "flip"]), st.integers(0, 8_000), st.sampled_from(VALUES))


def damaged(data: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    for kind, position, value in changes:
        at = position % max(len(data), 1)
        if kind == "cut":
            data = data[:at] if position % 2 else data[:at] + data[at + position % 97 :]
        elif kind == "put":
            data = data[:at] + value + data[at + len(value) :]
        elif data:
            data = data[:at] + bytes([data[at] ^ (1 << position % 8)]) + data[at + 1 :]
    return data


@pytest.mark.parametrize("parse", SEEDS, ids=lambda parse: parse.__name__)
@FUZZ
@given(changes=st.lists(change, min_size=1, max_size=5))
def test_damaged_bytes(parse: Callable[[bytes, str], object], changes: list[tuple[str, int, bytes]]) -> None:
    with contextlib.suppress(CytolakeError):
        parse(damaged(SEEDS[parse], changes), "file")


@pytest.mark.parametrize("parse", SEEDS, ids=lambda parse: parse.__name__)
@FUZZ
@given(data=st.binary(max_size=300))
def test_any_bytes(parse: Callable[[bytes, str], object], data: bytes) -> None:
    with contextlib.suppress(CytolakeError):
        parse(data, "file")


@pytest.mark.parametrize("parse", SEEDS, ids=lambda parse: parse.__name__)
def test_the_seeds_are_read(parse: Callable[[bytes, str], object]) -> None:
    assert parse(SEEDS[parse], "file")


@FUZZ
@given(
    name=st.text(alphabet="ABswz_0129-[]{}x.tif ", max_size=60),
    folder=st.text(alphabet="TimePontZSep_/019", max_size=40),
)
def test_any_name(name: str, folder: str) -> None:
    found = parse_image_name(name + ".tif")
    assert found is None or (1 <= found.row <= 32 and 1 <= found.column <= 48)
    split_folders(folder)


@FUZZ
@given(
    row=st.integers(1, 32),
    column=st.integers(1, 48),
    site=st.none() | st.integers(0, 999),
    wave=st.none() | st.integers(1, 99),
    plate=st.sampled_from(["p", "A01", "s2_w3", "x_B02_s1", "", "w1_[y]"]),
)
def test_names_are_read_as_they_are_written(
    row: int, column: int, site: int | None, wave: int | None, plate: str
) -> None:
    found = parse_image_name(image_name(plate, row, column, site, wave, ".TIF"))
    assert found is not None
    if plate in ("p", "", "w1_[y]"):
        assert (found.plate, found.row, found.column, found.site, found.wave) == (plate, row, column, site, wave)
