"""What was made from parts of studies: rows of every table, profiles by way of fitted parameters, releases."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..registry import DefinedSet, FeatureSet, ProfileSet, feature_sets, profile_sets
from ..scan import Filter, live_files, scan
from .graph import Graph
from .label_images import label_name
from .made_profiles import Profiles
from .matching import Found, Part, rows_of
from .measured import MOST_IMAGES, add_set
from .pins import Pins
from .runs import fill_in

if TYPE_CHECKING:
    from ..root import LakeRoot

DERIVED, INFLUENCED = "was_derived_from", "was_influenced_by"
#: Tables that say what was done and how things are defined; their rows are about no part of a study.
_RECORDS = {
    "runs",
    "releases",
    "feature_sets",
    "profile_sets",
    "feature_dictionary",
    "profile_fits",
    "current_sets",
}
#: For so many images the store is asked which label images there are.
_MOST_LABELS = 64


@dataclass(frozen=True, slots=True)
class ObjectFilter:
    """Only what was measured of some objects: hash of a feature set → object sets, perhaps one object of one set."""

    sets: Mapping[str, frozenset[str]]
    object_set: str | None
    object_id: int | None

    def condition(self, one: FeatureSet, object_set: str) -> dict[str, Any] | None:
        """Return what rows of a feature table must satisfy beside; None where none is meant."""
        if object_set not in self.sets.get(one.hash, ()):
            return None
        if self.object_id is None:
            return {}
        return {"object_id" if object_set == self.object_set else "parent_id": self.object_id}


class Made:
    """Collects in a graph what was made from things, and which rows of which tables that are."""

    def __init__(self, root: LakeRoot, graph: Graph) -> None:
        self.root, self.graph = root, graph
        self._report: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._runs: list[dict[str, Any]] | None = None
        self.pins = Pins(root, graph)
        self._profiles = Profiles(self)

    # What there is to look in.

    @cached_property
    def columns(self) -> dict[str, list[str]]:
        """Every table with rows about parts of studies → its columns."""
        found = {name: self.root.tables.schema(name).names for name in self.root.tables.names() if name not in _RECORDS}
        return {name: columns for name, columns in found.items() if "study_id" in columns}

    @cached_property
    def sets(self) -> list[DefinedSet]:
        """Every feature set and profile set."""
        return [*feature_sets(self.root), *profile_sets(self.root)]

    def runs(self) -> list[dict[str, Any]]:
        """All runs, oldest first."""
        if self._runs is None:
            self._runs = sorted(self.root.tables.read("runs").to_pylist(), key=lambda run: str(run["run_id"]))
        return self._runs

    def add_set(self, one: DefinedSet) -> str:
        """Add a set to the graph."""
        return add_set(self.graph, one)

    def studies_of(self, one: DefinedSet) -> list[str]:
        """Return the studies that have rows of a set, from the logs."""
        found: set[str] = set()
        for part in one.parts:
            if self.root.tables.exists(one.table(part)):
                files = live_files(self.root.tables.open(one.table(part)))
                found.update(str(file.partition_values["study_id"]) for file in files)
        return sorted(found)

    # What is found.

    def add_rows(
        self, table: str, part: Part, found: Found, node: str, *, relation: str = DERIVED, runs: bool = True
    ) -> None:
        """Note rows of a table, which a node of the graph stands for."""
        self.touch(table, part, node)
        if not found.rows:
            return
        self.report_rows(table, part.study_id, part.name, found.rows, relation)
        for run_id in sorted(found.run_ids) if runs else ():
            self.graph.generated(node, run_id)

    def report_rows(self, table: str, study_id: str | None, part: str, rows: int, relation: str) -> None:
        """Note how many rows of a table there are."""
        entry = {"table": table, "version": self.root.tables.version(table), "study_id": study_id, "part": part}
        self._report.setdefault((table, part, relation), {**entry, "rows": rows, "relation": relation})

    def touch(self, table: str, part: Part, node: str) -> None:
        """Note that releases may pin rows of a part in a table."""
        filters = part.filters(self.columns.get(table, ()))
        if filters is not None:
            self.pins.touch(table, filters, node)

    @property
    def found_anything(self) -> bool:
        """Whether any table, run or release has something of what is followed; call it after :meth:`finish`."""
        return bool(self._report) or bool(self.pins.result())

    def report(self) -> list[dict[str, Any]]:
        """Return all rows that were found, table by table."""
        return [self._report[key] for key in sorted(self._report)]

    # From parts of studies.

    def measured(self, part: Part, start: str, *, images: Sequence[str] = (), only: ObjectFilter | None = None) -> None:
        """Follow a part of a study: its rows in every table, then the profiles that were made from them."""
        base = list(images)
        if only is None:
            base = base or self._images(part, start)
            self._plain_tables(part, start)
            self._light(part, base or [start])
        objects = self._objects(part, base or [start], only)
        if only is None or objects:
            self._profiles.from_parts([part.of_wells()], objects, start)

    def from_feature_set(self, one: FeatureSet) -> None:
        """Follow all rows of a feature set."""
        node = self.add_set(one)
        parts = [Part(study) for study in self.studies_of(one)]
        objects: dict[str, list[str]] = {}
        for part in parts:
            for object_set in one.object_sets:
                made = self._object_node(one, object_set, part, {}, [])
                if made is not None:
                    self.graph.edge(made, node, "used")
                    objects.setdefault(one.hash, []).append(made)
        for table in ("quality", "tracks", "feature_quality"):
            for study in self._studies_with(table, one):
                found = rows_of(self.root, table, Part(study), extra={"feature_set_hash": one.hash})
                if found is not None and found.rows:
                    rows = self.graph.node("rows", f"{table} of {study} by {one.label}", rows=found.rows)
                    self.graph.edge(rows, node, DERIVED)
                    self.add_rows(table, Part(study), found, rows)
        self._profiles.from_source(one, parts, objects)

    def from_profiles(self, one: ProfileSet, parts: Sequence[Part]) -> None:
        """Follow rows of a profile set that are in the graph: what was fitted on them, treatments, further sets."""
        self._profiles.from_rows(one, parts)

    def profiles_of(self, one: ProfileSet, parts: Sequence[Part]) -> str | None:
        """Add the rows that a profile set has of parts; return the first node, None where there are none."""
        return next((node for part in parts for node in self._profiles.add_rows(one, part, [])), None)

    def from_fit(self, one: ProfileSet, version: int, unit: str | None) -> str | None:
        """Follow fitted parameters; return their node, None where there are none."""
        return self._profiles.from_fit(one, version, unit)

    def written_by(self, run: Mapping[str, Any], node: str) -> None:
        """Follow the rows that a run wrote and that are still its own, and what was made from them."""
        run_id = str(run["run_id"])
        features = self._tables_of(FeatureSet)
        profiles = self._tables_of(ProfileSet)
        for table, columns in self.columns.items():
            if "run_id" not in columns:
                continue
            for part, found in self._parts_of_run(table, columns, run_id):
                if table in features:
                    one, object_set = features[table]
                    made = self._object_node(one, object_set, part, {"run_id": run_id}, [])
                    if made is not None:
                        self._profiles.from_source(one, [part.of_wells()], {one.hash: [made]})
                elif table in profiles:
                    self._profiles.add_rows(profiles[table][0], part, [])
                    self._profiles.from_rows(profiles[table][0], [part])
                else:
                    rows = self.graph.node("rows", f"{table} of {part.name}", rows=found.rows)
                    self.add_rows(table, part, found, rows)
                    if table == "images":
                        self.measured(part, rows, images=[rows])
        for output in run["outputs"] or ():
            if output["kind"] != "table":
                made_node = self.graph.node(output["kind"], str(output["name"]), detail=output["detail"])
                self.graph.generated(made_node, run_id)
        if run["verb"] == "annotate":
            self.graph.note(
                f"run {run_id} said what wells are, and so which are controls and what a treatment is; follow the "
                "wells or their plate to see the profiles"
            )

    def finish(self) -> None:
        """Look into releases, and say what each run was."""
        self.pins.look()
        fill_in(self.root, self.graph)

    # Rows of tables.

    def _plain_tables(self, part: Part, start: str) -> None:
        wide = {*self._tables_of(FeatureSet), *self._tables_of(ProfileSet)}
        for table in self.columns:
            if table in wide or table == "images":
                continue
            found = rows_of(self.root, table, part)
            if found is None:
                continue
            own = table in {"plates", "wells"}
            if found.rows:
                node = start if own else self.graph.node("rows", f"{table} of {part.name}", rows=found.rows)
                if not own:
                    self.graph.edge(node, start, DERIVED)
                self.add_rows(table, part, found, node)
            else:
                self.touch(table, part, start)
        if part.plate_id is not None:
            named = [run for run in self.runs() if self._names(run, part)]
            if named:
                entry = Found(len(named), set())
                self.add_rows("runs", part, entry, start, relation="names", runs=False)

    def _names(self, run: Mapping[str, Any], part: Part) -> bool:
        """Whether a run was about the plate of a part, or all plates of its study."""
        plates = run["plate_ids"] or ()
        return run["study_id"] in (None, part.study_id) and part.plate_id in plates

    def _images(self, part: Part, start: str) -> list[str]:
        """Add the images of a part: each for itself where they are few."""
        if "images" not in self.columns:
            return []
        found = rows_of(self.root, "images", part)
        if found is None or not found.rows:
            self.touch("images", part, start)
            return []
        if found.rows <= MOST_IMAGES and part.plate_id is not None:
            nodes = [self.graph.node("image", path) for path in self._image_paths(part)]
        else:
            nodes = [self.graph.node("images", f"{part.name}: {found.rows:,} images", rows=found.rows)]
        for node in nodes:
            self.graph.edge(node, start, "part_of")
            for run_id in found.run_ids if len(nodes) == 1 else ():
                self.graph.generated(node, run_id)
        self.add_rows("images", part, found, nodes[0], runs=False)
        return nodes

    def _image_paths(self, part: Part) -> list[str]:
        filters = part.filters(self.columns["images"]) or []
        rows = scan(self.root, "images", filters).read(["path", "well_id", "field_id"]).to_pylist()
        return [
            row["path"] or f"{part.study_id}/{part.plate_id}/{row['well_id']}/{row['field_id']}: no pixels"
            for row in rows
            if part.fields is None or (row["well_id"], row["field_id"]) in part.fields
        ]

    def _objects(self, part: Part, base: Sequence[str], only: ObjectFilter | None) -> dict[str, list[str]]:
        """Add the objects of a part in every feature set; return hash of the set → nodes."""
        found: dict[str, list[str]] = {}
        for one, object_set in self._tables_of(FeatureSet).values():
            extra = {} if only is None else only.condition(one, object_set)
            if extra is None:
                continue
            node = self._object_node(one, object_set, part, extra, base)
            if node is not None:
                found.setdefault(one.hash, []).append(node)
        return found

    def _object_node(
        self, one: FeatureSet, object_set: str, part: Part, extra: Mapping[str, Any], base: Sequence[str]
    ) -> str | None:
        table = one.table(object_set)
        if not self.root.tables.exists(table):
            return None
        found = rows_of(self.root, table, part, extra=extra)
        if found is None or not found.rows:
            for node in base[:1]:
                self.touch(table, part, node)
            return None
        node = self.graph.node("objects", f"{part.name}/{object_set} in {one.label}", rows=found.rows)
        labels = self._labels(one, object_set, base)
        for source in (*labels, *base):
            self.graph.edge(node, source, DERIVED)
        self.add_rows(table, part, found, node)
        for run_id in found.run_ids:
            self.graph.edge(f"run:{run_id}", self.add_set(one), "used")
        return node

    def _labels(self, one: FeatureSet, object_set: str, base: Sequence[str]) -> list[str]:
        """Add the label images of an object set that lie beside images."""
        name = label_name(one.definition, object_set)
        images = [node for node in base if self.graph.nodes[node]["kind"] == "image"]
        if name is None:
            return []
        if not images or len(images) > _MOST_LABELS:
            summary = [node for node in base if self.graph.nodes[node]["kind"] in {"image", "images"}]
            if not summary:
                return []
            shown = self.graph.node("labels", f"{name} of {self.graph.nodes[summary[0]]['name']}")
            for image in summary:
                self.graph.edge(shown, image, DERIVED)
            return [shown]
        found = []
        for image in images:
            path = f"{self.graph.nodes[image]['name']}/labels/{name}"
            if self.root.storage.exists(f"{path}/zarr.json"):
                found.append(self.graph.node("labels", path))
                self.graph.edge(found[-1], image, DERIVED)
        return found

    def _light(self, part: Part, base: Sequence[str]) -> None:
        """Add the profiles of light that were estimated from the images of a plate, and say who used them."""
        for run in self.runs():
            if run["study_id"] != part.study_id or part.plate_id not in (None, *(run["plate_ids"] or ())):
                continue
            for output in run["outputs"] or ():
                if output["kind"] == "illumination":
                    node = self.graph.node("illumination", str(output["name"]))
                    for image in base:
                        self.graph.edge(node, image, DERIVED)
                    self.graph.generated(node, str(run["run_id"]))
            if part.well_ids is not None and "illumination" in json.loads(run["parameters"] or "{}"):
                self.graph.note(
                    f"run {run['run_id']} divided all images of the plate by light estimated from some of them, "
                    f"perhaps from those of {part.name}: follow the plate to see its rows"
                )

    # Sets and runs.

    def _tables_of(self, kind: type[Any]) -> dict[str, tuple[Any, str]]:
        return {
            one.table(part): (one, part)
            for one in self.sets
            if isinstance(one, kind)
            for part in one.parts
            if one.table(part) in self.columns
        }

    def _studies_with(self, table: str, one: FeatureSet) -> list[str]:
        if table not in self.columns:
            return []
        where = {"feature_set_hash": one.hash}
        rows = self.root.tables.read(table, columns=["study_id"], where=where)
        return sorted(str(study) for study in rows["study_id"].unique().to_pylist())

    def _parts_of_run(self, table: str, columns: Sequence[str], run_id: str) -> list[tuple[Part, Found]]:
        """Return the plates, or studies, of which a table has rows that a run wrote."""
        names = [name for name in ("study_id", "plate_id", "well_id") if name in columns]
        filters = [Filter("run_id", "=", run_id)]
        if not live_files(self.root.tables.open(table), filters):
            return []
        rows = scan(self.root, table, filters).read(names).group_by(names).aggregate([([], "count_all")]).to_pylist()
        counted: dict[tuple[str, str | None], dict[str | None, int]] = {}
        for row in rows:
            of_plate = counted.setdefault((row["study_id"], row.get("plate_id")), {})
            of_plate[row.get("well_id")] = of_plate.get(row.get("well_id"), 0) + row["count_all"]
        found = []
        for (study, plate), wells in sorted(counted.items(), key=str):
            named = frozenset(well for well in wells if well is not None)
            part = Part(study, plate, named if named and None not in wells and table != "images" else None)
            found.append((part, Found(sum(wells.values()), {run_id})))
        return found
