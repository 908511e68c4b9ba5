"""Which tables a lake has, and the Arrow schema of each.

A table is a class of the LinkML schema; its key and partition columns are declared there too. Feature tables have
no fixed columns: :func:`feature_table_schema` puts the features behind the identity of a row, and
:func:`profile_table_schema` does for profiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from ..errors import NotFoundError
from .generated.tables import SCHEMA_SHA256, SCHEMA_VERSION
from .generated.tables import TABLES as _TABLES

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "SCHEMA_SHA256",
    "SCHEMA_VERSION",
    "TABLES",
    "TableSpec",
    "arrow_schema",
    "class_schema",
    "feature_table_schema",
    "profile_table_schema",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSpec:
    """A table, the class of its rows, and the columns that identify and partition them.

    ``key`` is empty where rows have no identity of their own (annotations, quality): they are replaced by plate.
    """

    name: str
    class_name: str
    key: tuple[str, ...]
    partition_by: tuple[str, ...]


#: Every table with a fixed schema, by name.
TABLES: Mapping[str, TableSpec] = MappingProxyType(
    {
        name: TableSpec(name=name, class_name=class_name, key=key, partition_by=partition_by)
        for name, (class_name, key, partition_by) in _TABLES.items()
    }
)


def arrow_schema(table: str) -> pa.Schema:
    """Return the Arrow schema of a table.

    Fields carry ``slot_uri``, ``description`` and, where there is one, ``unit`` (UCUM) as metadata; the schema carries
    ``cytolake.schema_version`` and ``cytolake.class``.

    Raises
    ------
    NotFoundError
        There is no table of that name with a fixed schema.
    """
    spec = TABLES.get(table)
    if spec is None:
        close = get_close_matches(table, TABLES, n=1)
        raise NotFoundError(
            f"there is no table {table!r} in the schema",
            hint=f"Did you mean {close[0]!r}?" if close else f"Tables are {', '.join(sorted(TABLES))}.",
        )
    return class_schema(spec.class_name)


def class_schema(class_name: str) -> pa.Schema:
    """Return the Arrow schema of a class of the LinkML schema, ``Well`` or ``ObjectRow`` for example."""
    from .generated.arrow import SCHEMAS

    return SCHEMAS[class_name]


def feature_table_schema(columns: Sequence[str], *, precision: Literal["float32", "float64"] = "float32") -> pa.Schema:
    """Return the Arrow schema of a feature table: the identity of an object, then ``columns`` as nullable floats."""
    return _wide_schema("ObjectRow", tuple(columns), precision)


def profile_table_schema(columns: Sequence[str], *, level: str) -> pa.Schema:
    """Return the Arrow schema of a table of profiles: the identity of a row, then ``columns`` as nullable float64.

    ``level`` is ``field``, ``well`` or ``treatment``.
    """
    return _wide_schema("TreatmentRow" if level == "treatment" else "ProfileRow", tuple(columns), "float64")


@lru_cache(maxsize=32)
def _wide_schema(identity: str, columns: tuple[str, ...], precision: str) -> pa.Schema:
    import pyarrow as pa

    kind = pa.float32() if precision == "float32" else pa.float64()
    return pa.unify_schemas([class_schema(identity), pa.schema([pa.field(name, kind) for name in columns])])
