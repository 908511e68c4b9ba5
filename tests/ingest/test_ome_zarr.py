"""OME-Zarr plates brought in: what is read of those that others write, and of our own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cytolake.errors import CytolakeError, InvalidDataError, NotAnExportError, SourceFileError, StorageError
from cytolake.ingest.contract import ReaderContract
from cytolake.ingest.convert import ingest_export
from cytolake.ingest.export import PlateExport
from cytolake.ingest.pixels import plane_dtype, read_plane
from cytolake.ingest.readers import ReaderOptions
from cytolake.ingest.sources import open_source
from cytolake.ingest.sources.zarr_layout import parse_array
from cytolake.ingest.vendors.ome_zarr import OmeZarrReader
from cytolake.ingest.vendors.ome_zarr_meta import parse_image, parse_plate, parse_well
from cytolake.store.images.plate import open_plate
from cytolake.store.root import init_root
from hypothesis import given, settings
from hypothesis import strategies as st
from vendor_exports.ome_zarr import DAPI, GFP, Image, Plate, grid


class TestVersion04(ReaderContract):
    reader = OmeZarrReader()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        return Plate(images=grid(shape=(2, 2, 3, 24, 32))).write(tmp_path / "p.zarr")


class TestVersion05(ReaderContract):
    reader = OmeZarrReader()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        return Plate(version="0.5", shards=True).write(tmp_path / "p.ome.zarr")


def read(folder: Path, **options: Any) -> PlateExport:
    (export,) = OmeZarrReader().with_options(ReaderOptions(**options)).read(folder)
    return export


def written(folder: Path, *images: Image, **facts: Any) -> PlateExport:
    return read(Plate(images=images or grid(), **facts).write(folder / "p.zarr"))


def check_pixels(export: PlateExport, images: tuple[Image, ...], fields: dict[int, str] | None = None) -> None:
    """Compare every plane with the image that it was written from."""
    of = {(f"{i.row}{int(i.column):02d}", i.name): i for i in images}
    sizes = {a.acquisition_id: (a.height, a.width) for a in export.acquisitions}
    for plane in export.planes.to_pylist():
        name = (fields or {}).get(plane["field_id"], str(plane["field_id"]))
        image = of[plane["well_id"], name]
        place = {"t": plane["timepoint"], "c": plane["channel_index"], "z": plane["z"]}
        expected = image.pixels()[tuple(place[axis] for axis in image.axes[:-2])]
        file = Path(export.root) / plane["file"]
        out = np.empty(sizes[plane["acquisition_id"]], plane_dtype(file, plane["page"]))
        read_plane(file, plane["page"], out)
        np.testing.assert_array_equal(out, expected)


def test_what_is_read(tmp_path: Path) -> None:
    export = written(tmp_path)
    assert (export.reader, export.vendor, export.format_version) == ("ome-zarr", "OME-Zarr", "0.4")
    assert (export.name, export.plate_id) == (
        "my plate",
        "my_plate" if export.plate_id == "my_plate" else export.plate_id,
    )
    (acquisition,) = export.acquisitions
    assert (acquisition.height, acquisition.width, acquisition.pixel_size_x_um) == (24, 32, 0.5)
    assert acquisition.z_mode == "plane"
    assert [(c.name, c.vendor_id, c.color, c.role) for c in export.channels] == [
        ("DAPI", "A01_C01", "0000FF", "DNA"),
        ("GFP", "A02_C02", "00FF00", None),
    ]
    assert export.planes.num_rows == 8
    assert export.planes["size"].null_count == 0
    assert set(export.planes["file"].to_pylist()) == {f"{w}/{i}/0" for w in ("A/1", "B/3") for i in (0, 1)}


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("separator", ["/", "."])
@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        ("yx", (24, 32)),
        ("cyx", (2, 24, 32)),
        ("zyx", (3, 24, 32)),
        ("czyx", (2, 3, 24, 32)),
        ("zcyx", (3, 2, 24, 32)),
        ("tczyx", (2, 2, 3, 24, 32)),
    ],
)
def test_every_order_of_axes(tmp_path: Path, version: str, separator: str, axes: str, shape: tuple[int, ...]) -> None:
    images = grid(names=["0"], axes=axes, shape=shape, channels=(DAPI, GFP) if "c" in axes else (DAPI,))
    export = written(tmp_path, *images, version=version, separator=separator)
    assert export.planes.num_rows == 2 * int(np.prod(shape[:-2]))
    check_pixels(export, images)


@pytest.mark.parametrize("shards", [False, True])
def test_chunks_of_several_planes(tmp_path: Path, shards: bool) -> None:
    images = grid(names=["0"], shape=(2, 2, 3, 24, 32), chunks=(1, 2, 2, 16, 16))
    check_pixels(written(tmp_path, *images, version="0.5", shards=shards), images)


@pytest.mark.parametrize("dtype", ["uint8", ">u2"])
def test_other_types(tmp_path: Path, dtype: str) -> None:
    images = grid(names=["0"], dtype=dtype)
    check_pixels(written(tmp_path, *images), images)


def test_a_well_is_where_it_is_called(tmp_path: Path) -> None:
    images = grid(wells=[("C", "07"), ("H", "12")], names=["0"])
    export = written(tmp_path, *images)
    assert set(export.planes["well_id"].to_pylist()) == {"C07", "H12"}
    assert (export.n_rows, export.n_columns) == (8, 12)
    assert any("does not say the size of the plate" in w for w in export.warnings)
    listed = Plate(images=images, rows=list("ABCDEFGHIJKLMNOP"), columns=[f"{i:02d}" for i in range(1, 25)])
    export = read(listed.write(tmp_path / "full.zarr"))
    assert (export.n_rows, export.n_columns) == (16, 24)
    assert not export.warnings or not any("size of the plate" in w for w in export.warnings)
    assert read(tmp_path / "p.zarr", plate_format=(32, 48)).n_columns == 48


def test_wells_without_indices_or_with_other_names(tmp_path: Path) -> None:
    images = grid(wells=[("2", "3")], names=["0"])
    assert set(written(tmp_path / "a", *images).planes["well_id"].to_pylist()) == {"B03"}
    assert set(written(tmp_path / "b", indices=False).planes["well_id"].to_pylist()) == {"A01", "B03"}
    odd = written(tmp_path / "c", *grid(wells=[("top", "left")], names=["0"]), rows=["bottom", "top"], columns=["left"])
    assert set(odd.planes["well_id"].to_pylist()) == {"B01"}
    assert any("in the order of rows and columns" in w for w in odd.warnings)


def test_absent_wells_and_images(tmp_path: Path) -> None:
    images = (*grid(wells=[("A", "1")]), Image(name="2", write=False))
    export = written(tmp_path, *images, absent_wells=[("B", "1"), ("B", "2")])
    assert set(export.planes["well_id"].to_pylist()) == {"A01"}
    assert any("2 wells are listed and not there: B/1, B/2" in w for w in export.warnings)
    assert [p["field_id"] for p in export.planes.to_pylist() if p["size"] is None] == [2, 2]
    assert any("1 images are listed and not there" in w for w in export.warnings)


def test_measurements(tmp_path: Path) -> None:
    images = tuple(Image(name=str(n), acquisition=n // 2) for n in range(4))
    listed = [
        {"id": 0, "name": "day 1", "starttime": 1714550400},
        {"id": 1, "name": "day 2"},
        {"id": 5, "name": "none"},
    ]
    export = written(tmp_path, *images, acquisitions=listed)
    assert [(a.acquisition_id, a.name) for a in export.acquisitions] == [(1, "day 1"), (2, "day 2")]
    assert export.acquisitions[0].started_at == datetime(2024, 5, 1, 8, tzinfo=UTC)
    assert sorted({(f["acquisition_id"], f["field_id"]) for f in export.fields.to_pylist()}) == [
        (1, 0), (1, 1), (2, 2), (2, 3),
    ]  # fmt: skip


def test_images_that_are_not_alike(tmp_path: Path) -> None:
    images = (
        Image(name="0"),
        Image(name="1"),
        Image(name="2", shape=(1, 2, 5, 24, 32)),
        Image(name="3", shape=(1, 2, 1, 48, 64)),
    )
    export = written(tmp_path, *images)
    assert [(a.z_mode, a.height) for a in export.acquisitions] == [("plane", 24), ("stack", 24), ("plane", 48)]
    assert export.acquisitions[1].z_step_um == 2.0
    assert any("not alike" in w for w in export.warnings)
    check_pixels(export, images)


def test_images_with_names(tmp_path: Path) -> None:
    images = (Image(name="0"), Image(name="0_corrected"), Image(name="deconvolved"))
    export = written(tmp_path, *images)
    assert any("0_corrected = 1, deconvolved = 2" in w or "deconvolved" in w for w in export.warnings)
    assert len(set(export.fields["field_id"].to_pylist())) == 3


@pytest.mark.parametrize(
    ("unit", "scale", "expected"),
    [
        ("nanometer", 325.0, 0.325),
        ("millimeter", 0.00065, 0.65),
        ("micrometer", 1.0, 1.0),
        ("angstrom", 6500.0, 0.65),
        (None, 0.65, 0.65),
        ("µm", 0.65, 0.65),
    ],
)
def test_pixel_sizes(tmp_path: Path, unit: str | None, scale: float, expected: float) -> None:
    export = written(tmp_path, Image(unit=unit, scale=scale))
    assert export.acquisitions[0].pixel_size_x_um == pytest.approx(expected)
    assert (unit is None) == any("has no unit" in w for w in export.warnings)


@pytest.mark.parametrize(("unit", "scale"), [(None, 1.0), ("pixel", 1.0), ("pixel", 0.5)])
def test_without_a_pixel_size(tmp_path: Path, unit: str | None, scale: float) -> None:
    folder = Plate(images=[Image(unit=unit, scale=scale)]).write(tmp_path / "p.zarr")
    with pytest.raises(InvalidDataError, match="does not say the size of its pixels") as raised:
        read(folder)
    assert raised.value.hint == "Give it with --pixel-size UM."
    assert read(folder, pixel_size_um=0.3).acquisitions[0].pixel_size_y_um == 0.3


def test_fields_lie_as_they_are_translated(tmp_path: Path) -> None:
    images = tuple(Image(name=str(i), translation=(0, 0, 0, 1000.0 + 12 * i, 500.0 - 16 * i)) for i in range(2))
    export = written(tmp_path, *images)
    places = {f["field_id"]: (f["x_um"], f["y_um"]) for f in export.fields.to_pylist()}
    assert places == {0: (8.0, -6.0), 1: (-8.0, 6.0)}
    assert any("where the middle of a well is" in w for w in export.warnings)


def test_no_translation_is_no_position(tmp_path: Path) -> None:
    assert written(tmp_path).fields["x_um"].null_count == 4


def test_channels_that_are_not_described(tmp_path: Path) -> None:
    export = written(tmp_path / "a", Image(channels=None))
    assert [c.name for c in export.channels] == ["Channel 1", "Channel 2"]
    export = written(tmp_path / "b", Image(channels=[DAPI]))
    assert [c.name for c in export.channels] == ["DAPI", "Channel 2"]
    assert any("1 of 2 channels are described" in w for w in export.warnings)


def test_labels_are_told(tmp_path: Path) -> None:
    export = written(tmp_path, *grid(names=["0"], labels=["nuclei", "cells"]))
    assert any("labels are not taken" in w and "nuclei (in 2 images)" in w for w in export.warnings)


def test_planes_that_were_never_written(tmp_path: Path) -> None:
    folder = Plate(images=[Image(shape=(1, 2, 3, 24, 32))]).write(tmp_path / "p.zarr")
    shutil.rmtree(folder / "A/1/0/0/0/1/2")
    (folder / "A/1/0/0/0/0/0/1/1").unlink()
    export = read(folder)
    assert [(p["channel_index"], p["z"]) for p in export.planes.to_pylist() if p["size"] is None] == [(1, 2)]
    assert any("1 planes have no stored chunk" in w for w in export.warnings)
    assert any("1 chunks of planes are not stored" in w for w in export.warnings)
    with pytest.raises(SourceFileError, match="stores nothing of plane 5"):
        read_plane(folder / "A/1/0/0", 5, np.empty((24, 32), np.uint16))


@pytest.mark.parametrize("kind", ["to nowhere", "to itself", "pipe"])
def test_a_chunk_that_is_no_file_is_not_the_fill_value(tmp_path: Path, kind: str) -> None:
    folder = Plate(images=[Image()]).write(tmp_path / "p.zarr")
    chunk = folder / "A/1/0/0/0/1/0/0/0"
    chunk.unlink()
    if kind == "pipe":
        os.mkfifo(chunk)
    else:
        chunk.symlink_to(chunk if kind == "to itself" else tmp_path / "never fetched")
    export = read(folder)
    assert export.planes["size"].null_count == 0
    assert not any("fill value" in w for w in export.warnings)
    out = np.empty((24, 32), np.uint16)
    with pytest.raises(SourceFileError, match=r"0/1/0/0/0 is no file .*plane 1 needs it\n.*Fetch the files"):
        read_plane(folder / "A/1/0/0", 1, out)
    read_plane(folder / "A/1/0/0", 0, out)


def test_a_damaged_chunk_is_no_plane(tmp_path: Path) -> None:
    folder = Plate(images=[Image()]).write(tmp_path / "p.zarr")
    chunk = folder / "A/1/0/0/0/1/0/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-7])
    out = np.empty((24, 32), np.uint16)
    with pytest.raises(SourceFileError, match="plane 1 cannot be decoded"):
        read_plane(folder / "A/1/0/0", 1, out)
    read_plane(folder / "A/1/0/0", 0, out)


def test_the_hash_is_that_of_what_is_stored(tmp_path: Path) -> None:
    array = Plate(images=[Image()]).write(tmp_path / "p.zarr") / "A/1/0/0"
    digest = hashlib.sha256()
    for file in sorted(f.relative_to(array).as_posix() for f in array.rglob("*") if f.is_file()):
        digest.update(f"{file}\0{hashlib.sha256((array / file).read_bytes()).hexdigest()}\n".encode())
    assert open_source(array).sha256 == digest.hexdigest()


def test_float_pixels(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="holds float32 pixels"):
        written(tmp_path / "a", Image(dtype="float32"))
    export = written(tmp_path / "b", Image(), Image(name="1", dtype="float32"))
    assert export.fields["field_id"].to_pylist() == [0]
    assert any("1 images hold float32 pixels" in w for w in export.warnings)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda plate: plate["wells"][0].update(path="../other"), "'..'"),
        (lambda plate: plate["wells"][0].update(path="/etc"), "an absolute path"),
        (lambda plate: plate["wells"][0].update(rowIndex=99), "describes no OME-Zarr plate"),
        (lambda plate: plate.update(version="0.6"), "version 0.6"),
        (lambda plate: plate.pop("rows"), "describes no OME-Zarr plate"),
        (lambda plate: plate.update(wells={}), "none of the 0 images"),
        (lambda plate: plate["wells"].append({**plate["wells"][0], "path": "B/1"}), "two folders for one well"),
    ],
)
def test_what_is_refused(tmp_path: Path, change: Any, said: str) -> None:
    folder = Plate(images=[Image()]).write(tmp_path / "p.zarr")
    document = json.loads((folder / ".zattrs").read_text())
    change(document["plate"])
    (folder / ".zattrs").write_text(json.dumps(document))
    with pytest.raises(CytolakeError, match=said):
        read(folder)


@pytest.mark.parametrize(
    ("axes", "shape", "said"),
    [
        ("yxc", (24, 32, 2), "must be the last two"),
        ("azyx", (2, 1, 24, 32), "a cannot be brought in"),
        ("cyx", (1, 2, 24, 32), "its array has 4"),
    ],
)
def test_axes_that_are_no_planes(tmp_path: Path, axes: str, shape: tuple[int, ...], said: str) -> None:
    plate = Plate(images=[Image(shape=shape)])
    folder = plate.write(tmp_path / "p.zarr")
    metadata = folder / "A/1/0/.zattrs"
    document = json.loads(metadata.read_text())
    document["multiscales"][0]["axes"] = [{"name": a, "type": "space", "unit": "micrometer"} for a in axes]
    for dataset in document["multiscales"][0]["datasets"]:
        dataset["coordinateTransformations"][0]["scale"] = [0.5] * len(axes)
    metadata.write_text(json.dumps(document))
    with pytest.raises(InvalidDataError, match=said):
        read(folder)


def test_several_multiscales_and_scales_of_the_whole(tmp_path: Path) -> None:
    folder = Plate(images=[Image(scale=2.0)]).write(tmp_path / "p.zarr")
    metadata = folder / "A/1/0/.zattrs"
    document = json.loads(metadata.read_text())
    first = document["multiscales"][0]
    first["coordinateTransformations"] = [{"type": "scale", "scale": [1, 1, 1, 0.1, 0.1]}]
    document["multiscales"] = [first, {**first, "name": "other"}]
    metadata.write_text(json.dumps(document))
    export = read(folder)
    assert export.acquisitions[0].pixel_size_x_um == pytest.approx(0.2)
    assert any("1 images have several multiscales" in w for w in export.warnings)


def test_what_is_no_plate_says_what_it_is(tmp_path: Path) -> None:
    plate = Plate(images=[Image()])
    folder = plate.write(tmp_path / "p.zarr")
    plate.group(tmp_path / "b2r.zarr", {"bioformats2raw.layout": 3})
    for path, said in (
        (folder / "A/1/0", "one image"),
        (folder / "A/1", "one well"),
        (tmp_path / "b2r.zarr", "a set of images without a plate"),
    ):
        evidence = OmeZarrReader().detect(path)
        assert evidence is not None
        assert evidence.confidence == 0
        assert said in evidence.facts[0]
        with pytest.raises(NotAnExportError, match=said):
            read(path)


def test_several_plates_below_a_folder(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Plate(images=[Image()], name=None).write(tmp_path / f"{name}.ome.zarr")
    assert [e.name for e in OmeZarrReader().read(tmp_path)] == ["one", "two"]


def test_a_plate_comes_into_a_lake_whole(tmp_path: Path) -> None:
    images = grid(shape=(1, 2, 2, 24, 32))
    folder = Plate(images=images).write(tmp_path / "p.zarr")
    shutil.rmtree(folder / "B/3/1/0/0/1")
    before = {f: f.stat().st_mtime_ns for f in folder.rglob("*")}
    export = read(folder)
    root = init_root(tmp_path / "lake")
    report = ingest_export(root, export, study_id="s1", plate_id="p1")
    assert report["status"] == "partial"
    assert {f: f.stat().st_mtime_ns for f in folder.rglob("*")} == before
    (row,) = root.tables.read("plates").to_pylist()
    assert (row["n_planes"], row["n_missing_planes"], row["n_corrupt_planes"]) == (16, 2, 0)
    plate = open_plate(root.storage, row["path"])
    for image in images[:3]:
        field = plate.field(f"{image.row}{image.column}", int(image.name))
        np.testing.assert_array_equal(field.read(), image.pixels()[0])
    # And our own plate is one that can be brought in, with what it knows.
    again = read(Path(root.storage.uri(row["path"])))
    assert [(c.name, c.role, c.color) for c in again.channels] == [("DAPI", "DNA", "0000FF"), ("GFP", None, "00FF00")]
    assert again.planes["size"].null_count == 2
    assert (again.n_rows, again.n_columns) == (export.n_rows, export.n_columns)
    assert sorted(set(again.fields["field_id"].to_pylist())) == [0, 1]
    copy = ingest_export(root, again, study_id="s2", plate_id="p1")
    assert copy["status"] == "partial"
    (other,) = root.tables.read("plates", where={"study_id": "s2"}).to_pylist()
    field = open_plate(root.storage, other["path"]).field("B3", 0)
    np.testing.assert_array_equal(field.read(), images[2].pixels()[0])
    assert field.channels[0].role == "DNA"


SEEDS = {
    "plate": json.dumps(
        {"plate": {"rows": [{"name": "A"}], "columns": [{"name": "1"}], "version": "0.4", "name": "p",
                   "wells": [{"path": "A/1", "rowIndex": 0, "columnIndex": 0}],
                   "acquisitions": [{"id": 0, "name": "a", "starttime": 1714550400}]}}
    ),
    "well": json.dumps({"well": {"images": [{"path": "0", "acquisition": 0}], "version": "0.4"}}),
    "image": json.dumps(
        {"multiscales": [{"version": "0.4", "axes": [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"],
                          "datasets": [{"path": "0", "coordinateTransformations": [
                              {"type": "scale", "scale": [1, 0.5, 0.5]},
                              {"type": "translation", "translation": [0, 1, 2]}]}]}],
         "omero": {"channels": [{"label": "DAPI", "color": "0000FF"}]},
         "cytolake": {"field_id": 1, "stage_um": [0, 0, 0], "z_step_um": None, "channels": [{"role": "DNA"}],
                      "missing_planes": [[0, 0, 0]]}}
    ),
    "array": json.dumps(
        {"zarr_format": 3, "node_type": "array", "shape": [1, 2, 3], "data_type": "uint16", "fill_value": 0,
         "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 2, 3]}},
         "chunk_key_encoding": {"name": "default"}, "codecs": [{"name": "bytes"}]}
    ),
    "v2": '{"zarr_format": 2, "shape": [2, 3], "chunks": [2, 3], "dtype": "<u2", "filters": null, "order": "C"}',
}  # fmt: skip
PARSERS = {"plate": parse_plate, "well": parse_well, "image": parse_image, "array": parse_array, "v2": parse_array}
damage = st.tuples(
    st.sampled_from(["cut", "byte", "value"]),
    st.integers(0, 700),
    st.sampled_from(
        ["null", "-1", "1e400", "NaN", '"x"', "[]", "{}", "1" * 30, '"' + "y" * 400 + '"', "[" * 5000, "\0"]
    ),
)


@pytest.mark.parametrize("what", list(SEEDS))
@settings(max_examples=100, deadline=None)
@given(st.lists(damage, min_size=1, max_size=3))
def test_any_bytes(what: str, changes: list[tuple[str, int, str]]) -> None:
    text = SEEDS[what]
    for kind, at, value in changes:
        if kind == "cut":
            text = text[:at]
        elif kind == "byte":
            text = text[:at] + value[:1] + text[at + 1 :]
        else:
            places = [i for i, letter in enumerate(text) if letter == ":"]
            if places:
                place = places[at % len(places)] + 1
                end = min((i for i in (text.find(mark, place) for mark in ",}]") if i >= 0), default=len(text))
                text = text[:place] + value + text[end:]
    with contextlib.suppress(CytolakeError):
        PARSERS[what](text.encode(), "file")


@pytest.mark.parametrize("what", list(SEEDS))
@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=100))
def test_any_binary(what: str, data: bytes) -> None:
    with contextlib.suppress(CytolakeError):
        PARSERS[what](data, "file")


def test_options_are_kept(tmp_path: Path) -> None:
    images = [replace(i, unit=None, scale=1.0) for i in grid()]
    folder = Plate(images=images).write(tmp_path / "p.zarr")
    assert read(folder, pixel_size_um=0.2).acquisitions[0].pixel_size_x_um == 0.2


def test_reading_finds_every_plate_however_many_others_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cytolake.ingest.vendors.ome_zarr._GLANCED_FOLDERS", 0)
    Plate(images=[Image()], name=None).write(tmp_path / "y.zarr")
    Plate(images=[Image()], name=None).write(tmp_path / "z.zarr")
    assert OmeZarrReader().detect(tmp_path) is None
    assert [e.name for e in OmeZarrReader().read(tmp_path)] == ["y", "z"]


def test_reading_passes_nothing_over_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Plate(images=[Image()], name=None).write(tmp_path / "a.zarr")
    other = Plate(images=[Image()], name=None).write(tmp_path / "b.zarr")
    (other / ".zattrs").write_text('{"plate": ')
    assert OmeZarrReader().detect(tmp_path) is not None
    with pytest.raises(SourceFileError, match=r"b\.zarr/\.zattrs is cut off"):
        OmeZarrReader().read(tmp_path)
    original = Path.stat

    def stat(path: Path, **options: Any) -> Any:
        if path.parent == other:
            raise PermissionError(13, "Permission denied")
        return original(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    assert OmeZarrReader().detect(tmp_path) is not None
    with pytest.raises(StorageError, match=r"b\.zarr/zarr\.json cannot be read"):
        OmeZarrReader().read(tmp_path)


def test_planes_that_were_never_written_into_a_shard(tmp_path: Path) -> None:
    """A writer that leaves out empty chunks leaves no file out where a shard holds several planes."""
    folder = Plate(images=[Image()], version="0.5").write(tmp_path / "p.zarr")
    array = folder / "A/1/0/0"
    shutil.rmtree(array)
    pixels = Image(shape=(1, 2, 3, 24, 32)).pixels()
    pixels[0, 1, 2] = 0
    pixels[0, 0, 1, :12, :16] = 0
    Plate(version="0.5", shards=True).array(array, pixels, None)
    export = read(folder)
    assert [(p["channel_index"], p["z"]) for p in export.planes.to_pylist() if p["size"] is None] == [(1, 2)]
    assert any("1 planes have no stored chunk" in w for w in export.warnings)
    out = np.empty((24, 32), np.uint16)
    with pytest.raises(SourceFileError, match="stores nothing of plane 5"):
        read_plane(array, 5, out)
    read_plane(array, 1, out)
    np.testing.assert_array_equal(out, pixels[0, 0, 1])


def test_a_path_with_dots_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = grid(names=["0"])
    Plate(images=images).write(tmp_path / "p.zarr")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    export = read(Path("../p.zarr"))
    assert export.root == str(tmp_path / "p.zarr")
    check_pixels(export, images)
    out = np.empty((24, 32), np.uint16)
    read_plane(Path("../p.zarr/A/1/0/0"), 0, out)
    np.testing.assert_array_equal(out, images[0].pixels()[0, 0, 0])
