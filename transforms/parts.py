"""What a batch of fields leaves in ``staging/``, and how the batches of a plate become one file per object set.

A batch is some fields of one plate, always the same ones whatever the number of workers, so that results do not depend
on it and an interrupted run goes on with the batches that are done. A batch is done when its note is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..schemas.tables import arrow_schema
from ..store.datafiles import DataFile, write_data_batches
from .field import FieldResult
from .quality.flags import METRICS_JUDGED, plate_flags

if TYPE_CHECKING:
    from ..store.storage import Storage
    from .work import FieldName

#: Fields per batch: a Parquet footer is small beside their rows, and a killed run loses little.
BATCH_FIELDS = 8

#: What the rows of the ``tracks`` table are kept as, beside the object sets, whose names begin with a letter.
TRACKS = "_tracks"

#: Values (rows × columns) in memory while batches are joined: 128 MiB of float32.
_GROUP_VALUES = 2**25


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNote:
    """What a finished batch tells the driver: small, whatever the number of objects.

    Attributes
    ----------
    number
        Position of its first field among those of the plate.
    rows
        Objects per set, and rows of :data:`TRACKS`; what could not be made in any field is absent.
    skipped
        (well, field, object set, reason) of sets that could not be made in a field.
    failed
        (well, field, reason) of fields that could not be processed at all.
    seconds
        Step to the wall seconds spent on it.
    peak_memory_mb
        Largest resident memory of the worker so far.
    """

    number: int
    rows: Mapping[str, int]
    skipped: Sequence[tuple[str, int, str, str]]
    failed: Sequence[tuple[str, int, str]]
    seconds: Mapping[str, float]
    peak_memory_mb: float


class Parts:
    """The batches of one plate under one definition, below ``folder``."""

    def __init__(self, storage: Storage, folder: str) -> None:
        self._storage = storage
        self._folder = folder

    def note(self, number: int) -> BatchNote | None:
        """Give the note of a batch that is done, None otherwise."""
        name = f"{self._folder}/{number:06d}/note.json"
        if not self._storage.exists(name):
            return None
        known = json.loads(self._storage.read(name))
        return BatchNote(**{**known, **{key: [tuple(one) for one in known[key]] for key in ("skipped", "failed")}})

    def write(
        self, number: int, results: Sequence[tuple[FieldName, FieldResult]], *, peak_memory_mb: float
    ) -> BatchNote:
        """Write the rows of a batch, then its note."""
        objects: dict[str, list[pa.Table]] = {}
        seconds: dict[str, float] = {}
        started = perf_counter()
        for _, result in results:
            for step, duration in result.seconds.items():
                seconds[step] = seconds.get(step, 0.0) + duration
            for name, table in result.objects.items():
                objects.setdefault(name, []).append(table)
            if result.tracks is not None:
                objects.setdefault(TRACKS, []).append(result.tracks)
        for name, tables in objects.items():
            # Fields of two acquisitions may have other stains, and so other columns.
            self._write_table(number, name, pa.concat_tables(tables, promote_options="default"))
        self._write_table(number, "quality", _quality_table(results))
        seconds["rows"] = perf_counter() - started
        note = BatchNote(
            number=number,
            rows={name: sum(t.num_rows for t in tables) for name, tables in objects.items()},
            skipped=[
                (well_id, field_id, name, reason)
                for (_, well_id, field_id), result in results
                if result.failed is None
                for name, reason in result.skipped.items()
            ],
            failed=[
                (well_id, field_id, result.failed)
                for (_, well_id, field_id), result in results
                if result.failed is not None
            ],
            seconds=seconds,
            peak_memory_mb=peak_memory_mb,
        )
        text = json.dumps({name: getattr(note, name) for name in note.__dataclass_fields__})
        self._storage.write(f"{self._folder}/{number:06d}/note.json", text.encode())
        return note

    def _write_table(self, number: int, name: str, table: pa.Table) -> None:
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="lz4", use_dictionary=False, write_statistics=False)
        self._storage.write(f"{self._folder}/{number:06d}/{name}.parquet", sink.getvalue().to_pybytes())

    def read(self, name: str, notes: Sequence[BatchNote]) -> Iterator[pa.Table]:
        """Give the rows of one object set, or ``quality``, batch by batch in order."""
        for path in self._paths(name, notes):
            yield pq.read_table(pa.BufferReader(self._storage.read(path)))

    def schema(self, name: str, notes: Sequence[BatchNote]) -> pa.Schema:
        """Give the columns of an object set; acquisitions with other stains add theirs at the end."""
        filesystem, base = self._storage.arrow_filesystem()
        schemas: dict[tuple[str, ...], pa.Schema] = {}
        for path in self._paths(name, notes):
            schema = pq.read_schema(f"{base}/{path}", filesystem=filesystem)
            schemas.setdefault(tuple(schema.names), schema)
        return pa.unify_schemas(list(schemas.values()))

    def _paths(self, name: str, notes: Sequence[BatchNote]) -> Iterator[str]:
        for note in sorted(notes, key=lambda note: note.number):
            if name == "quality" or name in note.rows:
                yield f"{self._folder}/{note.number:06d}/{name}.parquet"

    def remove(self) -> None:
        """Remove all of it, once the plate is committed."""
        self._storage.delete_tree(self._folder)


def merge_objects(
    storage: Storage, folder: str, object_set: str, notes: Sequence[BatchNote], table: str, constants: Mapping[str, str]
) -> DataFile | None:
    """Join the batches of one object set into one data file of a feature table; None when there is no object.

    ``constants`` are the columns that are the same for the whole plate (``study_id``, ``plate_id``, ``run_id``).
    """
    if not any(note.rows.get(object_set) for note in notes):
        return None
    parts = Parts(storage, folder)
    schema = feature_schema(parts.schema(object_set, notes))
    completed = (_completed(part, schema, constants) for part in parts.read(object_set, notes))
    return write_data_batches(storage, table, schema, _grouped(completed, schema))


def feature_schema(columns: pa.Schema) -> pa.Schema:
    """Give the columns of a feature table whose objects have these columns: identity, run, features."""
    text = {name: pa.field(name, pa.string(), nullable=False) for name in ("study_id", "plate_id", "run_id")}
    identity = [f for f in columns if not pa.types.is_float32(f.type)]
    features = [f for f in columns if pa.types.is_float32(f.type)]
    return pa.schema([text["study_id"], text["plate_id"], *identity, text["run_id"], *features])


def merge_quality(
    storage: Storage, folder: str, notes: Sequence[BatchNote], constants: Mapping[str, str]
) -> DataFile | None:
    """Join the ``quality`` rows of all batches into one data file of that table, and judge the plate by them.

    What the flags are made from is held in memory, which is some bytes a field; the rest passes through.
    """
    schema = arrow_schema("quality")
    judged: list[pa.Table] = []

    def rows() -> Iterator[pa.Table]:
        for part in Parts(storage, folder).read("quality", notes):
            if part.num_rows:
                judged.append(part.filter(pc.is_in(part["metric"], pa.array(METRICS_JUDGED))))
                yield _completed(part, schema, constants)
        if judged:
            yield _completed(plate_flags(pa.concat_tables(judged)), schema, constants)

    return write_data_batches(storage, "quality", schema, _grouped(rows(), schema))


def merge_tracks(
    storage: Storage, folder: str, notes: Sequence[BatchNote], constants: Mapping[str, str]
) -> DataFile | None:
    """Join the rows of all batches for the ``tracks`` table into one data file of it; None when there is none."""
    if not any(note.rows.get(TRACKS) for note in notes):
        return None
    schema = arrow_schema("tracks")
    completed = (_completed(part, schema, constants) for part in Parts(storage, folder).read(TRACKS, notes))
    return write_data_batches(storage, "tracks", schema, _grouped(completed, schema))


def _completed(part: pa.Table, schema: pa.Schema, constants: Mapping[str, str]) -> pa.Table:
    # By name once: looking each of a thousand columns up among a thousand names takes longer than reading them.
    own = dict(zip(part.column_names, part.columns, strict=True))
    columns = []
    for field in schema:
        if field.name in constants:
            columns.append(pa.repeat(pa.scalar(constants[field.name], field.type), part.num_rows))
        elif field.name in own:
            column = own[field.name]
            columns.append(column if column.type == field.type else column.cast(field.type))
        else:
            columns.append(pa.nulls(part.num_rows, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _grouped(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """Join small tables to row groups that are worth a thread's while, holding one of them at a time."""
    held: list[pa.Table] = []
    rows = 0
    for table in tables:
        held.append(table)
        rows += table.num_rows
        if rows * len(schema) >= _GROUP_VALUES:
            yield pa.concat_tables(held)
            held, rows = [], 0
    if rows:
        yield pa.concat_tables(held)


def _quality_table(results: Sequence[tuple[FieldName, FieldResult]]) -> pa.Table:
    constant = {"study_id", "plate_id", "feature_set", "feature_set_hash", "run_id"}
    schema = pa.schema([f for f in arrow_schema("quality") if f.name not in constant])
    return pa.Table.from_pylist([dict(row) for _, result in results for row in result.quality], schema=schema)
