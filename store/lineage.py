"""Where rows come from: every run that writes leaves a record, and every row names its run.

A :class:`Run` is collected while a verb works and is committed together with the rows it made. :func:`trace` goes
the other way, from a row back to the pixels, the recipe and the code.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from ..errors import NotFoundError, UsageError
from ..schemas.identifiers import format_well, parse_well
from ..schemas.tables import SCHEMA_VERSION, arrow_schema
from .registry import FeatureSet, feature_sets

if TYPE_CHECKING:
    from .root import LakeRoot


#: Rows that a run changes: table -> plate -> names of wells, None for all rows of the plate that the run changes.
PreviousRows = dict[str, dict[str, list[str] | None]]


@dataclass(slots=True, kw_only=True)
class Run:
    """One run of a verb that writes, while it is under way.

    Attributes
    ----------
    run_id
        Unique; sorts by time.
    warnings
        What the user was told, in order.
    """

    run_id: str
    verb: str
    study_id: str | None
    plate_ids: tuple[str, ...]
    parameters: dict[str, Any]
    started_at: datetime
    inputs: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def start(
        cls,
        verb: str,
        *,
        study_id: str | None = None,
        plate_ids: Sequence[str] = (),
        parameters: Mapping[str, Any] | None = None,
    ) -> Self:
        """Begin a run now. ``parameters`` are plain JSON values: everything that was asked for."""
        now = datetime.now(UTC)
        return cls(
            run_id=f"{now:%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:6]}",
            verb=verb,
            study_id=study_id,
            plate_ids=tuple(plate_ids),
            parameters=dict(parameters or {}),
            started_at=now,
        )

    def add_input(
        self,
        kind: str,
        name: str,
        *,
        sha256: str | None = None,
        version: int | None = None,
        detail: str | None = None,
    ) -> None:
        """Note something that was read: an ``export``, a ``file``, a ``table`` with its version, a ``recipe``."""
        self.inputs.append({"kind": kind, "name": name, "sha256": sha256, "version": version, "detail": detail})

    def add_previous(self, run_id: str, rows: PreviousRows) -> None:
        """Note that rows which this run changes were made by another run, so that :func:`trace` finds both."""
        self.add_input("run", run_id, detail=json.dumps(rows, sort_keys=True))

    def add_output(
        self,
        kind: str,
        name: str,
        *,
        version: int | None = None,
        rows: int | None = None,
        detail: str | None = None,
    ) -> None:
        """Note something that was written: a ``table``, a ``plate``, ``labels``."""
        self.outputs.append({"kind": kind, "name": name, "version": version, "rows": rows, "detail": detail})

    def warn(self, text: str) -> None:
        """Note a warning, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def record(self, status: str) -> pa.Table:
        """End the run now and return its row for the table ``runs``.

        Parameters
        ----------
        status
            ``ok``, ``partial`` or ``failed``.
        """
        from .. import __version__

        row = {
            "run_id": self.run_id,
            "verb": self.verb,
            "study_id": self.study_id,
            "plate_ids": list(self.plate_ids),
            "status": status,
            "started_at": self.started_at,
            "finished_at": datetime.now(UTC),
            "code_version": __version__,
            "schema_version": SCHEMA_VERSION,
            "parameters": json.dumps(self.parameters, sort_keys=True, ensure_ascii=False),
            "inputs": self.inputs,
            "outputs": self.outputs,
            "warnings": self.warnings,
        }
        return pa.Table.from_pylist([row], schema=arrow_schema("runs"))


@dataclass(slots=True)
class _Graph:
    """Nodes by id, and edges from what was made to what it was made from."""

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    edges: dict[tuple[str, str, str], None] = field(default_factory=dict)

    def node(self, kind: str, name: str, **facts: Any) -> str:
        identifier = f"{kind}:{name}"
        known = self.nodes.setdefault(identifier, {"id": identifier, "kind": kind, "name": name})
        known.update({key: _plain(value) for key, value in facts.items() if value is not None})
        return identifier

    def edge(self, source: str, target: str, relation: str) -> None:
        self.edges[source, target, relation] = None

    def result(self) -> dict[str, list[dict[str, Any]]]:
        edges = [{"from": source, "to": target, "relation": relation} for source, target, relation in self.edges]
        return {"nodes": list(self.nodes.values()), "edges": edges}


def parse_row(text: str) -> dict[str, Any]:
    """Return what :func:`trace` takes, of a row as people name it: ``study/plate/well/field/object_set/object_id``.

    Raises
    ------
    UsageError
        It has fewer than two parts or too many, or a part that should be a number is none.
    InvalidDataError
        Its well is none.
    """
    names = ("study_id", "plate_id", "well_id", "field_id", "object_set", "object_id")
    parts = text.strip("/").split("/")
    if not 2 <= len(parts) <= len(names) or not all(parts):
        raise UsageError(f"{text!r} names no row", hint="Write study/plate[/well[/field[/object_set[/object_id]]]].")
    known: dict[str, Any] = dict(zip(names, parts, strict=False))
    if "well_id" in known:
        known["well_id"] = format_well(*parse_well(known["well_id"]))
    for name in ("field_id", "object_id"):
        if name in known:
            try:
                known[name] = int(known[name])
            except ValueError as error:
                raise UsageError(f"{text!r}: {known[name]!r} is no {name.removesuffix('_id')} number") from error
    return known


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
    graph = _Graph()
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


def _generated(graph: _Graph, node: str, run_id: str) -> str:
    graph.edge(node, graph.node("run", run_id), "was_generated_by")
    return node


def _images(root: LakeRoot, graph: _Graph, where: Mapping[str, Any], parent: str) -> str:
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
    graph: _Graph,
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


def _feature_set(graph: _Graph, one: FeatureSet) -> str:
    return graph.node("feature_set", one.label, hash=one.hash, created_at=one.created_at, recipe=one.recipe)


def _runs(root: LakeRoot, graph: _Graph) -> None:
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


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
