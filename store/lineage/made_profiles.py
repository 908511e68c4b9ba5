"""Profiles that were made from wells: their own rows, those of others by fitted parameters, treatments, further sets.

Parameters are learned from wells and applied to others. A row that was normalised by the controls of its plate has
those wells in it, and so has a treatment that such a row is part of. This module walks that way, set by set, each
after the set that it starts from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..registry import DefinedSet, FeatureSet, ProfileSet
from ..scan import Filter
from .matching import Found, Part, rows_of
from .profiles import ALL_UNITS, FIT_COLUMNS, add_fit
from .treatments import Members, treatments_of

if TYPE_CHECKING:
    from .made import Made

_LEVELS = ("well", "field")
_FITS = "profile_fits"
_INFLUENCED = "was_influenced_by"
#: Names of treatments that a node lists.
_SHOWN = 20


@dataclass(slots=True)
class _Reached:
    """What of one profile set has been reached: parts, the nodes of their rows, and the fits that learned from them."""

    direct: list[Part] = field(default_factory=list)
    influenced: list[Part] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not self.direct and not self.influenced


class Profiles:
    """The part of :class:`.made.Made` about profiles."""

    def __init__(self, made: Made) -> None:
        self.made = made

    @property
    def _sets(self) -> list[ProfileSet]:
        """All profile sets, each after the one that it starts from: a set is registered after its source."""
        return [one for one in self.made.sets if isinstance(one, ProfileSet)]

    def from_parts(self, parts: Sequence[Part], objects: Mapping[str, Sequence[str]], start: str) -> None:
        """Follow parts of studies into every profile set.

        Parameters
        ----------
        objects
            Hash of a feature set → the nodes of its rows.
        start
            What profiles are made from that have no such node: those that were brought in.
        """
        reached = {
            one.hash: _Reached(list(parts), sources=list(objects.get(_source(one) or "", ()) or [start]))
            for one in self._sets
        }
        self._spread(reached)

    def from_source(self, source: FeatureSet, parts: Sequence[Part], objects: Mapping[str, Sequence[str]]) -> None:
        """Follow parts of one feature set into the profile sets that were made from it."""
        nodes = list(objects.get(source.hash, ()))
        self._spread(
            {one.hash: _Reached(list(parts), sources=nodes) for one in self._sets if _source(one) == source.hash}
        )

    def from_rows(self, one: ProfileSet, parts: Sequence[Part]) -> None:
        """Follow rows of a profile set."""
        self._spread({one.hash: _Reached(list(parts))})

    def from_fit(self, one: ProfileSet, version: int, unit: str | None) -> str | None:
        """Follow fitted parameters into the rows that were made by them; return their node."""
        rows = [row for row in self._fits(one) if row["fit_version"] == version and unit in (None, row["unit"])]
        if not rows:
            return None
        nodes = self._fit_nodes(one, rows)
        name = f"{one.label}#{version}"
        start = nodes[0] if len(nodes) == 1 else self.made.graph.node("fit", name, fit_version=version)
        for node in nodes:
            if node != start:
                self.made.graph.edge(node, start, "part_of")
        reached = _Reached()
        for part in self._covered(one, version, {row["unit"] for row in rows}):
            reached.nodes += self.add_rows(one, part, nodes, fit_version=version)
            reached.direct.append(part)
        self._spread({one.hash: reached}, learned=False)
        return start

    def add_rows(
        self,
        one: ProfileSet,
        part: Part,
        sources: Sequence[str],
        *,
        relation: str = "was_derived_from",
        fit_version: int | None = None,
    ) -> list[str]:
        """Add the rows that a profile set has of a part; return their node, none where there are no rows."""
        nodes = []
        for level in _LEVELS:
            table = one.table(level)
            if level not in one.levels or table not in self.made.columns:
                continue
            extra = {} if fit_version is None else {"fit_version": fit_version}
            found = rows_of(self.made.root, table, part, extra=extra)
            if found is None or not found.rows:
                for source in sources[:1]:
                    self.made.touch(table, part, source)
                continue
            node = self.made.graph.node("profiles", f"{part.name}@{one.label}", level=level, rows=found.rows)
            for source in sources:
                self.made.graph.edge(node, source, relation)
            self.made.add_rows(table, part, found, node, relation=relation)
            for run_id in found.run_ids:
                self.made.graph.edge(f"run:{run_id}", self.made.add_set(one), "used")
            nodes.append(node)
        return nodes

    def _spread(self, reached: dict[str, _Reached], *, learned: bool = True) -> None:
        """Go on from what was reached of each set: rows, fits, treatments, and the sets that start from it.

        ``learned`` says whether to ask which parameters were learned from the parts.
        """
        for one in self._sets:
            here = reached.get(one.hash)
            if here is None or here.is_empty:
                continue
            for part in here.direct:
                here.nodes += self.add_rows(one, part, here.sources)
            for part in here.influenced:
                self.add_rows(one, part, here.sources, relation=_INFLUENCED)
            if learned:
                self._learned_from(one, here)
            self._treatments(one, here)
            for other in self._sets:
                if _source(other) == one.hash:
                    further = reached.setdefault(other.hash, _Reached())
                    further.direct += [part for part in here.direct if part not in further.direct]
                    further.influenced += [part for part in here.influenced if part not in further.influenced]
                    further.sources += here.nodes

    def _learned_from(self, one: ProfileSet, here: _Reached) -> None:
        """Add the parameters that were learned from parts, and the rows of other wells that were made by them."""
        rows = self._fits(one)
        taken: set[tuple[int, int, str]] = set()
        while True:
            parts = [*here.direct, *here.influenced]
            hit = [row for row in rows if _key(row) not in taken and any(_learned(row, part) for part in parts)]
            if not hit:
                return
            taken |= {_key(row) for row in hit}
            for version in sorted({row["fit_version"] for row in hit}):
                of_version = [row for row in hit if row["fit_version"] == version]
                nodes = self._fit_nodes(one, of_version)
                for node in nodes:
                    for source in here.sources or here.nodes:
                        self.made.graph.edge(node, source, "was_derived_from")
                self._report_fits(one, version, len(of_version), nodes)
                for part in self._covered(one, version, {row["unit"] for row in of_version}):
                    if any(part.lies_in(whole) for whole in here.direct):
                        continue  # made from it anyway
                    self.add_rows(one, part, nodes, relation=_INFLUENCED, fit_version=version)
                    if part not in parts:
                        here.influenced.append(part)

    def _report_fits(self, one: ProfileSet, version: int, rows: int, nodes: Sequence[str]) -> None:
        self.made.report_rows(_FITS, None, f"{one.label}#{version}", rows, "was_derived_from")
        filters = [Filter("profile_set_hash", "=", one.hash), Filter("fit_version", "=", version)]
        for node in nodes:
            self.made.pins.touch(_FITS, filters, node)

    def _fits(self, one: ProfileSet) -> list[dict[str, Any]]:
        where = {"profile_set_hash": one.hash}
        return list(self.made.root.tables.read(_FITS, columns=FIT_COLUMNS, where=where).to_pylist())

    def _fit_nodes(self, one: ProfileSet, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        by_unit: dict[tuple[int, str], list[Mapping[str, Any]]] = {}
        for row in sorted(rows, key=lambda row: (row["fit_version"], row["unit"], row["step"])):
            by_unit.setdefault((row["fit_version"], row["unit"]), []).append(row)
        return [add_fit(self.made.graph, one, *key, own) for key, own in by_unit.items()]

    def _covered(self, one: ProfileSet, version: int, units: set[str]) -> list[Part]:
        """Return the parts whose rows were made by parameters of some units.

        A plate is normalised by the parameters of its own units, or of those that its run says it took. One that has
        none of its own for a step, and whose run does not say, may have been normalised by any of that version.
        """
        table = one.table("well")
        if table not in self.made.columns:
            return []
        columns = ["study_id", "plate_id", "run_id"]
        rows = self.made.root.tables.read(table, columns=columns, where={"fit_version": version})
        plates = rows.group_by(columns).aggregate([]).to_pylist()
        fits = [row for row in self._fits(one) if row["fit_version"] == version]
        steps = {row["step"] for row in fits}
        borrowed = self._borrowed()
        found: dict[Part, None] = {}
        for row in sorted(plates, key=lambda row: (row["study_id"], row["plate_id"])):
            own = {f"{row['study_id']}/{row['plate_id']}", row["study_id"], ALL_UNITS}
            has = {fit["step"] for fit in fits if fit["unit"] in own}
            taken = borrowed.get(row["run_id"])
            if own & units or (taken & units if taken is not None else has < steps):
                found[Part(row["study_id"], row["plate_id"])] = None
        return list(found)

    def _borrowed(self) -> dict[str, set[str]]:
        """Return run → the units whose parameters it applied without fitting them."""
        found = {}
        for run in self.made.runs():
            parameters = json.loads(run["parameters"] or "{}")
            if run["verb"] == "profile" and "parameters_of" in parameters:
                found[str(run["run_id"])] = set(parameters["parameters_of"])
        return found

    def _treatments(self, one: ProfileSet, here: _Reached) -> None:
        """Add the treatments that wells belong to."""
        table = one.table("treatment")
        if "treatment" not in one.levels or table not in self.made.columns:
            return
        for study in sorted({part.study_id for part in (*here.direct, *here.influenced)}):
            found = rows_of(self.made.root, table, Part(study))
            if found is None or not found.rows:
                for node in (here.nodes or here.sources)[:1]:
                    self.made.touch(table, Part(study), node)
                continue
            members = treatments_of(self.made.root, one, study)
            if members is None:
                self.made.graph.note(
                    f"which wells the treatments of {study} in {one.label} are made from is not recorded: all are shown"
                )
                self._add_treatments(one, study, None, found.rows, found.run_ids, here, "was_derived_from")
                continue
            direct = _touched(members, [part for part in here.direct if part.study_id == study])
            others = _touched(members, [part for part in here.influenced if part.study_id == study]) - direct
            self._add_treatments(one, study, direct, len(direct), found.run_ids, here, "was_derived_from")
            self._add_treatments(one, study, others, len(others), found.run_ids, here, _INFLUENCED)

    def _add_treatments(
        self,
        one: ProfileSet,
        study: str,
        names: set[str] | None,
        rows: int,
        run_ids: set[str],
        here: _Reached,
        relation: str,
    ) -> None:
        if not rows:
            return
        shown = sorted(names or ())
        what = "all treatments" if names is None else shown[0] if rows == 1 else f"{rows:,} treatments"
        aside = " (by parameters)" if relation == _INFLUENCED and rows > 1 else ""
        node = self.made.graph.node(
            "treatments", f"{study}@{one.label}: {what}{aside}", rows=rows, treatments=shown[:_SHOWN] or None
        )
        for source in here.nodes or here.sources:
            self.made.graph.edge(node, source, relation)
        self.made.add_rows(one.table("treatment"), Part(study), Found(rows, run_ids), node, relation=relation)


def _source(one: DefinedSet) -> str | None:
    """Return the hash of the set that a profile set was made from."""
    source = one.definition.get("source")
    return str(source["hash"]) if source else None


def _key(row: Mapping[str, Any]) -> tuple[int, int, str]:
    return row["fit_version"], row["step"], row["unit"]


def _learned(row: Mapping[str, Any], part: Part) -> bool:
    """Whether parameters were learned from a well of a part; wells are ``plate/well``, of the unit's study."""
    if row["study_id"] not in (None, part.study_id):
        return False
    for well in row["controls"] or ():
        *before, plate, name = str(well).split("/")
        if (not before or before[-1] == part.study_id) and part.touches(plate, name):
            return True
    return False


def _touched(members: Members, parts: Sequence[Part]) -> set[str]:
    return {
        treatment
        for treatment, plates in members.items()
        if any(part.touches(plate, well) for part in parts for plate, wells in plates.items() for well in wells)
    }
