"""CZI: every tile of every scene is a field of its well, pixels as they were stored, and nothing is made up."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cytolake
import numpy as np
import pytest
from cytolake.errors import CytolakeError, InvalidDataError, NotAnExportError, SourceFileError, StorageError
from cytolake.ingest.contract import ReaderContract
from cytolake.ingest.pixels import plane_dtype, read_plane
from cytolake.ingest.readers import ReaderOptions
from cytolake.ingest.sources.czi import CziSource
from cytolake.ingest.sources.czi_layout import parse_directory, parse_header, parse_subblock
from cytolake.ingest.vendors.czi import CziReader
from cytolake.ingest.vendors.czi_xml import parse_metadata, parse_subblock_metadata
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vendor_exports.czi import Block, document_xml, pixels, scene_xml, write_czi, write_plate

SHAPE = (8, 10)


class TestContract(ReaderContract):
    reader = CziReader()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        write_plate(tmp_path / "export" / "plate7.czi")
        return tmp_path / "export"


def read_one(path: Path, **options: Any) -> Any:
    (export,) = CziReader(ReaderOptions(**options)).read(path)
    return export


def plane(path: Path, page: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    out = np.zeros(shape, plane_dtype(path, page))
    read_plane(path, page, out)
    return out


def test_scenes_and_tiles_are_fields_of_their_wells(tmp_path: Path) -> None:
    export = read_one(write_plate(tmp_path / "plate7.czi"))
    assert (export.plate_id, export.n_rows, export.n_columns, export.plate_type) == ("plate7", 8, 12, "Multiwell 96")
    fields = {(f["well_id"], f["field_id"]): (f["x_um"], f["y_um"]) for f in export.fields.to_pylist()}
    assert fields == {
        ("B02", 1): (-502.0, 0.0),
        ("B02", 2): (-498.0, 0.0),
        ("B02", 3): (498.0, 0.0),
        ("B02", 4): (502.0, 0.0),
        ("C03", 1): (0.0, 0.0),
    }
    assert export.planes.num_rows == 20
    (acquisition,) = export.acquisitions
    assert (acquisition.height, acquisition.width, acquisition.pixel_size_x_um) == (8, 10, 0.5)
    assert (acquisition.z_mode, acquisition.z_step_um) == ("stack", 2.0)
    assert acquisition.started_at == datetime(2023, 1, 6, 10, 41, 51, 721758, tzinfo=UTC)
    assert (acquisition.magnification, acquisition.numerical_aperture, acquisition.operator) == (5.0, 0.35, "somebody")
    first, second = export.channels
    assert (first.name, first.role, first.excitation_nm, first.emission_nm) == ("Hoechst 33342", "DNA", 353.0, 465.0)
    assert (second.exposure_ms, second.binning, second.color, second.max_intensity) == (150.0, 2, "00FF33", 16383)


@pytest.mark.parametrize("compression", [0, 4, 5, 6])
def test_pixels_are_those_that_were_stored(tmp_path: Path, compression: int) -> None:
    path = write_plate(tmp_path / "plate7.czi", compression=compression)
    for row in read_one(path).planes.to_pylist():
        scene, tile = {"B02": divmod(row["field_id"] - 1, 2), "C03": (2, 0)}[row["well_id"]]
        wanted = pixels(scene * 100 + tile * 10 + row["channel_index"] * 2 + row["z"])
        np.testing.assert_array_equal(plane(path, row["page"]), wanted)


def test_eight_bits_and_jpeg(tmp_path: Path) -> None:
    image = np.full((16, 16), 77, np.uint8)
    path = write_czi(tmp_path / "WellB02.czi", [Block(image, compression=c, z=c) for c in (0, 1)], document_xml(""))
    np.testing.assert_array_equal(plane(path, 0, (16, 16)), image)
    np.testing.assert_allclose(plane(path, 1, (16, 16)), image, atol=1)


def test_czifile_reads_the_same(tmp_path: Path) -> None:
    czifile = pytest.importorskip("czifile")
    path = write_czi(tmp_path / "WellB02.czi", [Block(pixels(c), channel=c) for c in range(3)], document_xml(""))
    with czifile.CziFile(path) as file:
        whole = np.squeeze(file.asarray())
    for channel in range(3):
        np.testing.assert_array_equal(plane(path, channel), whole[channel])


def test_wells_by_array_name_and_the_middle_of_their_fields(tmp_path: Path) -> None:
    scenes = "".join(scene_xml(i, "AF48", None, None, centre=None, middle=None) for i in range(2))
    blocks = [Block(pixels(i), scene=i, x=200 * i, y=100 * i) for i in range(2)]
    export = read_one(write_czi(tmp_path / "a.czi", blocks, document_xml(scenes, rows=32, columns=48)))
    assert [(f["well_id"], f["x_um"], f["y_um"]) for f in export.fields.to_pylist()] == [
        ("AF48", -50.0, -25.0),
        ("AF48", 50.0, 25.0),
    ]
    assert any("where the middle of a well is" in w for w in export.warnings)


def test_a_stage_that_counts_against_the_pixels(tmp_path: Path) -> None:
    scenes = scene_xml(0, "B2", 2, 2, centre="9100,9000", middle="9000,9000") + scene_xml(
        1, "B2", 2, 2, centre="8900,9000", middle="9000,9000"
    )
    blocks = [Block(pixels(i), scene=i, x=400 * i) for i in range(2)]
    export = read_one(write_czi(tmp_path / "a.czi", blocks, document_xml(scenes)))
    assert export.fields["x_um"].to_pylist() == [-100.0, 100.0]


def test_tiles_without_numbers_are_told_apart_by_their_place(tmp_path: Path) -> None:
    blocks = [Block(pixels(i), x=9 * i) for i in range(3)]
    scene = scene_xml(0, "B2", 2, 2, centre="9000,9000", middle="9000,9000")
    export = read_one(write_czi(tmp_path / "a.czi", blocks, document_xml(scene)))
    assert export.fields["x_um"].to_pylist() == [-4.5, 0.0, 4.5]


def test_a_name_and_a_place_that_differ_are_told(tmp_path: Path) -> None:
    scene = scene_xml(0, "B2", 3, 4, centre=None, middle=None)
    export = read_one(write_czi(tmp_path / "a.czi", [Block(pixels(0))], document_xml(scene)))
    assert export.fields["well_id"].to_pylist() == ["C04"]
    assert any("called B02 and lies in row 3" in w for w in export.warnings)


def test_a_scene_outside_the_wells_is_left_out_with_a_warning(tmp_path: Path) -> None:
    scenes = scene_xml(0, "B2", 2, 2, centre=None, middle=None) + '<Scene Index="1" Name="slide"/>'
    path = write_czi(tmp_path / "a.czi", [Block(pixels(i), scene=i) for i in range(2)], document_xml(scenes))
    export = read_one(path)
    assert export.planes.num_rows == 1
    assert any("scene 1 (slide) lies in no well" in w for w in export.warnings)


def test_a_file_named_after_its_well(tmp_path: Path) -> None:
    for well in ("B02", "C11"):
        write_czi(tmp_path / "run" / f"P1_Well{well}_s.czi", [Block(pixels(1))], document_xml(""))
    export = read_one(tmp_path / "run")
    assert sorted(export.planes["well_id"].to_pylist()) == ["B02", "C11"]
    assert export.plate_id == "P1"


@pytest.mark.parametrize("name", ["CellDivision_T3_Z5_CH2_X240_Y170", "image", "Wellness1"])
def test_an_image_is_no_plate(tmp_path: Path, name: str) -> None:
    path = write_czi(tmp_path / f"{name}.czi", [Block(pixels(0), z=z) for z in range(3)], document_xml(""))
    with pytest.raises(NotAnExportError, match=r"1 scene, 2 channels, 3 planes of 8 × 10") as raised:
        CziReader().read(path)
    assert raised.value.hint


def test_absent_planes_are_damaged_never_black(tmp_path: Path) -> None:
    scene = scene_xml(0, "B2", 2, 2, centre=None, middle=None)
    blocks = [Block(pixels(z), z=z) for z in range(4) if z != 2]
    path = write_czi(tmp_path / "in" / "a.czi", blocks, document_xml(scene, channels=1))
    export = read_one(path)
    assert [p["page"] for p in export.planes.to_pylist()] == [0, 1, 3, 2]
    with pytest.raises(SourceFileError, match="has no plane 3"):
        plane(path, 3)
    report = cytolake.init_lake(tmp_path / "lake").ingest(path, study="s")
    assert report["status"] == "partial"
    assert report["plates"][0]["corrupt_planes"] == 1
    assert report["plates"][0]["bytes_read"] == path.stat().st_size


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (Block(np.zeros(SHAPE, np.float32)), "Gray32Float"),
        (Block(pixels(0), pixel_type=3), "Bgr24"),
        (Block(pixels(0), extra={"H": 1}), "several phases"),
    ],
)
def test_what_a_plate_cannot_hold_is_refused(tmp_path: Path, block: Block, said: str) -> None:
    path = write_czi(tmp_path / "WellB02.czi", [block], document_xml(""))
    with pytest.raises(InvalidDataError, match=said):
        CziReader().read(path)


def test_files_that_were_never_finished_or_split(tmp_path: Path) -> None:
    path = write_czi(tmp_path / "WellB02.czi", [Block(pixels(0))], document_xml(""), pending=1)
    with pytest.raises(SourceFileError, match="still being written"):
        CziReader().read(path)
    path = write_czi(tmp_path / "WellB03.czi", [Block(pixels(0))], document_xml(""), part=2)
    with pytest.raises(InvalidDataError, match="split over several files"):
        CziReader().read(path)


def test_a_pixel_without_a_size_needs_one(tmp_path: Path) -> None:
    path = write_czi(tmp_path / "WellB02.czi", [Block(pixels(0))], document_xml("", pixel=None))
    with pytest.raises(InvalidDataError) as raised:
        CziReader().read(path)
    assert raised.value.hint == "Say it with --pixel-size UM."
    assert read_one(path, pixel_size_um=0.65).acquisitions[0].pixel_size_x_um == 0.65


def test_fields_of_another_size_are_another_acquisition(tmp_path: Path) -> None:
    scenes = "".join(scene_xml(i, "B2", 2, 2, centre=None, middle=None) for i in range(2))
    blocks = [Block(pixels(0)), Block(pixels(1, (6, 6)), scene=1, x=50)]
    export = read_one(write_czi(tmp_path / "a.czi", blocks, document_xml(scenes)))
    assert [(a.height, a.width) for a in export.acquisitions] == [(8, 10), (6, 6)]


def test_a_cut_subblock_is_refused(tmp_path: Path) -> None:
    path = write_plate(tmp_path / "a.czi")
    source = CziSource(path)
    data = bytearray(path.read_bytes())
    at = source._czi.planes[3].position
    data[at + 24 : at + 32] = (10**9).to_bytes(8, "little")
    source.close()
    path.write_bytes(data)
    with pytest.raises(SourceFileError):
        plane(path, 3)


damage = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage, st.one_of(st.none(), st.floats(0, 1)))
def test_damaged_bytes_give_our_errors_only(
    tmp_path: Path, changes: list[tuple[float, int]], cut: float | None
) -> None:
    seed = tmp_path / "seed.czi"
    data = bytearray(seed.read_bytes() if seed.exists() else write_plate(seed).read_bytes())
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    path = tmp_path / "damaged" / "a.czi"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data if cut is None else data[: int(cut * len(data))])
    with contextlib.suppress(CytolakeError):
        (export,) = CziReader().read(path)
        for page in export.planes["page"].to_pylist()[:4]:
            with contextlib.suppress(CytolakeError):
                plane(path, page)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(alphabet='<>/="ImageDocuetSn &;#x0', max_size=60).map(str.encode)))
def test_any_bytes(data: bytes) -> None:
    parse_subblock_metadata(data)
    for parse in (parse_header, parse_directory, parse_metadata):
        with contextlib.suppress(CytolakeError):
            parse(data, "a.czi")
    with contextlib.suppress(CytolakeError):
        parse_subblock(data, len(data), "a.czi")


def test_entities_are_refused() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY x "yyyy">]><ImageDocument>&x;</ImageDocument>'
    with pytest.raises(SourceFileError, match="document type"):
        parse_metadata(bomb, "a.czi")


def one_well(path: Path, tags: list[dict[str, Any]], *, pixel: str | None = "5E-07", more: str = "") -> Path:
    """One field of as many planes as there are tags; planned steps of 2 µm."""
    blocks = [Block(pixels(z), z=z, tags=told) for z, told in enumerate(tags)]
    step = '<Distance Id="Z"><Value>2E-06</Value></Distance>'
    xml = (
        document_xml("", pixel=pixel)
        .replace("</Items>", f"{step}</Items>")
        .replace("<Channels>", f"{more}<Channels>", 1)
    )
    return write_czi(path, blocks, xml)


def test_measured_and_planned_heights_and_times_are_never_mixed(tmp_path: Path) -> None:
    start = "<T><StartTime>2023-01-06T10:00:00Z</StartTime><Positions><List><Offsets>0</Offsets></List></Positions></T>"
    when = {"AcquisitionTime": "2023-01-06T10:42:00Z"}
    some = read_one(one_well(tmp_path / "WellB02.czi", [{"FocusPosition": "+100"} | when, {}], more=start))
    assert some.planes["z_um"].to_pylist() == [100.0, None]
    assert some.planes["acquired_at"].to_pylist() == [datetime(2023, 1, 6, 10, 42, tzinfo=UTC), None]
    for what in ("height", "time"):
        assert any(f"1 planes do not say their {what}" in w for w in some.warnings)
    planned = read_one(one_well(tmp_path / "WellB03.czi", [{}, {}], more=start))
    assert planned.planes["z_um"].to_pylist() == [0.0, 2.0]
    assert planned.planes["acquired_at"].to_pylist() == [datetime(2023, 1, 6, 10, tzinfo=UTC)] * 2
    both = read_one(tmp_path)
    assert both.planes["z_um"].to_pylist() == [100.0, None, None, None]
    assert any("heights of the stage" in w for w in both.warnings)


def test_positions_of_several_files_count_from_one_point_or_are_none(tmp_path: Path) -> None:
    """Every file has a frame of pixels of its own; the stage is the same for all."""
    stage = [{"StageXPosition": f"+{x}", "StageYPosition": "+500"} for x in (1000, 1300)]
    for number, told in enumerate(stage):
        for folder, tags in (("stage", told), ("frames", {}), ("mixed", told if number else {})):
            block = Block(pixels(number), x=400 * number, tags=tags)
            write_czi(tmp_path / folder / f"P_WellB02_{number}.czi", [block], document_xml(""))
    known = read_one(tmp_path / "stage")
    assert known.fields["x_um"].to_pylist() == [-150.0, 150.0]
    assert any("several files are about 1 wells (B02)" in w for w in known.warnings)
    for folder in ("frames", "mixed"):
        unknown = read_one(tmp_path / folder)
        assert unknown.fields["x_um"].to_pylist() == unknown.fields["y_um"].to_pylist() == [None, None]
        assert any("in 1 wells (B02) positions of images count from different points" in w for w in unknown.warnings)


def test_a_scene_without_the_middle_of_its_well_among_others(tmp_path: Path) -> None:
    scenes = scene_xml(0, "B2", 2, 2, centre="9100,9000", middle="9000,9000")
    scenes += scene_xml(1, "B2", 2, 2, centre="9200,9000", middle=None)
    blocks = [Block(pixels(i), scene=i, x=400 * i) for i in range(2)]
    export = read_one(write_czi(tmp_path / "a.czi", blocks, document_xml(scenes)))
    assert export.fields["x_um"].to_pylist() == [100.0, None]
    assert any("count from different points" in w for w in export.warnings)


def test_a_plane_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = write_czi(tmp_path / "WellB02.czi", [Block(pixels(i)) for i in range(2)], document_xml(""))
    with pytest.raises(InvalidDataError, match="holds a plane twice: scene 0, tile 0, time point 0, channel 0, z 0"):
        CziReader().read(path)


def test_channels_of_another_depth_or_type_are_acquisitions_and_lack_nothing(tmp_path: Path) -> None:
    """The second channel was taken in the middle of the stack only, the third with another camera."""
    blocks = [Block(pixels(z), tile=0, z=z) for z in range(3)] + [Block(pixels(9), tile=0, channel=1, z=1)]
    blocks += [Block(pixels(z, dtype="uint8"), tile=0, channel=2, z=z) for z in range(3)]
    path = write_czi(tmp_path / "WellB02.czi", blocks, document_xml(""))
    export = read_one(path)
    assert not any("not in the file" in w for w in export.warnings)
    assert [(a.acquisition_id, a.z_mode) for a in export.acquisitions] == [(1, "stack"), (2, "plane"), (3, "stack")]
    assert [(c.acquisition_id, c.channel_index, c.name) for c in export.channels] == [
        (1, 0, "Hoechst 33342"),
        (2, 0, "AF488"),
        (3, 0, "Channel 2"),
    ]
    rows = [(p["acquisition_id"], p["z"], plane(path, p["page"])) for p in export.planes.to_pylist()]
    assert [row[:2] for row in rows] == [(1, 0), (1, 1), (1, 2), (2, 0), (3, 0), (3, 1), (3, 2)]
    np.testing.assert_array_equal(rows[3][2], pixels(9))
    assert rows[4][2].dtype == np.uint8


def test_a_scene_that_was_saved_apart_keeps_its_well(tmp_path: Path) -> None:
    scene = scene_xml(5, "B2", 2, 2, centre="9000,9000", middle="9000,9000")
    export = read_one(write_czi(tmp_path / "a.czi", [Block(pixels(0))], document_xml(scene)))
    assert export.fields.to_pylist()[0]["well_id"] == "B02"
    other = scene_xml(4, "B3", 2, 3, centre=None, middle=None)
    with pytest.raises(NotAnExportError, match="scene 0 lies in no well"):
        CziReader().read(write_czi(tmp_path / "b.czi", [Block(pixels(0))], document_xml(scene + other)))


def test_a_pixel_size_that_is_given_counts(tmp_path: Path) -> None:
    path = write_plate(tmp_path / "plate7.czi")
    export = read_one(path, pixel_size_um=1.0)
    assert {(a.pixel_size_x_um, a.pixel_size_y_um) for a in export.acquisitions} == {(1.0, 1.0)}
    assert any("--pixel-size 1 µm overrules the 0.5 × 0.5 µm of plate7.czi" in w for w in export.warnings)
    # Tiles are 8 pixels apart.
    assert export.fields["x_um"].to_pylist()[:2] == [-504.0, -496.0]
    assert not any("overrules" in w for w in read_one(path, pixel_size_um=0.501).warnings)


def test_a_folder_that_cannot_be_listed_is_an_error_of_reading_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", refuse)
    assert CziReader().detect(tmp_path) is None
    with pytest.raises(StorageError, match="cannot be listed: Permission denied"):
        CziReader().read(tmp_path)


def test_a_level_of_the_pyramid_without_a_number(tmp_path: Path) -> None:
    small = Block(pixels(9, (4, 5)), tile=-1, drawn=(8, 10))
    export = read_one(write_czi(tmp_path / "WellB02.czi", [Block(pixels(0), tile=0), small], document_xml("")))
    assert export.planes.num_rows == 1


def test_the_real_plate(shared_data: Path, tmp_path: Path) -> None:
    czifile = pytest.importorskip("czifile")
    folder = shared_data / "vendors" / "czi"
    (export,) = CziReader().read(folder)
    assert export.planes["well_id"].to_pylist() == ["D06"]
    assert any("CellDivision" in w and "is no plate" in w for w in export.warnings)
    for name, axes in (("WellD6_S1", "SC"), ("CellDivision_T3_Z5_CH2_X240_Y170", "BTCZ")):
        path = folder / f"{name}.czi"
        with czifile.CziFile(path) as file:
            whole = file.asarray()[..., 0]
        source = CziSource(path)
        for number, found in enumerate(source._czi.planes):
            place = {"S": 0, "B": 0, "C": found.channel, "T": found.timepoint, "Z": found.z}
            out = np.zeros(*source.plane_format(number))
            source.read_plane(number, out)
            np.testing.assert_array_equal(out, whole[tuple(place[axis] for axis in axes)])
        source.close()
    lake = cytolake.init_lake(tmp_path / "lake")
    report = lake.ingest(folder / "WellD6_S1.czi", study="s")
    assert (report["status"], report["plates"][0]["wells"]) == ("ok", 1)
