"""Keeping a lake small and quick: old files go, leftovers go, small files are joined, logs are summed up.

Nothing that anybody may still need is touched (see :mod:`.retention`). Everything here may be killed at any moment and
be run again, and runs beside writers: what they wrote within a day is theirs, what they hold a lock on is theirs, and
they wait only while a table's files are removed or its log is written.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..errors import ConflictError, CytolakeError
from ..schemas.tables import TABLES
from .compaction import Compaction, compact, plan
from .datafiles import table_path
from .journal import JOURNALS, LOCK, recover, recover_locked
from .lineage import Run
from .registry import feature_sets, profile_sets
from .releases import Release, releases
from .retention import READERS_DAYS, needed
from .scan import live_files
from .storage import STAGING, Stored
from .tables import CHECKPOINT_EVERY, KEEP_LOG

if TYPE_CHECKING:
    from .root import LakeRoot

Progress = Callable[[int, int], None]

#: What nobody names and nobody wrote to within this many days was left behind.
LEFTOVER_DAYS = 1
_DAY = 86_400.0
_WAIT = 120.0  # seconds for the commits of others
_LOG = "_delta_log"
# What delta-rs and the object store below it leave beside a log when they are killed.
_UNFINISHED = re.compile(r"(\.tmp|#\d+)$")
_CHECKPOINT = re.compile(r"^(\d{20})\.checkpoint\.")
_LOCKS = "locks"
#: Verbs whose work lies in ``staging/<verb>/<study>/<plate>-<what it was made from>``.
_BY_PLATE = ("ingest", "transform")


@dataclass(slots=True, kw_only=True)
class _Table:
    """What was done to one table."""

    files: int = 0
    bytes: int = 0
    files_removed: int = 0
    bytes_freed: int = 0
    compaction: Compaction = field(default_factory=Compaction)
    checkpoint: bool = False
    kept: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def idle(self) -> bool:
        return not (self.files_removed or self.compaction.joined or self.checkpoint)

    def to_json(self, name: str) -> dict[str, Any]:
        return {
            "table": name,
            "files": self.files,
            "bytes": self.bytes,
            "files_removed": self.files_removed,
            "bytes_freed": self.bytes_freed,
            "files_compacted": self.compaction.joined,
            "files_written": self.compaction.written,
            "checkpoint": self.checkpoint,
            "kept": self.kept,
        }


def maintain(
    root: LakeRoot, dry_run: bool = False, progress: Progress | None = None, *, now: datetime | None = None
) -> dict[str, Any]:
    """Remove what nothing needs any more, join small files, sum up logs.

    Removed are files of tables that are in no version of the last 7 days and in no release (withdrawn ones do not
    count), and whatever nobody names and nobody has written to for a day: data files without a commit, temporary
    files, unfinished work in ``staging/``. Commits that were interrupted are finished first.

    Parameters
    ----------
    dry_run
        Only say what would be done.
    progress
        Called with (tables done, tables in all).
    now
        The time to go by; the clock's where None.

    Returns
    -------
    dict
        ``run_id`` (None where nothing was done), ``status`` (``ok``, or ``partial`` where a table had to be left
        alone), ``dry_run``, ``bytes_freed``, ``files_removed``, ``files_compacted`` and ``files_written`` (how many
        files became how many), ``tables`` (the same per table, with ``files`` and ``bytes`` that it has now, and
        ``kept``: release → ``files`` and ``bytes`` that are there only for releases), ``leftovers`` (what was swept
        outside of tables), ``kept`` (per release), ``finished_commits`` (run ids) and ``warnings``.

    Raises
    ------
    ConflictError
        Somebody else is maintaining the lake.
    StorageError
        The table of releases cannot be read: then nobody knows what has to stay, and nothing is removed.
    """
    with root.storage.lock("maintain"):
        at = time.time() if now is None else now.timestamp()
        return _Maintenance(root, dry_run=dry_run, now=at).run(progress)


class _Maintenance:
    """One pass over a lake."""

    def __init__(self, root: LakeRoot, *, dry_run: bool, now: float) -> None:
        self.root = root
        self.storage = root.storage
        self.dry_run = dry_run
        self.now = now
        self.stale = now - LEFTOVER_DAYS * _DAY
        self.work = Run.start("maintain")
        self.done: dict[str, _Table] = {}
        self.left: list[str] = []
        self.leftovers: dict[str, int] = {"files_removed": 0, "bytes_freed": 0}

    def run(self, progress: Progress | None) -> dict[str, Any]:
        finished = [] if self.dry_run else recover(self.root)
        pinned = [one for one in releases(self.root) if not one.withdrawn]
        # What is there is listed before it is asked what is needed: whatever comes in between is not in the list.
        stored = self.storage.entries("tables")
        names = self.root.tables.names()
        self._leftovers(stored, names, pinned)
        by_table = _by_table(stored, names)
        for count, name in enumerate(names):
            if progress is not None:
                progress(count, len(names))
            self.done[name] = _Table()
            try:
                self._table(name, by_table[name], pinned)
            except CytolakeError as error:
                self.left.append(name)
                self.work.warn(f"table {name} was left as it is: {error.message}")
        if progress is not None:
            progress(len(names), len(names))
        report = self._report(finished, pinned)
        self._record(report)
        return report

    def _table(self, name: str, stored: Sequence[Stored], pinned: Sequence[Release]) -> None:
        self._keep_log(name)
        pins = {one.name: one.pins[name].version for one in pinned if name in one.pins}
        # Removing comes first: joining needs room on the disk.
        if self.dry_run:
            self._vacuum(name, stored, pins)
            bins = plan(name, live_files(self.root.tables.open(name)))
            self.done[name].compaction = Compaction(joined=sum(map(len, bins)), written=len(bins))
        else:
            with self.storage.lock(LOCK, wait=_WAIT):
                recover_locked(self.storage)
                self._vacuum(name, stored, pins)
            self.done[name].compaction = compact(self.root, name, run_id=self.work.run_id)
            self._checkpoint(name)
        if self.done[name].compaction.joined:
            self.work.add_output("table", name, detail=f"{self.done[name].compaction.joined} files joined")

    def _vacuum(self, name: str, stored: Sequence[Stored], pins: Mapping[str, int]) -> None:
        """Remove the files of a table that nobody needs."""
        need = needed(self.root, name, pins, now=self.now)
        folder = f"{table_path(name)}/"
        sizes = {one.path.removeprefix(folder): one for one in stored}
        done = self.done[name]
        logs = [one for path, one in sizes.items() if path.startswith(f"{_LOG}/")]
        gone = [one for one in logs if _UNFINISHED.search(one.path) and one.modified < self.stale]
        if need.unknown is not None:
            self.left.append(name)
            self.work.warn(f"table {name}: nothing is removed, for {need.unknown}")
        else:
            kept = need.all()
            free = (path for path in sizes if path not in kept and not path.startswith(f"{_LOG}/"))
            gone += [sizes[path] for path in free if sizes[path].modified < self.stale]
        for release in need.releases:
            held = [sizes[path].size for path in need.only_for(release) if path in sizes]
            if held:
                done.kept[release] = {"files": len(held), "bytes": sum(held)}
        self._remove(gone)
        done.files_removed, done.bytes_freed = len(gone), sum(one.size for one in gone)
        done.files = sum(path in sizes for path in need.live)
        done.bytes = sum(sizes[path].size for path in need.live if path in sizes)

    def _keep_log(self, name: str) -> None:
        """See to it that no writer cleans the log: an older version, and with it a release, would be lost."""
        delta = self.root.tables.open(name)
        if delta.metadata().configuration.get(KEEP_LOG) != "false":
            self.work.warn(f"table {name}: {KEEP_LOG} was not false, so that old versions could have been lost")
            if not self.dry_run:
                delta.alter.set_table_properties({KEEP_LOG: "false"}, raise_if_not_exists=False)

    def _checkpoint(self, name: str) -> None:
        """Sum up the log of a table that was compacted, or that has grown since the last time."""
        delta = self.root.tables.open(name)
        entries = self.storage.children(f"{table_path(name)}/{_LOG}")
        summed = [int(found[1]) for entry in entries if (found := _CHECKPOINT.match(entry))]
        since = delta.version() - max(summed, default=-1)
        if since >= CHECKPOINT_EVERY or (since and self.done[name].compaction.joined):
            delta.create_checkpoint()
            self.done[name].checkpoint = True

    def _known(self, pinned: Sequence[Release]) -> set[str]:
        """Return the names of all tables that there are or ought to be."""
        sets = (*feature_sets(self.root), *profile_sets(self.root))
        registered = {one.table(part) for one in sets for part in one.parts}
        return {*TABLES, *registered, *(name for one in pinned for name in one.pins)}

    def _leftovers(self, stored: Sequence[Stored], names: Sequence[str], pinned: Sequence[Release]) -> None:
        """Remove what was left behind in ``staging/``, and below ``tables/`` outside of any table."""
        folders = tuple(f"{table_path(name)}/" for name in names)
        outside = [one for one in stored if not one.path.startswith((*folders, f"{JOURNALS}/"))]
        without: dict[str, list[Stored]] = {}
        for one in outside:
            without.setdefault(_table_of(one.path), []).append(one)
        known = self._known(pinned) if without else set()
        for name, files in sorted(without.items()):
            if name in known:
                # Its log may have been lost by accident: then the files are all that there is of its rows.
                self.left.append(name)
                self.work.warn(f"table {name} has files and no log; nothing of it is removed")
            else:
                # The first commit of a table was interrupted; younger files may become one.
                self._sweep([one for one in files if one.modified < self.stale])
        work: dict[str, list[Stored]] = {}
        for one in self.storage.entries(STAGING):
            work.setdefault(_unit(one.path), []).append(one)
        for unit, files in work.items():
            if unit != f"{STAGING}/{_LOCKS}" and all(one.modified < self.stale for one in files):
                self._sweep_work(unit, files)

    def _sweep_work(self, unit: str, files: Sequence[Stored]) -> None:
        _, *parts = unit.split("/")
        if len(parts) < len(("verb", "study", "plate")):
            self._sweep(files, unit)
            return
        # <plate>-<hash>, or <plate>-<hash>-by-reference; who works on the plate has its lock.
        plate = parts[2].removesuffix("-by-reference").rpartition("-")[0]
        with suppress(ConflictError), self.storage.lock(f"plate-{parts[1]}-{plate}"):
            self._sweep(files, unit)

    def _sweep(self, files: Sequence[Stored], tree: str | None = None) -> None:
        if tree is None:
            self._remove(files)
        elif not self.dry_run:
            self.storage.delete_tree(tree)
        self.leftovers["files_removed"] += len(files)
        self.leftovers["bytes_freed"] += sum(one.size for one in files)

    def _remove(self, files: Sequence[Stored]) -> None:
        if not self.dry_run:
            self.storage.delete_all(one.path for one in files)

    def _report(self, finished: Sequence[str], pinned: Sequence[Release]) -> dict[str, Any]:
        tables = [done.to_json(name) for name, done in self.done.items()]
        kept = []
        for release in pinned:
            held = [one["kept"][release.name] for one in tables if release.name in one["kept"]]
            kept.append(
                {
                    "release": release.name,
                    "files": sum(one["files"] for one in held),
                    "bytes": sum(one["bytes"] for one in held),
                }
            )
        return {
            "run_id": None,
            "status": "partial" if self.left else "ok",
            "dry_run": self.dry_run,
            "bytes_freed": sum(one["bytes_freed"] for one in (*tables, self.leftovers)),
            "files_removed": sum(one["files_removed"] for one in (*tables, self.leftovers)),
            "files_compacted": sum(one["files_compacted"] for one in tables),
            "files_written": sum(one["files_written"] for one in tables),
            "readers_days": READERS_DAYS,
            "tables": tables,
            "leftovers": self.leftovers,
            "kept": kept,
            "finished_commits": list(finished),
            "warnings": list(self.work.warnings),
        }

    def _record(self, report: dict[str, Any]) -> None:
        """Leave a record of the run, unless nothing was done: then the next one finds nothing to do either."""
        from .commit import Commit

        idle = all(done.idle for done in self.done.values()) and not self.leftovers["files_removed"]
        if self.dry_run or idle or "runs" in self.left:
            return
        counted = ("bytes_freed", "files_removed", "files_compacted", "files_written")
        self.work.parameters |= {name: report[name] for name in counted}
        with Commit(self.root, run_id=self.work.run_id, app_id="maintain") as commit:
            commit.append("runs", self.work.record(report["status"]))
            commit.commit()
        report["run_id"] = self.work.run_id


def _by_table(stored: Sequence[Stored], names: Sequence[str]) -> dict[str, list[Stored]]:
    """Return table → the files in its folder, data and log."""
    folders = {table_path(name): name for name in names}
    found: dict[str, list[Stored]] = {name: [] for name in names}
    for one in stored:
        parts = one.path.split("/")
        for depth in range(2, len(parts)):
            name = folders.get("/".join(parts[:depth]))
            if name is not None:
                found[name].append(one)
                break
    return found


def _table_of(path: str) -> str:
    """Return the table to which a data file outside of any table would belong."""
    folders = path.split("/")[1:-1]
    return "/".join(folder for folder in folders if "=" not in folder)


def _unit(path: str) -> str:
    """Return what of ``staging/`` lives and dies together with a file there."""
    parts = path.split("/")
    return "/".join(parts[: 4 if parts[1] in _BY_PLATE else 2])
