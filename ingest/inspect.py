"""What an export is, for a person and for a program, from its metadata alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..errors import CytolakeError, PixelSizeError
from ..schemas.identifiers import parse_well
from .export import AcquisitionInfo, PlateExport
from .readers import Evidence, ReaderOptions, recognise
from .vendors.pixel_size import OVERRULES

#: How many missing planes are named one by one.
_NAMED_MISSING = 5


#: Stands for a pixel size that nobody says, and is told to nobody.
_STAND_IN_UM = 1.0


def inspect_export(path: Path | str, reader: str | None, options: ReaderOptions) -> dict[str, Any]:
    """Describe what lies at a path as :func:`summarize` does.

    An export that does not say how large its pixels are is refused when it is brought in; everything else of it is
    described, with ``pixel_size_um`` None and a warning.
    """
    try:
        told = recognise(path, reader, options)
    except PixelSizeError as error:
        return _without_pixel_size(path, reader, options, error)
    return summarize(told.evidence, told.exports, warnings=told.warnings)


def _without_pixel_size(
    path: Path | str, reader: str | None, options: ReaderOptions, error: PixelSizeError
) -> dict[str, Any]:
    try:
        told = recognise(path, reader, replace(options, pixel_size_um=_STAND_IN_UM))
    except CytolakeError:
        raise error from None
    exports = [
        replace(one, warnings=tuple(text for text in one.warnings if not text.startswith(OVERRULES)))
        for one in told.exports
    ]
    doubt = f"the size of a pixel is not known, and so the export cannot be ingested: {error.message}. {error.hint}"
    summary = summarize(told.evidence, exports, warnings=(*told.warnings, doubt))
    for plate in summary["plates"]:
        for one in (plate, *plate["acquisitions"]):
            one |= {"pixel_size_um": None, "pixel_size_y_um": None}
    return summary


def summarize(evidence: Evidence, exports: Sequence[PlateExport], *, warnings: Sequence[str] = ()) -> dict[str, Any]:
    """Describe an export.

    Parameters
    ----------
    evidence
        Why its reader was chosen.
    exports
        The plates.
    warnings
        What is said of all of them together; their own follow, with the name of the plate where there are several.

    Returns
    -------
    dict
        JSON types: ``reader``, ``evidence`` (``confidence``, ``index``, ``facts``), ``vendor``, ``format_version``,
        ``path`` (these three of the first plate; each has its own too), ``plates`` and ``warnings``. A plate counts its
        ``wells``, ``fields`` (of all wells and acquisitions), ``planes`` that the index promises and
        ``missing_planes`` that are not there; ``missing`` counts those by ``wells`` and ``channels`` and names the
        ``first`` of them. ``bytes`` are those on disk, ``pixel_size_um`` is along x. ``rows`` and ``columns`` are the
        format of the plate. Size and pixel size of the images are those of the first acquisition; ``acquisitions``
        has each one's own.
    """
    first = exports[0]
    told = list(warnings)
    for export in exports:
        of = f"plate {export.plate_id}: " if len(exports) > 1 else ""
        told += [f"{of}{warning}" for warning in (*export.warnings, *_nothing_there(export))]
    return {
        "reader": evidence.reader,
        "evidence": {
            "confidence": evidence.confidence,
            "index": evidence.index,
            "facts": list(evidence.facts),
        },
        "vendor": first.vendor,
        "format_version": first.format_version,
        "path": first.root,
        "plates": [_plate(export) for export in exports],
        "warnings": told,
    }


def _nothing_there(export: PlateExport) -> list[str]:
    """Return the warning about a plate without any image file; a plate that lacks some says which in ``missing``."""
    planes = export.planes
    if not planes.num_rows or planes["size"].null_count < planes.num_rows:
        return []
    file = planes["file"][0].as_py()
    return [
        f"not one image file is there: all {planes.num_rows:,} planes are missing, the first of them {file} in "
        f"{export.root}; copy the images beside the index to ingest them"
    ]


def _plate(export: PlateExport) -> dict[str, Any]:
    acquisition = export.acquisitions[0]
    wells = sorted(export.planes["well_id"].unique().to_pylist(), key=parse_well)
    return {
        "plate": export.plate_id,
        "vendor": export.vendor,
        "format_version": export.format_version,
        "path": export.root,
        "barcode": export.barcode,
        "name": export.name,
        "plate_type": export.plate_type,
        "rows": export.n_rows,
        "columns": export.n_columns,
        "wells": len(wells),
        "well_ids": wells,
        "fields": export.fields.num_rows,
        "acquisitions": [_acquisition(export, acquisition) for acquisition in export.acquisitions],
        "channels": [
            {
                "name": channel.name,
                "role": channel.role,
                "id": channel.vendor_id,
                "acquisition_id": channel.acquisition_id,
                "excitation_nm": channel.excitation_nm,
                "emission_nm": channel.emission_nm,
            }
            for channel in export.channels
        ],
        "timepoints": _extent(export.planes, "timepoint"),
        "z_planes": _extent(export.planes, "z"),
        "height": acquisition.height,
        "width": acquisition.width,
        "pixel_size_um": acquisition.pixel_size_x_um,
        "pixel_size_y_um": acquisition.pixel_size_y_um,
        "z_step_um": acquisition.z_step_um,
        "instrument": acquisition.instrument_model,
        "started_at": acquisition.started_at.isoformat() if acquisition.started_at else None,
        "planes": export.planes.num_rows,
        "missing_planes": export.planes["size"].null_count,
        "missing": _missing(export),
        "bytes": _bytes(export.planes),
        "annotated_wells": len(set(export.annotation["well_id"].to_pylist())),
    }


def _missing(export: PlateExport) -> dict[str, Any]:
    """Return which planes are not there: how many of each well and channel, and the first ones."""
    planes = export.planes.filter(pc.is_null(export.planes["size"]))
    names = {(one.acquisition_id, one.channel_index): one.name for one in export.channels}
    counts = planes.group_by(["acquisition_id", "well_id", "channel_index"]).aggregate([([], "count_all")])
    wells: Counter[str] = Counter()
    channels: Counter[str] = Counter()
    for one in counts.to_pylist():
        wells[one["well_id"]] += one["count_all"]
        channels[names[one["acquisition_id"], one["channel_index"]]] += one["count_all"]
    return {
        "wells": {well: wells[well] for well in sorted(wells, key=parse_well)},
        "channels": dict(channels),
        "first": [
            {
                **{name: one[name] for name in ("acquisition_id", "well_id", "field_id", "timepoint", "z")},
                "channel": names[one["acquisition_id"], one["channel_index"]],
                "file": one["file"],
            }
            for one in planes.slice(0, _NAMED_MISSING).to_pylist()
        ],
    }


def _acquisition(export: PlateExport, acquisition: AcquisitionInfo) -> dict[str, Any]:
    number = acquisition.acquisition_id
    own = pc.field("acquisition_id") == number
    planes, fields = export.planes.filter(own), export.fields.filter(own)
    depth = _extent(planes, "z")
    return {
        "acquisition_id": number,
        "name": acquisition.name,
        "z_mode": acquisition.z_mode or ("stack" if depth > 1 else "plane"),
        "wells": pc.count_distinct(planes["well_id"]).as_py(),
        "fields": fields.num_rows,
        "channels": sum(channel.acquisition_id == number for channel in export.channels),
        "timepoints": _extent(planes, "timepoint"),
        "z_planes": depth,
        "height": acquisition.height,
        "width": acquisition.width,
        "pixel_size_um": acquisition.pixel_size_x_um,
        "pixel_size_y_um": acquisition.pixel_size_y_um,
        "z_step_um": acquisition.z_step_um,
        "started_at": acquisition.started_at.isoformat() if acquisition.started_at else None,
        "planes": planes.num_rows,
        "missing_planes": planes["size"].null_count,
    }


def _bytes(planes: pa.Table) -> int:
    """Count the bytes of the files; one may hold many planes."""
    total: int | None = pc.sum(planes.group_by("file").aggregate([("size", "max")])["size_max"]).as_py()
    return total or 0


def _extent(planes: pa.Table, column: str) -> int:
    last: int | None = pc.max(planes[column]).as_py()
    return 0 if last is None else last + 1
