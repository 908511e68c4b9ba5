"""Releases: names for the versions that all tables had at one moment, kept until somebody withdraws them.

A release is one row of ``releases``. It copies nothing: old versions of a Delta table stay readable as long as their
log entries and files are there, and :mod:`.maintenance` takes neither away from under a release. A release that is
withdrawn keeps its row, as a tombstone that says when and why; what only it needed may go.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ..errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidDataError,
    NotFoundError,
    UsageError,
)
from ..schemas.identifiers import check_id
from ..schemas.tables import arrow_schema
from ..wording import listed
from .journal import JOURNALS, LOCK, recover_locked
from .lineage import Run
from .refusals import refusals

if TYPE_CHECKING:
    from .root import LakeRoot

#: What stands for the newest versions where a release may be named.
NOW = "now"
_TABLE = "releases"
_WAIT = 120.0  # seconds for the commits of others
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One table in a release: its version, and the rows and data files that it has in it (None: nobody knows)."""

    version: int
    rows: int | None
    files: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A name for the versions of all tables that there were.

    Attributes
    ----------
    pins
        Table → its version; what is not named did not exist.
    tombstoned_at, tombstone_reason
        When and why it was withdrawn; None while it can be asked.
    run_id
        The run that wrote its row last.
    """

    name: str
    created_at: datetime
    note: str | None
    pins: Mapping[str, Pin]
    tombstoned_at: datetime | None
    tombstone_reason: str | None
    run_id: str

    @property
    def withdrawn(self) -> bool:
        """Whether it cannot be asked any more."""
        return self.tombstoned_at is not None

    def to_json(self) -> dict[str, Any]:
        """Return what ``release list`` reports of it."""
        return {
            "release": self.name,
            "created_at": self.created_at.isoformat(),
            "note": self.note,
            "tables": {table: pin.version for table, pin in self.pins.items()},
            "rows": sum(pin.rows or 0 for pin in self.pins.values()),
            "files": sum(pin.files or 0 for pin in self.pins.values()),
            "withdrawn_at": self.tombstoned_at.isoformat() if self.tombstoned_at else None,
            "reason": self.tombstone_reason,
            "run_id": self.run_id,
        }


def releases(root: LakeRoot) -> list[Release]:
    """Return all releases, withdrawn ones too, oldest first."""
    found = [
        Release(
            name=row["name"],
            created_at=row["created_at"],
            note=row["note"],
            pins={
                one["table"]: Pin(version=one["version"], rows=one["rows"], files=one["files"]) for one in row["tables"]
            },
            tombstoned_at=row["tombstoned_at"],
            tombstone_reason=row["tombstone_reason"],
            run_id=row["run_id"],
        )
        for row in root.tables.read(_TABLE).to_pylist()
    ]
    return sorted(found, key=lambda one: (one.created_at, one.name))


def find_release(root: LakeRoot, name: str, *, withdrawn: bool = False) -> Release:
    """Return the release of a name.

    Parameters
    ----------
    withdrawn
        Whether one that was withdrawn is wanted too.

    Raises
    ------
    NotFoundError
        There is none, or it was withdrawn; says which there are.
    """
    known = releases(root)
    found = next((one for one in known if one.name == name), None)
    usable = [one.name for one in known if not one.withdrawn]
    there_are = f"there are: {', '.join(usable)}" if usable else "make one with `cytolake release create NAME`"
    if found is None:
        close = get_close_matches(name, usable, n=1)
        raise NotFoundError(
            f"there is no release {name!r} in {root.url}",
            hint=f"did you mean {close[0]!r}? {there_are}" if close else there_are,
        )
    if found.tombstoned_at is not None and not withdrawn:
        raise NotFoundError(
            f"release {name!r} was withdrawn on {found.tombstoned_at:%Y-%m-%d %H:%M:%S} UTC "
            f"({found.tombstone_reason}) and cannot be asked any more",
            hint=f"ask another release; {there_are}",
        )
    return found


def create_release(
    root: LakeRoot, name: str, note: str | None = None, *, accept_quality: str | None = None
) -> dict[str, Any]:
    """Give a name to the versions that all tables have now.

    The versions belong together: no commit that spans several tables lies half inside.

    Parameters
    ----------
    note
        What the release is for.
    accept_quality
        Why features may be released whose check said ``refused``; it is recorded with the run.

    Returns
    -------
    dict
        ``release``, ``created_at``, ``note``, ``tables`` (name → version), ``rows``, ``files``, ``run_id``,
        ``warnings``, and what a release may become later (``withdrawn_at``, ``reason``: None).

    Raises
    ------
    AlreadyExistsError
        There is a release of that name, withdrawn or not.
    UsageError
        The name could be a time, or means something else.
    InvalidDataError
        The name is no identifier, the lake is empty, or features that views show were refused by their check.
    ConflictError
        Somebody commits without a pause (object stores only), or makes the same release at this moment.
    """
    from .commit import Commit

    _check_name(root, name)
    run = Run.start("release create", parameters={"name": name, "note": note})
    versions = _pin(root)
    if not versions:
        raise InvalidDataError(
            f"{root.url} has no tables yet: there is nothing to release", hint="ingest a plate first"
        )
    refused = refusals(root, versions)
    if refused:
        texts = [str(one) for one in refused]
        if accept_quality is None or not accept_quality.strip():
            raise InvalidDataError(
                f"no release {name!r} is made: the views show features that their check refused: "
                f"{listed(texts, _SHOWN, between='; ')}",
                hint="mend or exclude what is bad and run `cytolake features check` again, or overrule it with "
                "--accept-quality REASON",
            )
        run.parameters |= {"accept_quality": accept_quality, "refused": texts}
        run.warn(f"released although {len(texts)} measures of quality were refused ({accept_quality})")
    pins = {table: _count(root, table, version) for table, version in versions.items()}
    for table, pin in pins.items():
        run.add_input("table", table, version=pin.version)
    run.add_output("table", _TABLE, rows=1)
    made = Release(
        name=name,
        created_at=run.started_at,
        note=note,
        pins=pins,
        tombstoned_at=None,
        tombstone_reason=None,
        run_id=run.run_id,
    )
    with Commit(root, run_id=run.run_id, app_id=f"release/{name}") as commit:
        commit.insert(_TABLE, _row(made), on=["name"])
        commit.append("runs", run.record("ok"))
        commit.commit()
    return {**made.to_json(), "warnings": list(run.warnings)}


def withdraw_release(root: LakeRoot, name: str, reason: str) -> dict[str, Any]:
    """Withdraw a release: nobody can ask it any more, and what only it needs goes at the next ``maintain``.

    Withdrawing it once more changes nothing.

    Returns
    -------
    dict
        What :func:`create_release` returns, and ``status``: ``ok``, or ``skipped`` where it was withdrawn already.

    Raises
    ------
    NotFoundError
        There is no such release.
    UsageError
        No reason is given.
    """
    from .commit import Commit

    if not reason.strip():
        raise UsageError("a release is withdrawn for a reason, and none is given", hint="say it with --reason")
    there = find_release(root, name, withdrawn=True)
    if there.withdrawn:
        return {"status": "skipped", **there.to_json()}
    run = Run.start("release withdraw", parameters={"name": name, "reason": reason})
    run.add_output("table", _TABLE, rows=1)
    gone = replace(there, tombstoned_at=run.started_at, tombstone_reason=reason, run_id=run.run_id)
    with Commit(root, run_id=run.run_id, app_id=f"release/{name}") as commit:
        commit.expect(_TABLE, {"name": name}, {"run_id": there.run_id})
        commit.upsert(_TABLE, _row(gone), on=["name"])
        commit.append("runs", run.record("ok"))
        commit.commit()
    return {"status": "ok", **gone.to_json()}


def _check_name(root: LakeRoot, name: str) -> None:
    check_id(name, "release")
    if name.lower() == NOW:
        raise UsageError(f"{name!r} means the newest versions and cannot name a release")
    try:
        datetime.fromisoformat(name)
    except ValueError:
        pass
    else:
        raise UsageError(
            f"{name!r} could be a time, and --as-of would not know which is meant", hint=f"call it 'release-{name}'"
        )
    for one in releases(root):
        if one.name == name:
            state = f"and was withdrawn on {one.tombstoned_at:%Y-%m-%d}" if one.tombstoned_at else "and can be asked"
            raise AlreadyExistsError(
                f"there is a release {name!r} already: it is of {one.created_at:%Y-%m-%d %H:%M:%S} UTC, {state}",
                hint="choose another name: what a release means never changes",
            )


def _pin(root: LakeRoot) -> dict[str, int]:
    """Return the version of every table, at a moment at which no commit was half done.

    In a folder the lock of commits is such a moment. On an object store there is no lock: there the versions are read
    twice, with a look at the journals between. A commit that is half inside the first reading is then seen by its
    journal, or has moved on in the second.
    """
    storage = root.storage
    deadline = time.monotonic() + _WAIT
    with storage.lock(LOCK, wait=_WAIT):
        while True:
            recover_locked(storage)
            versions = _versions(root)
            if not storage.children(JOURNALS) and (storage.is_local or _versions(root) == versions):
                return versions
            if time.monotonic() > deadline:
                raise ConflictError(
                    f"{root.url}: others commit without a pause, so the versions of the tables do not fit together",
                    hint="wait until they have finished, then run the same command again",
                )
            time.sleep(0.2)


def _versions(root: LakeRoot) -> dict[str, int]:
    return {table: root.tables.version(table) for table in root.tables.names()}


def _count(root: LakeRoot, table: str, version: int) -> Pin:
    added: Any = root.tables.open(table, version=version).get_add_actions(flatten=True)
    actions = pa.table(added)
    rows: Any = actions["num_records"] if "num_records" in actions.column_names else pa.nulls(actions.num_rows)
    known = not rows.null_count
    return Pin(version=version, rows=(pc.sum(rows).as_py() or 0) if known else None, files=actions.num_rows)


def _row(release: Release) -> pa.Table:
    row = {
        "name": release.name,
        "created_at": release.created_at.astimezone(UTC),
        "note": release.note,
        "tables": [
            {"table": table, "version": pin.version, "rows": pin.rows, "files": pin.files}
            for table, pin in release.pins.items()
        ],
        "tombstoned_at": release.tombstoned_at,
        "tombstone_reason": release.tombstone_reason,
        "run_id": release.run_id,
    }
    return pa.Table.from_pylist([row], schema=arrow_schema(_TABLE))
