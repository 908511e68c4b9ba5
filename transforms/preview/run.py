"""A recipe on a few fields of a study: the same work as a transform, and nothing written but the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from ..batches import WORKERS_DIED, PlateJob, send_job
from ..cluster import connect, finished
from ..device import get_device
from ..light import find_light
from ..outputs import check_outputs, write_output
from ..recipe import load_recipe
from ..work import FieldName, PlateWork, plan_work, warnings_of
from .choose import choose_fields
from .looks import Look, look_at
from .page import counts_of, preview_page

if TYPE_CHECKING:
    from distributed import Client, Future

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
            warnings += light.warnings + warnings_of(work, [])
            job = send_job(client, PlateJob.of(root.storage, work), light)
            before = len(looks)

            def advance(count: int, before: int = before) -> None:
                if progress is not None:
                    progress(before + count, total)

            looks += _look(client, job, str(work.plate["plate_id"]), names, advance)
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


def _look(
    client: Client, job: Future, plate_id: str, names: Sequence[FieldName], advance: Callable[[int], None]
) -> list[Look]:
    """Look at fields; one on which workers die is tried once more when nothing else is under way.

    A field that only waits on the same worker looks just as guilty as the one at fault.
    """
    from distributed import KilledWorker

    def ask(name: FieldName) -> Future:
        return client.submit(look_at, job, plate_id, name, pure=False)

    looks: dict[FieldName, Look] = {}
    under_way = {ask(name): name for name in names}
    suspects: list[FieldName] = []
    while under_way or suspects:
        alone = not under_way
        if alone:
            name = suspects.pop()
            under_way[ask(name)] = name
        for future in finished(client, list(under_way)):
            name = under_way.pop(future)
            try:
                looks[name] = future.result()
            except KilledWorker:
                if not alone:
                    suspects.append(name)
                    continue
                looks[name] = Look.of_failed(plate_id, name, WORKERS_DIED)
            advance(len(looks))
    return [looks[name] for name in names]


def _shares(works: Sequence[PlateWork], count: int) -> list[int]:
    """Share the fields among the plates, the first ones getting what does not divide."""
    each, rest = divmod(count, len(works))
    return [each + (place < rest) for place in range(len(works))]
