"""From places that names say to one plate: what counts from where, what is kept apart, and what the headers add.

Names promise nothing: the planes of a plate are those that are there. A field that lacks a channel which others have is
told as a warning. Stacks, projections and single planes become acquisitions of their own, as do images of another size
or type and what a name marks as another acquisition (Gen5's read steps); nothing is padded to fit.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...errors import InvalidDataError, PixelSizeError, UsageError
from ...schemas.identifiers import format_well, slug
from ..channels import guess_role, guess_roles
from ..export import AcquisitionInfo, ChannelInfo, PlateExport
from ..planes import BuiltPlanes, ExportFiles, PlaneTables
from ..readers import ReaderOptions
from .pattern_headers import Apart, Headers, kind_of, shown
from .pattern_names import Place
from .pattern_presets import Preset
from .pixel_size import overruled
from .tiff_header import TiffHeader

_CONTRAST_OF_ROLE = {"Phase": "phase", "Brightfield": "brightfield", "DIC": "dic"}
#: Folders whose names say nothing of the plate in them.
_NAMELESS = frozenset({"images", "image", "data", "essenfiles", "scandata", "projection", "tif", "tiff", "tiffs"})
_AXES = {"z": ("z", "z planes"), "c": ("channel", "channels"), "t": ("time point", "time points")}
_NUMBERS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """One page of a file, by numbers that count from 0."""

    place: Place
    page: int
    channel: str
    z: int
    timepoint: int


def split_plates(places: Iterable[Place], root: Path, preset: Preset) -> dict[str, list[Place]]:
    """Return plate name -> its places; what names leave open is called after the folder."""
    folder = _folder_name(root)
    found: dict[str, list[Place]] = {}
    for place in places:
        name = place.plate or folder
        if preset.numbers_plates and place.plate.isdigit():
            name = f"{folder}-{place.plate}"
        found.setdefault(name, []).append(place)
    return dict(sorted(found.items()))


def _folder_name(root: Path) -> str:
    names = [part for part in reversed(root.parts[1:]) if part.lower() not in _NAMELESS]
    return names[0] if names else "plate"


def plate_export(
    name: str,
    places: Sequence[Place],
    *,
    files: ExportFiles,
    preset: Preset,
    options: ReaderOptions,
    warnings: list[str],
) -> PlateExport:
    """Return one plate.

    Raises
    ------
    InvalidDataError
        A plane is told twice, some names say a time and others none, wells are numbers and the format is unknown, or
        the size of a pixel is.
    UsageError
        Pages of a file cannot be told apart.
    SourceFileError
        No file is a readable TIFF.
    """
    about = f"{files.root} ({preset.name})"
    placed = _with_wells(places, options.plate_format, about)
    headers = Headers(files, placed, warnings)
    times, interval_s = _timepoints(placed, about, warnings)
    images = _images(placed, times, headers, warnings)
    groups: dict[Apart, list[_Image]] = {}
    for image in images:
        groups.setdefault(headers.apart(image.place), []).append(image)
    keys = sorted(groups, key=lambda key: (_acquisition_order(key[0]), key[1:]))
    tables = PlaneTables(about, files)
    channels: list[ChannelInfo] = []
    for number, key in enumerate(keys, start=1):
        own = sorted({image.channel for image in groups[key]}, key=_natural)
        infos, about_roles = guess_roles(
            [_channel(preset, number, index, text, headers.of_channel(key, text)) for index, text in enumerate(own)]
        )
        channels += infos
        warnings += [text for text in about_roles if text not in warnings]
        for image in groups[key]:
            tables.add(
                row=image.place.row,
                column=image.place.column,
                field_id=image.place.field_id,
                channel_index=own.index(image.channel),
                file=image.place.file,
                acquisition_id=number,
                timepoint=image.timepoint,
                z=image.z,
                page=image.page,
                acquired_at=image.place.moment if image.place.has_clock else None,
            )
    built = tables.build(options.plate_format, warnings)
    for number, key in enumerate(keys, start=1):
        _warn_of_gaps(groups[key], number if len(keys) > 1 else None, warnings)
    if len(keys) > 1:
        listed = "; ".join(
            f"{number} = {key[1]} of {key[2]} × {key[3]} {key[4]}" + (f", {key[0]!r}" if key[0] else "")
            for number, key in enumerate(keys, start=1)
        )
        warnings.append(f"what differs is kept apart, as {len(keys)} acquisitions: {listed}")
    several_kinds = len({key[1] for key in keys}) > 1
    return PlateExport(
        reader="pattern",
        vendor=preset.vendor,
        format_version=preset.name,
        root=str(files.root),
        plate_id=slug(name),
        barcode=None,
        name=name,
        plate_type=None,
        n_rows=built.n_rows,
        n_columns=built.n_columns,
        acquisitions=tuple(
            _acquisition(number, key, headers.of_group(key), built, options, interval_s, several_kinds, about, warnings)
            for number, key in enumerate(keys, start=1)
        ),
        channels=tuple(channels),
        planes=built.planes,
        fields=built.fields,
        warnings=tuple(warnings),
    )


def _with_wells(places: Sequence[Place], plate_format: tuple[int, int] | None, about: str) -> list[Place]:
    """Return places with row and column, where a name only numbers the wells along the rows."""
    numbered = [place for place in places if place.well_number is not None]
    if not numbered:
        return list(places)
    if plate_format is None:
        raise InvalidDataError(
            f"{about}: the names number the wells ({numbered[0].file} is well {numbered[0].well_number}), and which "
            "well that is depends on the plate",
            hint="Say the format of the plate, such as --plate-format 384.",
        )
    n_rows, n_columns = plate_format
    return [place if place.well_number is None else _place_at(place, n_rows, n_columns, about) for place in places]


def _place_at(place: Place, n_rows: int, n_columns: int, about: str) -> Place:
    assert place.well_number is not None
    row, column = divmod(place.well_number - 1, n_columns)
    if row >= n_rows:
        raise InvalidDataError(
            f"{about}: {place.file} is well {place.well_number}; a plate of {n_rows} × {n_columns} has "
            f"{n_rows * n_columns}"
        )
    return replace(place, row=row + 1, column=column + 1)


def _listed(axes: Iterable[str]) -> str:
    return " and ".join(_AXES[axis][1] for axis in sorted(axes))


def _images(places: Sequence[Place], times: Sequence[int], headers: Headers, warnings: list[str]) -> list[_Image]:
    """Return the pages of all files; pages are what the name does not say."""
    heights = _ordinals([place.z for place in places], "z", warnings)
    images: list[_Image] = []
    paged: dict[str, list[str]] = {}
    for place, timepoint, z in zip(places, times, heights, strict=True):
        header = headers.of_file(place)
        if header is None or len(header.pages) == 1:
            images.append(_Image(place=place, page=0, channel=place.channel, z=z, timepoint=timepoint))
            continue
        told = header.axes or {"z"}
        taken = {
            axis
            for axis, is_named in (
                ("z", place.z is not None or place.projection),
                ("c", place.channel != ""),
                ("t", place.time is not None or place.moment is not None or place.elapsed_s is not None),
            )
            if is_named
        }
        if told & taken:
            raise UsageError(
                f"{place.file} has {len(header.pages)} pages ({_listed(told)}), and its name says the "
                f"{' and '.join(_AXES[axis][0] for axis in sorted(told & taken))} already",
                hint="Give a --pattern without that group, or save one plane per file.",
            )
        paged.setdefault(_listed(told), []).append(place.file)
        for page, (t, c, step) in zip(header.pages, header.steps, strict=True):
            channel = f"channel {c + 1}" if "c" in told else place.channel
            images.append(_Image(place=place, page=page, channel=channel, z=z + step, timepoint=timepoint + t))
    for what, files in paged.items():
        warnings.append(f"the pages of {len(files)} files are taken for their {what}: {shown(files)}")
    return images


def _ordinals(numbers: Sequence[int | None], what: str, warnings: list[str]) -> list[int]:
    """Return numbers that count from 0: less 1 where none is 0, in order where they are no count at all."""
    distinct = sorted({number for number in numbers if number is not None})
    if not distinct:
        return [0] * len(numbers)
    base = 0 if distinct[0] == 0 else 1
    if distinct[0] < 0 or distinct[-1] - base > 4 * len(distinct) + 16:
        if len(distinct) > 1:
            warnings.append(f"{what} is numbered {distinct[0]} to {distinct[-1]}, with gaps; it is counted in order")
        rank = {number: position for position, number in enumerate(distinct)}
        return [0 if number is None else rank[number] for number in numbers]
    return [0 if number is None else number - base for number in numbers]


def _timepoints(places: Sequence[Place], about: str, warnings: list[str]) -> tuple[list[int], float | None]:
    """Return the time point of each place, and the usual time between two where only elapsed times are known, s.

    Raises
    ------
    InvalidDataError
        Within one acquisition some names say a time and others none, or one of another kind.
    """
    _refuse_mixed_times(places, about)
    moments = sorted({place.moment for place in places if place.moment is not None})
    elapsed = sorted({place.elapsed_s for place in places if place.elapsed_s is not None})
    counted = _ordinals([place.time for place in places], "time", warnings)
    if any(place.has_clock for place in places):
        warnings.append("times of acquisition name no time zone; they are taken as UTC")
    if any(place.moment is not None and not place.has_clock for place in places):
        warnings.append("names say the day and not the time; such images have no time of acquisition")
    if elapsed:
        warnings.append("names say the time since the first image, not the day; images have no time of acquisition")
    of_moment = {moment: position for position, moment in enumerate(moments)}
    of_elapsed = {seconds: position for position, seconds in enumerate(elapsed)}
    times = [
        of_moment[place.moment] if place.moment is not None
        else of_elapsed[place.elapsed_s] if place.elapsed_s is not None
        else count
        for place, count in zip(places, counted, strict=True)
    ]  # fmt: skip
    steps = np.diff(np.asarray(elapsed, float))
    return times, float(np.median(steps)) if steps.size and not moments else None


def _refuse_mixed_times(places: Sequence[Place], about: str) -> None:
    """Refuse an image without a time among those of a series: it is not the first one's, nor any other's."""
    first: dict[tuple[str, str], dict[str, str]] = {}
    for place in places:
        said = (
            "a date" if place.moment is not None
            else "the time that passed" if place.elapsed_s is not None
            else "a time point" if place.time is not None
            else "no time"
        )  # fmt: skip
        first.setdefault((place.acquisition, kind_of(place)), {}).setdefault(said, place.file)
    mixed = next((kinds for kinds in first.values() if len(kinds) > 1), None)
    if mixed is not None:
        told = ", ".join(f"{file} {said}" for said, file in mixed.items())
        raise InvalidDataError(
            f"{about}: names of one series say different things of the time: {told}",
            hint="Move the files that do not belong to the series into a folder of their own.",
        )


def _channel(preset: Preset, acquisition_id: int, index: int, text: str, header: TiffHeader | None) -> ChannelInfo:
    name = preset.channel_name.format(text) if text else "channel 1"
    role = guess_role(name, None, None, None)
    contrast = preset.contrasts.get(text.lower()) or _CONTRAST_OF_ROLE.get(role or "")
    return ChannelInfo(
        acquisition_id=acquisition_id,
        channel_index=index,
        name=name,
        vendor_id=text or "1",
        excitation_nm=header.excitation_nm if header and contrast is None else None,
        emission_nm=header.emission_nm if header and contrast is None else None,
        contrast_method=contrast,
    )


def _acquisition(
    number: int,
    key: Apart,
    headers: Sequence[TiffHeader],
    built: BuiltPlanes,
    options: ReaderOptions,
    interval_s: float | None,
    several_kinds: bool,
    about: str,
    warnings: list[str],
) -> AcquisitionInfo:
    acquisition, kind, height, width, _ = key
    x_um, y_um = _pixel_size(headers, options.pixel_size_um, about, warnings)
    started_at, ended_at = built.span(number)

    def first(field: str) -> float | None:
        return next((value for header in headers if (value := getattr(header, field)) is not None), None)

    return AcquisitionInfo(
        acquisition_id=number,
        height=height,
        width=width,
        pixel_size_x_um=x_um,
        pixel_size_y_um=y_um,
        z_step_um=first("z_step_um"),
        z_mode=kind if several_kinds or kind == "projection" else None,
        name=acquisition or None,
        started_at=started_at,
        ended_at=ended_at,
        time_interval_s=interval_s or built.time_interval_s(number),
        magnification=first("magnification"),
        numerical_aperture=first("numerical_aperture"),
    )


def _pixel_size(
    headers: Sequence[TiffHeader], told: float | None, about: str, warnings: list[str]
) -> tuple[float, float]:
    sizes = Counter(header.pixel_size_um for header in headers if header.pixel_size_um is not None)
    found = sizes.most_common(1)[0][0] if sizes else None
    if told is not None:
        doubt = overruled(told, found, "the files")
        warnings += [doubt] if doubt and doubt not in warnings else []
        return told, told
    if found is None:
        resolution = next((header.resolution for header in headers if header.resolution), None)
        raise PixelSizeError(
            f"{about}: the files do not say the size of a pixel"
            + (f"; their resolution tag says {resolution}" if resolution else ""),
            hint="Say it with --pixel-size UM, the side of a pixel at the sample in µm.",
        )
    if any(header.is_tag and header.pixel_size_um == found for header in headers):
        side = f"{found[0]:g}" if found[0] == found[1] else f"{found[0]:g} × {found[1]:g}"
        text = f"the pixel size, {side} µm, is what the resolution tags say (--pixel-size overrules)"
        warnings += [text] if text not in warnings else []
    if len(sizes) > 1:
        warnings.append(f"channels differ in pixel size; {found[0]:g} × {found[1]:g} µm is recorded")
    return found


def _acquisition_order(text: str) -> tuple[bool, int, str]:
    """Sort by number, computed images (negative read steps) last."""
    number = int(text) if text.lstrip("-").isascii() and text.lstrip("-").isdigit() else 0
    return number < 0, abs(number), text


def _natural(text: str) -> list[tuple[bool, int, str]]:
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in _NUMBERS.split(text)]


def _warn_of_gaps(images: Sequence[_Image], acquisition_id: int | None, warnings: list[str]) -> None:
    """Tell fields that lack a channel which others have."""
    fields: dict[tuple[int, int, int], set[str]] = {}
    for image in images:
        place = image.place
        fields.setdefault((place.row, place.column, place.field_id), set()).add(image.channel)
    channels: Mapping[str, int] = Counter(channel for own in fields.values() for channel in own)
    for channel in sorted(channels, key=_natural):
        lacking = [
            f"{format_well(row, column)} field {number}"
            for (row, column, number), own in sorted(fields.items())
            if channel not in own
        ]
        if lacking:
            of = f" of acquisition {acquisition_id}" if acquisition_id else ""
            warnings.append(f"{len(lacking)} of {len(fields)} fields{of} lack channel {channel!r}: {shown(lacking)}")
