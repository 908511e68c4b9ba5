"""Folders of TIFF files: every preset, own expressions, and what names leave open."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from cytolake.errors import (
    CytolakeError,
    InvalidDataError,
    NotAnExportError,
    SourceFileError,
    UsageError,
)
from cytolake.ingest.contract import ReaderContract
from cytolake.ingest.export import PlateExport
from cytolake.ingest.pixels import read_plane
from cytolake.ingest.readers import ReaderOptions, detect, read_export
from cytolake.ingest.vendors import pattern_names
from cytolake.ingest.vendors.pattern import PatternReader, explain
from cytolake.ingest.vendors.pattern_names import NamePattern, places
from cytolake.ingest.vendors.pattern_presets import PRESETS, preset_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vendor_exports.pattern import HALF_MICRON, cellomics, write_folder, write_tiff

FUZZ = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(folder: Path, **options: Any) -> PlateExport:
    (export,) = PatternReader(ReaderOptions(**options)).read(folder)
    return export


def planes(export: PlateExport, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(plane[column] for column in columns) for plane in export.planes.to_pylist()]


def said(export: PlateExport, text: str) -> bool:
    return any(text in warning for warning in export.warnings)


class TestCellomics(ReaderContract):
    reader = PatternReader()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        return write_folder(tmp_path / "plate", cellomics())


class TestIncucyteTree(ReaderContract):
    reader = PatternReader()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        scans = [f"EssenFiles/ScanData/2505/{scan}/1248" for scan in ("16/1124", "16/1325", "17/0102")]
        names = [f"{scan}/{well}-1-{c}.tif" for scan in scans for well in ("A1", "B2") for c in ("Ph", "C1")]
        return write_folder(tmp_path / "archive", names)


# --- presets

EXAMPLES = [(preset.name, example) for preset in PRESETS.values() for example in preset.examples]


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_an_example_is_explained_by_its_own_preset_alone(name: str, example: str) -> None:
    known = [other.name for other in PRESETS.values() if explain(other, [example], Path("/x")).places]
    assert known == [name]


@pytest.mark.parametrize("preset", PRESETS.values(), ids=str)
def test_what_is_left_out_is_known_too(preset: Any) -> None:
    for example in preset.left_out_examples:
        found = explain(preset, [example], Path("/x"))
        assert list(found.left_out) == [example]
        assert not found.places


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_an_example_is_read(tmp_path: Path, name: str, example: str) -> None:
    write_tiff(tmp_path / "plate" / example)
    export = read(tmp_path / "plate", plate_format=(16, 24))
    assert (export.reader, export.format_version) == ("pattern", name)
    assert planes(export, "file", "timepoint", "channel_index", "page") == [(example, 0, 0, 0)]


def test_cellomics(tmp_path: Path) -> None:
    names = [f"MFG_1_{w}f{f:03d}d{c}.TIF" for w in ("C03", "D04") for f in (29, 101) for c in (0, 1)]
    folder = write_folder(tmp_path / "x", [*names, "MFG_1_C03f029o1.TIF"])
    (folder / "MFG_1_C03f029d2.C01").write_bytes(b"x")
    export = read(folder, plate_format=(8, 12))
    assert (export.plate_id, export.vendor, export.n_rows) == ("MFG_1", "Thermo Cellomics", 8)
    assert {f["field_id"] for f in export.fields.to_pylist()} == {29, 101}
    assert [(c.name, c.vendor_id) for c in export.channels] == [("d0", "0"), ("d1", "1")]
    assert export.acquisitions[0].pixel_size_x_um == pytest.approx(0.5)
    assert said(export, "1 overlays are left out: MFG_1_C03f029o1.TIF")
    assert said(export, ".C01 files are not read, such as MFG_1_C03f029d2.C01: export them from HCS Studio as TIFF")


@pytest.mark.parametrize("suffix", [".C01", ".DIB"])
def test_cellomics_own_files_are_refused_with_what_to_do(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"MFG_1_A01f00d0{suffix}").write_bytes(b"x")
    reader = PatternReader()
    evidence = reader.detect(tmp_path)
    assert evidence is not None
    assert evidence.confidence == 0
    assert "as TIFF" in evidence.facts[0]
    with pytest.raises(NotAnExportError, match="export them from HCS Studio as TIFF"):
        reader.read(tmp_path)
    with pytest.raises(NotAnExportError, match="as TIFF"):
        detect(tmp_path, "pattern")


def test_read_steps_of_gen5_are_acquisitions(tmp_path: Path) -> None:
    raw = [f"A1_01_{c}_{f}_{n}_001.tif" for c, n in ((1, "DAPI"), (2, "Bright Field")) for f in (1, 2)]
    whole = ["A1_-1_1_1_Stitched[DAPI 377,447]_001.tif"]
    folder = write_folder(tmp_path / "p", raw)
    write_folder(folder, whole, shape=(12, 16))
    export = read(folder)
    assert [(a.name, a.height) for a in export.acquisitions] == [("01", 6), ("-1", 12)]
    assert [(c.acquisition_id, c.name, c.role, c.contrast_method) for c in export.channels] == [
        (1, "Bright Field", "Brightfield", "brightfield"),
        (1, "DAPI", "DNA", None),
        (2, "Stitched[DAPI 377,447]", "DNA", None),
    ]
    assert said(export, "kept apart, as 2 acquisitions")


def test_gen5_with_stack_regions_and_brightfield_only(tmp_path: Path) -> None:
    names = [f"A1ROI{r}_01_1_{f}Z{z}_Confocal DAPI_001.tif" for r in (1, 2) for f in (1, 2) for z in (0, 1, 2)]
    export = read(write_folder(tmp_path / "roi", names))
    assert {f["field_id"] for f in export.fields.to_pylist()} == {1001, 1002, 2001, 2002}
    assert sorted({z for (z,) in planes(export, "z")}) == [0, 1, 2]
    names = [f"A1_1Z{z}_DAPI_1_001_.tif" for z in range(3)] + ["A1_1_DAPI_1_001_.tif"]
    export = read(write_folder(tmp_path / "both", names))
    assert [a.z_mode for a in export.acquisitions] == ["plane", "stack"]
    assert planes(export, "acquisition_id", "z") == [(1, 0), (2, 0), (2, 1), (2, 2)]
    export = read(
        write_folder(tmp_path / "bright", ["B2_1_Bright Field_1_001_02.tif", "D3_1_Bright Field_1_001_02.tif"])
    )
    assert [c.contrast_method for c in export.channels] == ["brightfield"]


def test_gen5_says_the_size_of_the_image_in_its_own_xml(tmp_path: Path) -> None:
    xml = (
        "<BTIImageMetaData><ImageReference><Plate>1</Plate></ImageReference><ImageAcquisition>"
        "<ImageWidthMicrons>2.4</ImageWidthMicrons><ImageHeightMicrons>1.8</ImageHeightMicrons>"
        "<ObjectiveSize>20</ObjectiveSize><Channel><ExcitationWavelength>377</ExcitationWavelength>"
        "<EmissionWavelength>447</EmissionWavelength></Channel></ImageAcquisition></BTIImageMetaData>"
    )
    export = read(write_folder(tmp_path / "p", ["A1_01_1_1_DAPI_001.tif"], description=xml, metadata=None))
    (acquisition,) = export.acquisitions
    assert (acquisition.pixel_size_x_um, acquisition.pixel_size_y_um, acquisition.magnification) == (0.3, 0.3, 20)
    assert (export.channels[0].excitation_nm, export.channels[0].emission_nm) == (377, 447)


def test_incucyte_times_are_true_and_uneven(tmp_path: Path) -> None:
    scans = {"2505/16/1124": ("Ph", "C1"), "2505/16/1325": ("Ph",), "2505/17/0102": ("Ph", "C1")}
    names = [
        f"{scan}/1248/{w}-{f}-{c}.tif" for scan, cs in scans.items() for w in ("A1", "H12") for f in (1, 2) for c in cs
    ]
    archive = write_folder(tmp_path / "Neurons" / "EssenFiles" / "ScanData", names)
    export = read(tmp_path / "Neurons")
    assert export.plate_id == "Neurons-1248"
    assert [(c.name, c.contrast_method) for c in export.channels] == [("C1", None), ("Ph", "phase")]
    assert sorted(set(planes(export, "timepoint", "acquired_at"))) == [
        (0, datetime(2025, 5, 16, 11, 24, tzinfo=UTC)),
        (1, datetime(2025, 5, 16, 13, 25, tzinfo=UTC)),
        (2, datetime(2025, 5, 17, 1, 2, tzinfo=UTC)),
    ]
    assert export.acquisitions[0].started_at == datetime(2025, 5, 16, 11, 24, tzinfo=UTC)
    assert said(export, "no time zone")
    inner = read(archive / "2505" / "16")
    assert inner.plate_id == "16-1248"
    assert len(set(planes(inner, "acquired_at"))) == 2


def test_incucyte_vessels_are_plates(tmp_path: Path) -> None:
    names = [f"EssenFiles/ScanData/2505/16/1124/{v}/A1-1-Ph.tif" for v in (1248, 1249)]
    exports = PatternReader().read(write_folder(tmp_path / "A", names))
    assert [export.plate_id for export in exports] == ["A-1248", "A-1249"]


def test_incucyte_exports_with_days_or_with_time_that_passed(tmp_path: Path) -> None:
    names = [f"VID1_{c}_B{w}_1_2023y09m2{d}d_22h30m.tif" for c in ("Phase", "Green") for w in (1, 2) for d in (2, 3, 6)]
    export = read(write_folder(tmp_path / "days", names))
    assert (export.plate_id, [c.name for c in export.channels]) == ("VID1", ["Green", "Phase"])
    assert {t.day for (t,) in planes(export, "acquired_at")} == {22, 23, 26}
    names = [f"VID1_Phase_B2_1_0{d}d{h:02d}h00m.tif" for d in (0, 1) for h in (0, 6, 12)]
    export = read(write_folder(tmp_path / "passed", names))
    assert [t for (t,) in planes(export, "timepoint")] == [0, 1, 2, 3, 4, 5]
    assert export.acquisitions[0].time_interval_s == 6 * 3600
    assert export.planes["acquired_at"].null_count == 6


def test_pyramids_are_one_plane(tmp_path: Path) -> None:
    path = tmp_path / "2505" / "16" / "1124" / "1" / "A1-1-Ph.tif"
    path.parent.mkdir(parents=True)
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(np.ones((32, 32), "uint8"), **HALF_MICRON)
        tiff.write(np.ones((16, 16), "uint8"), subfiletype=1)
    export = read(tmp_path)
    assert planes(export, "page", "z") == [(0, 0)]
    assert said(export, "a pyramid or a thumbnail")


def test_metaxpress_folders_and_projections(tmp_path: Path) -> None:
    names = [f"TimePoint_{t}/ZStep_{z}/P1_A01_s{s}.TIF" for t in (1, 2) for z in (0, 1, 2) for s in (1, 2)]
    folder = write_folder(tmp_path / "P1", [*names, "TimePoint_1/ZStep_1/P1_A01_s1_thumb.TIF"])
    export = read(folder)
    assert [a.z_mode for a in export.acquisitions] == ["projection", "stack"]
    assert {z for a, z in planes(export, "acquisition_id", "z") if a == 2} == {0, 1}
    assert {t for (t,) in planes(export, "timepoint")} == {0, 1}
    assert said(export, "1 thumbnails are left out")


def test_wells_that_are_only_numbers_need_the_format_of_the_plate(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "p", ["W0029F0001T0001Z001C1.tif", "W0030F0001T0001Z001C1.tif"])
    with pytest.raises(InvalidDataError, match="well 29") as error:
        read(folder)
    assert "--plate-format" in str(error.value.hint)
    assert {w for (w,) in planes(read(folder, plate_format=(16, 24)), "well_id")} == {"B05", "B06"}
    with pytest.raises(InvalidDataError, match="well 29; a plate of 4 × 6 has 24"):
        read(folder, plate_format=(4, 6))


# --- choosing


def test_channels_in_folders_of_their_own(tmp_path: Path) -> None:
    """Incucyte exports one channel at a time, under the same names."""
    for channel in ("Phase", "Green"):
        for moment in ("00d00h00m", "00d06h00m"):
            write_tiff(tmp_path / "exp" / channel / f"A549_B10_1_{moment}.tif")
    export = read(tmp_path / "exp", pixel_size_um=1.0)
    assert [(c.name, c.contrast_method) for c in export.channels] == [("Green", None), ("Phase", "phase")]
    assert export.planes.num_rows == 4
    assert export.plate_id == "A549"


def test_channels_of_one_letter_are_no_plates(tmp_path: Path) -> None:
    for channel in "GRP":
        write_tiff(tmp_path / f"R1211/A1/field_1/R1211_{channel}_A1_1_04d00h00m.tif")
    export = read(tmp_path, pixel_size_um=1.0)
    assert [(c.name, c.contrast_method) for c in export.channels] == [("G", None), ("P", "phase"), ("R", None)]
    assert export.plate_id == "R1211"


def test_two_presets_that_explain_as_much_are_a_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path / "p", [*cellomics(["A01"], [0], 1), "r01c01f01p01-ch1sk1fk1fl1.tiff"])
    with pytest.raises(UsageError, match="cellomics and harmony-names") as error:
        PatternReader().read(folder)
    assert error.value.hint == "Say which: --pattern cellomics or --pattern harmony-names."
    export = read(folder, pattern="cellomics")
    assert said(export, "1 of 2 TIFF files are left out, as cellomics does not explain their names: r01c01")


def test_a_preset_must_explain_nearly_all(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "p", [*cellomics(fields=range(5)), "overview.tif"])
    assert said(
        read(folder), "1 of 21 TIFF files are left out, as cellomics does not explain their names: overview.tif"
    )
    write_folder(folder, ["overview 2.tif", "overview 3.tif", "overview 4.tif"])
    evidence = PatternReader().detect(folder)
    assert evidence is not None
    assert evidence.confidence == 0
    with pytest.raises(NotAnExportError, match="cellomics explains 20 of 24") as error:
        read(folder)
    assert "--pattern cellomics" in str(error.value.hint)
    assert said(read(folder, pattern="cellomics"), "4 of 24")


def test_names_that_nothing_explains(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "p", ["a.tif", "b.tif", "c.tif", "d.tif"])
    with pytest.raises(NotAnExportError, match=r"4 TIFF files, such as a\.tif, b\.tif, c\.tif …") as error:
        read(folder)
    assert "--pattern" in str(error.value.hint)
    with pytest.raises(NotAnExportError, match="no preset explains names such as"):
        detect(folder)
    (tmp_path / "png").mkdir()
    (tmp_path / "png" / "A01.png").write_bytes(b"")
    with pytest.raises(NotAnExportError, match=r"no TIFF file, but 1 \.png"):
        read(tmp_path / "png")
    with pytest.raises(NotAnExportError, match="no folder"):
        read(folder / "a.tif")


def test_names_alone_are_never_sure(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "p", cellomics())
    evidence = detect(folder)
    assert (evidence.reader, evidence.index) == ("pattern", str(folder))
    assert 0 < evidence.confidence <= 0.5
    assert "cellomics explains 8 of 8" in evidence.facts[0]
    assert PatternReader().detect(folder / "XYZ_0001_A01f00d0.tif") is None


def test_a_look_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cytolake.ingest.vendors import pattern

    monkeypatch.setattr(pattern, "_LOOK_FILES", 5)
    monkeypatch.setattr(pattern, "_LOOK_ENTRIES", 12)
    for number in range(40):
        for name in cellomics(["A01"], [0], 1):
            (tmp_path / f"{number}").mkdir()
            (tmp_path / f"{number}" / name).touch()
    names = pattern._look(tmp_path)
    assert len(names) <= 12


def test_several_plates_in_one_folder(tmp_path: Path) -> None:
    names = [f"{plate}_A01_s1_w1.tif" for plate in ("P1", "P2")]
    first, second = PatternReader().read(
        write_folder(
            tmp_path / "p",
            [*names, "x.tif"] * 1 + ["P2_A02_s1_w1.tif"] + [f"P1_A{n:02d}_s1_w1.tif" for n in range(2, 12)],
        )
    )
    assert [first.plate_id, second.plate_id] == ["P1", "P2"]
    assert said(first, "x.tif")
    assert not said(second, "x.tif")


# --- own expressions

OWN = (
    r"(?P<Plate>[^/]+)/day(\d|\d\d)/(?P<Well>[A-P]\d+)_(?P<Site>\d+)_(?P<ChannelNumber>\w+?)"
    r"_t(?P<timepoint>\d+)_.*\.tif"
)


def test_an_own_expression_with_folders(tmp_path: Path) -> None:
    names = [
        f"P1/day3/{w}_{s}_{c}_t{t}_x.tif"
        for w in ("A1", "B12")
        for s in (3, 4)
        for c in ("GFP", "DAPI")
        for t in (1, 2)
    ]
    export = read(write_folder(tmp_path / "p", names), pattern=OWN)
    assert (export.plate_id, export.vendor, export.format_version) == ("P1", "TIFF folder", "own pattern")
    assert [c.name for c in export.channels] == ["DAPI", "GFP"]
    assert export.planes.num_rows == 16
    assert {w for (w,) in planes(export, "well_id")} == {"A01", "B12"}
    assert {t for (t,) in planes(export, "timepoint")} == {0, 1}
    out = np.zeros((6, 8), "uint16")
    first = export.planes.to_pylist()[0]
    read_plane(Path(export.root) / first["file"], first["page"], out)
    assert (out == tifffile.imread(Path(export.root) / first["file"])).all()


@pytest.mark.parametrize("rows", ["B", "02"])
def test_rows_as_letters_or_numbers(tmp_path: Path, rows: str) -> None:
    folder = write_folder(tmp_path / "p", [f"R{rows}C{c:02d}.tif" for c in (1, 2)])
    export = read(folder, pattern=r"R(?P<row>[A-Z]|\d+)C(?P<col>\d+)")
    assert [w for (w,) in planes(export, "well_id")] == ["B01", "B02"]
    assert export.channels[0].name == "channel 1"


def test_dates_of_an_own_expression(tmp_path: Path) -> None:
    names = [f"A1_{when}.tif" for when in ("20240101-0930", "20240101-1015", "20240103-0000")]
    export = read(write_folder(tmp_path / "p", names), pattern=r"(?P<well>A\d)_(?P<date>\d{8})-(?P<time>\d{4})")
    assert [(t, at.hour) for t, at in planes(export, "timepoint", "acquired_at")] == [(0, 9), (1, 10), (2, 0)]


def test_a_day_orders_images_and_is_no_moment(tmp_path: Path) -> None:
    names = [f"A1_{day}.tif" for day in ("20240103", "20240101")]
    export = read(write_folder(tmp_path / "p", names), pattern=r"(?P<well>A\d)_(?P<date>\d{8})")
    assert planes(export, "timepoint", "file", "acquired_at") == [(0, names[1], None), (1, names[0], None)]
    assert said(export, "names say the day and not the time")


def test_an_image_without_a_time_is_none_of_a_series(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "p", ["A1_t1.tif", "A1_t2.tif", "A2.tif"])
    with pytest.raises(InvalidDataError, match=r"A1_t1\.tif a time point, A2\.tif no time") as error:
        read(folder, pattern=r"(?P<well>A\d)(?:_t(?P<time>\d))?")
    assert error.value.hint is not None
    # What is kept apart anyhow may be one moment.
    apart = write_folder(tmp_path / "q", ["A1_t1_z1.tif", "A1_t2_z1.tif", "A1.tif"])
    export = read(apart, pattern=r"(?P<well>A\d)(?:_t(?P<time>\d)_z(?P<z>\d))?")
    assert [a.z_mode for a in export.acquisitions] == ["plane", "stack"]


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("(?P<well>A01", "missing )"),
        ("(?P<well>A01)(?=_)", "perl operator"),
        (r"(?P<well>A\d+)(?P<well>B)", "twice"),
        (r"(?P<field>\d+)_(.*)", "no group 'well'"),
        (r"(?P<wel>A\d+)_(?P<field>\d+)", "'wel' may be meant as 'well'"),
        (r"(?P<row>A)_\d+", "no group 'well'"),
        ("celomics", "did you mean 'cellomics'"),
        (f"(?P<well>A01){'x' * 2000}", "2,013 characters"),
        (r"(?P<well>A\d{2}){900}(.{900}){900}", "no regular expression"),
    ],
)
def test_a_bad_expression_is_refused_at_once(expression: str, why: str) -> None:
    with pytest.raises(UsageError) as error:
        PatternReader(ReaderOptions(pattern=expression))
    assert why in error.value.message
    assert error.value.hint or "characters" in why


def test_an_expression_that_matches_nothing(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "p", ["a.tif", "b.tif", "c.tif", "Z99.tif"])
    with pytest.raises(UsageError, match=r"none of the 4 TIFF files of .*such as Z99\.tif, a\.tif, b\.tif"):
        read(folder, pattern=r"(?P<well>[A-P]\d+)")
    with pytest.raises(UsageError, match=r"outside the largest plate"):
        read(folder, pattern=r"(?P<well>[A-Z]\d+)")
    with pytest.raises(UsageError, match="none of the 4"):
        read_export(folder, options=ReaderOptions(pattern=r"(?P<well>[A-P]\d+)"))


def test_groups_without_meaning_are_told(tmp_path: Path) -> None:
    export = read(write_folder(tmp_path / "p", ["A1_x.tif"]), pattern=r"(?P<well>A1)_(?P<operator>.)")
    assert said(export, "mean nothing here: operator")


@pytest.mark.parametrize(
    "expression",
    [r"(?P<well>(?:[a-z]+)+)+$", r"(?P<well>([a-z]*)*)\d$", r"(?P<well>(?:a|aa|a?)+)b", r"(.*?,){25}(?P<well>P)"],
)
def test_hostile_expressions_do_not_hang(expression: str) -> None:
    began = time.monotonic()
    assert NamePattern(expression).match(["a" * 250 + "!"] * 500) == [None] * 500
    assert time.monotonic() - began < 5


def test_the_budget_of_an_expression_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(pattern_names.time, "monotonic", lambda: float(next(clock)))
    with pytest.raises(UsageError, match="takes too long: 48 of 5,000 names"):
        NamePattern("(?P<well>A1)").match(["A1"] * 5_000, budget_s=6)


# --- files


@pytest.mark.parametrize("size_um", [6.4503, 13.0, 25.0, 0.04])
def test_a_resolution_tag_that_is_no_size_at_the_sample(tmp_path: Path, size_um: float) -> None:
    how = {"resolution": (10_000 / size_um, 10_000 / size_um), "resolutionunit": "CENTIMETER"}
    folder = write_folder(tmp_path / "p", ["r01c01f01p01-ch1sk1fk1fl1.tiff"], **how)
    with pytest.raises(InvalidDataError, match=f"resolution tag says {size_um:.4g} µm"):
        read(folder)


def test_a_size_from_bare_tags_is_told(tmp_path: Path) -> None:
    assert said(
        read(write_folder(tmp_path / "p", cellomics())), "the pixel size, 0.5 µm, is what the resolution tags say"
    )


def test_rows_of_the_largest_plate(tmp_path: Path) -> None:
    export = read(write_folder(tmp_path / "p", cellomics(["A01", "P24", "Q25", "Z48", "AF48"])))
    assert (export.n_rows, export.n_columns) == (32, 48)
    assert {w for (w,) in planes(export, "well_id")} == {"A01", "P24", "Q25", "Z48", "AF48"}


def test_the_size_of_a_pixel_is_never_guessed(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "p", cellomics(), resolution=(72, 72), resolutionunit="INCH")
    with pytest.raises(InvalidDataError, match=r"352\.8 µm \(72 dots per inch\)") as error:
        read(folder)
    assert "--pixel-size" in str(error.value.hint)
    assert read(folder, pixel_size_um=0.65).acquisitions[0].pixel_size_y_um == 0.65
    other = write_folder(tmp_path / "q", cellomics())
    assert said(read(other, pixel_size_um=0.65), "overrules the 0.5 × 0.5 µm")


@pytest.mark.parametrize(
    ("how", "size"),
    [
        ({"resolution": (2, 2), "imagej": True, "metadata": {"unit": "um"}}, 0.5),
        ({"resolution": (0.002, 0.002), "imagej": True, "metadata": {"unit": "nm"}}, 0.5),
        ({"resolution": (50_800, 50_800), "resolutionunit": "INCH"}, 0.5),
        (
            {
                "ome": True,
                "metadata": {"axes": "YX", "PhysicalSizeX": 500, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5},
            },
            0.5,
        ),
    ],
)
def test_the_size_of_a_pixel_from_tags(tmp_path: Path, how: Any, size: float) -> None:
    if how.get("ome"):
        path = tmp_path / "p" / "XYZ_A01f00d0.tif"
        path.parent.mkdir()
        tifffile.imwrite(path, np.zeros((6, 8), "uint16"), **how)
    else:
        write_folder(tmp_path / "p", ["XYZ_A01f00d0.tif"], **how)
    assert read(tmp_path / "p").acquisitions[0].pixel_size_x_um == pytest.approx(size)


def test_pages_are_z_planes_where_names_say_none(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "p", cellomics(channels=1), pages=3)
    export = read(folder)
    assert planes(export, "page", "z")[:3] == [(0, 0), (1, 1), (2, 2)]
    assert said(export, "the pages of 4 files are taken for their z planes")
    write_tiff(folder / "XYZ_0001_C01f00d0.tif")
    assert read(folder).planes.num_rows == 13
    stack = write_folder(tmp_path / "q", ["r01c01f01p01-ch1sk1fk1fl1.tiff"], pages=2)
    with pytest.raises(UsageError, match=r"2 pages \(z planes\), and its name says the z already"):
        read(stack)


def test_a_stack_among_single_planes_is_found(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "p", cellomics(channels=1))
    write_tiff(folder / "XYZ_0001_C01f00d0.tif", pages=4)
    assert read(folder).planes.num_rows == 4 + 4


def test_pages_are_what_the_file_says_they_are(tmp_path: Path) -> None:
    how = {
        "imagej": True,
        "metadata": {"axes": "ZCYX", "unit": "um", "spacing": 1.5},
        "sizes": (2, 3),
        "resolution": (2, 2),
    }
    folder = write_folder(tmp_path / "p", ["A1_1.tif"], pages=6, **how)
    export = read(folder, pattern=r"(?P<well>A1)_(?P<field>\d)")
    assert planes(export, "page", "z", "channel_index") == [
        (0, 0, 0),
        (3, 1, 0),
        (1, 0, 1),
        (4, 1, 1),
        (2, 0, 2),
        (5, 1, 2),
    ]
    assert [c.name for c in export.channels] == ["channel 1", "channel 2", "channel 3"]
    assert export.acquisitions[0].z_step_um == 1.5
    with pytest.raises(UsageError, match="its name says the channel"):
        read(folder, pattern=r"(?P<well>A1)_(?P<channel>\d)")


def test_channels_of_another_size_or_type_are_kept_apart(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "p", cellomics(channels=1))
    write_folder(folder, [n.replace("d0", "d1") for n in cellomics(channels=1)], dtype="uint8")
    export = read(folder)
    assert [(a.acquisition_id, a.height) for a in export.acquisitions] == [(1, 6), (2, 6)]
    assert [(c.acquisition_id, c.channel_index, c.name) for c in export.channels] == [(1, 0, "d0"), (2, 0, "d1")]


def test_damaged_files_are_planes_that_cannot_be_read(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "p", cellomics())
    (folder / "XYZ_0001_A01f00d0.tif").write_bytes(b"II*\0")
    assert read(folder).planes.num_rows == 8
    for file in folder.glob("*d1.tif"):
        file.write_bytes(b"broken")
    export = read(folder)
    assert export.planes.num_rows == 8
    assert said(export, "channel '1' cannot be read")
    for file in folder.glob("*.tif"):
        file.write_bytes(b"broken")
    with pytest.raises(SourceFileError):
        read(folder)


def test_colour_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    tifffile.imwrite(tmp_path / "p" / "XYZ_A01f00d0.tif", np.zeros((6, 8, 3), "uint8"), photometric="rgb")
    with pytest.raises(SourceFileError, match=r"\(6, 8, 3\)"):
        read(tmp_path / "p")


def test_fields_without_a_channel_are_told(tmp_path: Path) -> None:
    names = cellomics()
    names.remove("XYZ_0001_B02f01d1.tif")
    export = read(write_folder(tmp_path / "p", names))
    assert said(export, "1 of 4 fields lack channel '1': B02 field 1")


def test_a_plane_told_twice_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "p", ["one/XYZ_A01f00d0.tif", "two/XYZ_A01f00d0.tif"])
    with pytest.raises(InvalidDataError, match="planes twice"):
        read(folder)


def test_numbers_with_gaps_are_counted_in_order(tmp_path: Path) -> None:
    names = [f"A1_t{t}.tif" for t in (0, 24, 4800)]
    export = read(write_folder(tmp_path / "p", names), pattern=r"(?P<well>A1)_t(?P<time>\d+)")
    assert [t for (t,) in planes(export, "timepoint")] == [0, 1, 2]
    assert said(export, "time is numbered 0 to 4800, with gaps")


def test_real_folders(shared_data: Path) -> None:
    folder = shared_data / "vendors" / "tiff-folder"
    human = read(folder / "ExampleHuman", pixel_size_um=0.5)
    assert (human.plate_id, human.vendor) == ("AS_09125_050116030001", "Thermo Cellomics")
    assert planes(human, "well_id", "field_id", "channel_index") == [("D03", 0, 0), ("D03", 0, 1), ("D03", 0, 2)]
    assert (human.acquisitions[0].height, human.acquisitions[0].width) == (512, 512)
    worms = read(folder / "ExampleUntangleWorms", pixel_size_um=0.5, plate_format=(16, 24))
    assert worms.plate_id == "1649_1109_0003_Amp5-1_B_20070424"
    assert planes(worms, "well_id", "channel_index") == [("C01", 0), ("C01", 1), ("C20", 0), ("C20", 1)]
    assert (worms.acquisitions[0].height, worms.acquisitions[0].width) == (520, 696)
    with pytest.raises(InvalidDataError, match="72 dots per inch"):
        read(folder / "ExampleHuman")
    with pytest.raises(NotAnExportError, match="explains 4 of 7"):
        read(folder)


# --- whatever comes

NAMES = [name for preset in PRESETS.values() for name in (*preset.examples, *preset.left_out_examples)]


@FUZZ
@given(
    st.sampled_from(NAMES),
    st.integers(0, 60),
    st.sampled_from(["", "0", "-", "_", "99999999999999999999", "٣", "\udcff", "/", "Z"]),
)
def test_any_name(name: str, at: int, put: str) -> None:
    bent = name[:at] + put + name[at + 1 :]
    for preset in PRESETS.values():
        found = explain(preset, [bent], Path("/x"))
        assert found.count + len(found.without) == 1


@FUZZ
@given(st.text(alphabet="(?P<well>)[]{}+*.\\dQE^$|:0159,A-F-_/", max_size=40))
def test_any_expression(expression: str) -> None:
    with contextlib.suppress(UsageError):
        found, without = places(NamePattern(expression).match(NAMES), NAMES)
        assert len(found) + len(without) == len(NAMES)
    with contextlib.suppress(UsageError):
        preset_of(expression)


@FUZZ
@given(
    seed=st.integers(0, 3),
    changes=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=6),
    end=st.integers(0, 900),
)
def test_any_header(tmp_path: Path, seed: int, changes: list[tuple[int, int]], end: int) -> None:
    import io

    from cytolake.ingest.vendors.tiff_header import parse_tiff_header

    how: list[dict[str, Any]] = [
        {},
        {"imagej": True, "resolution": (2, 2), "metadata": {"unit": "um"}, "pages": 3},
        {
            "description": '<OME><Image><Pixels SizeC="2" PhysicalSizeX="0.5" PhysicalSizeY="0.5"/></Image></OME>',
            "pages": 2,
        },
        {"description": "<BTIImageMetaData><ImageWidthMicrons>4</ImageWidthMicrons></BTIImageMetaData>"},
    ]
    path = tmp_path / f"{seed}.tif"
    if not path.exists():
        write_tiff(path, **how[seed])
    data = bytearray(path.read_bytes())
    for position, value in changes:
        data[position % len(data)] = value
    with contextlib.suppress(CytolakeError):
        header = parse_tiff_header(io.BytesIO(bytes(data[: max(end, 8)] if end < 600 else data)), "file")
        assert header.pages[0] == 0
        assert len(header.steps) == len(header.pages)
