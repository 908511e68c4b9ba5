"""A recipe on a few fields of a study: the same work as a transform, and nothing written but the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from ..batches import WORKERS_DIED, PlateJob
from ..cluster import connect
from ..device import get_device
from ..light import find_light
from ..outputs import check_outputs, write_output
from ..recipe import load_recipe
from ..work import PlateWork, plan_work, warnings_of
from .choose import choose_fields
from .looks import Look, look_at
from .page import counts_of, preview_page

if TYPE_CHECKING:
    from ...store.root import LakeRoot

Progress = Callable[[int, int], None]


def preview(
    root: LakeRoot,
    *,
    study_id: str,
    count: int,
    output: Path,
    plate_ids: Sequence[str] = (),
    recipe: str = "nuclei",
    roles: Mapping[str, str] | None = None,
    device: str = "auto",
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run a recipe on some fields and write one HTML page: outlines over channels, counts, histograms, time per field.

    Parameters
    ----------
    count
        How many fields, shared among the plates and spread over each.
    output
        Where the page goes; it appears whole or not at all.
    root, study_id, plate_ids, recipe, roles, device, workers, scheduler, progress
        As :func:`cytolake.transforms.engine.transform`.

    Returns
    -------
    dict
        ``status``, ``path``, ``recipe``, ``fields`` (each with its ``objects`` and ``seconds``), ``warnings``.

    Raises
    ------
    UsageError
        The page cannot be written there.
    CytolakeError
        As a transform that does not begin.
    """
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError

    if count < 1:
        raise UsageError(f"a preview of {count} fields shows nothing", hint="Give --preview 1 or more.")
    get_device(device)
    check_outputs([output])
    loaded = load_recipe(recipe)
    works = plan_work(root, loaded, study_id=study_id, plate_ids=plate_ids, roles=roles or {})
    chosen = [choose_fields(work.fields, share) for work, share in zip(works, _shares(works, count), strict=True)]
    total = sum(map(len, chosen))
    looks: list[Look] = []
    warnings: list[str] = []
    useful = min(workers, total) if workers else workers
    with connect(workers=useful, scheduler=scheduler, fields=total) as client:
        for work, names in zip(works, chosen, strict=True):
            light = find_light(client, root.storage, work)
            warnings += [warning for one in light.values() for warning in one.warnings] + warnings_of(work, [])
            job = client.scatter(PlateJob.of(root.storage, work, light=light), broadcast=True)
            plate_id = str(work.plate["plate_id"])
            asked = [(client.submit(look_at, job, plate_id, name, pure=False), name) for name in names]
            for future, name in asked:
                try:
                    looks.append(future.result())
                except (KilledWorker, FutureCancelledError):
                    looks.append(Look.of_failed(plate_id, name, WORKERS_DIED))
                if progress is not None:
                    progress(len(looks), total)
    page = preview_page(
        looks,
        title=f"{loaded.name} on {study_id}",
        object_sets=[one.name for one in loaded.objects],
        recipe_text=loaded.text,
        fields_in_all=sum(len(work.fields) for work in works),
        warnings=warnings,
    )
    write_output(output, page.encode())
    return {
        "status": "partial" if any(look.failed is not None for look in looks) else "ok",
        "path": str(output),
        "recipe": loaded.name,
        "fields": counts_of(looks),
        "warnings": warnings,
    }


def _shares(works: Sequence[PlateWork], count: int) -> list[int]:
    """Share the fields among the plates, the first ones getting what does not divide."""
    each, rest = divmod(count, len(works))
    return [each + (place < rest) for place in range(len(works))]
