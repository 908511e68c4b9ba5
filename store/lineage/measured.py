"""What was measured, in a graph: objects of feature sets, the label images that they are in, images, source files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..registry import DefinedSet, FeatureSet
from .graph import Graph
from .label_images import label_name

if TYPE_CHECKING:
    from ..root import LakeRoot

#: More images than these are one node with their number; nobody looks at a thousand of them.
MOST_IMAGES = 200
#: For so many images the store is asked whether a label image is there.
_MOST_LABELS = 64


@dataclass(frozen=True, slots=True)
class Wells:
    """Some wells of a plate (all where ``well_ids`` is None), or one field of one well."""

    study_id: str
    plate_id: str
    well_ids: tuple[str, ...] | None = None
    field_id: int | None = None

    @property
    def where(self) -> dict[str, Any]:
        """Column → values, as :meth:`.tables.Tables.read` takes them."""
        where: dict[str, Any] = {"study_id": self.study_id, "plate_id": self.plate_id}
        if self.well_ids is not None:
            where["well_id"] = list(self.well_ids)
        if self.field_id is not None:
            where["field_id"] = self.field_id
        return where

    def name(self, *behind: object) -> str:
        """Return the path that names them, with more behind it."""
        well = self.well_ids[0] if self.well_ids is not None and len(self.well_ids) == 1 else None
        parts = (self.study_id, self.plate_id, well, self.field_id, *behind)
        return "/".join(str(part) for part in parts if part is not None)

    def one(self, well_id: str) -> Wells:
        """Return one of them."""
        return Wells(self.study_id, self.plate_id, (well_id,), self.field_id)


def add_images(root: LakeRoot, graph: Graph, wells: Wells, parents: Mapping[str, str]) -> dict[str | None, list[str]]:
    """Add the images of wells, with the vendor files that their pixels came from.

    Parameters
    ----------
    parents
        Well → its node, where the graph has one.

    Returns
    -------
    dict
        Well → the nodes of its images; where there are too many to show, None → the one node that stands for all.
    """
    columns = ["path", "well_id", "field_id", "acquisition_id", "n_missing_planes", "run_id"]
    rows = root.tables.read("images", columns=columns, where=wells.where)
    if rows.num_rows > MOST_IMAGES:
        return {None: [_all_images(graph, wells, rows, parents)]}
    files = root.tables.read("images", columns=["path", "well_id", "acquisition_id", "source_files"], where=wells.where)
    found: dict[str | None, list[str]] = {}
    sources: list[Any] = files["source_files"].to_pylist()
    for row, of_row in zip(rows.to_pylist(), sources, strict=True):
        name = row["path"] or f"{wells.study_id}/{wells.plate_id}/{row['well_id']}/{row['field_id']}: no pixels"
        image = graph.node(
            "image", name, acquisition_id=row["acquisition_id"], n_missing_planes=row["n_missing_planes"]
        )
        if row["well_id"] in parents:
            graph.edge(image, parents[row["well_id"]], "part_of")
        graph.generated(image, row["run_id"])
        for file in of_row:
            source = graph.node("file", file["file"], sha256=file["sha256"], status=file["status"], bytes=file["bytes"])
            graph.edge(image, source, "was_derived_from")
        found.setdefault(row["well_id"], []).append(image)
    return found


def _all_images(graph: Graph, wells: Wells, rows: pa.Table, parents: Mapping[str, str]) -> str:
    node = graph.node("images", f"{wells.name()}: {rows.num_rows:,} images", n_images=rows.num_rows)
    for parent in dict.fromkeys(parents.values()):
        graph.edge(node, parent, "part_of")
    for run_id in rows["run_id"].unique().to_pylist():
        graph.generated(node, str(run_id))
    graph.note(f"{wells.name()}: {rows.num_rows:,} images are one node; the lineage of a well names their files")
    return node


def add_objects(
    root: LakeRoot,
    graph: Graph,
    one: FeatureSet,
    object_set: str,
    wells: Wells,
    images: Mapping[str | None, Sequence[str]],
    object_id: int | None = None,
    *,
    parent: str | None = None,
    by_well: bool = False,
) -> dict[str | None, str]:
    """Add the objects of one set under one feature set, with the label images that they are in.

    Parameters
    ----------
    images
        What :func:`add_images` returned.
    parent
        What objects without an image belong to.
    by_well
        Whether each well is a node of its own.

    Returns
    -------
    dict
        Well (None for all together) → node; empty where the feature set has no rows here.
    """
    table = one.table(object_set)
    if object_set not in one.object_sets or not root.tables.exists(table):
        return {}
    where = wells.where if object_id is None else {**wells.where, "object_id": object_id}
    rows = root.tables.read(table, columns=["well_id", "parent_id", "run_id"], where=where)
    nodes: dict[str | None, str] = {}
    parts = {None: rows} if not by_well else {well: rows.filter(_is(rows, well)) for well in _wells(rows)}
    for well, part in parts.items():
        if not part.num_rows:
            continue
        here = wells if well is None else wells.one(well)
        facts: dict[str, Any] = {"rows": part.num_rows, "origin": "imported" if one.imported else None}
        if object_id is not None:
            facts["parent_id"] = part["parent_id"][0].as_py()
        kind = "objects" if object_id is None else "object"
        node = graph.node(kind, f"{here.name(object_set, object_id)} in {one.label}", **facts)
        # A feature set may have rows of fields whose images are not in the lake.
        of_wells = [image for image_well, found in images.items() if well in (None, image_well) for image in found]
        shown = of_wells or list(images.get(None, ()))
        for image in shown:
            graph.edge(node, image, "was_derived_from")
        _add_labels(root, graph, one, object_set, node, shown)
        if not shown and parent is not None:
            graph.edge(node, parent, "was_derived_from")
        for run_id in part["run_id"].unique().to_pylist():
            graph.generated(node, str(run_id))
            graph.edge(f"run:{run_id}", add_set(graph, one), "used")
        nodes[well] = node
    return nodes


def _add_labels(
    root: LakeRoot, graph: Graph, one: FeatureSet, object_set: str, objects: str, images: Sequence[str]
) -> None:
    name = label_name(one.definition, object_set)
    paths = {image: graph.nodes[image]["name"] for image in images if graph.nodes[image]["kind"] == "image"}
    if name is None or not paths or len(paths) > _MOST_LABELS:
        return
    for image, path in paths.items():
        where = f"{path}/labels/{name}"
        if root.storage.exists(f"{where}/zarr.json"):
            labels = graph.node("labels", where)
            graph.edge(labels, image, "was_derived_from")
            graph.edge(objects, labels, "was_derived_from")


def add_set(graph: Graph, one: DefinedSet) -> str:
    """Add a feature set or a profile set, with what it is; return its node."""
    facts: dict[str, Any] = {"hash": one.hash, "created_at": one.created_at, "recipe": one.recipe}
    if one.imported:
        facts.update({f"imported_{key}": value for key, value in dict(one.definition["imported"]).items()})
    return graph.node("feature_set" if isinstance(one, FeatureSet) else "profile_set", one.label, **facts)


def _wells(rows: pa.Table) -> list[str]:
    return sorted(str(well) for well in rows["well_id"].unique().to_pylist())


def _is(rows: pa.Table, well: str) -> Any:
    import pyarrow.compute as pc

    return pc.equal(rows["well_id"], pa.scalar(well))
