"""Matching of found with true objects, against counts done by hand and against a plain double loop."""

from __future__ import annotations

import numpy as np
import pytest
from cytolake.transforms.segmentation.accuracy import overlaps, pool, score
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

ROW = np.array([[1, 1, 1, 1, 0, 2, 2, 2, 2, 0]])


def at(true: np.ndarray, found: np.ndarray, threshold: float) -> tuple[int, int, int]:
    (one,) = score(true, found, [threshold])
    return one.matched, one.found, one.true


def test_by_hand() -> None:
    found = np.array([[7, 7, 7, 0, 0, 9, 9, 0, 0, 3]])  # overlaps of 3/4 and 2/4, and one that is nothing
    assert at(ROW, found, 0.5) == (1, 3, 2)
    assert at(ROW, found, 0.8) == (0, 3, 2)
    (half,) = score(ROW, found, [0.5])
    assert (half.precision, half.recall, half.f1) == (1 / 3, 1 / 2, 2 / 5)
    assert overlaps(ROW, found).tolist() == [[1, 7, 0.75], [2, 9, 0.5]]


def test_perfect_is_one_whatever_the_numbers() -> None:
    assert all(one.f1 == 1.0 for one in score(ROW, ROW * 40))


def test_an_empty_answer_is_right_only_where_nothing_is() -> None:
    empty = np.zeros_like(ROW)
    (both,) = score(empty, empty, [0.5])
    assert (both.precision, both.recall, both.f1) == (1.0, 1.0, 1.0)
    (missed,) = score(ROW, empty, [0.5])
    assert (missed.precision, missed.recall, missed.f1) == (0.0, 0.0, 0.0)
    (invented,) = score(empty, ROW, [0.5])
    assert (invented.precision, invented.recall, invented.f1) == (0.0, 0.0, 0.0)


def test_pooling_adds_counts_instead_of_averaging_ratios() -> None:
    empty = np.zeros_like(ROW)
    (pooled,) = pool([score(ROW, ROW, [0.5]), score(ROW, empty, [0.5])])
    assert (pooled.matched, pooled.found, pooled.true, pooled.f1) == (2, 2, 4, 2 / 3)


def test_what_would_not_be_unique_or_comparable_is_refused() -> None:
    with pytest.raises(ValueError, match="unique"):
        score(ROW, ROW, [0.3])
    with pytest.raises(ValueError, match="shapes"):
        score(ROW, ROW[:, :-1])


_LABELS = npst.arrays(np.int32, (6, 7), elements=st.integers(0, 4))


@given(_LABELS, _LABELS)
def test_it_counts_what_a_double_loop_counts(true: np.ndarray, found: np.ndarray) -> None:
    for threshold in (0.5, 0.75):
        matched = sum(
            np.sum((true == a) & (found == b)) / np.sum((true == a) | (found == b)) > threshold
            for a in np.unique(true[true > 0])
            for b in np.unique(found[found > 0])
        )
        expected = (matched, np.unique(found[found > 0]).size, np.unique(true[true > 0]).size)
        assert at(true, found, threshold) == expected
