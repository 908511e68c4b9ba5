"""How depth was recorded in an HCS.ai acquisition, wavelength by wavelength, and what its channels are.

No file says which images are projections. A wavelength with several heights is a stack; one image of a wavelength that
is a stack elsewhere in the run, or that took several slices, is its projection.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..export import ChannelInfo
from .hcsai_files import ImageRow, Jdce, Protocol, ProtocolChannel, Wavelength

STACKS = "experiment_z_stack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One experiment folder; ``folder`` and ``files`` are relative to the root."""

    folder: str
    jdce: Jdce
    rows: tuple[ImageRow, ...]
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What becomes one acquisition: the wavelengths of one experiment that were recorded in one way."""

    experiment: Experiment
    z_mode: str
    waves: tuple[int, ...]
    rows: tuple[ImageRow, ...]


def parts(experiments: Sequence[Experiment], protocol: Protocol, warnings: list[str]) -> list[Part]:
    """Sort the wavelengths of each experiment by how depth was recorded; a copy is left out with a warning."""
    heights = {e.folder: _heights(e) for e in experiments}
    stacked = {wave for by_wave in heights.values() for wave, zs in by_wave.items() if len(zs) > 1}
    single = {wave for e in experiments if e.folder.lower() != STACKS for wave in heights[e.folder]}
    found = []
    for experiment in experiments:
        modes: dict[str, list[int]] = defaultdict(list)
        for wave, zs in sorted(heights[experiment.folder].items()):
            if len(zs) == 1 and experiment.folder.lower() == STACKS and wave in single:
                warnings.append(f"wavelength {wave} is no stack; its copy in {experiment.folder} is left out")
                continue
            modes[_z_mode(experiment, wave, len(zs), stacked, protocol)].append(wave)
        for z_mode in ("stack", "projection", "plane"):
            waves = tuple(modes[z_mode])
            rows = tuple(row for row in experiment.rows if row.wavelength in waves)
            if rows:
                found.append(Part(experiment=experiment, z_mode=z_mode, waves=waves, rows=rows))
    return found


def _heights(experiment: Experiment) -> dict[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    for row in experiment.rows:
        found[row.wavelength].add(row.z_index)
    return found


def _z_mode(experiment: Experiment, wave: int, n_heights: int, stacked: set[int], protocol: Protocol) -> str:
    """Tell how one wavelength was recorded; one image where several heights were taken is their projection."""
    if n_heights > 1:
        return "stack"
    asked = _asked(wave, experiment.jdce, protocol)
    collection = (asked.z_collection or "").lower() if asked is not None else ""
    told = _wavelength(experiment.jdce, wave)
    several = told is not None and told.n_slices > 1
    if wave in stacked or several or ("project" in collection and experiment.jdce.n_slices > 1):
        return "projection"
    return "plane"


def _wavelength(jdce: Jdce, wave: int) -> Wavelength | None:
    return next((w for w in jdce.wavelengths if w.index == wave), None)


def _asked(wave: int, jdce: Jdce, protocol: Protocol) -> ProtocolChannel | None:
    """Return the protocol's channel of a wavelength: both are in one order, where they are as many."""
    if len(protocol.channels) != len(jdce.wavelengths):
        return None
    indices = sorted(w.index for w in jdce.wavelengths)
    return protocol.channels[indices.index(wave)] if wave in indices else None


def channels(part: Part, number: int, protocol: Protocol) -> tuple[ChannelInfo, ...]:
    """Describe the channels of acquisition ``number``, without roles."""
    jdce = part.experiment.jdce
    names = _names(jdce, protocol, part.rows)
    exposures: Mapping[int, float | None] = {row.wavelength: row.exposure_ms for row in reversed(part.rows)}
    found = []
    for index, wave in enumerate(part.waves):
        told, asked = _wavelength(jdce, wave), _asked(wave, jdce, protocol)
        exposure = exposures[wave]
        if asked is not None and asked.exposure_ms is not None and exposure in (None, float(int(asked.exposure_ms))):
            exposure = asked.exposure_ms  # the CSV has whole milliseconds only
        emission = told.emission_nm if told is not None else None
        light = f"{names[wave]} {asked.illumination if asked is not None else ''}"
        is_transmitted = re.search(r"transmitted|bright ?field|(?<![a-z])tl(?![a-z])", light, re.IGNORECASE) is not None
        mode = told.imaging_mode if told is not None else None
        found.append(
            ChannelInfo(
                acquisition_id=number,
                channel_index=index,
                name=names[wave],
                vendor_id=f"w{wave}",
                excitation_nm=told.excitation_nm if told is not None and not is_transmitted else None,
                excitation_source=asked.illumination if asked is not None else None,
                emission_nm=None if is_transmitted else emission,
                exposure_ms=exposure,
                excitation_power=asked.power if asked is not None else None,
                contrast_method="brightfield" if is_transmitted else "fluorescence" if emission else None,
                acquisition_mode="projection" if part.z_mode == "projection" else mode,
                binning=jdce.binning,
                color=asked.color if asked is not None else None,
            )
        )
    return tuple(found)


def _names(jdce: Jdce, protocol: Protocol, rows: Sequence[ImageRow]) -> dict[int, str]:
    """Return what each wavelength is called: as the user called it, else by its filter."""
    filters = {row.wavelength: row.filter_name for row in reversed(rows)}
    names: dict[int, str] = {}
    for wave in {w.index for w in jdce.wavelengths} | filters.keys():
        told, asked = _wavelength(jdce, wave), _asked(wave, jdce, protocol)
        user = asked.name if asked is not None else None
        names[wave] = user or (told.name if told is not None else None) or filters.get(wave) or f"w{wave}"
    return names
