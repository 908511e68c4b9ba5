"""Places in a plane, and the picture of them."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from cytolake.errors import InvalidDataError, MissingExtraError, UsageError
from cytolake.transforms.profiles.embedding import MOST_LABELS, embed, embedding_picture
from PIL import Image
from profile_matrices import matrix_of

#: Where points are drawn, without the frame.
FIELD = np.s_[48:764, 18:734]


def groups(n: int = 90, d: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    kind = np.arange(n) % 3
    return rng.normal(size=(3, d))[kind] * 6 + rng.normal(size=(n, d)), kind


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def has(image: np.ndarray, colour: tuple[int, int, int]) -> int:
    """How many pixels are of a colour."""
    return int((np.abs(image - np.array(colour)).max(axis=-1) <= 12).sum())


def test_components_are_those_of_the_svd() -> None:
    values, _ = groups()
    places = embed(matrix_of(values), method="pca")
    centred = values - values.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    assert np.allclose(np.abs(places), np.abs(u[:, :2] * s[:2]), atol=1e-9)


def test_rows_without_values_have_no_place_and_features_with_gaps_are_left_out() -> None:
    values, _ = groups()
    whole = embed(matrix_of(values[:, 1:]), method="pca")
    values[4, 0] = np.nan
    assert np.allclose(embed(matrix_of(values), method="pca"), whole)
    values[7] = np.nan
    places = embed(matrix_of(values), method="pca")
    assert np.isnan(places[7]).all()
    assert np.isfinite(np.delete(places, 7, axis=0)).all()
    values[20 + np.arange(12), np.arange(12)] = np.nan
    with pytest.raises(InvalidDataError, match="none of 12 features"):
        embed(matrix_of(values), method="pca")


def test_equal_rows_lie_on_one_place() -> None:
    assert not embed(matrix_of(np.ones((4, 3))), method="pca").any()
    assert embed(matrix_of(np.arange(4.0)[:, None]), method="pca").shape == (4, 2)


@pytest.mark.slow
def test_umap_keeps_groups_together_and_is_the_same_again() -> None:
    pytest.importorskip("umap")
    values, kind = groups()
    places = embed(matrix_of(values), seed=3)
    assert np.array_equal(places, embed(matrix_of(values), seed=3))
    assert not np.array_equal(places, embed(matrix_of(values), seed=4))
    middles = np.array([places[kind == one].mean(axis=0) for one in range(3)])
    nearest = np.linalg.norm(places[:, None] - middles, axis=2).argmin(axis=1)
    assert (nearest == kind).all()
    assert np.isfinite(embed(matrix_of(values[:5]))).all()


def test_what_cannot_be_embedded_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    values, _ = groups()
    with pytest.raises(UsageError, match="tsne"):
        embed(matrix_of(values), method="tsne")
    with pytest.raises(InvalidDataError, match="too few for umap") as caught:
        embed(matrix_of(values[:4]))
    assert "pca" in str(caught.value.hint)
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtraError) as missing:
        embed(matrix_of(values))
    assert "cytolake[plots]" in str(missing.value.hint)


def test_the_picture_shows_labels_in_their_colours_and_controls_as_crosses() -> None:
    places = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [np.nan, np.nan]])
    labels = ["a", "b", "a", None, "b"]
    blue, red, ink = (0, 114, 178), (213, 94, 0), (32, 36, 44)
    plain = pixels(embedding_picture(places, labels, title="places"))
    field = plain[FIELD]
    assert has(field, blue) > 80
    assert has(field, red) > 40
    assert has(field, (170, 176, 186)) > 20
    assert has(field, ink) == 0
    crossed = pixels(embedding_picture(places, labels, title="places", controls=np.array([0, 0, 0, 1, 0], bool)))
    assert has(crossed[FIELD], ink) > 20
    assert has(crossed[FIELD], (170, 176, 186)) == 0
    # The lower left point is the blue one of (0, 0): the second axis points upwards.
    assert has(plain[600:764, 18:150], blue) > 50
    assert has(plain[48:200, 600:734], (170, 176, 186)) > 20


def test_more_labels_than_marks_share_the_grey_one() -> None:
    n = MOST_LABELS + 7
    places = np.random.default_rng(0).normal(size=(2 * n, 2))
    labels = [f"compound-{row % n:02}" for row in range(2 * n)]
    few = pixels(embedding_picture(places, [label[:10] for label in labels], title=""))
    many = pixels(embedding_picture(places, labels, title=""))
    assert has(few[FIELD], (170, 176, 186)) == 0
    assert has(many[FIELD], (170, 176, 186)) > 7 * 20


@pytest.mark.parametrize("n", [0, 1])
def test_no_points_and_one_are_drawn(n: int) -> None:
    image = pixels(embedding_picture(np.zeros((n, 2)), ["a"] * n, title="few"))
    assert (has(image[FIELD], (0, 114, 178)) > 20) is (n == 1)


def test_lengths_must_fit() -> None:
    with pytest.raises(UsageError, match="1 labels"):
        embedding_picture(np.zeros((2, 2)), ["a"], title="")
