"""LIF: wells from the names of images, planes from their place in bytes, and every image left out has its reason."""

from __future__ import annotations

import contextlib
import io
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import cytolake
import numpy as np
import pytest
from cytolake.errors import CytolakeError, InvalidDataError, NotAnExportError, SourceFileError
from cytolake.ingest.contract import ReaderContract
from cytolake.ingest.pixels import plane_dtype, read_plane
from cytolake.ingest.readers import ReaderOptions
from cytolake.ingest.sources.lif import read_blocks, xml_length
from cytolake.ingest.sources.lif_document import parse_document
from cytolake.ingest.vendors.lif import LifReader, file_time, well_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vendor_exports.lif import START, Image, pixels, write_lif, write_plate

SHAPE = (6, 8)


class TestContract(ReaderContract):
    reader = LifReader()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        write_plate(tmp_path / "export" / "project.lif")
        return tmp_path / "export"


def read_one(path: Path, **options: Any) -> Any:
    (export,) = LifReader(ReaderOptions(**options)).read(path)
    return export


def plane(path: Path, page: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    out = np.zeros(shape, plane_dtype(path, page))
    read_plane(path, page, out)
    return out


def test_a_plate(tmp_path: Path) -> None:
    path = write_plate(tmp_path / "project.lif")
    export = read_one(path, plate_format=(8, 12))
    assert (export.plate_id, export.format_version, export.n_rows) == ("project", "2", 8)
    fields = [(f["well_id"], f["field_id"], f["x_um"], f["y_um"]) for f in export.fields.to_pylist()]
    assert fields == [("A01", 1, -100.0, 0.0), ("A01", 2, 100.0, 0.0), ("B12", 1, None, None)]
    (acquisition,) = export.acquisitions
    assert (acquisition.pixel_size_x_um, acquisition.z_step_um, acquisition.z_mode) == (0.5, 2.0, "stack")
    assert (acquisition.instrument_model, acquisition.modality, acquisition.camera) == ("THUNDER", "widefield", "K8")
    assert (acquisition.magnification, acquisition.numerical_aperture) == (20.0, 0.8)
    assert acquisition.started_at == datetime(2025, 3, 8, tzinfo=UTC)
    hoechst, gfp = export.channels
    assert (hoechst.name, hoechst.role, hoechst.emission_nm, hoechst.color) == ("Hoechst", "DNA", 460.0, "0000FF")
    assert (gfp.exposure_ms, gfp.contrast_method, gfp.max_intensity) == (50.0, "fluorescence", 65535)
    for row in export.planes.to_pylist():
        seed = 3 if row["well_id"] == "B12" else row["field_id"]
        np.testing.assert_array_equal(plane(path, row["page"]), pixels(seed)[row["z"], row["channel_index"]])
        assert row["z_um"] == -2.0 * row["z"]
        moment = datetime(2025, 3, 8, tzinfo=UTC) + timedelta(seconds=row["z"])
        assert row["acquired_at"] == (moment if seed == 1 else None)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("TileScan 1/A/1/R2", (1, 1, 2)),
        ("TileScan 1/A1/R02", (1, 1, 2)),
        ("TileScan 1/A/01", (1, 1, None)),
        ("P1/A/2/R1", (1, 2, 1)),
        ("TileScan 1/A/1/Region 3", (1, 1, 3)),
        ("TileScan 1/A1/Position012", (1, 1, 12)),
        ("TileScan 1/A/1/R1_Lng", None),
        ("Scan/AF48", (32, 48, None)),
        ("b12", (2, 12, None)),
        ("TileScan 1/R1", None),
        ("TileScan 1/A/1_Merging", None),
        ("TileScan 1/A/1/R1/Crop", None),
        ("Series001", None),
        ("A/99", None),
        ("TileScan 1/A", None),
    ],
)
def test_names_of_wells(path: str, found: tuple[int, int, int | None] | None) -> None:
    told = well_of(path.split("/"))
    assert (None if told is None else (*told[1], told[2])) == found


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("order", [o for o in permutations((0, 3, 4)) if o[0] != 3])
def test_axes_in_any_order(tmp_path: Path, order: tuple[int, ...], version: int) -> None:
    sizes = {0: 2, 3: 3, 4: 4}
    data = pixels(1, (*(sizes[a] for a in order), *SHAPE), "uint8")
    count = int(np.prod([sizes[a] for a in order]))
    image = Image("T/C/3", data, (*order, 2, 1), stamps=[START + 10_000_000 * i for i in range(count)])
    path = write_lif(tmp_path / "a.lif", [image], version=version)
    for row in read_one(path).planes.to_pylist():
        index = {0: row["channel_index"], 3: row["z"], 4: row["timepoint"]}
        place = tuple(index[a] for a in order)
        np.testing.assert_array_equal(plane(path, row["page"]), data[place])
        number = int(np.ravel_multi_index(place, [sizes[a] for a in order]))
        assert row["acquired_at"] == datetime(2025, 3, 8, tzinfo=UTC) + timedelta(seconds=number)


def test_liffile_reads_the_same(tmp_path: Path) -> None:
    liffile = pytest.importorskip("liffile")
    path = write_plate(tmp_path / "project.lif")
    with liffile.LifFile(path) as file:
        images = {image.path: image.asarray() for image in file.images}
    page = 0
    for name in ("TileScan 1/A/1/R2", "TileScan 1/A/1/R1", "TileScan 1/B/12/R1"):
        for c in range(2):
            for z in range(3):
                np.testing.assert_array_equal(plane(path, page), images[name][z, c])
                page += 1


@pytest.mark.parametrize(
    ("turned", "places"),
    [
        ('FlipX="0" FlipY="0" SwapXY="0"', [(-50.0, 0.0), (50.0, 0.0)]),
        ('FlipX="1" FlipY="0" SwapXY="0"', [(50.0, 0.0), (-50.0, 0.0)]),
        ('FlipX="0" FlipY="1" SwapXY="1"', [(0.0, 50.0), (0.0, -50.0)]),
    ],
)
def test_tiles_of_a_mosaic_are_fields(tmp_path: Path, turned: str, places: list[tuple[float, float]]) -> None:
    data = pixels(1, (2, 2, *SHAPE))
    image = Image("T/A/1", data, (10, 0, 2, 1), tiles=[(0.01, 0.02), (0.0101, 0.02)], turned=turned)
    path = write_lif(tmp_path / "a.lif", [image])
    export = read_one(path)
    fields = export.fields.to_pylist()
    assert [(f["x_um"], f["y_um"]) for f in fields] == [pytest.approx(place) for place in places]
    for row in export.planes.to_pylist():
        np.testing.assert_array_equal(plane(path, row["page"]), data[row["field_id"] - 1, row["channel_index"]])


def test_a_mosaic_that_does_not_say_where_its_tiles_lie(tmp_path: Path) -> None:
    export = read_one(
        write_lif(tmp_path / "a.lif", [Image("T/A/1", pixels(1, (2, 2, *SHAPE)), (10, 0, 2, 1), tiles=[(0.01, 0.02)])])
    )
    assert export.fields["x_um"].to_pylist() == [None, None]
    assert any("1 mosaics do not say where each of their tiles lies" in w for w in export.warnings)


def test_images_that_are_no_planes_are_left_out_one_by_one(tmp_path: Path) -> None:
    images = [
        Image("T/A/1", pixels(1)),
        Image("T/A/2", pixels(2, (5, *SHAPE)), (5, 2, 1)),
        Image("T/A/3", pixels(3, (4, 8)), (3, 1)),
        Image("T/A/4", pixels(4, (4, 6, 8)), (2, 3, 1)),
        Image("T/A/5", pixels(5, (4, 6, 3), "uint8"), (2, 1, 0), tags=(1, 2, 3)),
        Image("T/A/6", np.zeros((2, *SHAPE), np.float32), (0, 2, 1)),
        Image("T/A/8_Merging", pixels(8)),
    ]
    export = read_one(write_lif(tmp_path / "a.lif", images))
    assert export.fields["well_id"].to_pylist() == ["A01", "A04"]
    told = "\n".join(export.warnings)
    for said in (
        "T/A/2: it is a scan over emission wavelength (5)",
        "T/A/3: its axes are xz: its planes are not x and y",
        "T/A/5: it is an image in colour",
        "T/A/6: its pixels are 32-bit float",
        "T/A/8_Merging: its name tells no well",
    ):
        assert said in told


def test_rows_that_are_not_next_to_each_other(tmp_path: Path) -> None:
    """In an xzy scan the rows of one plane lie behind those of the next plane."""
    data = pixels(4, (4, 6, 8))
    path = write_lif(tmp_path / "a.lif", [Image("T/A/4", data, (2, 3, 1))])
    for row in read_one(path).planes.to_pylist():
        np.testing.assert_array_equal(plane(path, row["page"], (4, 8)), data[:, row["z"]])


def test_several_tile_scans_are_several_plates(tmp_path: Path) -> None:
    path = write_lif(tmp_path / "a.lif", [Image("TileScan 1/A/1", pixels(1)), Image("TileScan 2/A/1", pixels(2))])
    exports = LifReader().read(path)
    assert [e.name for e in exports] == ["a_TileScan 1", "a_TileScan 2"]
    assert any("each is a plate of its own" in w for w in exports[0].warnings)
    np.testing.assert_array_equal(plane(path, exports[1].planes["page"][0].as_py()), pixels(2)[0, 0])


def test_images_that_differ_are_acquisitions(tmp_path: Path) -> None:
    images = [
        Image("T/A/1", pixels(1)),
        Image("T/A/2", pixels(2, (1, 2, 6, 8))),
        Image("T/B/1", pixels(3, (3, 2, 5, 5))),
    ]
    export = read_one(write_lif(tmp_path / "a.lif", images))
    assert {(a.height, a.z_mode) for a in export.acquisitions} == {(6, "stack"), (6, "plane"), (5, "stack")}
    assert len(export.acquisitions) == 3


@pytest.mark.parametrize("name", ["project", "T3_Z5"])
def test_images_without_wells_are_no_plate(tmp_path: Path, name: str) -> None:
    path = write_lif(tmp_path / f"{name}.lif", [Image("Series001", pixels(1)), Image("Series002", pixels(2))])
    with pytest.raises(NotAnExportError, match=r"none of its 2 images \(Series001; Series002\)") as raised:
        LifReader().read(path)
    assert raised.value.hint


def test_a_file_named_after_its_well(tmp_path: Path) -> None:
    path = write_lif(tmp_path / "run_WellC07.lif", [Image("Series001", pixels(1)), Image("Series002", pixels(2))])
    export = read_one(path)
    assert [(f["well_id"], f["field_id"]) for f in export.fields.to_pylist()] == [("C07", 1), ("C07", 2)]
    assert export.plate_id == "run"


def test_a_pixel_without_a_size_needs_one(tmp_path: Path) -> None:
    path = write_lif(tmp_path / "a.lif", [Image("T/A/1", pixels(1, (1, 1)), (2, 1))])
    with pytest.raises(InvalidDataError) as raised:
        LifReader().read(path)
    assert raised.value.hint == "Say it with --pixel-size UM."
    assert read_one(path, pixel_size_um=0.65).acquisitions[0].pixel_size_y_um == 0.65


@pytest.mark.parametrize(
    ("old", "new", "heights"),
    [
        ('Origin="0" Length="-4e-06"', 'Origin="1e-05" Length="-4e-06"', [10.0, 8.0, 6.0]),
        ('Origin="0" Length="-4e-06"', 'Length="-4e-06"', [None, None, None]),
        ('Origin="0" Length="-4e-06"', 'Origin="1e-05"', [10.0, None, None]),
        ('Length="-4e-06" Unit="m"', 'Length="-4e-06" Unit="parsec"', [None, None, None]),
    ],
)
def test_heights_that_are_not_told_are_none(tmp_path: Path, old: str, new: str, heights: list[float | None]) -> None:
    def tweak(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    export = read_one(write_lif(tmp_path / "a.lif", [Image("T/A/1", pixels(1))], tweak=tweak))
    assert export.planes["z_um"].to_pylist() == heights * 2
    assert len(set(export.planes["z"].to_pylist())) == 3


def test_a_pixel_size_that_is_given_counts(tmp_path: Path) -> None:
    export = read_one(write_plate(tmp_path / "a.lif"), pixel_size_um=0.65)
    assert [a.pixel_size_x_um for a in export.acquisitions] == [0.65]
    assert sum("--pixel-size 0.65 µm overrules the 0.5 × 0.5 µm of a.lif" in w for w in export.warnings) == 1


def test_a_block_that_is_absent_or_cut_off_is_refused(tmp_path: Path) -> None:
    images = [Image("T/A/1", pixels(1)), Image("T/A/2", pixels(2))]
    path = write_lif(tmp_path / "a.lif", images, left_out=(1,))
    with pytest.raises(SourceFileError, match="lacks the block 'MemBlock_1'"):
        LifReader().read(path)
    data = write_lif(path, images).read_bytes()
    path.write_bytes(data[:-10])
    for read in (lambda: LifReader().read(path), lambda: plane(path, 0)):
        with pytest.raises(SourceFileError, match="is cut off"):
            read()


def test_it_ingests(tmp_path: Path) -> None:
    path = write_plate(tmp_path / "in" / "project.lif")
    report = cytolake.init_lake(tmp_path / "lake").ingest(path, study="s")
    assert (report["status"], report["plates"][0]["planes"]) == ("ok", 18)
    assert report["plates"][0]["bytes_read"] == path.stat().st_size


def test_file_times() -> None:
    assert file_time(START) == datetime(2025, 3, 8, tzinfo=UTC)
    assert file_time(0) is None
    assert file_time(2**62) is None


damage = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage, st.one_of(st.none(), st.floats(0, 1)), st.booleans())
def test_damaged_bytes_give_our_errors_only(
    tmp_path: Path, changes: list[tuple[float, int]], cut: float | None, digits: bool
) -> None:
    path = tmp_path / "damaged" / "a.lif"
    seed = tmp_path / "seed.lif"
    data = bytearray(seed.read_bytes() if seed.exists() else write_plate(seed).read_bytes())
    for place, value in changes:
        data[int(place * (len(data) - 1))] = ord(str(value % 10)) if digits else value
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data if cut is None else data[: int(cut * len(data))])
    with contextlib.suppress(CytolakeError):
        for export in LifReader().read(path):
            for page in export.planes["page"].to_pylist()[:4]:
                with contextlib.suppress(CytolakeError):
                    plane(path, page)


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(alphabet='<>/="LMSDataContainerHeader Version12&;', max_size=80).map(str.encode),
    )
)
def test_any_bytes(data: bytes) -> None:
    file = io.BytesIO(data)

    def read(offset: int, count: int) -> bytes:
        file.seek(offset)
        found = file.read(count)
        if len(found) != count:
            raise SourceFileError("short")
        return found

    for parse in (
        lambda: xml_length(data, "a.lif"),
        lambda: parse_document(data.decode("latin-1"), "a.lif"),
        lambda: read_blocks(read, len(data), 0, 2, "a.lif"),
    ):
        with contextlib.suppress(CytolakeError):
            parse()


def test_the_real_file(shared_data: Path, tmp_path: Path) -> None:
    (file,) = (shared_data / "vendors" / "lif").glob("*.lif")
    with pytest.raises(NotAnExportError, match="none of its 3 images"):
        LifReader().read(file)
    link = tmp_path / "WellB02.lif"
    link.symlink_to(file)
    with pytest.raises(InvalidDataError, match=r"x_y_lambdaExc: it is a scan over excitation wavelength \(15\)"):
        LifReader().read(link)
