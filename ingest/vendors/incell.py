"""IN Cell plates (GE, Cytiva) as vendor-neutral plates: ``.xdce`` of the Analyzers, and of MetaXpress for IN Carta.

What this module knows: the index counts fields, waves, planes and times from 0 and rows from 1, while file names and
people count fields from 1, so a field is ``field_index + 1``. Offsets from the middle of a well have y up (plates
stitch only after a flip); positions on the plate have y down, like its rows. A wave with several planes and one
without are acquisitions of their own. An index may name one file for every plane of a stack: that is one plane.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from ...errors import InvalidDataError, NotAnExportError, PixelSizeError, SourceFileError
from ...schemas.identifiers import format_well, slug
from ..channels import guess_roles
from ..export import AcquisitionInfo, ChannelInfo, PlateExport
from ..pixels import SourceFile
from ..planes import BuiltPlanes, ExportFiles, PlaneTables
from ..readers import Evidence, ReaderOptions
from ..sources import read_bytes
from .incell_facts import Positions, channels, creation, grouped, moment, wave_name
from .incell_files import ImageFiles, find_indexes
from .incell_index import XdceIndex, number, parse_xdce, whole, xdce_root
from .pixel_size import overruled

_FIRST_BYTES = 1 << 16
_TRIED_IMAGES = 5
_LARGEST_SIDE = 65_536
_KINDS = ("stack", "plane", "projection")
#: How much later than its index was created the first image may be, and by how much clocks may differ.
_LONGEST_START, _SAME_MOMENT = timedelta(minutes=50), timedelta(minutes=1)


class InCellReader:
    """Reads ``.xdce``, one per plate; several of one plate are its acquisitions."""

    name = "incell"

    def __init__(self, options: ReaderOptions | None = None) -> None:
        self._options = options or ReaderOptions()

    def with_options(self, options: ReaderOptions) -> Self:
        """Return a reader that takes pixel size and plate format from the user where the index lacks them."""
        return type(self)(options)

    def detect(self, path: Path) -> Evidence | None:
        """Look at the first bytes of an index; confidence 0 where a file of that name is something else."""
        index = next(iter(find_indexes(path, quick=True)), None)
        if index is None:
            return None
        try:
            with index.open("rb") as file:
                fact = xdce_root(file.read(_FIRST_BYTES), str(index))
        except NotAnExportError as error:
            return Evidence(reader=self.name, confidence=0.0, facts=(error.message,), index=str(index))
        except OSError as error:
            said = f"{index} cannot be read: {error.strerror}"
            return Evidence(reader=self.name, confidence=0.0, facts=(said,), index=str(index))
        return Evidence(reader=self.name, confidence=1.0, facts=(f"{index.name}: {fact}",), index=str(index))

    def read(self, path: Path) -> tuple[PlateExport, ...]:
        """Return the plates of the indexes in a folder, or in the folders directly below it."""
        found = find_indexes(path)
        if not found:
            raise NotAnExportError(f"{path} holds no IN Cell index", hint="Name the folder that holds the .xdce file.")
        plates: dict[str, list[_Measurement]] = defaultdict(list)
        for index_path in found:
            index = parse_xdce(read_bytes(index_path), str(index_path))
            plates[slug(index.plate_id or index_path.stem)].append(
                _Measurement(path=index_path.absolute(), index=index)
            )
        return tuple(_Plate(plate_id, measured, self._options).read() for plate_id, measured in plates.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measurement:
    """One index and where it lies."""

    path: Path
    index: XdceIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """The waves of one measurement that were imaged in one way; ``waves`` in the order of their channels.

    ``is_part``: the measurement has waves of other kinds too.
    """

    acquisition_id: int
    is_part: bool
    measurement: _Measurement
    z_mode: str
    waves: tuple[int, ...]


class _Plate:
    """Makes one plate of its measurements."""

    def __init__(self, plate_id: str, measurements: Sequence[_Measurement], options: ReaderOptions) -> None:
        self._plate_id = plate_id
        self._measurements = sorted(measurements, key=lambda m: m.path)
        self._options = options
        folders = [m.path.parent for m in self._measurements]
        self._root = folders[0] if len(set(folders)) == 1 else folders[0].parent
        self._warnings: list[str] = []

    def read(self) -> PlateExport:
        """Return the plate.

        Raises
        ------
        InvalidDataError
            The index lacks what a plate needs, or contradicts itself.
        """
        first = self._measurements[0]
        files = ExportFiles(self._root)
        tables = PlaneTables(str(first.path), files)
        kinds: list[_Kind] = []
        for measurement in self._measurements:
            own = self._kinds(measurement, len(kinds) + 1)
            self._add(measurement, own, tables, files)
            kinds += own
            self._look_at(measurement)
        built = tables.build(self._plate_size(), self._warnings)
        described: list[ChannelInfo] = []
        about_roles: dict[str, None] = {}
        for kind in kinds:
            named, said = guess_roles(channels(kind.measurement.index, kind.acquisition_id, kind.waves))
            described += named
            about_roles |= dict.fromkeys(said)
        self._tell_shared_names(described)
        return PlateExport(
            reader=InCellReader.name,
            vendor="Molecular Devices MetaXpress" if _is_metaxpress(first.index) else "IN Cell",
            format_version=first.index.fact("Application", "name") or "xdce",
            root=str(self._root),
            plate_id=self._plate_id,
            barcode=first.index.plate_id,
            name=first.index.plate_id or first.path.stem,
            plate_type=first.index.fact("Plate", "name"),
            n_rows=built.n_rows,
            n_columns=built.n_columns,
            acquisitions=tuple(self._acquisition(kind, built) for kind in kinds),
            channels=tuple(described),
            planes=built.planes,
            fields=built.fields,
            metadata_files=tuple(m.path.relative_to(self._root).as_posix() for m in self._measurements),
            warnings=(*dict.fromkeys(self._warnings), *about_roles),
        )

    # -- planes

    def _kinds(self, measurement: _Measurement, following: int) -> list[_Kind]:
        """Keep waves with several planes apart from those with one: a field's array has one depth."""
        depth: dict[int, int] = {}
        for (*_, wave), planes in grouped(measurement.index).items():
            depth[wave] = max(depth.get(wave, 0), len({image.file.lower() for image in planes}))
        modes = {w.index: (w.mode or "").lower() for w in measurement.index.wavelengths}

        def kind(wave: int) -> str:
            if depth[wave] > 1:
                return "stack"
            return "projection" if "2.5" in modes.get(wave, "") or "proj" in modes.get(wave, "") else "plane"

        waves = {mode: tuple(w for w in sorted(depth) if kind(w) == mode) for mode in _KINDS}
        present = [mode for mode in _KINDS if waves[mode]]
        if len(present) > 1:
            said = "; ".join(
                f"{mode}: {', '.join(wave_name(measurement.index, w) for w in waves[mode])}" for mode in present
            )
            self._warnings.append(f"channels were imaged in several ways, each is an acquisition of its own ({said})")
        return [
            _Kind(
                acquisition_id=following + i,
                measurement=measurement,
                z_mode=mode,
                waves=waves[mode],
                is_part=len(present) > 1,
            )
            for i, mode in enumerate(present)
        ]

    def _add(self, measurement: _Measurement, kinds: Sequence[_Kind], tables: PlaneTables, files: ExportFiles) -> None:
        index, name = measurement.index, str(measurement.path)
        folder = measurement.path.parent.relative_to(self._root).as_posix()
        images = ImageFiles(files, "" if folder == "." else folder)
        positions = Positions(index, name, self._warnings)
        starts, zoned = creation(index)
        day, time = index.fact("Creation", "date"), index.fact("Creation", "time")
        if starts is None and (day or time):
            said = " ".join(part for part in (day, time) if part)
            self._warnings.append(f"Creation is {said!r}, no moment: images have none that is counted from it")
        if starts is not None and not zoned and any(i.timestamp_s is None for i in index.images):
            self._warnings.append("the time of creation names no time zone; it is taken as UTC")
        of_wave = {wave: (kind, position) for kind in kinds for position, wave in enumerate(kind.waves)}
        repeated = 0
        for (row, column, field_index, time_index, wave), planes in grouped(index).items():
            kind, channel_index = of_wave[wave]
            seen: set[str] = set()
            for image in planes:
                if image.file.lower() in seen:
                    repeated += 1
                    continue
                seen.add(image.file.lower())
                if not image.file or image.file.lower().endswith(".im"):
                    raise InvalidDataError(
                        f"{name}: the image of well {format_well(row, column)} field {field_index + 1} is "
                        f"{image.file!r}; only TIFF is read",
                        hint="Export the plate as TIFF.",
                    )
                x_um, y_um = positions.of(image)
                tables.add(
                    acquisition_id=kind.acquisition_id,
                    row=row,
                    column=column,
                    field_id=field_index + 1,
                    channel_index=channel_index,
                    timepoint=time_index,
                    z=image.z_index if kind.z_mode == "stack" else 0,
                    file=images.locate(image.file, f"{name}, wave {wave}"),
                    x_um=x_um,
                    y_um=y_um,
                    z_um=image.focus_um,
                    acquired_at=moment(image, starts),
                )
        if repeated:
            self._warnings.append(
                f"{repeated} planes are entries of the index that name the file of another plane again; "
                "they are not planes"
            )

    def _plate_size(self) -> tuple[int | None, int | None]:
        if self._options.plate_format is not None:
            return self._options.plate_format
        index, name = self._measurements[0].index, str(self._measurements[0].path)
        rows = whole(index.fact("Plate", "rows"), f"{name}: rows of Plate")
        columns = whole(index.fact("Plate", "columns"), f"{name}: columns of Plate")
        return rows, columns

    # -- facts

    def _acquisition(self, kind: _Kind, built: BuiltPlanes) -> AcquisitionInfo:
        index, name = kind.measurement.index, str(kind.measurement.path)
        height, width = self._size(kind, built)
        pixel_y, pixel_x = self._pixel_size(index, name)
        number_of = kind.acquisition_id
        first, last = built.span(number_of)
        starts, _ = creation(index)
        step = None
        if kind.z_mode == "stack":
            step = built.z_step_um(number_of, self._warnings) or _told_step(kind, name)
        label = index.fact("AutoLeadAcquisitionProtocol", "name") or kind.measurement.path.stem
        uuid = index.fact("UUID", "value")
        application, version = index.fact("Application", "name"), index.fact("Application", "software_version")
        return AcquisitionInfo(
            acquisition_id=number_of,
            height=height,
            width=width,
            pixel_size_x_um=pixel_x,
            pixel_size_y_um=pixel_y,
            z_step_um=step,
            z_mode=kind.z_mode,
            measurement_id=f"{uuid}/{kind.z_mode}" if uuid and kind.is_part else uuid,
            name=f"{label} ({kind.z_mode})" if kind.is_part else label,
            started_at=self._began(index, starts, first),
            ended_at=last,
            time_interval_s=built.time_interval_s(number_of),
            operator=index.fact("Operator", "login") or index.fact("Operator", "name"),
            instrument_manufacturer="Molecular Devices"
            if _is_metaxpress(index)
            else "GE Healthcare"
            if (application or "").lower().startswith("in cell")
            else None,
            instrument_model=None if _is_metaxpress(index) else application,
            software=" ".join(part for part in (application, version) if part) or None,
            camera=index.fact("Camera", "name"),
            magnification=number(index.fact("ObjectiveCalibration", "magnification"), f"{name}: magnification"),
            numerical_aperture=number(
                index.fact("ObjectiveCalibration", "numerical_aperture"), f"{name}: numerical_aperture"
            ),
        )

    def _began(self, index: XdceIndex, told: datetime | None, first: datetime | None) -> datetime | None:
        """Return when the measurement began: as told, unless images that know their moment say that this cannot be.

        MetaXpress writes the local time of its clock and a time zone of 0, wherever it is.
        """
        if told is None or first is None or not any(i.timestamp_s is not None for i in index.images):
            return told or first
        if -_SAME_MOMENT <= first - told <= _LONGEST_START:
            return told
        self._warnings.append(
            f"Creation says {told:%Y-%m-%d %H:%M} UTC and the images {first:%Y-%m-%d %H:%M} UTC; the images count"
        )
        return first.astimezone(UTC)

    def _size(self, kind: _Kind, built: BuiltPlanes) -> tuple[int, int]:
        """Return height and width: what an image has, else what the index says."""
        index, name = kind.measurement.index, str(kind.measurement.path)
        sides = [whole(index.fact("Camera/Size", side), f"{name}: {side}") for side in ("height", "width")]
        told = (sides[0], sides[1]) if sides[0] and sides[1] else None
        there = [
            str(file)
            for file, size, number_of in zip(
                *(built.planes[c].to_pylist() for c in ("file", "size", "acquisition_id")), strict=True
            )
            if size is not None and number_of == kind.acquisition_id
        ]
        for file in there[:_TRIED_IMAGES]:
            try:
                found, _ = SourceFile(self._root / file).plane_format()
            except SourceFileError:
                continue
            if told is not None and found != told:
                self._warnings.append(
                    f"the index says images of {told[0]} × {told[1]} pixels, {file} has {found[0]} × {found[1]}; "
                    "check the pixel size"
                )
            return found
        if told is None or min(told) < 1 or max(told) > _LARGEST_SIDE:
            raise InvalidDataError(f"{name} says no size of its images that can be, and none can be read")
        return told

    def _pixel_size(self, index: XdceIndex, name: str) -> tuple[float, float]:
        width = number(index.fact("ObjectiveCalibration", "pixel_width"), f"{name}: pixel_width")
        height = number(index.fact("ObjectiveCalibration", "pixel_height"), f"{name}: pixel_height")
        given = self._options.pixel_size_um
        if given is not None:
            doubt = overruled(given, (width, height), name)
            self._warnings += [doubt] if doubt else []
            return given, given
        width, height = width or height, height or width
        if not width or not height or not (0.01 < width < 100 and 0.01 < height < 100):
            raise PixelSizeError(
                f"{name} says no pixel size that a microscope has ({width} × {height} µm)",
                hint="Give it with --pixel-size UM.",
            )
        return height, width

    # -- what is odd

    def _look_at(self, measurement: _Measurement) -> None:
        index = measurement.index
        if index.promised is not None and index.promised != len(index.images):
            self._warnings.append(f"the index announces {index.promised} images and lists {len(index.images)}")
        begins = [index.fact(tag, "begin") for tag in ("NamingRows", "NamingColumns")]
        if begins[0] not in (None, "A", "a") or begins[1] not in (None, "1", "01"):
            self._warnings.append(
                f"the microscope named rows from {begins[0] or 'A'} and columns from {begins[1] or '1'}; wells are "
                "called here by their place on the plate, the first is A01"
            )
        imaged = {(image.row, image.column) for image in index.images} & set(index.excluded)
        if imaged:
            wells = ", ".join(format_well(row, column) for row, column in sorted(imaged)[:3])
            self._warnings.append(f"{len(imaged)} wells that the protocol excludes have images: {wells}")
        listed = {image.wave_index for image in index.images}
        unknown = listed - {w.index for w in index.wavelengths}
        if unknown:
            self._warnings.append(f"waves {sorted(unknown)} have images and are not described")

    def _tell_shared_names(self, described: Sequence[ChannelInfo]) -> None:
        names = [(c.acquisition_id, c.name) for c in described]
        for shared in dict.fromkeys(n for n in names if names.count(n) > 1):
            ids = ", ".join(c.vendor_id for c in described if (c.acquisition_id, c.name) == shared)
            self._warnings.append(f"channels {ids} are all called {shared[1]!r}; their ids tell them apart")


def _is_metaxpress(index: XdceIndex) -> bool:
    """Tell an index that MetaXpress wrote for IN Carta: no IN Cell Analyzer was there."""
    return (index.fact("Application", "name") or "").lower().startswith("metaxpress")


def _told_step(kind: _Kind, name: str) -> float | None:
    """Return the distance of planes that the protocol states, µm."""
    index = kind.measurement.index
    steps = {w.z_step_um for w in index.wavelengths if w.index in kind.waves and w.z_step_um}
    step = steps.pop() if len(steps) == 1 else number(index.fact("ZDimensionParameters", "step"), f"{name}: step")
    return step if step and 0 < step < 1000 else None
