"""From a row back to the pixels, the recipe and the code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import NotFoundError
from ..registry import FeatureSet, feature_sets
from .graph import Graph

if TYPE_CHECKING:
    from ..root import LakeRoot


def trace(
    root: LakeRoot,
    *,
    study_id: str,
    plate_id: str,
    well_id: str | None = None,
    field_id: int | None = None,
    object_set: str | None = None,
    object_id: int | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Go from a row back to what it was made from.

    Parameters
    ----------
    study_id, plate_id, well_id, field_id, object_set, object_id
        The row: a plate, a well, a field, the objects of a set, or one object. ``object_set`` may follow any of
        plate, well and field.

    Returns
    -------
    dict
        ``nodes`` (each with ``id``, ``kind``, ``name`` and facts) and ``edges`` (``from``, ``to``, ``relation``);
        relations are PROV's: ``was_derived_from``, ``was_generated_by``, ``used``, ``part_of``.

    Raises
    ------
    NotFoundError
        The lake has no such row.
    """
    graph = Graph()
    where: dict[str, Any] = {"study_id": study_id, "plate_id": plate_id}
    plate = _rows(root, "plates", where)[0]
    here = graph.node(
        "plate",
        f"{study_id}/{plate_id}",
        path=plate["path"],
        fingerprint=plate["fingerprint"],
        barcode=plate["barcode"],
    )
    history = _History(root, study_id)
    for run_id in history.of(plate["run_id"], "plates", plate_id):
        _generated(graph, here, run_id)
    if well_id is not None:
        where["well_id"] = well_id
        well = _rows(root, "wells", where)[0]
        facts = {name: well[name] for name in ("perturbation", "compound", "concentration_um", "control_type")}
        node = graph.node("well", f"{study_id}/{plate_id}/{well_id}", **facts)
        graph.edge(node, here, "part_of")
        for run_id in history.of(well["run_id"], "wells", plate_id, well_id):
            _generated(graph, node, run_id)
        here = node
    if field_id is not None:
        where["field_id"] = field_id
        here = _images(root, graph, where, here)
    if object_set is not None:
        _objects(root, graph, where, here, object_set, object_id)
    _runs(root, graph)
    return graph.result()


class _History:
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


def _rows(root: LakeRoot, table: str, where: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = root.tables.read(table, where=where).to_pylist()
    if not found:
        named = ", ".join(f"{column.removesuffix('_id')} {value}" for column, value in where.items())
        raise NotFoundError(f"{root.url}: the lake has no {named}", hint=f"ask `cytolake sql` for the rows of {table}")
    return found


def _generated(graph: Graph, node: str, run_id: str) -> str:
    graph.edge(node, graph.node("run", run_id), "was_generated_by")
    return node


def _images(root: LakeRoot, graph: Graph, where: Mapping[str, Any], parent: str) -> str:
    """Add the images of one field, with the vendor files that their pixels came from."""
    image = parent
    for row in _rows(root, "images", where):
        image = graph.node(
            "image", row["path"], acquisition_id=row["acquisition_id"], n_missing_planes=row["n_missing_planes"]
        )
        graph.edge(image, parent, "part_of")
        _generated(graph, image, row["run_id"])
        for file in row["source_files"]:
            source = graph.node("file", file["file"], sha256=file["sha256"], status=file["status"], bytes=file["bytes"])
            graph.edge(image, source, "was_derived_from")
    return image


def _objects(
    root: LakeRoot,
    graph: Graph,
    where: Mapping[str, Any],
    image: str,
    object_set: str,
    object_id: int | None,
) -> None:
    """Add the objects of a set under every feature set that has rows of them here."""
    wanted = dict(where) if object_id is None else {**where, "object_id": object_id}
    names = "/".join(str(value) for value in (*where.values(), object_set, *([] if object_id is None else [object_id])))
    found = False
    for one in feature_sets(root):
        if object_set not in one.object_sets or not root.tables.exists(one.table(object_set)):
            continue
        rows = root.tables.read(one.table(object_set), columns=["parent_id", "run_id"], where=wanted)
        if not rows.num_rows:
            continue
        found = True
        parents = {"parent_id": rows["parent_id"][0].as_py()} if object_id is not None else {}
        node = graph.node(
            "objects" if object_id is None else "object", f"{names} in {one.label}", rows=rows.num_rows, **parents
        )
        graph.edge(node, image, "was_derived_from")
        run_ids: list[Any] = rows["run_id"].unique().to_pylist()
        for run_id in run_ids:
            _generated(graph, node, run_id)
            graph.edge(f"run:{run_id}", _feature_set(graph, one), "used")
    if not found:
        raise NotFoundError(
            f"{root.url}: the lake has no objects {names}", hint="see `cytolake catalog tables` for the object sets"
        )


def _feature_set(graph: Graph, one: FeatureSet) -> str:
    return graph.node("feature_set", one.label, hash=one.hash, created_at=one.created_at, recipe=one.recipe)


def _runs(root: LakeRoot, graph: Graph) -> None:
    """Fill in what each run was, and what it read."""
    wanted = [node["name"] for node in graph.nodes.values() if node["kind"] == "run"]
    for row in root.tables.read("runs", where={"run_id": wanted}).to_pylist():
        run = graph.node(
            "run",
            row["run_id"],
            **{name: row[name] for name in ("verb", "status", "started_at", "finished_at", "code_version")},
            parameters=json.loads(row["parameters"]) if row["parameters"] else None,
        )
        for used in row["inputs"] or ():
            if used["kind"] == "run":  # of one of its rows, and reached from that
                continue
            facts = {name: used[name] for name in ("sha256", "version", "detail")}
            version = f"@{used['version']}" if used["version"] is not None else ""
            graph.edge(run, graph.node(used["kind"], f"{used['name']}{version}", **facts), "used")
