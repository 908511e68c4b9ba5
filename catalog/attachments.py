"""Tables of others that questions may use: attached by name, checked, listed, forgotten. They stay where they are."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import AlreadyExistsError, CytolakeError, NotFoundError, UsageError
from ..schemas.tables import arrow_schema
from ..wording import did_you_mean
from .binding import Binder, open_connection, quoted
from .foreign import TABLE, attachments, open_foreign, select_attached
from .library import library
from .moment import Moment
from .relations import AttachedRelation, Relations

if TYPE_CHECKING:
    from ..store.lineage.run import Run
    from ..store.root import LakeRoot
    from ..store.scan import Scan

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")


def attach(
    root: LakeRoot, url: str, *, name: str | None = None, version: int | None = None, description: str | None = None
) -> dict[str, Any]:
    """Let questions use a Delta table by a name.

    The table is looked at: what it demands of its readers, and whether SQL can say its columns. The same table under
    the same name again changes nothing but its version and description.

    Parameters
    ----------
    url
        A folder or an ``s3://`` URL with a Delta log in it.
    name
        What questions call it; the name of its folder where None.
    version
        The version to read for ever; the newest at each question where None.

    Returns
    -------
    dict
        ``name``, ``url``, ``version`` (the pinned one, or None), ``rows``, ``columns``, ``run_id``, ``status`` (``ok``,
        or ``skipped`` where nothing changed).

    Raises
    ------
    NotFoundError
        There is no Delta table, or it has no such version.
    UnsupportedTableError
        It cannot be read rightly.
    AlreadyExistsError
        Something else goes by that name.
    UsageError
        The name or the version cannot be one, or it is a table of this lake.
    """
    where = url.rstrip("/") if "://" in url else str(Path(url).absolute())
    called = _name(name, where)
    if version is not None and not 0 <= version < 2**63:
        raise UsageError(f"{version} is no version of a table", hint="versions are counted from 0")
    if f"{_resolved(where)}/".startswith(f"{_resolved(root.url)}/"):
        raise UsageError(f"{where} is in this lake", hint="ask it by its own name: `cytolake catalog tables`")
    known = {row["name"].lower(): row for row in attachments(Moment(root))}
    before = known.get(called.lower())
    if before is not None and before["url"] != where:
        raise AlreadyExistsError(
            f"{before['name']} is attached already, at {before['url']}",
            hint=f"give another --name, or `cytolake catalog detach {before['name']}` first",
        )
    if before is None and _is_taken(root, called):
        raise AlreadyExistsError(f"the lake itself has something called {called!r}", hint="give another --name")
    scan = open_foreign(where, version=version)
    facts = {"name": called, "url": where, "version": version, "rows": _checked(root, called, where, scan)}
    facts["columns"] = len(scan.schema)
    if before is not None and (before["version"], before["description"]) == (version, description):
        return {"run_id": None, "status": "skipped", **facts}
    run = _run("catalog attach", {"name": called, "url": where, "version": version})
    run.add_input("table", where, version=scan.version)
    row: dict[str, Any] = {name: facts.get(name) for name in ("name", "url", "version")}
    row |= {"description": description, "attached_at": datetime.now(UTC), "run_id": run.run_id}
    _write(root, run, row, before)
    return {"run_id": run.run_id, "status": "ok", **facts}


def attached(root: LakeRoot) -> list[dict[str, Any]]:
    """List what is attached.

    Returns
    -------
    list of dict
        ``name``, ``url``, ``version`` (pinned, or the newest one), ``pinned``, ``rows``, ``columns``, ``description``,
        ``attached_at`` and ``status``: ``ok``, or why it cannot be read.
    """
    found = []
    for row in attachments(Moment(root)):
        facts = {name: row[name] for name in ("name", "url", "version", "description", "attached_at")}
        facts |= {"pinned": row["version"] is not None, "rows": None, "columns": None, "status": "ok"}
        try:
            scan = open_foreign(row["url"], version=row["version"])
            facts |= {"version": scan.version, "rows": _rows(scan), "columns": len(scan.schema)}
        except CytolakeError as error:
            facts["status"] = error.message
        found.append(facts)
    return found


def detach(root: LakeRoot, name: str) -> dict[str, Any]:
    """Forget an attached table; the table itself is left alone.

    Raises
    ------
    NotFoundError
        Nothing is attached by that name.
    """
    known = {row["name"].lower(): row for row in attachments(Moment(root))}
    row = known.get(name.lower())
    if row is None:
        guess = did_you_mean(name, [one["name"] for one in known.values()])
        raise NotFoundError(f"no table {name!r} is attached{guess}", hint="list them: `cytolake catalog attached`")
    run = _run("catalog detach", {"name": row["name"], "url": row["url"]})
    _write(root, run, None, row)
    return {"run_id": run.run_id, "status": "ok", "name": row["name"], "url": row["url"]}


def _resolved(url: str) -> str:
    return url if "://" in url else str(Path(url).resolve())


def _name(name: str | None, url: str) -> str:
    called = name if name is not None else re.sub(r"[^A-Za-z0-9_]+", "_", url.rsplit("/", 1)[-1]).strip("_")
    if not _NAME.fullmatch(called):
        raise UsageError(
            f"{called!r} cannot be the name of a table",
            hint="give --name: a letter first, then letters, digits, underscores, dots and hyphens",
        )
    return called


def _is_taken(root: LakeRoot, name: str) -> bool:
    if name.lower() in library():
        return True
    found = Relations(Moment(root)).find(name)
    return found is not None and not isinstance(found, AttachedRelation)


def _checked(root: LakeRoot, name: str, url: str, scan: Scan) -> int:
    """Return how many rows a table has, once SQL has been able to say all of its columns."""
    moment = Moment(root)
    relation = AttachedRelation(name=name, url=url, version=scan.version, schema=scan.schema)
    binder = Binder(open_connection(moment), moment)
    select = select_attached(binder, relation, {})
    binder.connection.execute(f"CREATE VIEW {quoted(name)} AS {select}").fetchall()
    rows: int = binder.connection.execute(f"SELECT count(*) FROM {quoted(name)}").fetchall()[0][0]  # noqa: S608
    return rows


def _rows(scan: Scan) -> int | None:
    """Return how many rows a table has where its log says so."""
    known = [file.rows for file in scan.files]
    return sum(row or 0 for row in known) if scan.plain and None not in known else None


def _run(verb: str, parameters: dict[str, Any]) -> Run:
    from ..store.lineage.run import Run

    return Run.start(verb, parameters=parameters)


def _write(root: LakeRoot, run: Run, row: dict[str, Any] | None, before: dict[str, Any] | None) -> None:
    import pyarrow as pa

    from ..store.commit import Commit

    run.add_output("table", TABLE, rows=0 if row is None else 1)
    with Commit(root, run_id=run.run_id, app_id="attached") as commit:
        if before is not None:
            commit.delete(TABLE, {"name": before["name"]})
        if row is not None:
            commit.upsert(TABLE, pa.Table.from_pylist([row], schema=arrow_schema(TABLE)), on=["name"])
        commit.append("runs", run.record("ok"))
        commit.commit()
