"""ImageXpress HCS.ai: the documented layout, its three kinds of experiment, and what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from cytolake.errors import InvalidDataError, NotAnExportError, SourceFileError, StorageError
from cytolake.ingest.contract import ReaderContract
from cytolake.ingest.export import PlateExport
from cytolake.ingest.readers import ReaderOptions
from cytolake.ingest.vendors import hcsai
from cytolake.ingest.vendors.hcsai import HcsAiReader
from vendor_exports.hcsai import Experiment, Img, grid, protocol, stack_and_projection, write_run

READER = HcsAiReader()


def read(folder: Path) -> PlateExport:
    (export,) = READER.read(folder)
    return export


class TestContract(ReaderContract):
    reader = READER

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        return write_run(tmp_path / "test_2026-03-02", stack_and_projection())


def test_an_acquisition(tmp_path: Path) -> None:
    export = read(write_run(tmp_path / "run"))
    assert (export.name, export.n_rows, export.n_columns, export.plate_type) == ("run one", 8, 12, "µ-Plate 96 Well")
    assert (export.format_version, export.barcode) == ("jdce 1.1", None)
    (acquisition,) = export.acquisitions
    assert (acquisition.height, acquisition.width, acquisition.pixel_size_x_um) == (6, 8, 1.25)
    assert (acquisition.magnification, acquisition.numerical_aperture, acquisition.operator) == (20.0, 0.8, "somebody")
    assert (acquisition.z_mode, acquisition.modality) == ("plane", "spinning_disk_confocal")
    assert acquisition.started_at == datetime(2026, 3, 2, 12, 57, 52, 450000, UTC)
    assert acquisition.software == "MetaXpress Acquire 2025.2.0.5237"
    assert [(c.name, c.emission_nm, c.excitation_nm, c.color) for c in export.channels] == [
        ("Nuclei", 440, None, "0000FF"),
        ("Actin stain", 520, 488, "35FF00"),
    ]
    assert [(c.exposure_ms, c.binning, c.vendor_id) for c in export.channels] == [(10.2, 4, "w0"), (10.2, 4, "w1")]
    assert export.fields.to_pylist() == [
        {"acquisition_id": 1, "well_id": "C05", "field_id": 0, "x_um": -50.0, "y_um": 25.0, "z_um": 18444.72},
        {"acquisition_id": 1, "well_id": "C05", "field_id": 1, "x_um": 50.0, "y_um": 25.0, "z_um": 18444.72},
    ]
    assert export.planes["file"][0].as_py() == "experiment/timepoint0/test_t0_C05_s0_w0_z0.tif"
    assert set(export.metadata_files) == {
        "experiment/run one.jdce",
        "experiment/image_metadata_1.csv",
        "test.mxprotocol",
    }


def test_stacks_projections_and_planes_are_kept_apart(tmp_path: Path) -> None:
    montage = Experiment(folder="experiment_montage", images=grid(fields=(0,)), size=(12, 16))
    export = read(write_run(tmp_path / "run", [*stack_and_projection(), montage]))
    modes = [(a.z_mode, a.z_step_um, a.name) for a in export.acquisitions]
    assert modes == [
        ("stack", 2.0, "experiment_z_stack stack"),
        ("projection", None, "experiment projection"),
        ("plane", None, "experiment plane"),
    ]
    assert [(c.acquisition_id, c.name) for c in export.channels] == [(1, "Nuclei"), (2, "Nuclei"), (3, "Actin stain")]
    assert [export.planes.filter(pc.field("acquisition_id") == n).num_rows for n in (1, 2, 3)] == [6, 2, 2]
    assert any("experiment_montage" in w for w in export.warnings)


def test_a_single_plane_among_the_stacks_is_not_taken_twice(tmp_path: Path) -> None:
    images = [*grid(waves=(0,), zs=(0, 1)), *grid(waves=(1,))]
    stack = Experiment(folder="experiment_z_stack", images=images, slices=2, z_step=2.0)
    export = read(write_run(tmp_path / "run", [stack, Experiment(slices=2)]))
    assert [a.z_mode for a in export.acquisitions] == ["stack", "projection", "plane"]
    assert [export.planes["acquisition_id"].to_pylist().count(number) for number in (1, 2, 3)] == [4, 2, 2]
    assert any("wavelength 1 is no stack" in w for w in export.warnings)


def test_projections_alone(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [Experiment(slices=5)], asked=protocol(("projection", "singlePlane")))
    assert [a.z_mode for a in read(run).acquisitions] == ["projection", "plane"]


def test_a_montage_alone_is_read(tmp_path: Path) -> None:
    assert read(write_run(tmp_path / "run", [Experiment(folder="experiment_montage")])).planes.num_rows == 4


def test_time_points_and_transmitted_light(tmp_path: Path) -> None:
    experiment = Experiment(images=grid(waves=(0, 1, 2), times=3), waves=3)
    export = read(write_run(tmp_path / "run", [experiment], asked=protocol(("zSeries",) * 3)))
    assert export.acquisitions[0].time_interval_s == 60.0
    light = export.channels[2]
    assert (light.contrast_method, light.emission_nm, light.role) == ("brightfield", None, "Brightfield")


def test_absent_images_are_missing(tmp_path: Path) -> None:
    export = read(write_run(tmp_path / "run", [Experiment(images=[*grid(), Img(field=2, write=False)])]))
    assert export.planes.num_rows == 5
    assert export.planes["size"].null_count == 1


@pytest.mark.parametrize("inside", ["", "test.mxprotocol", "experiment", "experiment/run one.jdce", ".."])
def test_folders_and_files_that_are_given(tmp_path: Path, inside: str) -> None:
    run = write_run(tmp_path / "all" / "run")
    path = run.parent if inside == ".." else run / inside
    evidence = READER.detect(path)
    assert evidence is not None
    assert evidence.confidence == 1
    assert read(path).root == str(run)


def test_several_acquisitions_of_one_name(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_run(tmp_path / name)
    write_run(tmp_path / "again" / "one")
    exports = READER.read(tmp_path)
    assert len({e.plate_id for e in exports}) == 3


def test_barcode(tmp_path: Path) -> None:
    export = read(write_run(tmp_path / "run", [Experiment(barcode="BR001")]))
    assert (export.plate_id, export.barcode) == ("BR001", "BR001")


def test_no_pixel_size(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [Experiment(pixel=None)])
    with pytest.raises(InvalidDataError, match="how large pixels are") as caught:
        READER.read(run)
    assert "--pixel-size UM" in str(caught.value)
    export = READER.with_options(ReaderOptions(pixel_size_um=0.5)).read(run)[0]
    assert export.acquisitions[0].pixel_size_y_um == 0.5


def test_a_stopped_acquisition(tmp_path: Path) -> None:
    assert any("not completed" in w for w in read(write_run(tmp_path / "r", [Experiment(complete=False)])).warnings)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("FieldOffsetPointX", "x", ""),
        ("ZIndex", "z", "no column ZIndex"),
        (",0,0,0,0,0,0,8", ",0,-1,0,0,0,0,8", "line 2: Wavelength is '-1'"),
        ("timepoint0,", "..\\..\\x,", "'..'"),
        ("timepoint0,", "C:\\data,", "a drive"),
        ("C - 5,3,5", "ZZ - 99,99,99", "row 99"),
        (",20.0\n", "\n", "29 of 30 values"),
    ],
)
def test_damaged_tables(tmp_path: Path, old: str, new: str, message: str) -> None:
    run = write_run(tmp_path / "run")
    table = run / "experiment" / "image_metadata_1.csv"
    table.write_text(table.read_text().replace(old, new))
    if not message:
        assert any("does not give the place" in w for w in read(run).warnings)
        return
    with pytest.raises(InvalidDataError) as caught:
        READER.read(run)
    assert message in str(caught.value)


def test_a_table_that_is_gone(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "experiment" / "image_metadata_1.csv").unlink()
    with pytest.raises(InvalidDataError, match="which is not there"):
        READER.read(run)


def test_damaged_protocol_is_a_warning(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "test.mxprotocol").write_text('{"uiModel": ')
    export = read(run)
    assert [c.name for c in export.channels] == ["DAPI", "FITC"]
    assert any("protocol is not used" in w for w in export.warnings)


def test_other_json(tmp_path: Path) -> None:
    (tmp_path / "x.jdce").write_text(json.dumps({"ImageStack": []}))
    evidence = READER.detect(tmp_path)
    assert evidence is not None
    assert evidence.confidence == 0
    with pytest.raises(NotAnExportError):
        READER.read(tmp_path)
    (tmp_path / "x.jdce").write_text("[" * 100_000)
    with pytest.raises(SourceFileError):
        READER.read(tmp_path)


def test_read_finds_what_detect_gives_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hcsai, "_MOST_RUNS", 2)
    monkeypatch.setattr(hcsai, "_MOST_ENTRIES", 3)
    for number in range(5):
        write_run(tmp_path / f"run {number}", [Experiment(images=[Img()], barcode=f"P{number}")])
    assert [export.plate_id for export in READER.read(tmp_path)] == [f"P{number}" for number in range(5)]


@pytest.mark.parametrize("bad", ["b", "b/experiment"])
def test_a_folder_that_cannot_be_listed_is_no_loss_in_silence(
    tmp_path: Path, unlistable: Callable[[Path], None], bad: str
) -> None:
    for name in ("a", "b"):
        write_run(tmp_path / name)
    unlistable(tmp_path / bad)
    assert READER.detect(tmp_path) is not None
    with pytest.raises(StorageError, match=f"{bad} cannot be listed: Permission denied"):
        READER.read(tmp_path)


def test_acquisitions_far_below_are_read_with_the_others(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    write_run(tmp_path / "batch" / "week" / "b")
    (tmp_path / "batch" / "round").symlink_to(tmp_path, target_is_directory=True)
    assert [Path(export.root).name for export in READER.read(tmp_path)] == ["a", "b"]


def changed_jdce(run: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Change the acquisition protocol of a run's only .jdce."""
    (index,) = run.rglob("*.jdce")
    told = json.loads(index.read_text(encoding="utf-8"))
    change(told["ImageStack"]["AutoLeadAcquisitionProtocol"])
    index.write_text(json.dumps(told), encoding="utf-8")
    return run


def warned(export: PlateExport, words: str) -> bool:
    return any(words in warning for warning in export.warnings)


@pytest.mark.parametrize(
    ("index", "said"), [(None, "no Index"), ("first", "the Index 'first'"), (0.5, "the Index '0.5'")]
)
def test_a_wavelength_without_an_index_is_told(tmp_path: Path, index: object, said: str) -> None:
    run = changed_jdce(write_run(tmp_path / "run"), lambda p: p["Wavelengths"][1].update(Index=index))
    export = read(run)
    assert [c.name for c in export.channels] == ["Nuclei", "Actin stain"]
    assert warned(export, f"its wavelength 2 has {said}; by its place it is taken for 1")


def test_half_a_plate_size(tmp_path: Path) -> None:
    run = changed_jdce(write_run(tmp_path / "run"), lambda p: p["Plate"].update(Rows=16, Columns=None))
    export = read(run)
    assert (export.n_rows, export.n_columns) == (16, 24)
    assert warned(export, "says that the plate has 16 rows and not how many columns")
    run = changed_jdce(write_run(tmp_path / "large"), lambda p: p["Plate"].update(Rows=160))
    assert warned(read(run), "a plate of 160 × 12 wells, which there is not")


def test_half_a_pixel_size(tmp_path: Path) -> None:
    run = changed_jdce(write_run(tmp_path / "run"), lambda p: p["ObjectiveCalibration"].pop("PixelHeight"))
    export = read(run)
    assert export.acquisitions[0].pixel_size_y_um == 1.25
    assert warned(export, "a pixel is 1.25 µm wide and not how high; the same is taken")
    run = changed_jdce(write_run(tmp_path / "unitless"), lambda p: p["ObjectiveCalibration"].pop("Unit"))
    assert warned(read(run), "the size of a pixel, 1.25, without a unit; µm is taken")
    given = READER.with_options(ReaderOptions(pixel_size_um=0.5)).read(run)[0]
    assert warned(given, "--pixel-size 0.5 µm overrules the 1.25 × 1.25 µm")


def test_numbers_between_quotes(tmp_path: Path) -> None:
    run = changed_jdce(
        write_run(tmp_path / "run"),
        lambda p: (p["ObjectiveCalibration"].update(PixelWidth="0.5", PixelHeight="0.5"), p["Plate"].update(Rows="8")),
    )
    export = read(run)
    assert (export.acquisitions[0].pixel_size_x_um, export.n_rows, export.n_columns) == (0.5, 8, 12)


def test_sizes_of_images_that_differ(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    table = run / "experiment" / "image_metadata_1.csv"
    table.write_text(table.read_text().replace(",0,0,8,6,", ",0,0,16,12,"))
    export = read(run)
    assert (export.acquisitions[0].height, export.acquisitions[0].width) == (6, 8)
    assert warned(export, "_z0.tif 6 × 8, its table 12 × 16, its camera 6 × 8); the first is recorded")
    table.write_text(table.read_text().replace(",0,0,16,12,", ",0,0,8,6,", 1))
    assert warned(read(run), "images of several sizes (3 of 12 × 16, 1 of 6 × 8)")
    binned = changed_jdce(write_run(tmp_path / "b"), lambda p: p["Camera"].update(Size={"Width": 32, "Height": 24}))
    assert not warned(read(binned), "sizes of images differ")


def test_wells_whose_names_are_none(tmp_path: Path) -> None:
    images = [*grid(), *(Img(row=3, column=6, field=f, wave=w) for f in (0, 1) for w in (0, 1))]
    run = write_run(tmp_path / "run", [Experiment(images=images)])
    table = run / "experiment" / "image_metadata_1.csv"
    good = table.read_text()
    # Numbers that count from 0, and a well whose name is lost: it is where its numbers say, counted as the others are.
    from_zero = good.replace(",C - 5,3,5,", ",C - 5,2,4,").replace(",C - 6,3,6,", ",?,2,5,")
    table.write_text(from_zero)
    export = read(run)
    assert sorted(set(export.planes["well_id"].to_pylist())) == ["C05", "C06"]
    assert warned(export, "4 rows have no well's name in the column Well, first ")
    assert warned(export, "image_metadata_1.csv, line 6; their Row and Column are taken, which begin with 0 and 0")
    table.write_text(from_zero.replace(",C - 5,2,4,", ",C - 5,3,5,", 1))
    with pytest.raises(InvalidDataError, match=r"line 6: Well is no well's name.*well C05 is called row"):
        READER.read(run)
    table.write_text(good.replace(",C - 5,3,5,", ",C - 5,9,9,", 1))
    assert warned(read(run), "line 2: well C05 is called row 9, column 9; the name counts")


def test_a_message_names_the_table_that_is_meant(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    folder = run / "experiment"
    second = (folder / "image_metadata_1.csv").read_text().replace("_s", "_x").replace(",3,5,", ",3,6,")
    (folder / "image_metadata_2.csv").write_text(second.replace("C - 5", "C - 6"))
    assert warned(read(run), "does not name experiment/image_metadata_2.csv; what these describe is left out")
    (index,) = run.rglob("*.jdce")
    text = index.read_text(encoding="utf-8")
    index.write_text(text.replace('"image_metadata_1.csv"', '"image_metadata_1.csv", "image_metadata_2.csv"'))
    assert read(run).fields.num_rows == 4
    first = folder / "image_metadata_1.csv"
    first.write_text(first.read_text().replace("timepoint0,", "..\\x,", 1))
    with pytest.raises(SourceFileError, match=r"image_metadata_1\.csv, line 2 names the file"):
        READER.read(run)


def test_several_protocols(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "zweites.mxprotocol").write_text("{}")
    export = read(run)
    assert export.channels[0].name == "Nuclei"
    assert warned(export, "several protocols, test.mxprotocol, zweites.mxprotocol; the first is used")


def test_an_acquisition_without_its_jdce_is_told(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    lost = write_run(tmp_path / "b")
    (lost / "experiment" / "run one.jdce").unlink()
    assert warned(read(tmp_path), f"{lost} has a protocol and no .jdce file; it is left out")
    with pytest.raises(NotAnExportError, match=r"b has a protocol and no \.jdce file"):
        READER.read(lost)
    assert not warned(read(tmp_path / "a"), "left out")


def test_an_experiment_behind_a_link(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "experiment").rename(tmp_path / "elsewhere")
    (run / "experiment").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(InvalidDataError, match=r"its experiments are links to folders \(experiment\)"):
        READER.read(run)
