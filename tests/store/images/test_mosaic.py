"""Mosaics of a well: each field where it belongs, and whatever is odd about it said."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from cytolake.store.images.mosaic import Tile, profiles_picture, shrink, well_picture
from cytolake.store.images.picture import plate_picture
from PIL import Image

OVERLAP = (230, 159, 0)
ALARM = (235, 80, 80)


def drawn(tiles: list[Tile], **options: object) -> np.ndarray:
    png = well_picture(tiles, **{"field_um": (100.0, 100.0), **options})  # type: ignore[arg-type]
    return np.asarray(Image.open(io.BytesIO(png)), np.int32)


def near(pixels: np.ndarray, colour: tuple[int, int, int], tolerance: int = 30) -> int:
    return int((np.abs(pixels - colour).max(-1) <= tolerance).sum())


def test_fields_lie_where_the_stage_took_them() -> None:
    """Right of and below the first, in image direction; the brightest pixels say which field is which."""
    dark, bright = np.zeros((8, 8)), np.full((8, 8), 1000)
    right = drawn([Tile(field_id=1, x_um=0, y_um=0, pixels=dark), Tile(field_id=2, x_um=100, y_um=0, pixels=bright)])
    below = drawn([Tile(field_id=1, x_um=0, y_um=0, pixels=dark), Tile(field_id=2, x_um=0, y_um=100, pixels=bright)])
    for picture, expected in ((right, (160, 480)), (below, (480, 160))):
        y, x = np.nonzero((picture == 255).all(-1))
        inside = (y < 640) & (x < 660)
        assert abs(np.median(y[inside]) - 12 - expected[0]) < 20
        assert abs(np.median(x[inside]) - 12 - expected[1]) < 20


def test_overlaps_are_tinted() -> None:
    apart = [Tile(field_id=1, x_um=0, y_um=0), Tile(field_id=2, x_um=100, y_um=0)]
    over = [Tile(field_id=1, x_um=0, y_um=0), Tile(field_id=2, x_um=50, y_um=0)]
    tint = (106, 98, 71)  # of a plain field
    assert near(drawn(apart), tint, 5) < 100
    assert near(drawn(over), tint, 5) > 20_000


def test_missing_planes_are_struck_out() -> None:
    def red(missing: int) -> int:
        return near(drawn([Tile(field_id=1, x_um=0, y_um=0, planes=4, missing=missing)]), ALARM)

    assert red(0) == 0
    assert 0 < red(1) < red(4)


def test_fields_that_nobody_knows_the_place_of() -> None:
    placed = Tile(field_id=1, x_um=0, y_um=0)
    some = drawn([placed, Tile(field_id=2, x_um=None, y_um=3.0)])
    assert some.shape[0] > drawn([placed]).shape[0]
    none = drawn([Tile(field_id=n, x_um=None, y_um=None) for n in range(30)], title="A01")
    assert none.shape[0] < 120


@pytest.mark.parametrize("far", [1e7, 5e3])
def test_a_field_far_away_does_not_make_the_picture_large(far: float) -> None:
    picture = drawn([Tile(field_id=1, x_um=0, y_um=0), Tile(field_id=2, x_um=far, y_um=-far)])
    assert max(picture.shape[:2]) < 800


def test_names_from_files_do_not_make_the_picture_large() -> None:
    assert drawn([Tile(field_id=1, x_um=0, y_um=0)], title="x" * 100_000).shape[1] < 2000
    assert Image.open(io.BytesIO(plate_picture(8, 12, fields={"A01": 1}, title="W" * 100_000))).width < 3000
    many = {f"{n}" * 10_000: np.ones((4, 4), np.float32) for n in range(1, 200)}
    assert Image.open(io.BytesIO(profiles_picture(many, title="light"))).width < 2000


def test_many_fields_are_drawn_in_time() -> None:
    started = time.process_time()
    drawn([Tile(field_id=n, x_um=90.0 * (n % 100), y_um=90.0 * (n // 100)) for n in range(5000)])
    assert time.process_time() - started < 5


def test_shrinks_to_any_size() -> None:
    image = np.arange(64, dtype=np.uint16).reshape(8, 8)
    np.testing.assert_allclose(shrink(image, (2, 2)), [[13.5, 17.5], [45.5, 49.5]])
    assert shrink(image, (3, 5)).shape == (3, 5)
    assert shrink(image, (16, 20)).shape == (16, 20)


def test_profiles_side_by_side() -> None:
    profile = np.linspace(0.5, 1.5, 96 * 96, dtype=np.float32).reshape(96, 96)
    one, two = (
        Image.open(io.BytesIO(profiles_picture(some, title="light")))
        for some in ({"DNA": profile}, {f"channel {n} of a very long name": profile for n in range(4)})
    )
    assert two.width > one.width
    pixels = np.asarray(one, np.int32)
    assert near(pixels[40:45], (68, 1, 84)) > 0
    assert near(pixels[130:136], (253, 231, 37)) > 0
    assert profiles_picture({"flat": np.ones((4, 4), np.float32)}, title="")
