"""Small OME-Zarr plates as other tools write them, made with zarr-python and metadata spelled out here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr

DAPI = {"label": "DAPI", "color": "0000ff", "wavelength_id": "A01_C01", "window": {"start": 0, "end": 800}}
GFP = {"label": "GFP", "color": "00FF00", "wavelength_id": "A02_C02", "window": {"start": 0, "end": 800}}


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image of a well. ``axes`` are its axes, ``shape`` their lengths."""

    row: str = "A"
    column: str = "1"
    name: str = "0"
    acquisition: int | None = None
    axes: str = "tczyx"
    shape: Sequence[int] = (1, 2, 1, 24, 32)
    dtype: str = "uint16"
    scale: float = 0.5
    unit: str | None = "micrometer"
    translation: Sequence[float] | None = None
    channels: Sequence[Mapping[str, Any]] | None = (DAPI, GFP)
    chunks: Sequence[int] | None = None
    labels: Sequence[str] = ()
    write: bool = True

    def pixels(self) -> np.ndarray[Any, Any]:
        """Give pixels that no other image has; none is 0."""
        seed = [ord(self.row[0]), int(self.column) if self.column.isdigit() else 1, *map(ord, self.name)]
        random = np.random.default_rng(seed)
        if np.dtype(self.dtype).kind == "f":
            return random.random(self.shape).astype(self.dtype)
        most = np.iinfo(self.dtype).max
        return random.integers(1, most, self.shape, np.int64, endpoint=True).astype(self.dtype)


@dataclass(frozen=True, kw_only=True)
class Plate:
    images: Sequence[Image] = field(default_factory=lambda: grid())
    version: str = "0.4"
    separator: str = "/"
    name: str | None = "my plate"
    rows: Sequence[str] | None = None
    columns: Sequence[str] | None = None
    acquisitions: Sequence[Mapping[str, Any]] | None = None
    absent_wells: Sequence[tuple[str, str]] = ()
    shards: bool = False
    indices: bool = True

    @property
    def _format(self) -> int:
        return 3 if self.version == "0.5" else 2

    def write(self, folder: Path) -> Path:
        """Write the plate; rows and columns are those that are used unless they are given."""
        wells = list(dict.fromkeys([(i.row, i.column) for i in self.images] + list(self.absent_wells)))
        rows = list(self.rows or sorted({row for row, _ in wells}))
        columns = list(self.columns or sorted({column for _, column in wells}))
        listed = []
        for row, column in wells:
            one: dict[str, Any] = {"path": f"{row}/{column}"}
            if self.indices:
                one |= {"rowIndex": rows.index(row), "columnIndex": columns.index(column)}
            listed.append(one)
        plate: dict[str, Any] = {
            "version": self.version,
            "rows": [{"name": name} for name in rows],
            "columns": [{"name": name} for name in columns],
            "wells": listed,
            "field_count": 1,
        }
        if self.name is not None:
            plate["name"] = self.name
        if self.acquisitions is not None:
            plate["acquisitions"] = list(self.acquisitions)
        self.group(folder, {"plate": plate})
        for row, column in wells:
            if (row, column) in self.absent_wells:
                continue
            own = [i for i in self.images if (i.row, i.column) == (row, column)]
            images = [{"path": i.name} | ({} if i.acquisition is None else {"acquisition": i.acquisition}) for i in own]
            self.group(folder / row, {})
            self.group(folder / row / column, {"well": {"version": self.version, "images": images}})
            for image in own:
                if image.write:
                    self.image(folder / row / column / image.name, image)
        return folder

    def group(self, folder: Path, attributes: Mapping[str, Any]) -> None:
        """Write a group and its metadata."""
        folder.mkdir(parents=True, exist_ok=True)
        if self._format == 3:
            ome = {"ome": {"version": self.version, **attributes}} if attributes else {}
            document = {"zarr_format": 3, "node_type": "group", "attributes": ome}
            (folder / "zarr.json").write_text(json.dumps(document))
        else:
            (folder / ".zgroup").write_text('{"zarr_format": 2}')
            (folder / ".zattrs").write_text(json.dumps(dict(attributes)))

    def image(self, folder: Path, image: Image) -> None:
        """Write an image with two levels, and empty groups for its labels."""
        scale = [image.scale if axis in "yx" else 2.0 if axis == "z" else 1.0 for axis in image.axes]
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        if image.translation is not None:
            transforms.append({"type": "translation", "translation": list(image.translation)})
        kinds = {"t": "time", "c": "channel"}
        axes = [
            {"name": axis, "type": kinds.get(axis, "space")}
            | ({"unit": image.unit} if image.unit and axis in "zyx" else {})
            for axis in image.axes
        ]
        multiscale: dict[str, Any] = {
            "axes": axes,
            "datasets": [
                {"path": "0", "coordinateTransformations": transforms},
                {"path": "1", "coordinateTransformations": [{"type": "scale", "scale": [2 * s for s in scale]}]},
            ],
        }
        if self._format == 2:
            multiscale["version"] = self.version
        attributes: dict[str, Any] = {"multiscales": [multiscale]}
        if image.channels is not None:
            attributes["omero"] = {"channels": [dict(c) for c in image.channels]}
        self.group(folder, attributes)
        pixels = image.pixels()
        self.array(folder / "0", pixels, image.chunks)
        self.array(folder / "1", pixels[..., ::2, ::2], None)
        if image.labels:
            self.group(folder / "labels", {"labels": list(image.labels)})
            for label in image.labels:
                self.group(folder / "labels" / label, {"image-label": {"version": self.version}})

    def array(self, folder: Path, pixels: np.ndarray[Any, Any], chunks: Sequence[int] | None) -> None:
        """Write an array; by default a chunk is a quarter of a plane."""
        shape = pixels.shape
        part = tuple(chunks) if chunks else (1,) * (len(shape) - 2) + (-(-shape[-2] // 2), -(-shape[-1] // 2))
        array = zarr.create_array(
            str(folder),
            shape=shape,
            chunks=part,
            shards=tuple(-(-n // c) * c for n, c in zip(shape, part, strict=True)) if self.shards else None,
            dtype=pixels.dtype,
            zarr_format=self._format,
            chunk_key_encoding={"name": "default" if self._format == 3 else "v2", "separator": self.separator},
        )
        array[:] = pixels


def grid(
    wells: Sequence[tuple[str, str]] = (("A", "1"), ("B", "3")), names: Sequence[str] = ("0", "1"), **facts: Any
) -> tuple[Image, ...]:
    """Give the images of all combinations."""
    return tuple(Image(row=row, column=column, name=name, **facts) for row, column in wells for name in names)
