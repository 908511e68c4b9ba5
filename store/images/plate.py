"""Reading a plate: a light handle on the plate, one on each field, pixels when they are asked for.

``open_plate`` reads one small document, ``Plate.field`` another; both handles pickle, so they travel to Dask workers.
Planes that the field's metadata names as missing read as zeros; any other plane that is not there is an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import NotFoundError, StorageError, UsageError
from ...schemas.identifiers import format_well, parse_well
from ...wording import did_you_mean
from . import engine, layout, ngff
from .model import AcquisitionSpec, ChannelSpec, FieldKey, Plane

if TYPE_CHECKING:
    import dask.array
    import ome_zarr.reader
    import tensorstore as ts
    import zarr

    from ..storage import Storage


def open_plate(storage: Storage, path: str) -> Plate:
    """Open the plate in folder ``path`` of a lake.

    Raises
    ------
    NotFoundError
        There is no finished plate.
    InvalidDataError
        What is there is not a plate that cytolake wrote.
    """
    return Plate(storage, path)


class Plate:
    """One plate of images; make it with :func:`open_plate`."""

    def __init__(self, storage: Storage, path: str) -> None:
        self.storage = storage
        self.path = path
        document = engine.read_document(engine.keys(storage, path), "zarr.json")
        if document is None:
            raise NotFoundError(f"there is no plate at {storage.uri(path)}")
        self._spec, _ = ngff.parse_plate(document, storage.uri(path))

    @property
    def name(self) -> str:
        """The plate's name."""
        return self._spec.name

    @property
    def n_rows(self) -> int:
        """Rows of the plate format, with or without wells."""
        return self._spec.n_rows

    @property
    def n_columns(self) -> int:
        """Columns of the plate format, with or without wells."""
        return self._spec.n_columns

    @property
    def acquisitions(self) -> tuple[AcquisitionSpec, ...]:
        """The measurements of the plate."""
        return self._spec.acquisitions

    @property
    def attributes(self) -> dict[str, object]:
        """What its writer wanted to travel with the plate."""
        return self._spec.attributes

    @property
    def references(self) -> list[str]:
        """Folders of the plates that hold level 0 of this one's fields, where it was left there."""
        found = self.attributes.get("references")
        return [str(path) for path in found] if isinstance(found, list) else []

    @property
    def wells(self) -> list[str]:
        """Names of the wells that have fields, in plate order."""
        return list(dict.fromkeys(key.well_id for key in self._spec.images))

    def fields(self) -> list[FieldKey]:
        """All fields: by well in plate order, then acquisition, then field number."""
        return list(self._spec.images)

    def field(self, well_id: str, field_id: int, acquisition_id: int = 1) -> Field:
        """One field of one acquisition; the well may be written as people do: ``A1``.

        Raises
        ------
        InvalidDataError
            That is no name of a well.
        NotFoundError
            The plate has no such field.
        """
        well_id = format_well(*parse_well(well_id))
        key = FieldKey(well_id, acquisition_id, field_id)
        if key not in self._known:
            own = [k.field_id for k in self._spec.images if k[:2] == key[:2]]
            raise NotFoundError(
                f"plate {self.name}: well {well_id} has no field {field_id} in acquisition {acquisition_id}",
                hint=f"its fields are {own}" if own else f"wells with fields: {', '.join(self.wells)}",
            )
        return Field(self.storage, f"{self.path}/{ngff.image_path(key)}")

    @cached_property
    def _known(self) -> frozenset[FieldKey]:
        return frozenset(self._spec.images)

    def to_dask(self, *, acquisition_id: int = 1, level: int = 0) -> dask.array.Array:
        """All fields of one acquisition as one lazy array (field, t, c, z, y, x), in the order of :meth:`fields`.

        One field is one task.

        Raises
        ------
        NotFoundError
            The acquisition has no fields.
        UsageError
            Its fields differ in shape or dtype, which is found out when they are read, or at once for the first.
        """
        import dask.array

        keys = [key for key in self._spec.images if key.acquisition_id == acquisition_id]
        if not keys:
            raise NotFoundError(f"plate {self.name} has no fields in acquisition {acquisition_id}")
        first = self.field(keys[0].well_id, keys[0].field_id, acquisition_id)
        shape, dtype = first.level_shape(level), first.dtype

        def read(index: NDArray[np.int64]) -> NDArray[Any]:
            key = keys[int(index[0])]
            field = self.field(key.well_id, key.field_id, acquisition_id)
            if field.level_shape(level) != shape or field.dtype != dtype:
                raise UsageError(
                    f"plate {self.name}: field {key} has shape {field.shape} {field.dtype}, "
                    f"the first field of the acquisition {first.shape} {dtype}",
                    hint="read such fields one by one",
                )
            return np.stack([field.read(t=t, level=level) for t in range(shape[0])])[np.newaxis]

        return dask.array.map_blocks(
            read,
            dask.array.arange(len(keys), chunks=1),
            new_axis=[1, 2, 3, 4, 5],
            chunks=((1,) * len(keys), *((n,) for n in shape)),
            dtype=dtype,
            meta=np.empty((0,) * 6, dtype),
            name=f"cytolake-{self.path}-a{acquisition_id}-{level}-" + dask.base.tokenize(self.storage.url, keys),
        )

    def ome_zarr(self) -> ome_zarr.reader.Node:
        """Give the plate as a node of the ome-zarr library (its import takes seconds).

        Raises
        ------
        NotFoundError
            ome-zarr does not see a plate there.
        UsageError
            Level 0 of its fields was left in the plate that it came from.
        """
        if self.references:
            raise UsageError(
                f"plate {self.name} refers to the pixels of {', '.join(self.references)}, which ome-zarr cannot follow",
                hint="open that plate with ome-zarr, or use field() and to_dask() here",
            )
        from ome_zarr.io import ZarrLocation
        from ome_zarr.reader import Reader

        location = ZarrLocation(self.storage.uri(self.path))
        for node in Reader(location)():
            return node
        raise NotFoundError(f"ome-zarr finds no plate at {self.storage.uri(self.path)}")

    def _repr_html_(self) -> str:
        from .picture import as_html, plate_picture

        fields = Counter(key.well_id for key in self._spec.images)
        return as_html(plate_picture(self.n_rows, self.n_columns, fields=fields, title=self.name), alt=repr(self))

    def __repr__(self) -> str:
        return f"<Plate {self.name}: {len(self.wells)} wells, {len(self._spec.images)} fields at {self.path}>"


class Field:
    """One field with all its channels; make it with :meth:`Plate.field`."""

    def __init__(self, storage: Storage, path: str) -> None:
        self.storage = storage
        self.path = path
        document = engine.read_document(engine.keys(storage, path), "zarr.json")
        if document is None:
            raise NotFoundError(
                f"{storage.uri(path)} is listed in its plate and not there",
                hint="run `cytolake validate`, then ingest the plate again",
            )
        self.info = ngff.parse_image(document, storage.uri(path))

    @property
    def key(self) -> FieldKey:
        """Which field this is."""
        return self.info.key

    @property
    def channels(self) -> tuple[ChannelSpec, ...]:
        """The channels, in the order of the array's axis."""
        return self.info.channels

    @property
    def pixel_size_um(self) -> tuple[float | None, float, float]:
        """Size of a pixel of level 0, µm: (z, y, x); z None where planes have no known distance."""
        return self.info.pixel_size_um

    @property
    def stage_um(self) -> tuple[float, float, float] | None:
        """Stage position, µm, image direction: (x, y, z)."""
        return self.info.stage_um

    @property
    def missing_planes(self) -> tuple[Plane, ...]:
        """Planes without pixels: (t, c, z), zero-based."""
        return self.info.missing

    @property
    def levels(self) -> int:
        """Levels of the pyramid."""
        return len(self.info.levels)

    @property
    def shape(self) -> layout.Shape:
        """(t, c, z, y, x) of level 0."""
        return self.level_shape(0)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a pixel."""
        return np.dtype(self._level(0).dtype.numpy_dtype)

    def level_shape(self, level: int) -> layout.Shape:
        """(t, c, z, y, x) of one level."""
        t, c, z, y, x = self._level(level).shape
        return t, c, z, y, x

    def read(
        self,
        channels: Sequence[int | str] | None = None,
        *,
        t: int = 0,
        z: int | None = None,
        level: int = 0,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Pixels of one time point: (c, z, y, x).

        Parameters
        ----------
        channels
            Indices, roles or names of the channels wanted, in the order wanted; all by default.
        z
            One z plane (the axis stays, with length 1); all by default.
        out
            Where to put the pixels: C-contiguous, of the shape and dtype of the answer.

        Raises
        ------
        UsageError
            There is no such channel, time point, plane or level, or ``out`` does not fit.
        NotFoundError
            No channel has that role or name.
        StorageError
            Pixels that should be there are lost or damaged.
        """
        array = self._level(level)
        n_t, n_c, n_z, height, width = array.shape
        wanted = range(n_c) if channels is None else [self._channel(one) for one in channels]
        depth = range(n_z) if z is None else [z]
        if not 0 <= t < n_t or not all(0 <= c < n_c for c in wanted) or not all(0 <= i < n_z for i in depth):
            raise UsageError(f"{self}: shape {self.shape} has no t={t}, z={z}, channels={list(wanted)}")
        shape = (len(wanted), len(depth), height, width)
        dtype = array.dtype.numpy_dtype
        if out is None:
            out = np.empty(shape, dtype)
        elif out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous:
            raise UsageError(f"{self}: out is {out.shape} {out.dtype}, needed is a contiguous {shape} {dtype}")
        gone = {(plane.c, plane.z) for plane in self.missing_planes if plane.t == t}
        if not gone and len(wanted) == n_c and list(wanted) == list(range(n_c)):
            parts = [(array[t, :, depth[0] : depth[-1] + 1], out)]
        elif not gone:
            parts = [(array[t, c, depth[0] : depth[-1] + 1], out[i]) for i, c in enumerate(wanted)]
        else:
            parts = []
            for i, c in enumerate(wanted):
                for j, plane in enumerate(depth):
                    if (c, plane) in gone:
                        out[i, j] = 0
                    else:
                        parts.append((array[t, c, plane], out[i, j]))
        self._fetch(parts, f"level {level}")
        return out

    def _channel(self, wanted: int | str) -> int:
        """Return the index of a channel: by its role, else by the microscope's name for it."""
        if isinstance(wanted, int):
            return wanted
        for names in ([one.role for one in self.channels], [one.name for one in self.channels]):
            if wanted in names:
                return names.index(wanted)
        known = list(dict.fromkeys(name for one in self.channels for name in (one.role, one.name) if name))
        raise NotFoundError(
            f"{self} has no channel {wanted!r}{did_you_mean(wanted, known)}", hint=f"it has {', '.join(known)}"
        )

    def _fetch(self, parts: Sequence[tuple[ts.TensorStore, NDArray[Any]]], what: str) -> None:
        import tensorstore as ts

        try:
            copies = [ts.array(target, context=engine.context()).write(source) for source, target in parts]
            for copy in copies:
                copy.result()
        except engine.FAILURES as error:
            again = "put the plate that holds them back as it was, or ingest" if self.info.reference else "ingest"
            raise StorageError(
                f"{self}: pixels of {what} are lost or damaged: {error}",
                hint=f"run `cytolake validate --deep`, then {again} the plate again",
            ) from error

    def _level(self, level: int) -> ts.TensorStore:
        if not 0 <= level < self.levels:
            raise UsageError(f"{self} has levels 0 to {self.levels - 1}, not {level}")
        return self._arrays[level]

    @cached_property
    def _arrays(self) -> list[ts.TensorStore]:
        first, *others = self.info.levels
        reference = self.info.reference
        return [
            engine.array_elsewhere(reference, str(self))
            if reference
            else engine.array_to_read(self.storage, f"{self.path}/{first}"),
            *(engine.array_to_read(self.storage, f"{self.path}/{name}") for name in others),
        ]

    def zarr(self, level: int = 0) -> zarr.Array[Any]:
        """One level as a zarr array (t, c, z, y, x), read-only.

        Raises
        ------
        UsageError
            There is no such level; or it is an array of somebody else that has other axes.
        """
        import zarr

        if not 0 <= level < self.levels:
            raise UsageError(f"{self} has levels 0 to {self.levels - 1}, not {level}")
        reference = self.info.reference
        if reference is None or level:
            store = self.storage.zarr_store(self.path)
            return zarr.open_array(store, path=self.info.levels[level], mode="r")
        self._level(level)  # says what is wrong with it
        if reference.axes != ngff.AXES:
            raise UsageError(
                f"{self}: its level 0 is {reference.path}, an array of the axes {', '.join(reference.axes)}",
                hint="read() and Plate.to_dask() give it with axes t, c, z, y, x",
            )
        return zarr.open_array(zarr.storage.LocalStore(reference.path, read_only=True), mode="r")

    def labels(self) -> list[str]:
        """Names of the label images of this field, sorted."""
        where = f"{self.path}/labels"
        return ngff.parse_labels(engine.read_document(engine.keys(self.storage, where), "zarr.json"), where)

    def label_planes(self, name: str) -> int:
        """Planes of a label image: those of the field's stack, or one where objects were found in a projection.

        Raises
        ------
        NotFoundError
            The field has no such label image.
        """
        return int(self._label(name, 0).shape[2])

    def read_label(self, name: str, *, t: int = 0, z: int | None = None, level: int = 0) -> NDArray[np.int32]:
        """One label image: (y, x), or (z, y, x) where the objects were found in a stack; 0 is background.

        Parameters
        ----------
        z
            One plane of a stack, (y, x); all by default.

        Raises
        ------
        NotFoundError
            The field has no such label image.
        UsageError
            It has no such time point or plane.
        """
        array = self._label(name, level)
        n_t, _, planes, _, _ = array.shape
        if not 0 <= t < n_t:
            raise UsageError(f"{self}: labels {name!r} have {n_t} time points, not t={t}")
        if z is not None and not 0 <= z < planes:
            raise UsageError(f"{self}: labels {name!r} have {planes} planes, not z={z}")
        z = 0 if planes == 1 else z
        wanted = array[t, 0] if z is None else array[t, 0, z]
        out = np.empty(wanted.shape, np.int32)
        self._fetch([(wanted, out)], f"labels {name!r}")
        return out

    def _label(self, name: str, level: int) -> ts.TensorStore:
        if name not in self.labels():
            raise NotFoundError(f"{self} has no labels {name!r}", hint=f"it has {self.labels() or 'none'}")
        return engine.array_to_read(self.storage, f"{self.path}/labels/{name}/{level}")

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_arrays"}

    def __str__(self) -> str:
        key = self.key
        return f"well {key.well_id}, field {key.field_id} (acquisition {key.acquisition_id}) of {self.path}"

    def _repr_html_(self) -> str:
        from .picture import as_html, field_picture

        level = self.levels - 1
        image = self.read(z=self.shape[2] // 2, level=level)[:, 0]
        colors = [channel.color or "FFFFFF" for channel in self.channels]
        names = [channel.role or channel.name for channel in self.channels]
        pixel_size = self.pixel_size_um[2] * 2**level
        title = f"{self.key.well_id} field {self.key.field_id}"
        png = field_picture(image, colors=colors, names=names, pixel_size_um=pixel_size, title=title)
        return as_html(png, alt=repr(self))

    def __repr__(self) -> str:
        return f"<Field {self}>"
