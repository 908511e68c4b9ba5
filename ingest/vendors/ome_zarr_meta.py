"""OME-Zarr metadata of versions 0.1 to 0.5 as bytes in, one set of values out: plates, wells, images.

What 0.4 keeps in ``.zattrs`` and 0.5 in ``zarr.json`` under ``ome`` is the same to everyone after this module. Lengths
come out in µm, times in s; an axis without a unit, and a scale that is not there, stay unknown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ...errors import InvalidDataError, NotAnExportError
from ..sources.zarr_layout import parse_json

_DAMAGED = "Copy the plate again from where it was written."
#: What reading a document raises that is not shaped as expected.
_MALFORMED = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError)
_KINDS = ("plate", "well", "multiscales", "bioformats2raw.layout", "labels")
_OTHERS = {"multiscales": "one image", "well": "one well", "bioformats2raw.layout": "a set of images without a plate"}
_COLOR = re.compile(r"#?([0-9A-Fa-f]{6})(?:[0-9A-Fa-f]{2})?\Z")
_WORDS = re.compile(r"[\x00-\x1f\x7f]+")
_LONGEST_WORDS = 300
_FAR = 1e12
_TO_UM = {
    "angstrom": 1e-4, "picometer": 1e-6, "nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3, "centimeter": 1e4,
    "decimeter": 1e5, "meter": 1e6, "inch": 25_400.0,
    "nm": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "microns": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6,
    "nanometre": 1e-3, "micrometre": 1.0, "millimetre": 1e3, "metre": 1e6,
}  # fmt: skip
_TO_S = {
    "nanosecond": 1e-9, "microsecond": 1e-6, "millisecond": 1e-3, "second": 1.0, "minute": 60.0, "hour": 3600.0,
    "day": 86_400.0, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ZarrWell:
    """A well of a plate: its folder, and the names of its row and column."""

    path: str
    row: str
    column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ZarrAcquisition:
    """A measurement as the plate lists it; ``number`` is its own, which counts from 0 as a rule."""

    number: int
    name: str | None
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ZarrPlate:
    """A plate. ``rows`` and ``columns`` are the names that it lists, which need not be all that the plate has."""

    version: str
    name: str | None
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    wells: tuple[ZarrWell, ...]
    acquisitions: tuple[ZarrAcquisition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ZarrField:
    """An image of a well: its folder in it, and the measurement where that is said."""

    path: str
    acquisition: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ZarrAxis:
    """An axis of an image: step and origin in µm, s or 1; ``unit`` is None where none is said."""

    name: str
    unit: str | None
    step: float | None
    origin: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ZarrChannel:
    """A channel as ``omero`` describes it; ``key`` is an id that some writers give."""

    name: str | None
    color: str | None
    key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFacts:
    """What cytolake keeps beside the NGFF metadata of a field that it wrote; its level 0 may lie in another plate."""

    field_id: int
    roles: tuple[str | None, ...]
    stage_um: tuple[float, float, float] | None
    z_step_um: float | None
    missing: frozenset[tuple[int, int, int]]
    refers_to: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ZarrImage:
    """An image: ``path`` is the folder of its full-size array, ``others`` counts multiscales that are not taken."""

    path: str
    axes: tuple[ZarrAxis, ...]
    channels: tuple[ZarrChannel, ...]
    others: int
    own: OwnFacts | None


def group_attributes(data: bytes, name: str) -> tuple[dict[str, Any], str | None]:
    """Return the NGFF metadata of a group (``.zattrs`` or ``zarr.json``), and its version where that is said.

    Raises
    ------
    SourceFileError
        It is no JSON object.
    """
    document = parse_json(data, name)
    if document.get("zarr_format") == 3 and "attributes" in document:
        found = document["attributes"]
        document = found if isinstance(found, dict) else {}
    version = None
    ome = document.get("ome")
    if isinstance(ome, dict):
        version = ome.get("version")
        document = {**ome, "cytolake": document.get("cytolake")}
    return document, version if isinstance(version, str) else None


def group_kind(data: bytes, name: str) -> str | None:
    """Say what a group is: ``plate``, ``well``, ``multiscales``, ``bioformats2raw.layout``, ``labels`` or None."""
    attributes, _ = group_attributes(data, name)
    return next((kind for kind in _KINDS if kind in attributes), None)


def parse_plate(data: bytes, name: str) -> ZarrPlate:
    """Read the metadata of a plate.

    Raises
    ------
    NotAnExportError
        It is no plate.
    SourceFileError, InvalidDataError
        It is damaged, or of a version that is not read.
    """
    attributes, version = group_attributes(data, name)
    if "plate" not in attributes:
        other = next((_OTHERS[kind] for kind in _KINDS if kind in attributes and kind in _OTHERS), "something else")
        raise NotAnExportError(f"{name} is no OME-Zarr plate, but {other}")
    try:
        body = attributes["plate"]
        said = version or body.get("version") or ("0.5" if isinstance(attributes.get("ome"), dict) else "0.4")
        _check_version(str(said), name)
        rows, columns = (tuple(_text(one["name"], name) or "" for one in body[side]) for side in ("rows", "columns"))
        return ZarrPlate(
            version=str(said),
            name=_text(body.get("name"), name),
            rows=rows,
            columns=columns,
            wells=tuple(_well(one, rows, columns) for one in body["wells"]),
            acquisitions=tuple(_acquisition(one, name) for one in body.get("acquisitions") or ()),
        )
    except _MALFORMED as error:
        raise _malformed(error, "plate", name) from error


def _well(one: Mapping[str, Any], rows: Sequence[str], columns: Sequence[str]) -> ZarrWell:
    """Read a well. Its place is what its row and column are *called*: their indices skip what a plate does not list."""
    path = str(one["path"])
    in_path = path.strip("/").split("/")
    row, column = one.get("rowIndex", one.get("row_index")), one.get("columnIndex", one.get("column_index"))
    named = rows[_index(row)] if row is not None else in_path[-2]
    return ZarrWell(path=path, row=named, column=columns[_index(column)] if column is not None else in_path[-1])


def _index(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 9:
        return int(value)
    if type(value) is not int or value < 0:
        raise ValueError(f"index {str(value)[:40]}")
    return value


def _acquisition(one: Mapping[str, Any], name: str) -> ZarrAcquisition:
    return ZarrAcquisition(
        number=_index(one["id"]),
        name=_text(one.get("name"), name),
        started_at=_moment(one.get("starttime")),
        ended_at=_moment(one.get("endtime")),
    )


def _moment(epoch: Any) -> datetime | None:
    """Return a time; some writers give ms, and some text, which is left."""
    if type(epoch) not in (int, float) or not 0 < epoch < 1e14:
        return None
    return datetime.fromtimestamp(epoch / 1000 if epoch > 1e11 else epoch, UTC)


def parse_well(data: bytes, name: str) -> tuple[ZarrField, ...]:
    """Read which images a well has.

    Raises
    ------
    SourceFileError, InvalidDataError
        It is damaged, or no well.
    """
    attributes, _ = group_attributes(data, name)
    try:
        images = attributes["well"]["images"]
        return tuple(
            ZarrField(
                path=str(one["path"]),
                acquisition=None if one.get("acquisition") is None else _index(one["acquisition"]),
            )
            for one in images
        )
    except _MALFORMED as error:
        raise _malformed(error, "well", name) from error


def parse_image(data: bytes, name: str) -> ZarrImage:
    """Read the metadata of an image; of several multiscales the first.

    Raises
    ------
    SourceFileError, InvalidDataError
        It is damaged, no image, or of a version that is not read.
    """
    attributes, version = group_attributes(data, name)
    try:
        scales = attributes["multiscales"]
        first = scales[0]
        _check_version(str(version or first.get("version") or "0.4"), name)
        dataset = first["datasets"][0]
        axes = _axes(first, dataset)
        shown = (attributes.get("omero") or {}).get("channels") or []
        return ZarrImage(
            path=str(dataset["path"]),
            axes=axes,
            channels=tuple(_channel(one, name) for one in shown),
            others=len(scales) - 1,
            own=_own(attributes.get("cytolake")),
        )
    except _MALFORMED as error:
        raise _malformed(error, "image", name) from error


def _axes(multiscale: Mapping[str, Any], dataset: Mapping[str, Any]) -> tuple[ZarrAxis, ...]:
    """Read the axes with their steps: 0.4 describes them, 0.3 names them, before that there was one order."""
    if "axes" not in multiscale and "coordinateSystems" in multiscale:
        raise ValueError("it has coordinate systems instead of axes")
    described = [{"name": one} if isinstance(one, str) else one for one in multiscale.get("axes", "tczyx")]
    names = [str(one["name"]).lower() for one in described]
    if len(set(names)) != len(names):
        raise ValueError(f"axes {names}")
    steps: list[float] | None = None
    origins = [0.0] * len(names)
    for transforms in (dataset.get("coordinateTransformations"), multiscale.get("coordinateTransformations")):
        for one in transforms or ():
            kind = one["type"]
            if kind == "scale":
                factors = _numbers(one["scale"], len(names))
                if min(factors) <= 0:
                    raise ValueError(f"scale {factors}")
                steps = [a * b for a, b in zip(steps or [1.0] * len(names), factors, strict=True)]
                origins = [a * b for a, b in zip(origins, factors, strict=True)]
            elif kind == "translation":
                origins = [a + b for a, b in zip(origins, _numbers(one["translation"], len(names)), strict=True)]
            elif kind != "identity":
                raise ValueError(f"transformation {str(kind)[:40]!r}")
    found = []
    for i, (name, one) in enumerate(zip(names, described, strict=True)):
        unit = one.get("unit")
        unit = str(unit).strip().lower() if unit else None
        known = _TO_S if name == "t" else _TO_UM if name in "xyz" else {}
        # A unit that is none of these (pixel, arbitrary) tells nothing of the size.
        factor = known.get(unit or "", None if unit else 1.0)
        found.append(
            ZarrAxis(
                name=name,
                unit=unit if factor is not None else None,
                step=None if steps is None or factor is None else steps[i] * factor,
                origin=None if factor is None else origins[i] * factor,
            )
        )
    return tuple(found)


def _numbers(values: Any, count: int) -> list[float]:
    if not isinstance(values, list) or len(values) != count:
        raise ValueError(f"{str(values)[:80]} for {count} axes")
    found = [float(v) for v in values if isinstance(v, (int, float))]
    if len(found) != count or not all(math.isfinite(v) and abs(v) < _FAR for v in found):
        raise ValueError(f"numbers {str(values)[:80]}")
    return found


def _channel(one: Mapping[str, Any], name: str) -> ZarrChannel:
    color = _COLOR.match(str(one.get("color") or ""))
    return ZarrChannel(
        name=_text(one.get("label"), name) or _text(one.get("name"), name),
        color=color.group(1).upper() if color else None,
        key=_text(one.get("wavelength_id"), name),
    )


def _own(block: Any) -> OwnFacts | None:
    """Read cytolake's own block, None where it is absent or somebody changed it into something else."""
    if not isinstance(block, dict):
        return None
    try:
        stage, step = block["stage_um"], block["z_step_um"]
        return OwnFacts(
            field_id=_index(block["field_id"]),
            roles=tuple(None if c["role"] is None else str(c["role"]) for c in block["channels"]),
            stage_um=None if stage is None else _triple(stage),
            z_step_um=None if step is None else _numbers([step], 1)[0],
            missing=frozenset((_index(t), _index(c), _index(z)) for t, c, z in block["missing_planes"]),
            refers_to=str(block["level_0"]["path"])[:_LONGEST_WORDS] if "level_0" in block else None,
        )
    except _MALFORMED:
        return None


def _triple(values: Any) -> tuple[float, float, float]:
    x, y, z = _numbers(values, 3)
    return x, y, z


def _text(value: Any, name: str) -> str | None:
    """Return a word of a person on one line, None for none; numbers are words too."""
    if value is None or isinstance(value, (dict, list)):
        return None
    text = _WORDS.sub(" ", str(value)).strip()
    if len(text) > _LONGEST_WORDS:
        raise InvalidDataError(f"{name} has a name of {len(text)} letters", hint=_DAMAGED)
    return text or None


def _check_version(version: str, name: str) -> None:
    if not re.match(r"0\.[1-5](?:\D|\Z)", version):
        raise InvalidDataError(
            f"{name} is of OME-Zarr version {version[:20]}; versions 0.1 to 0.5 are read",
            hint="Convert the plate to version 0.5.",
        )


def _malformed(error: Exception, what: str, name: str) -> InvalidDataError:
    if isinstance(error, InvalidDataError):
        # Not the same object: an error that is its own cause is walked for ever by whoever follows causes.
        return InvalidDataError(error.message, hint=error.hint)
    return InvalidDataError(f"{name} describes no OME-Zarr {what}: {error!r}"[:400], hint=_DAMAGED)
