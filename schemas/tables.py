"""Which tables a lake has, and the Arrow schema of each.

A table is a class of the LinkML schema; its key and partition columns are declared there too. Feature tables have
no fixed columns: :func:`feature_table_schema` puts the features behind the identity of a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

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


def feature_table_schema(columns: Sequence[str]) -> pa.Schema:
    """Return the Arrow schema of a feature table: the identity of an object, then ``columns`` as nullable float32."""
    return _feature_table_schema(tuple(columns))


@lru_cache(maxsize=32)
def _feature_table_schema(columns: tuple[str, ...]) -> pa.Schema:
    import pyarrow as pa

    identity = class_schema("ObjectRow")
    features = pa.schema([pa.field(name, pa.float32()) for name in columns])
    return pa.unify_schemas([identity, features])
