"""The channels of OME-XML images and the acquisition that they make: the schema's words for optics in ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from ..export import AcquisitionInfo, ChannelInfo
from ..moments import moment
from ..planes import BuiltPlanes
from .ome_model import OmeChannel, OmeDocument, OmeImage, OmeInstrument

_CONTRAST = {
    "brightfield": "brightfield", "phase": "phase", "dic": "dic", "darkfield": "darkfield",
    "fluorescence": "fluorescence",
}  # fmt: skip
_ILLUMINATION = {"epifluorescence": "fluorescence", "transmitted": "brightfield"}
_MODALITY = {
    "widefield": "widefield", "wide-field": "widefield", "spinningdiskconfocal": "spinning_disk_confocal",
    "laserscanningconfocalmicroscopy": "laser_scanning_confocal", "laserscanningconfocal": "laser_scanning_confocal",
    "slitscanconfocal": "confocal", "singleplaneilluminationmicroscopy": "light_sheet", "spim": "light_sheet",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A plate acquisition, as the document describes it."""

    name: str | None = None
    vendor_id: str | None = None
    started_at: str | None = None
    ended_at: str | None = None


@dataclass(slots=True)
class AcquisitionChannels:
    """The channels of one acquisition, gathered image by image.

    A channel is known by its name, the second of a name by that, and a nameless one by its number: a well that was
    imaged in fewer channels has the same ones as its neighbours.
    """

    acquisition_id: int
    infos: list[ChannelInfo] = field(default_factory=list)
    _known: dict[tuple[str, int], int] = field(default_factory=dict)

    def indices(self, image: OmeImage, document: OmeDocument) -> list[int]:
        """Return the channel index of each of the image's channels."""
        found: list[int] = []
        seen: dict[str, int] = {}
        for number in range(image.size_c):
            channel = image.channels[number] if number < len(image.channels) else OmeChannel()
            name = channel.name or channel.fluor or ""
            seen[name] = seen.get(name, -1) + 1
            key = (name, seen[name] if name else number)
            if key not in self._known:
                self._known[key] = len(self.infos)
                self.infos.append(self._info(number, channel, image, document))
            found.append(self._known[key])
        return found

    def _info(self, number: int, channel: OmeChannel, image: OmeImage, document: OmeDocument) -> ChannelInfo:
        parts = document.instruments.get(image.instrument_id or "", OmeInstrument()).parts
        exposures = (p.exposure_s for (c, _, _), p in image.planes.items() if c == number and p.exposure_s is not None)
        exposure = next(exposures, None)
        index = len(self.infos)
        return ChannelInfo(
            acquisition_id=self.acquisition_id,
            channel_index=index,
            name=channel.name or channel.fluor or f"Channel {number}",
            vendor_id=str(index),
            dye=channel.fluor,
            excitation_nm=channel.excitation_nm,
            excitation_source=parts.get(channel.light_source_id or ""),
            emission_nm=channel.emission_nm,
            emission_filter=parts.get(channel.emission_filter_id or ""),
            exposure_ms=None if exposure is None else round(exposure * 1000, 6),
            contrast_method=_contrast(channel),
            acquisition_mode=channel.acquisition_mode,
            binning=channel.binning,
            color=channel.color,
        )


def _contrast(channel: OmeChannel) -> str | None:
    if channel.contrast_method:
        return _CONTRAST.get(channel.contrast_method.lower(), "other")
    return _ILLUMINATION.get((channel.illumination or "").lower())


def acquisition_of(
    number: int,
    images: Sequence[tuple[OmeImage, OmeDocument]],
    run: Run,
    built: BuiltPlanes,
    *,
    pixel_size_um: tuple[float, float],
    z_mode: str | None,
    warnings: list[str],
) -> AcquisitionInfo:
    """Return an acquisition; what differs between its images is what the first one says."""
    first, document = images[0]
    instrument = document.instruments.get(first.instrument_id or "", OmeInstrument())
    if first.instrument_id is None and len(document.instruments) == 1:
        (instrument,) = document.instruments.values()
    objective = instrument.objectives.get(first.objective_id or "")
    earliest, latest = built.span(number)
    started, ended = moment(run.started_at)[0], moment(run.ended_at)[0]
    if started is None:
        began = [moment(image.acquired_at)[0] for image, _ in images]
        started = min((time for time in (earliest, *began) if time is not None), default=None)
    nominal = [image.pixel_size_z_um for image, _ in images if image.size_z > 1 and image.pixel_size_z_um]
    step = built.z_step_um(number, warnings) or (nominal[0] if nominal else None)
    detectors = {instrument.parts.get(c.detector_id or "") for c in first.channels}
    return AcquisitionInfo(
        acquisition_id=number,
        height=first.size_y,
        width=first.size_x,
        pixel_size_x_um=pixel_size_um[0],
        pixel_size_y_um=pixel_size_um[1],
        z_step_um=step,
        z_mode=z_mode,
        measurement_id=run.vendor_id,
        name=run.name,
        started_at=started,
        ended_at=ended or latest,
        time_interval_s=built.time_interval_s(number) or _interval([image for image, _ in images]),
        instrument_manufacturer=instrument.manufacturer,
        instrument_model=instrument.model,
        software=document.creator,
        modality=_modality(first),
        camera=detectors.pop() if len(detectors) == 1 else None,
        magnification=objective.magnification if objective else None,
        numerical_aperture=objective.numerical_aperture if objective else None,
    )


def _interval(images: Sequence[OmeImage]) -> float | None:
    """Return the usual time between two time points, s, by the planes' own clocks or as it was set."""
    steps = [
        later.delta_s - plane.delta_s
        for image in images
        for (c, z, t), plane in image.planes.items()
        if plane.delta_s is not None
        and (later := image.planes.get((c, z, t + 1))) is not None
        and later.delta_s is not None
        and later.delta_s > plane.delta_s
    ]
    if steps:
        return round(median(steps), 6)
    return next((i.time_increment_s for i in images if i.size_t > 1 and (i.time_increment_s or 0) > 0), None)


def _modality(image: OmeImage) -> str | None:
    """Return how the fluorescence was imaged; ``brightfield`` when there is nothing else, ``mixed`` for several."""
    told = [c for c in image.channels if c.acquisition_mode]
    lit = [c for c in told if _contrast(c) != "brightfield"]
    if told and not lit:
        return "brightfield"
    found = {_MODALITY.get((c.acquisition_mode or "").replace(" ", "").lower(), "other") for c in lit}
    return None if not found else found.pop() if len(found) == 1 else "mixed"
