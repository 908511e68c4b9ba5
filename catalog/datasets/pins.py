"""One version of every table, decided once: whatever a data set asks, and however long it takes, it asks these."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ...errors import ConflictError, NotFoundError, UsageError
from ...store.journal import JOURNALS
from ...store.releases import Pin, Release
from ...wording import did_you_mean
from ..moment import Moment, Versions, parse_moment
from ..query import Catalog
from ..relations import Relations

if TYPE_CHECKING:
    from ...store.root import LakeRoot
    from ..result import Result

_WAIT = 30.0  # seconds for the commits of others
_STEP = 0.1


class Pinned:
    """The lake at one moment, to ask.

    Attributes
    ----------
    said
        What was asked for: a release, a time, ``now``.
    versions
        Table → the version that some question has read so far.
    """

    def __init__(self, root: LakeRoot, as_of: str | datetime | int | None) -> None:
        self.root = root
        self.said = "now" if as_of is None else str(as_of)
        at = parse_moment(root, as_of)
        if isinstance(at, Versions):
            at = _with_versions(_now(root), at)
        elif at is None or (isinstance(at, datetime) and at > datetime.now(UTC)):
            at = _now(root)
        self.at: datetime | Release = at
        self.versions: dict[str, int] = {}
        self.moment = Moment(root, at)
        self.relations = Relations(self.moment)
        self._catalog = Catalog(root)

    def ask(self, query: str) -> Result:
        """Ask a question of the pinned versions."""
        result = self._catalog.sql(query, as_of=self.at)
        for scan in result.scans:
            if scan.version is None:
                continue
            if self.versions.setdefault(scan.table, scan.version) != scan.version:  # a table of somebody else's
                raise ConflictError(
                    f"table {scan.table} was changed while the data set was built", hint="run the same command again"
                )
        return result

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Return the rows of a small answer."""
        return self.ask(query).to_dicts()


def _with_versions(now: Release, given: Versions) -> Release:
    if given.only is not None:
        raise UsageError(
            f"a data set reads many tables, and {given} is of one", hint="give a release, a time, or TABLE@VERSION"
        )
    spelt = {name.lower(): name for name in now.pins}
    unknown = [name for name in given.pins if name not in spelt]
    if unknown:
        raise NotFoundError(f"there is no table {unknown[0]!r}{did_you_mean(unknown[0], spelt)}")
    pins = {spelt[name]: Pin(version=version, rows=None, files=None) for name, version in given.pins.items()}
    return replace(now, pins={**now.pins, **pins})


def _now(root: LakeRoot) -> Release:
    """Return the newest versions, read between commits: none that spans several tables is half inside."""
    deadline = time.monotonic() + _WAIT
    while True:
        versions = {table: root.tables.version(table) for table in root.tables.names()}
        later = [root.tables.log_file(table, version + 1) for table, version in versions.items()]
        if not root.storage.children(JOURNALS) and not any(root.storage.stamps(later)):
            break
        if time.monotonic() > deadline:
            raise ConflictError(
                f"{root.url}: others commit without a pause, so the versions of the tables do not fit together",
                hint="wait until they have finished, or build from a release: --as-of RELEASE",
            )
        time.sleep(_STEP)
    pins = {table: Pin(version=version, rows=None, files=None) for table, version in versions.items()}
    return Release(
        name="now",
        created_at=datetime.now(UTC),
        note=None,
        pins=pins,
        tombstoned_at=None,
        tombstone_reason=None,
        run_id="",
    )
