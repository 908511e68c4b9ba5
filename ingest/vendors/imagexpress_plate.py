"""One measurement of a MetaXpress plate: its images, its HTD if there is one, and the acquisitions they make."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ...errors import InvalidDataError, PixelSizeError
from ..channels import guess_roles
from ..export import AcquisitionInfo, ChannelInfo
from ..planes import BuiltPlanes, PlaneTables
from . import imagexpress_channels as optics
from .imagexpress_headers import Headers, Image
from .imagexpress_htd import Htd
from .imagexpress_kinds import PLANE, PROJECTION, STACK, Kind, sort_kinds
from .imagexpress_tiff import ImageHeader
from .pixel_size import overruled

_LIST_AT_MOST = 3
#: Distance of wells -> rows and columns: ANSI/SLAS 4 for 96 wells and more, the usual distances below.
_PITCHES_UM = {
    2_250: (32, 48), 4_500: (16, 24), 9_000: (8, 12), 13_000: (6, 8), 19_300: (4, 6), 26_000: (3, 4), 39_120: (2, 3),
}  # fmt: skip
_SAME_PITCH = 0.04


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The images of one plate in one folder.

    ``plate`` is how their names begin, ``identifier`` the name of the folder, ``htd_file`` where the HTD lies.
    """

    folder: str
    identifier: str
    plate: str
    images: tuple[Image, ...]
    htd: Htd | None = None
    htd_file: str | None = None

    def started_at(self) -> datetime:
        """Return when its first image was taken, for the order among others; last where no image says."""
        times = [i.facts.acquired_at for i in self.images if i.facts is not None and i.facts.acquired_at is not None]
        return min(times, default=datetime.max)

    def with_facts(self, headers: Headers) -> Measurement:
        """Return the measurement with what the headers say."""
        return replace(self, images=tuple(replace(i, facts=headers.facts.get(i.file)) for i in self.images))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One kind of one measurement, on its way to an acquisition."""

    acquisition_id: int
    measurement: Measurement
    kind: Kind
    headers: Mapping[int, ImageHeader]
    names: Mapping[int, str]
    z_step_um: float | None


def record(
    measurement: Measurement, headers: Headers, tables: PlaneTables, first_id: int, warnings: list[str]
) -> list[Recorded]:
    """Tell the planes of a measurement and return its kinds, numbered from ``first_id``."""
    kinds = sort_kinds(measurement.images, measurement.htd, measurement.folder, measurement.plate, warnings)
    places = _positions(measurement.images, warnings)
    waves = sorted({wave for kind in kinds for wave in kind.waves})
    any_header = {wave: header for kind in kinds for wave, header in _headers_of(kind, headers).items()}
    names = optics.wave_names(waves, any_header, measurement.htd)
    found = []
    for number, kind in enumerate(kinds, start=first_id):
        own = _headers_of(kind, headers)
        found.append(
            Recorded(
                acquisition_id=number,
                measurement=measurement,
                kind=kind,
                headers=own,
                names=names,
                z_step_um=_asked_step(kind, headers),
            )
        )
        index = {wave: position for position, wave in enumerate(kind.waves)}
        for plane in kind.planes:
            x_um, y_um = places.get((plane.row, plane.column, plane.site), (None, None))
            facts = plane.image.facts if plane.image is not None else None
            tables.add(
                acquisition_id=number,
                row=plane.row,
                column=plane.column,
                field_id=plane.site,
                timepoint=plane.timepoint,
                z=plane.z,
                channel_index=index[plane.wave],
                file=plane.file,
                x_um=x_um,
                y_um=y_um,
                z_um=facts.z_um if facts is not None else None,
                acquired_at=facts.acquired_at if facts is not None else None,
            )
    if any(i.facts is not None and i.facts.acquired_at is not None for i in measurement.images):
        _say(warnings, "times of acquisition name no time zone; they are taken as UTC")
    _say_shading(headers, warnings)
    return found


def _headers_of(kind: Kind, headers: Headers) -> dict[int, ImageHeader]:
    projected = kind.z_mode == PROJECTION
    return {
        wave: header
        for wave in kind.waves
        if (header := headers.samples.get((wave, projected)) or headers.samples.get((wave, not projected))) is not None
    }


def _say(warnings: list[str], warning: str) -> None:
    if warning not in warnings:
        warnings.append(warning)


def _say_shading(headers: Headers, warnings: list[str]) -> None:
    done = {wave for (wave, _), h in headers.samples.items() if _is_on(h.properties.get("ShadingCorrection"))}
    if done:
        waves = ", ".join(f"w{wave}" for wave in sorted(done))
        _say(warnings, f"MetaXpress corrected the shading of {waves} before it wrote the images")


def _is_on(text: str | None) -> bool:
    return (text or "off").strip().lower() not in ("off", "none", "")


def _positions(images: Iterable[Image], warnings: list[str]) -> dict[tuple[int, int, int], tuple[float, float]]:
    """Return the middle of each site relative to the middle of its well, µm, y down."""
    offsets: dict[tuple[int, int, int], tuple[float, float]] = {}
    stages: dict[tuple[int, int, int], tuple[float, float]] = {}
    sites = set()
    for image in images:
        place = (image.name.row, image.name.column, image.site)
        sites.add(place)
        if image.facts is not None and image.facts.offset_um is not None:
            offsets.setdefault(place, image.facts.offset_um)
        if image.facts is not None and image.facts.stage_um is not None:
            stages.setdefault(place, image.facts.stage_um)
    if sites <= offsets.keys():
        return offsets
    if offsets or not sites <= stages.keys():
        _say(warnings, "not all images say where in the well they were taken; those fields have no position")
        return offsets
    wells: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    for (row, column, _), stage in stages.items():
        wells[row, column].append(stage)
    middle = {well: (_middle(x for x, _ in at), _middle(y for _, y in at)) for well, at in wells.items()}
    _say(warnings, "images say where the stage was, not where the well is: positions are from the middle of its fields")
    return {
        place: (stage[0] - middle[place[:2]][0], stage[1] - middle[place[:2]][1]) for place, stage in stages.items()
    }


def plate_size(measurements: Sequence[Measurement], warnings: list[str]) -> tuple[int, int] | None:
    """Return rows and columns of the plate whose wells lie as far apart as these; ``None`` where that is not known."""
    pitches = [pitch for one in measurements for pitch in _pitches(one.images)]
    if not pitches:
        return None
    pitch = sorted(pitches)[len(pitches) // 2]
    size = next((size for um, size in _PITCHES_UM.items() if abs(pitch - um) < _SAME_PITCH * um), None)
    names = [image.name for one in measurements for image in one.images]
    if size is not None and any(n.row > size[0] or n.column > size[1] for n in names):
        return None
    if size is not None:
        warnings.append(
            f"the export does not say the size of the plate; its wells are {pitch / 1000:.3g} mm apart, as on one of "
            f"{size[0]} × {size[1]}"
        )
    return size


def _pitches(images: Iterable[Image]) -> list[float]:
    """Return the distance of neighbouring columns, and of rows, as the stage went."""
    wells: dict[tuple[int, int], tuple[float, float]] = {}
    for image in images:
        facts = image.facts
        if facts is not None and facts.stage_um is not None and facts.offset_um is not None:
            middle = (facts.stage_um[0] - facts.offset_um[0], facts.stage_um[1] - facts.offset_um[1])
            wells.setdefault((image.name.row, image.name.column), middle)
    found = []
    for axis in (0, 1):
        along = sorted((well[1 - axis], middle[axis]) for well, middle in wells.items())
        steps = along[-1][0] - along[0][0] if along else 0
        if steps:
            found.append((along[-1][1] - along[0][1]) / steps)
    return found


def _middle(values: Iterable[float]) -> float:
    known = sorted(values)
    return (known[0] + known[-1]) / 2


def acquisition(
    recorded: Recorded, built: BuiltPlanes, pixel_size_um: float | None, label: str | None, warnings: list[str]
) -> AcquisitionInfo:
    """Describe one kind of one measurement.

    Raises
    ------
    InvalidDataError
        No image tells its size, or that of its pixels and nobody else does.
    """
    where = recorded.measurement.folder or recorded.measurement.plate
    facts = [p.image.facts for p in recorded.kind.planes if p.image is not None and p.image.facts is not None]
    shapes = Counter(f.shape for f in facts)
    if not shapes:
        raise InvalidDataError(
            f"{where}: not one image of its {recorded.kind.z_mode}s is there to tell how large they are",
            hint="Copy the TIFF files beside the HTD file, with their folders.",
        )
    (height, width), usual = shapes.most_common(1)[0]
    if len(shapes) > 1:
        odd = next(
            p.file
            for p in recorded.kind.planes
            if p.image is not None and p.image.facts is not None and p.image.facts.shape != (height, width)
        )
        warnings.append(f"{len(facts) - usual} images are not {height} × {width} pixels as the others, first {odd}")
    size = _pixel_size([f.pixel_size_um for f in facts], pixel_size_um, where, warnings)
    header = next(iter(recorded.headers.values()), None)
    step = recorded.z_step_um
    if step is None and recorded.kind.z_mode == STACK:
        step = built.z_step_um(recorded.acquisition_id, warnings)
    started_at, ended_at = built.span(recorded.acquisition_id)
    htd = recorded.measurement.htd
    return AcquisitionInfo(
        acquisition_id=recorded.acquisition_id,
        height=height,
        width=width,
        pixel_size_x_um=size[0],
        pixel_size_y_um=size[1],
        z_step_um=step,
        z_mode=recorded.kind.z_mode,
        measurement_id=(htd.plate_identifier if htd else None) or recorded.measurement.identifier,
        name=label,
        started_at=started_at.astimezone(UTC) if started_at else None,
        ended_at=ended_at.astimezone(UTC) if ended_at else None,
        time_interval_s=built.time_interval_s(recorded.acquisition_id),
        instrument_manufacturer="Molecular Devices",
        instrument_model=optics.instrument(header),
        software=optics.software(header),
        modality=optics.modality(list(recorded.headers.values())),
        camera=optics.camera(header),
        magnification=optics.magnification(header),
        numerical_aperture=optics.numerical_aperture(header),
    )


def _pixel_size(
    told: Sequence[tuple[float, float | None] | None], given: float | None, where: str, warnings: list[str]
) -> tuple[float, float]:
    sizes = Counter(size for size in told if size is not None)
    if given is not None:
        doubt = overruled(given, sizes.most_common(1)[0][0], f"the images of {where}") if sizes else None
        if doubt is not None:
            _say(warnings, doubt)
        return given, given
    if not sizes:
        raise PixelSizeError(
            f"{where}: no image says how large its pixels are", hint="Give their side in µm: --pixel-size UM"
        )
    if len(sizes) > 1:
        listed = ", ".join(f"{x:g}" for (x, _), _ in sizes.most_common(_LIST_AT_MOST))
        warnings.append(f"images differ in the size of their pixels ({listed} µm); the most frequent one is recorded")
    (x, y), _ = sizes.most_common(1)[0]
    if y is None:
        _say(warnings, f"{where}: images say that a pixel is {x:g} µm wide and not how high; the same is taken")
    return x, x if y is None else y


def _asked_step(kind: Kind, headers: Headers) -> float | None:
    """Return the distance of planes that was asked for, which a projection of the stack tells, µm."""
    if kind.z_mode != STACK:
        return None
    samples = (headers.samples.get((wave, projected)) for wave in kind.waves for projected in (True, False))
    steps = {abs(header.number("Z Projection Step Size") or 0.0) for header in samples if header is not None} - {0.0}
    return steps.pop() if len(steps) == 1 else None


def channels(recorded: Recorded, warnings: list[str]) -> tuple[ChannelInfo, ...]:
    """Describe the channels of one kind, with their roles."""
    found, said = guess_roles(
        optics.channel_infos(
            recorded.kind.waves,
            recorded.headers,
            recorded.names,
            acquisition_id=recorded.acquisition_id,
            z_mode=recorded.kind.z_mode,
        )
    )
    for warning in said:
        _say(warnings, warning)
    return found


def labels(recorded: Sequence[Recorded]) -> list[str | None]:
    """Return a name for each acquisition: of what distinguishes it from the others of its plate."""
    folders = {r.measurement.folder for r in recorded}
    of_folder = Counter(r.measurement.folder for r in recorded)
    found = []
    for one in recorded:
        parts = [one.measurement.folder or one.measurement.plate] if len(folders) > 1 else []
        parts += [one.kind.z_mode] if of_folder[one.measurement.folder] > 1 or one.kind.z_mode != PLANE else []
        found.append(" ".join(parts) or None)
    return found
