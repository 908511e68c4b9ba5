"""ComBat: differences of batches in location and scale are taken off, feature by feature, shrunk by empirical Bayes.

Johnson, Li and Rabinovic (2007, Biostatistics 8:118), with parametric priors. Feature g in row j of batch i is

    Y_ijg = α_g + X β_g + γ_ig + δ_ig ε_ijg

α and β come from least squares, σ² is the mean squared residual, Z = (Y - α - X β) / σ. γ and δ² of a batch have a
normal and an inverse gamma prior over its features, by the method of moments; their conditional posterior means γ* and
δ²* are iterated until they stay. What comes out is σ (Z - γ*) / δ* + α + X β.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...errors import InvalidDataError
from ...wording import listed
from ..parameters import BadParameterError
from .batch_levels import (
    by_level,
    learned_from_all,
    levels_of,
    named,
    one_hot,
    refuse_mapping,
    refuse_single,
    refuse_unseen,
    unseen_setting,
)
from .complete import is_constant, order_of_rows, values_of
from .operator import Fitted, Flag
from .settings import WithSettings, setting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .matrix import ProfileMatrix

_ITERATIONS, _CONVERGED = 1000, 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class ComBat(WithSettings):
    """Take off what differs between batches.

    Attributes
    ----------
    batch
        Column of the rows that says which batch each is of.
    covariates
        Columns whose groups differ by biology that is to be kept, such as ``control_type``: their effect is estimated
        beside that of the batches. Without, batches should hold the same treatments.
    mean_only
        Whether batches differ in location only; needed where a batch has one row.
    shrink
        Whether the terms of a batch are shrunk towards their mean over features.
    unseen
        Rows of a batch that was not there at ``fit``: ``error``, or ``map``: γ*, δ²* and their priors are estimated
        from the rows of that batch that ``apply`` is given, with α, β and σ² as fitted; nothing of it is kept.

    Notes
    -----
    Missing values are passed over. A feature that is constant within all batches, or has fewer than two values in a
    batch (one with ``mean_only``), is flagged ``constant`` or ``na`` and comes out empty.
    """

    name: ClassVar[str] = "combat"
    fitted_on: ClassVar[str] = "study"

    batch: str = setting("plate_id", "column that says which batch a row is of")
    covariates: tuple[str, ...] = setting((), "columns whose groups differ by biology that is to be kept", texts=True)
    mean_only: bool = setting(False, "whether batches differ in location only")
    shrink: bool = setting(True, "whether the terms of a batch are shrunk towards their mean over features")
    unseen: str = unseen_setting()

    def __post_init__(self) -> None:
        WithSettings.__post_init__(self)
        if self.batch in self.covariates:
            raise BadParameterError("covariates", f"{self.batch!r} is the batch", "other columns")

    def fit(self, matrix: ProfileMatrix, learn: NDArray[np.bool_]) -> Fitted:
        """Learn the terms of each batch.

        Arrays: ``grand_mean`` and ``pooled_variance`` (features,); of each batch ``gamma[batch]`` and ``delta[batch]``
        (features,), γ* and δ²*, and ``prior[batch]`` (4,), γ̄, τ², a and b; ``beta[group]`` (features,) of each group
        of a covariate, 0 for the first, which the others are compared with.

        Raises
        ------
        RecipeError
            A column is not there.
        InvalidDataError
            A batch has one row only; batches and covariates cannot be told apart; nothing to learn from.
        """
        values = np.where(np.isfinite(matrix.values), matrix.values, np.nan)
        rows = np.flatnonzero(learn & np.isfinite(values).any(axis=1))
        if not len(rows) or not matrix.features:
            raise InvalidDataError(f"{self.name}: there is no well to learn from")
        rows = rows[order_of_rows(values[rows])]
        values = values[rows]
        every = levels_of(matrix, self.batch, operator=self.name)
        levels = [every[row] for row in rows]
        batches = sorted(set(levels))
        refuse_single(self.name, batches)
        members = one_hot(levels, batches)
        least = 1 if self.mean_only else 2
        self._refuse_small([batch for batch, n in zip(batches, members.sum(axis=0), strict=True) if n < least])
        groups, references, covariates = self._covariates(matrix, rows)
        there = np.isfinite(values)
        counts = members.T @ there
        sparse = np.asarray((counts < least).any(axis=0))
        effects = np.full((len(batches) + len(groups), values.shape[1]), np.nan)
        design = np.hstack([members, covariates])
        self._estimate(design, values, there, ~sparse, effects)
        # Batches weigh as they have rows.
        grand = (counts * effects[: len(batches)]).sum(axis=0) / np.maximum(counts.sum(axis=0), 1)
        residuals = values - design @ effects
        with np.errstate(invalid="ignore"):
            pooled = np.nansum(residuals**2, axis=0) / np.maximum(there.sum(axis=0), 1)
        within_batch = np.vstack([is_constant(values[members[:, one] == 1]) for one in range(len(batches))])
        flat = ~sparse & (within_batch.all(axis=0) | (pooled <= (8 * np.finfo(float).eps * np.abs(grand)) ** 2))
        left_out = sparse | flat
        grand[left_out] = pooled[left_out] = np.nan
        arrays = {
            "grand_mean": grand,
            "pooled_variance": pooled,
            "learned_from_all": learned_from_all(matrix, learn),
        }
        for number, group in enumerate(groups, start=len(batches)):
            arrays[named("beta", group)] = np.where(left_out, np.nan, effects[number])
        for group in references:
            arrays[named("beta", group)] = np.where(left_out, np.nan, 0.0)
        standard = (values - grand - covariates @ effects[len(batches) :]) / np.sqrt(pooled)
        for number, batch in enumerate(batches):
            gamma, delta, prior = self._terms(standard[members[:, number] == 1])
            arrays |= {named("gamma", batch): gamma, named("delta", batch): delta, named("prior", batch): prior}
        flags = [
            Flag(feature=name, reason="na" if is_sparse else "constant")
            for name, is_sparse, is_flat in zip(matrix.features, sparse, flat, strict=True)
            if is_sparse or is_flat
        ]
        return Fitted(features=matrix.features, outputs=matrix.features, arrays=arrays, flags=tuple(flags))

    def apply(self, matrix: ProfileMatrix, fitted: Fitted) -> ProfileMatrix:
        """Correct rows by the terms of their batch.

        Raises
        ------
        InvalidDataError
            A batch was not there at ``fit`` and ``unseen`` is ``error``; a group of a covariate was not there.
        RecipeError
            ``unseen`` is ``map`` and the parameters were learned from controls only.
        """
        arrays = fitted.arrays
        gammas, deltas = by_level(arrays, "gamma"), by_level(arrays, "delta")
        levels = np.array(levels_of(matrix, self.batch, operator=self.name), dtype=object)
        if self.unseen == "error":
            refuse_unseen(self.name, levels.tolist(), list(gammas))
        values = values_of(matrix, fitted.features)
        centre = np.broadcast_to(arrays["grand_mean"], values.shape).copy()
        betas = by_level(arrays, "beta")
        for column in self.covariates:
            groups = levels_of(matrix, column, operator=self.name)
            refuse_unseen(self.name, groups, [one for one in betas if one.startswith(f"{column}=")], maps=False)
            centre += np.array([betas[group] for group in groups]).reshape(values.shape)
        deviation = np.sqrt(arrays["pooled_variance"])
        standard = (values - centre) / deviation
        corrected = np.full_like(values, np.nan)
        for level in sorted(set(levels.tolist())):
            of_batch = levels == level
            if level in gammas:
                gamma, delta = gammas[level], deltas[level]
            else:
                refuse_mapping(self.name, arrays)
                self._refuse_small([level] if of_batch.sum() < (1 if self.mean_only else 2) else [])
                gamma, delta, _ = self._terms(standard[of_batch][order_of_rows(values[of_batch])])
            corrected[of_batch] = (standard[of_batch] - gamma) / np.sqrt(delta) * deviation + centre[of_batch]
        return matrix.with_values(corrected, fitted.outputs)

    def _covariates(
        self, matrix: ProfileMatrix, rows: NDArray[np.int64]
    ) -> tuple[list[str], list[str], NDArray[np.float64]]:
        """Give the groups of all covariates but the first of each; these; and (rows, groups) of 0 and 1."""
        groups: list[str] = []
        references: list[str] = []
        coded = [np.zeros((len(rows), 0))]
        for column in self.covariates:
            every = levels_of(matrix, column, operator=self.name)
            levels = [every[row] for row in rows]
            reference, *others = sorted(set(levels))
            groups += others
            references.append(reference)
            coded.append(one_hot(levels, others))
        return groups, references, np.hstack(coded)

    def _estimate(
        self,
        design: NDArray[np.float64],
        values: NDArray[np.float64],
        there: NDArray[np.bool_],
        wanted: NDArray[np.bool_],
        effects: NDArray[np.float64],
    ) -> None:
        """Fill the effects (columns of the design, features) by least squares, over the rows that have a value."""
        self._refuse_confounded(design)
        whole = wanted & there.all(axis=0)
        if whole.any():
            effects[:, whole] = np.linalg.lstsq(design, values[:, whole], rcond=None)[0]
        for feature in np.flatnonzero(wanted & ~whole):
            seen = there[:, feature]
            effects[:, feature] = np.linalg.lstsq(design[seen], values[seen, feature], rcond=None)[0]

    def _refuse_small(self, batches: Sequence[str]) -> None:
        if batches:
            raise InvalidDataError(
                f"{self.name}: {len(batches)} batch(es) have one well to learn from: {listed(batches, 3)}",
                hint="set mean_only = true, or learn from more wells",
            )

    def _refuse_confounded(self, design: NDArray[np.float64]) -> None:
        if np.linalg.matrix_rank(design) < design.shape[1]:
            raise InvalidDataError(
                f"{self.name}: {self.batch} and {', '.join(self.covariates)} cannot be told apart: some groups are "
                "only in batches of their own",
                hint="name fewer covariates, such as control_type",
            )

    def _terms(
        self, standard: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Give γ* and δ²* (features,) of one batch from its standardised rows, and their priors γ̄, τ², a, b."""
        there = np.isfinite(standard)
        n = there.sum(axis=0)
        usable = n >= (1 if self.mean_only else 2)
        gamma, delta = (np.full(standard.shape[1], np.nan) for _ in range(2))
        z, n = standard[:, usable], n[usable]
        gamma_hat = np.nansum(z, axis=0) / n
        delta_hat = np.ones_like(gamma_hat)
        if not self.mean_only:
            delta_hat = np.nansum((z - gamma_hat) ** 2, axis=0) / (n - 1)
        prior = np.full(4, np.nan)
        # Priors over features need some, and some that differ.
        if not self.shrink or len(gamma_hat) < 2:
            gamma[usable], delta[usable] = gamma_hat, np.where(delta_hat > 0, delta_hat, 1.0)
            return gamma, delta, prior
        mean, variance = gamma_hat.mean(), gamma_hat.var(ddof=1)
        prior[:2] = mean, variance
        if self.mean_only:
            gamma[usable], delta[usable] = (variance * n * gamma_hat + mean) / (variance * n + 1), 1.0
            return gamma, delta, prior
        middle, spread = delta_hat.mean(), delta_hat.var(ddof=1)
        if not spread > 0:
            gamma[usable] = (variance * n * gamma_hat + delta_hat * mean) / (variance * n + delta_hat)
            delta[usable] = np.where(delta_hat > 0, delta_hat, 1.0)
            return gamma, delta, prior
        a, b = (2 * spread + middle**2) / spread, (middle * spread + middle**3) / spread
        prior[2:] = a, b
        gamma[usable], delta[usable] = _posterior(z, n, gamma_hat, delta_hat, (mean, variance, a, b))
        return gamma, delta, prior


def _posterior(
    z: NDArray[np.float64],
    n: NDArray[np.int64],
    gamma_hat: NDArray[np.float64],
    delta_hat: NDArray[np.float64],
    prior: Sequence[float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Iterate the conditional posterior means of γ and δ² (features,) until they stay."""
    mean, variance, a, b = prior
    gamma, delta = gamma_hat, delta_hat
    squares = np.nansum(z**2, axis=0)
    for _ in range(_ITERATIONS):
        new_gamma = (variance * n * gamma_hat + delta * mean) / (variance * n + delta)
        # Σ (z - γ)² by its sums: Σ z = n γ̂.
        sum_of_squares = np.maximum(squares - 2 * new_gamma * n * gamma_hat + n * new_gamma**2, 0)
        new_delta = (0.5 * sum_of_squares + b) / (n / 2 + a - 1)
        change = max(np.abs(new_gamma - gamma).max(), np.abs(new_delta / np.where(delta > 0, delta, 1) - 1).max())
        gamma, delta = new_gamma, new_delta
        if change < _CONVERGED:
            break
    return gamma, delta
