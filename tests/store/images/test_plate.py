"""Writing a plate and reading it back."""

from __future__ import annotations

import html
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from cytolake.errors import InvalidDataError, NotFoundError, StorageError, UsageError
from cytolake.store.images import engine, layout
from cytolake.store.images.check import check_plate
from cytolake.store.images.model import FieldKey, Plane
from cytolake.store.images.plate import Plate, open_plate
from cytolake.store.images.pyramid import halve
from cytolake.store.images.writer import ImageWriter, PlateWriter


def test_the_handle_says_what_the_plate_holds(made, images):
    plate = open_plate(made.storage, made.path)
    assert plate.name == "plate one"
    assert (plate.n_rows, plate.n_columns) == (8, 12)
    assert plate.wells == ["A01", "C12"]
    assert plate.fields() == list(images.keys)
    assert plate.attributes == {"batch": "7"}
    assert plate.acquisitions[0].name == "run"
    field = plate.field("A01", 3)
    assert field.shape == (2, 3, 2, 65, 70)
    assert field.dtype == np.uint16
    assert field.pixel_size_um == (2.0, 0.25, 0.5)
    assert field.stage_um == (100, -50, 7)
    assert [c.role for c in field.channels] == ["DNA", None, None]
    assert field.path == f"{made.path}/A/01/a1f3"


def test_every_pixel_comes_back(made):
    plate = open_plate(made.storage, made.path)
    for key, pixels in made.pixels.items():
        field = plate.field(key.well_id, key.field_id)
        for t in range(2):
            expected = pixels[t].copy()
            for plane in field.missing_planes:
                if plane.t == t:
                    expected[plane.c, plane.z] = 0
            np.testing.assert_array_equal(field.read(t=t), expected)
            np.testing.assert_array_equal(field.read([2, 1], t=t, z=0), expected[[2, 1], :1])


def test_coarse_levels_are_means_of_the_finer(made):
    field = open_plate(made.storage, made.path).field("C12", 3)
    fine = field.read(t=1, level=0)
    for level in (1, 2):
        coarse = np.empty_like(field.read(t=1, level=level))
        halve(fine.reshape(-1, *fine.shape[-2:]), coarse.reshape(-1, *coarse.shape[-2:]))
        np.testing.assert_array_equal(field.read(t=1, level=level), coarse)
        fine = coarse


def test_pixels_can_go_into_an_array_of_the_caller(made, images):
    field = open_plate(made.storage, made.path).field("A01", 3)
    out = np.empty((3, 2, 65, 70), np.uint16)
    assert field.read(out=out) is out
    np.testing.assert_array_equal(out, made.pixels[images.keys[0]][0])
    with pytest.raises(UsageError, match="needed is a contiguous"):
        field.read(out=np.empty((3, 2, 65, 70), np.int32))


@pytest.mark.parametrize("wrong", [{"t": 2}, {"z": 2}, {"z": -1}, {"channels": [3]}, {"level": 3}, {"level": -1}])
def test_what_the_field_does_not_have_is_refused(made, wrong):
    with pytest.raises(UsageError):
        open_plate(made.storage, made.path).field("A01", 3).read(**wrong)


def test_a_missing_plane_is_named_and_not_stored(made, images):
    field = open_plate(made.storage, made.path).field("A01", 7)
    assert field.missing_planes == (images.missing,)
    t, c, z = images.missing
    for level in range(field.levels):
        assert not field.read([c], t=t, z=z, level=level).any()
        assert field.read([c], t=t, z=1 - z, level=level).any()
        with pytest.raises(ValueError, match="NOT_FOUND"):
            engine.array_to_read(field.storage, f"{field.path}/{level}")[t, c, z].read().result()


def test_lost_pixels_are_an_error_and_never_black(spoilt):
    (spoilt.folder / "A/01/a1f3/0/c/1/0/0/0/0").unlink()
    field = open_plate(spoilt.storage, spoilt.path).field("A01", 3)
    assert field.read(t=0).any()
    with pytest.raises(StorageError, match=r"well A01, field 3.*lost or damaged"):
        field.read(t=1)


def test_a_field_with_all_planes_missing_has_no_shard(lake, images):
    pixels = np.ones((1, 2, 1, 32, 32), np.uint16)
    planes = (Plane(0, 0, 0), Plane(0, 1, 0))
    known = images.image_spec(images.keys[0], pixels, missing=planes[:1])
    written = ImageWriter(lake, images.path).write(known, images.reader_of(pixels, without=planes))
    assert written.missing == planes
    assert not [path for path in lake.list(images.path) if "/c/" in path]


def test_planes_known_to_be_missing_are_not_asked_for(lake, images):
    pixels = np.ones((1, 2, 1, 32, 32), np.uint16)
    asked = []

    def read(t, c, z, out):
        asked.append((t, c, z))
        out[:] = 1
        return True

    ImageWriter(lake, images.path).write(images.image_spec(images.keys[0], pixels, missing=(Plane(0, 0, 0),)), read)
    assert asked == [(0, 1, 0)]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32"])
@pytest.mark.parametrize("codec", ["zstd-1", "lz4-5"])
def test_types_and_codecs(lake, images, dtype, codec):
    pixels = (np.random.default_rng(1).random((1, 1, 1, 33, 20)) * 200).astype(dtype)
    key = images.keys[0]
    PlateWriter(lake, images.path, images.plate_spec((key,))).finish()
    ImageWriter(lake, images.path, codec=codec).write(images.image_spec(key, pixels), images.reader_of(pixels))
    field = open_plate(lake, images.path).field(key.well_id, key.field_id)
    np.testing.assert_array_equal(field.read(), pixels[0])
    np.testing.assert_array_equal(field.zarr()[:], pixels)


def test_a_stack_is_cut_into_shards_of_some_planes(lake, images, monkeypatch):
    monkeypatch.setattr(layout, "_SHARD_BYTES", 2 * 2 * 32 * 40 * 2)
    pixels = np.random.default_rng(1).integers(0, 999, (1, 2, 5, 32, 40), dtype=np.uint16)
    key = images.keys[0]
    PlateWriter(lake, images.path, images.plate_spec((key,))).finish()
    without = (Plane(0, 0, 4),)
    ImageWriter(lake, images.path).write(images.image_spec(key, pixels), images.reader_of(pixels, without=without))
    shards = [path for path in lake.list(images.path) if "/0/c/" in path]
    assert len(shards) == 3
    expected = pixels[0].copy()
    expected[0, 4] = 0
    np.testing.assert_array_equal(open_plate(lake, images.path).field("A01", 3).read(), expected)


def test_one_writer_writes_fields_of_different_sizes(lake, images):
    sizes = [(1, 2, 1, 40, 40), (1, 1, 2, 64, 30), (2, 2, 1, 10, 10)]
    keys = tuple(FieldKey("A01", 1, n) for n in range(3))
    PlateWriter(lake, images.path, images.plate_spec(keys)).finish()
    writer = ImageWriter(lake, images.path)
    for key, size in zip(keys, sizes, strict=True):
        pixels = np.random.default_rng(key.field_id).integers(0, 255, size, dtype=np.uint8)
        writer.write(images.image_spec(key, pixels), images.reader_of(pixels))
        field = open_plate(lake, images.path).field("A01", key.field_id)
        np.testing.assert_array_equal(field.read(), pixels[0])


def test_a_field_is_complete_only_at_its_end(lake, images):
    pixels = np.ones((2, 1, 1, 16, 16), np.uint16)
    writer = ImageWriter(lake, images.path)

    def fail(t, c, z, out):
        if t:
            raise KeyboardInterrupt
        out[:] = 1
        return True

    with pytest.raises(KeyboardInterrupt):
        writer.write(images.image_spec(images.keys[0], pixels), fail)
    assert not writer.is_written(images.keys[0])
    writer.write(images.image_spec(images.keys[0], pixels), images.reader_of(pixels))
    assert writer.is_written(images.keys[0])


def test_pixels_are_on_disk_before_the_field_says_it_is_complete(lake, images, synced, monkeypatch):
    pixels = np.ones((1, 1, 1, 16, 16), np.uint16)
    folder = f"{lake.url}/{images.path}/A/01/a1f3"
    at_the_end = []
    original = engine.write_documents

    def write(store, documents):
        if "zarr.json" in documents:
            at_the_end.extend(synced)
        original(store, documents)

    monkeypatch.setattr(engine, "write_documents", write)
    synced.clear()
    ImageWriter(lake, images.path).write(images.image_spec(images.keys[0], pixels), images.reader_of(pixels))
    for level in range(3):
        assert at_the_end.index(f"{folder}/{level}/c/0/0/0/0/0") < at_the_end.index(f"{folder}/{level}/c/0/0/0/0")
        assert f"{folder}/{level}/zarr.json" in at_the_end
    assert synced[-2:] == [f"{folder}/zarr.json", folder]


def test_a_plate_syncs_its_groups_and_not_its_fields_again(lake, images, synced):
    pixels = np.ones((1, 1, 1, 16, 16), np.uint16)
    plate = PlateWriter(lake, images.path, images.plate_spec(images.keys[:1]))
    plate.begin()
    ImageWriter(lake, images.path).write(images.image_spec(images.keys[0], pixels), images.reader_of(pixels))
    synced.clear()
    plate.finish()
    below = [path.removeprefix(f"{lake.url}/{images.path}").lstrip("/") for path in synced]
    assert below == ["zarr.json", "A/zarr.json", "A/01/zarr.json", "A/01", "A", ""]


def test_an_unfinished_plate_is_no_plate(lake, images):
    PlateWriter(lake, images.path, images.plate_spec(images.keys)).begin()
    with pytest.raises(NotFoundError, match="no plate"):
        open_plate(lake, images.path)


def test_what_is_not_there_is_named(made):
    plate = open_plate(made.storage, made.path)
    with pytest.raises(NotFoundError, match="no field 9") as caught:
        plate.field("A01", 9)
    assert caught.value.hint == "its fields are [3, 7]"
    with pytest.raises(NotFoundError) as caught:
        plate.field("B01", 3)
    assert caught.value.hint == "wells with fields: A01, C12"
    with pytest.raises(NotFoundError):
        open_plate(made.storage, "images/none")


def test_channels_and_wells_are_named_as_people_do(made):
    plate = open_plate(made.storage, made.path)
    key = plate.fields()[0]
    field = plate.field(key.well_id, key.field_id, key.acquisition_id)
    unpadded = key.well_id[0].lower() + key.well_id[1:].lstrip("0")
    assert plate.field(unpadded, key.field_id, key.acquisition_id).key == key
    for index, channel in enumerate(field.channels):
        np.testing.assert_array_equal(field.read([channel.name]), field.read([index]))
        if channel.role:
            np.testing.assert_array_equal(field.read([channel.role]), field.read([index]))
    with pytest.raises(NotFoundError, match=f"did you mean '{field.channels[0].name}'"):
        field.read([field.channels[0].name + "x"])
    with pytest.raises(InvalidDataError, match="not a well name"):
        plate.field("first", 1)


def test_damaged_metadata_is_named(spoilt):
    (spoilt.folder / "A/01/a1f3/zarr.json").write_text("{")
    with pytest.raises(StorageError, match=r"a1f3/zarr.json is damaged"):
        open_plate(spoilt.storage, spoilt.path).field("A01", 3)
    (spoilt.folder / "A/01/a1f3/zarr.json").write_text('{"attributes": {"cytolake": {"schema_version": 1}}}')
    with pytest.raises(InvalidDataError, match="not a field that cytolake wrote"):
        open_plate(spoilt.storage, spoilt.path).field("A01", 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "int64"}, "int64 are not stored"),
        ({"channels": ()}, "0 channels are described"),
        ({"shape": (1, 1, 0, 8, 8)}, "has no pixels"),
    ],
)
def test_a_spec_that_does_not_fit_is_refused(lake, images, change, message):
    pixels = np.ones((1, 1, 1, 8, 8), np.uint16)
    with pytest.raises(UsageError, match=message):
        ImageWriter(lake, images.path).write(
            images.image_spec(images.keys[0], pixels, **change), images.reader_of(pixels)
        )


WORKER = """
import os, sys
os.fsync = lambda handle: None
import numpy as np
from cytolake.store.images.model import ChannelSpec, ImageSpec
from cytolake.store.images.writer import ImageWriter
from cytolake.store.storage import open_storage
def read(t, c, z, out):
    out[:] = number
    return True
writer = ImageWriter(open_storage(sys.argv[1]), sys.argv[2])
for number in map(int, sys.argv[3:]):
    writer.write(ImageSpec(well_id="A01", acquisition_id=1, field_id=number, shape=(1, 1, 1, 64, 64),
        dtype="uint16", pixel_size_um=(None, 1.0, 1.0), channels=(ChannelSpec(name="c"),)), read)
"""


def test_several_processes_write_fields_of_one_plate(lake, images):
    keys = tuple(FieldKey("A01", 1, n) for n in range(6))
    plate = PlateWriter(lake, images.path, images.plate_spec(keys))
    plate.begin()
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, lake.url, images.path, *numbers])
        for numbers in (["0", "2", "4"], ["1", "3", "5"])
    ]
    assert [worker.wait() for worker in workers] == [0, 0]
    plate.finish()
    stack = open_plate(lake, images.path).to_dask().compute()
    assert [int(field.max()) for field in stack] == list(range(6))
    assert check_plate(lake, images.path, deep=True) == []


def test_handles_travel(made, images):
    plate = pickle.loads(pickle.dumps(open_plate(made.storage, made.path)))
    field = plate.field("A01", 3)
    field.read()
    again = pickle.loads(pickle.dumps(field))
    np.testing.assert_array_equal(again.read(), made.pixels[images.keys[0]][0])


def test_notebooks_show_a_picture(made):
    plate = open_plate(made.storage, made.path)
    for handle in (plate, plate.field("A01", 7)):
        assert handle._repr_html_().startswith(f'<img alt="{html.escape(repr(handle))}" src="data:image/png;base64,')


def test_dask_has_one_task_per_field(made, images, monkeypatch):
    whole = open_plate(made.storage, made.path).to_dask()
    assert whole.shape == (3, 2, 3, 2, 65, 70)
    assert whole.numblocks == (3, 1, 1, 1, 1, 1)
    opened = []
    original = Plate.field
    monkeypatch.setattr(Plate, "field", lambda *args: opened.append(args[1:]) or original(*args))
    whole.compute()
    assert sorted(opened) == [("A01", 3, 1), ("A01", 7, 1), ("C12", 3, 1)]
    np.testing.assert_array_equal(whole[0].compute(), made.pixels[images.keys[0]])
    assert open_plate(made.storage, made.path).to_dask(level=2).shape[-2:] == (17, 18)
    with pytest.raises(NotFoundError):
        open_plate(made.storage, made.path).to_dask(acquisition_id=2)


def test_zarr_hands_out_the_same_pixels(made, images):
    array = open_plate(made.storage, made.path).field("A01", 3).zarr()
    np.testing.assert_array_equal(array[:], made.pixels[images.keys[0]])
    assert array.metadata.dimension_names == ("t", "c", "z", "y", "x")
    assert array.read_only


class CountingStore:
    """Counts what is read through the seam."""

    def __init__(self, monkeypatch):
        self.documents = 0
        original = engine.read_document

        def read(store, key):
            self.documents += 1
            return original(store, key)

        monkeypatch.setattr(engine, "read_document", read)


def test_opening_a_plate_reads_one_document_and_a_field_one_more(made, monkeypatch):
    counted = CountingStore(monkeypatch)
    plate = open_plate(made.storage, made.path)
    plate.fields()
    assert counted.documents == 1
    field = plate.field("A01", 3)
    assert counted.documents == 2
    field.read()
    assert counted.documents == 2 + field.levels


def test_a_full_disk_is_said_so(lake, images, monkeypatch):
    pixels = np.ones((1, 1, 1, 8, 8), np.uint16)

    class Full:
        def __getitem__(self, _):
            return self

        def write(self, *_, **__):
            raise ValueError("RESOURCE_EXHAUSTED: Failed to write: [OS error 28: ENOSPC No space left on device]")

    monkeypatch.setattr(engine, "array_to_write", lambda *_: Full())
    with pytest.raises(StorageError, match="no space left") as caught:
        ImageWriter(lake, images.path).write(images.image_spec(images.keys[0], pixels), images.reader_of(pixels))
    assert "free some space" in caught.value.hint


def test_memory_does_not_grow_with_the_number_of_fields(tmp_path):
    """Peak memory after 36 large fields is that after twelve, within 100 MB; until then the allocator warms up.

    What is written in between is 280 MB of pixels: a writer that kept them would show.
    """
    code = """
    import os, sys
    os.fsync = lambda handle: None
    import numpy as np
    from cytolake.store.images.model import ChannelSpec, ImageSpec
    from cytolake.store.images.writer import ImageWriter
    from cytolake.store.storage import open_storage
    plane = np.random.default_rng(0).integers(0, 4000, (1080, 1080), dtype=np.uint16)
    def read(t, c, z, out):
        out[:] = plane
        return True
    writer = ImageWriter(open_storage(sys.argv[1]), "plate")
    channels = tuple(ChannelSpec(name=str(c)) for c in range(5))
    for n in range(36):
        writer.write(ImageSpec(well_id="A01", acquisition_id=1, field_id=n % 4, shape=(1, 5, 1, 1080, 1080),
            dtype="uint16", pixel_size_um=(None, 0.3, 0.3), channels=channels), read)
        if n in (11, 35):
            # not ru_maxrss, which a process inherits from the one that starts it
            print(next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True, check=True
    )
    early, late = map(int, done.stdout.split())
    assert late - early < 100
    assert late < 500
