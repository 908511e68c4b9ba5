"""OME-Zarr plates that are referred to: as good as a copy while the original is as it was, an error after that."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cytolake
import numpy as np
import pytest
from cytolake.cli.main import main
from cytolake.errors import AlreadyExistsError, CytolakeError, InvalidDataError, NotFoundError, StorageError, UsageError
from cytolake.ingest import field_pixels
from cytolake.lake import Lake
from cytolake.store.images import check_plate, write_label
from vendor_exports.ome_zarr import DAPI, GFP, Image, Plate, grid

AXES = [
    ("yx", (24, 32)),
    ("cyx", (2, 24, 32)),
    ("zyx", (3, 24, 32)),
    ("czyx", (2, 3, 24, 32)),
    ("zcyx", (3, 2, 24, 32)),
    ("tczyx", (2, 2, 3, 24, 32)),
    ("atcyx", (1, 2, 2, 24, 32)),
]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return cytolake.init_lake(tmp_path / "lake")


def both(lake: Lake, folder: Path) -> tuple[Any, Any]:
    """Bring a plate in twice, and give the one that refers to it and the copy."""
    plates = []
    for study, by_reference in (("referred", True), ("copied", False)):
        report = lake.ingest(folder, study=study, plate="p", by_reference=by_reference)
        assert report["status"] in ("ok", "partial")
        plates.append(lake.plate(study, "p"))
    return plates[0], plates[1]


def referred(lake: Lake, folder: Path, **options: Any) -> Any:
    lake.ingest(folder, study="s", plate="p", by_reference=True, **options)
    return lake.plate("s", "p")


def files(folder: Path) -> dict[str, int]:
    return {str(f.relative_to(folder)): f.stat().st_mtime_ns for f in folder.rglob("*")}


def assert_equal(one: Any, other: Any) -> None:
    assert one.fields() == other.fields()
    for key in one.fields():
        fields = [plate.field(key.well_id, key.field_id, key.acquisition_id) for plate in (one, other)]
        ours, theirs = fields
        assert (ours.shape, ours.dtype, ours.missing_planes) == (theirs.shape, theirs.dtype, theirs.missing_planes)
        for level in range(ours.levels):
            for t in range(ours.shape[0]):
                np.testing.assert_array_equal(ours.read(t=t, level=level), theirs.read(t=t, level=level))
        np.testing.assert_array_equal(ours.read([0], z=ours.shape[2] - 1), theirs.read([0], z=ours.shape[2] - 1))
    for plate in (one, other):
        assert check_plate(plate.storage, plate.path, deep=True) == []


@pytest.mark.parametrize(("version", "shards"), [("0.4", False), ("0.5", False), ("0.5", True)])
@pytest.mark.parametrize(("axes", "shape"), AXES)
def test_a_reference_is_as_good_as_a_copy(
    lake: Lake, tmp_path: Path, version: str, shards: bool, axes: str, shape: tuple[int, ...]
) -> None:
    channels = (DAPI, GFP) if "c" in axes else (DAPI,)
    images = grid(wells=[("B", "3")], names=["0"], axes=axes, shape=shape, channels=channels)
    folder = Plate(images=images, version=version, shards=shards).write(tmp_path / "p.zarr")
    one, other = both(lake, folder)
    assert_equal(one, other)
    level_0 = Path(one.storage.uri(one.path)) / "B/03/a1f0/0"
    assert not level_0.exists()
    assert one.references == [str(folder)]
    assert other.references == []


@pytest.mark.parametrize("separator", ["/", "."])
@pytest.mark.parametrize("dtype", ["uint8", ">u2"])
def test_types_and_names_of_chunks(lake: Lake, tmp_path: Path, separator: str, dtype: str) -> None:
    images = grid(names=["0"], dtype=dtype, shape=(1, 2, 3, 24, 32), chunks=(1, 2, 2, 16, 16))
    assert_equal(*both(lake, Plate(images=images, separator=separator).write(tmp_path / "p.zarr")))


def test_planes_and_chunks_that_were_never_written(lake: Lake, tmp_path: Path) -> None:
    folder = Plate(images=grid(shape=(1, 2, 3, 24, 32))).write(tmp_path / "p.zarr")
    shutil.rmtree(folder / "A/1/0/0/0/1/2")
    (folder / "A/1/1/0/0/0/0/1/1").unlink()
    chunk = folder / "B/3/0/0/0/1/0/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-7])
    one, other = both(lake, folder)
    assert_equal(one, other)
    assert one.field("A1", 0).missing_planes == ((0, 1, 2),)
    assert one.field("B3", 0).missing_planes == ((0, 1, 0),)
    assert [one.field("A1", number).info.reference.is_sparse for number in (0, 1)] == [False, True]
    # What was a whole plane then is an error when it is gone, also beside one that is missing.
    (folder / "A/1/0/0/0/1/1/0/0").unlink()
    with pytest.raises(StorageError, match="lost or damaged"):
        one.field("A1", 0).read()


def test_features_and_labels(lake: Lake, tmp_path: Path) -> None:
    y, x = np.mgrid[:96, :128]
    spots = sum(900 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 60) for cy, cx in ((20, 30), (60, 80), (30, 100)))
    plate = Plate(images=[Image(axes="zcyx", shape=(1, 2, 96, 128))])
    folder = plate.write(tmp_path / "p.zarr")
    shutil.rmtree(folder / "A/1/0/0")
    plate.array(folder / "A/1/0/0", np.stack([spots + 100, spots / 2 + 80])[None].astype(np.uint16), None)
    before = files(folder)
    both(lake, folder)
    tables = []
    for study in ("referred", "copied"):
        assert lake.transform(study=study, recipe="nuclei", workers=1)["status"] == "ok"
        (name,) = (name for name in lake.root.tables.names() if name.startswith("features/"))
        rows = lake.root.tables.read(name, where={"study_id": study})
        tables.append(rows.drop_columns(["study_id", "run_id"]).sort_by("object_id"))
    assert tables[0].num_rows == 3
    assert tables[0].equals(tables[1])
    assert lake.validate(deep=True)["errors"] == []
    assert files(folder) == before


def test_what_reads_a_plate_reads_this_one(lake: Lake, tmp_path: Path) -> None:
    images = grid(shape=(1, 2, 1, 24, 32))
    plate = referred(lake, Plate(images=images, version="0.5").write(tmp_path / "p.zarr"))
    np.testing.assert_array_equal(plate.to_dask().compute(scheduler="sync")[0], images[0].pixels())
    np.testing.assert_array_equal(plate.field("A1", 0).zarr()[:], images[0].pixels())
    assert plate.field("A1", 0).zarr(1).shape == (1, 2, 1, 12, 16)
    assert "<img" in plate.field("A1", 0)._repr_html_()
    with pytest.raises(UsageError, match="refers to the pixels") as raised:
        plate.ome_zarr()
    assert "open that plate" in str(raised.value.hint)
    narrow = Plate(images=grid(axes="cyx", shape=(2, 24, 32))).write(tmp_path / "narrow.zarr")
    lake.ingest(narrow, study="s", plate="narrow", by_reference=True)
    with pytest.raises(UsageError, match="axes c, y, x"):
        lake.plate("s", "narrow").field("A1", 0).zarr()


def other_pixels(array: Path) -> None:
    import zarr

    opened = zarr.open_array(str(array), mode="r+")
    opened[0, 0, 0, :8, :8] = 7


def other_shape(array: Path) -> None:
    shutil.rmtree(array)
    Plate().array(array, np.ones((1, 2, 3, 24, 30), np.uint16), None)


def other_type(array: Path) -> None:
    shutil.rmtree(array)
    Plate().array(array, np.ones((1, 2, 3, 24, 32), np.uint8), None)


def damaged_document(array: Path) -> None:
    (array / ".zarray").write_text("{")


@pytest.mark.parametrize(
    ("change", "error", "said", "code"),
    [
        (lambda array: shutil.rmtree(array), NotFoundError, "there is no Zarr array any more", "reference-missing"),
        (lambda array: (array / "0/1/2/0/1").unlink(), StorageError, "lost or damaged", "plane-lost"),
        (other_shape, StorageError, r"are \[1, 2, 3, 24, 30\] uint16 now", "reference-changed"),
        (other_type, StorageError, "uint8 now", "reference-changed"),
        (damaged_document, StorageError, "cannot be opened", "reference-changed"),
    ],
)
def test_an_original_that_changed_is_an_error(
    lake: Lake, tmp_path: Path, change: Callable[[Path], None], error: type[CytolakeError], said: str, code: str
) -> None:
    folder = Plate(images=grid(shape=(1, 2, 3, 24, 32))).write(tmp_path / "p.zarr")
    plate = referred(lake, folder)
    change(folder / "A/1/0/0")
    with pytest.raises(error, match=said) as raised:
        plate.field("A1", 0).read()
    assert str(folder / "A/1/0/0") in str(raised.value)
    assert "ingest" in str(raised.value.hint)
    problems = lake.validate()["errors"]
    assert [(p["code"], p["where"]) for p in problems] == [(code, f"{plate.path}/A/01/a1f0/0")]
    plate.field("A1", 1).read()


def test_changed_pixels_are_found_by_a_deep_look(lake: Lake, tmp_path: Path) -> None:
    folder = Plate(images=grid(shape=(1, 2, 3, 24, 32))).write(tmp_path / "p.zarr")
    plate = referred(lake, folder)
    other_pixels(folder / "B/3/1/0")
    assert lake.validate()["errors"] == []
    (problem,) = lake.validate(deep=True)["errors"]
    assert (problem["code"], problem["where"]) == ("pyramid-differs", f"{plate.path}/B/03/a1f1/1")
    assert str(folder) in problem["message"]
    chunk = folder / "A/1/0/0/0/0/0/0/0"
    chunk.write_bytes(bytes(9))
    assert [p["code"] for p in lake.validate(deep=True)["errors"]] == ["pixels-unreadable", "pyramid-differs"]


def test_a_plate_that_moved_comes_back(lake: Lake, tmp_path: Path) -> None:
    folder = Plate(images=grid()).write(tmp_path / "p.zarr")
    plate = referred(lake, folder)
    moved = folder.rename(tmp_path / "elsewhere.zarr")
    with pytest.raises(NotFoundError, match=r"p\.zarr"):
        plate.field("A1", 0).read()
    report = lake.ingest(moved, study="s", plate="p", by_reference=True, existing="replace")
    assert report["status"] == "ok"
    assert lake.plate("s", "p").references == [str(moved)]
    assert lake.validate(deep=True)["errors"] == []


def test_the_original_is_never_touched(lake: Lake, tmp_path: Path) -> None:
    folder = Plate(images=grid()).write(tmp_path / "p.zarr")
    before = files(folder)
    field = referred(lake, folder).field("A1", 0)
    write_label(field, "nuclei_1", np.ones((24, 32), np.int32), source={})
    assert lake.ingest(folder, study="s", plate="p", existing="replace", by_reference=True)["status"] == "ok"
    lake.ingest(folder, study="s", plate="p", existing="replace")
    lake.ingest(folder, study="s", plate="p", existing="replace", by_reference=True)
    lake.remove(study="s")
    assert files(folder) == before


@pytest.mark.parametrize("first", [True, False])
def test_the_same_export_again_is_skipped(lake: Lake, tmp_path: Path, first: bool) -> None:
    folder = Plate(images=grid()).write(tmp_path / "p.zarr")
    lake.ingest(folder, study="s", plate="p", by_reference=first)
    for by_reference in (first, not first):
        again = lake.ingest(folder, study="s", plate="p", by_reference=by_reference, existing="skip")
        assert again["status"] == "skipped"
    assert lake.plate("s", "p").references == ([str(folder)] if first else [])


@pytest.mark.parametrize("first", [True, False])
def test_an_interrupted_ingest_is_not_mixed_with_one_of_the_other_kind(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    folder = Plate(images=grid()).write(tmp_path / "p.zarr")
    original = field_pixels.FieldConverter.convert
    done: list[Any] = []

    def killed(self: Any, key: Any, planes: Any) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(key)
        return original(self, key, planes)

    with monkeypatch.context() as patch:
        patch.setattr(field_pixels.FieldConverter, "convert", killed)
        with pytest.raises(KeyboardInterrupt):
            lake.ingest(folder, study="s", plate="p", by_reference=first, workers=1)
    lake.ingest(folder, study="s", plate="p", by_reference=not first)
    plate = lake.plate("s", "p")
    kinds = {plate.field(k.well_id, k.field_id).info.reference is None for k in plate.fields()}
    assert kinds == {first}
    assert lake.validate(deep=True)["errors"] == []


def test_an_extension(lake: Lake, tmp_path: Path) -> None:
    images = grid()
    small = Plate(images=images[:2]).write(tmp_path / "small.zarr")
    whole = Plate(images=images).write(tmp_path / "p.zarr")
    lake.ingest(small, study="s", plate="p", by_reference=True)
    # A published plate is extended in place: there may be half of a copy that was given up.
    half = Path(lake.root.storage.uri(lake.plate("s", "p").path)) / "B/03/a1f0/0"
    half.mkdir(parents=True)
    (half / "zarr.json").write_text("{}")
    report = lake.ingest(whole, study="s", plate="p", by_reference=True, existing="extend")
    assert report["plates"][0]["fields"] == 2
    assert not half.exists()
    plate = lake.plate("s", "p")
    assert plate.references == sorted([str(small), str(whole)])
    for image in images:
        np.testing.assert_array_equal(
            plate.field(f"{image.row}{image.column}", int(image.name)).read(), image.pixels()[0]
        )
    assert lake.validate(deep=True)["errors"] == []


def test_what_cannot_be_referred_to(
    lake: Lake, tiny_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="only OME-Zarr") as raised:
        lake.ingest(tiny_export, study="s", by_reference=True)
    assert "Leave --by-reference out" in str(raised.value.hint)
    folder = Plate(images=grid()).write(tmp_path / "p.zarr")
    copied = lake.ingest(folder, study="s", plate="p")["plates"][0]["path"]
    with pytest.raises(UsageError, match="in the lake itself"):
        lake.ingest(Path(lake.url) / copied, study="s2", by_reference=True)
    # A plate that refers to another has nothing that could be brought in.
    path = lake.ingest(folder, study="s3", plate="p", by_reference=True)["plates"][0]["path"]
    with pytest.raises(InvalidDataError, match="were left in"):
        lake.ingest(Path(lake.url) / path, study="s4")
    monkeypatch.setattr(type(lake.root.storage), "is_local", False)
    with pytest.raises(UsageError, match="is not on this machine"):
        lake.ingest(folder, study="s5", by_reference=True)


def test_on_the_command_line(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Plate(images=grid()).write(tmp_path / "p.zarr")
    monkeypatch.chdir(lake.url)
    arguments = ["--lake", lake.url, "ingest", "../p.zarr", "--study", "s", "--plate", "p", "--by-reference"]
    assert main(arguments) == 0
    plate = lake.plate("s", "p")
    assert plate.references == [str(folder)]
    assert plate.field("A1", 0).info.reference.path == str(folder / "A/1/0/0")


def test_a_plate_of_another_lake(lake: Lake, tiny_export: Path, tmp_path: Path) -> None:
    export = Path(shutil.copytree(tiny_export, tmp_path / "exports" / tiny_export.name))
    next(export.rglob("*ch2*.tiff")).unlink()
    others = cytolake.init_lake(tmp_path / "others")
    path = others.ingest(export, study="s", plate="p")["plates"][0]["path"]
    folder = Path(others.url) / path
    before = files(folder)
    plate = referred(lake, folder)
    assert sum(len(plate.field(k.well_id, k.field_id).missing_planes) for k in plate.fields()) == 1
    assert_equal(plate, others.plate("s", "p"))
    assert files(folder) == before


def test_the_run_remembers(lake: Lake, tmp_path: Path) -> None:
    folder = Plate(images=grid()).write(tmp_path / "p.zarr")
    report = lake.ingest(folder, study="s", plate="p", by_reference=True)
    assert report["plates"][0]["bytes_read"] == sum(
        f.stat().st_size for level in folder.glob("*/*/*/0") for f in level.rglob("*") if f.is_file()
    )
    (run,) = (node for node in lake.lineage("s/p")["nodes"] if node["kind"] == "run")
    assert run["parameters"]["by_reference"] == str(folder)


@pytest.mark.parametrize("path", ["relative/0", "/a/../etc", "s3://bucket/0", "/nul\0", 5, None])
def test_a_reference_is_an_absolute_path(lake: Lake, tmp_path: Path, path: Any) -> None:
    import json

    plate = referred(lake, Plate(images=grid()).write(tmp_path / "p.zarr"))
    document = Path(plate.storage.uri(plate.path)) / "A/01/a1f0/zarr.json"
    content = json.loads(document.read_text())
    content["attributes"]["cytolake"]["level_0"]["path"] = path
    document.write_text(json.dumps(content))
    with pytest.raises(InvalidDataError) as raised:
        plate.field("A1", 0)
    # Dask follows causes to their end.
    assert raised.value.__cause__ is not raised.value
    assert [p["code"] for p in lake.validate()["errors"]] == ["image-invalid"]


def test_a_reference_to_another_plate_is_found(lake: Lake, tmp_path: Path) -> None:
    folder = Plate(images=grid()).write(tmp_path / "p.zarr")
    plate = referred(lake, folder)
    shutil.copytree(folder, tmp_path / "q.zarr")
    document = Path(plate.storage.uri(plate.path)) / "A/01/a1f0/zarr.json"
    document.write_text(document.read_text().replace("/p.zarr/", "/q.zarr/"))
    (error,) = lake.validate()["errors"]
    assert error["code"] == "reference-unknown"
    assert "q.zarr" in error["message"]


def test_what_refers_to_a_place_that_is_gone_is_not_skipped(lake: Lake, tmp_path: Path) -> None:
    folder = Plate(images=grid()).write(tmp_path / "p.zarr")
    referred(lake, folder)
    moved = folder.rename(tmp_path / "elsewhere.zarr")
    for existing in ("skip", "extend"):
        with pytest.raises(AlreadyExistsError, match=r"refers to pixels in .*p\.zarr"):
            lake.ingest(moved, study="s", plate="p", by_reference=True, existing=existing)
    plate = referred(lake, moved, existing="replace")
    assert plate.references == [str(moved)]


def test_shards_that_lack_chunks(lake: Lake, tmp_path: Path) -> None:
    plate = Plate(images=grid(shape=(1, 2, 3, 24, 32), names=["0"]), version="0.5", shards=True)
    folder = plate.write(tmp_path / "p.zarr")
    pixels = plate.images[0].pixels()
    for place, well in (((0, 1, 2), "A/1"), ((0, 0, 1, slice(12), slice(16)), "B/3")):
        changed = pixels.copy()
        changed[place] = 0
        shutil.rmtree(folder / well / "0/0")
        plate.array(folder / well / "0/0", changed, None)
    one, other = both(lake, folder)
    assert_equal(one, other)
    assert [one.field(well, 0).info.reference.is_sparse for well in ("A1", "B3")] == [False, True]
    assert one.field("A1", 0).missing_planes == ((0, 1, 2),)
    # A shard that is cut off is a damaged one, and its planes are told.
    shard = next(f for f in (folder / "A/1/0/0/c").rglob("*") if f.is_file())
    shard.write_bytes(shard.read_bytes()[:-7])
    assert {p["message"].partition(" in ")[0][-7:] for p in lake.validate()["errors"]} == {"damaged"}
    report = lake.ingest(folder, study="referred", plate="p", by_reference=True, existing="replace")
    assert report["plates"][0]["corrupt_planes"] == 6
    assert [k.well_id for k in lake.plate("referred", "p").fields()] == ["B03"]
