"""Our own check: a good plate has no problems, and each planted defect is found."""

from __future__ import annotations

import json
import os
import random
import shutil

import numpy as np
import pytest
from cytolake.store.images import engine, layout, ngff
from cytolake.store.images.check import check_plate

IMAGE = "A/01/a1f3"
SHARD = f"{IMAGE}/0/c/1/0/0/0/0"


def edit(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def cut(path, keep):
    os.truncate(path, keep)


def spoil(path):
    """Overwrite the head of the first chunk."""
    with path.open("r+b") as file:
        file.write(bytes(16))


def ours(document):
    return document["attributes"]["cytolake"]


def ome(document):
    return document["attributes"]["ome"]


def rewrite(made, where, pixels):
    """Put other pixels where a level is."""
    document = json.loads((made.folder / where / "zarr.json").read_text())
    engine.array_to_write(made.storage, f"{made.path}/{where}", document).write(pixels).result()


def call_missing_present(made):
    edit(made.folder / "A/01/a1f7/zarr.json", lambda d: ours(d).update(missing_planes=[]))


def call_present_missing(made):
    edit(made.folder / f"{IMAGE}/zarr.json", lambda d: ours(d).update(missing_planes=[[0, 0, 0]]))


def other_dtype(made):
    shapes = layout.level_shapes((2, 3, 2, 65, 70))
    document = layout.array_document(shapes[1], "uint8", depth=2)
    (made.folder / f"{IMAGE}/1/zarr.json").write_text(json.dumps(document))


def other_label_dtype(made):
    edit(made.folder / f"{IMAGE}/labels/cells_0123abcd/0/zarr.json", lambda d: d.update(data_type="float32"))


def rename_level(made):
    image = made.folder / "C/12/a1f3"
    (image / "2").rename(image / "two")
    edit(image / "zarr.json", lambda d: ome(d)["multiscales"][0]["datasets"][2].update(path="two"))


def fewer_channels(made):
    def drop(document):
        ours(document)["channels"].pop()
        ome(document)["omero"]["channels"].pop()

    edit(made.folder / f"{IMAGE}/zarr.json", drop)


DEFECTS = {
    "plate-missing": lambda m: (m.folder / "zarr.json").unlink(),
    "plate-invalid": lambda m: (m.folder / "zarr.json").write_text("not json"),
    "row-missing": lambda m: (m.folder / "A/zarr.json").unlink(),
    "row-unreadable": lambda m: (m.folder / "A/zarr.json").write_text("{"),
    "well-missing": lambda m: (m.folder / "A/01/zarr.json").unlink(),
    "well-unreadable": lambda m: (m.folder / "A/01/zarr.json").write_bytes(b"\xff"),
    "well-index": lambda m: edit(m.folder / "zarr.json", lambda d: ome(d)["plate"]["wells"][0].update(columnIndex=4)),
    "well-list": lambda m: edit(m.folder / "zarr.json", lambda d: ome(d)["plate"]["wells"].pop()),
    "acquisition-unknown": lambda m: edit(m.folder / "zarr.json", lambda d: ome(d)["plate"].update(acquisitions=[])),
    "acquisition-number": lambda m: edit(
        m.folder / "zarr.json", lambda d: ome(d)["plate"]["acquisitions"].append({"id": 0})
    ),
    "field-list": lambda m: edit(m.folder / "A/01/zarr.json", lambda d: ome(d)["well"]["images"].pop()),
    "image-missing": lambda m: shutil.rmtree(m.folder / IMAGE),
    "image-invalid": lambda m: edit(m.folder / f"{IMAGE}/zarr.json", lambda d: ome(d).pop("omero")),
    "image-unreadable": lambda m: (m.folder / f"{IMAGE}/zarr.json").write_text("[]"),
    "image-identity": lambda m: edit(m.folder / f"{IMAGE}/zarr.json", lambda d: ours(d).update(field_id=4)),
    "level-paths": rename_level,
    "level-missing": lambda m: (m.folder / f"{IMAGE}/1/zarr.json").unlink(),
    "level-unreadable": lambda m: (m.folder / f"{IMAGE}/1/zarr.json").write_text(""),
    "level-invalid": lambda m: (m.folder / f"{IMAGE}/1/zarr.json").write_text(json.dumps(ngff.group())),
    "level-dtype": other_dtype,
    "level-shape": lambda m: edit(m.folder / f"{IMAGE}/1/zarr.json", lambda d: d.update(shape=[2, 3, 2, 33, 34])),
    "channel-count": fewer_channels,
    "layout": lambda m: edit(m.folder / f"{IMAGE}/1/zarr.json", lambda d: d.update(codecs=[])),
    "missing-planes": lambda m: edit(
        m.folder / f"{IMAGE}/zarr.json", lambda d: ours(d).update(missing_planes=[[0, 9, 0]])
    ),
    "shard-missing": lambda m: (m.folder / SHARD).unlink(),
    "shard-cut-off": lambda m: cut(m.folder / SHARD, (m.folder / SHARD).stat().st_size - 1000),
    "plane-lost": call_missing_present,
    "plane-invented": call_present_missing,
    "plate-metadata": lambda m: edit(m.folder / "zarr.json", lambda d: ome(d)["plate"].pop("version")),
    "row-metadata": lambda m: edit(m.folder / "A/zarr.json", lambda d: d.update(node_type="array")),
    "well-metadata": lambda m: edit(m.folder / "A/01/zarr.json", lambda d: ome(d).pop("version")),
    "well-invalid": lambda m: edit(m.folder / "A/01/zarr.json", lambda d: ome(d).pop("well")),
    "image-metadata": lambda m: edit(
        m.folder / f"{IMAGE}/zarr.json",
        lambda d: ome(d)["multiscales"][0]["datasets"][1]["coordinateTransformations"][0].update(scale=[1] * 5),
    ),
    "labels-metadata": lambda m: edit(m.folder / f"{IMAGE}/labels/zarr.json", lambda d: ome(d).pop("version")),
    "label-metadata": lambda m: edit(
        m.folder / f"{IMAGE}/labels/cells_0123abcd/zarr.json", lambda d: ome(d).pop("image-label")
    ),
    "label-invalid": lambda m: edit(
        m.folder / f"{IMAGE}/labels/cells_0123abcd/zarr.json", lambda d: d.pop("attributes")
    ),
    "labels-unreadable": lambda m: (m.folder / f"{IMAGE}/labels/zarr.json").write_text("{"),
    "label-missing": lambda m: shutil.rmtree(m.folder / f"{IMAGE}/labels/nuclei_0123abcd"),
    "label-level-missing": lambda m: shutil.rmtree(m.folder / f"{IMAGE}/labels/nuclei_0123abcd/1"),
    "label-dtype": other_label_dtype,
    "label-shape": lambda m: edit(
        m.folder / f"{IMAGE}/labels/nuclei_0123abcd/0/zarr.json", lambda d: d.update(shape=[2, 1, 1, 65, 71])
    ),
}

DEEP_DEFECTS = {
    "pixels-unreadable": lambda m: spoil(m.folder / SHARD),
    "pyramid-differs": lambda m: rewrite(m, f"{IMAGE}/2", np.ones((2, 3, 2, 17, 18), np.uint16)),
}


@pytest.mark.parametrize("deep", [False, True])
def test_a_good_plate_has_no_problems(made, deep):
    steps = []
    assert check_plate(made.storage, made.path, deep=deep, progress=lambda *n: steps.append(n)) == []
    assert steps == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("code", DEFECTS)
def test_a_defect_is_found(spoilt, code):
    DEFECTS[code](spoilt)
    problems = check_plate(spoilt.storage, spoilt.path)
    assert code in {problem.code for problem in problems}
    assert len(problems) <= 6
    for problem in problems:
        assert problem.where.startswith(spoilt.path)
        assert problem.message


@pytest.mark.parametrize("code", DEEP_DEFECTS)
def test_a_defect_of_pixels_is_found_by_the_deep_check(spoilt, code):
    DEEP_DEFECTS[code](spoilt)
    assert check_plate(spoilt.storage, spoilt.path) == []
    problems = check_plate(spoilt.storage, spoilt.path, deep=True)
    assert {problem.code for problem in problems} == {code}


def test_attributes_of_others_do_no_harm(spoilt):
    edit(spoilt.folder / "zarr.json", lambda d: d["attributes"].update(viewer={"zoom": 3}))
    edit(spoilt.folder / f"{IMAGE}/zarr.json", lambda d: d["attributes"].update(viewer=1))
    assert check_plate(spoilt.storage, spoilt.path) == []


def places(value, path=()):
    """All paths into a JSON value but the root."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield (*path, key)
        yield from places(below, (*path, key))


@pytest.mark.parametrize("seed", range(6))
def test_no_damaged_document_stops_the_check(spoilt, seed):
    chance = random.Random(seed)
    documents = sorted(spoilt.folder.rglob("zarr.json"))
    for _ in range(12):
        path = chance.choice(documents)
        text = path.read_text()
        document = json.loads(text)
        *above, last = chance.choice(sorted(places(document), key=str))
        holder = document
        for key in above:
            holder = holder[key]
        holder[last] = chance.choice([None, -1, 1.5, 10**30, "x", [], {}, True, [1, 2]])
        path.write_text(json.dumps(document))
        assert all(problem.message for problem in check_plate(spoilt.storage, spoilt.path))
        path.write_text(text)


@pytest.mark.parametrize("keep", [0, 50, 300])
def test_a_shard_cut_off_anywhere_is_found_without_decoding(spoilt, keep):
    cut(spoilt.folder / SHARD, keep)
    codes = {problem.code for problem in check_plate(spoilt.storage, spoilt.path)}
    assert codes == {"shard-cut-off"}


def test_a_damaged_label_is_found_by_the_deep_check(spoilt):
    spoil(spoilt.folder / f"{IMAGE}/labels/nuclei_0123abcd/0/c/0/0/0/0/0")
    problems = check_plate(spoilt.storage, spoilt.path, deep=True)
    assert [problem.code for problem in problems] == ["pixels-unreadable"]
