"""The lake at one moment: now, what it was at a time in the past, or what a release names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..errors import NotFoundError, StorageError
from ..schemas.tables import TABLES, arrow_schema, class_schema
from ..store.datafiles import table_path

if TYPE_CHECKING:
    import pyarrow as pa

    from ..store.registry import DefinedSet
    from ..store.releases import Release
    from ..store.root import LakeRoot
    from ..store.scan import Filter, Scan
    from ..store.snapshots import Snapshot


def parse_moment(root: LakeRoot, as_of: str | datetime | int | Release | None) -> datetime | Release | None:
    """Return what ``as_of`` means: a time, a release or its name, or None for now.

    Raises
    ------
    NotFoundError
        It is no timestamp, and there is no release of that name, or it was withdrawn.
    """
    if as_of is None:
        return None
    at = as_of
    if isinstance(as_of, str):
        try:
            at = datetime.fromisoformat(as_of)
        except ValueError:
            return _release(root, as_of)  # no release has a name that could be a time
    if not isinstance(at, datetime):
        assert not isinstance(at, str | int)
        return at
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _release(root: LakeRoot, name: str) -> Release:
    from ..store.releases import find_release

    try:
        return find_release(root, name)
    except NotFoundError as error:
        hint = "or give a time such as 2026-03-01 or 2026-03-01T12:00:00+01:00 (UTC where no zone is given)"
        raise NotFoundError(error.message, hint=f"{error.hint}; {hint}") from None


class Moment:
    """The tables of a lake, each in the version that it had at one time or has in a release.

    Parameters
    ----------
    at
        The time or the release; None takes each table's newest version.
    """

    def __init__(self, root: LakeRoot, at: datetime | Release | None = None) -> None:
        self.root = root
        self.at = at
        self._versions: dict[str, int | None] = {}
        self._snapshots: dict[str, Snapshot | None] = {}

    def exists(self, table: str) -> bool:
        """Whether the table had been written to."""
        return self.snapshot(table) is not None

    def snapshot(self, table: str) -> Snapshot | None:
        """Return a table as it was, None where nothing had been written to it.

        It is looked at once: whatever a question asks of a table, it gets one version of it.

        Raises
        ------
        StorageError
            The log cannot be read; of the past: it is lost.
        """
        if table not in self._snapshots:
            if self.at is None:
                self._snapshots[table] = self.root.snapshots.newest(table)
            else:
                version = self._version(table)
                with self._told(table):
                    self._snapshots[table] = None if version is None else self.root.snapshots.at(table, version)
        return self._snapshots[table]

    def schema(self, table: str) -> pa.Schema:
        """Return a table's columns; the declared ones where nothing had been written to it."""
        import pyarrow as pa

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
        if self.at is not None:
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
        return None if self.at is None else self._version(table)

    def _version(self, table: str) -> int | None:
        """Return a table's last version that was there at the time, None if it was not.

        The times are those that the commits themselves carry: those of the log's files change when a lake is copied.
        """
        if self.at is None:
            raise ValueError("now has no version number")
        if table not in self._versions:
            self._versions[table] = self._version_in(self.at, table)
        return self._versions[table]

    def _version_in(self, at: datetime | Release, table: str) -> int | None:
        if not isinstance(at, datetime):
            return at.pins[table].version if table in at.pins else None
        if not self.root.tables.exists(table):
            return None
        until = at.timestamp() * 1000
        history = self.root.tables.open(table).history()
        return max((entry["version"] for entry in history if entry.get("timestamp", until + 1) <= until), default=None)

    @contextmanager
    def _told(self, table: str) -> Iterator[None]:
        """Say of the past that it is lost where its log cannot be opened."""
        try:
            yield
        except (NotFoundError, StorageError) as error:
            if self.at is None:
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
        return f"the lake as of {self.at}" if isinstance(self.at, datetime) else f"release {self.at.name!r}"
