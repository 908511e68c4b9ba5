"""Harmony: batches are brought together where their rows are of the same kind, cluster by cluster.

Korsunsky et al. (2019, Nature Methods 16:1289). On principal components, two steps alternate: soft k-means by cosine
distance with a penalty on clusters in which a batch is over-represented, and a linear correction of each row by the
batch terms of its clusters (a mixture of experts, ridge regression). A batch that was not there is mapped as Symphony
does (Kang et al. 2021, Nature Communications 12:5890): the reference stays as it is, only the new batch's terms are
estimated.

``apply`` goes the way of ``fit`` again, with the centroids, penalties and terms of each round as they were learned: a
row that was fitted on ends where it ended then, and any other row of a known batch is treated alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..parameters import BadParameterError
from .axes import component_names, principal_axes
from .batch_levels import (
    by_level,
    learned_from_all,
    levels_of,
    named,
    refuse_mapping,
    refuse_single,
    refuse_unseen,
    unseen_setting,
)
from .complete import complete, na_setting, order_of_rows, values_of
from .harmony_rounds import assign, correct, harmonize, map_batch, unit_rows
from .operator import Fitted
from .settings import WithSettings, setting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .matrix import ProfileMatrix

_ROWS_PER_CLUSTER, _MOST_CLUSTERS = 30, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Harmony(WithSettings):
    """Bring batches together on principal components.

    Attributes
    ----------
    batch
        Column of the rows that says which batch each is of, or several.
    n_pcs
        Principal components of the centred features; fewer where the rank is smaller.
    n_clusters
        0 for one per 30 rows, at most 100.
    theta
        How strongly batches are mixed in clusters; 0 not at all.
    sigma
        Width of soft clusters: small ones make assignments hard.
    ridge
        λ of the paper: how much the terms of a batch are pulled to 0.
    iterations
        Rounds at most; it stops where the objective does.
    seed
        Of the first centroids and of the order in which rows are assigned.
    output
        ``pcs``: corrected components ``PC_001``, ...; ``features``: the features, less what components have lost.
    na
        Features without a value in some of the wells: ``error``, or ``leave_out`` with the flag ``na``.
    unseen
        Rows of a batch that was not there at ``fit``: ``error``, or ``map`` as Symphony does, from the rows of that
        batch that ``apply`` is given; nothing of it is kept.
    """

    name: ClassVar[str] = "harmony"
    fitted_on: ClassVar[str] = "study"

    batch: tuple[str, ...] = setting(("plate_id",), "columns that say which batch a row is of")
    n_pcs: int = setting(50, "principal components", low=2, high=10_000)
    n_clusters: int = setting(0, "clusters; 0 for one per 30 rows, at most 100", high=10_000)
    theta: float = setting(2.0, "how strongly batches are mixed in clusters", high=100)
    sigma: float = setting(0.1, "width of soft clusters", low=1e-3, high=100)
    ridge: float = setting(1.0, "how much the terms of a batch are pulled to 0", low=1e-6, high=1e6)
    iterations: int = setting(10, "rounds at most", low=1, high=100)
    seed: int = setting(0, "of the first centroids and of the order in which rows are assigned", high=2**32 - 1)
    output: str = setting("pcs", "corrected components, or features", choices=("pcs", "features"))
    na: str = na_setting()
    unseen: str = unseen_setting()

    def __post_init__(self) -> None:
        WithSettings.__post_init__(self)
        if not self.batch:
            raise BadParameterError("batch", "names no column", 'columns of wells, for example ["plate_id"]')

    def fit(self, matrix: ProfileMatrix, learn: NDArray[np.bool_]) -> Fitted:
        """Learn the components and, of each round, the clusters and the terms of each batch.

        Arrays, with d components, K clusters and T rounds: ``center`` (features,), ``components`` (features, d),
        ``centroids`` (T, K, d), ``penalty[batch]`` (T, K), which is added to the logarithm of an assignment, and
        ``term[batch]`` (T, K, d), which is taken off. For new batches ``reference_centroids`` (K, d),
        ``reference_weight`` (K,) and ``reference_sum`` (K, d) of the corrected reference.

        Raises
        ------
        RecipeError
            A column is not there.
        InvalidDataError
            There are gaps and ``na`` is ``error``; fewer than two wells; a row without a batch.
        """
        found = complete(matrix, learn, operator=self.name, na=self.na)
        levels = [np.array(every)[found.rows] for every in self._levels(matrix)]
        # Rows of equal values may be of several batches: within these, the order is that of batches.
        by_batch = np.lexsort(levels)
        order = by_batch[order_of_rows(found.values[by_batch])]
        values, levels = found.values[order], [one[order] for one in levels]
        center = values.mean(axis=0)
        axes, _ = principal_axes(values - center)
        axes = np.ascontiguousarray(axes[:, : self.n_pcs])
        n_clusters = self.n_clusters or min(_MOST_CLUSTERS, round(len(values) / _ROWS_PER_CLUSTER))
        known, codes = zip(*(np.unique(one, return_inverse=True) for one in levels), strict=True)
        for of_column in known:
            refuse_single(self.name, of_column.tolist())
        reference = harmonize(
            (values - center) @ axes,
            codes,
            n_clusters=max(1, min(n_clusters, len(values))),
            theta=self.theta,
            sigma=self.sigma,
            ridge=self.ridge,
            iterations=self.iterations,
            seed=self.seed,
        )
        arrays = {
            "center": center,
            "components": axes,
            "centroids": reference.centroids,
            "reference_centroids": reference.final_centroids,
            "reference_weight": reference.weight,
            "reference_sum": reference.total,
            "learned_from_all": learned_from_all(matrix, learn),
        }
        for number, level in enumerate(np.concatenate(known).tolist()):
            arrays[named("penalty", level)] = reference.penalties[:, :, number]
            arrays[named("term", level)] = reference.terms[:, number]
        outputs = component_names(axes.shape[1]) if self.output == "pcs" else found.features
        return Fitted(features=found.features, outputs=outputs, arrays=arrays, flags=found.flags)

    def apply(self, matrix: ProfileMatrix, fitted: Fitted) -> ProfileMatrix:
        """Correct rows by the terms of their batch; a row that lacks a value of any feature has none afterwards.

        Raises
        ------
        InvalidDataError
            A batch was not there at ``fit`` and ``unseen`` is ``error``.
        RecipeError
            ``unseen`` is ``map`` and the parameters were learned from controls only.
        """
        arrays = fitted.arrays
        values = values_of(matrix, fitted.features)
        levels = self._levels(matrix)
        terms = by_level(arrays, "term")
        if self.unseen == "error":
            for of_column in levels:
                refuse_unseen(self.name, of_column, list(terms))
        whole = np.isfinite(values).all(axis=1)
        points = np.full((len(matrix), arrays["components"].shape[1]), np.nan)
        points[whole] = (values[whole] - arrays["center"]) @ arrays["components"]
        corrected = np.full_like(points, np.nan)
        batches = list(zip(*levels, strict=True))
        for batch in sorted(set(batches)):
            rows = np.flatnonzero(whole & np.array([one == batch for one in batches]))
            if not len(rows):
                continue
            if all(level in terms for level in batch):
                corrected[rows] = self._known(points[rows], batch, arrays)
            else:
                refuse_mapping(self.name, arrays)
                rows = rows[order_of_rows(points[rows])]
                corrected[rows] = map_batch(
                    points[rows],
                    arrays["reference_centroids"],
                    arrays["reference_weight"],
                    arrays["reference_sum"],
                    sigma=self.sigma,
                    ridge=self.ridge,
                )
        if self.output == "pcs":
            return matrix.with_values(corrected, fitted.outputs)
        return matrix.with_values(values + (corrected - points) @ arrays["components"].T, fitted.outputs)

    def _known(
        self, points: NDArray[np.float64], batch: Sequence[str], arrays: Mapping[str, NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Go all rounds with rows (n, d) of one batch that was there."""
        penalty = np.sum([arrays[named("penalty", level)] for level in batch], axis=0)
        term = np.sum([arrays[named("term", level)] for level in batch], axis=0)
        corrected = points
        for centroids, of_round, terms in zip(arrays["centroids"], penalty, term, strict=True):
            shares = assign(unit_rows(corrected), centroids, self.sigma, of_round)
            corrected = correct(points, shares, terms)
        return corrected

    def _levels(self, matrix: ProfileMatrix) -> list[list[str]]:
        return [levels_of(matrix, column, operator=self.name) for column in self.batch]
