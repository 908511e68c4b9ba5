"""Plates into feature tables: batches of fields on Dask, one commit per plate.

Workers read pixels, write labels and rows; the driver hands out work, keeps small notes, and commits. It never holds
features, and never more than a few tasks per worker, so that its memory does not grow with the plate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..schemas.tables import arrow_schema
from ..store.commit import Commit
from ..store.lineage import Run
from ..store.registry import FeatureSet, register
from .batches import PlateJob, run_batches
from .cluster import connect
from .device import get_device
from .light import find_light
from .parts import BatchNote, Parts, merge_objects, merge_quality, merge_tracks
from .recipe import load_recipe
from .warmup import warm_up_workers
from .work import PLATE_IDENTITY, PlateWork, check_unchanged, plan_work, warnings_of

if TYPE_CHECKING:
    from distributed import Client

    from ..store.datafiles import DataFile
    from ..store.root import LakeRoot

Progress = Callable[[int, int], None]

_DICTIONARY_KEY = ("feature_set_hash", "column")


def transform(
    root: LakeRoot,
    *,
    study_id: str,
    plate_ids: Sequence[str] = (),
    recipe: str = "nuclei",
    roles: Mapping[str, str] | None = None,
    device: str = "auto",
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Segment and measure plates of a study.

    Parameters
    ----------
    root
        The lake.
    study_id, plate_ids
        What to work on; all plates of the study when none is named.
    recipe
        Name of a shipped recipe or path of a TOML file.
    roles
        Channel name to role, over what the lake says of the plates' channels.
    device
        ``auto``, ``cpu`` or ``cuda``.
    workers, scheduler
        See :func:`.cluster.connect`.
    progress
        Called with (fields done, fields in all) over all plates.

    Returns
    -------
    dict
        ``run_id``, ``status`` (``ok``, ``partial``), ``feature_set``, ``plates``, ``warnings``, as the command line
        documents them.

    Raises
    ------
    NotFoundError
        The study or a plate is not in the lake.
    RecipeError
        The recipe is wrong, or a plate lacks a stain that it needs; nothing has been computed then.
    """
    get_device(device)
    loaded = load_recipe(recipe)
    works = plan_work(root, loaded, study_id=study_id, plate_ids=plate_ids, roles=roles or {})
    total = sum(len(work.fields) for work in works)
    reports: list[dict[str, Any]] = []
    warnings: list[str] = []
    done = 0
    with connect(workers=workers, scheduler=scheduler, fields=total) as client:
        if len(client.nthreads()) > 1:
            dtype = np.dtype(np.float32 if works[0].recipe.corrects else np.uint16)
            warm_up_workers(client, works[0].bound.values(), dtype)
        for work in works:
            before = done

            def advance(count: int, before: int = before) -> None:
                if progress is not None:
                    progress(before + count, total)

            report, said = _transform_plate(root, client, work, advance)
            reports.append(report)
            warnings += said
            done += len(work.fields)
    return {
        "run_id": reports[0]["run_id"],
        "status": "ok" if all(report["status"] == "ok" for report in reports) else "partial",
        "feature_set": reports[0]["feature_set"],
        "plates": reports,
        "warnings": warnings,
    }


def _transform_plate(
    root: LakeRoot, client: Client, work: PlateWork, advance: Callable[[int], None]
) -> tuple[dict[str, Any], list[str]]:
    """Process one plate and commit it; give its part of the report, and warnings."""
    started = time.monotonic()
    plate, recipe = work.plate, work.recipe
    key = {"study_id": plate["study_id"], "plate_id": plate["plate_id"]}
    run = Run.start(
        "transform",
        study_id=plate["study_id"],
        plate_ids=(plate["plate_id"],),
        parameters={
            "recipe": recipe.name,
            "roles": work.role_map(),
            "segmented_on": {str(number): bound.segmented_on() for number, bound in work.bound.items()},
        },
    )
    registration = register(root, recipe.name, recipe.definition(), recipe_text=recipe.text, run_id=run.run_id)
    feature_set = registration.set
    plate_lock = root.storage.lock(f"plate-{key['study_id']}-{key['plate_id']}", shared=True)
    work_lock = root.storage.lock(f"transform-{key['study_id']}-{key['plate_id']}-{feature_set.hash[:8]}")
    with plate_lock, work_lock:
        check_unchanged(root, plate)
        folder = f"staging/transform/{key['study_id']}/{key['plate_id']}-{work.identity(feature_set)}"
        light = find_light(client, root.storage, work)
        if light.found:
            run.parameters["illumination"] = {str(number): used for number, used in light.used().items()}
        job = PlateJob.of(root.storage, work, folder=folder)
        notes = run_batches(client, job, light, work.fields, advance)
        files, rows = _merge(client, job, notes, feature_set, {**key, "run_id": run.run_id})
        warnings = [*light.warnings, *warnings_of(work, notes)]
        status = "partial" if any(note.skipped or note.failed for note in notes) else "ok"
        for warning in warnings:
            run.warn(warning)
        run.add_input("plate", plate["path"], sha256=plate["fingerprint"])
        for name, masks in work.mask_files():
            run.add_input("masks", masks.pattern, detail=f"{name}: {masks.found} field(s), {masks.missing} without")
        for object_set, file in files.items():
            run.add_output("table", feature_set.table(object_set), rows=file.rows if file else 0)
        app_id = f"transform/{key['study_id']}/{key['plate_id']}/{feature_set.hash[:8]}"
        with Commit(root, run_id=run.run_id, app_id=app_id) as commit:
            commit.expect("plates", key, {name: plate[name] for name in PLATE_IDENTITY})
            registration.add_to(commit)
            dictionary = work.dictionary(feature_set, run.run_id)
            commit.insert("feature_dictionary", dictionary, on=_DICTIONARY_KEY, same=_DICTIONARY_KEY)
            for object_set, file in files.items():
                schema = work.schema(object_set)
                commit.replace_files(feature_set.table(object_set), key, [file] if file else [], schema)
            for table, file in rows.items():
                where = {**key, "feature_set_hash": feature_set.hash}
                commit.replace_files(table, where, [file] if file else [], arrow_schema(table))
            commit.append("runs", run.record(status))
            commit.commit()
        Parts(root.storage, folder).remove()
    report = {
        **key,
        "run_id": run.run_id,
        "status": status,
        "feature_set": feature_set.label,
        "objects": {name: sum(note.rows.get(name, 0) for note in notes) for name in feature_set.object_sets},
        "images": len(work.fields),
        "failed": [
            {"well_id": well_id, "field_id": field_id, "reason": reason}
            for note in notes
            for well_id, field_id, reason in note.failed
        ],
        "seconds": round(time.monotonic() - started, 3),
        "seconds_of": _seconds_of(notes),
        "peak_memory_mb": round(max((note.peak_memory_mb for note in notes), default=0.0)),
    }
    return report, warnings


def _seconds_of(notes: Sequence[BatchNote]) -> dict[str, float]:
    """Add up what the steps took over all workers, the longest first."""
    total: dict[str, float] = {}
    for note in notes:
        for step, seconds in note.seconds.items():
            total[step] = total.get(step, 0.0) + seconds
    return {step: round(total[step], 3) for step in sorted(total, key=lambda step: -total[step])}


def _merge(
    client: Client, job: PlateJob, notes: Sequence[BatchNote], feature_set: FeatureSet, constants: Mapping[str, str]
) -> tuple[dict[str, DataFile | None], dict[str, DataFile | None]]:
    """Have the batches joined on the workers: one file per object set, and one per table with a fixed schema."""
    of_rows = {**constants, "feature_set": feature_set.label, "feature_set_hash": feature_set.hash}
    merging = {
        name: client.submit(
            merge_objects, job.storage, job.folder, name, notes, feature_set.table(name), constants, pure=False
        )
        for name in feature_set.object_sets
    }
    tables = {"quality": merge_quality}
    if any(bound.recipe.tracking is not None for bound in job.recipes.values()):
        tables["tracks"] = merge_tracks
    rows = {
        table: client.submit(merge, job.storage, job.folder, notes, of_rows, pure=False)
        for table, merge in tables.items()
    }
    return (
        {name: future.result() for name, future in merging.items()},
        {table: future.result() for table, future in rows.items()},
    )
