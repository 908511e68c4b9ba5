"""Yokogawa CellVoyager measurements (CV7000, CV8000, CQ1, CQ3K) as vendor-neutral plates.

The record list ``MeasurementData.mlf`` is the truth of what was imaged: what other files define and no record names was
not acquired. This module and its neighbours ``cellvoyager_*`` know that a stage's Y points up while an image's rows
count down, that ``TimePoint`` counts through the time lines, that a projection is no plane of its stack, and that a
field *is* its ``FieldIndex``: numbers have gaps where the autofocus failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import InvalidDataError, NotAnExportError
from ...schemas.identifiers import slug
from ..export import AcquisitionInfo, ChannelInfo, PlateExport
from ..planes import ExportFiles, PlaneTables
from ..readers import Evidence, ReaderOptions
from .cellvoyager_files import Measurement, find_indexes, read_measurement
from .cellvoyager_index import plate_size
from .cellvoyager_part import Part
from .cellvoyager_xml import check_root

_FIRST_BYTES = 1 << 16
#: What the software calls a plate that nobody named.
_NO_NAME = "noplateid"


class CellVoyagerReader:
    """Reads ``MeasurementData.mlf`` and what stands beside it."""

    name = "cellvoyager"

    def __init__(self, options: ReaderOptions | None = None) -> None:
        self._options = options or ReaderOptions()

    def with_options(self, options: ReaderOptions) -> CellVoyagerReader:
        """Return a reader that takes the pixel size and the plate format that the user names."""
        return CellVoyagerReader(options)

    def detect(self, path: Path) -> Evidence | None:
        """Look at the first bytes of a record list; confidence 0 where a file of that name is something else."""
        found = find_indexes(path, bounded=True)
        if not found.indexes:
            if not found.details:
                return None
            detail = found.details[0]
            return self._evidence(0.0, detail, f"{detail.name} is there, but no MeasurementData.mlf")
        index = found.indexes[0]
        try:
            with index.open("rb") as file:
                check_root(file.read(_FIRST_BYTES), str(index), "MeasurementData")
        except NotAnExportError as error:
            return self._evidence(0.0, index, error.message)
        except OSError as error:
            return self._evidence(0.0, index, f"{index} cannot be read: {error.strerror}")
        facts = [f"{index.name}: Yokogawa MeasurementData"]
        if len(found.indexes) > 1:
            facts.append(f"{len(found.indexes)} measurements")
        return self._evidence(1.0, index, *facts)

    def _evidence(self, confidence: float, index: Path, *facts: str) -> Evidence:
        return Evidence(reader=self.name, confidence=confidence, facts=facts, index=str(index))

    def read(self, path: Path) -> tuple[PlateExport, ...]:
        """Return the plate of one measurement, or the plates of those below ``path``.

        Measurements of one plate (same name in the ``.wpi`` or ``.mrf``) become acquisitions of one export, in the
        order of their start.
        """
        there = find_indexes(path)
        indexes, left_out = there.indexes, there.left_out()
        if not indexes:
            raise NotAnExportError(
                "; ".join([f"{path} holds no MeasurementData.mlf", *left_out]),
                hint="Name the folder that holds MeasurementData.mlf and the images, or the one above it.",
            )
        root = indexes[0].parent if len(indexes) == 1 else path
        files = ExportFiles(root)
        plates: dict[str, list[tuple[Measurement, list[str]]]] = {}
        for index in indexes:
            warnings = list(left_out)
            measurement = read_measurement(index, files, warnings)
            plates.setdefault(_plate_name(measurement), []).append((measurement, warnings))
        return tuple(_export(name, found, files, self._options) for name, found in plates.items())


def _plate_name(measurement: Measurement) -> str:
    """Return what the plate is called; a measurement of an unnamed plate is a plate of its own."""
    told = measurement.plate.get("Name") or (measurement.detail.plate.get("Name") if measurement.detail else None)
    if told and told.lower() != _NO_NAME:
        return told
    title = measurement.detail.facts.get("Title") if measurement.detail else None
    return title or measurement.index.parent.name


def _export(
    plate_name: str, found: Sequence[tuple[Measurement, list[str]]], files: ExportFiles, options: ReaderOptions
) -> PlateExport:
    """Put the measurements of one plate together."""
    ordered = sorted(found, key=lambda one: (one[0].began, one[0].index))
    tables = PlaneTables(str(ordered[0][0].index if len(ordered) == 1 else files.root), files)
    parts: list[Part] = []
    for measurement, told in ordered:
        first = 1 + sum(len(part.acquisitions) for part in parts)
        parts.append(Part.of(measurement, first, files, options, told))
        parts[-1].tell(tables)
    # Who says what, where several measurements speak of one plate.
    warnings = [
        f"{part.measurement.locator.prefix.rstrip('/')}: {warning}" if len(parts) > 1 else warning
        for part in parts
        for warning in part.warnings
    ]
    if len(parts) > 1:
        folders = ", ".join(part.measurement.locator.prefix.rstrip("/") for part in parts)
        warnings.append(f"{folders} all name the plate {plate_name}; they are taken as measurements of one plate")
    built = tables.build(options.plate_format or _agreed_size(plate_name, parts, warnings), warnings)
    acquisitions: list[AcquisitionInfo] = []
    channels: list[ChannelInfo] = []
    for part in parts:
        part.describe(built, acquisitions, channels, warnings)
    plate, product = ordered[0][0].plate, ordered[0][0].product
    return PlateExport(
        reader=CellVoyagerReader.name,
        vendor="Yokogawa CellVoyager",
        format_version=_version(ordered[0][0]),
        root=str(files.root),
        plate_id=slug(plate_name),
        barcode=plate.get("Barcode"),
        name=plate_name,
        plate_type=" ".join(filter(None, (product.get("Manufacturer"), product.get("Name")))) or None,
        n_rows=built.n_rows,
        n_columns=built.n_columns,
        acquisitions=tuple(acquisitions),
        channels=tuple(channels),
        planes=built.planes,
        fields=built.fields,
        metadata_files=tuple(file for part in parts for file in part.measurement.metadata_files),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _agreed_size(plate_name: str, parts: Sequence[Part], warnings: list[str]) -> tuple[int | None, int | None]:
    """Return rows and columns of the plate; raises InvalidDataError when its measurements differ in them."""
    sizes = {str(part.measurement.index): _plate_size(part.measurement, warnings) for part in parts}
    known = {index: size for index, size in sizes.items() if all(size)}
    if len(set(known.values())) > 1:
        shown = ", ".join(f"{index} {rows} × {columns}" for index, (rows, columns) in known.items())
        raise InvalidDataError(
            f"measurements of a plate called {plate_name} differ in its rows and columns: {shown}",
            hint="These are several plates of one name; ingest their measurements one by one, each with --plate.",
        )
    return next(iter((known or {index: size for index, size in sizes.items() if any(size)}).values()), (None, None))


def _plate_size(measurement: Measurement, warnings: list[str]) -> tuple[int | None, int | None]:
    """Return rows and columns of the plate: of its make, else as it was measured; the half where no file says both."""
    files = {
        "the .wpp": measurement.product,
        "the .wpi": measurement.plate,
        "the .mrf": measurement.detail.facts if measurement.detail else {},
        "the .mes": measurement.setting.facts if measurement.setting else {},
    }
    told: dict[str, tuple[int | None, int | None]] = {}
    for file, facts in files.items():
        try:
            told[file] = plate_size(facts, file)
        except InvalidDataError as error:
            warnings.append(f"{error.message}; what it says of the plate's size is not used")
    known = {file: size for file, size in told.items() if all(size)}
    half = {file: size for file, size in told.items() if any(size) and not all(size)}
    for file, (rows, columns) in half.items():
        warnings.append(f"{file} says {rows or 'no'} rows and {columns or 'no'} columns of the plate")
    if len(set(known.values())) > 1:
        shown = ", ".join(f"{file} {rows} × {columns}" for file, (rows, columns) in known.items())
        warnings.append(f"files differ in the rows and columns of the plate ({shown}); the first is believed")
    return next(iter((known or half).values()), (None, None))


def _version(measurement: Measurement) -> str:
    """Return the schema's version, with the instrument and the release that wrote the measurement."""
    facts = measurement.detail.facts if measurement.detail else {}
    wrote = " ".join(filter(None, (facts.get("TargetSystem"), facts.get("ReleaseNumber"))))
    return f"{measurement.data.version} ({wrote})" if wrote else measurement.data.version
