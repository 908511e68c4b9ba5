"""What a run of profiles leaves in the lake, in one commit: rows of wells and treatments, parameters, the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from ...errors import ConflictError, InvalidDataError, RecipeError
from ...schemas.tables import arrow_schema, class_schema, profile_table_schema
from ...store.commit import Commit
from ...wording import did_you_mean, listed
from . import dose_response
from .aggregate import count_feature
from .consensus import consensus
from .controls import COLUMNS_SHOWN, PlateControls
from .fits import KEY, TABLE, Fit, fit_rows
from .gather import profile_rows
from .matrix import ProfileMatrix
from .recipe import Consensus, ProfileRecipe
from .source import Source
from .steps import PlateName, PlateRows, Processed, plates_of_rows, sliced, stacked
from .wells import annotate

if TYPE_CHECKING:
    from ...store.lineage import Run
    from ...store.registry import ProfileSet, Registration
    from ...store.root import LakeRoot

_DICTIONARY = "feature_dictionary"
_DICTIONARY_KEY = ("feature_set_hash", "object_set", "column")
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All that a run is about to write.

    Attributes
    ----------
    gathered
        The wells before the first step.
    processed
        What the steps made of them.
    fit_version
        Version of the parameters that made the rows; None where nothing is fitted.
    new_fits
        Those of them that are not stored yet.
    controls, left_out
        Controls of each plate, and plates that are left out for want of them.
    replaces
        Whether all rows of the studies go, or those of the plates alone.
    """

    registration: Registration[ProfileSet]
    source: Source
    recipe: ProfileRecipe
    gathered: ProfileMatrix
    processed: Processed
    fit_version: int | None
    new_fits: tuple[Fit, ...]
    controls: Sequence[PlateControls]
    left_out: frozenset[PlateName]
    replaces: Literal["studies", "plates"]
    studies: tuple[str, ...]

    @property
    def set(self) -> ProfileSet:
        """The profile set that the rows belong to."""
        return self.registration.set


def check_treatments(wanted: Consensus | None, wells: pa.Table, recipe: str) -> None:
    """Make sure that what a treatment is defined by is known of wells.

    Raises
    ------
    RecipeError
        A column is neither one of ``wells`` nor an attribute of any well.
    """
    for column in () if wanted is None else wanted.by:
        if column not in wells.column_names:
            raise RecipeError(
                f"{recipe}: [consensus] by: no well has {column!r}{did_you_mean(column, wells.column_names)}",
                hint=f"columns of wells and attributes: {listed(wells.column_names, COLUMNS_SHOWN)}",
            )


def commit_outcome(root: LakeRoot, run: Run, outcome: Outcome, wells: Mapping[str, pa.Table]) -> dict[str, Any]:
    """Write everything at once, and return the report of the run; see :func:`.engine.profile`."""
    matrix = _finite(outcome.processed.matrix, run)
    for text in outcome.processed.warnings:
        run.warn(text)
    _check_names(matrix)
    plates = plates_of_rows(matrix)
    treatments = _treatments(root, run, outcome, matrix, wells)
    curves = _curves(root, run, outcome, matrix, wells)
    well_table = outcome.set.table("well")
    if outcome.replaces == "studies" and root.tables.exists(well_table):
        _warn_of_gone_plates(root, run, outcome, {plate.name for plate in plates})
    _still_there(root, plates)
    with Commit(root, run_id=run.run_id, app_id=f"profile/{outcome.set.hash[:16]}") as commit:
        outcome.registration.add_to(commit)
        if outcome.new_fits:
            assert outcome.fit_version is not None
            fits = fit_rows(outcome.new_fits, outcome.set, outcome.fit_version, run.run_id)
            commit.insert(TABLE, fits, on=KEY)
        dictionary = _dictionary(root, outcome, run.run_id)
        commit.insert(_DICTIONARY, dictionary, on=_DICTIONARY_KEY, same=_DICTIONARY_KEY)
        if outcome.replaces == "studies":
            for study in outcome.studies:
                commit.delete(well_table, {"study_id": study})
        for plate in plates:
            part = sliced(matrix, plate.start, plate.stop)
            rows = _as_table(part, "well", fit_version=outcome.fit_version, run_id=run.run_id)
            commit.replace(well_table, {"study_id": plate.study_id, "plate_id": plate.plate_id}, rows)
        for study, of_study in treatments.items():
            commit.replace(outcome.set.table("treatment"), {"study_id": study}, of_study)
        for study, of_study in curves.items():
            own = {"study_id": study, "profile_set_hash": outcome.set.hash}
            commit.replace(dose_response.TABLE, own, of_study)
        _note_inputs_and_outputs(root, run, outcome, matrix, treatments)
        if curves:
            run.add_output("table", dose_response.TABLE, rows=sum(rows.num_rows for rows in curves.values()))
        commit.append("runs", run.record("ok"))
        commit.commit()
    return _report(run, outcome, matrix, plates, treatments) | {"dose_responses": _counted(curves)}


def _warn_of_gone_plates(root: LakeRoot, run: Run, outcome: Outcome, made: set[PlateName]) -> None:
    """Say which plates have profiles now and will have none: they are no part of this run."""
    for study in outcome.studies:
        found = root.tables.read(outcome.set.table("well"), columns=["plate_id"], where={"study_id": study})
        before: list[Any] = found["plate_id"].unique().sort().to_pylist()
        gone = [plate for plate in before if (study, plate) not in made]
        if gone:
            run.warn(
                f"{len(gone)} plate(s) of study {study} have no profiles of {outcome.set.label} any more, for they are "
                f"not part of this run: {listed(gone, _SHOWN)}"
            )


def _finite(matrix: ProfileMatrix, run: Run) -> ProfileMatrix:
    """Leave infinite values empty: no question could use them."""
    infinite = np.isinf(matrix.values)
    if not infinite.any():
        return matrix
    named = [name for name, one in zip(matrix.features, np.asarray(infinite.any(axis=0)), strict=True) if one]
    run.warn(f"{int(infinite.sum())} infinite value(s) are left empty, of {listed(named, _SHOWN)}")
    return matrix.with_values(np.where(infinite, np.nan, matrix.values))


def _check_names(matrix: ProfileMatrix) -> None:
    taken = {*class_schema("ProfileRow").names, *class_schema("TreatmentRow").names}
    clash = [name for name in matrix.features if name in taken]
    if clash:
        raise InvalidDataError(
            f"{len(clash)} feature(s) have the name of a column that profiles have anyway: {listed(clash, _SHOWN)}",
            hint="name them otherwise where they are imported",
        )


def _treatments(
    root: LakeRoot, run: Run, outcome: Outcome, matrix: ProfileMatrix, wells: Mapping[str, pa.Table]
) -> dict[str, pa.Table]:
    """Make the rows of treatments of each study: from all of its wells, those of other runs too where they stay."""
    wanted = outcome.recipe.consensus
    if wanted is None:
        return {}
    found: dict[str, pa.Table] = {}
    names = np.asarray(matrix.column("study_id"), dtype=object)
    for study in outcome.studies:
        own, versions = _wells_of_study(root, outcome, matrix.select_rows(names == study), study, wells)
        if len(set(versions)) > 1:
            run.warn(
                f"treatments of study {study} are made from wells of several fit versions: "
                f"{', '.join(str(one) for one in sorted(set(versions), key=str))}"
            )
        told: list[str] = []
        made = consensus(own, by=wanted.by, warnings=told, **wanted.settings.settings())
        for text in told:
            run.warn(f"study {study}: {text}")
        version = versions[0] if len(set(versions)) == 1 else None
        found[study] = _as_table(made, "treatment", fit_version=version, run_id=run.run_id)
    return found


def _curves(
    root: LakeRoot, run: Run, outcome: Outcome, matrix: ProfileMatrix, wells: Mapping[str, pa.Table]
) -> dict[str, pa.Table]:
    """Make the dose responses of each study, from the same wells as treatments."""
    settings = outcome.recipe.dose_response
    if settings is None:
        return {}
    names = np.asarray(matrix.column("study_id"), dtype=object)
    found: dict[str, pa.Table] = {}
    for study in outcome.studies:
        own, _ = _wells_of_study(root, outcome, matrix.select_rows(names == study), study, wells)
        found[study] = dose_response.run(
            own, settings, profile_set=outcome.set.label, profile_set_hash=outcome.set.hash, run_id=run.run_id
        )
    return found


def _counted(curves: Mapping[str, pa.Table]) -> dict[str, Any] | None:
    """Return how many curves there are, and how many none for which reason."""
    if not curves:
        return None
    reasons = Counter(reason for rows in curves.values() for reason in rows["reason"].to_pylist())
    return {"curves": reasons.pop(None, 0), "reasons": dict(sorted(reasons.items()))}


def _wells_of_study(
    root: LakeRoot, outcome: Outcome, own: ProfileMatrix, study: str, wells: Mapping[str, pa.Table]
) -> tuple[ProfileMatrix, list[int | None]]:
    """Return the wells of a study and their fit versions: those of this run, and of others where they stay."""
    versions: list[int | None] = [outcome.fit_version] * len(own)
    if outcome.replaces == "studies":
        return own, versions
    others, theirs = _stay(root, outcome.set, study, set(own.column("plate_id")), wells[study])
    return (stacked([others, own]) if len(others) else own), [*theirs, *versions]


def _stay(
    root: LakeRoot, profile_set: ProfileSet, study: str, replaced: set[str], wells: pa.Table
) -> tuple[ProfileMatrix, list[int | None]]:
    """Return the wells of a study that other runs made and that stay, and their fit versions."""
    table = root.tables.read(profile_set.table("well"), where={"study_id": study})
    out = {
        (row["plate_id"], row["well_id"])
        for row in wells.select(["plate_id", "well_id", "excluded"]).to_pylist()
        if row["excluded"]
    }
    names = zip(table["plate_id"].to_pylist(), table["well_id"].to_pylist(), strict=True)
    table = table.filter(pa.array([n[0] not in replaced and n not in out for n in names], pa.bool_()))
    matrix = profile_rows(table, f"study {study}", [])
    # The table has the features of all studies; those of others are nothing that is missing here.
    filled = np.asarray(~np.isnan(matrix.values).all(axis=0))
    matrix = matrix.select_features([name for name, one in zip(matrix.features, filled, strict=True) if one])
    versions: list[int | None] = table["fit_version"].to_pylist()
    return ProfileMatrix(rows=annotate(matrix.rows, wells), features=matrix.features, values=matrix.values), versions


def _as_table(matrix: ProfileMatrix, level: str, *, fit_version: int | None, run_id: str) -> pa.Table:
    """Return rows as they are stored: identity, then features as float64, NULL where not defined."""
    schema = profile_table_schema(matrix.features, level=level)
    constant = {"fit_version": fit_version, "run_id": run_id}
    columns: list[Any] = []
    for one in list(schema)[: len(schema) - len(matrix.features)]:
        if one.name in constant:
            columns.append(pa.repeat(pa.scalar(constant[one.name], one.type), len(matrix)))
        else:
            columns.append(matrix.rows[one.name].cast(one.type))
    for number in range(len(matrix.features)):
        values = np.ascontiguousarray(matrix.values[:, number])
        columns.append(pa.array(values, pa.float64(), mask=np.isnan(values)))
    return pa.Table.from_arrays(columns, schema=schema)


def _still_there(root: LakeRoot, plates: Sequence[PlateRows]) -> None:
    """Make sure that nobody removed a plate meanwhile, whose rows would come back.

    Raises
    ------
    ConflictError
        Somebody did.
    """
    for study in {plate.study_id for plate in plates}:
        there = set(root.tables.read("plates", columns=["plate_id"], where={"study_id": study})["plate_id"].to_pylist())
        gone = [plate.plate_id for plate in plates if plate.study_id == study and plate.plate_id not in there]
        if gone:
            raise ConflictError(
                f"plate(s) {listed(gone, _SHOWN)} of study {study} were removed meanwhile; nothing was written",
                hint="run the same command again",
            )


def _note_inputs_and_outputs(
    root: LakeRoot, run: Run, outcome: Outcome, matrix: ProfileMatrix, treatments: Mapping[str, pa.Table]
) -> None:
    """Note what was read and what is written, for lineage."""
    one = outcome.set
    run.parameters |= {
        "profile_set": one.label,
        "profile_set_hash": one.hash,
        "fit_version": outcome.fit_version,
        "controls": {f"{plate.study_id}/{plate.plate_id}": list(plate.wells) for plate in outcome.controls},
        "left_out": sorted("/".join(name) for name in outcome.left_out),
    }
    for table, version in outcome.source.versions.items():
        run.add_input("table", table, version=version, detail=outcome.source.set.label)
    run.add_input("table", "wells", version=root.tables.version("wells"))
    run.add_output("table", one.table("well"), rows=len(matrix))
    if treatments:
        run.add_output("table", one.table("treatment"), rows=sum(rows.num_rows for rows in treatments.values()))
    if outcome.new_fits:
        run.add_output("table", TABLE, rows=len(outcome.new_fits), detail=f"{one.label}#{outcome.fit_version}")


def _dictionary(root: LakeRoot, outcome: Outcome, run_id: str) -> pa.Table:
    """Describe the features that the source does not have: numbers of objects, and what a step made under new names."""
    features = outcome.processed.matrix.features
    where = {"feature_set_hash": outcome.source.set.hash}
    described = set(root.tables.read(_DICTIONARY, columns=["column"], where=where)["column"].to_pylist())
    sets = {count_feature(name): name for name in outcome.source.parts} if outcome.source.of_objects else {}
    known = {*outcome.gathered.features}
    rows: list[dict[str, Any]] = []
    common = {"feature_set_hash": outcome.set.hash, "run_id": run_id, "aliases": []}
    for name in features:
        if name in described:
            continue
        if name in sets:
            rows.append(
                common
                | {
                    "object_set": sets[name],
                    "column": name,
                    "family": "Count",
                    "operator": "Count",
                    "definition": f"Number of objects of {sets[name]} in the well.",
                    "source": "cytolake",
                }
            )
        elif name not in known:
            maker = next(
                step.name
                for number, step in enumerate(outcome.recipe.steps)
                if any(name in fits[number].fitted.outputs for fits in outcome.processed.used.values())
            )
            rows.append(
                common
                | {
                    "object_set": "well",
                    "column": name,
                    "family": "Profile",
                    "operator": maker,
                    "definition": f"Output of the step {maker} of the recipe.",
                    "source": "cytolake",
                }
            )
    return pa.Table.from_pylist(rows, schema=arrow_schema(_DICTIONARY))


def _report(
    run: Run,
    outcome: Outcome,
    matrix: ProfileMatrix,
    plates: Sequence[PlateRows],
    treatments: Mapping[str, pa.Table],
) -> dict[str, Any]:
    controls = {(one.study_id, one.plate_id): one for one in outcome.controls}
    rows_of = {plate.name: plate.stop - plate.start for plate in plates}
    reasons: dict[str, set[str]] = {}
    for fits in outcome.processed.used.values():
        for fit in fits:
            for flag in fit.fitted.flags:
                reasons.setdefault(flag.reason, set()).add(flag.feature)
    levels = {"well": len(matrix)}
    if outcome.recipe.consensus is not None:
        levels["treatment"] = sum(rows.num_rows for rows in treatments.values())
    return {
        "run_id": run.run_id,
        "status": "ok",
        "profile_set": outcome.set.label,
        "fit_version": outcome.fit_version,
        "source": outcome.source.set.label,
        "plates": [
            {
                "study_id": study,
                "plate_id": plate_id,
                "wells": rows_of.get((study, plate_id), 0),
                "controls": len(controls[study, plate_id].wells) if (study, plate_id) in controls else None,
                "control_wells": list(controls[study, plate_id].wells) if (study, plate_id) in controls else [],
                "left_out": (study, plate_id) in outcome.left_out,
                "parameters_of": _units(outcome, (study, plate_id)),
            }
            for study, plate_id in sorted({*rows_of, *outcome.left_out})
        ],
        "features": {"in": len(outcome.gathered.features), "kept": len(matrix.features)},
        "rows": levels,
        "flags": {reason: len(names) for reason, names in sorted(reasons.items())},
        "warnings": run.warnings,
    }


def _units(outcome: Outcome, plate: PlateName) -> list[str]:
    """Return the units whose parameters a plate's rows were made with, each once."""
    return list(dict.fromkeys(fit.unit for fit in outcome.processed.used.get(plate, ())))
