"""Selection of features: each operation by hand, and correlations against pandas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from cytolake.errors import InvalidDataError
from cytolake.transforms.parameters import BadParameterError
from cytolake.transforms.profiles.blocklist import PUBLISHED, PUBLISHED_PATTERNS, matching
from cytolake.transforms.profiles.correlation import Correlations, ranks
from cytolake.transforms.profiles.matrix import ProfileMatrix
from cytolake.transforms.profiles.operator import Fitted
from cytolake.transforms.profiles.select import OPERATIONS, Select
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

NAN = np.nan
VALUES = st.one_of(st.just(NAN), st.integers(-5, 5).map(float), st.floats(-100, 100).map(lambda x: round(x, 2)))


def matrix(columns: dict[str, Any], **rows: list[Any]) -> ProfileMatrix:
    values = np.array(list(columns.values()), float).T
    rows = rows or {"well_id": [f"w{k}" for k in range(len(values))]}
    return ProfileMatrix(rows=pa.table(rows), features=tuple(columns), values=values)


def fit(one: ProfileMatrix, *operations: str, **chosen: Any) -> Fitted:
    return Select(operations=operations, **chosen).fit(one, np.ones(len(one), np.bool_))


def reasons(fitted: Fitted) -> dict[str, str]:
    return {one.feature: one.reason for one in fitted.flags}


def test_missing_values() -> None:
    one = matrix({"a": [1, 2, 3, 4], "b": [1, NAN, 3, 4], "c": [NAN, 2, np.inf, 4], "d": [NAN] * 4})
    fitted = fit(one, "drop_na_columns", na_cutoff=0.25)
    assert fitted.outputs == ("a", "b")  # a fraction that is just the cutoff is kept
    assert reasons(fitted) == {"c": "na", "d": "na"}
    assert fitted.flags[0].detail == "50.0% of the rows have none"


def test_variance() -> None:
    one = matrix({"a": [0, 2, 0, 2], "b": [0.1] * 4, "c": [NAN] * 4, "d": [0, 2e-3, 0, 2e-3]})
    assert fit(one, "variance_threshold").outputs == ("a",)  # that of d is 1e-6 just
    assert fit(one, "variance_threshold", min_variance=9e-7).outputs == ("a", "d")
    assert fit(one, "variance_threshold", min_variance=0).outputs == ("a", "d")
    assert reasons(fit(one, "variance_threshold"))["b"] == "low_variance"


def test_frequency() -> None:
    one = matrix({"a": np.arange(100), "b": [0] * 97 + [1, 1, 1], "c": [0] * 96 + [1] * 4 + [], "d": [1] * 100})
    assert fit(one, "frequency_threshold").outputs == ("a",)
    assert fit(one, "frequency_threshold", freq_cut=0.04).outputs == ("a", "c")
    assert fit(one, "frequency_threshold", freq_cut=0.0, unique_cut=0.02).outputs == ("a", "b", "c")
    assert "3 different" not in (fit(one, "frequency_threshold").flags[0].detail or "")


def test_outliers() -> None:
    one = matrix({"a": [1, -500, 3], "b": [1, -501, NAN], "c": [501, 0, 0], "d": [NAN] * 3})
    fitted = fit(one, "drop_outliers")
    assert fitted.outputs == ("a", "d")
    assert reasons(fitted) == {"b": "outlier", "c": "outlier"}


def test_noise() -> None:
    # deviations within treatments x, y: a 1 and 0, b 1 and 1; the row without a treatment does not count
    one = matrix(
        {"a": [0, 2, 5, 5, 1000], "b": [0, 2, 4, 6, 5]}, perturbation=["x", "x", "y", "y", None], batch=list("uuuuu")
    )
    assert fit(one, "noise_removal").outputs == ("a",)
    assert fit(one, "noise_removal", noise_cutoff=1.0).outputs == ("a", "b")
    with pytest.raises(InvalidDataError, match="no column 'pertubation'; did you mean 'perturbation'"):
        fit(one, "noise_removal", noise_by=("pertubation",))


def test_blocklist() -> None:
    names = [
        "Nuclei_Correlation_Manders_DNA_ER",
        "Nuclei_Granularity_14_X",
        "Nuclei_Granularity_1_X",
        "Cells_a",
        "Cells_ab",
    ]
    one = matrix({name: [1.0, 2.0] for name in names})
    assert fit(one, "blocklist").outputs == ("Nuclei_Granularity_1_X", "Cells_a", "Cells_ab")
    assert fit(one, "blocklist", blocklist=("Cells_a", "*_X")).outputs == (names[0], "Cells_ab")
    assert len(PUBLISHED) == 55
    assert matching(PUBLISHED, PUBLISHED_PATTERNS) == list(range(55))


@pytest.mark.parametrize(
    "text", ["blocklist\nCells_a\nCells_b\n", "- Cells_a\n- 'Cells_b'\n", "# why\nCells_a # x\nCells_b"]
)
def test_blocklist_of_a_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "block list.csv"
    file.write_text(text)
    assert Select.complete({"blocklist": "block list.csv"}, tmp_path) == {"blocklist": ["Cells_a", "Cells_b"]}
    file.write_text("blocklist\n")
    with pytest.raises(BadParameterError, match="names no feature"):
        Select.complete({"blocklist": "block list.csv"}, tmp_path)
    with pytest.raises(BadParameterError, match="cannot be read"):
        Select.complete({"blocklist": "none.csv"}, tmp_path)


def chain() -> ProfileMatrix:
    """Make a, b, c where b is like a and like c, but a and c are not alike; n is b turned round; o is alone."""
    rng = np.random.default_rng(5)
    base = rng.normal(size=(3, 400))
    b = base[0] + base[1]
    return matrix({"a": b + 0.5 * base[0], "b": b, "c": b - 0.9 * base[0], "n": -b, "o": base[2]})


def test_correlated_features_go_for_one_that_stays() -> None:
    one = chain()
    size = np.abs(np.corrcoef(one.values.T))
    assert size[0, 1] > 0.9
    assert size[0, 2] < 0.9
    fitted = fit(one, "correlation_threshold")
    kept = [one.features.index(name) for name in fitted.outputs]
    assert "o" in fitted.outputs
    assert (size[np.ix_(kept, kept)] - np.eye(len(kept)) <= 0.9).all()
    for flag in fitted.flags:
        partner = (flag.detail or "").partition(" ")[0]
        assert partner in fitted.outputs
        r = size[one.features.index(flag.feature), one.features.index(partner)]
        assert r > 0.9
        assert flag.reason == "correlated"
        assert f"{r:.4f}" in (flag.detail or "")


def test_copies_leave_the_first() -> None:
    x = np.random.default_rng(0).normal(size=50)
    one = matrix({"a": x, "b": x, "c": 3 * x + 7, "d": [5.0] * 50, "e": [5.0] * 50})
    assert fit(one, "correlation_threshold").outputs == ("a", "d", "e")  # a constant is correlated with nothing


def test_pycytominer_looks_at_signed_correlations_of_all_pairs() -> None:
    one = chain()
    theirs = fit(one, "correlation_threshold", compat="pycytominer")
    # b is the most redundant of the chain, and goes; -b is not correlated with it in their sense, and stays.
    assert {"n", "o"} <= set(theirs.outputs)
    assert "b" not in theirs.outputs


@settings(deadline=None, max_examples=60)
@given(values=hnp.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(2, 25)), elements=VALUES))
def test_correlations_are_those_of_pandas(values: np.ndarray) -> None:
    every = np.arange(len(values))
    frame = pd.DataFrame(values.T)
    found = Correlations(values).block(every, every)
    want = frame.corr().to_numpy()
    # pandas calls a column that varies by rounding alone correlated with something.
    both = ~np.isnan(found)
    np.testing.assert_allclose(found[both], want[both], rtol=0, atol=1e-9)
    spread = frame.max() - frame.min()
    assert (~both <= (np.isnan(want) | ~(spread > 0).to_numpy()[:, None] | _flat_together(values))).all()
    np.testing.assert_array_equal(ranks(values), frame.rank().to_numpy().T)


def _flat_together(values: np.ndarray) -> np.ndarray:
    """Pairs of which one does not vary over the rows that both have."""
    flat = np.zeros((len(values), len(values)), np.bool_)
    for i, x in enumerate(values):
        for j, y in enumerate(values):
            both = ~np.isnan(x) & ~np.isnan(y)
            flat[i, j] = not both.any() or np.ptp(x[both]) == 0 or np.ptp(y[both]) == 0
    return flat


def test_correlations_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(size=(23, 40))
    values[3, :7] = NAN
    whole = Correlations(values).block(np.arange(23), np.arange(23))
    monkeypatch.setattr("cytolake.transforms.profiles.correlation._BLOCK", 5)
    one = Correlations(values)
    np.testing.assert_allclose(one.whole(), whole, atol=1e-14)
    partners, by = one.strongest(np.arange(23), np.arange(23))
    np.fill_diagonal(whole, 0)
    np.testing.assert_array_equal(partners, np.abs(whole).argmax(axis=1))
    np.testing.assert_allclose(by, whole[np.arange(23), partners], atol=1e-14)


def test_operations_run_in_the_order_given() -> None:
    x = np.arange(10.0)
    one = matrix({"a": x, "b": 2 * x, "c": 1000 * x})
    assert fit(one, "drop_outliers", "correlation_threshold").outputs == ("a",)
    assert reasons(fit(one, "correlation_threshold", "drop_outliers")) == {"b": "correlated", "c": "correlated"}


def test_only_the_rows_to_learn_from_count() -> None:
    one = matrix({"a": [1, 1, 1, 5], "b": [1, 2, 3, 4]})
    learn = np.array([True, True, True, False])
    assert Select(operations=("variance_threshold",)).fit(one, learn).outputs == ("b",)


def test_applied_to_another_plate() -> None:
    one = matrix({"a": [1, 2, 3], "b": [5, 5, 5], "c": [4, 1, 9]})
    fitted = fit(one, "variance_threshold")
    other = matrix({"c": [1, 1], "a": [7, NAN]})  # b is not needed
    done = Select().apply(other, fitted)
    assert done.features == ("a", "c")
    np.testing.assert_array_equal(done.values, [[7, 1], [NAN, 1]])
    with pytest.raises(InvalidDataError, match="'c'"):
        Select().apply(matrix({"a": [1.0]}), fitted)


def test_nothing_left_is_an_error() -> None:
    one = matrix({"a": [1, 1], "b": [900, -900]})
    with pytest.raises(InvalidDataError, match=r"none of the 2 features is left \(1 low_variance, 1 outlier\)"):
        fit(one, "variance_threshold", "drop_outliers")
    with pytest.raises(InvalidDataError, match="no row to learn from"):
        Select().fit(one, np.zeros(2, np.bool_))


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("compat", ["", "pycytominer"])
@pytest.mark.filterwarnings("error")
def test_one_feature_one_row_and_none(operation: str, compat: str) -> None:
    for columns in ({"a": [1.0, 4.0, 2.0]}, {"a": [NAN, 3.0, 8.0]}, {"a": [1.0]}):
        one = matrix(columns, perturbation=["x"] * len(columns["a"]))
        try:
            fitted = fit(one, operation, compat=compat, noise_cutoff=9.0)
        except InvalidDataError as error:
            assert "none of the 1 features" in error.message  # noqa: PT017 - one of two right answers
        else:
            assert fitted.outputs == ("a",)
    none = ProfileMatrix(rows=pa.table({"perturbation": ["x", "y"]}), features=(), values=np.empty((2, 0)))
    assert fit(none, operation, compat=compat).outputs == ()


def test_the_same_to_the_bit() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(60, 12)) @ rng.normal(size=(12, 90))
    one = ProfileMatrix(
        rows=pa.table({"w": list(range(60))}), features=tuple(f"f{k}" for k in range(90)), values=values
    )
    assert fit(one, "correlation_threshold", corr_threshold=0.5) == fit(
        one, "correlation_threshold", corr_threshold=0.5
    )
