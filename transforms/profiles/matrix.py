"""A table of profiles in memory: who each row is, and a matrix of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InvalidDataError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileMatrix:
    """Rows of profiles.

    Attributes
    ----------
    rows
        Who each row is: the columns of ``ProfileRow`` or ``TreatmentRow``, with those of the well beside them.
    features
        Names of the columns of ``values``.
    values
        float64 of shape (rows, features); NaN where not defined.
    """

    rows: pa.Table
    features: tuple[str, ...]
    values: NDArray[np.float64] = field(repr=False)

    def __post_init__(self) -> None:
        if self.values.shape != (self.rows.num_rows, len(self.features)):
            raise InvalidDataError(
                f"{self.values.shape[0]} x {self.values.shape[1]} values do not fit {self.rows.num_rows} rows of "
                f"{len(self.features)} features"
            )

    def __len__(self) -> int:
        return self.rows.num_rows

    def select_rows(self, mask: NDArray[np.bool_]) -> ProfileMatrix:
        """Keep the rows where ``mask``, of shape (rows,), is true."""
        import pyarrow as pa

        return ProfileMatrix(rows=self.rows.filter(pa.array(mask)), features=self.features, values=self.values[mask])

    def with_values(self, values: NDArray[np.float64], features: Sequence[str] | None = None) -> ProfileMatrix:
        """Put other values, and perhaps other features, in the place of these."""
        named = self.features if features is None else tuple(features)
        return ProfileMatrix(rows=self.rows, features=named, values=values)

    def select_features(self, features: Sequence[str]) -> ProfileMatrix:
        """Keep some features, in the order given.

        Raises
        ------
        InvalidDataError
            One of them is not there.
        """
        at = {name: number for number, name in enumerate(self.features)}
        missing = [name for name in features if name not in at]
        if missing:
            raise InvalidDataError(
                f"{len(missing)} feature(s) are not there, first {missing[0]!r}",
                hint="The features of a plate must be those that the parameters were fitted on.",
            )
        return self.with_values(self.values[:, [at[name] for name in features]], features)

    def column(self, name: str) -> list[Any]:
        """Give a column of ``rows`` as Python values."""
        return list(self.rows[name].to_pylist())
