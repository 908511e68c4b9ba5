"""ND2: wells from names of positions and files, frames as they were taken, absent ones never black."""

from __future__ import annotations

import contextlib
import struct
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cytolake
import numpy as np
import pytest
from cytolake.errors import CytolakeError, InvalidDataError, MissingExtraError, NotAnExportError, SourceFileError
from cytolake.ingest.contract import ReaderContract
from cytolake.ingest.pixels import plane_dtype, read_plane
from cytolake.ingest.readers import ReaderOptions
from cytolake.ingest.sources.nd2_layout import check_magic, chunk_size, map_place, parse_chunk_map
from cytolake.ingest.vendors.nd2 import Nd2Reader, wells_of_points
from cytolake.ingest.vendors.nd2_facts import Nd2Point, julian_moment, parse_captures, stage_to_image
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

nd2 = pytest.importorskip("nd2")

from vendor_exports.nd2 import frame, loop_points, loop_time, loop_z, write_nd2, write_wells  # noqa: E402

SHAPE = (6, 8)


class TestContract(ReaderContract):
    reader = Nd2Reader()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        write_nd2(tmp_path / "export" / "P7_WellB02_Seq0000.nd2", [frame(i) for i in range(3)], loops=[loop_z(3)])
        return tmp_path / "export"


def read_one(path: Path, **options: Any) -> Any:
    (export,) = Nd2Reader(ReaderOptions(**options)).read(path)
    return export


def plane(path: Path, page: int) -> np.ndarray:
    out = np.zeros(SHAPE, plane_dtype(path, page))
    read_plane(path, page, out)
    return out


def test_a_file_per_well(tmp_path: Path) -> None:
    export = read_one(write_wells(tmp_path / "jobs"), plate_format=(8, 12))
    assert (export.plate_id, export.n_rows, export.n_columns) == ("P7", 8, 12)
    fields = [(f["well_id"], f["field_id"], f["x_um"], f["y_um"]) for f in export.fields.to_pylist()]
    # This camera stands on its head, so what the stage passes later lies further left.
    assert fields == [("B02", 1, 2.0, 0.0), ("B02", 2, -2.0, 0.0), ("C11", 1, 2.0, 0.0), ("C11", 2, -2.0, 0.0)]
    assert export.planes.num_rows == 2 * 2 * 3 * 2
    (acquisition,) = export.acquisitions
    assert (acquisition.z_mode, acquisition.z_step_um, acquisition.pixel_size_x_um) == ("stack", 2.0, 0.5)
    assert acquisition.started_at == datetime(2025, 3, 8, tzinfo=UTC)
    assert acquisition.ended_at == datetime(2025, 3, 8, tzinfo=UTC) + timedelta(seconds=5)
    assert (acquisition.magnification, acquisition.numerical_aperture) == (20.0, 0.75)
    dapi, gfp = export.channels
    assert (dapi.name, dapi.role, dapi.excitation_nm, dapi.emission_nm, dapi.color) == (
        "DAPI",
        "DNA",
        400,
        450,
        "FF0000",
    )
    assert (dapi.exposure_ms, gfp.exposure_ms, gfp.binning) == (20.0, 1000.0, 2)
    for row in export.planes.to_pylist():
        number = 100 * (row["well_id"] == "C11") + 3 * (row["field_id"] - 1) + row["z"]
        found = plane(Path(export.root) / row["file"], row["page"])
        np.testing.assert_array_equal(found, frame(number)[..., row["channel_index"]])


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_frames_are_those_that_nd2_reads(tmp_path: Path, zipped: bool, padding: int, dtype: str) -> None:
    frames = [frame(i, 3, dtype=dtype) for i in range(4)]
    path = write_nd2(
        tmp_path / "a.nd2", frames, loops=[loop_time(4)], names=("a", "b", "c"), zipped=zipped, padding=padding
    )
    whole = (
        nd2.imread(path).reshape(-1, *SHAPE) if not zipped else np.stack([f[..., c] for f in frames for c in range(3)])
    )
    for page in range(12):
        np.testing.assert_array_equal(plane(path, page), whole[page])


@pytest.mark.parametrize("order", ["TPZ", "PTZ", "PZT", "ZPT"])
def test_loops_in_any_order(tmp_path: Path, order: str) -> None:
    """Position, time point and height of a frame are where its loops were, whatever loop is the outermost."""
    turns = {"T": 2, "P": 3, "Z": 4}
    points = loop_points([(f"B{p + 2}_0001", 10.0 * p, 0.0) for p in range(3)])
    loops = {"T": loop_time(2), "P": points, "Z": loop_z(4)}
    frames = [np.full((*SHAPE, 1), i, np.uint16) for i in range(24)]
    path = write_nd2(tmp_path / "a.nd2", frames, loops=[loops[axis] for axis in order], names=("DAPI",))
    for row in read_one(path).planes.to_pylist():
        index = {"T": row["timepoint"], "P": int(row["well_id"][1:]) - 2, "Z": row["z"]}
        number = int(np.ravel_multi_index([index[a] for a in order], [turns[a] for a in order]))
        assert row["page"] == number
        assert plane(path, row["page"])[0, 0] == number
        assert row["z_um"] == 50.0 + 2.0 * row["z"]


@pytest.mark.parametrize(
    ("names", "wells"),
    [
        (["B02_0001", "B02_0002", "C3"], [(2, 2), (2, 2), (3, 3)]),
        (["Well A1", "well_B12 (3)", "AF48#1"], [(1, 1), (2, 12), (32, 48)]),
        (["B1", "B2", "B3"], [(2, 1), (2, 2), (2, 3)]),
        (["P1", "P2", "P3"], [None] * 3),
        (["P01", "P02"], [None] * 2),
        (["P2", "P1"], [(16, 2), (16, 1)]),
        ([None, None], [None] * 2),
        (["#1", "tumour", "XY12"], [None] * 3),
        (["B02", "off"], [(2, 2), None]),
    ],
)
def test_names_of_positions(names: list[str | None], wells: list[Any]) -> None:
    points = [Nd2Point(name=name, x_um=0, y_um=0, z_um=None) for name in names]
    assert wells_of_points(points) == wells


def test_positions_outside_the_wells_are_left_out_with_a_warning(tmp_path: Path) -> None:
    loops = [loop_points([("B2", 0.0, 0.0), ("calibration", 9.0, 9.0)])]
    export = read_one(write_nd2(tmp_path / "a.nd2", [frame(0), frame(1)], loops=loops))
    assert export.planes["well_id"].unique().to_pylist() == ["B02"]
    assert any("calibration" in w for w in export.warnings)


@pytest.mark.parametrize("name", ["example.nd2", "T3_Z5.nd2"])
def test_an_image_is_no_plate(tmp_path: Path, name: str) -> None:
    path = write_nd2(tmp_path / name, [frame(i) for i in range(3)], loops=[loop_z(3)])
    with pytest.raises(NotAnExportError, match=r"3 z, 2 channels of 6 × 8, without a well in any name") as raised:
        Nd2Reader().read(path)
    assert "WellB02" in str(raised.value.hint)


def test_an_absent_frame_is_damaged_never_black(tmp_path: Path) -> None:
    frames = [frame(0, 1), None, frame(2, 1), frame(3, 1), None, None]
    path = write_nd2(tmp_path / "in" / "WellB02.nd2", frames, loops=[loop_time(6)], names=("DAPI",))
    assert not nd2.imread(path)[1].any(), "the package fills in zeros"
    export = read_one(path)
    assert export.planes["timepoint"].to_pylist() == [0, 1, 2, 3]
    assert any("planned with 6 frames and stopped after 4" in w for w in export.warnings)
    assert any("1 frames are not in the file" in w for w in export.warnings)
    with pytest.raises(SourceFileError, match="its frame 1 is not in the file"):
        plane(path, 1)
    report = cytolake.init_lake(tmp_path / "lake").ingest(path, study="s")
    assert (report["status"], report["plates"][0]["corrupt_planes"]) == ("partial", 1)


def test_a_frame_that_is_cut_off_or_lies_elsewhere(tmp_path: Path) -> None:
    path = write_nd2(tmp_path / "WellB02.nd2", [frame(0), frame(1)], loops=[loop_time(2)])
    data = path.read_bytes()
    at = data.index(b"ImageDataSeq|1!") - 8
    path.write_bytes(data[:at] + struct.pack("<Q", 10**12) + data[at + 8 :])
    for read in (lambda: Nd2Reader().read(path), lambda: plane(path, 2)):
        with pytest.raises(SourceFileError, match="is cut off"):
            read()
    path.write_bytes(data.replace(b"ImageDataSeq|1!\0", b"ImageDataSeq|7!\0", 1))
    with pytest.raises(SourceFileError, match=r"no ImageDataSeq\|1!"):
        plane(path, 2)


@pytest.mark.parametrize("chunk", [b"ImageTextInfoLV!", b"ImageMetadataLV!", b"ImageAttributesLV!"])
def test_metadata_that_claims_to_be_endless(tmp_path: Path, chunk: bytes) -> None:
    path = write_nd2(tmp_path / "WellB02.nd2", [frame(0), frame(1)], loops=[loop_time(2)])
    data = path.read_bytes()
    at = data.index(chunk) - 8
    path.write_bytes(data[:at] + struct.pack("<Q", 2**60) + data[at + 8 :])
    for read in (lambda: Nd2Reader().read(path), lambda: plane(path, 0)):
        with pytest.raises(SourceFileError, match="is cut off"):
            read()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"frames": [np.zeros((*SHAPE, 3), np.uint8)], "names": ("RGB",), "components": 3}, "in colour"),
        ({"frames": [np.zeros((*SHAPE, 1), np.float32)], "names": ("a",)}, "32-bit float"),
    ],
)
def test_what_a_plate_cannot_hold_is_refused(tmp_path: Path, values: dict[str, Any], said: str) -> None:
    path = write_nd2(tmp_path / "WellB02.nd2", **values)
    for read in (lambda: Nd2Reader().read(path), lambda: plane(path, 0)):
        with pytest.raises(InvalidDataError, match=said):
            read()


def test_an_old_nd2_is_refused(tmp_path: Path) -> None:
    (tmp_path / "WellB02.nd2").write_bytes(b"\0\0\0\x0cjP  " + bytes(100))
    with pytest.raises(InvalidDataError, match="JPEG 2000"):
        Nd2Reader().read(tmp_path)


def test_a_pixel_without_a_size_needs_one(tmp_path: Path) -> None:
    path = write_nd2(tmp_path / "WellB02.nd2", [frame(0)], calibration=None)
    with pytest.raises(InvalidDataError) as raised:
        Nd2Reader().read(path)
    assert raised.value.hint == "Say it with --pixel-size UM."
    assert read_one(path, pixel_size_um=0.65).acquisitions[0].pixel_size_y_um == 0.65


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_nd2(tmp_path / "WellB02.nd2", [frame(0)])
    monkeypatch.setitem(sys.modules, "nd2", None)
    assert Nd2Reader().detect(path) is not None
    for read in (lambda: Nd2Reader().read(path), lambda: plane(path, 0)):
        with pytest.raises(MissingExtraError) as raised:
            read()
        assert "cytolake[readers]" in str(raised.value.hint)


def test_texts_about_the_camera() -> None:
    assert parse_captures("Exposure: 1,5 s\r\n Binning: 2x2", 3) == [(1500.0, 2)] * 3
    assert parse_captures("Exposure: 20 ms Exposure: 500 µs", 2) == [(20.0, None), (0.5, None)]
    assert parse_captures("Exposure: 20 ms Exposure: 500 µs", 3) == [(None, None)] * 3


def test_the_stage_and_the_image() -> None:
    assert stage_to_image(None, (-1, 0, 0, -1), (0.5, 0.5, 1)) == (-1, 0, 0, -1)
    assert stage_to_image((0, -0.5, 9, 0.5, 0, 9), None, (0.5, 0.5, 1)) == (0, 1, -1, 0)
    assert stage_to_image(None, (0, 0, 0, 0), (0.5, 0.5, 1)) is None
    assert julian_moment(2_440_587.5 + 20_000) == datetime(2024, 10, 4, tzinfo=UTC)
    assert julian_moment(float("nan")) is None


def test_positions_that_are_not_told_are_none(tmp_path: Path) -> None:
    frames = [frame(i) for i in range(2)]
    points = [("B2_1", 100.0, 0.0), ("B2_2", 300.0, 0.0)]
    known = read_one(write_nd2(tmp_path / "a.nd2", frames, loops=[loop_points(points)]))
    assert known.fields["x_um"].to_pylist() == [100.0, -100.0]
    for name, values in (("b", {"camera": (0.0, 0.0, 0.0, 0.0)}), ("c", {"without": ("dStgLgCT",)})):
        unknown = read_one(write_nd2(tmp_path / f"{name}.nd2", frames, loops=[loop_points(points)], **values))
        assert unknown.fields["x_um"].to_pylist() == [None, None]
        assert any("how its camera stands" in w for w in unknown.warnings)
    for number in (1, 2):
        path = tmp_path / "wells" / f"P_WellB02_Seq000{number}.nd2"
        write_nd2(path, [frame(number)], without=("dXPos", "dZPos") if number == 1 else ())
    several = read_one(tmp_path / "wells")
    assert several.fields["x_um"].to_pylist() == [None, None]
    assert several.planes["z_um"].to_pylist() == [None, None, 7.5, 7.5]
    assert any("several files are about 1 wells (B02)" in w for w in several.warnings)


def test_heights_that_are_not_told_are_none(tmp_path: Path) -> None:
    frames = [frame(i) for i in range(3)]
    point = [("B2", 100.0, 0.0)]

    def heights(name: str, *loops: dict[str, Any]) -> list[float | None]:
        export = read_one(write_nd2(tmp_path / f"{name}.nd2", frames, loops=loops))
        return [z for z, c in zip(*(export.planes[k].to_pylist() for k in ("z_um", "channel_index")), strict=True) if c]

    assert heights("a", loop_points(point), loop_z(3)) == [50.0, 52.0, 54.0]
    assert heights("b", loop_points(point), loop_z(3, step=0.0)) == [None, None, None]
    assert heights("c", loop_points(point, with_z=False), loop_z(3)) == [0.0, 2.0, 4.0]
    assert heights("WellB02", loop_z(3, step=0.0)) == [None, None, None]


def test_files_of_another_type_are_another_acquisition_and_all_count_for_the_start(tmp_path: Path) -> None:
    for well, dtype in (("B02", "uint16"), ("B03", "uint8"), ("B04", "uint16")):
        write_nd2(tmp_path / f"P_Well{well}.nd2", [frame(0, dtype=dtype)])
    path = tmp_path / "P_WellB04.nd2"
    earlier = path.read_bytes().replace(b"2460742.5", b"2460741.5")
    assert earlier != path.read_bytes()
    path.write_bytes(earlier)
    export = read_one(tmp_path)
    assert export.planes["well_id"].to_pylist() == ["B02", "B02", "B04", "B04", "B03", "B03"]
    assert [a.started_at for a in export.acquisitions] == [
        datetime(2025, 3, 7, tzinfo=UTC),
        datetime(2025, 3, 8, tzinfo=UTC),
    ]


def test_a_pixel_size_that_is_given_counts(tmp_path: Path) -> None:
    export = read_one(write_nd2(tmp_path / "WellB02.nd2", [frame(0)]), pixel_size_um=0.65)
    assert export.acquisitions[0].pixel_size_x_um == 0.65
    assert any("--pixel-size 0.65 µm overrules the 0.5 × 0.5 µm of WellB02.nd2" in w for w in export.warnings)


damage = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage, st.one_of(st.none(), st.floats(0, 1)))
def test_damaged_bytes_give_our_errors_only(
    tmp_path: Path, changes: list[tuple[float, int]], cut: float | None
) -> None:
    path = tmp_path / "WellB02.nd2"
    if not (tmp_path / "seed").exists():
        loops = [loop_points([("B2", 0.0, 0.0), ("B3", 1.0, 1.0)]), loop_z(2)]
        write_nd2(tmp_path / "seed", [frame(i) for i in range(4)], loops=loops)
    data = bytearray((tmp_path / "seed").read_bytes())
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    path.write_bytes(data if cut is None else data[: int(cut * len(data))])
    with contextlib.suppress(CytolakeError):
        (export,) = Nd2Reader().read(path)
        for page in export.planes["page"].to_pylist()[:4]:
            with contextlib.suppress(CytolakeError):
                plane(path, page)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(alphabet="ImageDtSq|01!ND2", max_size=80).map(str.encode)))
def test_any_bytes(data: bytes) -> None:
    for parse in (check_magic, map_place, parse_chunk_map, chunk_size):
        with contextlib.suppress(CytolakeError):
            parse(data, "a.nd2")
    parse_captures(data.decode("latin-1"), 2)


def test_real_files(shared_data: Path, tmp_path: Path) -> None:
    """The expected values are those of known-metadata.yml beside the files."""
    folder = shared_data / "vendors" / "nd2"
    with pytest.raises(NotAnExportError, match=r"example-multichannel\.nd2 is no plate: .* 4 channels of 256 × 256"):
        Nd2Reader().read(folder)
    known = {
        "example-multichannel": (0.323390342594048, 20.0, 0.75, [20.0, 1000.0, 1000.0, 1000.0], 1, 1),
        "example-timelapse": (0.325, 40.0, 0.95, [500.0], 1, 2),
        "example-zstack": (0.323390342594048, 20.0, 0.75, [500.0], 11, 1),
    }
    for name, (size, magnification, aperture, exposures, depth, binning) in known.items():
        source = folder / f"{name}.nd2"
        link = tmp_path / name / "WellD06.nd2"
        link.parent.mkdir()
        link.symlink_to(source)
        export = read_one(link)
        (acquisition,) = export.acquisitions
        assert acquisition.pixel_size_x_um == pytest.approx(size)
        assert (acquisition.magnification, acquisition.numerical_aperture) == (magnification, aperture)
        assert [c.exposure_ms for c in export.channels] == exposures
        assert {c.binning for c in export.channels} == {binning}
        assert len(set(export.planes["z"].to_pylist())) == depth
        assert acquisition.z_step_um == (6.0 if depth > 1 else None)
        whole = nd2.imread(source)
        whole = whole.reshape(-1, *whole.shape[-2:])
        for page in export.planes["page"].to_pylist():
            out = np.zeros(whole.shape[1:], np.uint16)
            read_plane(link, page, out)
            np.testing.assert_array_equal(out, whole[page])
