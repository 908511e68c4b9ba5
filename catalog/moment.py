"""The lake at one moment: now, or what it was at a time in the past."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..errors import NotFoundError
from ..schemas.tables import TABLES, arrow_schema, class_schema

if TYPE_CHECKING:
    import pyarrow as pa

    from ..store.registry import DefinedSet
    from ..store.root import LakeRoot
    from ..store.scan import Filter, Scan


def parse_moment(as_of: str | datetime | None) -> datetime | None:
    """Return the time that ``as_of`` means, None for now.

    Raises
    ------
    NotFoundError
        It is no timestamp, and there is no release of that name.
    """
    if as_of is None:
        return None
    if isinstance(as_of, str):
        try:
            as_of = datetime.fromisoformat(as_of)
        except ValueError:
            raise NotFoundError(
                f"there is no release {as_of!r}, and it is no timestamp",
                hint="give a time such as 2026-03-01 or 2026-03-01T12:00:00+01:00 (UTC where no zone is given)",
            ) from None
    return as_of.replace(tzinfo=UTC) if as_of.tzinfo is None else as_of


class Moment:
    """The tables of a lake, each in the version that it had at one time.

    Parameters
    ----------
    at
        The time; None takes each table's newest version.
    """

    def __init__(self, root: LakeRoot, at: datetime | None = None) -> None:
        self.root = root
        self.at = at
        self._versions: dict[str, int | None] = {}

    def exists(self, table: str) -> bool:
        """Whether the table had been written to."""
        return self.root.tables.exists(table) and (self.at is None or self._version(table) is not None)

    def schema(self, table: str) -> pa.Schema:
        """Return a table's columns; the declared ones where nothing had been written to it."""
        import pyarrow as pa

        if not self.exists(table):
            if table in TABLES:
                return arrow_schema(table)
            kind, *_, part = table.split("/")
            return self.identity(kind, part)
        schema: Any = self.root.tables.open(table, version=self.version(table)).schema().to_arrow()
        return pa.schema(schema)

    @staticmethod
    def identity(kind: str, part: str) -> pa.Schema:
        """Return what every row of a table of ``features`` or ``profiles`` has, whatever its features."""
        if kind == "features":
            return class_schema("ObjectRow")
        return class_schema("TreatmentRow" if part == "treatment" else "ProfileRow")

    def scan(self, table: str, filters: Sequence[Filter] = ()) -> Scan | None:
        """Return the files of a table that ``filters`` leave, None where nothing had been written to it."""
        from ..store.scan import scan

        if not self.exists(table):
            return None
        return scan(self.root, table, filters, version=self.version(table))

    def newest_runs(self, table: str) -> dict[str, str]:
        """Return for a table of features or profiles study → the newest run that wrote rows of it."""
        from ..store.current import newest_runs

        return newest_runs(self.root, table, version=self.version(table)) if self.exists(table) else {}

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of a small table."""
        if not self.exists(table):
            return []
        return list(self.root.tables.read(table, version=self.version(table)).to_pylist())

    def registered(self, kind: str) -> list[DefinedSet]:
        """Return the sets of a kind (``features``, ``profiles``) that were registered, oldest first."""
        from ..store.registry import FeatureSet, ProfileSet, feature_sets, profile_sets

        registry = FeatureSet.registry if kind == FeatureSet.kind else ProfileSet.registry
        if not self.exists(registry):
            return []
        version = self.version(registry)
        known = feature_sets if kind == FeatureSet.kind else profile_sets
        return list(known(self.root, version=version))

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
            until = self.at.timestamp() * 1000
            history = self.root.tables.open(table).history()
            versions = [entry["version"] for entry in history if entry.get("timestamp", until + 1) <= until]
            self._versions[table] = max(versions, default=None)
        return self._versions[table]
