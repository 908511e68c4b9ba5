"""IN Cell: the index, its traps, and the pixels that it names."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from cytolake.errors import CytolakeError, InvalidDataError, NotAnExportError, SourceFileError, StorageError
from cytolake.ingest.contract import ReaderContract
from cytolake.ingest.export import PlateExport
from cytolake.ingest.pixels import read_plane
from cytolake.ingest.readers import ReaderOptions
from cytolake.ingest.vendors import incell_files
from cytolake.ingest.vendors.incell import InCellReader
from cytolake.ingest.vendors.incell_index import parse_xdce
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vendor_exports.incell import BRIGHT, DAPI, FITC, Export, Img, Wave, grid

STACK = replace(FITC, planes=4, mode="3-D")


class TestContract(ReaderContract):
    reader = InCellReader()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        return Export(images=grid(times=2)).write(tmp_path / "Plate 7")


class TestStacksAndPlanes(ReaderContract):
    reader = InCellReader()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        return Export(waves=(DAPI, STACK), images=grid((DAPI, STACK))).write(tmp_path / "Plate 7")


def read(folder: Path) -> PlateExport:
    (export,) = InCellReader().read(folder)
    return export


def written(folder: Path, export: Export) -> PlateExport:
    return read(export.write(folder / "P"))


def test_what_is_read(tmp_path: Path) -> None:
    export = written(tmp_path, Export(images=grid()))
    assert (export.name, export.plate_type, export.barcode) == ("Plate 7", "96 Greiner µClear", None)
    assert (export.n_rows, export.n_columns) == (8, 12)
    (acquisition,) = export.acquisitions
    assert (acquisition.height, acquisition.width, acquisition.pixel_size_x_um) == (6, 8, 0.325)
    assert (acquisition.z_mode, acquisition.magnification, acquisition.numerical_aperture) == ("plane", 20.0, 0.45)
    assert acquisition.instrument_model == "IN Cell Analyzer 2000"
    assert acquisition.started_at == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert acquisition.operator == "tester"
    assert [(c.name, c.vendor_id, c.exposure_ms, c.emission_nm, c.role) for c in export.channels] == [
        ("DAPI", "0", 100.0, 455.0, "DNA"),
        ("FITC", "1", 250.0, 525.0, None),
    ]
    assert sorted(set(export.planes["field_id"].to_pylist())) == [1, 2]
    assert export.planes.num_rows == 8
    assert export.planes["size"].null_count == 0
    assert any("names no time zone" in w for w in export.warnings)


def test_a_field_lies_where_plates_stitch(tmp_path: Path) -> None:
    export = written(tmp_path, Export(images=grid(fields=(0, 1, 2))))
    places = {f["field_id"]: (f["x_um"], f["y_um"]) for f in export.fields.to_pylist()}
    assert places == {1: (0.0, 0.0), 2: (665.6, 0.0), 3: (0.0, 665.6)}


def test_an_offset_of_the_image_stands_above_the_protocol(tmp_path: Path) -> None:
    moved = '<OffsetFromWellCenter x="10.5" y="20.25"/>'
    export = written(tmp_path, Export(images=[Img(field=1, extra=moved)]))
    assert export.fields.to_pylist()[0]["x_um"] == 10.5
    assert export.fields.to_pylist()[0]["y_um"] == -20.25


def test_positions_on_the_plate_become_positions_in_the_well(tmp_path: Path) -> None:
    place = '<PlatePosition_um x="30476.54" y="45276.54"/>'
    images = [Img(row=5, column=3, extra=place)]
    export = written(tmp_path / "a", Export(images=images, offsets=(), plate_geometry=True))
    field = export.fields.to_pylist()[0]
    assert field["x_um"] == pytest.approx(30476.54 - 14380 - 2 * 9000)
    assert field["y_um"] == pytest.approx(45276.54 - 11240 - 4 * 9000)
    export = written(tmp_path / "b", Export(images=[replace(images[0], row=1)], offsets=(), plate_geometry=True))
    assert export.fields.to_pylist()[0]["x_um"] is None
    assert any("do not lie in their wells" in w for w in export.warnings)


def test_stacks_and_planes_are_acquisitions_of_their_own(tmp_path: Path) -> None:
    export = written(tmp_path, Export(waves=(DAPI, STACK), images=grid((DAPI, STACK))))
    assert [(a.acquisition_id, a.z_mode, a.z_step_um) for a in export.acquisitions] == [
        (1, "stack", 2.0),
        (2, "plane", None),
    ]
    assert [(c.acquisition_id, c.channel_index, c.name) for c in export.channels] == [(1, 0, "FITC"), (2, 0, "DAPI")]
    depth = {p["acquisition_id"]: p["z"] for p in export.planes.to_pylist()}
    assert depth == {1: 3, 2: 0}
    assert any("several ways" in w for w in export.warnings)


def test_one_file_for_every_plane_of_a_stack_is_one_plane(tmp_path: Path) -> None:
    alone = tuple(
        replace(i, name=f"{i.row}_{i.field}_only.tif") if i.wave == 0 else i
        for i in grid((replace(DAPI, planes=4, mode="3-D"), STACK))
    )
    export = written(tmp_path, Export(waves=(replace(DAPI, planes=4, mode="3-D"), STACK), images=alone))
    assert [a.z_mode for a in export.acquisitions] == ["stack", "plane"]
    counts = export.planes["acquisition_id"].to_pylist()
    assert (counts.count(1), counts.count(2)) == (16, 4)
    assert any("12 planes are entries" in w for w in export.warnings)


def test_a_wave_may_be_a_projection(tmp_path: Path) -> None:
    projected = replace(DAPI, mode="2.5-D")
    export = written(tmp_path, Export(waves=(projected,), images=grid((projected,))))
    assert [a.z_mode for a in export.acquisitions] == ["projection"]


def test_a_channel_that_stands_twice_keeps_both(tmp_path: Path) -> None:
    twice = (DAPI, replace(DAPI, index=1, exposure_ms=400.0))
    images = tuple(
        replace(i, name=f"A - 1(fld {i.field + 1} wv DAPI - DAPI wix {i.wave}).tif")
        for i in grid(twice, wells=[(1, 1)])
    )
    export = written(tmp_path, Export(waves=twice, images=images))
    assert [(c.name, c.vendor_id, c.exposure_ms) for c in export.channels] == [
        ("DAPI", "0", 100.0),
        ("DAPI", "1", 400.0),
    ]
    assert export.planes["size"].null_count == 0
    assert any("are all called 'DAPI'" in w for w in export.warnings)


def test_transmitted_light_is_no_dna_whatever_its_emission_filter(tmp_path: Path) -> None:
    export = written(tmp_path, Export(waves=(DAPI, BRIGHT), images=grid((DAPI, BRIGHT))))
    assert [(c.name, c.role, c.contrast_method) for c in export.channels] == [
        ("DAPI", "DNA", "fluorescence"),
        ("TL-Brightfield - DAPI", "Brightfield", "brightfield"),
    ]


def test_fields_in_some_wells_only(tmp_path: Path) -> None:
    images = (*grid(wells=[(1, 1)], fields=[0, 2]), *grid(wells=[(1, 2)], fields=[1]))
    export = written(tmp_path, Export(images=images))
    assert {(f["well_id"], f["field_id"]) for f in export.fields.to_pylist()} == {("A01", 1), ("A01", 3), ("A02", 2)}
    assert export.planes.num_rows == 6


def test_waves_without_images_are_left_out(tmp_path: Path) -> None:
    fused = Wave(index=3, excitation="Fused", emission="Fused", fused=True)
    export = written(tmp_path, Export(waves=(DAPI, FITC, BRIGHT, fused), images=grid((FITC,))))
    assert [(c.channel_index, c.vendor_id) for c in export.channels] == [(0, "1")]


def test_excluded_wells_and_other_names(tmp_path: Path) -> None:
    export = written(tmp_path, Export(images=grid(), excluded=[(1, 1), (4, 4)], begins=("C", "2")))
    assert set(export.planes["well_id"].to_pylist()) == {"A01", "B03"}
    assert any("1 wells that the protocol excludes have images: A01" in w for w in export.warnings)
    assert any("named rows from C and columns from 2" in w for w in export.warnings)


def test_absent_files_are_missing_planes(tmp_path: Path) -> None:
    images = tuple(replace(i, write=i.field == 0) for i in grid())
    export = written(tmp_path, Export(images=images))
    assert export.planes.num_rows == 8
    assert export.planes["size"].null_count == 4


def test_files_in_other_capitals_and_folders(tmp_path: Path) -> None:
    folder = Export(images=grid()).write(tmp_path / "P")
    (folder / "A - 1").mkdir()
    for file in folder.glob("A - 1(*.tif"):
        file.rename(folder / "A - 1" / file.name.upper())
    export = read(folder)
    assert export.planes["size"].null_count == 0
    assert str(export.planes["file"][0].as_py()).startswith("A - 1/A - 1(FLD 1")


def test_metaxpress_writes_it_for_in_carta(tmp_path: Path) -> None:
    def carta(text: str) -> str:
        return re.sub(r'acquisition_time_ms="(\d+)\.0"', r'timestamp_sec="1714550400.\1"', text)

    export = Export(
        images=grid(times=2),
        plate_id="cherry dynein",
        application="MetaXpress",
        created='date="2024-05-01" time="10:00:00.125" timezoneoffset="+0200"',
        tweak=carta,
    )
    plate = written(tmp_path, export)
    assert plate.barcode == plate.name == "cherry dynein"
    assert plate.acquisitions[0].started_at == datetime(2024, 5, 1, 8, 0, 0, 125000, tzinfo=UTC)
    assert (plate.vendor, plate.acquisitions[0].instrument_manufacturer) == (
        "Molecular Devices MetaXpress",
        "Molecular Devices",
    )
    assert plate.acquisitions[0].instrument_model is None
    assert plate.planes["acquired_at"].null_count == 0
    assert not any("time zone" in w for w in plate.warnings)


@pytest.mark.parametrize("hour", [3, 15])
def test_a_creation_in_another_time_zone_than_it_says(tmp_path: Path, hour: int) -> None:
    """MetaXpress writes the local hour, and 0 for its zone; the images know theirs."""
    export = Export(
        images=grid(),
        application="MetaXpress",
        created=f'date="2024-05-01" time="{hour:02d}:00:00" timezoneoffset="0"',
        tweak=lambda text: re.sub(r'acquisition_time_ms="(\d+)\.0"', 'timestamp_sec="1714550400.5"', text),
    )
    plate = written(tmp_path, export)
    assert plate.acquisitions[0].started_at == datetime(2024, 5, 1, 8, 0, 0, 500000, tzinfo=UTC)
    said = f"Creation says 2024-05-01 {hour:02d}:00 UTC and the images 2024-05-01 08:00 UTC; the images count"
    assert said in plate.warnings


def test_two_indexes_of_one_plate_are_its_acquisitions(tmp_path: Path) -> None:
    for cycle in ("cycle 1", "cycle 2"):
        Export(images=grid(), plate_id="P1").write(tmp_path / "both" / cycle)
    export = read(tmp_path / "both")
    assert [a.acquisition_id for a in export.acquisitions] == [1, 2]
    assert export.planes.num_rows == 16
    assert export.metadata_files == ("cycle 1/Plate 7.xdce", "cycle 2/Plate 7.xdce")
    Export(images=grid(), plate_id="P2").write(tmp_path / "both" / "other")
    assert [e.name for e in InCellReader().read(tmp_path / "both")] == ["P1", "P2"]


def test_pixels_are_those_of_the_files(tmp_path: Path) -> None:
    folder = Export(waves=(DAPI, STACK), images=grid((DAPI, STACK))).write(tmp_path / "P")
    for plane in read(folder).planes.to_pylist():
        out = np.empty((6, 8), np.uint16)
        read_plane(folder / plane["file"], plane["page"], out)
        np.testing.assert_array_equal(out, tifffile.imread(folder / plane["file"]))
        well = f"{plane['well_id'][0]} - {int(plane['well_id'][1:])}(fld {plane['field_id']} "
        assert plane["file"].startswith(well)
        assert plane["acquisition_id"] == 2 or f"z {plane['z'] + 1})" in plane["file"]


def test_the_size_of_the_files_counts(tmp_path: Path) -> None:
    folder = Export(images=grid()).write(tmp_path / "P")
    index = folder / "Plate 7.xdce"
    index.write_bytes(index.read_bytes().replace(b'Size height="6"', b'Size height="12"'))
    export = read(folder)
    assert export.acquisitions[0].height == 6
    assert any("check the pixel size" in w for w in export.warnings)


def test_without_a_pixel_size(tmp_path: Path) -> None:
    folder = Export(images=grid(), pixel_size="").write(tmp_path / "P")
    with pytest.raises(InvalidDataError, match="says no pixel size") as raised:
        read(folder)
    assert raised.value.hint is not None
    assert "--pixel-size" in raised.value.hint
    (export,) = InCellReader().with_options(ReaderOptions(pixel_size_um=0.65, plate_format=(16, 24))).read(folder)
    assert export.acquisitions[0].pixel_size_y_um == 0.65
    assert (export.n_rows, export.n_columns) == (16, 24)


def test_a_pixel_size_that_is_given_counts(tmp_path: Path) -> None:
    folder = Export(images=grid()).write(tmp_path / "P")
    (export,) = InCellReader().with_options(ReaderOptions(pixel_size_um=0.65)).read(folder)
    assert export.acquisitions[0].pixel_size_x_um == 0.65
    assert any("--pixel-size 0.65 µm overrules the 0.325 × 0.325 µm of" in w for w in export.warnings)


def test_a_day_without_a_time_is_no_moment(tmp_path: Path) -> None:
    export = written(tmp_path, Export(images=grid(), created='date="2024-05-01"'))
    assert export.acquisitions[0].started_at is None
    assert export.planes["acquired_at"].null_count == export.planes.num_rows
    assert any("Creation is '2024-05-01', no moment" in w for w in export.warnings)
    export = written(tmp_path / "b", Export(images=grid(), created='date="01.05.2024" time="10:00:00"'))
    assert export.acquisitions[0].started_at is None
    assert any("Creation is '01.05.2024 10:00:00', no moment" in w for w in export.warnings)


def test_reading_finds_all_that_a_look_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        Export(images=grid(), plate_id=name).write(tmp_path / "all" / name)
    monkeypatch.setattr(incell_files, "_MOST_FOLDERS", 1)
    assert len(incell_files.find_indexes(tmp_path / "all", quick=True)) == 1
    assert [e.name for e in InCellReader().read(tmp_path / "all")] == ["a", "b", "c"]
    monkeypatch.setattr(incell_files, "_MOST_ENTRIES", 1)
    assert [e.name for e in InCellReader().read(tmp_path / "all" / "c")] == ["c"]


def test_a_folder_that_cannot_be_listed_is_an_error_of_reading_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Export(images=grid(), plate_id="a").write(tmp_path / "a")
    (tmp_path / "b").mkdir()
    real = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert InCellReader().detect(tmp_path) is not None
    with pytest.raises(StorageError, match=r"b cannot be listed: Permission denied"):
        InCellReader().read(tmp_path)


def test_a_plate_that_is_told_by_half(tmp_path: Path) -> None:
    export = written(tmp_path, Export(images=grid(), tweak=lambda text: text.replace('rows="8"', "")))
    assert (export.n_rows, export.n_columns) == (8, 12)
    assert any("12 columns and not how many rows" in w for w in export.warnings)


def test_bytes_of_the_microscopes_own_code_page(tmp_path: Path) -> None:
    folder = Export(images=grid()).write(tmp_path / "P")
    index = folder / "Plate 7.xdce"
    index.write_bytes(index.read_bytes().replace(b' encoding="ISO-8859-1"', b""))
    assert read(folder).plate_type == "96 Greiner µClear"
    index.write_bytes(Export(images=grid(), encoding="UTF-16").xml())
    assert read(folder).plate_type == "96 Greiner µClear"


@pytest.mark.parametrize(
    ("export", "said"),
    [
        (Export(images=[Img(name="../../etc/passwd.tif", write=False)]), "'..'"),
        (Export(images=[Img(name=r"D:\data\a.tif", write=False)]), "a drive"),
        (Export(images=[Img(name="A - 1.im", write=False)]), "only TIFF"),
        (Export(images=[]), "describes no image"),
        (Export(images=[Img(row=9)]), "outside its plate"),
        (Export(images=grid(), tweak=lambda t: t.replace('field_index="0"', 'field_index="zero"')), "no whole number"),
        (Export(images=grid(), tweak=lambda t: t.replace('wave_index="0"', "")), "has no wave_index"),
        (Export(images=grid(), tweak=lambda t: t.replace('z="100.0"', 'z="1e400"')), "beyond all measure"),
        (Export(images=grid(), tweak=lambda t: t.replace("<ImageStack>", "<!DOCTYPE x><ImageStack>")), "document type"),
        (Export(images=grid(), tweak=lambda t: t[: len(t) // 2]), "cut off|not well-formed"),
    ],
)
def test_what_is_refused(tmp_path: Path, export: Export, said: str) -> None:
    folder = replace(export, images=[replace(i, write=False) for i in export.images]).write(tmp_path / "P")
    with pytest.raises(CytolakeError, match=said):
        read(folder)


def test_something_else_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "a.xdce").write_text("<Other/>")
    evidence = InCellReader().detect(tmp_path)
    assert evidence is not None
    assert evidence.confidence == 0
    assert "<Other>" in evidence.facts[0]
    with pytest.raises(NotAnExportError, match="not an IN Cell index"):
        read(tmp_path)


def test_an_index_with_the_suffix_xml(tmp_path: Path) -> None:
    folder = Export(images=grid()).write(tmp_path / "P", "index.xml")
    evidence = InCellReader().detect(folder)
    assert evidence is not None
    assert evidence.confidence == 1


SEED = Export(waves=(DAPI, STACK), images=grid((DAPI, STACK), wells=[(1, 1)], fields=[0]), plate_geometry=True).xml()
damage = st.one_of(
    st.tuples(st.just("cut"), st.integers(0, len(SEED)), st.just(b"")),
    st.tuples(st.just("byte"), st.integers(0, len(SEED)), st.sampled_from([b"\0", b"<", b"&", b"\xff", b'"', b"9"])),
    st.tuples(
        st.sampled_from([b'"0"', b'"1"', b"Image", b'"2.0"', b"mm", b"ImageStack", b"ISO-8859-1"]),
        st.integers(0, 30),
        st.sampled_from([b'"-1"', b'"nan"', b'"99999999999"', b'"1e9"', b"", b"Plate", b"x" * 40, "µ".encode()]),
    ),
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(damage, min_size=1, max_size=3))
def test_any_bytes(tmp_path: Path, changes: list[tuple[str | bytes, int, bytes]]) -> None:
    data = SEED
    for kind, at, value in changes:
        if kind == "cut":
            data = data[:at]
        elif kind == "byte":
            data = data[:at] + value + data[at + 1 :]
        elif isinstance(kind, bytes):
            parts = data.split(kind)
            which = at % max(len(parts) - 1, 1)
            data = kind.join(parts[: which + 1]) + value + kind.join(parts[which + 1 :]) if len(parts) > 1 else data
    (tmp_path / "a.xdce").write_bytes(data)
    InCellReader().detect(tmp_path)
    with contextlib.suppress(CytolakeError):
        assert parse_xdce(data, "a.xdce").promised != -1
    with contextlib.suppress(CytolakeError):
        assert InCellReader().read(tmp_path)[0].planes.num_rows > 0


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.binary(max_size=120), st.text(alphabet='<>/?!&;"=ImageStack \n', max_size=80).map(str.encode)))
def test_any_text(data: bytes) -> None:
    with contextlib.suppress(InvalidDataError, SourceFileError):
        parse_xdce(data, "a.xdce")
