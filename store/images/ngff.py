"""The NGFF 0.5 codec: plates, wells, images and labels as the dictionaries of their ``zarr.json``, and back.

Pure functions, no I/O. Nothing outside this module knows an NGFF version or spelling. Beside NGFF's own ``ome`` block
each group carries a ``cytolake`` block with what NGFF has no word for: missing planes, channel roles, the plate's
attributes and the list of its fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ...errors import InvalidDataError
from .model import AcquisitionSpec, ChannelSpec, FieldKey, ImageInfo, ImageSpec, Plane, PlateSpec, Window

VERSION = "0.5"
SCHEMA_VERSION = 1
AXES = ("t", "c", "z", "y", "x")

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


# -- plate and well ----------------------------------------------------------------------------------------------


def plate(spec: PlateSpec) -> dict[str, Any]:
    """``zarr.json`` of the plate: every row and column of the format, so that a sparse plate keeps its size."""
    rows = [row_name(i + 1) for i in range(spec.n_rows)]
    columns = [column_name(i + 1) for i in range(spec.n_columns)]
    wells: dict[str, dict[int, list[int]]] = {}
    for key in spec.images:
        wells.setdefault(key.well_id, {}).setdefault(key.acquisition_id, []).append(key.field_id)
    listed = []
    for well_id in sorted(wells, key=lambda w: (len(w), w)):
        row, column = well_path(well_id).split("/")
        if row not in rows or column not in columns:
            raise InvalidDataError(
                f"well {well_id} lies outside plate {spec.name!r} of {spec.n_rows} × {spec.n_columns} wells"
            )
        listed.append({"path": f"{row}/{column}", "rowIndex": rows.index(row), "columnIndex": columns.index(column)})
    acquisitions = []
    for acquisition in spec.acquisitions:
        number = acquisition.acquisition_id
        if number < 1:
            raise InvalidDataError(f"acquisition {number} of plate {spec.name!r}: ids count from 1")
        entry: dict[str, Any] = {"id": number}
        if acquisition.name:
            entry["name"] = acquisition.name
        most = max((len(fields.get(number, ())) for fields in wells.values()), default=0)
        if most:
            entry["maximumfieldcount"] = most
        if acquisition.started_at:
            entry["starttime"] = int(acquisition.started_at.timestamp())
        if acquisition.ended_at:
            entry["endtime"] = int(acquisition.ended_at.timestamp())
        acquisitions.append(entry)
    body: dict[str, Any] = {
        "version": VERSION,
        "name": spec.name,
        "rows": [{"name": name} for name in rows],
        "columns": [{"name": name} for name in columns],
        "wells": listed,
        "acquisitions": acquisitions,
    }
    if wells:
        body["field_count"] = max(sum(map(len, fields.values())) for fields in wells.values())
    fields_of = {
        well: [[a, f] for a, fields in sorted(by.items()) for f in sorted(fields)] for well, by in wells.items()
    }
    ours = {"schema_version": SCHEMA_VERSION, "attributes": spec.attributes, "fields": fields_of}
    return group({"ome": {"version": VERSION, "plate": body}, "cytolake": ours})


def parse_plate(document: Mapping[str, Any], where: str) -> tuple[dict[str, Any], PlateSpec]:
    """NGFF's plate dictionary and our reading of it.

    Raises
    ------
    InvalidDataError
        When ``document`` (the ``zarr.json`` at ``where``) is not a plate that cytolake wrote.
    """
    attributes = document.get("attributes", {})
    body = attributes.get("ome", {}).get("plate")
    ours = attributes.get("cytolake", {})
    if body is None or "fields" not in ours:
        raise InvalidDataError(
            f"{where} is not a plate that cytolake wrote: its zarr.json has no "
            + ("'ome.plate'" if body is None else "'cytolake.fields'")
        )
    _check_schema_version(ours, where)
    spec = PlateSpec(
        name=body.get("name", ""),
        n_rows=len(body["rows"]),
        n_columns=len(body["columns"]),
        acquisitions=tuple(
            AcquisitionSpec(
                acquisition_id=a["id"],
                name=a.get("name"),
                started_at=_moment(a.get("starttime")),
                ended_at=_moment(a.get("endtime")),
            )
            for a in body.get("acquisitions", ())
        ),
        images=tuple(FieldKey(well, a, f) for well, pairs in ours["fields"].items() for a, f in pairs),
        attributes=ours.get("attributes", {}),
    )
    return body, spec


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
                    "color": channel.color,
                    "active": True,
                    "family": "linear",
                    "coefficient": 1.0,
                    "inverted": False,
                    "window": window._asdict(),
                }
                for channel, window in zip(spec.channels, windows, strict=True)
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
    }
    return group({"ome": ome, "cytolake": ours})


def parse_image(document: Mapping[str, Any], where: str) -> ImageInfo:
    """Read what the ``zarr.json`` of a field says.

    Raises
    ------
    InvalidDataError
        When ``document`` (the ``zarr.json`` at ``where``) is not a field that cytolake wrote.
    """
    attributes = document.get("attributes", {})
    ours = attributes.get("cytolake", {})
    try:
        _check_schema_version(ours, where)
        scales = attributes["ome"]["multiscales"][0]
        shown = attributes["ome"]["omero"]["channels"]
        scale = scales["datasets"][0]["coordinateTransformations"][0]["scale"]
        timed = "unit" in scales["axes"][0]
        return ImageInfo(
            key=FieldKey(ours["well_id"], ours["acquisition_id"], ours["field_id"]),
            pixel_size_um=(ours["z_step_um"], scale[3], scale[4]),
            stage_um=None if ours["stage_um"] is None else tuple(ours["stage_um"]),
            time_interval_s=scale[0] if timed else None,
            channels=tuple(
                ChannelSpec(
                    name=own["name"],
                    role=own["role"],
                    color=seen["color"],
                    window=Window(**{k: seen["window"][k] for k in Window._fields}),
                )
                for own, seen in zip(ours["channels"], shown, strict=True)
            ),
            missing=tuple(Plane(*plane) for plane in ours["missing_planes"]),
            levels=tuple(dataset["path"] for dataset in scales["datasets"]),
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        if isinstance(error, InvalidDataError):
            raise
        raise InvalidDataError(f"{where} is not a field that cytolake wrote: {error!r} in its zarr.json") from error


# -- labels ------------------------------------------------------------------------------------------------------


def labels(names: Iterable[str]) -> dict[str, Any]:
    """``zarr.json`` of the group that lists an image's labels."""
    return group({"ome": {"version": VERSION, "labels": sorted(names)}})


def parse_labels(document: Mapping[str, Any] | None) -> list[str]:
    """Names that a labels group lists; none where there is no such group."""
    return list((document or {}).get("attributes", {}).get("ome", {}).get("labels", ()))


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


def parse_label_source(document: Mapping[str, Any]) -> dict[str, Any]:
    """How the objects of a label image were found, as its writer said."""
    return dict(document.get("attributes", {}).get("cytolake", {}).get("source", {}))
