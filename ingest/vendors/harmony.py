"""Harmony exports (Opera Phenix, Operetta, Operetta CLS) as vendor-neutral plates.

What this module and its neighbours ``harmony_*`` know: units (metres to µm, seconds to ms), that a stage's Y points up
while an image's rows count down, that time points count from 0 in V5 and from 1 in V7, that a field *is* its
``FieldID`` (numbers have gaps, and counting would shift wells), where files hide, and which facts of a plate must
agree. ``OrientationMatrix`` is never applied: positions are already relative to the middle of the well, and on real
plates neighbouring fields lie exactly one field width apart without it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from ...errors import InvalidDataError, NotAnExportError, SourceFileError
from ...schemas.identifiers import format_well, slug
from ..channels import guess_roles
from ..export import ANNOTATION_SCHEMA, PlateExport
from ..readers import Evidence, ReaderOptions
from ..sources import read_bytes
from .acapella import AcapellaError
from .acapella import parse as parse_acapella
from .acapella import to_json as acapella_to_json
from .harmony_channels import acquisition_info, channel_infos
from .harmony_files import Folders, Layout
from .harmony_index import (
    COLUMBUS,
    HarmonyIndex,
    check_index_root,
    harmony_version,
    parse_assay_layout,
    parse_flatfields,
    parse_index,
)
from .harmony_planes import read_planes

_MEASUREMENT_NUMBER = re.compile(r"measurement[ _]?(\d+)", re.IGNORECASE)
_FIRST_BYTES = 1 << 16
#: Folders that are looked into to see whether they are measurements; other people have thousands.
_LOOKED_AT = 200


class HarmonyReader:
    """Reads ``Index.idx.xml``, ``Index.xml`` and ``Index.ref.xml`` of any Harmony namespace, and Columbus exports."""

    name = "harmony"

    def __init__(self, options: ReaderOptions | None = None) -> None:
        self._options = options or ReaderOptions()

    def with_options(self, options: ReaderOptions) -> Self:
        """Return a reader that takes the pixel size and the plate format that the user names."""
        return type(self)(options)

    def detect(self, path: Path) -> Evidence | None:
        """Look at the first bytes of an index; confidence 0 where a file of that name is something else."""
        index = _index_at(path)
        if index is None:
            return None
        try:
            with index.open("rb") as file:
                root = check_index_root(file.read(_FIRST_BYTES), str(index))
        except NotAnExportError as error:
            return self._evidence(0.0, index, error.message)
        except OSError as error:
            return self._evidence(0.0, index, f"{index} cannot be read: {error.strerror}")
        version = harmony_version(root) or ""
        said = version if version == COLUMBUS else f"Harmony {version}"
        return self._evidence(1.0, index, f"{index.name}: {root}", said)

    def _evidence(self, confidence: float, index: Path, *facts: str) -> Evidence:
        return Evidence(reader=self.name, confidence=confidence, facts=facts, index=str(index))

    def read(self, path: Path) -> tuple[PlateExport, ...]:
        """Return the plate of one measurement, or the plates of the measurement folders directly below ``path``.

        Measurements of one plate (same barcode) become acquisitions of one export, in the order of their start.
        """
        folders = Folders()
        index = folders.find_index(path)
        if index is not None:
            return (_read_measurement(index, folders, self._options),)
        below = list(folders.find_measurements(path)) if path.is_dir() else []
        if not below:
            raise NotAnExportError(
                "; ".join([f"{path} holds no Harmony index", *folders.doubts]),
                hint="Name the folder that holds Index.idx.xml or Index.xml, or the one above it.",
            )
        plates: dict[str, list[PlateExport]] = {}
        for one in below:
            measurement = _read_measurement(one, folders, self._options)
            measurement = replace(measurement, warnings=(*folders.doubts, *measurement.warnings))
            plates.setdefault(measurement.plate_id, []).append(measurement)
        root = Path(os.path.abspath(path))  # noqa: PTH100  # links stay as the user named them
        return tuple(found[0] if len(found) == 1 else _combine(found, root) for found in plates.values())


def _index_at(path: Path) -> Path | None:
    """Return the index of an export, or the first of several measurements."""
    folders = Folders(look_at=_LOOKED_AT)
    index = folders.find_index(path)
    if index is None and path.is_dir():
        return next(folders.find_measurements(path), None)
    return index


def _read_measurement(index_path: Path, folders: Folders, options: ReaderOptions) -> PlateExport:
    """Read one index and what belongs to it."""
    layout = Layout.of(index_path, folders)
    name = str(layout.index)
    index = parse_index(read_bytes(layout.index), name)
    if len(index.plates) != 1:
        raise InvalidDataError(f"{name} describes {len(index.plates)} plates; a Harmony index describes one")
    if not index.images["id"]:
        raise InvalidDataError(f"{name} describes no image", hint="Export the measurement with its images.")
    plate = index.plates[0]
    warnings: list[str] = []
    found = read_planes(index, plate, layout, name, warnings, plate_format=options.plate_format)
    layouts, profiles = layout.companions()
    flatfields = _flatfields(index, profiles, layout, warnings)
    channels = channel_infos(index, found.channel_ids, flatfields, found.z_offsets_um, name, warnings)
    acquisition = acquisition_info(
        index,
        plate,
        found.channel_ids,
        name,
        warnings,
        ended_at=_latest(found.planes),
        z_step_um=found.z_step_um,
        time_interval_s=found.time_interval_s,
        pixel_size_um=options.pixel_size_um,
    )
    channels, about_roles = guess_roles(channels)
    annotation, annotated_by = _annotation(layouts, layout, found.n_rows, found.n_columns, warnings)
    barcode = plate.get("PlateID")
    version = harmony_version(index.root) or "V?"
    if version == COLUMBUS:
        warnings.append("a Columbus index does not say where y points; it is taken to point up, as in Harmony")
    return PlateExport(
        reader=HarmonyReader.name,
        vendor="PerkinElmer Columbus" if version == COLUMBUS else "PerkinElmer Harmony",
        format_version=version,
        root=str(layout.root),
        plate_id=slug(barcode or plate.get("Name") or layout.root.name),
        barcode=barcode,
        name=plate.get("Name"),
        plate_type=plate.get("PlateTypeName"),
        n_rows=found.n_rows,
        n_columns=found.n_columns,
        acquisitions=(acquisition,),
        channels=channels,
        planes=found.planes,
        fields=found.fields,
        annotation=annotation,
        annotation_files=annotated_by,
        metadata_files=tuple(layout.relative(p) for p in (layout.index, *layouts, *profiles)),
        warnings=(*warnings, *about_roles),
    )


def _latest(planes: pa.Table) -> datetime | None:
    latest: datetime | None = pc.max(planes["acquired_at"]).as_py()
    return latest.astimezone(UTC) if latest else None


def _combine(measurements: Sequence[PlateExport], root: Path) -> PlateExport:
    """Make the measurements of one plate its acquisitions, with files told relative to the folder above them.

    Raises
    ------
    InvalidDataError
        They call plates of different formats by one barcode.
    """
    ordered = sorted(
        measurements, key=lambda m: (m.acquisitions[0].started_at or datetime.min.replace(tzinfo=UTC), m.root)
    )
    first = ordered[0]
    for other in ordered[1:]:
        if (other.n_rows, other.n_columns) != (first.n_rows, first.n_columns):
            raise InvalidDataError(
                f"{first.root} and {other.root} both measure plate {first.plate_id}, one of {first.n_rows} × "
                f"{first.n_columns} wells and one of {other.n_rows} × {other.n_columns}",
                hint="Read the measurements one by one, or say which plate it was: --plate-format 8x12.",
            )
    of_id: dict[str, str] = {}
    copies = []
    for one in ordered:
        measurement_id = one.acquisitions[0].measurement_id
        if measurement_id and of_id.setdefault(measurement_id, one.root) != one.root:
            copies.append(f"{of_id[measurement_id]} and {one.root} hold the same measurement; both are kept")
    prefixes = [Path(m.root).relative_to(root).as_posix() for m in ordered]
    numbered = list(enumerate(zip(ordered, prefixes, strict=True), start=1))
    annotation, differing = _together(list(zip(prefixes, (m.annotation for m in ordered), strict=True)))
    types = {m.plate_type for m in ordered} - {None}
    if len(types) > 1:
        differing.append(f"measurements call the plate's type {', '.join(sorted(map(repr, types)))}; the first counts")

    def below(table: pa.Table, number: int, prefix: str) -> pa.Table:
        position = table.schema.get_field_index("acquisition_id")
        table = table.set_column(
            position, table.schema.field(position), pa.repeat(pa.scalar(number, pa.int32()), table.num_rows)
        )
        if "file" not in table.column_names:
            return table
        position = table.schema.get_field_index("file")
        files = pc.binary_join_element_wise(pa.scalar(prefix), table["file"], pa.scalar("/"))  # type: ignore[call-overload]
        return table.set_column(position, table.schema.field(position), files)

    return replace(
        first,
        root=str(root),
        plate_type=next((m.plate_type for m in ordered if m.plate_type), None),
        acquisitions=tuple(replace(m.acquisitions[0], acquisition_id=n) for n, (m, _) in numbered),
        channels=tuple(replace(c, acquisition_id=n) for n, (m, _) in numbered for c in m.channels),
        planes=pa.concat_tables([below(m.planes, n, p) for n, (m, p) in numbered]),
        fields=pa.concat_tables([below(m.fields, n, p) for n, (m, p) in numbered]),
        annotation=annotation,
        annotation_files=tuple(f"{p}/{f}" for _, (m, p) in numbered for f in m.annotation_files),
        metadata_files=tuple(f"{p}/{f}" for _, (m, p) in numbered for f in m.metadata_files),
        warnings=(*(f"{p}: {w}" for _, (m, p) in numbered for w in m.warnings), *copies, *differing),
    )


def _together(tables: Sequence[tuple[str, pa.Table]]) -> tuple[pa.Table, list[str]]:
    """Return the annotation of several measurements as one, and what differs.

    A layer that they give a well in different ways is kept once for each of them, with its folder behind its name.
    """
    told: dict[str, dict[str, dict[str, str]]] = {}
    for prefix, table in tables:
        for row in table.to_pylist():
            told.setdefault(row["layer"], {}).setdefault(prefix, {})[row["well_id"]] = row["value"]
    rows: list[tuple[str, str, str]] = []
    differing = []
    for layer, by_folder in told.items():
        wells = dict(item for values in reversed(by_folder.values()) for item in values.items())
        if all(wells[well] == value for values in by_folder.values() for well, value in values.items()):
            rows += [(well, layer, value) for well, value in sorted(wells.items())]
            continue
        names = [f"{layer} ({prefix})" for prefix in by_folder]
        differing.append(
            f"measurements differ in the layer {layer!r} of their assay layouts: kept as {', '.join(names)}"
        )
        for name, values in zip(names, by_folder.values(), strict=True):
            rows += [(well, name, value) for well, value in sorted(values.items())]
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    names_of = ("well_id", "layer", "value")
    return pa.table(dict(zip(names_of, columns, strict=True)), schema=ANNOTATION_SCHEMA), differing


def _flatfields(
    index: HarmonyIndex, profiles: list[Path], layout: Layout, warnings: list[str]
) -> dict[str, dict[str, Any]]:
    """Return channel -> parsed profile, from the index or, in older exports, the file of the same measurement."""
    texts = dict(index.flatfields)
    measurement = _MEASUREMENT_NUMBER.search(layout.root.name)
    for path in profiles:
        of = _MEASUREMENT_NUMBER.search(path.stem)
        if measurement and of and of.group(1) != measurement.group(1):
            continue
        try:
            for channel, text in parse_flatfields(read_bytes(path), layout.relative(path)).items():
                texts.setdefault(channel, text)
        except (NotAnExportError, SourceFileError) as error:
            warnings.append(f"flat-field file not used: {error.message}")
    found: dict[str, dict[str, Any]] = {}
    for channel, text in texts.items():
        try:
            found[channel] = acapella_to_json(parse_acapella(text))
        except AcapellaError as error:
            warnings.append(f"the flat-field profile of channel {channel} is not kept: {error}")
    return found


def _annotation(
    paths: list[Path], layout: Layout, n_rows: int, n_columns: int, warnings: list[str]
) -> tuple[pa.Table, tuple[str, ...]]:
    """Return the values of the assay layouts, and which were used; a broken one, or of another plate, is told."""
    values: dict[tuple[str, str], str] = {}
    used = []
    for path in paths:
        where = layout.relative(path)
        try:
            found = parse_assay_layout(read_bytes(path), where)
        except (NotAnExportError, SourceFileError) as error:
            warnings.append(f"assay layout not used: {error.message}")
            continue
        size = (found.rows or n_rows, found.columns or n_columns)
        if size != (n_rows, n_columns):
            warnings.append(
                f"assay layout {where} not used: it is of a plate of {size[0]} × {size[1]} wells, this one has "
                f"{n_rows} × {n_columns}"
            )
            continue
        outside = [v for v in found.values if not (1 <= v[1] <= n_rows and 1 <= v[2] <= n_columns)]
        if outside:
            warnings.append(
                f"assay layout {where} not used: it names row {outside[0][1]}, column {outside[0][2]}, "
                f"outside the plate of {n_rows} × {n_columns} wells"
            )
            continue
        used.append(where)
        for layer, row, column, text in found.values:
            known = values.setdefault((format_well(row, column), layer), text)
            if known != text:
                warnings.append(
                    f"assay layout {where}: {layer} of {format_well(row, column)} is {text!r} here and {known!r} "
                    "in a layout before; the first is kept"
                )
    wells, layers = zip(*values, strict=True) if values else ((), ())
    table = pa.table({"well_id": wells, "layer": layers, "value": list(values.values())}, schema=ANNOTATION_SCHEMA)
    return table, tuple(used)
