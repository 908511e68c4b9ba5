"""Profiles in a graph: rows of wells and treatments, the parameters that made them, and what they start from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ...errors import NotFoundError
from ...wording import did_you_mean, listed
from ..registry import DefinedSet, FeatureSet, ProfileSet, feature_sets, profile_sets
from .graph import Graph
from .measured import Wells, add_images, add_objects, add_set
from .places import add_plate, add_well
from .runs import History
from .treatments import wells_of_treatment

if TYPE_CHECKING:
    from ..root import LakeRoot

#: More wells of a treatment than these are shown plate by plate.
_MOST_WELLS = 100
_SHOWN = 8
FIT_COLUMNS = ("fit_version", "step", "unit", "study_id", "plate_id", "operator", "controls", "run_id")
#: The unit of parameters that were fitted on all plates of a run.
ALL_UNITS = "*"


def add_profiles(root: LakeRoot, graph: Graph, history: History, one: ProfileSet, wells: Wells, *, parent: str) -> None:
    """Add the rows of profiles of a plate, a well or a field, back to their pixels.

    Raises
    ------
    NotFoundError
        The profile set has no such rows.
    """
    if not _Profiles(root, graph, history).add(one, wells, parents=_parents(graph, wells, parent)):
        raise NotFoundError(
            f"{root.url}: profile set {one.label} has no row of {wells.name()}",
            hint=f"see `cytolake features show {one.label}` for the plates that it has",
        )


def _parents(graph: Graph, wells: Wells, parent: str) -> dict[str, str]:
    return {wells.well_ids[0]: parent} if wells.well_ids is not None and len(wells.well_ids) == 1 else {}


def add_treatments(
    root: LakeRoot, graph: Graph, history: History, one: ProfileSet, study_id: str, treatment: str | None
) -> None:
    """Add the rows of treatments of a study, or one of them, back to the wells that they stand for.

    Raises
    ------
    NotFoundError
        The profile set has no such row.
    """
    table = one.table("treatment")
    names = ["treatment", "n_wells", "n_plates", "fit_version", "run_id", "perturbation", "concentration_um"]
    there = "treatment" in one.levels and root.tables.exists(table)
    rows = root.tables.read(table, columns=names, where={"study_id": study_id}).to_pylist() if there else []
    if treatment is not None:
        known = [str(row["treatment"]) for row in rows]
        rows = [row for row in rows if row["treatment"] == treatment]
        if not rows and known:
            raise NotFoundError(
                f"{root.url}: study {study_id} has no treatment {treatment!r} in {one.label}"
                f"{did_you_mean(treatment, known)}",
                hint=f"it has {listed(sorted(known), _SHOWN)}",
            )
    if not rows:
        raise NotFoundError(
            f"{root.url}: profile set {one.label} has no treatments of study {study_id}",
            hint="name a plate or a well: study/plate@SET",
        )
    reader = _Profiles(root, graph, history)
    if treatment is None:
        reader.add_all_treatments(one, study_id, rows)
    for row in rows if treatment is not None else ():
        reader.add_treatment(one, study_id, row)


class _Profiles:
    """Walks from profiles to their sources, and visits nothing twice."""

    def __init__(self, root: LakeRoot, graph: Graph, history: History) -> None:
        self.root, self.graph, self.history = root, graph, history
        self._sets: dict[str, DefinedSet] | None = None
        self._images: dict[Wells, dict[str | None, list[str]]] = {}

    def add_all_treatments(self, one: ProfileSet, study_id: str, rows: list[dict[str, Any]]) -> None:
        """Add one node for all treatments of a study, and one for the wells of each plate."""
        node = self.graph.node("treatments", f"{study_id}@{one.label}", rows=len(rows))
        self._made_by(node, one, {str(row["run_id"]) for row in rows})
        level = one.table("well")
        exists = self.root.tables.exists(level)
        where = {"study_id": study_id}
        plates = self.root.tables.read(level, columns=["plate_id"], where=where)["plate_id"] if exists else None
        for plate in sorted(map(str, plates.unique().to_pylist())) if plates is not None else []:
            for profile in self.add(one, Wells(study_id, plate), parents={}):
                self.graph.edge(node, profile, "was_derived_from")

    def add_treatment(self, one: ProfileSet, study_id: str, row: Mapping[str, Any]) -> None:
        """Add one treatment, and the rows of its wells."""
        facts = {name: row[name] for name in ("n_wells", "n_plates", "fit_version", "perturbation", "concentration_um")}
        node = self.graph.node("treatment", f"{study_id}@{one.label}: {row['treatment']}", **facts)
        self._made_by(node, one, {str(row["run_id"])})
        wells = wells_of_treatment(self.root, one, study_id, str(row["treatment"]))
        if wells is None:
            self.graph.note(f"which wells {row['treatment']!r} stands for is not recorded: it was made elsewhere")
            return
        number = sum(map(len, wells.values()))
        if number != row["n_wells"]:
            self.graph.note(
                f"treatment {row['treatment']!r} was made of {row['n_wells']} wells; as far as is known now it would "
                f"have {number}, which are shown"
            )
        for plate, names in wells.items():
            parents = self._places(study_id, plate, names) if number <= _MOST_WELLS else {}
            here = [Wells(study_id, plate, (name,)) for name in names]
            for few in here if number <= _MOST_WELLS else [Wells(study_id, plate, tuple(names))]:
                own = {name: parents[name] for name in few.well_ids or () if name in parents}
                for profile in self.add(one, few, parents=own):
                    self.graph.edge(node, profile, "was_derived_from")

    def _places(self, study_id: str, plate_id: str, wells: Iterable[str]) -> dict[str, str]:
        """Add a plate and some of its wells; return well → its node."""
        plate = add_plate(self.root, self.graph, self.history, study_id, plate_id)
        where = {"study_id": study_id, "plate_id": plate_id}
        return {
            well: add_well(self.root, self.graph, self.history, {**where, "well_id": well}, plate, needed=False)
            for well in wells
        }

    def add(self, one: ProfileSet, wells: Wells, *, parents: Mapping[str, str]) -> list[str]:
        """Add the rows of a profile set of some wells as one node, and what they start from; no node for no rows."""
        for level in ("field",) if wells.field_id is not None else ("well", "field"):
            rows = self._rows(one, level, wells)
            if rows is None or not rows.num_rows:
                continue
            node = self._node(one, level, wells, rows)
            for parent in parents.values():
                self.graph.edge(node, parent, "part_of")
            run_ids = {str(run) for run in rows["run_id"].unique().to_pylist()}
            self._made_by(node, one, run_ids)
            for version in sorted(v for v in rows["fit_version"].unique().to_pylist() if v is not None):
                self._fits(node, one, version, run_ids, wells)
            if not one.imported:
                self._source(node, one, wells, parents)
            return [node]
        return []

    def _rows(self, one: ProfileSet, level: str, wells: Wells) -> pa.Table | None:
        table = one.table(level)
        if level not in one.levels or not self.root.tables.exists(table):
            return None
        return self.root.tables.read(table, columns=["n_objects", "fit_version", "run_id"], where=wells.where)

    def _node(self, one: ProfileSet, level: str, wells: Wells, rows: pa.Table) -> str:
        facts: dict[str, Any] = {"level": level, "rows": rows.num_rows, "n_objects": pc.sum(rows["n_objects"]).as_py()}
        if wells.well_ids is not None and len(wells.well_ids) > 1:
            facts["wells"] = list(wells.well_ids)
            return self.graph.node("profiles", f"{wells.name()}: {len(wells.well_ids)} wells@{one.label}", **facts)
        versions = [version for version in rows["fit_version"].unique().to_pylist() if version is not None]
        facts["fit_version"] = versions[0] if len(versions) == 1 else None
        kind = "profile" if rows.num_rows == 1 else "profiles"
        return self.graph.node(kind, f"{wells.name()}@{one.label}", **facts)

    def _made_by(self, node: str, one: ProfileSet, run_ids: Iterable[str]) -> None:
        for run_id in sorted(run_ids):
            self.graph.generated(node, run_id)
            self.graph.edge(f"run:{run_id}", add_set(self.graph, one), "used")

    def _fits(self, node: str, one: ProfileSet, version: int, run_ids: set[str], wells: Wells) -> None:
        """Add the parameters that made rows of a plate."""
        where = {"profile_set_hash": one.hash, "fit_version": version}
        rows = self.root.tables.read("profile_fits", columns=FIT_COLUMNS, where=where).to_pylist()
        kept = [row for row in rows if row["unit"] in self._units(rows, run_ids, wells)]
        by_unit: dict[str, list[dict[str, Any]]] = {}
        for row in sorted(kept, key=lambda row: (row["unit"], row["step"])):
            by_unit.setdefault(row["unit"], []).append(row)
        for unit, fitted in by_unit.items():
            fit = add_fit(self.graph, one, version, unit, fitted)
            self.graph.edge(node, fit, "was_derived_from")
        if not rows:
            self.graph.note(f"the parameters of {one.label}, fit version {version}, are not in the lake")

    def _units(self, fits: list[dict[str, Any]], run_ids: set[str], wells: Wells) -> set[str]:
        """Return the units whose parameters made rows of a plate: its own, those that its run took, in doubt all."""
        taken: set[str] = set()
        for row in self.root.tables.read("runs", columns=["parameters"], where={"run_id": sorted(run_ids)}).to_pylist():
            parameters = json.loads(row["parameters"] or "{}")
            taken |= set(parameters.get("parameters_of", ()))
            if parameters.get("refitted"):  # its steps by plate were fitted on the plate itself, by this very run
                taken.add(f"{wells.study_id}/{wells.plate_id}")
        own = {f"{wells.study_id}/{wells.plate_id}", wells.study_id, ALL_UNITS}
        steps = {row["step"] for row in fits}
        missing = steps - {row["step"] for row in fits if row["unit"] in (own & taken or own)}
        if not missing:
            return own & taken or own
        return taken or own | {row["unit"] for row in fits if row["step"] in missing}

    def _source(self, node: str, one: ProfileSet, wells: Wells, parents: Mapping[str, str]) -> None:
        """Add what a computed profile starts from: objects, back to their images, or other profiles."""
        source = self._known(str(one.definition["source"]["hash"]))
        if source is None:
            self.graph.note(f"the set that {one.label} was made from is not in the lake")
        elif isinstance(source, ProfileSet):
            for profile in self.add(source, wells, parents={}):
                self.graph.edge(node, profile, "was_derived_from")
        elif isinstance(source, FeatureSet):
            images = self._images_of(wells, parents)
            for object_set in object_sets_of(one, source):
                added = add_objects(self.root, self.graph, source, object_set, wells, images)
                for objects in added.values():
                    self.graph.edge(node, objects, "was_derived_from")

    def _images_of(self, wells: Wells, parents: Mapping[str, str]) -> dict[str | None, list[str]]:
        if wells not in self._images:
            self._images[wells] = add_images(self.root, self.graph, replace(wells), parents)
        return self._images[wells]

    def _known(self, hash_: str) -> DefinedSet | None:
        if self._sets is None:
            self._sets = {known.hash: known for known in (*feature_sets(self.root), *profile_sets(self.root))}
        return self._sets.get(hash_)


def object_sets_of(one: ProfileSet, source: FeatureSet) -> tuple[str, ...]:
    """Return the object sets whose features went into a profile set."""
    wanted = (one.definition.get("aggregate") or {}).get("objects")
    return source.object_sets if wanted is None else tuple(wanted)


def add_fit(graph: Graph, one: ProfileSet, version: int, unit: str, rows: Iterable[Mapping[str, Any]]) -> str:
    """Add the parameters that the steps of a profile set were fitted with on one unit; ``rows`` are of profile_fits."""
    rows = list(rows)
    wells = sorted({str(well) for row in rows for well in row["controls"] or ()})
    fit = graph.node(
        "fit",
        f"{one.label}#{version}/{unit}",
        fit_version=version,
        unit=unit,
        steps=[f"{row['step']} {row['operator']}" for row in rows],
        n_fitted_on=len(wells),
        fitted_on=wells,
    )
    for run_id in sorted({str(row["run_id"]) for row in rows}):
        graph.generated(fit, run_id)
    graph.edge(fit, add_set(graph, one), "used")
    return fit
