"""What a dialect of feature tables is: it knows its files by their content, and hands out their rows in batches.

A :class:`Dialect` says which files it knows (:meth:`Dialect.detect`) and makes of them :class:`SourceTable` values:
what one row is (an object, a field, a well, a treatment), which columns are features, and an iterator over
:class:`Batch` values that never holds more than a piece of a file. The engine (:mod:`.run`) does everything else:
plates and wells, names of columns, NaN, types, writing. A dialect of another package is an entry point
``cytolake.dialects``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol

import pyarrow as pa

from ...schemas.feature_names import FeatureName

if TYPE_CHECKING:
    from .look import FoundFile

Level = Literal["object", "field", "well", "treatment"]

#: Columns that :attr:`Batch.identity` may have. Whatever a table does not say is left out, or NULL where a row does not
#: say it; the engine refuses what it needs and does not get, in words that name the file.
#:
#: - ``plate``: any name, the engine makes an identifier of it. Left out: the option ``--plate``.
#: - ``well``: in any spelling that :func:`cytolake.schemas.identifiers.parse_well` reads; or ``row`` and ``column``:
#:   letters or a number from 1, and a number from 1.
#: - ``field``: the number of the field in its well, as the microscope or the tool counts it.
#: - ``acquisition``: number of the measurement of the plate, from 1; left out: 1.
#: - ``timepoint``: from 0; left out: 0.
#: - ``object_id``: label of the object in its field. Left out: objects are counted in the order of the file, from 1,
#:   with a warning.
#: - ``parent_id``: label of the object that it belongs to, such as the nucleus of a cell.
#: - ``n_objects``: objects that a row of a field or well stands for.
#: - ``treatment``: at level ``treatment``, what tells rows apart; the columns from ``perturbation`` on are those of
#:   ``wells`` that describe it.
IDENTITY: Mapping[str, pa.DataType] = MappingProxyType(
    {
        "plate": pa.string(),
        "well": pa.string(),
        "row": pa.string(),
        "column": pa.string(),
        "field": pa.int64(),
        "acquisition": pa.int64(),
        "timepoint": pa.int64(),
        "object_id": pa.int64(),
        "parent_id": pa.int64(),
        "n_objects": pa.int64(),
        "treatment": pa.string(),
        "perturbation": pa.string(),
        "compound": pa.string(),
        "concentration_um": pa.float64(),
        "gene": pa.string(),
        "control_type": pa.string(),
        "n_wells": pa.int64(),
        "n_plates": pa.int64(),
    }
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a source table, in three tables of the same number of rows.

    Attributes
    ----------
    identity
        Columns of :data:`IDENTITY`, of those types or such that can be cast to them.
    features
        The columns :attr:`SourceTable.features` under their own names, as float64 (or any number). NULL and NaN are
        both "no value".
    metadata
        The columns :attr:`SourceTable.metadata` under their own names, as text.
    """

    identity: pa.Table
    features: pa.Table
    metadata: pa.Table


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTable:
    """One table of one dialect: its rows are objects of one set, or fields, wells, treatments.

    Attributes
    ----------
    level
        What a row is.
    object_set
        Name of the objects, as the lake writes it (``nuclei``); None at the other levels.
    name
        What messages call it: ``Cells.csv``, ``screen.sqlite: Per_Nuclei``.
    files
        What it is read from; the engine hashes them and records them in the lineage.
    features
        Columns of numbers, under their own names, in the order of the table.
    batches
        Begins to read, from the start at each call. An error names file, line and column.
    metadata
        Columns of text (or numbers) about the wells: kept in ``wells.attributes`` where one well has one value.
    texts
        Columns of text that are no metadata (file names, digests): listed, not imported. A column that is text in one
        table and a feature in another one of the same objects is an error.
    others
        Columns of numbers that are no features (times of computing, sizes of images): listed, not imported.
    names
        What a mapping file says of columns, by their own name; it overrules
        :func:`cytolake.schemas.feature_names.translate`.
    warnings
        What somebody should know who only reads the report.
    size
        Bytes on the disk that reading it visits, for the progress.
    read
        How many of them have been read by now; None where the reader cannot tell.
    """

    level: Level
    object_set: str | None
    name: str
    files: tuple[Path, ...]
    features: tuple[str, ...]
    batches: Callable[[], Iterator[Batch]]
    metadata: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    names: Mapping[str, FeatureName] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    size: int = 0
    read: Callable[[], int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the caller says about the files.

    Attributes
    ----------
    plate
        Name of the plate, over what the tables say.
    roles
        Channel as the tables call it → role.
    mapping
        A file that says what the columns mean, for dialects that need one.
    """

    plate: str | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    mapping: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Why a dialect believes that files are its own.

    Attributes
    ----------
    text
        In words: ``Cells.csv has ImageNumber and ObjectNumber; Image.csv beside it``.
    files
        The files that it knows; the others are not read, and the report says so.
    """

    text: str
    files: tuple[Path, ...]


class Dialect(Protocol):
    """One way in which a tool writes its tables."""

    @property
    def name(self) -> str:
        """What ``--dialect`` calls it; lower case, no blanks."""

    @property
    def description(self) -> str:
        """One line: which tool, which files."""

    def detect(self, files: Sequence[FoundFile]) -> Evidence | None:
        """Say why these files are of this dialect; None where none is. Never raises for what it does not know."""

    def tables(self, files: Sequence[FoundFile], options: Options) -> list[SourceTable]:
        """Describe the tables of the files, without reading more than their beginnings and small side tables.

        Raises
        ------
        InvalidDataError
            The files are of this dialect and cannot be read; says which file and why.
        """
