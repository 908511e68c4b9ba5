"""ImageXpress HCS.ai: the documented layout, its three kinds of experiment, and what goes wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.compute as pc
import pytest
from cytolake.errors import InvalidDataError, NotAnExportError, SourceFileError
from cytolake.ingest.contract import ReaderContract
from cytolake.ingest.export import PlateExport
from cytolake.ingest.readers import ReaderOptions
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
    exports = READER.read(tmp_path)
    assert len({e.plate_id for e in exports}) == 2


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
