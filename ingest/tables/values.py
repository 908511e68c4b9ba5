"""Values of features: numbers of the precision that is stored, NULL where there is none, all of it counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from .names import Named

_SHOWN = 20


@dataclass(slots=True)
class Counts:
    """How many values have no number, by column.

    Attributes
    ----------
    rows
        Rows that have the column at all.
    nan, inf, too_large
        Empty or NaN; infinite; finite, but more than 32-bit floats can hold. All of them are NULL in the lake.
    """

    rows: Counter[str] = field(default_factory=Counter)
    nan: Counter[str] = field(default_factory=Counter)
    inf: Counter[str] = field(default_factory=Counter)
    too_large: Counter[str] = field(default_factory=Counter)

    def report(self) -> dict[str, Any]:
        """Return totals and the worst columns."""
        every = sum(self.rows.values())
        return {
            name: {
                "values": sum(found.values()),
                "fraction": round(sum(found.values()) / every, 6) if every else 0.0,
                "columns": len(found),
                "worst": [
                    {"column": column, "values": count, "fraction": round(count / self.rows[column], 6)}
                    for column, count in found.most_common(_SHOWN)
                ],
            }
            for name, found in (("nan", self.nan), ("inf", self.inf))
        }

    def warnings(self) -> list[str]:
        """Say what became NULL although it was something."""
        found = []
        if self.inf:
            worst, count = self.inf.most_common(1)[0]
            found.append(
                f"{sum(self.inf.values()):,} infinite values in {len(self.inf)} columns are NULL in the lake, most in "
                f"{worst} ({count:,})"
            )
        if self.too_large:
            worst, count = self.too_large.most_common(1)[0]
            found.append(
                f"{sum(self.too_large.values()):,} values in {len(self.too_large)} columns are too large for 32-bit "
                f"floats and NULL in the lake, most in {worst} ({count:,}); --precision float64 keeps them"
            )
        empty = [column for column, count in self.nan.items() if count == self.rows[column]]
        if empty:
            found.append(f"{len(empty)} columns hold no value at all, such as {empty[0]}")
        return found


def stored(features: pa.Table, names: Mapping[str, Named], kind: pa.DataType, counts: Counts) -> pa.Table:
    """Return the features of a batch as they are stored, under their names in the lake.

    Parameters
    ----------
    features
        Columns of numbers under their names in the table; NULL and NaN are no value.
    names
        Name in the table → column.
    kind
        float32 or float64.
    counts
        Is added to.
    """
    columns: dict[str, Any] = {}
    dtype: Any = np.float32 if kind == pa.float32() else np.float64
    for original in features.column_names:
        column = names[original].column
        values = features[original].cast(pa.float64(), safe=False).to_numpy()  # NULL becomes NaN
        with np.errstate(over="ignore"):
            small = values.astype(dtype)
        finite = np.isfinite(small)
        total, good = len(small), int(np.count_nonzero(finite))
        counts.rows[column] += total
        if good < total:
            nan = int(np.count_nonzero(np.isnan(values)))
            inf = int(np.count_nonzero(np.isinf(values)))
            for counter, count in ((counts.nan, nan), (counts.inf, inf), (counts.too_large, total - good - nan - inf)):
                if count:
                    counter[column] += count
            columns[column] = pa.array(small, kind, mask=~finite)
        else:
            columns[column] = pa.array(small, kind)
    return pa.table(columns)
