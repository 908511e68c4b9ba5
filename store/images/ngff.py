"""The NGFF 0.5 codec: plates, wells, images and labels as the dictionaries of their ``zarr.json``, and back.

Pure functions, no I/O. Nothing outside this module knows an NGFF version or spelling. Beside NGFF's own ``ome`` block
each group carries a ``cytolake`` block with what NGFF has no word for: missing planes, channel roles, the plate's
attributes and the list of its fields.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ...errors import InvalidDataError
from .display import channel_colors, shown_at_first
from .model import (
    AcquisitionSpec,
    ArrayReference,
    ChannelSpec,
    FieldKey,
    ImageInfo,
    ImageSpec,
    Plane,
    PlateSpec,
    Window,
)

VERSION = "0.5"
SCHEMA_VERSION = 1
AXES = ("t", "c", "z", "y", "x")

#: What reading a document raises when it is not shaped as expected.
_MALFORMED = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError)
_WELL = re.compile(r"([A-Z]{1,2})(\d{2})")


def row_name(row: int) -> str:
    """Letters of a 1-based row: 1 → ``A``, 26 → ``Z``, 27 → ``AA``."""
    return chr(64 + row) if row <= 26 else chr(64 + (row - 1) // 26) + chr(65 + (row - 1) % 26)


def column_name(column: int) -> str:
    """Two digits of a 1-based column: 1 → ``01``."""
    return f"{column:02d}"


def well_path(well_id: str) -> str:
    """Group of a well relative to its plate: ``A01`` → ``A/01``.

    Raises
    ------
    InvalidDataError
        When ``well_id`` is not a canonical well name.
    """
    match = _WELL.fullmatch(well_id)
    if not match:
        raise InvalidDataError(f"{well_id!r} is not a well name like A01 or AF48")
    return f"{match[1]}/{match[2]}"


def image_path(key: FieldKey) -> str:
    """Group of a field relative to its plate: ``A/01/a1f3``."""
    return f"{well_path(key.well_id)}/{_image_name(key)}"


def _image_name(key: FieldKey) -> str:
    return f"a{key.acquisition_id}f{key.field_id}"


def group(attributes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """``zarr.json`` of a Zarr v3 group."""
    return {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes or {})}


def same(document: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether two ``zarr.json`` of groups agree in all that NGFF and we put there; others' attributes do not count."""
    return bool(_core(document) == _core(wanted))


def _core(document: Mapping[str, Any]) -> Any:
    attributes = document.get("attributes")
    known = attributes if isinstance(attributes, Mapping) else {}
    parts = [document.get("zarr_format"), document.get("node_type"), known.get("ome"), known.get("cytolake")]
    return json.loads(json.dumps(parts))  # tuples become lists


# -- plate and well ----------------------------------------------------------------------------------------------


class ListedWell(NamedTuple):
    """A well as NGFF lists it: path relative to the plate, zero-based row and column."""

    path: str
    row: int
    column: int


def plate(spec: PlateSpec) -> dict[str, Any]:
    """``zarr.json`` of the plate: every row and column of the format, so that a sparse plate keeps its size.

    Raises
    ------
    InvalidDataError
        A well lies outside the plate, or an acquisition's number is below 1.
    """
    rows, columns = _rows(spec.n_rows), _columns(spec.n_columns)
    wells: dict[str, list[FieldKey]] = {}
    for key in sorted(spec.images, key=lambda key: (len(key.well_id), key)):
        wells.setdefault(key.well_id, []).append(key)
    listed = []
    for well_id in wells:
        row, column = well_path(well_id).split("/")
        if row not in rows or column not in columns:
            raise InvalidDataError(
                f"well {well_id} lies outside plate {spec.name!r} of {spec.n_rows} × {spec.n_columns} wells"
            )
        listed.append({"path": f"{row}/{column}", "rowIndex": rows.index(row), "columnIndex": columns.index(column)})
    body: dict[str, Any] = {
        "version": VERSION,
        "name": spec.name,
        "rows": [{"name": name} for name in rows],
        "columns": [{"name": name} for name in columns],
        "wells": listed,
        "acquisitions": [_acquisition(acquisition, wells, spec.name) for acquisition in spec.acquisitions],
    }
    if wells:
        body["field_count"] = max(map(len, wells.values()))
    ours = {
        "schema_version": SCHEMA_VERSION,
        "attributes": spec.attributes,
        "fields": {name: [[key.acquisition_id, key.field_id] for key in keys] for name, keys in wells.items()},
    }
    return group({"ome": {"version": VERSION, "plate": body}, "cytolake": ours})


def _rows(count: int) -> list[str]:
    return [row_name(i + 1) for i in range(count)]


def _columns(count: int) -> list[str]:
    return [column_name(i + 1) for i in range(count)]


def _acquisition(
    acquisition: AcquisitionSpec, wells: Mapping[str, Sequence[FieldKey]], plate_name: str
) -> dict[str, Any]:
    number = acquisition.acquisition_id
    if number < 1:
        raise InvalidDataError(f"acquisition {number} of plate {plate_name!r}: ids count from 1")
    entry: dict[str, Any] = {"id": number}
    if acquisition.name:
        entry["name"] = acquisition.name
    most = max((sum(key.acquisition_id == number for key in keys) for keys in wells.values()), default=0)
    if most:
        entry["maximumfieldcount"] = most
    if acquisition.started_at:
        entry["starttime"] = int(acquisition.started_at.timestamp())
    if acquisition.ended_at:
        entry["endtime"] = int(acquisition.ended_at.timestamp())
    return entry


def parse_plate(document: Mapping[str, Any], where: str) -> tuple[PlateSpec, tuple[ListedWell, ...]]:
    """Read what the ``zarr.json`` of a plate says, and the wells as NGFF's own list has them.

    Raises
    ------
    InvalidDataError
        When ``document`` (the ``zarr.json`` at ``where``) is not a plate that cytolake wrote.
    """
    try:
        ours = document["attributes"]["cytolake"]
        _check_schema_version(ours, where)
        body = document["attributes"]["ome"]["plate"]
        rows, columns = ([one["name"] for one in body[side]] for side in ("rows", "columns"))
        spec = PlateSpec(
            name=body["name"],
            n_rows=len(rows),
            n_columns=len(columns),
            acquisitions=tuple(
                AcquisitionSpec(
                    acquisition_id=int(a["id"]),
                    name=a.get("name"),
                    started_at=_moment(a.get("starttime")),
                    ended_at=_moment(a.get("endtime")),
                )
                for a in body["acquisitions"]
            ),
            images=tuple(FieldKey(name, int(a), int(f)) for name, pairs in ours["fields"].items() for a, f in pairs),
            attributes=dict(ours["attributes"]),
        )
        wells = tuple(
            ListedWell(str(one["path"]), int(one["rowIndex"]), int(one["columnIndex"])) for one in body["wells"]
        )
        for key in spec.images:
            well_path(key.well_id)
    except _MALFORMED as error:
        raise _not_ours(error, "plate", where) from error
    if rows != _rows(len(rows)) or columns != _columns(len(columns)):
        raise InvalidDataError(
            f"{where} is not a plate that cytolake wrote: its rows are not A, B, … or its columns 01, …"
        )
    return spec, wells


def _not_ours(error: Exception, what: str, where: str) -> InvalidDataError:
    if isinstance(error, InvalidDataError):
        # Not the same object: an error that is its own cause is walked for ever by whoever follows causes.
        return InvalidDataError(f"{where}: {error.message}", hint=error.hint)
    return InvalidDataError(f"{where} is not a {what} that cytolake wrote: {error!r} in its zarr.json")


def _moment(epoch: int | None) -> datetime | None:
    return None if epoch is None else datetime.fromtimestamp(epoch, UTC)


def _check_schema_version(ours: Mapping[str, Any], where: str) -> None:
    version = ours.get("schema_version")
    if version != SCHEMA_VERSION:
        raise InvalidDataError(
            f"{where} follows version {version} of the plate layout; this cytolake reads {SCHEMA_VERSION}",
            hint="update cytolake, or run `cytolake validate` on the lake",
        )


def well(keys: Sequence[FieldKey]) -> dict[str, Any]:
    """``zarr.json`` of a well that holds the fields ``keys``."""
    images = [{"path": _image_name(key), "acquisition": key.acquisition_id} for key in sorted(keys)]
    return group({"ome": {"version": VERSION, "well": {"version": VERSION, "images": images}}})


def parse_well(document: Mapping[str, Any], where: str) -> list[str]:
    """Read which images the ``zarr.json`` of a well lists: their names in the well's group.

    Raises
    ------
    InvalidDataError
        When ``document`` (the ``zarr.json`` at ``where``) is not a well.
    """
    try:
        return [str(image["path"]) for image in document["attributes"]["ome"]["well"]["images"]]
    except _MALFORMED as error:
        raise _not_ours(error, "well", where) from error


# -- images ------------------------------------------------------------------------------------------------------


def axes(*, timed: bool) -> list[dict[str, str]]:
    """Describe the five axes; time has a unit only when the interval is known."""
    time = {"name": "t", "type": "time"} | ({"unit": "second"} if timed else {})
    space = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    return [time, {"name": "c", "type": "channel"}, *space]


def multiscales(
    *,
    name: str,
    levels: int,
    pixel_size_um: tuple[float | None, float, float],
    stage_um: tuple[float, float, float] | None,
    time_interval_s: float | None,
    downscaling: str,
) -> list[dict[str, Any]]:
    """Make the ``multiscales`` block of an image or a label.

    Level ``n`` has pixels of ``2**n`` times the size; the centre of its first pixel lies ``(px_n - px_0) / 2`` further
    in, which its translation says (https://ngff.openmicroscopy.org/0.5/#multiscale-md).
    """
    z, y, x = pixel_size_um
    stage_x, stage_y, stage_z = stage_um or (0.0, 0.0, 0.0)
    datasets = []
    for level in range(levels):
        factor = 2**level
        scale = [time_interval_s or 1.0, 1.0, z or 1.0, y * factor, x * factor]
        shift = (factor - 1) / 2
        translation = [0.0, 0.0, stage_z, stage_y + y * shift, stage_x + x * shift]
        transforms = [
            {"type": "scale", "scale": scale},
            {"type": "translation", "translation": translation},
        ]
        datasets.append({"path": str(level), "coordinateTransformations": transforms})
    return [
        {
            "name": name,
            "axes": axes(timed=time_interval_s is not None),
            "datasets": datasets,
            "type": downscaling,
        }
    ]


def image(spec: ImageSpec, *, levels: int, windows: Sequence[Window], missing: Iterable[Plane]) -> dict[str, Any]:
    """``zarr.json`` of one field; ``windows`` holds one display window per channel."""
    ome = {
        "version": VERSION,
        "multiscales": multiscales(
            name=f"{spec.well_id} {_image_name(spec.key)}",
            levels=levels,
            pixel_size_um=spec.pixel_size_um,
            stage_um=spec.stage_um,
            time_interval_s=spec.time_interval_s,
            downscaling="mean",
        ),
        "omero": {
            "channels": [
                {
                    "label": channel.name,
                    "color": color,
                    "active": active,
                    "family": "linear",
                    "coefficient": 1.0,
                    "inverted": False,
                    "window": window._asdict(),
                }
                for channel, window, color, active in zip(
                    spec.channels,
                    windows,
                    channel_colors(spec.channels),
                    shown_at_first(spec.channels),
                    strict=True,
                )
            ],
            "rdefs": {"model": "color", "defaultT": 0, "defaultZ": spec.shape[2] // 2},
        },
    }
    ours = {
        "schema_version": SCHEMA_VERSION,
        "well_id": spec.well_id,
        "acquisition_id": spec.acquisition_id,
        "field_id": spec.field_id,
        "channels": [{"name": channel.name, "role": channel.role} for channel in spec.channels],
        "z_step_um": spec.pixel_size_um[0],
        "stage_um": spec.stage_um,
        "missing_planes": sorted(missing),
    } | ({"level_0": asdict(spec.reference)} if spec.reference else {})
    return group({"ome": ome, "cytolake": ours})


def parse_image(document: Mapping[str, Any], where: str) -> ImageInfo:
    """Read what the ``zarr.json`` of a field says.

    Raises
    ------
    InvalidDataError
        When ``document`` (the ``zarr.json`` at ``where``) is not a field that cytolake wrote.
    """
    try:
        attributes = document["attributes"]
        ours = attributes["cytolake"]
        _check_schema_version(ours, where)
        scales = attributes["ome"]["multiscales"][0]
        shown = attributes["ome"]["omero"]["channels"]
        scale = scales["datasets"][0]["coordinateTransformations"][0]["scale"]
        step, stage = ours["z_step_um"], ours["stage_um"]
        return ImageInfo(
            key=FieldKey(str(ours["well_id"]), int(ours["acquisition_id"]), int(ours["field_id"])),
            pixel_size_um=(None if step is None else float(step), float(scale[3]), float(scale[4])),
            stage_um=None if stage is None else (float(stage[0]), float(stage[1]), float(stage[2])),
            time_interval_s=float(scale[0]) if "unit" in scales["axes"][0] else None,
            channels=tuple(
                ChannelSpec(
                    name=own["name"],
                    role=own["role"],
                    color=str(seen["color"]),
                    window=Window(**{k: float(seen["window"][k]) for k in Window._fields}),
                )
                for own, seen in zip(ours["channels"], shown, strict=True)
            ),
            missing=tuple(Plane(*map(int, plane)) for plane in ours["missing_planes"]),
            levels=tuple(str(dataset["path"]) for dataset in scales["datasets"]),
            reference=_reference(ours["level_0"]) if "level_0" in ours else None,
        )
    except _MALFORMED as error:
        raise _not_ours(error, "field", where) from error


def _reference(said: Mapping[str, Any]) -> ArrayReference:
    t, c, z, y, x = map(int, said["shape"])
    return ArrayReference(
        path=str(said["path"]),
        zarr_format=int(said["zarr_format"]),
        axes=tuple(map(str, said["axes"])),
        shape=(t, c, z, y, x),
        dtype=str(said["dtype"]),
        is_sparse=bool(said["is_sparse"]),
    )


def again(info: ImageInfo, shape: tuple[int, int, int, int, int]) -> dict[str, Any]:
    """Make the ``zarr.json`` that a field of this ``shape`` must have to say what ``info`` was read from."""
    spec = ImageSpec(
        **info.key._asdict(),
        shape=shape,
        dtype="",
        pixel_size_um=info.pixel_size_um,
        channels=info.channels,
        stage_um=info.stage_um,
        time_interval_s=info.time_interval_s,
        reference=info.reference,
    )
    windows = [channel.window or Window(0, 0, 0, 0) for channel in info.channels]
    return image(spec, levels=len(info.levels), windows=windows, missing=info.missing)


# -- labels ------------------------------------------------------------------------------------------------------


def labels(names: Iterable[str]) -> dict[str, Any]:
    """``zarr.json`` of the group that lists an image's labels."""
    return group({"ome": {"version": VERSION, "labels": sorted(names)}})


def parse_labels(document: Mapping[str, Any] | None, where: str) -> list[str]:
    """Names that a labels group lists; none where there is no such group.

    Raises
    ------
    InvalidDataError
        When ``document`` (the ``zarr.json`` at ``where``) is not a list of labels.
    """
    if document is None:
        return []
    try:
        return [str(name) for name in document["attributes"]["ome"]["labels"]]
    except _MALFORMED as error:
        raise _not_ours(error, "list of labels", where) from error


def label(name: str, info: ImageInfo, *, levels: int, source: Mapping[str, Any]) -> dict[str, Any]:
    """``zarr.json`` of one label image of the field ``info``; ``source`` says how the objects were found."""
    ome = {
        "version": VERSION,
        "multiscales": multiscales(
            name=name,
            levels=levels,
            pixel_size_um=info.pixel_size_um,
            stage_um=info.stage_um,
            time_interval_s=info.time_interval_s,
            downscaling="nearest",
        ),
        "image-label": {"version": VERSION, "source": {"image": "../../"}},
    }
    return group({"ome": ome, "cytolake": {"schema_version": SCHEMA_VERSION, "source": dict(source)}})


def parse_label_source(document: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Read how the objects of a label image were found, as its writer said.

    Raises
    ------
    InvalidDataError
        When ``document`` (the ``zarr.json`` at ``where``) is not a label image that cytolake wrote.
    """
    try:
        return dict(document["attributes"]["cytolake"]["source"])
    except _MALFORMED as error:
        raise _not_ours(error, "label image", where) from error
