"""The ScanR reader: new and old versions, wells from names and numbers, and what is wrong with some experiments."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cytolake.errors import CytolakeError, InvalidDataError, NotAnExportError, SourceFileError, StorageError
from cytolake.ingest.contract import ReaderContract
from cytolake.ingest.export import PlateExport
from cytolake.ingest.readers import ReaderOptions
from cytolake.ingest.vendors import scanr_files
from cytolake.ingest.vendors.scanr import ScanrReader
from cytolake.ingest.vendors.scanr_names import field_of, parse_file_name
from vendor_exports.scanr import Experiment, Fld, grid


class TestNewVersion(ReaderContract):
    reader = ScanrReader()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        return Experiment(fields=grid(z=2, t=2)).write(tmp_path / "run 1")


class TestOldVersion(ReaderContract):
    reader = ScanrReader()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        return Experiment(kind="descriptor", fields=grid(t=2)).write(tmp_path / "run 1")


class TestFilesAlone(ReaderContract):
    reader = ScanrReader(ReaderOptions(pixel_size_um=0.5))

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        return Experiment(kind="files").write(tmp_path / "run 1")


def read(folder: Path, **options: Any) -> PlateExport:
    (export,) = ScanrReader().with_options(ReaderOptions(**options)).read(folder)
    return export


def written(tmp_path: Path, **values: Any) -> PlateExport:
    return read(Experiment(**values).write(tmp_path / "run"))


def places(export: PlateExport) -> dict[tuple[str, int], tuple[float, float]]:
    return {(f["well_id"], f["field_id"]): (f["x_um"], f["y_um"]) for f in export.fields.to_pylist()}


def test_what_an_index_says(tmp_path: Path) -> None:
    export = written(tmp_path, fields=grid(z=3, t=2))
    assert (export.plate_id, export.format_version, export.n_rows, export.n_columns) == ("run", "3.3.0", 8, 12)
    assert any("inferred: well 14 is B02" in w for w in export.warnings)
    assert export.planes.num_rows == 4 * 2 * 3 * 2
    assert export.planes["size"].null_count == 0
    assert set(export.planes["page"].to_pylist()) == {0}
    (acquisition,) = export.acquisitions
    assert (acquisition.height, acquisition.width, acquisition.pixel_size_x_um) == (6, 8, 0.325)
    assert (acquisition.z_step_um, acquisition.time_interval_s) == (1.5, 600.0)
    assert (acquisition.instrument_model, acquisition.magnification, acquisition.camera) == ("IX83", 20.0, "Cam")
    assert acquisition.modality == "spinning_disk_confocal"
    assert [(c.name, c.role, c.excitation_nm, c.exposure_ms, c.contrast_method) for c in export.channels] == [
        ("DAPI", "DNA", None, 100.0, "fluorescence"),
        ("405 nm #1", None, 405.0, 100.0, "fluorescence"),
    ]
    assert export.metadata_files == ("data/metadata.ome.xml",)
    plane = export.planes.to_pylist()[-1]
    assert plane["file"] == "data/C4--W00028--P00002--Z00002--T00001--405 nm #1.tif"


def test_positions_are_around_the_mean_of_the_well_and_y_is_turned(tmp_path: Path) -> None:
    assert places(written(tmp_path)) == {
        ("B02", 1): (-300.0, 200.0),
        ("B02", 2): (300.0, -200.0),
        ("C04", 1): (-300.0, 200.0),
        ("C04", 2): (300.0, -200.0),
    }


def test_a_field_that_was_left_out_shifts_no_other(tmp_path: Path) -> None:
    export = written(tmp_path, fields=grid()[:3])
    assert places(export)["C04", 1] == (-300.0, 200.0)
    export = written(tmp_path / "b", fields=(*grid()[:2], grid()[3]))
    assert places(export)["C04", 2] == (300.0, -200.0)


def test_the_data_folder_and_the_index_may_be_named_too(tmp_path: Path) -> None:
    folder = Experiment().write(tmp_path / "run")
    (tmp_path / "run" / "analysis").mkdir()
    (tmp_path / "run" / "analysis" / "x.tif").write_bytes(b"no")
    for named in (folder, folder / "data", folder / "data" / "metadata.ome.xml"):
        assert read(named).root == str(folder)
    (export,) = ScanrReader().read(tmp_path)
    assert export.root == str(folder)


def test_experiments_below_one_folder_are_plates(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Experiment().write(tmp_path / name)
    assert [e.plate_id for e in ScanrReader().read(tmp_path)] == ["a", "b"]


def test_absent_files_and_wells_that_are_not_there(tmp_path: Path) -> None:
    fields = grid()
    export = written(tmp_path, fields=(*fields[:3], replace(fields[3], write=False)))
    missing = [p for p in export.planes.to_pylist() if p["size"] is None]
    assert {(p["well_id"], p["field_id"]) for p in missing} == {("C04", 2)}
    assert set(export.planes["well_id"].to_pylist()) == {"B02", "C04"}


# --- wells


def test_the_plate_may_be_told(tmp_path: Path) -> None:
    fields = (Fld(well=None, number=26), Fld(well=None, number=384))
    folder = Experiment(fields=fields).write(tmp_path / "run")
    export = read(folder, plate_format=(16, 24))
    assert export.planes["well_id"].to_pylist() == ["B02", "B02", "P24", "P24"]
    with pytest.raises(InvalidDataError, match="numbers its wells") as error:
        read(folder)
    assert "--plate-format" in (error.value.hint or "")
    with pytest.raises(InvalidDataError, match="has no well 384"):
        read(folder, plate_format=(8, 12))


def test_a_number_that_contradicts_its_name(tmp_path: Path) -> None:
    folder = Experiment().write(tmp_path / "run")
    with pytest.raises(InvalidDataError, match=r"well 14 is called B02.* 16 × 24; a plate of 12 columns fits"):
        read(folder, plate_format=(16, 24))
    with pytest.raises(InvalidDataError, match="on no plate"):
        written(tmp_path / "b", fields=(Fld(well="B2", number=1),))
    with pytest.raises(InvalidDataError, match="as on a plate of 12 columns, and well 26 B02, as on one of 24"):
        written(tmp_path / "c", fields=(Fld(), Fld(well="B2", number=26)))
    with pytest.raises(InvalidDataError, match="is called B02 and B03"):
        written(tmp_path / "d", fields=(Fld(), Fld(well="B3", position=2)))


@pytest.mark.parametrize(
    ("well", "number", "size"),
    [("B2", 26, (16, 24)), ("AF48", 1536, (32, 48)), ("B2", 4, (2, 2)), ("D2", 8, (4, 2)), ("D6", 24, (4, 6))],
)
def test_the_plate_that_fits_names_and_numbers(tmp_path: Path, well: str, number: int, size: tuple[int, int]) -> None:
    export = written(tmp_path, fields=(Fld(well=well, number=number),))
    assert (export.n_rows, export.n_columns) == size


def test_wells_of_the_first_row_leave_the_plate_open(tmp_path: Path) -> None:
    export = written(tmp_path, fields=(Fld(well="A9", number=9),))
    assert (export.n_rows, export.n_columns) == (8, 12)
    assert any("does not say the size" in w for w in export.warnings)


def test_a_well_may_be_in_the_file_name_only(tmp_path: Path) -> None:
    export = written(tmp_path, tweak=lambda text: text.replace(" (B2)", "").replace(" (C4)", ""))
    assert set(export.planes["well_id"].to_pylist()) == {"B02", "C04"}
    assert field_of("Image:W3P2", None, None) is not None
    assert field_of("Image:3", "overview", "map.tif") is None


def test_images_without_a_well_are_left_out(tmp_path: Path) -> None:
    export = written(
        tmp_path,
        tweak=lambda text: text.replace(
            '"Image:W14P1" Name="Well 14, Position 1 (B2)"', '"Image:7" Name="map"'
        ).replace("B2--W00014--P00001", "map"),
    )
    assert any("1 images name no well" in w for w in export.warnings)
    assert export.planes.num_rows == 6


@pytest.mark.parametrize(
    "name",
    [
        "B2--W00014--P00001--Z00000--T00000--405 nm #1.tif",
        "W00014--P00001--Z00000--T00000--405 nm #1.TIF",
        "sub/B2--W00014--P00001--Z00000--T00000--405 nm #1.tiff",
    ],
)
def test_file_names(name: str) -> None:
    found = parse_file_name(name)
    assert found is not None
    assert (found.well_number, found.position, found.channel) == (14, 1, "405 nm #1")


# --- older versions


def test_what_a_descriptor_says(tmp_path: Path) -> None:
    fields = grid(z=2, t=2)
    lost = replace(fields[3], write=False)
    export = written(
        tmp_path, kind="descriptor", fields=(*fields[:3], lost), wells=((14, "B2"), (28, "C4"), (40, "D4"))
    )
    assert export.name == "Plaque n° 4"
    assert (export.n_rows, export.n_columns, export.format_version) == (8, 12, "files")
    assert [(c.name, c.exposure_ms) for c in export.channels] == [("DAPI", 100.5), ("405 nm #1", 100.5)]
    (acquisition,) = export.acquisitions
    assert (acquisition.pixel_size_x_um, acquisition.height, acquisition.time_interval_s) == (0.645, 6, 600.0)
    # The second field of C4 was promised; D4 has no image at all and is no black one.
    assert export.planes.num_rows == 4 * 8
    assert export.planes["size"].null_count == 8
    assert any("1 of 3 selected wells have no image" in w for w in export.warnings)
    # The list of positions is relative to the well.
    assert places(export)["B02", 2] == places(export)["C04", 2] == (600.0, -400.0)
    assert export.metadata_files == ("experiment_descriptor.xml", "experiment_descriptor.dat")


def test_a_position_that_is_left_out_shifts_no_other(tmp_path: Path) -> None:
    """The x of the first is empty: its place is unknown, and the second's is its own."""
    place = "<Val>0.0</Val>"

    def tweak(text: str) -> str:
        at = text.index(place, text.index("subposition list"))
        return text[:at] + "<Val></Val>" + text[at + len(place) :]

    export = written(tmp_path, kind="descriptor", tweak=tweak)
    assert places(export)["B02", 1] == (None, None)
    assert places(export)["B02", 2] == places(export)["C04", 2] == (600.0, -400.0)


def test_what_is_said_of_a_well_may_begin_with_a_number(tmp_path: Path) -> None:
    export = written(tmp_path, kind="descriptor", wells=((14, "5-FU"), (28, ""), (40, "D4")))
    assert any("1 of 3 selected wells have no image" in w for w in export.warnings)


def test_reading_finds_all_that_a_look_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        Experiment().write(tmp_path / name)
    (tmp_path / "d" / "data").mkdir(parents=True)
    (tmp_path / "d" / "data" / "metadata.ome.xml").write_text("")
    monkeypatch.setattr(scanr_files, "_MOST_FOLDERS", 1)
    monkeypatch.setattr(scanr_files, "_LOOKED_AT", 0)
    assert len(list(scanr_files.find_experiments(tmp_path, quick=True))) == 1
    exports = ScanrReader().read(tmp_path)
    assert [export.plate_id for export in exports] == ["a", "b", "c"]
    (told,) = [w for w in exports[0].warnings if "left out" in w]
    assert "metadata.ome.xml is not XML" in told
    assert not any("left out" in w for w in exports[1].warnings)


def test_a_folder_that_cannot_be_listed_is_an_error_of_reading_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Experiment(kind="files").write(tmp_path / "a")
    (tmp_path / "b").mkdir()
    real = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert ScanrReader().detect(tmp_path) is not None
    with pytest.raises(StorageError, match=r"b cannot be listed: Permission denied"):
        ScanrReader().read(tmp_path)


def test_a_folder_that_may_not_be_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Experiment().write(tmp_path / "run")
    real = Path.is_dir

    def refuse(path: Path) -> bool:
        if path.name == "data":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(Path, "is_dir", refuse)
    assert ScanrReader().detect(folder) is None
    with pytest.raises(StorageError, match="cannot be looked into: Permission denied"):
        ScanrReader().read(folder)


def test_a_descriptor_beside_an_index_tells_the_plate(tmp_path: Path) -> None:
    folder = Experiment(fields=(Fld(well=None),)).write(tmp_path / "run")
    (folder / "experiment_descriptor.xml").write_bytes(Experiment(kind="descriptor").descriptor())
    assert read(folder).planes["well_id"].to_pylist() == ["B02", "B02"]
    (folder / "experiment_descriptor.xml").write_bytes(b"<LVData><Cluster>")
    with pytest.raises(InvalidDataError, match="numbers its wells"):
        read(folder)


def test_names_alone_say_no_pixel_size(tmp_path: Path) -> None:
    folder = Experiment(kind="files").write(tmp_path / "run")
    evidence = ScanrReader().detect(folder)
    assert evidence is not None
    assert evidence.confidence == 0.8
    with pytest.raises(InvalidDataError, match="no pixel size") as error:
        read(folder)
    assert error.value.hint == "Give it with --pixel-size UM."
    assert read(folder, pixel_size_um=0.5).acquisitions[0].pixel_size_y_um == 0.5


# --- what is wrong


def test_other_ome_xml_is_not_scanrs(tmp_path: Path) -> None:
    (tmp_path / "metadata.ome.xml").write_text('<OME xmlns="x" Creator="other"><Image ID="Image:0"/></OME>')
    evidence = ScanrReader().detect(tmp_path)
    assert evidence is not None
    assert evidence.confidence == 0
    with pytest.raises(NotAnExportError, match="nothing in it is ScanR's"):
        read(tmp_path)


def test_a_file_outside(tmp_path: Path) -> None:
    with pytest.raises(SourceFileError, match=r"'\.\.'"):
        written(tmp_path, tweak=lambda text: text.replace('FileName="B2', 'FileName="../B2'))


def test_a_bomb(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE OME [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><OME Creator="scanR">&b;</OME>'
    (tmp_path / "metadata.ome.xml").write_text(bomb)
    with pytest.raises(NotAnExportError, match="document type"):
        read(tmp_path)


def test_a_descriptor_of_another_kind(tmp_path: Path) -> None:
    folder = Experiment(kind="descriptor", tweak=lambda text: "<Other/>").write(tmp_path / "run")
    with pytest.raises(CytolakeError, match="no ScanR experiment descriptor"):
        read(folder)


def test_the_real_index(shared_data: Path) -> None:
    export = read(shared_data / "vendors" / "scanr" / "index-only")
    assert (export.format_version, export.n_rows, export.n_columns) == ("3.3.0", 8, 12)
    assert export.planes["well_id"].to_pylist() == ["B02"]
    assert export.planes["size"].null_count == 1
    assert export.acquisitions[0].pixel_size_x_um == 0.325
    assert [(c.name, c.excitation_nm) for c in export.channels] == [("405 nm #1", 405.0)]
