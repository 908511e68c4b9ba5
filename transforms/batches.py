"""The batches of a plate on Dask workers: a bounded number under way, failures kept to the field they belong to.

A field that raises is tried again; one that goes on failing is recorded, and the rest of the plate is done without
it. A worker that dies (killed, out of memory) costs its batch, which another one takes up; so it is when all die at
once. A batch on which workers keep dying is taken apart, so that only the field at fault is lost.
"""

from __future__ import annotations

import dataclasses
import itertools
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigurationError, CytolakeError, RecipeError, StorageError, UsageError
from ..store.images.plate import open_plate
from .cluster import wait_for_workers
from .field import FieldResult, failed_field, process_field
from .parts import BATCH_FIELDS, BatchNote, Parts
from .recipe import BoundRecipe

if TYPE_CHECKING:
    from distributed import Client

    from ..store.storage import Storage
    from .illumination.plates import PlateLight
    from .work import FieldName, PlateWork

#: Tasks under way per worker: one that runs, one that waits, so that nobody idles and nothing piles up.
_TASKS_PER_WORKER = 2

#: Batches that a plate is divided into at least, where it has so many fields.
_LEAST_BATCHES = 16

#: Seconds to wait before a field is tried again; storage that hiccups is given longer.
_PAUSES = (0.2, 2.0)

#: How often all workers may die under a batch, which is then looked at alone.
_MOST_DEATHS = 3

#: Reason of a field that cannot tell its own.
WORKERS_DIED = "every worker that took it died, perhaps for want of memory"

#: What no field can help: the request itself is wrong, and so it would be for every field.
_OF_THE_REQUEST = (UsageError, ConfigurationError, RecipeError)

#: Fields, and the place of the first among those of the plate.
_Batch = tuple[int, Sequence["FieldName"]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PlateJob:
    """What workers need to know of a plate, sent to each of them once.

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
    def of(
        cls, storage: Storage, work: PlateWork, *, folder: str = "", light: Mapping[int, PlateLight] | None = None
    ) -> PlateJob:
        """Tell workers of a planned plate and its light; ``folder`` is where its batches are left."""
        return cls(
            storage=storage,
            path=work.plate["path"],
            folder=folder,
            recipes=work.bound,
            full_scale=work.full_scale,
            profiles={number: one.profiles for number, one in (light or {}).items()},
        )


def run_batches(
    client: Client, job: PlateJob, fields: Sequence[FieldName], advance: Callable[[int], None]
) -> list[BatchNote]:
    """Process the fields of a plate.

    Parameters
    ----------
    client
        Where.
    job, fields
        What; the fields in the order of their rows.
    advance
        Called with the number of fields done.

    Returns
    -------
    list of BatchNote
        In the order of the fields. Failed fields are in their ``failed``.

    Raises
    ------
    CytolakeError
        The request is wrong for every field, or every field has failed: the reason of the first.
    """
    from distributed import KilledWorker, as_completed
    from distributed.client import FutureCancelledError

    sent = client.scatter(job, broadcast=True)
    waiting: Iterator[_Batch] = iter(_batches(fields))
    limit = _TASKS_PER_WORKER * max(1, len(client.nthreads()))
    under_way = as_completed(loop=client.loop)
    tasks: dict[str, _Batch] = {}
    deaths: Counter[int] = Counter()

    def submit(number: int, names: Sequence[FieldName]) -> None:
        future = client.submit(_process_batch, sent, number, names, pure=False)
        tasks[future.key] = number, names
        under_way.add(future)

    for batch in itertools.islice(waiting, limit):
        submit(*batch)
    notes: list[BatchNote] = []
    done = 0
    for future in under_way:
        number, names = tasks.pop(future.key)
        note = None
        try:
            note = future.result()
        except FutureCancelledError:
            # All workers died, and the job with them. Whose fault it was is known only of a batch that was alone.
            deaths[number] += 1
            if deaths[number] > _MOST_DEATHS and not tasks:
                del deaths[number]
                note, waiting = _without(job, number, names, waiting)
            else:
                waiting = itertools.chain([(number, names)], waiting)
            if sent.status != "finished":
                wait_for_workers(client, 1)
                sent = client.scatter(job, broadcast=True)
        except KilledWorker:
            note, waiting = _without(job, number, names, waiting)
        if note is not None:
            notes.append(note)
            done += len(names)
            deaths.pop(number, None)
            advance(done)
        room = 1 if any(count >= _MOST_DEATHS for count in deaths.values()) else limit
        for batch in itertools.islice(waiting, max(0, room - len(tasks))):
            submit(*batch)
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


def _without(
    job: PlateJob, number: int, names: Sequence[FieldName], waiting: Iterable[_Batch]
) -> tuple[BatchNote | None, Iterator[_Batch]]:
    """Go on after a batch on which workers die: take it apart, or record the one field that it is."""
    if len(names) > 1:
        return None, itertools.chain(((number + k, [name]) for k, name in enumerate(names)), waiting)
    lost = failed_field(job.recipes[names[0][0]], names[0], WORKERS_DIED)
    note = Parts(job.storage, job.folder).write(number, [(names[0], lost)], peak_memory_mb=0.0)
    return note, itertools.chain(waiting)


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MB (10^6 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
