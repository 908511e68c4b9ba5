"""Plates and wells in a graph, with the runs that made them what they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import NotFoundError
from .graph import Graph
from .runs import History

if TYPE_CHECKING:
    from ..root import LakeRoot

_OF_WELL = ("perturbation", "compound", "concentration_um", "control_type")


def add_plate(root: LakeRoot, graph: Graph, history: History, study_id: str, plate_id: str) -> str:
    """Add a plate, with the runs that made it what it is; return its node."""
    plate = _row(root, "plates", {"study_id": study_id, "plate_id": plate_id})
    facts = {name: plate[name] for name in ("path", "fingerprint", "barcode", "status")}
    node = graph.node("plate", f"{study_id}/{plate_id}", **facts)
    for run_id in history.of(plate["run_id"], "plates", plate_id):
        graph.generated(node, run_id)
    return node


def add_well(
    root: LakeRoot, graph: Graph, history: History, where: Mapping[str, str], plate: str, *, needed: bool = True
) -> str:
    """Add a well of a plate that is in the graph; without ``needed``, one of which no more than the name is known."""
    name = f"{where['study_id']}/{where['plate_id']}/{where['well_id']}"
    known = root.tables.read("wells", where=where).num_rows > 0
    if not known and not needed:
        node = graph.node("well", name)
        graph.edge(node, plate, "part_of")
        return node
    well = _row(root, "wells", where)
    node = graph.node("well", name, **{fact: well[fact] for fact in _OF_WELL})
    graph.edge(node, plate, "part_of")
    for run_id in history.of(well["run_id"], "wells", where["plate_id"], where["well_id"]):
        graph.generated(node, run_id)
    return node


def _row(root: LakeRoot, table: str, where: Mapping[str, Any]) -> dict[str, Any]:
    found = root.tables.read(table, where=where).to_pylist()
    if not found:
        named = ", ".join(f"{column.removesuffix('_id')} {value}" for column, value in where.items())
        raise NotFoundError(f"{root.url}: the lake has no {named}", hint=where_to_look(table))
    return dict(found[0])


def where_to_look(table: str) -> str:
    """Return the hint for rows that are not there."""
    return f"ask `cytolake sql` for the rows of {table}"
