"""The NGFF codec: what the documents must say, without any file."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cytolake.errors import InvalidDataError
from cytolake.store.images import ngff
from cytolake.store.images.model import AcquisitionSpec, ChannelSpec, FieldKey, Plane, Window


@pytest.mark.parametrize(("row", "name"), [(1, "A"), (16, "P"), (26, "Z"), (27, "AA"), (32, "AF"), (53, "BA")])
def test_rows_are_named_like_a_plate(row, name):
    assert ngff.row_name(row) == name


@pytest.mark.parametrize("well", ["a01", "A1", "A001", "", "01A", "A01/", "../A01"])
def test_only_canonical_well_names_become_paths(well):
    with pytest.raises(InvalidDataError, match="not a well name"):
        ngff.well_path(well)


def test_a_sparse_plate_lists_all_rows_and_columns(images):
    spec = images.plate_spec((FieldKey("AF48", 1, 9), FieldKey("B03", 1, 2)), n_rows=32, n_columns=48)
    body = ngff.plate(spec)["attributes"]["ome"]["plate"]
    assert len(body["rows"]) == 32
    assert len(body["columns"]) == 48
    assert body["version"] == "0.5"
    assert body["wells"] == [
        {"path": "B/03", "rowIndex": 1, "columnIndex": 2},
        {"path": "AF/48", "rowIndex": 31, "columnIndex": 47},
    ]
    assert body["acquisitions"][0] == {"id": 1, "name": "run", "maximumfieldcount": 1, "starttime": 1767312000}


def test_a_plate_survives_the_way_there_and_back(images):
    spec = images.plate_spec(images.keys)
    back, _ = ngff.parse_plate(json.loads(json.dumps(ngff.plate(spec))), "here")
    assert back == spec


def test_a_well_outside_the_plate_is_refused(images):
    with pytest.raises(InvalidDataError, match=r"I01 lies outside plate 'plate one' of 8 × 12"):
        ngff.plate(images.plate_spec((FieldKey("I01", 1, 1),)))


def test_acquisitions_count_from_one(images):
    spec = images.plate_spec(images.keys, acquisitions=(AcquisitionSpec(acquisition_id=0),))
    with pytest.raises(InvalidDataError, match="count from 1"):
        ngff.plate(spec)


def test_an_image_survives_the_way_there_and_back(images):
    key = FieldKey("B03", 2, 17)
    window = Window(0, 4095, 10, 900)
    spec = images.image_spec(
        key,
        np.zeros((1, 2, 3, 8, 8), np.uint16),
        channels=(ChannelSpec(name="HOECHST", role="DNA", color="0000FF"), ChannelSpec(name="x", color="FFFFFF")),
        time_interval_s=60.0,
    )
    document = ngff.image(spec, levels=3, windows=[window, window], missing={Plane(0, 1, 2)})
    back = ngff.parse_image(json.loads(json.dumps(document)), "here")
    assert back.key == key
    assert back.missing == (Plane(0, 1, 2),)
    assert back.levels == ("0", "1", "2")
    assert (back.stage_um, back.pixel_size_um, back.time_interval_s) == ((100, -50, 7), (2, 0.25, 0.5), 60)
    assert [(c.name, c.role, c.color, c.window) for c in back.channels] == [
        ("HOECHST", "DNA", "0000FF", window),
        ("x", None, "FFFFFF", window),
    ]


def test_coarse_levels_are_shifted_by_half_a_pixel(images):
    spec = images.image_spec(FieldKey("A01", 1, 1), np.zeros((1, 1, 1, 8, 8), np.uint16))
    document = ngff.image(spec, levels=3, windows=[Window(0, 1, 0, 1)], missing=())
    transforms = [
        dataset["coordinateTransformations"] for dataset in document["attributes"]["ome"]["multiscales"][0]["datasets"]
    ]
    assert [t[0]["scale"] for t in transforms] == [
        [1, 1, 2, 0.25, 0.5],
        [1, 1, 2, 0.5, 1.0],
        [1, 1, 2, 1.0, 2.0],
    ]
    # Stage x = 100, y = -50; a pixel of level n starts (px_n - px_0) / 2 further in.
    assert [t[1]["translation"] for t in transforms] == [
        [0, 0, 7, -50, 100],
        [0, 0, 7, -49.875, 100.25],
        [0, 0, 7, -49.625, 100.75],
    ]


def test_time_has_a_unit_only_when_its_interval_is_known():
    assert "unit" not in ngff.axes(timed=False)[0]
    assert ngff.axes(timed=True)[0]["unit"] == "second"


def test_a_newer_layout_is_refused(images):
    document = ngff.plate(images.plate_spec(images.keys))
    document["attributes"]["cytolake"]["schema_version"] = 99
    with pytest.raises(InvalidDataError, match="version 99"):
        ngff.parse_plate(document, "here")


@pytest.mark.parametrize("document", [{}, {"attributes": {}}, {"attributes": {"ome": {"plate": {}}}}])
def test_what_is_no_plate_of_ours_is_refused(document):
    with pytest.raises(InvalidDataError, match="not a plate that cytolake wrote"):
        ngff.parse_plate(document, "here")
