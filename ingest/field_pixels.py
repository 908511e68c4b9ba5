"""The pixels of one field: vendor files in, one OME-Zarr image and a receipt out.

A plane that is absent or damaged is written down with its reason and left unwritten; it is never filled with
anything.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import SourceFileError
from ..store.images.model import ArrayReference, ChannelSpec, ImageSpec
from ..store.images.writer import ImageWriter
from ..store.storage import Storage
from .export import PlateExport
from .sources import PlaneSources

#: How many files are opened to learn an acquisition's pixel type when its index does not say.
_PEEKED_FILES = 5

_NO_FILE = "no such file"

#: (acquisition, well, field), as the planes are grouped.
FieldKey = tuple[int, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldReceipt:
    """What became of one field: where its image is and what each of its planes was made from.

    ``path`` is the image group relative to the plate, None when no plane could be read, in which case nothing was
    written. ``sources`` are rows of ``images.source_files``; ``acquired_at`` is ISO 8601. ``surplus`` tells files that
    hold more planes than the export speaks of: file -> (planes in it, planes promised).
    """

    acquisition_id: int
    well_id: str
    field_id: int
    path: str | None
    shape: tuple[int, int, int, int, int]
    dtype: str
    sources: tuple[Mapping[str, Any], ...]
    surplus: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def count(self, status: str) -> int:
        """Count the planes with a status (``ok``, ``missing``, ``corrupt``)."""
        return sum(source["status"] == status for source in self.sources)

    def to_json(self) -> str:
        """Write the receipt as JSON."""
        return json.dumps({name: getattr(self, name) for name in self.__dataclass_fields__})

    @classmethod
    def from_json(cls, text: str | bytes) -> FieldReceipt:
        """Read a receipt back."""
        known = {name: value for name, value in json.loads(text).items() if name in cls.__dataclass_fields__}
        surplus = {file: tuple(numbers) for file, numbers in known.get("surplus", {}).items()}
        sources = tuple(known["sources"])
        return cls(**{**known, "shape": tuple(known["shape"]), "sources": sources, "surplus": surplus})


def bytes_of(receipts: Iterable[FieldReceipt]) -> int:
    """Count the bytes of the files that fields were made from; one file may hold the planes of many."""
    sizes = {source["file"]: source["bytes"] for receipt in receipts for source in receipt.sources}
    return sum(size or 0 for size in sizes.values())


def pixel_types(export: PlateExport, files: PlaneSources) -> dict[int, np.dtype[Any]]:
    """Find the pixel type of each acquisition by looking into a few of its files.

    Raises
    ------
    SourceFileError
        None of an acquisition's files can be read.
    """
    types: dict[int, np.dtype[Any]] = {}
    for acquisition in export.acquisitions:
        number = acquisition.acquisition_id
        seen: Counter[np.dtype[Any]] = Counter()
        last: SourceFileError | None = None
        for plane in export.planes.to_pylist():
            if plane["acquisition_id"] != number or plane["size"] is None:
                continue
            try:
                seen[files.plane_format(Path(export.root) / plane["file"], plane["page"])[1]] += 1
            except SourceFileError as error:
                last = error
            if seen.total() == _PEEKED_FILES:
                break
        if not seen:
            if last is not None:
                raise last
            raise SourceFileError(
                f"{export.root}: none of the {_promised(export, number)} image files that the index names is there",
                hint="Copy the image files beside the index as the microscope wrote them, then ingest again.",
            )
        types[number] = seen.most_common(1)[0][0]
    return types


def _promised(export: PlateExport, acquisition_id: int) -> int:
    return export.planes["acquisition_id"].to_pylist().count(acquisition_id)


class FieldConverter:
    """Converts the fields of one export into one plate; safe to call from several threads.

    ``promised`` counts the planes that the whole export names in each file; ``by_reference`` leaves level 0 in the
    arrays of the export.
    """

    def __init__(
        self,
        export: PlateExport,
        storage: Storage,
        path: str,
        types: Mapping[int, np.dtype[Any]],
        files: PlaneSources,
        promised: Mapping[str, int],
        *,
        by_reference: bool = False,
    ) -> None:
        self._root = Path(export.root)
        self._arrays = export.arrays if by_reference else {}
        self._files = files
        self._promised = promised
        self._storage = storage
        self._path = path
        self._writers = threading.local()
        self._types = types
        self._acquisitions = {a.acquisition_id: a for a in export.acquisitions}
        self._channels = {
            number: tuple(
                ChannelSpec(name=c.name, role=c.role, color=c.color)
                for c in sorted(export.channels, key=lambda c: c.channel_index)
                if c.acquisition_id == number
            )
            for number in self._acquisitions
        }
        self._positions = {
            (f["acquisition_id"], f["well_id"], f["field_id"]): (f["x_um"], f["y_um"], f["z_um"])
            for f in export.fields.to_pylist()
        }

    def convert(self, key: FieldKey, planes: Sequence[Mapping[str, Any]]) -> FieldReceipt:
        """Read each plane's file once, write the image, and say what each plane came from.

        Raises
        ------
        StorageError
            The lake cannot be written; nothing is claimed of the field then.
        """
        acquisition_id, well_id, field_id = key
        acquisition = self._acquisitions[acquisition_id]
        dtype = self._types[acquisition_id]
        channels = self._channels[acquisition_id]
        shape = (
            1 + max(p["timepoint"] for p in planes),
            len(channels),
            1 + max(p["z"] for p in planes),
            acquisition.height,
            acquisition.width,
        )
        promised = {(p["timepoint"], p["channel_index"], p["z"]): p for p in planes}
        sources: dict[tuple[int, int, int], Mapping[str, Any]] = {}

        def read(t: int, c: int, z: int, out: npt.NDArray[Any]) -> bool:
            plane = promised.get((t, c, z))
            if plane is None:
                return False  # not every channel has a plane at every depth
            source = self._read(plane, out)
            sources[t, c, z] = source
            return bool(source["status"] == "ok")

        path = None
        if all(plane["size"] is None for plane in planes):
            for position, plane in promised.items():
                sources[position] = _source(plane, "missing", reason=_NO_FILE)
        else:
            written = self._writer().write(
                ImageSpec(
                    well_id=well_id,
                    acquisition_id=acquisition_id,
                    field_id=field_id,
                    shape=shape,
                    dtype=dtype.name,
                    pixel_size_um=(
                        acquisition.z_step_um,
                        acquisition.pixel_size_y_um,
                        acquisition.pixel_size_x_um,
                    ),
                    stage_um=self._stage(key),
                    channels=channels,
                    time_interval_s=acquisition.time_interval_s,
                    reference=self._reference(planes, shape, dtype.name),
                ),
                read,
            )
            if any(source["status"] == "ok" for source in sources.values()):
                path = written.path
            else:
                # An image without a single plane would look like a black one.
                self._storage.delete_tree(f"{self._path}/{written.path}")
        return FieldReceipt(
            acquisition_id=acquisition_id,
            well_id=well_id,
            field_id=field_id,
            path=path,
            shape=shape,
            dtype=dtype.name,
            sources=tuple(sources[position] for position in sorted(promised)),
            surplus=self._surplus(sources.values()),
        )

    def _reference(
        self, planes: Sequence[Mapping[str, Any]], shape: tuple[int, int, int, int, int], dtype: str
    ) -> ArrayReference | None:
        """Say where level 0 is left, None where it is copied."""
        if not self._arrays:
            return None
        from .sources.zarr_array import refer

        there = [plane for plane in planes if plane["size"] is not None]
        (file,) = {plane["file"] for plane in there}
        return refer(
            self._root / file,
            self._arrays[file],
            shape=shape,
            dtype=dtype,
            planes=[(plane["timepoint"], plane["channel_index"], plane["z"]) for plane in there],
        )

    def _writer(self) -> ImageWriter:
        """Give this thread's writer: it keeps its buffers from field to field."""
        if not hasattr(self._writers, "own"):
            self._writers.own = ImageWriter(self._storage, self._path)
        writer: ImageWriter = self._writers.own
        return writer

    def _stage(self, key: FieldKey) -> tuple[float, float, float] | None:
        x, y, z = self._positions[key]
        return None if x is None or y is None else (x, y, z or 0.0)

    def _read(self, plane: Mapping[str, Any], out: npt.NDArray[Any]) -> Mapping[str, Any]:
        if plane["size"] is None:
            return _source(plane, "missing", reason=_NO_FILE)
        try:
            sha256 = self._files.read_plane(self._root / plane["file"], plane["page"], out)
        except SourceFileError as error:
            return _source(plane, "corrupt", reason=error.message)
        return _source(plane, "ok", sha256=sha256)

    def _surplus(self, sources: Iterable[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
        """Give the files that hold more planes than the export names."""
        held = {source["file"]: self._files.count(self._root / source["file"]) for source in sources}
        return {file: (n, self._promised[file]) for file, n in held.items() if n > self._promised[file]}


def _source(
    plane: Mapping[str, Any], status: str, *, sha256: str | None = None, reason: str | None = None
) -> Mapping[str, Any]:
    return {
        "file": plane["file"],
        "page": plane["page"],
        "channel_index": plane["channel_index"],
        "z": plane["z"],
        "timepoint": plane["timepoint"],
        "status": status,
        "bytes": plane["size"],
        "sha256": sha256,
        "reason": reason,
    }
