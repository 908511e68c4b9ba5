"""Spherizing: a linear map after which the features of the wells it was fitted on are uncorrelated and of variance 1.

Kessy, Lewin and Strimmer (2018, The American Statistician 72:309, https://arxiv.org/abs/1512.00809) name the kinds.
With Σ = V Λ Vᵀ the covariance of the features and P = G Θ Gᵀ their correlation, D the diagonal of variances:

============  =====================
``PCA``       W = V Λ^-½
``ZCA``       W = V Λ^-½ Vᵀ
``PCA-cor``   W = D^-½ G Θ^-½
``ZCA-cor``   W = D^-½ G Θ^-½ Gᵀ
============  =====================

so that (x - mean) W is spherical.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...errors import InvalidDataError
from ..parameters import BadParameterError
from .axes import component_names, principal_axes
from .complete import complete, na_setting, values_of
from .normalize import compat_setting
from .operator import Fitted
from .settings import WithSettings, setting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .matrix import ProfileMatrix

METHODS = ("ZCA-cor", "ZCA", "PCA-cor", "PCA")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spherize(WithSettings):
    """Make features uncorrelated and of variance 1 over the wells that it learns from.

    Attributes
    ----------
    method
        ``ZCA-cor``, ``ZCA`` (outputs keep the names of the features that they are closest to), ``PCA-cor`` or ``PCA``
        (outputs are ``PC_001``, ..., as many as the rank, largest variance first).
    epsilon
        Added to each eigenvalue of the covariance (of the correlation with ``-cor``): what varies less than this among
        the controls is not blown up to variance 1.
    center
        Whether the mean is taken off; only ``ZCA`` and ``PCA`` can do without.
    na
        Features without a value in some of the wells: ``error``, or ``leave_out`` with the flag ``na``.
    compat
        ``pycytominer``: epsilon is added to the singular values of the data, as pycytominer 1.7 has it, and linearly
        dependent features are an error.

    Notes
    -----
    With fewer wells than features, or linearly dependent ones, some directions do not vary among the wells, and what
    they should be divided by is unknown. ``PCA`` leaves them out. ``ZCA`` divides them by the standard deviation of the
    last direction that does vary, as pycytominer does: W = V_r s_r^-1 V_rᵀ + (I - V_r V_rᵀ) / s_last.
    """

    name: ClassVar[str] = "spherize"
    fitted_on: ClassVar[str] = "study"

    method: str = setting("ZCA-cor", "kind of spherizing", choices=METHODS)
    epsilon: float = setting(1e-6, "added to each eigenvalue of the covariance, or of the correlation", high=1e6)
    center: bool = setting(True, "whether the mean is taken off")
    na: str = na_setting()
    compat: str = compat_setting("pycytominer, for its numbers: epsilon is added to the singular values of the data")

    def __post_init__(self) -> None:
        WithSettings.__post_init__(self)
        if self.method.endswith("-cor") and not self.center:
            raise BadParameterError("center", f"{self.method} without a centre is no correlation", "true, or ZCA, PCA")

    def fit(self, matrix: ProfileMatrix, learn: NDArray[np.bool_]) -> Fitted:
        """Learn ``center`` and ``scale`` (features,), ``matrix`` (features, outputs) and the ``rank`` (1,).

        Raises
        ------
        InvalidDataError
            There are gaps and ``na`` is ``error``; fewer than two wells; with ``compat``, features that depend on one
            another.
        """
        found = complete(matrix, learn, operator=self.name, na=self.na)
        n, n_features = found.values.shape
        center = found.values.mean(axis=0) if self.center else np.zeros(n_features)
        centred = found.values - center
        # Wells have variances with n - 1; pycytominer's come from scikit-learn's scaler, with n.
        over = n if self.compat else n - 1
        scale = np.sqrt((centred**2).sum(axis=0) / over) if self.method.endswith("-cor") else np.ones(n_features)
        axes, singular = principal_axes(centred / scale)
        rank = len(singular)
        if self.compat:
            if rank < min(n_features, n - 1 if self.center else n):
                raise InvalidDataError(
                    f"{self.name}: the {n_features} features of {n} wells have rank {rank}: some depend on others",
                    hint="drop correlated features by a step before it, or leave compat away",
                )
            deviation = (singular + self.epsilon) / np.sqrt(n - 1)
        else:
            deviation = np.sqrt(singular**2 / (n - 1) + self.epsilon)
        whitening = axes / deviation
        outputs = component_names(rank)
        if self.method.startswith("ZCA"):
            whitening = whitening @ axes.T
            outputs = found.features
            if rank < n_features:
                whitening += (np.eye(n_features) - axes @ axes.T) / deviation[-1]
        return Fitted(
            features=found.features,
            outputs=outputs,
            arrays={"center": center, "scale": scale, "matrix": whitening, "rank": np.array([float(rank)])},
            flags=found.flags,
        )

    def apply(self, matrix: ProfileMatrix, fitted: Fitted) -> ProfileMatrix:
        """Map rows; a row that lacks a value of any feature has none afterwards."""
        arrays = fitted.arrays
        values = (values_of(matrix, fitted.features) - arrays["center"]) / arrays["scale"]
        whole = np.isfinite(values).all(axis=1)
        mapped = np.full((len(matrix), len(fitted.outputs)), np.nan)
        mapped[whole] = values[whole] @ arrays["matrix"]
        return matrix.with_values(mapped, fitted.outputs)
