"""The plates of a study: which there are, which are meant, and who may change one.

Whoever writes rows or images of a plate holds its lock; whoever reads what must not change meanwhile shares it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import NotFoundError, UsageError
from ..wording import did_you_mean, listed

if TYPE_CHECKING:
    from .root import LakeRoot

#: How long a short change waits for another one of the same plate.
LOCK_WAIT_S = 30.0
_SHOWN = 10


def rows_of_plates(
    root: LakeRoot, study_id: str, plate_ids: Iterable[str] = (), *, columns: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Return the rows of ``plates`` of a study: those named, each once and in that order, or all, sorted by name.

    Parameters
    ----------
    columns
        Which columns beside ``plate_id``; all where None.

    Raises
    ------
    NotFoundError
        The lake has no plates of the study, or none of such a name.
    """
    wanted = None if columns is None else list(dict.fromkeys(("plate_id", *columns)))
    found = root.tables.read("plates", columns=wanted, where={"study_id": study_id}).to_pylist()
    if not found:
        known: list[Any] = root.tables.read("plates", columns=["study_id"])["study_id"].unique().sort().to_pylist()
        raise NotFoundError(
            f"the lake has no plates of a study {study_id!r}{did_you_mean(study_id, known)}",
            hint=f"Studies with plates are {listed(known, _SHOWN)}." if known else "Ingest a plate first.",
        )
    by_name = {row["plate_id"]: row for row in sorted(found, key=lambda row: str(row["plate_id"]))}
    named = list(dict.fromkeys(plate_ids))
    for plate_id in named:
        if plate_id not in by_name:
            raise NotFoundError(
                f"study {study_id!r} has no plate {plate_id!r}{did_you_mean(plate_id, by_name)}",
                hint=f"Its plates are {listed(list(by_name), _SHOWN)}.",
            )
    return [by_name[plate_id] for plate_id in named or by_name]


def imaged_plates(
    root: LakeRoot, study_id: str, plate_ids: Iterable[str] = (), *, columns: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Do the same for what needs images: a plate that is known from tables alone is left out where none is named.

    Raises
    ------
    NotFoundError
        As :func:`rows_of_plates`; or a plate that was named, or every plate of the study, has no images in the lake.
    """
    named = list(dict.fromkeys(plate_ids))
    wanted = None if columns is None else list(dict.fromkeys((*columns, "path")))
    rows = rows_of_plates(root, study_id, named, columns=wanted)
    imaged = [row for row in rows if row["path"] is not None]
    lacking = [row["plate_id"] for row in rows if row["path"] is None]
    if lacking and (named or not imaged):
        which = f"plate {lacking[0]} has" if len(lacking) == 1 else f"{len(lacking)} plates have"
        raise NotFoundError(
            f"{which} no images in the lake, only tables that were made elsewhere "
            f"(study {study_id!r}: {listed(lacking, _SHOWN)})",
            hint="Bring in the images with `cytolake ingest`, under the same study and plate.",
        )
    return imaged


def plates_of(root: LakeRoot, study_id: str) -> list[str]:
    """Return the names of a study's plates in order; ``NotFoundError`` where the lake has none."""
    return [row["plate_id"] for row in rows_of_plates(root, study_id, columns=())]


def one_plate(root: LakeRoot, study_id: str, plate_id: str | None) -> str:
    """Return the plate that is meant: the one named, or the only one of its study.

    Raises
    ------
    NotFoundError
        There is no such study or plate.
    UsageError
        The study has several plates and none is named.
    """
    rows = rows_of_plates(root, study_id, () if plate_id is None else (plate_id,), columns=())
    plates = [row["plate_id"] for row in rows]
    if len(plates) > 1:
        raise UsageError(
            f"study {study_id!r} has {len(plates)} plates, and none is named",
            hint=f"Name one with --plate: {listed(plates, _SHOWN)}.",
        )
    return str(plates[0])


@contextmanager
def locked(root: LakeRoot, study_id: str, plate_ids: Iterable[str]) -> Iterator[None]:
    """Keep others from changing plates while the block runs.

    Raises
    ------
    ConflictError
        Somebody is still at work on one of them after :data:`LOCK_WAIT_S`.
    """
    with ExitStack() as locks:
        for plate_id in sorted(plate_ids):
            locks.enter_context(root.storage.lock(f"plate-{study_id}-{plate_id}", wait=LOCK_WAIT_S))
        yield
