"""What can be asked: tables and views, their columns, and the features with their meanings."""

# ruff: noqa: S608 - names in the SQL made here are quoted

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import NotFoundError, QueryError
from ..schemas.tables import TABLES, arrow_schema
from .binding import open_connection, quoted
from .expansion import relations_of
from .library import closure, library
from .moment import Moment
from .relations import (
    FEATURE_SET,
    FEATURES,
    PIXEL_COLUMNS,
    PROFILE_SET,
    PROFILE_VIEWS,
    PROFILES,
    WELL_COLUMNS,
    Relations,
    SetView,
    library_views,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from ..store.root import LakeRoot

_WORD = re.compile(r"\w")
_WAVE = re.compile(r"wv\d+")


def tables(root: LakeRoot) -> list[dict[str, Any]]:
    """Return one entry per name: name, kind (table, view, features, profiles), rows, columns, version.

    Views of features and profiles have ``studies`` beside them, and the ``feature_sets`` or ``profile_sets`` that they
    show; views of the library have ``about``.
    """
    from ..store.scan import count

    relations = Relations(Moment(root))
    present = set(root.tables.names())
    result = []
    for name in TABLES:
        there = name in present
        result.append(
            {
                "name": name,
                "kind": "table",
                "rows": count(root, name) if there else 0,
                "columns": len(relations.moment.schema(name)),
                "version": root.tables.version(name) if there else None,
            }
        )
    for name in (*relations.object_sets(), *PROFILE_VIEWS):
        view = relations.get(name)
        if isinstance(view, SetView) and (view.sets or view.kind == "features"):
            result.append(
                {
                    "name": name,
                    "kind": "view",
                    "rows": None,
                    "columns": len(view.schema),
                    "version": None,
                    f"{view.label_column}s": sorted(set(view.sets.values())),
                    "studies": sorted(view.sets),
                }
            )
    for name, shape in _library_shapes(relations, library_views()).items():
        about = library()[name].about
        facts = {"kind": "view", "rows": None, "columns": len(shape), "version": None, "about": about}
        result.append({"name": name, **facts})
    result.extend(
        {
            "name": name,
            "kind": name.split("/", 1)[0],
            "rows": count(root, name),
            "columns": len(relations.moment.schema(name)),
            "version": root.tables.version(name),
        }
        for name in sorted(present)
        if name.startswith((FEATURES, PROFILES))
    )
    return result


def columns(root: LakeRoot, table: str | None) -> list[dict[str, Any]]:
    """Return one entry per column: table, column, type (SQL), unit, description."""
    moment = Moment(root)
    relations = Relations(moment)
    if table is None:
        names = [*TABLES, *relations.object_sets(), *PROFILE_VIEWS]
    elif table.lower() in library_views():
        return _library_columns(relations, [table.lower()])
    else:
        try:
            relations.get(table)
        except QueryError as error:
            raise NotFoundError(error.message, hint=error.hint) from error
        names = [table]
    meanings = _feature_meanings(moment)
    connection = open_connection(moment)
    result = []
    for name in names:
        relation = relations.get(name)
        described = _joined_columns() if isinstance(relation, SetView) else {}
        if relation.name in TABLES:
            described = {field.name: field for field in arrow_schema(relation.name)}
        connection.register("cytolake:shape", relation.schema.empty_table())
        types = connection.sql(f"SELECT * FROM {quoted('cytolake:shape')}").types
        for field, kind in zip(relation.schema, types, strict=True):
            known = described.get(field.name, field)
            metadata = {key.decode(): value.decode() for key, value in (known.metadata or {}).items()}
            meaning = meanings.get(field.name, {})
            result.append(
                {
                    "table": relation.name,
                    "column": field.name,
                    "type": str(kind),
                    "unit": metadata.get("unit") or meaning.get("unit"),
                    "description": metadata.get("description") or meaning.get("definition"),
                }
            )
        connection.unregister("cytolake:shape")
    return [*result, *_library_columns(relations, library_views())] if table is None else result


def features(root: LakeRoot, search: str | None) -> list[dict[str, Any]]:
    """Return one entry per feature of every feature set and imported table; words of ``search`` must all occur in it.

    They are looked for in names, those that other tools use and those of imported tables too, and in the definition.
    """
    moment = Moment(root)
    sets = {one.hash: one.label for kind in ("profiles", "features") for one in moment.registered(kind)}
    words = [word for word in (search or "").lower().split() if _WORD.search(word) and not _WAVE.fullmatch(word)]
    result = []
    for entry in moment.rows("feature_dictionary"):
        aliases = entry.get("aliases") or []
        own = ("column", "object_set", "family", "operator", "channel_role", "second_channel_role")
        texts = (*(entry[name] for name in own), entry.get("original"), sets.get(entry["feature_set_hash"]))
        searched = " ".join(str(text) for text in (*texts, entry["definition"], *aliases) if text).lower()
        if all(word in searched for word in words):
            result.append(
                {
                    "column": entry["column"],
                    "object_set": entry["object_set"],
                    "feature_set": sets.get(entry["feature_set_hash"]),
                    "family": entry["family"],
                    "operator": entry["operator"],
                    "channel_role": entry["channel_role"],
                    "second_channel_role": entry["second_channel_role"],
                    "scale": entry["scale"],
                    "unit": entry["unit"],
                    "definition": entry["definition"],
                    "source": entry["source"],
                    "aliases": list(aliases),
                    "original": entry.get("original"),
                }
            )
    return sorted(result, key=lambda entry: (entry["object_set"], entry["column"], entry["feature_set"] or ""))


def _library_columns(relations: Relations, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return one entry per column of views of the library; what their tables have is explained as there."""
    result = []
    for view, shape in _library_shapes(relations, names).items():
        fields = {field.name: field for table in _tables_of(view) for field in arrow_schema(table)}
        for column, kind in shape:
            own = fields.get(column)
            metadata = {key.decode(): value.decode() for key, value in ((own and own.metadata) or {}).items()}
            said = library()[view].columns.get(column)
            unit = metadata.get("unit") if said is None else None
            description = said or metadata.get("description")
            result.append({"table": view, "column": column, "type": kind, "unit": unit, "description": description})
    return result


def _library_shapes(relations: Relations, names: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Return the columns of views of the library with their types, by making them over tables without rows."""
    connection = open_connection(relations.moment)
    definitions = closure(names)
    for table in sorted({table for one in definitions for table in relations_of(one)}):
        connection.register(f"cytolake:{table}", relations.get(table).schema.empty_table())
        connection.execute(f"CREATE VIEW {quoted(table)} AS FROM {quoted(f'cytolake:{table}')}").fetchall()
    for one in definitions:
        connection.execute(one.statement).fetchall()
    shapes = {}
    for name in names:
        shape = connection.sql(f"FROM {quoted(name)}")
        shapes[name] = [(column, str(kind)) for column, kind in zip(shape.columns, shape.types, strict=True)]
    return shapes


def _tables_of(view: str) -> list[str]:
    found = {table for one in closure([view]) for table in relations_of(one)}
    return [table for table in TABLES if table in found]


def _joined_columns() -> dict[str, pa.Field[Any]]:
    """Return the columns that a view of objects adds to those of its feature tables, with their descriptions."""
    found = {name: arrow_schema("wells").field(name) for name in WELL_COLUMNS}
    found[FEATURE_SET] = arrow_schema("quality").field(FEATURE_SET)
    found[PROFILE_SET] = arrow_schema("profile_fits").field(PROFILE_SET)
    return found | {name: arrow_schema("images").field(name) for name in PIXEL_COLUMNS}


def _feature_meanings(moment: Moment) -> dict[str, dict[str, Any]]:
    return {entry["column"]: entry for entry in moment.rows("feature_dictionary")}
