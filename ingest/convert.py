"""One vendor export into the lake: pixels to an OME-Zarr plate, facts to rows, or nothing at all.

A plate is built field by field under ``staging/`` (see :mod:`.workplace`), each finished field leaving a receipt with
the hashes of what it was made from, so that an interrupted ingest goes on where it stopped. A rename publishes the
whole plate, and one commit over all tables makes it visible.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..errors import SourceFileError
from ..schemas.identifiers import parse_well
from ..schemas.tables import SCHEMA_VERSION
from ..store.commit import Commit
from ..store.images import layout
from ..store.images.model import AcquisitionSpec, PlateSpec
from ..store.images.model import FieldKey as FieldKeyOfPlate
from ..store.images.plate import open_plate
from ..store.images.writer import PlateWriter
from ..store.lineage import Run
from ..store.machine import available_cores
from ..store.registry import feature_tables, profile_tables
from ..store.root import LakeRoot
from . import rows
from .export import PlateExport
from .field_pixels import FieldConverter, FieldKey, FieldReceipt, bytes_of, pixel_types
from .plan import Existing, IngestPlan, make_plan
from .sources import PlaneSources
from .workplace import Workplace

Progress = Callable[[int, int], None]

#: Tables that describe a plate; all of them change in the same commit.
_PLATE_TABLES = ("wells", "acquisitions", "channels", "images", "plates")

#: Pixels under way per core. A thread needs about two and a half times the pixels of its shard.
_BYTES_PER_CORE = 40 * 2**20


def ingest_export(
    root: LakeRoot,
    export: PlateExport,
    *,
    study_id: str,
    plate_id: str | None = None,
    existing: Existing = "error",
    by_reference: bool = False,
    workers: int | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Bring one plate of an export into the lake.

    Parameters
    ----------
    root
        The lake.
    export
        What a reader made of the vendor's metadata.
    study_id, plate_id
        Where the plate belongs; ``plate_id`` is the export's own name for it when None.
    existing
        What to do when the lake holds the plate already: ``error``, ``skip`` (only if it came from the same files),
        ``replace`` or ``extend`` (add the fields and measurements it does not have yet).
    by_reference
        Leave level 0 in the arrays of the export, which must stay where they are; everything else is written as ever.
    workers
        Threads that convert fields. One per core when None, fewer where fields are so large that their buffers would
        be most of the memory; compression uses all cores anyway.
    dry_run
        Say what would happen and write nothing.
    progress
        Called with (fields done, fields in all).

    Returns
    -------
    dict
        ``run_id``, ``status`` (``ok``, ``skipped``, ``partial``), ``plates`` (one entry) and ``warnings``, as the
        command line documents them.

    Raises
    ------
    UsageError
        An argument is not allowed, or the export cannot be referred to.
    AlreadyExistsError
        The plate is there and ``existing`` does not say what to do, or its content differs where it must not.
    ConflictError
        Another ingest of the same plate is running or came first.
    SourceFileError
        No image file of the export can be read at all.
    StorageError
        The lake cannot be written, for instance because the disk is full; nothing of the plate is visible then.
    """
    started = time.monotonic()
    decide = partial(
        make_plan, root, export, study_id=study_id, plate_id=plate_id, existing=existing, by_reference=by_reference
    )
    plan = decide()
    if plan.action == "skip":
        return _report(plan, status="skipped")
    if dry_run:
        return _report(plan, status="ok", receipts=_promises(plan.export))
    with root.storage.lock(f"plate-{plan.study_id}-{plan.plate_id}"):
        # The plate may have come into the lake between the first look and the lock.
        plan = decide()
        if plan.action == "skip":
            return _report(plan, status="skipped")
        run = Run.start(
            "ingest",
            study_id=plan.study_id,
            plate_ids=(plan.plate_id,),
            parameters={
                "export": Path(export.root).name,
                "reader": export.reader,
                "existing": existing,
                **({"by_reference": export.root} if by_reference else {}),
            },
        )
        workplace = Workplace(root.storage, plan)
        promised = Counter(str(file) for file in export.planes["file"].to_pylist())
        receipts = _convert(root, plan, workplace, promised, workers=workers, progress=progress)
        path = workplace.publish()
        run.add_input("export", export.barcode or export.plate_id, sha256=plan.fingerprint)
        if plan.old is not None:
            run.add_previous(str(plan.old["run_id"]), {"plates": {plan.plate_id: None}})
        run.add_output("plate", path)
        for warning in _warnings(export, receipts):
            run.warn(warning)
        status = "ok" if all(r.count("ok") == len(r.sources) for r in receipts) else "partial"
        _commit(root, plan, run, path=path, receipts=receipts, status=status)
        workplace.clean_up()
        if plan.action == "replace" and plan.old is not None:
            root.storage.delete_tree(str(plan.old["path"]))
    return _report(
        plan,
        status=status,
        run=run,
        receipts=receipts,
        path=path,
        warnings=run.warnings,
        seconds=time.monotonic() - started,
    )


def _convert(
    root: LakeRoot,
    plan: IngestPlan,
    workplace: Workplace,
    promised: Mapping[str, int],
    *,
    workers: int | None,
    progress: Progress | None,
) -> list[FieldReceipt]:
    """Convert the fields that have no receipt yet, and finish the plate; give all receipts in plate order."""
    fields = rows.planes_by_field(plan.export)
    receipts = {key: receipt for key in fields if (receipt := workplace.receipt(key)) is not None}
    if workplace.is_published and len(receipts) == len(fields):
        return [receipts[key] for key in fields]
    with PlaneSources() as files:
        types = pixel_types(plan.export, files)
        converter = FieldConverter(
            plan.export, root.storage, workplace.path, types, files, promised, by_reference=plan.by_reference
        )

        def convert(key: FieldKey) -> FieldReceipt:
            receipt = converter.convert(key, fields[key])
            workplace.leave_receipt(key, receipt)
            return receipt

        todo = [key for key in fields if key not in receipts]
        for key, receipt in _in_threads(convert, todo, workers or _fields_at_once(plan.export, types)):
            receipts[key] = receipt
            if progress is not None:
                progress(len(receipts), len(fields))
    ordered = [receipts[key] for key in fields]
    if not any(receipt.path for receipt in ordered):
        # Nothing to go on with: the next try shall look at the files anew.
        workplace.clean_up()
        first = next((s for r in ordered for s in r.sources if s["status"] != "ok"), None)
        why = f"; {first['file']}: {first['reason']}" if first else ""
        raise SourceFileError(
            f"{plan.export.root}: not one image of plate {plan.plate_id} could be read{why}",
            hint="Copy the image files beside the index as the microscope wrote them, then ingest again.",
        )
    _finish_plate(root, plan, workplace, ordered)
    return ordered


def _fields_at_once(export: PlateExport, types: Mapping[int, np.dtype[Any]]) -> int:
    """Say how many fields to convert at the same time, so that memory depends on the machine and not on the plate."""
    cores = available_cores()
    extent = rows.acquisition_extent(export)
    largest = 1
    for acquisition in export.acquisitions:
        dtype = types[acquisition.acquisition_id]
        channels = sum(c.acquisition_id == acquisition.acquisition_id for c in export.channels)
        _, n_z = extent[acquisition.acquisition_id]
        shape = (1, channels, n_z, acquisition.height, acquisition.width)
        pixels = channels * layout.shard_depth(shape, dtype.name) * acquisition.height * acquisition.width
        largest = max(largest, pixels * dtype.itemsize)
    return max(1, min(cores, cores * _BYTES_PER_CORE // largest))


def _in_threads(
    convert: Callable[[FieldKey], FieldReceipt], keys: Sequence[FieldKey], workers: int
) -> Iterable[tuple[FieldKey, FieldReceipt]]:
    """Convert with a bounded number of fields under way; the first failure stops the rest.

    Threads are enough: reading, hashing, compression and the pyramid all release the interpreter lock.
    """
    waiting = iter(keys)
    running: dict[Future[FieldReceipt], FieldKey] = {}
    with ThreadPoolExecutor(workers, thread_name_prefix="ingest") as pool:
        try:
            for key in waiting:
                running[pool.submit(convert, key)] = key
                if len(running) >= workers + 1:
                    break
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    key = running.pop(future)
                    yield key, future.result()
                    following = next(waiting, None)
                    if following is not None:
                        running[pool.submit(convert, following)] = following
        finally:
            for future in running:
                future.cancel()


def _finish_plate(root: LakeRoot, plan: IngestPlan, workplace: Workplace, receipts: Sequence[FieldReceipt]) -> None:
    """Write what holds the fields together; before this the plate is no plate."""
    export = plan.export
    acquisitions = {
        a.acquisition_id: AcquisitionSpec(
            acquisition_id=a.acquisition_id, name=a.name, started_at=a.started_at, ended_at=a.ended_at
        )
        for a in export.acquisitions
    }
    images = {FieldKeyOfPlate(r.well_id, r.acquisition_id, r.field_id) for r in receipts if r.path}
    attributes: dict[str, object] = {
        "schema_version": SCHEMA_VERSION,
        "study_id": plan.study_id,
        "plate_id": plan.plate_id,
        "fingerprint": plan.fingerprint,
        "vendor": export.vendor,
    }
    references = {export.root} if plan.by_reference else set()
    if plan.action == "extend":
        plate = open_plate(root.storage, workplace.path)
        acquisitions |= {a.acquisition_id: a for a in plate.acquisitions}
        images |= set(plate.fields())
        references |= set(plate.references)
    if references:
        attributes["references"] = sorted(references)
    writer = PlateWriter(
        root.storage,
        workplace.path,
        PlateSpec(
            name=plan.plate_id,
            n_rows=export.n_rows,
            n_columns=export.n_columns,
            acquisitions=tuple(acquisitions[number] for number in sorted(acquisitions)),
            images=tuple(sorted(images, key=lambda k: (*parse_well(k.well_id), k.acquisition_id, k.field_id))),
            attributes=attributes,
        ),
    )
    writer.begin()
    writer.finish()


def _commit(
    root: LakeRoot, plan: IngestPlan, run: Run, *, path: str, receipts: Sequence[FieldReceipt], status: str
) -> None:
    """Make the plate visible: all of its rows, in one commit."""
    export = plan.export
    key = {"study_id": plan.study_id, "plate_id": plan.plate_id}
    identity = {**key, "run_id": run.run_id}
    fresh = {
        "wells": rows.well_rows(rows.export_wells(export), identity),
        "acquisitions": rows.acquisition_rows(export, identity),
        "channels": rows.channel_rows(export, identity),
        "images": rows.image_rows(export, receipts, path, identity),
    }
    before = {name: root.tables.read(name, where=key) for name in fresh} if plan.old is not None else {}
    if before:
        # Annotation belongs to the wells, not to their pixels: it stays.
        fresh["wells"] = _keep(before["wells"], fresh["wells"], ("well_id",))
    if plan.action == "extend":
        fresh["acquisitions"] = _keep(before["acquisitions"], fresh["acquisitions"], ("acquisition_id",))
        fresh["channels"] = _keep(before["channels"], fresh["channels"], ("acquisition_id", "channel_index"))
        fresh["images"] = _keep(before["images"], fresh["images"], ("acquisition_id", "well_id", "field_id"))
    fresh["plates"] = rows.plate_row(
        export, fresh["images"], identity, path=path, fingerprint=plan.fingerprint, status=status, known=plan.old
    )
    app_id = f"ingest/{plan.study_id}/{plan.plate_id}"
    if plan.action == "replace" and _has_features(root, key):
        run.warn("the features of this plate were computed from images that are gone, and went with them: transform it")
    with Commit(root, run_id=run.run_id, app_id=app_id) as commit:
        # A study is known by its id until somebody annotates it.
        study = rows.table_of("studies", [{"study_id": plan.study_id, "title": plan.study_id, "run_id": run.run_id}])
        commit.insert("studies", study, on=["study_id"], same=["study_id"])
        for name in _PLATE_TABLES:
            commit.replace(name, key, fresh[name], must_be_new=plan.old is None)
        if plan.action == "replace":
            # What was computed from the pixels that are gone goes with them.
            for name in ("quality", "tracks", *_computed(root)):
                commit.delete(name, key)
        commit.append("runs", run.record(status))
        commit.commit()


def _has_features(root: LakeRoot, key: Mapping[str, str]) -> bool:
    return any(root.tables.read(name, columns=["plate_id"], where=key).num_rows for name in _computed(root))


def _computed(root: LakeRoot) -> list[str]:
    """Return the tables with rows of plates that were computed from pixels: those made elsewhere are not."""
    tables = {**feature_tables(root), **profile_tables(root)}
    return [name for name, (one, part) in tables.items() if not one.imported and part != "treatment"]


def _keep(old: pa.Table, new: pa.Table, on: tuple[str, ...]) -> pa.Table:
    """Add to the old rows those of the new ones that are not among them."""
    known = set(zip(*(old[name].to_pylist() for name in on), strict=True))
    fresh = [row not in known for row in zip(*(new[name].to_pylist() for name in on), strict=True)]
    # A table read from the lake has forgotten which of its columns are never NULL.
    kept = old.select(new.column_names).cast(new.schema)
    return pa.concat_tables([kept, new.filter(pa.array(fresh, pa.bool_()))])


def _warnings(export: PlateExport, receipts: Sequence[FieldReceipt]) -> list[str]:
    """Say what somebody should know who only reads the report."""
    warnings = list(export.warnings)
    for status in ("missing", "corrupt"):
        planes = [(r, s) for r in receipts for s in r.sources if s["status"] == status]
        if planes:
            first, source = planes[0]
            warnings.append(
                f"{len(planes)} plane(s) {status}, first well {first.well_id} field {first.field_id} "
                f"channel {_channel_name(export, first, source)}: {source['file']}: {source['reason']}"
            )
    surplus = {file: numbers for receipt in receipts for file, numbers in receipt.surplus.items()}
    if surplus:
        file, (held, promised) = next(iter(surplus.items()))
        warnings.append(
            f"{len(surplus)} file(s) hold more planes than the export names, which were left out, first {file}: "
            f"{held} planes, {promised} named"
        )
    return warnings


def _channel_name(export: PlateExport, receipt: FieldReceipt, source: Mapping[str, Any]) -> str:
    return next(
        c.name
        for c in export.channels
        if (c.acquisition_id, c.channel_index) == (receipt.acquisition_id, source["channel_index"])
    )


def _promises(export: PlateExport) -> list[FieldReceipt]:
    """Give what a dry run can know of each field: which files are there."""
    return [
        FieldReceipt(
            acquisition_id=key[0],
            well_id=key[1],
            field_id=key[2],
            path=None,
            shape=(0, 0, 0, 0, 0),
            dtype="",
            sources=tuple(
                {"status": "missing" if p["size"] is None else "ok", "file": p["file"], "bytes": p["size"]}
                for p in planes
            ),
        )
        for key, planes in rows.planes_by_field(export).items()
    ]


def _report(
    plan: IngestPlan,
    *,
    status: str,
    run: Run | None = None,
    receipts: Sequence[FieldReceipt] = (),
    path: str | None = None,
    warnings: Sequence[str] | None = None,
    seconds: float = 0.0,
) -> dict[str, Any]:
    plate: dict[str, Any] = {"study_id": plan.study_id, "plate_id": plan.plate_id, "action": plan.action}
    if status == "skipped" and plan.old is not None:
        # What is there, none of which was read again.
        old = plan.old
        plate |= {name: old[f"n_{name}"] for name in ("wells", "fields", "planes", "missing_planes", "corrupt_planes")}
        plate |= {"bytes_read": 0, "seconds": 0.0, "path": old["path"]}
    else:
        plate |= {
            "wells": len({r.well_id for r in receipts}),
            "fields": len(receipts),
            "planes": sum(len(r.sources) for r in receipts),
            "missing_planes": sum(r.count("missing") for r in receipts),
            "corrupt_planes": sum(r.count("corrupt") for r in receipts),
            "bytes_read": bytes_of(receipts),
            "seconds": round(seconds, 3),
            "path": path,
        }
    return {
        "run_id": run.run_id if run else None,
        "status": status,
        "plates": [plate],
        "warnings": list(plan.export.warnings if warnings is None else warnings),
    }
