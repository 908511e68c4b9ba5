"""A small plate with everything in it: two wells, two time points, odd sizes, a missing plane, two label images."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cytolake.store.images import engine
from cytolake.store.images.labels import write_label
from cytolake.store.images.model import AcquisitionSpec, ChannelSpec, FieldKey, ImageSpec, Plane, PlateSpec
from cytolake.store.images.plate import open_plate
from cytolake.store.images.writer import ImageWriter, PlateWriter, ReadPlane
from cytolake.store.storage import Storage, open_storage
from numpy.typing import NDArray

PATH = "images/study/plate.ome.zarr"
KEYS = (FieldKey("A01", 1, 3), FieldKey("A01", 1, 7), FieldKey("C12", 1, 3))
MISSING = Plane(1, 1, 0)


def reader_of(pixels: NDArray[Any], *, without: tuple[Plane, ...] = ()) -> ReadPlane:
    """Planes of an array (t, c, z, y, x), but for some that cannot be read."""

    def read(t: int, c: int, z: int, out: NDArray[Any]) -> bool:
        if (t, c, z) in without:
            out[:3] = 77  # a reader that fails half way
            return False
        out[:] = pixels[t, c, z]
        return True

    return read


def image_spec(key: FieldKey, pixels: NDArray[Any], **changes: Any) -> ImageSpec:
    facts: dict[str, Any] = {
        "shape": pixels.shape,
        "dtype": pixels.dtype.name,
        "pixel_size_um": (2.0, 0.25, 0.5),
        "stage_um": (100.0, -50.0, 7.0),
        "channels": tuple(
            ChannelSpec(name=f"channel {c}", role="DNA" if c == 0 else None, color="00FFFF")
            for c in range(pixels.shape[1])
        ),
    }
    return ImageSpec(**key._asdict(), **(facts | changes))


def plate_spec(keys: tuple[FieldKey, ...], **changes: Any) -> PlateSpec:
    facts: dict[str, Any] = {
        "name": "plate one",
        "n_rows": 8,
        "n_columns": 12,
        "acquisitions": (AcquisitionSpec(acquisition_id=1, name="run", started_at=datetime(2026, 1, 2, tzinfo=UTC)),),
        "images": keys,
        "attributes": {"batch": "7"},
    }
    return PlateSpec(**(facts | changes))


@dataclass(frozen=True)
class Made:
    """A plate, and what was put into it."""

    storage: Storage
    path: str
    pixels: Mapping[FieldKey, NDArray[np.uint16]]
    labels: NDArray[np.int32]

    @property
    def folder(self) -> Path:
        return Path(self.storage.uri(self.path))


def make_plate(storage: Storage, *, labels: bool = True) -> Made:
    rng = np.random.default_rng(5)
    pixels = {key: rng.integers(0, 4000, (2, 3, 2, 65, 70), dtype=np.uint16) for key in KEYS}
    plate = PlateWriter(storage, PATH, plate_spec(KEYS))
    plate.begin()
    writer = ImageWriter(storage, PATH)
    for key, own in pixels.items():
        without = (MISSING,) if key == KEYS[1] else ()
        writer.write(image_spec(key, own), reader_of(own, without=without))
    plate.finish()
    objects = np.zeros((2, 65, 70), np.int32)
    objects[0, 5:20, 5:20] = 1
    objects[1, 30:40, 30:60] = 2**31 - 1
    if labels:
        field = open_plate(storage, PATH).field("A01", 3)
        for name in ("nuclei_0123abcd", "cells_0123abcd"):
            write_label(field, name, objects, source={"method": "planted"})
    return Made(storage, PATH, pixels, objects)


@pytest.fixture(scope="session", autouse=True)
def synced() -> Iterator[list[str]]:
    """Paths that were synced, in order; the disk itself is left alone, which saves these tests most of their time."""
    paths: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_sync", paths.append)
        yield paths


@pytest.fixture(scope="session")
def _original(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_plate(open_storage(tmp_path_factory.mktemp("plates") / "lake"))


@pytest.fixture
def made(_original: Made) -> Made:
    """A plate to read; tests share it."""
    return _original


@pytest.fixture
def spoilt(_original: Made, tmp_path: Path) -> Made:
    """A copy of the plate to break."""
    shutil.copytree(_original.storage.uri(""), tmp_path / "lake")
    return Made(open_storage(tmp_path / "lake"), _original.path, _original.pixels, _original.labels)


@pytest.fixture
def lake(tmp_path: Path) -> Storage:
    """An empty lake folder."""
    return open_storage(tmp_path / "lake")


@pytest.fixture
def images() -> Any:
    """The helpers above, for tests (a conftest cannot be imported under importlib mode)."""

    class Helpers:
        path = PATH
        keys = KEYS
        missing = MISSING
        reader_of: Callable[..., ReadPlane] = staticmethod(reader_of)
        image_spec: Callable[..., ImageSpec] = staticmethod(image_spec)
        plate_spec: Callable[..., PlateSpec] = staticmethod(plate_spec)
        make_plate: Callable[..., Made] = staticmethod(make_plate)

    return Helpers
