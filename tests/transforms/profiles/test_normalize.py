"""Scaling against numbers worked out by hand and against pandas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from cytolake.errors import InvalidDataError
from cytolake.transforms.profiles.matrix import ProfileMatrix
from cytolake.transforms.profiles.normalize import Robustize, RobustZ, Standardize
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

ALL = (RobustZ, Standardize, Robustize)
VALUES = st.one_of(st.just(np.nan), st.sampled_from([0.0, 1.0]), st.floats(-1e4, 1e4).map(lambda x: round(x, 2)))


def matrix(values: Any, names: tuple[str, ...] | None = None) -> ProfileMatrix:
    array = np.array(values, float)
    rows = pa.table({"well_id": [f"A{k + 1:02}" for k in range(len(array))]})
    return ProfileMatrix(rows=rows, features=names or tuple(f"f{k}" for k in range(array.shape[1])), values=array)


def every(rows: ProfileMatrix) -> np.ndarray:
    return np.ones(len(rows), np.bool_)


def test_robust_z_by_hand() -> None:
    # Controls 1, 2, 3, 4, 100: median 3, distances 2, 1, 0, 1, 97, their median 1.
    rows = matrix([[1.0], [2.0], [3.0], [4.0], [100.0], [7.4478]])
    learn = np.array([True] * 5 + [False])
    fitted = RobustZ().fit(rows, learn)
    assert fitted.arrays["center"].tolist() == [3.0]
    assert fitted.arrays["scale"].tolist() == [1.4826]
    assert fitted.flags == ()
    np.testing.assert_allclose(RobustZ().apply(rows, fitted).values[-1], [3.0], rtol=1e-15)


def test_standardize_by_hand() -> None:
    rows = matrix([[2.0], [4.0], [4.0], [4.0], [5.0], [5.0], [7.0], [9.0], [np.nan]])
    fitted = Standardize().fit(rows, every(rows))  # the textbook's eight numbers: mean 5, deviation 2
    assert (fitted.arrays["center"].item(), fitted.arrays["scale"].item()) == (5.0, 2.0)
    done = Standardize().apply(rows, fitted).values[:, 0]
    np.testing.assert_array_equal(done, [-1.5, -0.5, -0.5, -0.5, 0, 0, 1, 2, np.nan])


def test_robustize_by_hand() -> None:
    rows = matrix([[0.0], [1.0], [2.0], [3.0], [4.0]])
    fitted = Robustize().fit(rows, every(rows))
    assert (fitted.arrays["center"].item(), fitted.arrays["scale"].item()) == (2.0, 2.0)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_as_pandas_does(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 20), st.integers(1, 4)))
    rows = matrix(data.draw(hnp.arrays(np.float64, shape, elements=VALUES)))
    learn = data.draw(hnp.arrays(np.bool_, shape[0]).filter(np.any))
    frame = pd.DataFrame(rows.values)
    seen = frame[learn]
    centers = {"robust_z": seen.median(), "standardize": seen.mean(), "robustize": seen.median()}
    scales = {
        "robust_z": 1.4826 * (seen - seen.median()).abs().median(),
        "standardize": seen.std(ddof=0).where(seen.max() > seen.min()),
        "robustize": seen.quantile(0.75) - seen.quantile(0.25),
    }
    for kind in ALL:
        fitted = kind().fit(rows, learn)
        want = (frame - centers[kind.name]) / scales[kind.name].replace(0, np.nan)
        np.testing.assert_allclose(kind().apply(rows, fitted).values, want.to_numpy(), rtol=1e-9, atol=1e-9)
        empty = {one.feature for one in fitted.flags}
        assert empty == {f"f{k}" for k in range(shape[1]) if np.isnan(fitted.arrays["scale"][k])}


@pytest.mark.parametrize(
    ("kind", "reason"), [(RobustZ, "zero_mad"), (Standardize, "constant"), (Robustize, "zero_iqr")]
)
def test_no_scale_is_empty_and_flagged(kind: type, reason: str) -> None:
    # 0.1 has a rounded mean, so that its deviation does not come out as 0 by itself.
    rows = matrix([[0.1, 1.0, np.nan, 5.0]] * 5 + [[0.1, 2.0, np.nan, np.inf]] * 5)
    rows.values[0, 0] = 0.1
    fitted = kind().fit(rows, every(rows))
    assert [(one.feature, one.reason) for one in fitted.flags] == [("f0", reason), ("f2", "na"), ("f3", reason)]
    done = kind().apply(rows, fitted).values
    assert np.isnan(done[:, [0, 2, 3]]).all()
    assert np.isfinite(done[:, 1]).all()


def test_infinite_values_are_neither_learned_from_nor_kept() -> None:
    rows = matrix([[1.0], [2.0], [3.0], [np.inf], [-np.inf]])
    for kind in ALL:
        fitted = kind().fit(rows, every(rows))
        without = kind().fit(rows.select_rows(np.array([True] * 3 + [False] * 2)), np.ones(3, np.bool_))
        assert fitted.arrays["center"] == without.arrays["center"]
        assert fitted.arrays["scale"] == without.arrays["scale"]
        assert np.isnan(kind().apply(rows, fitted).values[3:]).all()


def test_pycytominer_divides_where_there_is_no_scale() -> None:
    rows = matrix([[1.0, 0.1], [1.0, 0.1], [1.0, 0.1], [3.0, 0.1]])
    fitted = RobustZ(compat="pycytominer").fit(rows, every(rows))
    assert [one.reason for one in fitted.flags] == ["zero_mad", "zero_mad"]
    done = RobustZ(compat="pycytominer").apply(rows, fitted).values
    np.testing.assert_allclose(done, [[0, 0], [0, 0], [0, 0], [2e18, 0]])
    for kind in (Standardize, Robustize):
        done = kind(compat="pycytominer").apply(rows, kind(compat="pycytominer").fit(rows, every(rows))).values
        np.testing.assert_allclose(done[:, 1], 0, atol=1e-15)


@pytest.mark.parametrize("kind", ALL)
def test_the_same_to_the_bit_and_for_other_plates(kind: type) -> None:
    rng = np.random.default_rng(3)
    rows = matrix(rng.normal(size=(40, 30)))
    learn = rng.random(40) < 0.4
    one, other = (kind().fit(rows, learn) for _ in range(2))
    assert all(one.arrays[name].tobytes() == other.arrays[name].tobytes() for name in one.arrays)
    whole = kind().apply(rows, one)
    alone = kind().apply(rows.select_rows(np.arange(40) == 7), one)
    assert whole.values[7].tobytes() == alone.values[0].tobytes()
    # Another plate, with its features in another order and one more.
    turned = rows.with_values(rows.values[:, ::-1], rows.features[::-1])
    more = turned.with_values(np.column_stack([turned.values, np.ones(40)]), [*turned.features, "other"])
    assert kind().apply(more, one).features == rows.features
    assert kind().apply(more, one).values.tobytes() == whole.values.tobytes()


def test_rows_are_left_as_they_were() -> None:
    rows = matrix([[3.0, np.inf], [1.0, 2.0], [2.0, 5.0]])
    before = rows.values.copy()
    for kind in ALL:
        kind().apply(rows, kind().fit(rows, every(rows)))
    np.testing.assert_array_equal(rows.values, before)


def test_what_cannot_be() -> None:
    rows = matrix([[1.0], [2.0]])
    with pytest.raises(InvalidDataError, match="no row to learn from, of 2"):
        RobustZ().fit(rows, np.zeros(2, np.bool_))
    fitted = RobustZ().fit(rows, every(rows))
    with pytest.raises(InvalidDataError, match="'f0'"):
        RobustZ().apply(matrix([[1.0]], ("g",)), fitted)
    empty = RobustZ().apply(rows.select_rows(np.zeros(2, np.bool_)), fitted)
    assert empty.values.shape == (0, 1)
