"""The runs in a graph: which made a row what it is, what each was, and what it read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .graph import Graph

if TYPE_CHECKING:
    from ..root import LakeRoot


class History:
    """The runs of a study, with the ones before them that made the same rows."""

    def __init__(self, root: LakeRoot, study_id: str) -> None:
        runs = root.tables.read("runs", columns=["run_id", "inputs"], where={"study_id": study_id}).to_pylist()
        self._before = {
            run["run_id"]: [(i["name"], json.loads(i["detail"])) for i in run["inputs"] or () if i["kind"] == "run"]
            for run in runs
        }

    def of(self, run_id: str, table: str, plate_id: str, well_id: str | None = None) -> list[str]:
        """Return every run that made a row what it is, the last one first."""
        found = {run_id: None}
        todo = [run_id]
        while todo:
            for before, rows in self._before.get(todo.pop(), ()):
                plates = rows.get(table, {})
                if before not in found and plate_id in plates and well_id in (plates[plate_id] or [well_id]):
                    found[before] = None
                    todo.append(before)
        return list(found)


def fill_in(root: LakeRoot, graph: Graph) -> None:
    """Add to each run of a graph what it was, and what it read."""
    wanted = [node["name"] for node in graph.nodes.values() if node["kind"] == "run"]
    found = root.tables.read("runs", where={"run_id": wanted}).to_pylist() if wanted else []
    for row in found:
        run = describe_run(graph, row)
        for used in row["inputs"] or ():
            if used["kind"] != "run":  # of one of its rows, and reached from that
                graph.edge(run, input_node(graph, used), "used")
    unknown = sorted(set(wanted) - {row["run_id"] for row in found})
    if unknown:
        graph.note(f"the table runs does not know {', '.join(unknown)}: rows name them, and nothing else is known")


def describe_run(graph: Graph, row: Mapping[str, Any]) -> str:
    """Add a run with what it was."""
    facts = {name: row[name] for name in ("verb", "status", "started_at", "finished_at", "code_version")}
    parameters = json.loads(row["parameters"]) if row["parameters"] else None
    return graph.node("run", row["run_id"], **facts, parameters=parameters)


def input_node(graph: Graph, used: Mapping[str, Any]) -> str:
    """Add something that a run read; a table's version is part of its name."""
    facts = {name: used[name] for name in ("sha256", "version", "detail")}
    version = f"@{used['version']}" if used["version"] is not None else ""
    return graph.node(used["kind"], f"{used['name']}{version}", **facts)
