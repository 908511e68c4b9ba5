"""How good features are, plate by plate: written down as rows of ``feature_quality``, and told.

Each set of a study is looked at twice. Its rows as they are stored (objects, fields, wells) say what is empty and how
far distributions are from a reference; its wells (medians of objects, one row per well) say how controls drift, whether
replicates look alike, and how far positive controls are from negative ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ...errors import NotFoundError, UsageError
from ...store.commit import Commit
from ...store.contents import held_rows
from ...store.current import current_of
from ...store.lineage import Run
from ...store.plates import plates_of, rows_of_plates
from ...store.registry import DefinedSet, FeatureSet, resolve_any
from ...store.releases import find_release
from ...wording import did_you_mean, listed
from .controls import check_columns, control_mask
from .engine import Progress, counter
from .gather import gather
from .quality_wells import measure_wells
from .recipe import Controls, ProfileRecipe, load_profile_recipe
from .shift import PartOfStudy, Reference, measure_rows, read_reference
from .source import Source
from .verdicts import TABLE, Measures, check_thresholds, quality_rows, summarised, told
from .wells import annotated_wells

if TYPE_CHECKING:
    from ...store.root import LakeRoot

#: The recipe whose controls, aggregation and treatments count where none is named.
_DEFAULT = "standard"
#: Levels of profiles that are checked: rows of treatments have no plate.
_LEVELS = ("well", "field")
_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """One set that is checked, the parts of it that the study has rows of, and by which recipe."""

    set: DefinedSet
    parts: tuple[str, ...]
    recipe: ProfileRecipe


def check_features(
    root: LakeRoot,
    *,
    study_id: str,
    plate_ids: Sequence[str] = (),
    source: str | None = None,
    reference: str | None = None,
    recipe: str | Path | ProfileRecipe | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure how good the features of a study are, and write it down.

    Parameters
    ----------
    plate_ids
        The plates that are judged; all that have rows where none is named. Controls and replicates are always compared
        over all plates of the study.
    source
        A feature set or profile set; the current ones of the study where None.
    reference
        A release, or a plate of the study, whose distributions are compared with (KS, PSI); none where None.
    recipe
        Says which wells are controls, what a treatment is, and the thresholds (``[quality]``). Where None a profile set
        is judged by the recipe that it was made by, anything else by the shipped recipe ``standard``.

    Returns
    -------
    dict
        ``run_id``, ``status``, ``study_id``, ``sets`` (labels), ``plates``, ``rows`` (written), ``measures`` (one entry
        per set, object set or level, and metric: ``values``, ``undefined`` and ``why``, ``warnings``, ``refused``,
        ``worst``), ``replicates`` (per set and part the wells and treatments that correlate worst), ``verdict`` (the
        worst of all), and ``warnings``.

    Raises
    ------
    NotFoundError
        There is no such study, plate, set, release or recipe, or no rows to check.
    RecipeError
        The recipe is wrong, or has a threshold of a measure that there is not.
    """
    named = [row["plate_id"] for row in rows_of_plates(root, study_id, plate_ids, columns=())] if plate_ids else None
    wells = annotated_wells(root, study_id)
    targets = _targets(root, study_id, source, recipe)
    for target in targets:
        check_thresholds(target.recipe.quality, target.recipe.source)
        check_columns(_controls(target.recipe), wells, target.recipe.source)
    run = Run.start(
        "features check",
        study_id=study_id,
        plate_ids=plate_ids,
        parameters={
            "sets": [target.set.label for target in targets],
            "reference": reference,
            "recipe": recipe.name if isinstance(recipe, ProfileRecipe) else None if recipe is None else str(recipe),
            "thresholds": {
                target.set.label: {
                    name: {"warn": one.warn, "refuse": one.refuse} for name, one in target.recipe.quality.items()
                }
                for target in targets
            },
        },
    )
    advance = counter(progress, sum(2 * len(target.parts) for target in targets))
    written: list[tuple[DefinedSet, list[str], pa.Table]] = []
    replicates: list[dict[str, Any]] = []
    judged: dict[str, None] = {}
    compared = False
    for target in targets:
        measures: list[Measures] = []
        plates: dict[str, None] = {}
        for part in target.parts:
            table = _table(root, target, part, study_id, wells)
            run.add_input("table", target.set.table(part), version=table.version)
            every = _plates(root, table)
            own = [plate for plate in every if named is None or plate in named]
            against, known = _reference(root, table, reference, every)
            compared |= known
            measures += measure_rows(root, table, own, against)
            advance()
            found, said = _wells(root, target, table, every, own, wells)
            measures += found
            if said is not None:
                replicates.append({"feature_set": target.set.label, "object_set": part, **said})
            plates |= dict.fromkeys(own)
            advance()
        rows = quality_rows(measures, target.set, target.recipe.quality, study_id=study_id, run_id=run.run_id)
        written.append((target.set, list(plates), rows))
        judged |= plates
    if not judged:
        raise NotFoundError(
            f"none of the plates {listed(list(named or ()), _SHOWN)} has rows of {listed(_labels(targets), _SHOWN)}"
        )
    if reference is not None and not compared:
        raise NotFoundError(
            f"{reference!r} has no rows of {listed(_labels(targets), _SHOWN)} of study {study_id!r} to compare with",
            hint="name a release, or a plate, that has; see `cytolake release list`",
        )
    summary = summarised(pa.concat_tables([rows for _, _, rows in written]))
    warnings = [text for target in targets for text in told(_of(summary, target), target.recipe.quality)]
    for text in warnings:
        run.warn(text)
    count = sum(rows.num_rows for _, _, rows in written)
    run.add_output("table", TABLE, rows=count)
    _commit(root, run, written, study_id)
    bad = {name for one in summary for name in ("refused", "warnings") if one[name]}
    return {
        "run_id": run.run_id,
        "status": "ok",
        "study_id": study_id,
        "sets": _labels(targets),
        "plates": sorted(judged),
        "rows": count,
        "thresholds": sorted({name for target in targets for name in target.recipe.quality}),
        "verdict": "refused" if "refused" in bad else "warning" if bad else "ok",
        "measures": summary,
        "replicates": replicates,
        "warnings": warnings,
    }


def _labels(targets: Sequence[_Target]) -> list[str]:
    return [target.set.label for target in targets]


def _of(summary: Sequence[Mapping[str, Any]], target: _Target) -> list[Mapping[str, Any]]:
    return [one for one in summary if one["feature_set"] == target.set.label and one["object_set"] in target.parts]


def _targets(
    root: LakeRoot, study_id: str, source: str | None, recipe: str | Path | ProfileRecipe | None
) -> list[_Target]:
    """Find what is checked."""
    plates_of(root, study_id)
    given = recipe if isinstance(recipe, ProfileRecipe) or recipe is None else load_profile_recipe(recipe)
    found: dict[tuple[str, str], tuple[DefinedSet, list[str]]] = {}
    one: DefinedSet
    if source is not None:
        one = resolve_any(root, source)
        for part in one.parts:
            if any(row.study_id == study_id for row in held_rows(root, one.table(part))):
                found.setdefault((one.kind, one.hash), (one, []))[1].append(part)
    else:
        for kind in ("features", "profiles"):
            for part, one in current_of(root, study_id, kind).items():
                found.setdefault((one.kind, one.hash), (one, []))[1].append(part)
    targets = []
    for one, parts in found.values():
        usable = parts if isinstance(one, FeatureSet) else [part for part in _LEVELS if part in parts][:1]
        if usable:
            targets.append(_Target(set=one, parts=tuple(usable), recipe=given or _own_recipe(one)))
    if targets:
        return targets
    if source is not None and found:
        raise UsageError(f"{source} has rows of treatments only, and a check is of plates", hint="name another set")
    what = "no features" if source is None else f"no rows of {resolve_any(root, source).label}"
    raise NotFoundError(
        f"study {study_id!r} has {what} to check",
        hint=f"see `cytolake features list --study {study_id}`, or measure its plates with `cytolake transform`",
    )


def _own_recipe(one: DefinedSet) -> ProfileRecipe:
    """Return the recipe that a profile set was made by, with its thresholds; the default for anything else."""
    from ._recipe_parsing import recipe_of_definition

    if isinstance(one, FeatureSet) or one.imported:
        return load_profile_recipe(_DEFAULT)
    source = f"recipe of {one.label}"
    return recipe_of_definition(one.definition, source=source, name=one.name, text=one.recipe or "")


def _controls(recipe: ProfileRecipe) -> Controls:
    """Return which wells are controls; the default's where a recipe compares with none."""
    found = recipe.controls or load_profile_recipe(_DEFAULT).controls
    assert found is not None
    return found


def _table(root: LakeRoot, target: _Target, part: str, study_id: str, wells: pa.Table) -> PartOfStudy:
    excluded: Any = wells["excluded"]
    out = pc.fill_null(excluded, False).to_numpy()
    controls = control_mask(_controls(target.recipe), wells) & ~out
    columns: list[list[Any]] = [wells[name].to_pylist() for name in ("plate_id", "well_id")]
    names = list(zip(*columns, strict=True))
    table = target.set.table(part)
    return PartOfStudy(
        set=target.set,
        part=part,
        version=root.tables.version(table) if root.tables.exists(table) else None,
        study_id=study_id,
        excluded=_by_plate(names, out),
        controls=_by_plate(names, controls),
    )


def _by_plate(names: Sequence[tuple[str, str]], mask: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for (plate, well), one in zip(names, mask, strict=True):
        if one:
            found.setdefault(plate, set()).add(well)
    return found


def _plates(root: LakeRoot, table: PartOfStudy) -> list[str]:
    """Return the plates of the study that the table has rows of, sorted."""
    held = held_rows(root, table.set.table(table.part), version=table.version)
    return [row.plate_id for row in held if row.study_id == table.study_id and row.plate_id is not None]


def _reference(
    root: LakeRoot, table: PartOfStudy, name: str | None, plates: Sequence[str]
) -> tuple[Reference | None, bool]:
    """Return what plates are compared with, None where it has no rows of this table; and whether it has."""
    if name is None:
        return None, False
    known = plates_of(root, table.study_id)
    if name in known:
        if name not in plates:
            return None, False
        return read_reference(root, table, [name], name=f"plate {name}", plate_id=name), True
    try:
        release = find_release(root, name)
    except NotFoundError as error:
        raise NotFoundError(
            f"{name!r} is neither a release nor a plate of study {table.study_id!r}{did_you_mean(name, known)}",
            hint=error.hint,
        ) from error
    pin = release.pins.get(table.set.table(table.part))
    if pin is None:
        return None, False
    then = PartOfStudy(
        set=table.set,
        part=table.part,
        version=pin.version,
        study_id=table.study_id,
        excluded=table.excluded,
        controls=table.controls,
    )
    there = _plates(root, then)
    if not there:
        return None, False
    return read_reference(root, then, there, name=f"release {name}"), True


def _wells(
    root: LakeRoot, target: _Target, table: PartOfStudy, every: Sequence[str], own: Sequence[str], wells: pa.Table
) -> tuple[list[Measures], dict[str, Any] | None]:
    """Measure what wells say, over all plates of the study; the measures of single plates are those of ``own``."""
    name = table.set.table(table.part)
    source = Source(
        set=target.set, parts=(table.part,), versions={} if table.version is None else {name: table.version}
    )
    # What gathering says of wells without objects and infinite values, these measures say themselves.
    ordered, times, unit = plates_in_order(root, table.study_id, every)
    matrix = gather(
        root,
        source,
        target.recipe.aggregate,
        [(table.study_id, plate) for plate in ordered],
        {table.study_id: wells},
        warnings=[],
    )
    if not len(matrix):
        return [], None
    return measure_wells(
        matrix,
        part=table.part,
        plates=ordered,
        times=times,
        unit=unit,
        judged=own,
        controls=_controls(target.recipe),
        treatments=None if target.recipe.consensus is None else target.recipe.consensus.by,
        comparable=any(step["operator"] != "select" for step in target.set.definition.get("steps", ())),
    )


def plates_in_order(root: LakeRoot, study_id: str, plates: Sequence[str]) -> tuple[list[str], list[float], str]:
    """Return plates in the order in which they were taken, when, and in which unit.

    Days since the first, where every plate's start is known and not all began at once; else one plate after another, by
    name.
    """
    rows = root.tables.read("acquisitions", columns=["plate_id", "started_at"], where={"study_id": study_id})
    started: dict[str, Any] = {}
    for row in rows.to_pylist():
        if row["started_at"] is not None:
            known = started.get(row["plate_id"])
            started[row["plate_id"]] = row["started_at"] if known is None else min(known, row["started_at"])
    if not all(plate in started for plate in plates) or len({started[plate] for plate in plates}) < 2:
        return sorted(plates), [float(number) for number in range(len(plates))], "plate"
    ordered = sorted(plates, key=lambda plate: (started[plate], plate))
    first = started[ordered[0]]
    return ordered, [(started[plate] - first).total_seconds() / 86_400 for plate in ordered], "day"


def _commit(
    root: LakeRoot, run: Run, written: Sequence[tuple[DefinedSet, Sequence[str], pa.Table]], study_id: str
) -> None:
    """Put the rows in the place of those of the same plates, and of the study as a whole."""
    with (
        root.storage.lock(f"quality-{study_id}"),
        Commit(root, run_id=run.run_id, app_id=f"quality/{study_id}") as commit,
    ):
        for one, plates, rows in written:
            key = {"study_id": study_id, "feature_set_hash": one.hash}
            before = root.tables.read(TABLE, where=key)
            judged = pc.is_in(before["plate_id"], value_set=pa.array(plates, pa.string()))
            kept = before.filter(pc.and_not(pc.is_valid(before["plate_id"]), judged))
            commit.replace(TABLE, key, pa.concat_tables([kept.cast(rows.schema), rows]))
        commit.append("runs", run.record("ok"))
        commit.commit()
