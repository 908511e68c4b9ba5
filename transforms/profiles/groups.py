"""Means, medians and deviations of groups of rows, for many columns at once and without a loop over groups.

Groups of about the same size are laid side by side, the shorter ones filled up with NaN, so that one call of NumPy
sorts or sums all of them. NaN counts as missing everywhere here; sorting puts it at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Statistic = Literal["mean", "median", "std"]
Floats = NDArray[np.floating[Any]]

#: Values that are laid out at a time: few enough for a processor's cache, enough to outweigh the calls.
_AT_ONCE = 1 << 18
#: Groups share a block where the largest is at most this many times (and rows) larger than the smallest.
_UNLIKE, _UNLIKE_ROWS = 1.2, 4


@dataclass(frozen=True, slots=True)
class Groups:
    """Which rows belong together.

    Attributes
    ----------
    sizes
        Rows of each group, of shape (groups,); a group may have none.
    blocks
        Numbers of some groups, of shape (some,), and the rows of each, of shape (some, width); ``rows`` stands for no
        row.
    rows
        Number of rows of all groups.
    """

    sizes: NDArray[np.int64]
    rows: int
    blocks: tuple[tuple[NDArray[np.intp], NDArray[np.intp]], ...] = field(repr=False)

    @classmethod
    def of(cls, numbers: NDArray[np.integer[Any]], n_groups: int) -> Groups:
        """Put rows into groups.

        Parameters
        ----------
        numbers
            Number of each row's group, from 0, of shape (rows,); rows below 0 belong to none.
        """
        order = np.argsort(numbers, kind="stable")
        order = order[np.searchsorted(numbers[order], 0) :]
        sizes = np.bincount(numbers[order], minlength=n_groups)
        starts = np.cumsum(sizes) - sizes
        return cls(sizes, len(numbers), tuple(_blocks(order, sizes, starts, len(numbers))))

    def reduce(self, values: Floats, statistic: Statistic) -> NDArray[np.float64]:
        """Reduce columns to one value per group.

        Parameters
        ----------
        values
            Of shape (columns, rows + 1), a row of the array per column; the last of each must be NaN. See
            :func:`with_missing`.

        Returns
        -------
        numpy.ndarray
            float64 of shape (columns, groups); NaN for a group without any value.
        """
        function = STATISTICS[statistic]
        result = np.full((len(values), len(self.sizes)), np.nan)
        for groups, rows in self.blocks:
            step = max(1, _AT_ONCE // rows.size)
            for start in range(0, len(values), step):
                block = np.take(values[start : start + step], rows, axis=1)
                result[start : start + step, groups] = function(block)
        return result

    def reduce_rows(self, values: Floats, statistic: Statistic) -> NDArray[np.float64]:
        """Do the same for values of shape (rows, columns), and give (groups, columns)."""
        return np.ascontiguousarray(self.reduce(with_missing(values.T), statistic).T)


def with_missing(columns: Floats) -> Floats:
    """Give columns, of shape (columns, rows), one more row of NaN, as :meth:`Groups.reduce` wants them."""
    return np.concatenate([columns, np.full((len(columns), 1), np.nan, columns.dtype)], axis=1)


def median(block: Floats) -> NDArray[np.float64]:
    """Median along the last axis of what is not NaN; the block is sorted in place.

    Half the sum of the two values in the middle where their number is even; NaN where there is none.
    """
    block.sort(axis=-1)
    count = _count(block)
    width = block.shape[-1]
    if not block.size:
        return np.full(block.shape[:-1], np.nan)
    if count.min() == width:  # nothing is missing
        low, high = block[..., (width - 1) // 2], block[..., width // 2]
    else:
        low, high = (
            np.take_along_axis(block, at[..., None], axis=-1)[..., 0]
            for at in (np.maximum(count - 1, 0) // 2, count // 2)
        )
    middle: NDArray[np.float64] = (low.astype(np.float64) + high) / 2
    return middle


def median_and_mad(values: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median along the last axis of what is not NaN, and the median absolute distance from it; values stay."""
    center = median(values.copy())
    return center, median(np.abs(values - center[..., None]))


def mean(block: Floats) -> NDArray[np.float64]:
    """Mean along the last axis of what is not NaN."""
    missing = np.isnan(block)
    total = np.where(missing, 0, block).sum(axis=-1, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        result: NDArray[np.float64] = total / np.count_nonzero(~missing, axis=-1)
    return result


def std(block: Floats) -> NDArray[np.float64]:
    """Deviation along the last axis of what is not NaN: root of the mean square of the distances from the mean."""
    return np.sqrt(variance(block))


def variance(block: Floats) -> NDArray[np.float64]:
    """Variance along the last axis of what is not NaN, divided by the number of values.

    In two passes, with the correction of Chan, Golub and LeVeque, The American Statistician 37 (1983) 242-247.
    """
    count = _count(block)
    apart = block.astype(np.float64) - mean(block)[..., None]
    apart[np.isnan(apart)] = 0
    with np.errstate(invalid="ignore"):
        squares = (apart * apart).sum(axis=-1) - apart.sum(axis=-1) ** 2 / count
        result: NDArray[np.float64] = squares / count
    return result


def quantile(block: Floats, at: float) -> NDArray[np.float64]:
    """Quantile along the last axis of what is not NaN, linear between neighbours; the block is sorted in place."""
    block.sort(axis=-1)
    count = _count(block)
    place = np.maximum(count - 1, 0) * at
    low = place.astype(np.intp)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    one, other = (np.take_along_axis(block, k[..., None], axis=-1)[..., 0].astype(np.float64) for k in (low, high))
    result: NDArray[np.float64] = one + (other - one) * (place - low)
    return result


STATISTICS: dict[Statistic, Callable[[Floats], NDArray[np.float64]]] = {"mean": mean, "median": median, "std": std}


def _count(block: Floats) -> NDArray[np.intp]:
    count: NDArray[np.intp] = np.count_nonzero(~np.isnan(block), axis=-1)
    return count


def _blocks(
    order: NDArray[np.intp], sizes: NDArray[np.int64], starts: NDArray[np.int64], rows: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    by_size = np.argsort(sizes, kind="stable")
    sorted_sizes = sizes[by_size]
    first = int(np.searchsorted(sorted_sizes, 1))
    while first < len(by_size):
        smallest = int(sorted_sizes[first])
        like = int(np.searchsorted(sorted_sizes, max(smallest * _UNLIKE, smallest + _UNLIKE_ROWS), side="right"))
        end = min(like, first + max(1, _AT_ONCE // int(sorted_sizes[like - 1])))
        groups = by_size[first:end]
        place = np.arange(sorted_sizes[end - 1])
        at = np.minimum(starts[groups][:, None] + place, len(order) - 1)
        yield groups, np.where(place < sizes[groups][:, None], order[at], rows)
        first = end
