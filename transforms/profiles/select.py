"""Selection of features: those that vary, are there, and are not another one in disguise.

Operations run in the order in which they are named, each on the features that the ones before have left. What is kept
is decided once, and applied to whatever comes: another plate keeps the same features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidDataError
from ...wording import did_you_mean, listed
from .blocklist import PUBLISHED, PUBLISHED_PATTERNS, matching, read_blocklist
from .correlation import Correlations, ranks
from .groups import Groups, variance, with_missing
from .normalize import compat_setting, learned_values
from .operator import Fitted, Flag
from .settings import WithSettings, setting

if TYPE_CHECKING:
    from .matrix import ProfileMatrix

OPERATIONS = (
    "drop_na_columns",
    "blocklist",
    "variance_threshold",
    "frequency_threshold",
    "drop_outliers",
    "noise_removal",
    "correlation_threshold",
)
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Select(WithSettings):
    """Keep some features; the operations and their meanings are pycytominer's ``feature_select``.

    Two things differ unless ``compat`` is ``pycytominer``. Of correlated features, pycytominer compares signed
    correlations and drops each that is redundant with any other, also with one that is dropped itself; here absolute
    correlations count, and a feature is dropped only for one that is kept. And its blocklist names the features of
    Cell Painting's five channels; ours are patterns for channels of any name.
    """

    name: ClassVar[str] = "select"
    fitted_on: ClassVar[str] = "all"

    operations: tuple[str, ...] = setting(
        ("drop_na_columns", "blocklist", "variance_threshold", "drop_outliers", "correlation_threshold"),
        "What is looked at, in this order",
        choices=OPERATIONS,
    )
    na_cutoff: float = setting(0.05, "Largest fraction of rows without a value", high=1.0)
    min_variance: float = setting(1e-6, "Features whose variance is not above it are dropped")
    freq_cut: float = setting(
        0.05, "Least ratio of how often the second most frequent value occurs to the most frequent one", high=1.0
    )
    unique_cut: float = setting(0.01, "Least number of different values, as a fraction of the rows", high=1.0)
    outlier_cutoff: float = setting(500.0, "Largest absolute value")
    corr_threshold: float = setting(0.9, "Correlation above which two features are one", high=1.0)
    corr_method: str = setting("pearson", "Correlation of values, or of ranks", choices=("pearson", "spearman"))
    noise_by: tuple[str, ...] = setting(("perturbation",), "Columns that rows of the same treatment share")
    noise_cutoff: float = setting(0.8, "Largest deviation within a treatment, as the mean over treatments")
    blocklist: tuple[str, ...] = setting(
        PUBLISHED_PATTERNS, "Names of features, * and ? for any text, to be dropped; or a file that lists them"
    )
    compat: str = compat_setting("pycytominer, for its selection where it differs")

    @classmethod
    def complete(cls, raw: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """Read the blocklist from the file that is named; what it holds becomes the setting."""
        listed = raw.get("blocklist")
        if isinstance(listed, str) and Path(listed).suffix in (".txt", ".csv", ".yaml", ".yml"):
            return {**raw, "blocklist": list(read_blocklist(listed, folder))}
        if listed is None and raw.get("compat") == "pycytominer":
            return {**raw, "blocklist": list(PUBLISHED)}
        return raw

    def fit(self, matrix: ProfileMatrix, learn: NDArray[np.bool_]) -> Fitted:
        """Decide which features are kept.

        Raises
        ------
        InvalidDataError
            There is no row to learn from, no feature is left, or ``noise_by`` names a column that the rows lack.
        """
        values = learned_values(matrix, learn, self.name)
        flags: dict[int, Flag] = {}
        left = np.arange(len(values))
        for operation in self.operations:
            names = [matrix.features[k] for k in left]
            if operation == "blocklist":
                dropped = dict.fromkeys(matching(names, self.blocklist))
            elif operation == "noise_removal":
                dropped = self._noisy(values[left], self._treatments(matrix, learn))
            elif operation == "correlation_threshold":
                dropped = self._correlated(values[left], names)
            else:
                dropped = _LOOKING[operation](self, values[left])
            for at, detail in dropped.items():
                flags[int(left[at])] = Flag(feature=names[at], reason=_REASONS[operation], detail=detail)
            left = np.delete(left, list(dropped))
        if len(values) and not len(left):
            reasons = [one.reason for one in flags.values()]
            each = ", ".join(f"{reasons.count(reason)} {reason}" for reason in dict.fromkeys(reasons))
            raise InvalidDataError(
                f"select: none of the {len(values)} features is left ({each})",
                hint="Look at the order of the steps and at the thresholds; values should be normalized before.",
            )
        return Fitted(
            features=matrix.features,
            outputs=tuple(matrix.features[k] for k in left),
            flags=tuple(flags[k] for k in sorted(flags)),
        )

    def apply(self, matrix: ProfileMatrix, fitted: Fitted) -> ProfileMatrix:
        """Keep the features that were chosen; of the others the rows need have none."""
        return matrix.select_features(fitted.outputs)

    def _missing(self, values: Floats) -> dict[int, str | None]:
        """Features that are missing in more than a fraction of the rows."""
        fraction = np.isnan(values).mean(axis=1)
        return {int(k): f"{fraction[k]:.1%} of the rows have none" for k in np.flatnonzero(fraction > self.na_cutoff)}

    def _steady(self, values: Floats) -> dict[int, str | None]:
        """Features that do not vary; the variance is divided by the number of rows."""
        found = variance(values)
        if self.min_variance == 0:  # rounding makes of a variance of 0 about 1e-33
            found = np.where(np.fmax.reduce(values, axis=1) == np.fmin.reduce(values, axis=1), 0.0, found)
        return {int(k): f"variance {found[k]:.3g}" for k in np.flatnonzero(~(found > self.min_variance))}

    def _frequent(self, values: Floats) -> dict[int, str | None]:
        """Features of which one value is too frequent, or which have too few values."""
        dropped: dict[int, str | None] = {}
        for k, row in enumerate(values):
            times = np.unique(row[~np.isnan(row)], return_counts=True)[1]
            most = np.sort(times)[::-1][:2]
            ratio = most[1] / most[0] if len(most) == 2 else 0.0
            if ratio < self.freq_cut:
                dropped[k] = f"the second most frequent value is there {ratio:.3g} times as often as the first"
            elif len(times) / len(row) < self.unique_cut:
                dropped[k] = f"{len(times)} different values"
        return dropped

    def _outlying(self, values: Floats) -> dict[int, str | None]:
        """Features with a value beyond all measure."""
        largest = np.fmax.reduce(np.abs(values), axis=1)
        return {
            int(k): f"largest absolute value {largest[k]:.3g}" for k in np.flatnonzero(largest > self.outlier_cutoff)
        }

    def _noisy(self, values: Floats, groups: Groups) -> dict[int, str | None]:
        """Features whose replicates lie far apart: the mean, over treatments, of their deviation within one."""
        deviation = groups.reduce(with_missing(values), "std")
        known = ~np.isnan(deviation)
        with np.errstate(invalid="ignore"):
            average = np.where(known, deviation, 0).sum(axis=1) / known.sum(axis=1)
        return {
            int(k): f"mean deviation within a treatment {average[k]:.3g}"
            for k in np.flatnonzero(average > self.noise_cutoff)
        }

    def _treatments(self, matrix: ProfileMatrix, learn: NDArray[np.bool_]) -> Groups:
        """Group the rows by the columns of ``noise_by``; rows where one is NULL belong to none."""
        columns = []
        for name in self.noise_by:
            there = matrix.rows.column_names
            if name not in there:
                raise InvalidDataError(
                    f"select: noise_removal: the rows have no column {name!r}{did_you_mean(name, there)}",
                    hint=f"They have {listed(there, 30)}.",
                )
            columns.append([one for one, here in zip(matrix.column(name), learn, strict=True) if here])
        keys = list(zip(*columns, strict=True))
        number = {key: k for k, key in enumerate(dict.fromkeys(key for key in keys if None not in key))}
        return Groups.of(np.array([number.get(key, -1) for key in keys], np.int64), len(number))

    def _correlated(self, values: Floats, names: list[str]) -> dict[int, str | None]:
        """Features that say what another one says."""
        if self.corr_method == "spearman":
            values = ranks(values)
        correlations = Correlations(values)
        if self.compat == "pycytominer":
            dropped = _dropped_by_pycytominer(values, correlations, self.corr_threshold)
            kept = np.arange(len(values))
        else:
            dropped = _dropped(correlations, self.corr_threshold)
            kept = np.setdiff1d(np.arange(len(values)), dropped)
        partners, by = correlations.strongest(dropped, kept)
        return {int(k): f"{names[partner]} (r = {r:.4f})" for k, partner, r in zip(dropped, partners, by, strict=True)}


_LOOKING: Mapping[str, Callable[[Select, Floats], dict[int, str | None]]] = {
    "drop_na_columns": Select._missing,
    "variance_threshold": Select._steady,
    "frequency_threshold": Select._frequent,
    "drop_outliers": Select._outlying,
}
_REASONS = {
    "drop_na_columns": "na",
    "blocklist": "blocklist",
    "variance_threshold": "low_variance",
    "frequency_threshold": "low_frequency",
    "drop_outliers": "outlier",
    "noise_removal": "noisy",
    "correlation_threshold": "correlated",
}
assert set(_REASONS) == set(OPERATIONS)


def _dropped(correlations: Correlations, threshold: float) -> NDArray[np.intp]:
    """Choose from the least redundant on, and drop what is correlated with a feature that was chosen.

    Redundancy is the sum of a feature's absolute correlations with all; among equals the first stays.
    """
    alike = np.zeros((len(correlations), len(correlations)), np.bool_)
    redundancy = np.zeros(len(correlations))
    for some, after, block in correlations.blocks():
        size = np.nan_to_num(np.abs(block, out=block), copy=False, nan=0.0)
        alike[some, after] = size > threshold
        alike[after, some] = alike[some, after].T
        redundancy[some] += size.sum(axis=1)
        redundancy[some.stop :] += size[:, some.stop - some.start :].sum(axis=0)
    kept = np.zeros(len(correlations), np.bool_)
    # Copies of a feature have the same sum but for rounding.
    for k in np.argsort(np.round(redundancy, 6), kind="stable"):
        kept[k] = not (alike[k] & kept).any()
    return np.flatnonzero(~kept)


def _dropped_by_pycytominer(values: Floats, correlations: Correlations, threshold: float) -> NDArray[np.intp]:
    """Of each pair above the threshold, drop the one with the larger sum of absolute correlations.

    Its numbers are computed as pycytominer computes them, to the order of the sums: which of two copies of a feature
    goes is decided by rounding.
    """
    if not len(values):
        return np.empty(0, np.intp)
    if np.isnan(values).any() or values.shape[1] < 2:
        matrix = correlations.whole()
    else:
        with np.errstate(invalid="ignore", divide="ignore"):
            matrix = np.atleast_2d(np.corrcoef(values))
    order = np.argsort(np.nan_to_num(np.abs(matrix)).sum(axis=0), kind="quicksort")
    rank = np.empty(len(order), np.intp)
    rank[order] = np.arange(len(order))
    alike = np.tril(matrix > threshold, k=-1)
    alike |= alike.T
    before = np.where(alike, rank, len(rank)).min(axis=1, initial=len(rank))
    return np.flatnonzero(before < rank)
