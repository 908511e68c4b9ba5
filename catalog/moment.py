"""The lake at one moment: now, what it was at a time in the past, what a release names, or versions of tables."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Union

from ..errors import NotFoundError, QueryError, StorageError
from ..schemas.tables import TABLES, arrow_schema, class_schema
from ..store.datafiles import table_path

if TYPE_CHECKING:
    import pyarrow as pa

    from ..store.registry import DefinedSet
    from ..store.releases import Release
    from ..store.root import LakeRoot
    from ..store.scan import Filter, Scan
    from ..store.snapshots import Snapshot


_NUMBER = re.compile(r"\d{1,7}|\d{9,18}")  # eight digits are a day
_PIN = re.compile(r"\s*(?P<table>[^@,]+?)\s*@\s*(?P<version>\d{1,18})\s*")


@dataclass(frozen=True, slots=True)
class Versions:
    """Some tables at versions of theirs, the others as they are now.

    Attributes
    ----------
    pins
        Table in lower case → version.
    only
        The version of the one table of a question, whatever it is called; None where tables are named.
    """

    pins: Mapping[str, int] = field(default_factory=dict)
    only: int | None = None

    def __str__(self) -> str:
        if self.only is not None:
            return f"version {self.only}"
        return ",".join(f"{table}@{version}" for table, version in self.pins.items())


#: What a moment may be; None is now.
At = Union[datetime, "Release", Versions, None]
#: What people write for it.
AsOf = str | int | date | At


def parse_moment(root: LakeRoot, as_of: AsOf) -> At:
    """Return what ``as_of`` means.

    A time, a release or its name, ``table@version`` (several with commas), a version alone, or None for now.

    Raises
    ------
    NotFoundError
        It is no timestamp, and there is no release of that name, or it was withdrawn.
    QueryError
        A table has two versions, or a version is negative; it is nothing of these.
    """
    if isinstance(as_of, str):
        return _parse_text(root, as_of)
    if isinstance(as_of, int):
        if as_of < 0:
            raise QueryError(f"{as_of} is no version of a table", hint="versions are counted from 0")
        return Versions(only=int(as_of))
    if isinstance(as_of, datetime):
        return as_of.replace(tzinfo=UTC) if as_of.tzinfo is None else as_of
    if isinstance(as_of, date):
        return datetime(as_of.year, as_of.month, as_of.day, tzinfo=UTC)
    from ..store.releases import Release

    if as_of is None or isinstance(as_of, Release | Versions):
        return as_of
    raise QueryError(
        f"as_of: {as_of!r} is no moment of a lake", hint="give a time, a release, or versions of tables: wells@3"
    )


def _parse_text(root: LakeRoot, text: str) -> At:
    if _NUMBER.fullmatch(text.strip()):
        return _version_or_release(root, text.strip())
    pins = [_PIN.fullmatch(part) for part in text.split(",")]
    if all(pins):
        named = [(pin["table"].lower(), int(pin["version"])) for pin in pins if pin is not None]
        if len(dict(named)) < len(named):
            raise QueryError(f"--as-of {text}: a table has one version", hint="name each table once")
        return Versions(dict(named))
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return _release(root, text)  # no release has a name that could be a time
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _version_or_release(root: LakeRoot, text: str) -> At:
    """Return what a whole number means: a release if one is called so, else a version."""
    from ..store.releases import find_release

    try:
        return find_release(root, text)
    except NotFoundError:
        return Versions(only=int(text))


def _release(root: LakeRoot, name: str) -> Release:
    from ..store.releases import find_release

    try:
        return find_release(root, name)
    except NotFoundError as error:
        hint = (
            "or give a time such as 2026-03-01 or 2026-03-01T12:00:00+01:00 (UTC where no zone is given), "
            "or versions of tables: wells@3,plates@7"
        )
        raise NotFoundError(error.message, hint=f"{error.hint}; {hint}") from None


class Moment:
    """The tables of a lake, each in the version that it had at one time, has in a release, or is asked for.

    Parameters
    ----------
    at
        The time, the release or the versions; None takes each table's newest version.
    """

    def __init__(self, root: LakeRoot, at: At = None) -> None:
        self.root = root
        self.at = at
        self._versions: dict[str, int | None] = {}
        self._snapshots: dict[str, Snapshot | None] = {}
        self._is_there = False

    def for_tables(self, names: Collection[str]) -> Moment:
        """Return the moment for a question that names these relations: a version alone is that of its one table.

        Raises
        ------
        QueryError
            A version alone is given, and the question reads several tables, or a view.
        NotFoundError
            A version is given for what is no table.
        """
        if not isinstance(self.at, Versions):
            return self
        hint = "name the tables with their versions: --as-of wells@3,plates@7"
        at = self.at
        if at.only is not None:
            tables = sorted({name.lower() for name in names})
            if len(tables) != 1:
                read = f"this question reads {', '.join(tables)}" if tables else "this question reads none"
                raise QueryError(f"a version alone is one of one table, and {read}", hint=hint)
            at = Versions({tables[0]: at.only})
        for table in at.pins:
            self._check_is_table(table, hint)
        return Moment(self.root, at)

    def _check_is_table(self, name: str, hint: str) -> None:
        known = [*TABLES, *self.root.tables.names(), *(row["name"] for row in self.rows("attached_tables"))]
        if name in (one.lower() for one in known):
            return
        from ..wording import nearest
        from .relations import Relations, library_views

        if name in library_views() or Relations(Moment(self.root)).find(name) is not None:
            raise QueryError(f"{name} is a view over several tables and has no versions of its own", hint=hint)
        guess = nearest(name, known)
        raise NotFoundError(
            f"there is no table {name!r}",
            hint=f"did you mean {guess!r}?" if guess else "list tables with `cytolake catalog tables`",
        )

    def is_pinned(self, table: str) -> bool:
        """Whether another version than the newest may be meant."""
        return table.lower() in self.at.pins if isinstance(self.at, Versions) else self.at is not None

    def exists(self, table: str) -> bool:
        """Whether the table had been written to."""
        return self.snapshot(table) is not None

    def snapshot(self, table: str) -> Snapshot | None:
        """Return a table as it was, None where nothing had been written to it.

        It is looked at once: whatever a question asks of a table, it gets one version of it.

        Raises
        ------
        StorageError
            The log cannot be read; of the past: it is lost; or the lake is gone.
        """
        if table not in self._snapshots:
            if not self.is_pinned(table):
                self._snapshots[table] = self.root.snapshots.newest(table)
            else:
                version = self._version(table)
                with self._told(table):
                    self._snapshots[table] = None if version is None else self.root.snapshots.at(table, version)
            if self._snapshots[table] is None:
                self._check_lake()
        return self._snapshots[table]

    def _check_lake(self) -> None:
        """Make sure, once, that what is missing is a table and not the lake: a disk that was unmounted has no rows."""
        from ..store.root import LAKE_FILE

        if not self._is_there and not self.root.storage.exists(LAKE_FILE):
            raise StorageError(
                f"the lake {self.root.url} is not there any more",
                hint="has it been moved, or its disk been unmounted?",
            )
        self._is_there = True

    def schema(self, table: str) -> pa.Schema:
        """Return a table's columns; the declared ones where nothing had been written to it."""
        found = self.snapshot(table)
        if found is not None:
            return found.schema
        if table in TABLES:
            return arrow_schema(table)
        kind, *_, part = table.split("/")
        return self.identity(kind, part)

    @staticmethod
    def identity(kind: str, part: str) -> pa.Schema:
        """Return what every row of a table of ``features`` or ``profiles`` has, whatever its features."""
        if kind == "features":
            return class_schema("ObjectRow")
        return class_schema("TreatmentRow" if part == "treatment" else "ProfileRow")

    def scan(self, table: str, filters: Sequence[Filter] = ()) -> Scan | None:
        """Return the files of a table that ``filters`` leave, None where nothing had been written to it.

        Raises
        ------
        StorageError
            Files of the past have been removed since.
        """
        from ..store.scan import scan_snapshot

        snapshot = self.snapshot(table)
        if snapshot is None:
            return None
        found = scan_snapshot(snapshot, filters)
        if self.is_pinned(table):
            self._check_files(found)
        return found

    def newest_runs(self, table: str) -> dict[str, str]:
        """Return for a table of features or profiles study → the newest run that wrote rows of it."""
        from ..store.current import newest_of

        found = self.snapshot(table)
        return {} if found is None else found.once("newest runs", lambda: newest_of(found.actions))

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of a small table."""
        found = self.snapshot(table)
        return [] if found is None else list(self._read(found).to_pylist())

    def _read(self, snapshot: Snapshot) -> pa.Table:
        """Return all rows of a small table; of one version they are read once."""

        def read() -> pa.Table:
            scan = self.scan(snapshot.table)
            assert scan is not None
            return scan.read()

        return snapshot.once("rows", read)

    def registered(self, kind: str) -> list[DefinedSet]:
        """Return the sets of a kind (``features``, ``profiles``) that were registered, oldest first."""
        from ..store.registry import FeatureSet, ProfileSet, defined

        made: type[DefinedSet] = FeatureSet if kind == FeatureSet.kind else ProfileSet
        found = self.snapshot(made.registry)
        if found is None:
            return []
        with self._told(made.registry):
            return list(found.once("sets", lambda: defined(made, self._read(found))))

    def feature_sets(self) -> list[DefinedSet]:
        """Return the feature sets that were registered, oldest first."""
        return self.registered("features")

    def version(self, table: str) -> int | None:
        """Return the version to open of a table that existed; None means its newest."""
        return self._version(table) if self.is_pinned(table) else None

    def _version(self, table: str) -> int | None:
        """Return a table's last version that was there at the time, None if it was not.

        The times are those that the commits themselves carry: those of the log's files change when a lake is copied.
        """
        if self.at is None:
            raise ValueError("now has no version number")
        if table not in self._versions:
            self._versions[table] = self._version_in(self.at, table)
        return self._versions[table]

    def _version_in(self, at: datetime | Release | Versions, table: str) -> int | None:
        if isinstance(at, Versions):
            return self._version_asked(at.pins[table.lower()], table)
        if not isinstance(at, datetime):
            return at.pins[table].version if table in at.pins else None
        if not self.root.tables.exists(table):
            return None
        until = at.timestamp() * 1000
        history = self.root.tables.open(table).history()
        return max((entry["version"] for entry in history if entry.get("timestamp", until + 1) <= until), default=None)

    def _version_asked(self, version: int, table: str) -> int:
        newest = self.root.snapshots.newest(table)
        if newest is None:
            raise NotFoundError(
                f"nothing has been written to table {table}, so there is no version {version} of it",
                hint="leave out --as-of",
            )
        if version > newest.version:
            raise NotFoundError(
                f"table {table} has no version {version}", hint=f"its newest version is {newest.version}"
            )
        return version

    @contextmanager
    def _told(self, table: str) -> Iterator[None]:
        """Say of the past that it is lost where its log cannot be opened."""
        try:
            yield
        except (NotFoundError, StorageError) as error:
            if not self.is_pinned(table):
                raise
            raise StorageError(
                f"{self} cannot be answered: version {self._version(table)} of table {table} is lost ({error.message})",
                hint="restore the table's log from a backup, or ask another release",
            ) from error

    def _check_files(self, found: Scan) -> None:
        """Make sure that the files to be read are there: whoever cleans up spares those of now, not of the past."""
        from ..store.release_files import absent_files, incomplete

        folder = f"{self.root.storage.uri(table_path(found.table))}/"
        lost = absent_files(self.root.storage, found.table, [file.uri.removeprefix(folder) for file in found.files])
        if lost:
            raise incomplete(str(self), found.table, found.version or 0, lost, len(found.files))

    def __str__(self) -> str:
        if self.at is None:
            return "now"
        if isinstance(self.at, datetime | Versions):
            return f"the lake as of {self.at}"
        return f"release {self.at.name!r}"
