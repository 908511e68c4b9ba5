"""The batches of a plate on Dask workers: a bounded number under way, failures kept to the field they belong to.

A field that raises is tried again; one that goes on failing is recorded, and the rest of the plate is done without
it. A worker that dies (killed, out of memory) costs its batch, which another one takes up; so it is when all die at
once. A batch on which workers keep dying is taken apart; a field on which they keep dying is tried once more when
nothing else is under way, because a field that only waits on the same worker looks just as guilty. So only the field
at fault is lost.
"""

from __future__ import annotations

import dataclasses
import itertools
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigurationError, CytolakeError, RecipeError, StorageError, UsageError
from ..store.images.plate import open_plate
from .cluster import finished
from .field import FieldResult, failed_field, process_field
from .parts import BATCH_FIELDS, BatchNote, Parts
from .recipe import BoundRecipe

if TYPE_CHECKING:
    from distributed import Client, Future

    from ..store.storage import Storage
    from .illumination.plates import PlateLight
    from .light import FoundLight
    from .work import FieldName, PlateWork

#: Tasks under way per worker: one that runs, one that waits, so that nobody idles and nothing piles up.
_TASKS_PER_WORKER = 2

#: Batches that a plate is divided into at least, where it has so many fields.
_LEAST_BATCHES = 16

#: Seconds to wait before a field is tried again; storage that hiccups is given longer.
_PAUSES = (0.2, 2.0)

#: Reason of a field that cannot tell its own.
WORKERS_DIED = "every worker that took it died, perhaps for want of memory"

#: What no field can help: the request itself is wrong, and so it would be for every field.
_OF_THE_REQUEST = (UsageError, ConfigurationError, RecipeError)

#: Fields, and the place of the first among those of the plate.
_Batch = tuple[int, Sequence["FieldName"]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlateJob:
    """What workers need to know of a plate.

    ``recipes`` holds the recipe bound to the channels of each acquisition, ``full_scale`` what each of those channels
    reads where the camera saturates (None: unknown), ``profiles`` how evenly each was lit (None: it stays as it is; an
    acquisition that is not in it: all do).
    """

    storage: Storage
    path: str
    folder: str
    recipes: Mapping[int, BoundRecipe]
    full_scale: Mapping[int, Sequence[float | None]]
    profiles: Mapping[int, Sequence[NDArray[np.float32] | None]] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, storage: Storage, work: PlateWork, *, folder: str = "") -> PlateJob:
        """Tell workers of a planned plate; ``folder`` is where its batches are left."""
        return cls(
            storage=storage,
            path=work.plate["path"],
            folder=folder,
            recipes=work.bound,
            full_scale=work.full_scale,
        )


def send_job(client: Client, job: PlateJob, light: FoundLight) -> Future:
    """Have a worker put a job and its light together; the others fetch it from there.

    It is the result of a task, not scattered data: what is scattered is lost with the workers that hold it, and sent
    again it has the same key, so that the scheduler may look for it where it no longer is, and wait without end. A
    lost result is computed again.
    """
    return client.submit(_with_light, job, light.futures, light.used(), pure=False)


def _with_light(
    job: PlateJob, light: Mapping[int, PlateLight], used: Mapping[int, Sequence[Mapping[str, Any]]]
) -> PlateJob:
    if {number: one.used() for number, one in light.items()} != used:
        # Only an estimate made without unreadable images is not kept, and can come out otherwise the second time.
        raise StorageError(
            f"{job.path}: its light was lost with a worker, and found again it is another",
            hint="Run the same command again.",
        )
    return dataclasses.replace(job, profiles={number: one.profiles for number, one in light.items()})


def run_batches(
    client: Client, job: PlateJob, light: FoundLight, fields: Sequence[FieldName], advance: Callable[[int], None]
) -> list[BatchNote]:
    """Process the fields of a plate.

    Parameters
    ----------
    client
        Where.
    job, light, fields
        What; the fields in the order of their rows.
    advance
        Called with the number of fields done.

    Returns
    -------
    list of BatchNote
        In the order of the fields. Failed fields are in their ``failed``.

    Raises
    ------
    ConfigurationError
        No worker is left and none comes, or the scheduler was restarted.
    CytolakeError
        The request is wrong for every field, or every field has failed: the reason of the first.
    """
    from distributed import KilledWorker

    sent = send_job(client, job, light)
    waiting: Iterator[_Batch] = iter(_batches(fields))
    suspects: deque[_Batch] = deque()
    limit = _TASKS_PER_WORKER * max(1, len(client.nthreads()))
    under_way: dict[Future, _Batch] = {}

    def submit(batch: _Batch) -> None:
        under_way[client.submit(_process_batch, sent, *batch, pure=False)] = batch

    notes: list[BatchNote] = []
    done = 0
    while True:
        for batch in itertools.islice(waiting, limit - len(under_way)):
            submit(batch)
        alone = not under_way and bool(suspects)
        if alone:
            submit(suspects.popleft())
        if not under_way:
            break
        for future in finished(client, list(under_way)):
            number, names = under_way.pop(future)
            try:
                note = future.result()
            except KilledWorker:
                if len(names) > 1:
                    waiting = itertools.chain(((number + k, [name]) for k, name in enumerate(names)), waiting)
                    continue
                if not alone:
                    suspects.append((number, names))
                    continue
                note = _lost(job, number, names[0])
            notes.append(note)
            done += len(names)
            advance(done)
    if fields and sum(len(note.failed) for note in notes) == len(fields):
        raise StorageError(
            f"{job.path}: none of its {len(fields)} field(s) could be processed, the first because: "
            f"{min(notes, key=lambda note: note.number).failed[0][-1]}",
            hint="Run `cytolake validate --deep` on the plate; nothing has been committed.",
        )
    return sorted(notes, key=lambda note: note.number)


def _batches(fields: Sequence[FieldName]) -> list[_Batch]:
    """Give batches of fields, each with the number of its first field; small ones where there are few fields to share.

    They depend on nothing but the fields, so that any number of workers writes the same.
    """
    size = min(BATCH_FIELDS, max(1, len(fields) // _LEAST_BATCHES))
    return [(start, fields[start : start + size]) for start in range(0, len(fields), size)]


def _process_batch(job: PlateJob, number: int, names: Sequence[FieldName]) -> BatchNote:
    """Process some fields of a plate on a worker; a batch that is done already is not done again."""
    parts = Parts(job.storage, job.folder)
    note = parts.note(number)
    if note is not None and not note.failed:
        return note
    plate = open_plate(job.storage, job.path)
    results = [(name, _process(job, plate, name)) for name in names]
    return parts.write(number, results, peak_memory_mb=peak_memory_mb())


def _process(job: PlateJob, plate: Any, name: FieldName) -> FieldResult:
    """Process one field; after several failures give the reason instead of rows."""
    acquisition_id, well_id, field_id = name
    for attempt in itertools.count():
        try:
            field = plate.field(well_id, field_id, acquisition_id)
            return process_field(
                field,
                job.recipes[acquisition_id],
                full_scale=job.full_scale[acquisition_id],
                profiles=job.profiles.get(acquisition_id),
            )
        except _OF_THE_REQUEST as error:
            error.add_note(f"while processing {job.path}, well {well_id}, field {field_id}")
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is recorded and the other fields are done
            if attempt == len(_PAUSES):
                return failed_field(job.recipes[acquisition_id], name, reason_of(error))
            time.sleep(_PAUSES[attempt] if isinstance(error, OSError) else 0)
    raise AssertionError("unreachable")


def reason_of(error: Exception) -> str:
    """Say what a field failed with; an error that is not one of ours with its kind."""
    return error.message if isinstance(error, CytolakeError) else f"{type(error).__name__}: {error}"


def _lost(job: PlateJob, number: int, name: FieldName) -> BatchNote:
    """Record a field on which workers die."""
    result = failed_field(job.recipes[name[0]], name, WORKERS_DIED)
    return Parts(job.storage, job.folder).write(number, [(name, result)], peak_memory_mb=0.0)


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MB (10^6 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
