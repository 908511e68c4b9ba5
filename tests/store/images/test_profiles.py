"""Profiles kept with a plate: whole or not there, and in nobody's way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from cytolake.errors import InvalidDataError, NotFoundError, StorageError, UsageError
from cytolake.store.images import engine
from cytolake.store.images.check import check_plate
from cytolake.store.images.plate import open_plate
from cytolake.store.images.profiles import (
    StoredProfile,
    read_profile,
    remove_profiles,
    stored_profiles,
    write_profile,
)
from cytolake.store.storage import open_storage

NAME = "basic-0123abcd"


@pytest.fixture
def plate(spoilt):
    return open_plate(spoilt.storage, spoilt.path)


def stored(value=1.0, *, name=NAME, channel=1, **changes):
    profile = np.linspace(0.5, 1.5, 65 * 70, dtype=np.float32).reshape(65, 70) * np.float32(value)
    facts = {"name": name, "acquisition_id": 1, "channel_index": channel, "profile": profile, "about": {"images": 20}}
    return StoredProfile(**(facts | changes))


def test_a_profile_comes_back(plate):
    path = write_profile(plate, stored())
    assert path == f"{plate.path}/cytolake/illumination/{NAME}/a1c1"
    got = read_profile(plate, NAME, channel_index=1)
    np.testing.assert_array_equal(got.profile, stored().profile)
    assert got.profile.dtype == np.float32
    assert got.about == {"images": 20}
    assert stored_profiles(plate) == [(NAME, 1, 1)]
    np.testing.assert_array_equal(zarr.open_group(plate.storage.uri(plate.path), mode="r")[
        f"cytolake/illumination/{NAME}/a1c1/profile"][:], stored().profile)  # fmt: skip


def test_that_there_is_none_can_be_kept_too(plate):
    write_profile(plate, stored(profile=None, about={"reason": "15 images"}))
    got = read_profile(plate, NAME, channel_index=1)
    assert got.profile is None
    assert got.about == {"reason": "15 images"}


def test_the_plate_is_as_good_as_before(plate):
    fields = plate.fields()
    write_profile(plate, stored())
    assert check_plate(plate.storage, plate.path, deep=True) == []
    again = open_plate(plate.storage, plate.path)
    assert again.fields() == fields
    assert again.wells == ["A01", "C12"]


def test_the_same_name_is_written_once(plate):
    path = write_profile(plate, stored())
    folder = Path(plate.storage.uri(path))
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    write_profile(plate, stored())
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before


def test_names_and_channels_lie_side_by_side(plate):
    other = "cellprofiler-00000000"
    for one in (stored(2.0, channel=0), stored(), stored(3.0, name=other)):
        write_profile(plate, one)
    assert stored_profiles(plate) == [(NAME, 1, 0), (NAME, 1, 1), (other, 1, 1)]
    remove_profiles(plate, NAME)
    assert stored_profiles(plate) == [(other, 1, 1)]
    np.testing.assert_array_equal(read_profile(plate, other, channel_index=1).profile, stored(3.0).profile)


@pytest.mark.parametrize("step", ["array_to_write", "sync_tree", "write_documents"])
def test_an_interrupted_write_leaves_no_profile_and_can_be_repeated(plate, monkeypatch, step):
    with monkeypatch.context() as patch:
        patch.setattr(engine, step, lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write_profile(plate, stored())
    assert stored_profiles(plate) == []
    assert check_plate(plate.storage, plate.path) == []
    with pytest.raises(NotFoundError, match="has no profile"):
        read_profile(plate, NAME, channel_index=1)
    write_profile(plate, stored())
    np.testing.assert_array_equal(read_profile(plate, NAME, channel_index=1).profile, stored().profile)


def test_a_profile_that_lost_its_pixels_is_refused_and_mended(plate):
    path = write_profile(plate, stored())
    plate.storage.delete(f"{path}/profile/c/0/0")
    with pytest.raises(StorageError, match="lost or damaged"):
        read_profile(plate, NAME, channel_index=1)
    write_profile(plate, stored())
    np.testing.assert_array_equal(read_profile(plate, NAME, channel_index=1).profile, stored().profile)


def test_somebody_elses_group_is_refused(plate):
    path = write_profile(plate, stored())
    plate.storage.write(f"{path}/zarr.json", b'{"zarr_format": 3, "node_type": "group"}')
    with pytest.raises(InvalidDataError, match="no illumination profile"):
        read_profile(plate, NAME, channel_index=1)


@pytest.mark.parametrize("name", ["basic", "../../../x-0123abcd", "basic-0123ABCD", ""])
def test_names_are_checked(plate, name):
    with pytest.raises(UsageError, match="no name"):
        write_profile(plate, stored(name=name))
    with pytest.raises(UsageError, match="no name"):
        remove_profiles(plate, name)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_pixels_cannot_be_divided_by_everything(plate, value):
    with pytest.raises(UsageError, match="above 0"):
        write_profile(plate, stored(value))


def test_in_a_bucket(s3_url, images):
    made = images.make_plate(open_storage(s3_url), labels=False)
    plate = open_plate(made.storage, made.path)
    write_profile(plate, stored())
    write_profile(plate, stored())
    assert stored_profiles(plate) == [(NAME, 1, 1)]
    np.testing.assert_array_equal(read_profile(plate, NAME, channel_index=1).profile, stored().profile)
    assert check_plate(made.storage, made.path) == []
    remove_profiles(plate, NAME)
    assert stored_profiles(plate) == []
