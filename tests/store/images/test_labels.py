"""Label images: written whole, listed last, replaced in place."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from cytolake.errors import NotFoundError, StorageError, UsageError
from cytolake.store.images import engine, labels
from cytolake.store.images.labels import label_source, remove_label, write_label
from cytolake.store.images.plate import open_plate


@pytest.fixture
def field(spoilt):
    return open_plate(spoilt.storage, spoilt.path).field("C12", 3)


def objects(value=1):
    labels = np.zeros((2, 65, 70), np.int32)
    labels[:, 3:9, 3:9] = value
    return labels


def test_labels_come_back(made):
    field = open_plate(made.storage, made.path).field("A01", 3)
    assert field.labels() == ["cells_0123abcd", "nuclei_0123abcd"]
    for t in range(2):
        got = field.read_label("nuclei_0123abcd", t=t)
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, made.labels[t])
    np.testing.assert_array_equal(field.read_label("cells_0123abcd", level=2), made.labels[0, ::4, ::4])
    assert label_source(field, "nuclei_0123abcd") == {"method": "planted"}


def test_a_field_without_labels_has_none(field):
    assert field.labels() == []
    with pytest.raises(NotFoundError, match="no labels 'nuclei'"):
        field.read_label("nuclei")


def test_one_time_point_may_come_as_a_plane(lake, images):
    from cytolake.store.images.writer import ImageWriter, PlateWriter

    pixels = np.ones((1, 1, 1, 20, 30), np.uint16)
    PlateWriter(lake, images.path, images.plate_spec(images.keys[:1])).finish()
    ImageWriter(lake, images.path).write(images.image_spec(images.keys[0], pixels), images.reader_of(pixels))
    field = open_plate(lake, images.path).field("A01", 3)
    plane = np.eye(20, 30, dtype=np.int64)
    write_label(field, "nuclei_1", plane, source={})
    np.testing.assert_array_equal(field.read_label("nuclei_1"), plane)


def volumes(value=1):
    labels = np.zeros((2, 2, 65, 70), np.int32)
    labels[:, 1, 3:9, 3:9] = value
    labels[1, 0, 40:60, 20:31] = 7
    return labels


def test_labels_of_a_stack_come_back_whole_and_plane_by_plane(field):
    objects = volumes()
    write_label(field, "nuclei_1", objects, source={"run": 1})
    assert field.label_planes("nuclei_1") == 2
    for t in range(2):
        np.testing.assert_array_equal(field.read_label("nuclei_1", t=t), objects[t])
        np.testing.assert_array_equal(field.read_label("nuclei_1", t=t, z=1), objects[t, 1])
    np.testing.assert_array_equal(field.read_label("nuclei_1", level=2), objects[0, :, ::4, ::4])
    with pytest.raises(UsageError, match="2 planes, not z=2"):
        field.read_label("nuclei_1", z=2)


def test_labels_of_a_projection_have_one_plane(field):
    write_label(field, "nuclei_1", objects(), source={})
    assert field.label_planes("nuclei_1") == 1
    np.testing.assert_array_equal(field.read_label("nuclei_1", z=0), field.read_label("nuclei_1"))
    with pytest.raises(UsageError, match="1 planes, not z=1"):
        field.read_label("nuclei_1", z=1)


def test_labels_of_a_stack_take_the_place_of_those_of_its_projection_and_back(field):
    folder = Path(field.storage.uri(f"{field.path}/labels/nuclei_1"))
    for written in (objects(), volumes(), objects(2)):
        write_label(field, "nuclei_1", written, source={})
        np.testing.assert_array_equal(field.read_label("nuclei_1", t=1), written[1])
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        write_label(field, "nuclei_1", written, source={})
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_labels_of_a_long_stack_lie_in_several_files(lake, images, monkeypatch):
    from cytolake.store.images import layout
    from cytolake.store.images.check import check_plate
    from cytolake.store.images.writer import ImageWriter, PlateWriter

    pixels = np.ones((1, 1, 7, 20, 30), np.uint16)
    plate = PlateWriter(lake, images.path, images.plate_spec(images.keys[:1]))
    plate.begin()
    ImageWriter(lake, images.path).write(images.image_spec(images.keys[0], pixels), images.reader_of(pixels))
    plate.finish()
    field = open_plate(lake, images.path).field("A01", 3)
    monkeypatch.setattr(layout, "_SHARD_BYTES", 3 * 20 * 30 * 4)
    numbers = np.arange(7 * 20 * 30).reshape(1, 7, 20, 30)
    write_label(field, "nuclei_1", numbers, source={})
    assert len(list(Path(field.storage.uri(field.path)).glob("labels/nuclei_1/0/c/0/0/*"))) == 3
    np.testing.assert_array_equal(field.read_label("nuclei_1"), numbers[0])
    assert check_plate(lake, images.path, deep=True) == []


def test_writing_again_replaces_all_of_it(field):
    write_label(field, "nuclei_1", objects(1), source={"run": 1})
    before = sorted(field.storage.list(field.path))
    write_label(field, "nuclei_1", objects(2), source={"run": 2})
    assert sorted(field.storage.list(field.path)) == before
    assert field.labels() == ["nuclei_1"]
    assert field.read_label("nuclei_1", t=1).max() == 2
    assert label_source(field, "nuclei_1") == {"run": 2}


def test_the_same_labels_twice_change_no_file(field):
    write_label(field, "nuclei_1", objects(), source={"run": 1})
    folder = Path(field.storage.uri(field.path))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    write_label(field, "nuclei_1", objects(), source={"run": 1})
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_the_same_labels_of_another_run_change_only_their_source(field):
    write_label(field, "nuclei_1", objects(), source={"run": 1})
    shard = Path(field.storage.uri(f"{field.path}/labels/nuclei_1/0/c/0/0/0/0/0"))
    before = shard.stat().st_mtime_ns
    write_label(field, "nuclei_1", objects(), source={"run": 2})
    assert shard.stat().st_mtime_ns == before
    assert label_source(field, "nuclei_1") == {"run": 2}


def test_readers_never_see_a_mixture_of_old_and_new(field, monkeypatch):
    write_label(field, "nuclei_1", objects(1), source={})
    original = engine.array_to_write
    listed = []

    def spy(*args):
        listed.append(field.labels())
        return original(*args)

    monkeypatch.setattr(engine, "array_to_write", spy)
    write_label(field, "nuclei_1", objects(2), source={})
    assert listed == [[]] * field.levels
    assert field.labels() == ["nuclei_1"]


def test_damaged_labels_are_replaced(field):
    write_label(field, "nuclei_1", objects(), source={})
    field.storage.delete(f"{field.path}/labels/nuclei_1/0/c/0/0/0/0/0")
    write_label(field, "nuclei_1", objects(), source={})
    assert field.read_label("nuclei_1").max() == 1


@pytest.mark.parametrize("step", ["array_to_write", "sync_tree"])
def test_an_interrupted_write_is_not_listed_and_can_be_repeated(field, monkeypatch, step):
    write_label(field, "cells_1", objects(5), source={})
    with monkeypatch.context() as patch:
        patch.setattr(engine, step, lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write_label(field, "nuclei_1", objects(), source={})
    assert field.labels() == ["cells_1"]
    write_label(field, "nuclei_1", objects(), source={})
    assert field.labels() == ["cells_1", "nuclei_1"]
    assert field.read_label("nuclei_1").max() == 1


def test_labels_of_another_layout_make_room(field):
    write_label(field, "nuclei_1", objects(1), source={})
    place = f"{field.path}/labels/nuclei_1/0/zarr.json"
    document = json.loads(field.storage.read(place))
    document["shape"][-1] = 11
    field.storage.write(place, json.dumps(document).encode())
    field.storage.write(f"{field.path}/labels/nuclei_1/0/c/9/0/0/0/0", b"left over")
    write_label(field, "nuclei_1", objects(2), source={})
    assert field.read_label("nuclei_1").max() == 2
    assert not field.storage.exists(f"{field.path}/labels/nuclei_1/0/c/9/0/0/0/0")


def test_removing(field):
    write_label(field, "nuclei_1", objects(), source={})
    write_label(field, "cells_1", objects(), source={})
    remove_label(field, "nuclei_1")
    remove_label(field, "nuclei_1")
    assert field.labels() == ["cells_1"]
    assert not field.storage.exists(f"{field.path}/labels/nuclei_1")


def test_writers_at_the_same_time_keep_each_other_on_the_list(field):
    names = [f"set{n}_1" for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: write_label(field, name, objects(), source={}), names))
    assert field.labels() == names


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((65, 70), np.int32),
        np.zeros((2, 65, 71), np.int32),
        np.zeros((2, 3, 65, 70), np.int32),
        np.zeros((1, 2, 65, 70), np.int32),
        np.zeros(70, np.int32),
        np.zeros((2, 65, 70), np.float32),
        np.full((2, 65, 70), -1),
        np.full((2, 65, 70), 2**31),
    ],
)
def test_labels_that_do_not_fit_are_refused(field, wrong):
    with pytest.raises(UsageError):
        write_label(field, "nuclei_1", wrong, source={})
    assert field.labels() == []


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b"])
def test_a_name_that_is_no_word_is_refused(field, name):
    with pytest.raises(UsageError, match="no name for labels"):
        write_label(field, name, objects(), source={})


def test_a_refusing_store_is_said_so(field, monkeypatch):
    class Full:
        def __getitem__(self, _):
            return self

        def write(self, *_):
            raise ValueError("No space left on device")

    monkeypatch.setattr(labels.engine, "array_to_write", lambda *_: Full())
    with pytest.raises(StorageError, match="no space left"):
        write_label(field, "nuclei_1", objects(), source={})
    assert field.labels() == []
