"""A plate export as rows of the dimension tables, before anybody has annotated it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ..schemas.identifiers import parse_well
from ..schemas.tables import arrow_schema
from .export import AcquisitionInfo, PlateExport

if TYPE_CHECKING:
    from .field_pixels import FieldReceipt


def table_of(name: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Make the Arrow table of one lake table; slots that a row leaves out are NULL."""
    return pa.Table.from_pylist(list(rows), schema=arrow_schema(name))


def export_wells(export: PlateExport) -> list[str]:
    """List the wells that the export promises planes of, in plate order."""
    wells = export.planes.group_by("well_id").aggregate([]).to_pylist()
    return sorted((row["well_id"] for row in wells), key=parse_well)


def well_rows(wells: Iterable[str], identity: Mapping[str, str]) -> pa.Table:
    """Make ``wells`` rows with their place and nothing else."""
    rows = []
    for well_id in wells:
        row, column = parse_well(well_id)
        rows.append(
            {
                **identity,
                "well_id": well_id,
                "row": row,
                "column": column,
                "n_perturbations": 0,
                "excluded": False,
            }
        )
    return table_of("wells", rows)


def channel_rows(export: PlateExport, identity: Mapping[str, str]) -> pa.Table:
    """Make ``channels`` rows; the vendor's flat-field profile travels as JSON, unapplied."""
    rows = []
    for channel in export.channels:
        row: dict[str, Any] = {
            name: getattr(channel, name)
            for name in (
                "acquisition_id",
                "channel_index",
                "name",
                "vendor_id",
                "role",
                "dye",
                "excitation_nm",
                "excitation_source",
                "emission_filter",
                "emission_nm",
                "exposure_ms",
                "excitation_power",
                "binning",
                "contrast_method",
                "acquisition_mode",
                "color",
                "max_intensity",
                "z_offset_um",
            )
        }
        row["flatfield"] = json.dumps(channel.flatfield, sort_keys=True) if channel.flatfield else None
        row["flatfield_applied"] = False
        rows.append({**identity, **row})
    return table_of("channels", rows)


def acquisition_rows(export: PlateExport, identity: Mapping[str, str]) -> pa.Table:
    """Make ``acquisitions`` rows."""
    extent = acquisition_extent(export)
    rows = []
    for acquisition in export.acquisitions:
        number = acquisition.acquisition_id
        n_timepoints, n_z = extent[number]
        sites = Counter(f["well_id"] for f in export.fields.to_pylist() if f["acquisition_id"] == number)
        rows.append(
            {
                **identity,
                **{name: getattr(acquisition, name) for name in _ACQUISITION_SLOTS},
                "acquisition_id": number,
                "vendor": export.vendor,
                "format_version": export.format_version,
                "reader": export.reader,
                "sites_per_well": max(sites.values(), default=0),
                "z_mode": acquisition.z_mode or ("stack" if n_z > 1 else "plane"),
                "n_z_planes": n_z,
                "n_timepoints": n_timepoints,
            }
        )
    return table_of("acquisitions", rows)


_ACQUISITION_SLOTS = tuple(name for name in AcquisitionInfo.__dataclass_fields__ if name not in {"acquisition_id"})


def acquisition_extent(export: PlateExport) -> dict[int, tuple[int, int]]:
    """Give for each acquisition how many time points and z planes its images must hold."""
    planes = export.planes.group_by("acquisition_id").aggregate([("timepoint", "max"), ("z", "max")])
    return {row["acquisition_id"]: (row["timepoint_max"] + 1, row["z_max"] + 1) for row in planes.to_pylist()}


def planes_by_field(export: PlateExport) -> dict[tuple[int, str, int], list[dict[str, Any]]]:
    """Group the export's planes by (acquisition, well, field), in plate order."""
    grouped: dict[tuple[int, str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in export.planes.to_pylist():
        grouped[row["acquisition_id"], row["well_id"], row["field_id"]].append(row)
    ordered = sorted(grouped, key=lambda key: (key[0], parse_well(key[1]), key[2]))
    return {key: sorted(grouped[key], key=lambda p: (p["timepoint"], p["z"], p["channel_index"])) for key in ordered}


#: Columns of ``plates`` that no export tells.
_SAID_OF_PLATES = frozenset(
    {"plate_map_name", "manufacturer", "catalogue_number", "coating", "batch", "source", "replicate", "attributes"}
)


def image_rows(
    export: PlateExport, receipts: Sequence[FieldReceipt], plate_path: str, identity: Mapping[str, str]
) -> pa.Table:
    """Make ``images`` rows: one per field, with where it is, how it lies and what each plane was made from.

    ``path`` is NULL for a field of which no plane could be read.
    """
    acquisitions = {a.acquisition_id: a for a in export.acquisitions}
    positions = {(f["acquisition_id"], f["well_id"], f["field_id"]): f for f in export.fields.to_pylist()}
    taken = (
        export.planes.group_by(["acquisition_id", "well_id", "field_id"])
        .aggregate([("acquired_at", "min")])
        .to_pylist()
    )
    times = {(t["acquisition_id"], t["well_id"], t["field_id"]): t["acquired_at_min"] for t in taken}
    rows = []
    for receipt in receipts:
        key = (receipt.acquisition_id, receipt.well_id, receipt.field_id)
        acquisition, position = acquisitions[receipt.acquisition_id], positions[key]
        n_timepoints, n_channels, n_z, height, width = receipt.shape
        rows.append(
            {
                **identity,
                "acquisition_id": receipt.acquisition_id,
                "well_id": receipt.well_id,
                "field_id": receipt.field_id,
                "path": f"{plate_path}/{receipt.path}" if receipt.path else None,
                "n_timepoints": n_timepoints,
                "n_channels": n_channels,
                "n_z_planes": n_z,
                "height": height,
                "width": width,
                "dtype": receipt.dtype,
                "pixel_size_x_um": acquisition.pixel_size_x_um,
                "pixel_size_y_um": acquisition.pixel_size_y_um,
                "z_step_um": acquisition.z_step_um,
                "stage_x_um": position["x_um"],
                "stage_y_um": position["y_um"],
                "stage_z_um": position["z_um"],
                "acquired_at": times[key],
                "n_planes": len(receipt.sources),
                "n_missing_planes": receipt.count("missing"),
                "n_corrupt_planes": receipt.count("corrupt"),
                "source_files": list(receipt.sources),
            }
        )
    return table_of("images", rows)


def plate_row(
    export: PlateExport,
    images: pa.Table,
    identity: Mapping[str, str],
    *,
    path: str,
    fingerprint: str,
    status: str,
    known: Mapping[str, Any] | None = None,
) -> pa.Table:
    """Make the ``plates`` row from the plate's ``images`` rows; it counts what is there, not what was promised.

    ``known`` is the row that the plate has by now: what people said of it stays.
    """

    def total(name: str) -> int:
        return int(pc.sum(images[name]).as_py() or 0)

    return table_of(
        "plates",
        [
            {
                **{name: value for name, value in (known or {}).items() if name in _SAID_OF_PLATES},
                **identity,
                "barcode": export.barcode or (known or {}).get("barcode"),
                "name": export.name or (known or {}).get("name"),
                "n_rows": export.n_rows,
                "n_columns": export.n_columns,
                "plate_type": export.plate_type or (known or {}).get("plate_type"),
                "n_wells": len(pc.unique(images["well_id"])),
                "n_fields": images.num_rows,
                "n_planes": total("n_planes"),
                "n_missing_planes": total("n_missing_planes"),
                "n_corrupt_planes": total("n_corrupt_planes"),
                "path": path,
                "fingerprint": fingerprint,
                "status": status,
            }
        ],
    )
