"""What a step of a profile recipe is: something that learns parameters from rows, and changes rows by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .matrix import ProfileMatrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One feature that a step drops or leaves empty, and why: ``zero_mad``, ``constant``, ``na``, ``correlated``."""

    feature: str
    reason: str
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What a step has learned: everything that :meth:`Operator.apply` needs beside the settings.

    Attributes
    ----------
    features
        Names of the features that it was fitted on, in the order of the arrays.
    outputs
        Names of the features that come out.
    arrays
        float64 arrays by name, such as ``center`` and ``scale`` of shape (features,), ``matrix`` of shape (features,
        outputs).
    flags
        What is dropped or left empty.
    """

    features: tuple[str, ...]
    outputs: tuple[str, ...]
    arrays: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()


class Operator(Protocol):
    """One operator with its settings: a frozen dataclass whose fields are what a recipe may set.

    ``fit`` sees the rows of one unit (a plate, a study, or all) and a mask of shape (rows,) of those to learn from
    (control wells, or all); ``apply`` sees rows of any unit, also of plates that were not there when it was fitted, and
    never learns. Both are pure: same input, same output, to the bit.
    """

    #: What a recipe calls it, such as ``robust_z``.
    name: ClassVar[str]
    #: What it is fitted on where the recipe says nothing: ``plate``, ``study`` or ``all``.
    fitted_on: ClassVar[str]

    def fit(self, matrix: ProfileMatrix, learn: NDArray[np.bool_]) -> Fitted:
        """Learn parameters."""
        ...

    def apply(self, matrix: ProfileMatrix, fitted: Fitted) -> ProfileMatrix:
        """Change rows by parameters that were learned, perhaps from other rows."""
        ...

    def settings(self) -> dict[str, Any]:
        """Give all settings as plain JSON values, defaults included: they are part of the recipe's hash."""
        ...
