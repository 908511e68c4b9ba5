"""Which files of a table somebody may still need: whoever reads it now or began last week, and every release.

Everything is read from the log. Where the log does not say it, because somebody else cleaned it, nothing of the table
is known to be free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ..errors import CytolakeError, NotFoundError
from .scan import file_paths

if TYPE_CHECKING:
    from .root import LakeRoot

#: Whoever began to read within this many days finds every file that was there then.
READERS_DAYS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """The files of one table, by who needs them; paths are relative to its folder.

    Attributes
    ----------
    live
        Of the newest version.
    recent
        Of the versions that there were during the last :data:`READERS_DAYS` days.
    releases
        Release → those of the version that it names.
    unknown
        Why one cannot say which files are needed; None where one can.
    """

    live: frozenset[str]
    recent: frozenset[str]
    releases: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unknown: str | None = None

    def all(self) -> frozenset[str]:
        """Every file that has to stay."""
        return self.live.union(self.recent, *self.releases.values())

    def only_for(self, release: str) -> frozenset[str]:
        """Return the files that are there for a release (perhaps for others too) and for no reader."""
        return self.releases.get(release, frozenset()) - self.live - self.recent


def needed(root: LakeRoot, table: str, pins: Mapping[str, int], *, now: float) -> Needed:
    """Find out which files of a table have to stay.

    Parameters
    ----------
    pins
        Release → the version of the table that it names.
    now
        The time, in seconds since 1970.
    """
    delta = root.tables.open(table)
    live = frozenset(file_paths(delta))
    try:
        recent = _recent(root, table, delta.version(), now - READERS_DAYS * 86_400)
    except NotFoundError as error:
        return Needed(live=live, recent=live, unknown=f"the log of last week is not whole ({error.message})")
    releases = {}
    for release, version in pins.items():
        try:
            releases[release] = frozenset(file_paths(root.tables.open(table, version=version)))
        except CytolakeError as error:
            why = f"release {release!r} needs version {version}, which the log does not tell any more"
            return Needed(live=live, recent=recent, releases=releases, unknown=f"{why} ({error.message})")
    return Needed(live=live, recent=recent, releases=releases)


def _recent(root: LakeRoot, table: str, newest: int, since: float) -> frozenset[str]:
    """Return the files of every version that was the newest one at some time after ``since``.

    The times are those that the commits carry; the entries are read from the newest back to the first that is older,
    so that this costs what happened last week and not what ever happened.
    """
    found: set[str] = set()
    for version in range(newest, -1, -1):
        entry = root.tables.log_entry(table, version)
        found.update(unquote(action["add"]["path"]) for action in entry if "add" in action)
        committed = _committed_at(entry)
        if committed is not None and committed <= since:
            return frozenset(found | file_paths(root.tables.open(table, version=version)))
    return frozenset(found)


def _committed_at(entry: list[dict[str, Any]]) -> float | None:
    """Return when a version was committed, in seconds; None where its writer did not say so."""
    for action in entry:
        if "commitInfo" in action and isinstance(action["commitInfo"].get("timestamp"), int):
            return float(action["commitInfo"]["timestamp"]) / 1000
    return None
