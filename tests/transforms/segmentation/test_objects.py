"""Rules and numbering on label images."""

from __future__ import annotations

import numpy as np
import pytest
from cytolake.transforms.segmentation.objects import Rules, broken, drop, new_numbers, number, subtract
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

LABELS = np.array(
    [
        [0, 0, 0, 0, 0, 0, 9],
        [0, 5, 5, 0, 2, 0, 0],
        [0, 5, 5, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ],
    np.int32,
)


def kept(rules: Rules) -> set[int]:
    return set(np.unique(drop(LABELS, broken(LABELS, rules)))) - {0}


def test_rules() -> None:
    assert kept(Rules()) == {2, 5, 9}
    assert kept(Rules(border="discard")) == {2, 5}
    assert kept(Rules(min_area_px=2)) == {5}
    assert kept(Rules(min_area_px=4)) == {5}  # the bounds belong to what stays
    assert kept(Rules(max_area_px=1)) == {2, 9}
    assert kept(Rules(border="discard", max_area_px=1)) == {2}


@pytest.mark.parametrize("side", [np.s_[0, 1], np.s_[-1, 1], np.s_[1, 0], np.s_[1, -1]])
def test_every_side_is_a_border(side: tuple[int, int]) -> None:
    labels = np.zeros((3, 3), np.int32)
    labels[1, 1] = 1
    assert not broken(labels, Rules(border="discard")).any()
    labels[side] = 1
    assert broken(labels, Rules(border="discard")).tolist() == [False, True]


def test_absent_numbers_and_empty_images_break_no_rule() -> None:
    assert broken(LABELS, Rules(min_area_px=2)).nonzero()[0].tolist() == [2, 9]
    empty = np.zeros((2, 2), np.int32)
    assert not drop(empty, broken(empty, Rules(border="discard", min_area_px=3))).any()


def test_what_is_kept_gets_new_numbers_in_the_order_of_the_old_ones() -> None:
    kept = np.zeros(10, bool)
    kept[[0, 2, 9]] = True  # the background is never an object
    assert new_numbers(kept)[LABELS].tolist() == np.select([LABELS == 2, LABELS == 9], [1, 2]).tolist()
    assert new_numbers(kept).dtype == np.int32
    assert kept[0]


def test_numbers_follow_the_rows_and_the_set_aside_come_last() -> None:
    numbered, count = number(LABELS)
    assert (numbered[0, 6], numbered[1, 1], numbered[1, 4], count) == (1, 2, 3, 3)
    last = np.zeros(10, bool)
    last[9] = True
    numbered, count = number(LABELS, last)
    assert (numbered[1, 1], numbered[1, 4], numbered[0, 6], count) == (1, 2, 3, 2)
    assert numbered.dtype == np.int32


@given(npst.arrays(np.int32, (5, 6), elements=st.integers(0, 9)))
def test_numbering_keeps_every_object_apart_and_is_stable(labels: np.ndarray) -> None:
    numbered, count = number(labels)
    assert set(np.unique(numbered)) - {0} == set(range(1, count + 1))
    pairs = set(zip(labels.ravel().tolist(), numbered.ravel().tolist(), strict=True))
    assert len(pairs) == np.unique(labels).size
    assert np.array_equal(number(numbered)[0], numbered)


def test_subtraction_keeps_numbers_and_loses_what_is_covered() -> None:
    cells = np.array([[3, 3, 3, 8]], np.int32)
    nuclei = np.array([[0, 3, 0, 8]], np.int32)
    assert subtract(cells, nuclei).tolist() == [[3, 0, 3, 0]]
    with pytest.raises(ValueError, match="shapes"):
        subtract(cells, nuclei[:, 1:])
