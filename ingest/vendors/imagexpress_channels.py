"""The waves and the optics of a MetaXpress plate: MetaMorph's properties in our words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from ..export import ChannelInfo
from .imagexpress_htd import Htd
from .imagexpress_kinds import PROJECTION
from .imagexpress_tiff import ImageHeader, as_number

_LIGHT = re.compile(r"(.+) (Intensity|Shutter)\Z")
_SHUTTER_FIRST = re.compile(r"Shutter, (.+)\Z")
_NANOMETRES = re.compile(r"(?<!\d)([3-8]\d\d)(?!\d)")
_MAGNIFICATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*[xX]\b")
_TRANSMITTED = re.compile(r"transmitted|bright[ _-]?field|(?<![a-z])(?:tl|bf)(?![a-z])", re.IGNORECASE)
_PHASE = re.compile(r"phase", re.IGNORECASE)
_COPY_OF = re.compile(r"(?:Copy of )+")


def channel_infos(
    waves: Sequence[int],
    headers: Mapping[int, ImageHeader],
    names: Mapping[int, str],
    *,
    acquisition_id: int,
    z_mode: str,
) -> tuple[ChannelInfo, ...]:
    """Return the channels of one acquisition, without roles; ``headers`` has one image of each wave that has any."""
    found = []
    for index, wave in enumerate(waves):
        header = headers.get(wave)
        facts = _optics(header, names[wave]) if header is not None else {}
        mode = header.properties.get("IXConfocal Module Disk") if header is not None else None
        if header is not None and z_mode == PROJECTION:
            mode = f"{header.properties.get('Z Projection Method', 'unknown')} projection"
        found.append(
            ChannelInfo(
                acquisition_id=acquisition_id,
                channel_index=index,
                name=names[wave],
                vendor_id=f"w{wave}",
                acquisition_mode=mode,
                **facts,  # type: ignore[arg-type]
            )
        )
    return tuple(found)


def wave_names(waves: Sequence[int], headers: Mapping[int, ImageHeader], htd: Htd | None) -> dict[int, str]:
    """Return what each wave is called: by the HTD, else by its illumination, else by its image where two share that."""
    told = {wave.number: wave.name for wave in htd.waves} if htd is not None else {}
    light = {w: headers[w].properties.get("_IllumSetting_") or None for w in waves if w in headers}
    shared = Counter(light.values())
    names = {}
    for wave in waves:
        name = told.get(wave) or light.get(wave)
        if wave in headers and not told.get(wave) and (name is None or shared[name] > 1):
            name = _COPY_OF.sub("", headers[wave].properties.get("image-name", "")).strip() or name
        names[wave] = name or f"w{wave}"
    return names


def _optics(header: ImageHeader, name: str) -> dict[str, float | int | str | None]:
    properties = header.properties
    source, power, shutter_open = _light_source(properties)
    in_name = _NANOMETRES.search(source) if source else None
    emission = header.number("wavelength")
    binning = header.number("camera-binning-x")
    bits = header.number("Camera Bit Depth") or header.number("bits-per-pixel")
    what = f"{name} {properties.get('_IllumSetting_', '')} {source if source and shutter_open else ''}"
    contrast = (
        "phase" if _PHASE.search(what)
        else "brightfield" if _TRANSMITTED.search(what)
        else "fluorescence" if emission is not None and 300 < emission < 2_000
        else None
    )  # fmt: skip
    is_transmitted = contrast in ("phase", "brightfield")
    return {
        "excitation_nm": float(in_name[1]) if in_name else None,
        "excitation_source": source,
        "excitation_power": power,
        "emission_nm": emission if emission is not None and 300 < emission < 2_000 and not is_transmitted else None,
        "emission_filter": properties.get("IXConfocal Module Emission Wheel") or None,
        "exposure_ms": header.exposure_ms(),
        "contrast_method": contrast,
        "binning": int(binning) if binning is not None and 1 <= binning <= 64 else None,
        "max_intensity": 2 ** int(bits) - 1 if bits is not None and 8 <= bits <= 16 else None,
    }


def _light_source(properties: Mapping[str, str]) -> tuple[str | None, float | None, bool]:
    """Return the one light that shone, its intensity, and whether its shutter is said to be open.

    Some instruments log the shutters as they were after the exposure, all closed: then the one light with an
    intensity above 0 counts.
    """
    lights: dict[str, dict[str, str]] = {}
    for key, value in properties.items():
        found, shutter = _LIGHT.fullmatch(key), _SHUTTER_FIRST.fullmatch(key)
        if found:
            lights.setdefault(found[1], {})[found[2]] = value
        elif shutter:
            lights.setdefault(shutter[1], {})["Shutter"] = value
    opened = [name for name, light in lights.items() if light.get("Shutter", "").lower() == "open"]
    powered = [name for name, light in lights.items() if (as_number(light.get("Intensity")) or 0) > 0]
    one = opened if len(opened) == 1 else [] if opened else powered
    if len(one) != 1:
        return None, None, False
    return one[0], as_number(lights[one[0]].get("Intensity")), bool(opened)


def magnification(header: ImageHeader | None) -> float | None:
    """Return the magnification that the name of the objective begins with."""
    found = _MAGNIFICATION.match(header.properties.get("_MagSetting_", "")) if header is not None else None
    return float(found[1]) if found else None


def numerical_aperture(header: ImageHeader | None) -> float | None:
    """Return the numerical aperture of the objective, ``None`` where it cannot be one."""
    value = header.number("_MagNA_") if header is not None else None
    return value if value is not None and 0 < value < 2 else None


def instrument(header: ImageHeader | None) -> str:
    """Return the model of the instrument, as far as the properties tell."""
    keys = header.properties if header is not None else {}
    if any(key.startswith("IXConfocal") for key in keys):
        return "ImageXpress Micro Confocal"
    return "ImageXpress Micro" if any(key.startswith("ImageXpress Micro") for key in keys) else "ImageXpress"


def modality(headers: Sequence[ImageHeader]) -> str | None:
    """Return ``spinning_disk_confocal`` or ``widefield`` where all waves were taken so."""
    disks = {h.properties.get("IXConfocal Module Disk", "").strip().upper()[:2] for h in headers}
    return {"IN": "spinning_disk_confocal", "OU": "widefield"}.get(disks.pop()) if len(disks) == 1 else None


def software(header: ImageHeader | None) -> str | None:
    """Return name and version of the software that wrote an image."""
    if header is None:
        return None
    told = header.told("Software Version")
    version = header.properties.get("ApplicationVersion")
    return told or (f"{header.properties.get('ApplicationName', 'MetaMorph')} {version}" if version else None)


def camera(header: ImageHeader | None) -> str | None:
    """Return the name of the camera."""
    found = re.search(r"Acquired from (.+?)[ \t]*$", header.description, re.M) if header else None
    return found[1] if found else None
