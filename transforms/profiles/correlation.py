"""Correlations between many features, a block of them at a time: the whole matrix of 5,000 would take 200 MB."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Features of one block.
_BLOCK = 512
#: A sum of squares that is smaller than this part of what it was before the mean was taken off is rounding.
_NOTHING = 1e-13


def ranks(values: Floats) -> Floats:
    """Ranks from 1 along the last axis, equal values the mean of theirs; NaN stays and is not counted."""
    order = np.argsort(values, axis=-1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=-1)
    places = np.arange(values.shape[-1])
    # NaN differs from everything, itself too, so it shares no rank.
    begins = np.ones(values.shape, np.bool_)
    begins[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    ends = np.ones(values.shape, np.bool_)
    ends[..., :-1] = begins[..., 1:]
    first = np.maximum.accumulate(np.where(begins, places, 0), axis=-1)
    last = np.minimum.accumulate(np.where(ends, places, values.shape[-1])[..., ::-1], axis=-1)[..., ::-1]
    shared = np.where(np.isnan(ordered), np.nan, (first + last) / 2 + 1)
    result = np.empty_like(values)
    np.put_along_axis(result, order, shared, axis=-1)
    return result


class Correlations:
    """Pearson's correlations of features over the rows that both have.

    Parameters
    ----------
    values
        float64 of shape (features, rows), NaN where missing.
    """

    def __init__(self, values: Floats) -> None:
        self._known = ~np.isnan(values)
        self._complete = np.asarray(self._known.all(axis=1))
        count = self._known.sum(axis=1)
        filled = np.where(self._known, values, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            # A constant column keeps rounding of its mean; what is left of it is no variation.
            centred = np.where(self._known, values - (filled.sum(axis=1) / count)[:, None], 0.0)
            norm = np.sqrt((centred * centred).sum(axis=1))
            constant = np.asarray(~(norm**2 > _NOTHING**2 * (filled * filled).sum(axis=1)))
            self._unit = np.where(constant[:, None], np.nan, centred / norm[:, None])
        self._constant = constant

    def __len__(self) -> int:
        return len(self._unit)

    def block(self, some: NDArray[np.intp], others: NDArray[np.intp]) -> Floats:
        """Correlations of ``some`` features with ``others``; NaN where one does not vary over what both have."""
        result = np.empty((len(some), len(others)))
        whole, whole_others = self._complete[some], self._complete[others]
        if whole.any() and whole_others.any():
            result[np.ix_(whole, whole_others)] = self._unit[some[whole]] @ self._unit[others[whole_others]].T
        if whole.any() and not whole_others.all():
            result[np.ix_(whole, ~whole_others)] = self._pairwise(some[whole], others[~whole_others])
        if not whole.all():
            result[~whole] = self._pairwise(some[~whole], others)
        return np.clip(result, -1, 1, out=result)

    def blocks(self) -> Iterator[tuple[slice, slice, Floats]]:
        """Give half of all correlations, the others being the same: of some features, with these and all after them."""
        every = np.arange(len(self))
        for start in range(0, len(self), _BLOCK):
            some = slice(start, min(start + _BLOCK, len(self)))
            after = slice(start, len(self))
            yield some, after, self.block(every[some], every[after])

    def whole(self) -> Floats:
        """Give all correlations, of shape (features, features)."""
        result = np.empty((len(self), len(self)))
        for some, after, block in self.blocks():
            result[some, after] = block
            result[after, some] = block.T
        return result

    def strongest(self, some: NDArray[np.intp], others: NDArray[np.intp]) -> tuple[NDArray[np.intp], Floats]:
        """Give for each of ``some`` that of ``others``, not itself, that it is most correlated with, and how much."""
        found, by = [np.empty(0, np.intp)], [np.empty(0)]
        for start in range(0, len(some), _BLOCK):
            part = some[start : start + _BLOCK]
            block = self.block(part, others)
            size = np.where(part[:, None] == others, -1.0, np.nan_to_num(np.abs(block), nan=-1.0))
            best = size.argmax(axis=1)
            found.append(others[best])
            by.append(block[np.arange(len(part)), best])
        return np.concatenate(found), np.concatenate(by)

    def _pairwise(self, some: NDArray[np.intp], others: NDArray[np.intp]) -> Floats:
        """Correlations over the rows that both have, by sums over all rows with 0 for what is missing."""
        x, y = (np.nan_to_num(self._unit[k], nan=0.0) for k in (some, others))
        has_x, has_y = (self._known[k].astype(np.float64) for k in (some, others))
        count = has_x @ has_y.T
        sum_x, sum_y = x @ has_y.T, has_x @ y.T
        square_x, square_y = (x * x) @ has_y.T, has_x @ (y * y).T
        with np.errstate(invalid="ignore", divide="ignore"):
            spread_x, spread_y = square_x - sum_x**2 / count, square_y - sum_y**2 / count
            result: Floats = (x @ y.T - sum_x * sum_y / count) / np.sqrt(spread_x * spread_y)
            result[~((spread_x > _NOTHING * square_x) & (spread_y > _NOTHING * square_y))] = np.nan
        result[self._constant[some]] = np.nan
        result[:, self._constant[others]] = np.nan
        return result
