"""The rows of an answer as a plot wants them: columns by what they mean, and settings that were checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...errors import QueryError, UsageError
from ...wording import did_you_mean, listed

if TYPE_CHECKING:
    from ..result import Result

_NO_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
#: Beyond this a number is a mark for something missing; squares of it overflow.
_LARGEST = 1e100


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of one plot, each of the type of its default; None where nothing was said."""

    kind: str
    values: Mapping[str, Any]

    @classmethod
    def read(cls, kind: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> Options:
        """Check settings against the known ones: name → default; a default's type is the setting's.

        Raises
        ------
        UsageError
            One is unknown, or cannot be read as its type.
        """
        values = {name: None if isinstance(default, type) else default for name, default in known.items()}
        for name, value in given.items():
            if name not in known:
                raise UsageError(
                    f"{kind} has no setting {name!r}{did_you_mean(name, known)}", hint=f"there are {', '.join(known)}"
                )
            default = known[name]
            wanted = default if isinstance(default, type) else type(default)
            values[name] = _as(wanted, f"{kind}, {name}", value)
        return cls(kind, values)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def _as(wanted: type, what: str, value: Any) -> Any:
    if wanted is bool and isinstance(value, str):
        if value.lower() in {"true", "yes", "1"}:
            return True
        if value.lower() in {"false", "no", "0"}:
            return False
        raise UsageError(f"{what}: {value!r} is neither true nor false")
    try:
        made = wanted(value)
    except (TypeError, ValueError, OverflowError):
        kind = {int: "a whole number", float: "a number"}.get(wanted, "a text")
        raise UsageError(f"{what}: {value!r} is not {kind}") from None
    if wanted is float and not abs(made) <= _LARGEST:
        raise UsageError(f"{what}: {value!r} is not finite")
    return made


@dataclass(frozen=True, slots=True)
class Answer:
    """All rows of an answer."""

    rows: pa.Table

    @classmethod
    def take(cls, result: Result, *, most: int) -> Answer:
        """Take the rows.

        Raises
        ------
        QueryError
            There are none, or more than a picture can show.
        """
        rows = result.head(most + 1)
        if rows.num_rows == 0:
            raise QueryError(
                "the answer has no rows, so there is nothing to draw", hint="look at it with `cytolake sql`"
            )
        if rows.num_rows > most:
            raise QueryError(
                f"the answer has more than {most:,} rows",
                hint="aggregate in the question, or choose with WHERE or LIMIT",
            )
        return cls(rows)

    def find(self, *names: str | None) -> str | None:
        """Return the first of some columns that the answer has, ignoring case."""
        known = {name.lower(): name for name in self.rows.column_names}
        return next((known[name.lower()] for name in names if name is not None and name.lower() in known), None)

    def need(self, what: str, options: Options, *also: str) -> str:
        """Return the column that is ``what``: the one that a setting of that name says, or one of the usual names.

        Raises
        ------
        QueryError
            There is none.
        """
        said = options.values.get(what)
        found = self.find(said) if said is not None else self.find(what, *also)
        if found is None:
            columns = self.rows.column_names
            told = f"{options.kind}: the answer has no column {said or what!r}{did_you_mean(said or what, columns)}"
            raise QueryError(
                told,
                hint=f"name one so in the question (... AS {what}), or say which it is: --set {what}=COLUMN; "
                f"columns are {listed(columns, 12)}",
            )
        return found

    def maybe(self, what: str, options: Options, *also: str) -> str | None:
        """Return the column that is ``what``, None where nobody said one and none has a usual name."""
        if options.values.get(what) is not None:
            return self.need(what, options)
        return self.find(what, *also)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a column as float64, shape (rows,); NULL and what is not finite is NaN.

        Raises
        ------
        QueryError
            It holds no numbers, or one that is too large to draw.
        """
        column = self.rows[name]
        if not is_number(column.type):
            raise QueryError(
                f"column {name!r} holds {column.type}, not numbers", hint="choose another column, or cast it"
            )
        # Beyond 2^53 whole numbers are rounded, which no picture shows.
        values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
        values = np.where(np.isfinite(values), values, np.nan)
        if (np.abs(values) > _LARGEST).any():
            raise QueryError(
                f"column {name!r} has numbers beyond {_LARGEST:g}, which no axis holds", hint="leave such rows out"
            )
        return values

    def texts(self, name: str) -> list[str]:
        """Return a column as text; NULL is an empty text."""
        return ["" if value is None else drawable(_shown(value)) for value in self.rows[name].to_pylist()]

    def number_columns(self, but: Sequence[str] = ()) -> list[str]:
        """Return the columns of numbers."""
        return [field.name for field in self.rows.schema if is_number(field.type) and field.name not in but]


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type can be drawn along an axis."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def drawable(text: str) -> str:
    """Return a text in which what XML, and so an SVG, cannot hold is escaped."""
    return _NO_XML.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
