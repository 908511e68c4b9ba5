"""Releases that pin rows: found by the logs of the versions that they name, without reading data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import CytolakeError
from ..scan import Filter, live_files
from .graph import Graph

if TYPE_CHECKING:
    from ..releases import Release
    from ..root import LakeRoot


class Pins:
    """Which rows a graph is about, and the releases that pin some of them."""

    def __init__(self, root: LakeRoot, graph: Graph) -> None:
        self.root, self.graph = root, graph
        self._touched: dict[str, dict[str, tuple[Sequence[Filter], list[str]]]] = {}
        self._found: dict[str, dict[str, Any]] = {}

    def touch(self, table: str, filters: Sequence[Filter], node: str) -> None:
        """Note rows of a table, which a node stands for; they may be gone from the newest version."""
        _, nodes = self._touched.setdefault(table, {}).setdefault(repr(filters), (filters, []))
        nodes.append(node)

    def look(self) -> None:
        """Add the releases that may pin rows that were noted: as their logs say, and in doubt, those too."""
        from ..releases import releases

        for release in releases(self.root):
            tables, nodes = [], []
            for table, pin in release.pins.items():
                for filters, own in self._touched.get(table, {}).values():
                    if self._holds(release.name, table, pin.version, filters):
                        tables.append(table)
                        nodes += own
            if tables:
                self._add(release, tables, nodes)

    def of_version(self, node: str, table: str, version: int | None) -> None:
        """Add the releases that pin a version of a table, or any."""
        from ..releases import releases

        for release in releases(self.root):
            pin = release.pins.get(table)
            if pin is not None and version in (None, pin.version):
                self._add(release, [table], [node])

    def add_release(self, release: Release) -> str:
        """Add a release to the graph."""
        withdrawn = release.tombstoned_at
        return self.graph.node("release", release.name, created_at=release.created_at, withdrawn_at=withdrawn)

    def result(self) -> list[dict[str, Any]]:
        """Return each release that was found: its name, whether it is withdrawn, its tables with such rows."""
        return [self._found[name] for name in sorted(self._found)]

    def _add(self, release: Release, tables: Iterable[str], nodes: Iterable[str]) -> None:
        node = self.add_release(release)
        for member in dict.fromkeys(nodes):
            self.graph.edge(node, member, "had_member")
        entry = self._found.setdefault(
            release.name, {"release": release.name, "withdrawn": release.withdrawn, "tables": []}
        )
        entry["tables"] = sorted({*entry["tables"], *tables})

    def _holds(self, release: str, table: str, version: int, filters: Sequence[Filter]) -> bool:
        try:
            return bool(live_files(self.root.tables.open(table, version=version), filters))
        except CytolakeError as error:
            self.graph.note(f"release {release} may pin such rows of {table}, which cannot be told: {error.message}")
            return True
