"""Which identifiers and names mean the same compound or gene: files that say so are learnt into the table ``synonyms``.

A file has one of two shapes. A *long* one has a row per synonym, with the columns ``namespace``, ``synonym``,
``preferred_namespace``, ``preferred`` and perhaps ``relation``. A *wide* one has a row per compound or gene, and
columns that are known by their names (``InChIKey``, ``Metadata_JCP2022``, ``broad_sample``, ``NCBI Gene ID``, ``Alias
symbols`` ...): the best identifier of a row is the preferred one of all others. Nothing is decided here: what
contradicts itself is kept, and told by the views that use it (``macros/harmonise.sql``).
"""

# ruff: noqa: S608 - names in the SQL made here are quoted

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..errors import InvalidDataError, NotFoundError, UsageError
from ..wording import did_you_mean, listed
from .binding import open_connection, quoted, text
from .library import closure
from .moment import Moment
from .synonym_columns import COLUMNS, NAMESPACES, PATTERNS, Role, normal

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from ..store.root import LakeRoot

Kind = Literal["compound", "gene"]
TABLE = "synonyms"
_LONG = ("namespace", "synonym", "preferred_namespace", "preferred")
_KEY = ("kind", "source", "namespace", "synonym", "preferred_namespace", "preferred")
_RELATIONS = ("identifier", "previous", "alias")
_SHOWN = 5
_MOST_BYTES = 4 << 30
#: What stands in a cell that is empty.
_EMPTY = ("", "-", "na", "n/a", "nan", "none", "null")


def import_synonyms(root: LakeRoot, file: Path, *, kind: Kind, source: str | None = None) -> dict[str, Any]:
    """Learn from a table which identifiers and names mean the same compound or gene.

    Parameters
    ----------
    file
        CSV or TSV, perhaps packed (``.gz``, ``.bz2``); the first line names the columns.
    kind
        What it names.
    source
        Where it is from; the name of the file where None. The same source again adds what is new, and changes nothing
        that is there already.

    Returns
    -------
    dict
        ``status`` (``ok``, or ``skipped`` where nothing was new), ``run_id``, ``kind``, ``source``, ``synonyms`` and
        ``preferred`` (how many the file has), ``added``, ``columns`` (column → what it was read as),
        ``ignored_columns``, ``ambiguous`` (how many synonyms now stand for several) with ``examples``, and ``invalid``
        (cells that are no identifier of their column's kind, by column).

    Raises
    ------
    InvalidDataError
        It cannot be read as a table, or no two of its columns are known.
    """
    if kind not in get_args(Kind):
        raise UsageError(f"{kind!r} is no kind of thing that has synonyms", hint="compound or gene")
    named = source or file.name
    data, digest = _bytes_of(file)
    table = _table(data, file.name)
    connection = open_connection(Moment(root))
    for one in closure(["harmonise_perturbation", "_key_rank"]):
        connection.execute(one.statement).fetchall()
    connection.register("given", table)
    is_long = {"synonym", "preferred"} <= {normal(name) for name in table.column_names}
    read = (_read_long if is_long else _read_wide)(connection, table.column_names, kind, file.name)
    known = root.tables.read(TABLE) if root.tables.exists(TABLE) else None
    fresh, facts = _against(connection, known, kind, named)
    result = {"kind": kind, "source": named, **facts, **read}
    if not fresh.num_rows:
        return {"status": "skipped", "run_id": None, **result}
    return {"status": "ok", "run_id": _write(root, fresh, named, kind, digest, file.name), **result}


def synonym_sources(root: LakeRoot) -> list[dict[str, Any]]:
    """Return the sources that have been learnt from: ``source``, ``kind``, ``synonyms``, ``preferred``, ``run_id``."""
    if not root.tables.exists(TABLE):
        return []
    connection = open_connection(Moment(root))
    connection.register("known", root.tables.read(TABLE))
    query = """
        SELECT source, kind, count(DISTINCT (namespace, synonym)) AS synonyms,
          count(DISTINCT (preferred_namespace, preferred)) AS preferred, max(run_id) AS run_id
        FROM known GROUP BY source, kind ORDER BY source, kind"""
    rows: list[dict[str, Any]] = connection.sql(query).to_arrow_table().to_pylist()
    return rows


def forget_synonyms(root: LakeRoot, source: str) -> dict[str, Any]:
    """Forget what was learnt from one source.

    Raises
    ------
    NotFoundError
        Nothing was.
    """
    from ..store.commit import Commit
    from ..store.lineage import Run

    known = synonym_sources(root)
    mine = [one for one in known if one["source"] == source]
    if not mine:
        guess = did_you_mean(source, [one["source"] for one in known])
        raise NotFoundError(
            f"no synonyms were learnt from {source!r}{guess}", hint="list them: `cytolake catalog synonyms`"
        )
    run = Run.start("synonyms", parameters={"source": source, "forget": True})
    run.add_output("table", TABLE, rows=0)
    with Commit(root, run_id=run.run_id, app_id=f"synonyms/{source}") as commit:
        commit.delete(TABLE, {"source": source})
        commit.append("runs", run.record("ok"))
        commit.commit()
    return {"status": "ok", "run_id": run.run_id, "source": source, "synonyms": sum(one["synonyms"] for one in mine)}


def _bytes_of(file: Path) -> tuple[bytes, str]:
    """Return a file's text as UTF-8, unpacked, and the SHA-256 of what lies on the disk."""
    import pyarrow as pa

    try:
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        with pa.input_stream(str(file), compression="detect") as stream:
            data = bytes(stream.read(_MOST_BYTES + 1))
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {file}") from error
    except (OSError, pa.ArrowInvalid) as error:
        raise InvalidDataError(f"{file.name} cannot be read: {error}") from error
    if len(data) > _MOST_BYTES:
        raise InvalidDataError(f"{file.name} is larger than {_MOST_BYTES >> 30} GiB", hint="import it in parts")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding).encode(), digest
        except UnicodeDecodeError:
            continue
    raise InvalidDataError(f"{file.name} is neither UTF-8 nor Windows-1252 text", hint="save it as UTF-8")


def _table(data: bytes, name: str) -> pa.Table:
    """Return all columns of a text table as strings."""
    import pyarrow as pa
    from pyarrow import csv

    first = data[: data.find(b"\n")] if b"\n" in data else data
    delimiter = max("\t,;", key=lambda one: first.count(one.encode()))
    parse = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    try:
        header = csv.read_csv(io.BytesIO(first + b"\n"), parse_options=parse).column_names
        twice = sorted({one for one in header if header.count(one) > 1})
        if twice:
            raise InvalidDataError(f"{name}: two columns are called {listed(twice, _SHOWN)}")
        convert = csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False)
        return csv.read_csv(io.BytesIO(data), parse_options=parse, convert_options=convert)
    except pa.ArrowInvalid as error:
        raise InvalidDataError(
            f"{name} is no table: {error}", hint="CSV or TSV with the names of its columns above"
        ) from error


def _read_long(connection: duckdb.DuckDBPyConnection, columns: list[str], kind: Kind, name: str) -> dict[str, Any]:
    known = {normal(column): column for column in columns}
    missing = [column for column in _LONG if column.replace("_", "") not in known]
    if missing:
        raise InvalidDataError(
            f"{name} has no column {listed(missing, _SHOWN)}",
            hint=f"a row per synonym has {listed(_LONG, 9)}, and may have relation ({', '.join(_RELATIONS)})",
        )
    cells = [f"trim({quoted(known[column.replace('_', '')])})" for column in _LONG]
    relation = f"lower(trim({quoted(known['relation'])}))" if "relation" in known else "''"
    connection.execute(
        f"""CREATE TABLE learnt AS SELECT DISTINCT lower({cells[0]}) AS namespace, {cells[1]} AS synonym,
            lower({cells[2]}) AS preferred_namespace, {cells[3]} AS preferred,
            coalesce(nullif({relation}, ''), 'identifier') AS relation
            FROM given WHERE lower({cells[1]}) NOT IN {_EMPTY} AND lower({cells[3]}) NOT IN {_EMPTY}"""
    ).fetchall()
    wrong = connection.execute(f"SELECT DISTINCT relation FROM learnt WHERE relation NOT IN {_RELATIONS}").fetchall()
    if wrong:
        given = [str(one) for (one,) in wrong]
        raise InvalidDataError(
            f"{name}: no relation is called {listed(given, _SHOWN)}", hint=f"{', '.join(_RELATIONS)}"
        )
    unnamed = connection.execute(
        "SELECT count(*) FROM learnt WHERE namespace = '' OR preferred_namespace = ''"
    ).fetchone()
    if unnamed and unnamed[0]:
        raise InvalidDataError(f"{name}: {unnamed[0]} rows lack a namespace", hint=f"such as {', '.join(NAMESPACES)}")
    invalid = _invalid_of(
        connection,
        "SELECT namespace AS column_name, namespace, synonym AS entry FROM learnt UNION ALL "
        "SELECT preferred_namespace, preferred_namespace, preferred FROM learnt",
    )
    for namespace, pattern in PATTERNS.items():
        for column, entry in (("namespace", "synonym"), ("preferred_namespace", "preferred")):
            is_wrong = f"{column} = {text(namespace)} AND NOT regexp_matches({entry}, {text(pattern)})"
            connection.execute(f"DELETE FROM learnt WHERE {is_wrong}").fetchall()
    used = {one.replace("_", ""): one for one in (*_LONG, "relation")}
    return {
        "columns": {column: used[one] for one, column in known.items() if one in used},
        "ignored_columns": [column for one, column in known.items() if one not in used],
        "invalid": invalid,
    }


def _read_wide(connection: duckdb.DuckDBPyConnection, columns: list[str], kind: Kind, name: str) -> dict[str, Any]:
    roles = {column: role for column in columns if (role := COLUMNS[kind].get(normal(column))) is not None}
    best = [column for column in roles if roles[column].relation == "identifier"]
    best.sort(key=lambda column: NAMESPACES.index(roles[column].namespace))
    if not best or len(roles) < 2:
        told = f"only {listed(list(roles), 3)} is known" if roles else "none is known"
        known = list(dict.fromkeys(one.example for one in COLUMNS[kind].values()))
        raise InvalidDataError(
            f"{name} has the columns {listed(columns, 12)}; {told}",
            hint=f"it needs two columns such as {', '.join(known)}; or {', '.join(_LONG)}",
        )
    # Cells become lists of entries, once; the columns are numbered so that their names matter no more.
    lists = ", ".join(f"{_entries(column, roles[column])} AS c{at}" for at, column in enumerate(roles))
    connection.execute(f"CREATE TABLE cells AS SELECT {lists} FROM given").fetchall()
    number = {column: f"c{at}" for at, column in enumerate(roles)}
    entries = " UNION ALL ".join(
        f"SELECT {text(column)} AS column_name, {text(role.namespace)} AS namespace, unnest({number[column]}) AS entry "
        "FROM cells"
        for column, role in roles.items()
    )
    good = {column: _good(number[column], role) for column, role in roles.items()}
    whens = " ".join(
        f"WHEN len({good[column]}) > 0 THEN {{'namespace': {text(roles[column].namespace)}, 'text': {good[column]}[1]}}"
        for column in best
    )
    arms = " UNION ALL ".join(
        f"SELECT {text(role.namespace)} AS namespace, unnest({good[column]}) AS synonym, CASE {whens} END AS chosen, "
        f"{text(role.relation)} AS relation FROM cells"
        for column, role in roles.items()
    )
    own, theirs = _namespace_of("namespace", "synonym"), _namespace_of("chosen.namespace", "chosen.text")
    connection.execute(
        f"""CREATE TABLE learnt AS SELECT {own} AS namespace, synonym, {theirs} AS preferred_namespace,
              chosen.text AS preferred, arg_min(relation, list_position({list(_RELATIONS)}, relation)) AS relation
            FROM ({arms})
            WHERE chosen IS NOT NULL AND ({own} <> {theirs} OR synonym <> chosen.text)
            GROUP BY ALL"""
    ).fetchall()
    return {
        "columns": {column: _told(role) for column, role in roles.items()},
        "ignored_columns": [column for column in columns if column not in roles],
        "invalid": _invalid_of(connection, entries),
    }


def _entries(column: str, role: Role) -> str:
    """Return the SQL of the entries of a cell."""
    cells = f"string_split_regex({quoted(column)}, {text(role.between)})" if role.between else f"[{quoted(column)}]"
    return f"list_filter(list_transform({cells}, lambda c: trim(c)), lambda c: lower(c) NOT IN {_EMPTY})"


def _good(cells: str, role: Role) -> str:
    """Return the SQL of those entries of a cell that are identifiers of their column's kind."""
    return f"list_filter({cells}, lambda c: regexp_matches(c, {text(role.pattern)}))" if role.pattern else cells


def _namespace_of(namespace: str, value: str) -> str:
    """Return the SQL of an entry's namespace: a ``broad_sample`` may be a clone or a guide, which has no BRD number."""
    return f"CASE WHEN {namespace} = 'brd' AND NOT starts_with(upper({value}), 'BRD-') THEN 'name' ELSE {namespace} END"


def _invalid_of(connection: duckdb.DuckDBPyConnection, entries: str) -> dict[str, dict[str, Any]]:
    """Return, by column or namespace, how many entries are no identifiers of their kind, with some of them."""
    cases = " ".join(
        f"WHEN {text(one)} THEN NOT regexp_matches(entry, {text(pattern)})" for one, pattern in PATTERNS.items()
    )
    rows = connection.execute(
        f"""SELECT column_name, count(*), min(entry, {_SHOWN}) FROM ({entries})
            WHERE CASE namespace {cases} ELSE false END GROUP BY column_name ORDER BY column_name"""
    ).fetchall()
    return {column: {"count": count, "examples": list(examples)} for column, count, examples in rows}


def _told(role: Role) -> str:
    return role.namespace if role.relation == "identifier" else f"{role.namespace} ({role.relation})"


def _against(
    connection: duckdb.DuckDBPyConnection, known: pa.Table | None, kind: Kind, source: str
) -> tuple[pa.Table, dict[str, Any]]:
    """Return the rows that the lake does not have yet, and what there is to say about them with those that it has."""
    from ..schemas.tables import arrow_schema

    schema = arrow_schema(TABLE)
    connection.register("known", known if known is not None else schema.empty_table())
    connection.execute(
        f"""CREATE TABLE fresh AS SELECT l.* FROM learnt l ANTI JOIN known k
              ON k.kind = {text(kind)} AND k.source = {text(source)} AND k.namespace = l.namespace
              AND k.synonym = l.synonym AND k.preferred_namespace = l.preferred_namespace
              AND k.preferred = l.preferred AND k.relation = l.relation"""
    ).fetchall()
    counts = connection.execute(
        "SELECT count(DISTINCT (namespace, synonym)), count(DISTINCT (preferred_namespace, preferred)) FROM learnt"
    ).fetchone()
    added = connection.execute("SELECT count(*) FROM fresh").fetchone()
    # A table of its own: DuckDB would make the keys again wherever they are compared.
    connection.execute(
        f"""CREATE TABLE keyed AS
            SELECT harmonise_perturbation(synonym, namespace) AS synonym,
              harmonise_perturbation(preferred, preferred_namespace) AS preferred, preferred_namespace,
              list_position({list(_RELATIONS)}, coalesce(relation, 'identifier')) AS strength
            FROM (SELECT namespace, synonym, preferred_namespace, preferred, relation FROM learnt
                  UNION SELECT namespace, synonym, preferred_namespace, preferred, relation FROM known
                  WHERE kind = {text(kind)})"""
    ).fetchall()
    connection.execute(
        """CREATE TABLE doubtful AS
           SELECT synonym, list_sort(list(DISTINCT preferred)) AS preferred
           FROM (FROM keyed QUALIFY strength = min(strength) OVER (PARTITION BY synonym))
           WHERE _key_rank(preferred) <= _key_rank(synonym)
           GROUP BY synonym, preferred_namespace HAVING count(DISTINCT preferred) > 1"""
    ).fetchall()
    doubtful = connection.execute("SELECT count(*) FROM doubtful").fetchone()
    examples = connection.execute(f"FROM doubtful ORDER BY synonym LIMIT {_SHOWN}").fetchall()
    assert counts is not None
    assert added is not None
    assert doubtful is not None
    rows = connection.sql(
        f"""SELECT {text(kind)} AS kind, namespace, synonym, preferred_namespace, preferred, relation,
            {text(source)} AS source FROM fresh"""
    ).to_arrow_table()
    return rows, {
        "synonyms": counts[0],
        "preferred": counts[1],
        "added": added[0],
        "ambiguous": doubtful[0],
        "examples": [{"synonym": synonym, "preferred": preferred} for synonym, preferred in examples],
    }


def _write(root: LakeRoot, rows: pa.Table, source: str, kind: Kind, digest: str, name: str) -> str:
    """Commit rows, and return the run that did it."""
    import pyarrow as pa

    from ..schemas.tables import arrow_schema
    from ..store.commit import Commit
    from ..store.lineage import Run

    run = Run.start("synonyms", parameters={"kind": kind, "source": source})
    run.add_input("file", name, sha256=digest)
    run.add_output("table", TABLE, rows=rows.num_rows)
    rows = rows.append_column("run_id", pa.array([run.run_id] * rows.num_rows, pa.string()))
    schema = arrow_schema(TABLE)
    with Commit(root, run_id=run.run_id, app_id=f"synonyms/{source}") as commit:
        commit.upsert(TABLE, rows.select(schema.names).cast(schema), on=_KEY)
        commit.append("runs", run.record("ok"))
        commit.commit()
    return run.run_id
