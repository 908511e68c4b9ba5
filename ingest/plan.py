"""What an ingest is going to do, decided from metadata before a pixel is read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc

from ..errors import AlreadyExistsError, ConflictError, InvalidDataError, SourceFileError, UsageError
from ..schemas.identifiers import check_id, slug
from ..store.images.plate import open_plate
from ..store.root import LakeRoot
from ..wording import listed
from .export import AcquisitionInfo, PlateExport
from .sources import open_source

Existing = Literal["error", "skip", "replace", "extend"]
Action = Literal["create", "skip", "replace", "extend"]

#: (acquisition, well, field) -> (file, page, bytes) of its planes.
_Sources = dict[tuple[int, str, int], set[tuple[str, int, int | None]]]

#: Part of the fingerprint: raised when the same export would become another plate.
LAYOUT_VERSION = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IngestPlan:
    """One plate to be ingested, and how.

    ``export`` holds only what has to be converted: for ``extend`` the fields that the lake does not have, under the
    acquisition numbers they get there. ``old`` is the plate's row where there is one.
    """

    study_id: str
    plate_id: str
    action: Action
    fingerprint: str
    export: PlateExport
    old: Mapping[str, Any] | None
    by_reference: bool = False


#: How many files are hashed to see whether an export is the one that the lake holds, and up to which size.
_HASHED_FILES, _LARGEST_HASHED = 4, 256 * 2**20


def export_fingerprint(export: PlateExport) -> str:
    """Hash what identifies an export's content without reading its pixels.

    The bytes of its metadata files and the name and size of every image file, so that the same export copied
    elsewhere has the same fingerprint, and one file more, or one cut short, gives another. Hex sha256.
    """
    digest = hashlib.sha256(f"cytolake layout {LAYOUT_VERSION}\n{export.reader}\n".encode())
    for name in sorted(export.metadata_files):
        try:
            content = (Path(export.root) / name).read_bytes()
        except OSError as error:
            raise SourceFileError(f"{export.root}/{name}: cannot be read: {error.strerror}") from error
        digest.update(f"{name}\n{hashlib.sha256(content).hexdigest()}\n".encode())
    files = export.planes.select(["file", "page", "size"]).sort_by([("file", "ascending"), ("page", "ascending")])
    digest.update(json.dumps(files.to_pydict(), sort_keys=True).encode())
    return digest.hexdigest()


def make_plan(
    root: LakeRoot,
    export: PlateExport,
    *,
    study_id: str,
    plate_id: str | None,
    existing: Existing,
    by_reference: bool = False,
) -> IngestPlan:
    """Compare an export with what the lake holds and decide what to do.

    Raises
    ------
    UsageError
        ``existing`` or an id is not allowed; or the export cannot be referred to.
    AlreadyExistsError
        The plate is there and ``existing`` forbids to go on, or came from other files where it should be the same.
    InvalidDataError
        The export promises no plane at all.
    SourceFileError
        Not one image file of what is to be brought in is there.
    """
    plan = _decide(root, export, study_id=study_id, plate_id=plate_id, existing=existing, by_reference=by_reference)
    planes = plan.export.planes
    if plan.action != "skip" and planes["size"].null_count == planes.num_rows:
        raise SourceFileError(
            f"{export.root}: none of the {pc.count_distinct(planes['file']).as_py():,} image files of plate "
            f"{plan.plate_id} is there, the first of them {planes['file'][0].as_py()}",
            hint="Copy the image files beside the index as the microscope wrote them, then ingest again.",
        )
    return plan


def _decide(
    root: LakeRoot, export: PlateExport, *, study_id: str, plate_id: str | None, existing: Existing, by_reference: bool
) -> IngestPlan:
    if existing not in get_args(Existing):
        raise UsageError(
            f"{existing!r} is no way to treat a plate that exists",
            hint=f"Use one of {', '.join(get_args(Existing))}.",
        )
    study_id = check_id(study_id, "study")
    plate_id = check_id(plate_id, "plate") if plate_id else slug(export.plate_id)
    if not export.planes.num_rows:
        raise InvalidDataError(
            f"{export.root}: the export of plate {export.plate_id} names no image at all",
            hint="Check that the measurement was finished and exported with its images.",
        )
    if by_reference:
        _check_reference(root, export)
    fingerprint = export_fingerprint(export)
    found = root.tables.read("plates", where={"study_id": study_id, "plate_id": plate_id}).to_pylist()
    old = found[0] if found else None
    plan = IngestPlan(
        study_id=study_id,
        plate_id=plate_id,
        action="create",
        fingerprint=fingerprint,
        export=export,
        old=old,
        by_reference=by_reference,
    )
    if old is None:
        return plan
    if old["path"] is None:  # known from tables that were made elsewhere: the images fill it in
        _check_wells(root, plan)
        return plan
    same = old["fingerprint"] == fingerprint
    where = f"plate {plate_id} of study {study_id}"
    if existing == "replace":
        return dataclasses.replace(plan, action="replace")
    if existing == "extend" and not same:
        plan = _extension(root, plan)
    # A plate that was extended since holds this export as a part of it.
    elif existing == "extend" or (existing == "skip" and (same or _is_held(root, plan))):
        plan = dataclasses.replace(plan, action="skip")
    if plan.action == "extend":
        return plan
    if plan.action == "skip":
        _check_same_bytes(root, plan)
        _check_references(root, old["path"], where)
        return plan
    if existing == "skip":
        raise AlreadyExistsError(
            f"{where} is in the lake, but came from other files than {export.root}",
            hint="Use --existing replace or --existing extend, or give this export another --plate name.",
        )
    what = "from these very files" if same else "and came from other files"
    raise AlreadyExistsError(
        f"{where} is in the lake already {what}",
        hint="Use --existing skip, replace or extend, or give this export another --plate name.",
    )


def _check_wells(root: LakeRoot, plan: IngestPlan) -> None:
    """Refuse a plate that is smaller than the one of that name from which the lake has tables."""
    export = plan.export
    where = {"study_id": plan.study_id, "plate_id": plan.plate_id}
    rows = root.tables.read("wells", columns=["well_id", "row", "column"], where=where).to_pylist()
    outside = [row["well_id"] for row in rows if row["row"] > export.n_rows or row["column"] > export.n_columns]
    if outside:
        raise InvalidDataError(
            f"plate {plan.plate_id} of study {plan.study_id} has wells from tables that were made elsewhere which the "
            f"export, of {export.n_rows} rows and {export.n_columns} columns, does not have: {listed(outside, 10)}",
            hint="It may be another plate: give the export another --plate name.",
        )


def _check_references(root: LakeRoot, path: str, where: str) -> None:
    """Refuse to call a plate complete whose pixels were left in a place that is gone."""
    gone = [one for one in open_plate(root.storage, path).references if not Path(one).exists()]
    if gone:
        raise AlreadyExistsError(
            f"{where} is in the lake and refers to pixels in {listed(gone, 3)}, which is not there any more",
            hint="Put it back, or use --existing replace to bring the plate in from where it is now.",
        )


def _check_reference(root: LakeRoot, export: PlateExport) -> None:
    """Refuse to refer to what nobody could read later."""
    there = export.planes.filter(pc.is_valid(export.planes["size"]))
    why = None
    if not export.arrays.keys() >= set(there["file"].to_pylist()):
        why = f"what the reader {export.reader} brings in is converted, only OME-Zarr can be used as it is"
    elif not root.storage.is_local:
        why = f"the lake {root.url} is not on this machine, and who reads it there does not find {export.root}"
    elif Path(export.root).resolve().is_relative_to(Path(root.url).resolve()):
        why = "it lies in the lake itself, where it may be replaced and removed"
    if why:
        raise UsageError(
            f"{export.root} cannot be referred to: {why}",
            hint="Leave --by-reference out; the pixels are copied then.",
        )


def _check_same_bytes(root: LakeRoot, plan: IngestPlan) -> None:
    """Refuse to pass over files that are other ones than the lake's, although they are called alike and as large.

    Cycles of one plate are often written so, each into its own folder. A few of the smallest files are hashed.
    """
    where = {"study_id": plan.study_id, "plate_id": plan.plate_id}
    there = {
        source["file"]: source
        for image in root.tables.read("images", columns=["source_files"], where=where).to_pylist()
        for source in image["source_files"]
        if source["status"] == "ok" and source["sha256"] and (source["bytes"] or 0) <= _LARGEST_HASHED
    }
    offered = set(plan.export.planes["file"].to_pylist())
    smallest = sorted((s for s in there.values() if s["file"] in offered), key=lambda s: (s["bytes"], s["file"]))
    for source in smallest[:_HASHED_FILES]:
        file = Path(plan.export.root) / source["file"]
        try:
            with closing(open_source(file)) as opened:
                is_same = opened.sha256 == source["sha256"]
        except SourceFileError:
            continue  # what cannot be read now was read before
        if not is_same:
            raise AlreadyExistsError(
                f"plate {plan.plate_id} of study {plan.study_id} is in the lake with files of these names and sizes, "
                f"but {file} holds other bytes than then",
                hint="A further measurement of the plate needs another --plate name, or a folder that holds both; "
                "--existing replace takes these files instead.",
            )


def _is_held(root: LakeRoot, plan: IngestPlan) -> bool:
    try:
        return _extension(root, plan).action == "skip"
    except ConflictError:
        return False


def _extension(root: LakeRoot, plan: IngestPlan) -> IngestPlan:
    """Leave of the export what the plate does not have; a field whose files changed is refused, never mixed."""
    where = {"study_id": plan.study_id, "plate_id": plan.plate_id}
    have: _Sources = {
        (image["acquisition_id"], image["well_id"], image["field_id"]): {
            (s["file"], s["page"], s["bytes"]) for s in image["source_files"]
        }
        for image in root.tables.read("images", where=where).to_pylist()
    }
    export = _as_acquisitions_of_the_plate(plan, root.tables.read("acquisitions", where=where).to_pylist(), have)
    offered = _sources(export.planes)
    changed = [key for key in offered.keys() & have.keys() if offered[key] != have[key]]
    if changed:
        _, well_id, field_id = min(changed)
        raise ConflictError(
            f"plate {plan.plate_id} of study {plan.study_id}: {len(changed)} field(s) of {export.root} differ from "
            f"what the lake holds, first well {well_id} field {field_id}",
            hint="Extending only adds fields. Use --existing replace to ingest the plate anew.",
        )
    new = offered.keys() - have.keys()
    _check_channels(plan, export, root.tables.read("channels", where=where).to_pylist())
    if not new:
        return dataclasses.replace(plan, action="skip", export=export)
    return dataclasses.replace(
        plan,
        action="extend",
        export=dataclasses.replace(
            export, planes=_of_fields(export.planes, new), fields=_of_fields(export.fields, new)
        ),
    )


def _check_channels(plan: IngestPlan, export: PlateExport, known: list[dict[str, Any]]) -> None:
    """Refuse to add fields to a measurement whose channels were others: their planes would be mixed up."""
    for acquisition in export.acquisitions:
        number = acquisition.acquisition_id
        there = sorted((c["channel_index"], c["name"]) for c in known if c["acquisition_id"] == number)
        here = sorted((c.channel_index, c.name) for c in export.channels if c.acquisition_id == number)
        if there and there != here:
            raise ConflictError(
                f"plate {plan.plate_id} of study {plan.study_id}: the channels of this measurement are "
                f"{', '.join(name for _, name in there)} in the lake and {', '.join(name for _, name in here)} in "
                f"{export.root}",
                hint="Use --existing replace to ingest the plate anew.",
            )


def _of_fields(table: pa.Table, keys: set[tuple[int, str, int]]) -> pa.Table:
    rows = zip(*(table[name].to_pylist() for name in ("acquisition_id", "well_id", "field_id")), strict=True)
    return table.filter(pa.array([row in keys for row in rows], pa.bool_()))


def _sources(planes: pa.Table) -> _Sources:
    """Group the files of planes by their field."""
    found: _Sources = {}
    for plane in planes.to_pylist():
        key = (plane["acquisition_id"], plane["well_id"], plane["field_id"])
        found.setdefault(key, set()).add((plane["file"], plane["page"], plane["size"]))
    return found


def _as_acquisitions_of_the_plate(plan: IngestPlan, known: list[dict[str, Any]], have: _Sources) -> PlateExport:
    """Give the export's measurements the plate's numbers: its own number for a known one, the next for a new one."""
    export = plan.export
    numbers: dict[int, int] = {}
    following = 1 + max((row["acquisition_id"] for row in known), default=0)
    offered = _sources(export.planes)
    for acquisition in export.acquisitions:
        same = [
            row["acquisition_id"]
            for row in known
            if row["acquisition_id"] not in numbers.values() and _is_same(acquisition, row, offered, have)
        ]
        if same:
            numbers[acquisition.acquisition_id] = same[0]
        else:
            numbers[acquisition.acquisition_id] = following
            following += 1

    def renumbered(table: pa.Table) -> pa.Table:
        column = pa.array(
            [numbers[row["acquisition_id"]] for row in table.select(["acquisition_id"]).to_pylist()], pa.int32()
        )
        return table.set_column(
            table.schema.get_field_index("acquisition_id"), table.schema.field("acquisition_id"), column
        )

    return dataclasses.replace(
        export,
        acquisitions=tuple(
            dataclasses.replace(a, acquisition_id=numbers[a.acquisition_id]) for a in export.acquisitions
        ),
        channels=tuple(dataclasses.replace(c, acquisition_id=numbers[c.acquisition_id]) for c in export.channels),
        planes=renumbered(export.planes),
        fields=renumbered(export.fields),
    )


def _is_same(acquisition: AcquisitionInfo, row: Mapping[str, Any], offered: _Sources, have: _Sources) -> bool:
    """Tell whether a measurement is one that the plate has: by its id, else its start, else the files of a field."""
    for ours, theirs in (
        (acquisition.measurement_id, row["measurement_id"]),
        (acquisition.started_at, row["started_at"]),
    ):
        if ours is not None or theirs is not None:
            return bool(ours == theirs)
    ours_at, theirs_at = acquisition.acquisition_id, row["acquisition_id"]
    return any(
        not files.isdisjoint(have.get((theirs_at, well_id, field_id), ()))
        for (number, well_id, field_id), files in offered.items()
        if number == ours_at
    )
