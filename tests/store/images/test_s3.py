"""The same plate in a bucket: every way of writing and reading, against a local S3 server."""

from __future__ import annotations

import numpy as np
import pytest
from cytolake.errors import StorageError
from cytolake.store.images.check import check_plate
from cytolake.store.images.plate import open_plate
from cytolake.store.storage import open_storage


def test_a_plate_lives_in_a_bucket(s3_url, images):
    made = images.make_plate(open_storage(s3_url))
    plate = open_plate(made.storage, made.path)
    field = plate.field("A01", 3)
    np.testing.assert_array_equal(field.read(t=1), made.pixels[images.keys[0]][1])
    np.testing.assert_array_equal(field.zarr()[:], made.pixels[images.keys[0]])
    np.testing.assert_array_equal(plate.to_dask()[2, 0].compute(), made.pixels[images.keys[2]][0])
    assert field.labels() == ["cells_0123abcd", "nuclei_0123abcd"]
    np.testing.assert_array_equal(field.read_label("nuclei_0123abcd", t=1), made.labels[1])
    assert check_plate(made.storage, made.path, deep=True) == []

    shard = f"{field.path}/0/c/0/0/0/0/0"
    made.storage.write(shard, made.storage.read(shard)[:-50])
    assert {problem.code for problem in check_plate(made.storage, made.path)} == {"shard-cut-off"}
    made.storage.delete(shard)
    assert [problem.where for problem in check_plate(made.storage, made.path)] == [shard]
    with pytest.raises(StorageError, match="lost or damaged"):
        plate.field("A01", 3).read()
