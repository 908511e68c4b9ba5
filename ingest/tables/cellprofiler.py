"""CellProfiler: CSV per object and image (ExportToSpreadsheet), SQLite (ExportToDatabase, cytominer-database).

Rows of objects name their image by ImageNumber; the image names plate, well and field. In a merge by cytominer-database
ImageNumber begins anew in each part, and TableNumber tells the parts apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute

from ...errors import InvalidDataError
from ...schemas.feature_names import split_object_set
from ...wording import listed
from .columns import identity_columns, identity_table, metadata_name, renamed, shown_names, well_metadata, whole_numbers
from .contract import Batch, Evidence, Options, SourceTable
from .csvfile import CsvTable
from .images import ImageIndex, column_named
from .joined import object_set_name
from .look import FoundFile
from .raw import NO_NUMBER, RawTable, check_numbers
from .sqlitefile import SqliteTable, table_names

pc: Any = pyarrow.compute  # its stubs know fewer combinations of types than its functions take

_PER = re.compile(r"(?P<prefix>.*?)Per_(?P<objects>[A-Za-z0-9_]+)", re.IGNORECASE)
#: The number of an object, not of its neighbours.
_NUMBER = re.compile(r"(?:^|_)(?:Number_Object_Number|ObjectNumber)$", re.IGNORECASE)
#: Families of CellProfiler that describe the computing or the files, not what is in the picture.
_NO_FEATURES = frozenset(
    {
        "Channel", "ExecutionTime", "FileName", "Frame", "Group", "Height", "ImageNumber", "ImageSet", "MD5Digest",
        "ModuleError", "Number", "PathName", "ProcessingStatus", "Scaling", "Series", "TableNumber", "URL", "Width",
    }
)  # fmt: skip
_IMAGE_FAMILIES = frozenset(
    {"FileName", "PathName", "URL", "Count", "ImageQuality", "Metadata", "Group", "ExecutionTime"}
)
_SHOWN = 6


@dataclass(frozen=True, slots=True)
class _Found:
    """One table of CellProfiler.

    ``group`` tells which image table it goes with: the folder, or the database; ``objects`` is None for images, and an
    empty text for a table of several objects, whose columns say of which they are.
    """

    raw: RawTable
    file: FoundFile
    group: str
    objects: str | None
    #: Column → (objects, name without them), for a table with two rows of header.
    two: dict[str, tuple[str, str]] | None = None


class CellProfiler:
    """The dialect; see :class:`.contract.Dialect`."""

    name = "cellprofiler"
    description = "CellProfiler: CSV per object and Image.csv, or SQLite (ExportToDatabase, cytominer-database)."

    def detect(self, files: Sequence[FoundFile]) -> Evidence | None:
        """Say why files are CellProfiler's."""
        mine = [file for file in files if _is_mine(file)]
        if not mine:
            return None
        shown = listed([file.name for file in mine], _SHOWN)
        sides = [file for file in files if _is_experiment(file)]
        return Evidence(text=f"{shown}: tables with ImageNumber", files=tuple(file.path for file in (*mine, *sides)))

    def tables(self, files: Sequence[FoundFile], options: Options) -> list[SourceTable]:
        """Describe the tables of all files, each with the image table of its folder or database."""
        found = _by_experiment([one for file in files for one in _tables_in(file)])
        images = {one.group: one for one in found if one.objects is None}
        index = {group: ImageIndex(one.raw) for group, one in images.items()}
        prefixes = {group: _prefix(one.file.stem) for group, one in images.items() if one.file.kind == "text"}
        single = {(one.group, _name_of(one, prefixes)) for one in found if one.objects}
        tables: list[SourceTable] = []
        said: list[str] = []
        for one in found:
            of = index.get(one.group)
            if one.objects is None:
                tables.append(_image_table(one, index[one.group]))
            elif one.objects:
                tables.append(_object_table(one, _name_of(one, prefixes), of))
            else:
                split, left = _split(one, of, {objects for group, objects in single if group == one.group})
                tables += split
                if left:
                    said.append(f"{one.raw.name}: {listed(left, _SHOWN)} are read from tables of their own beside it")
        if said:
            tables[0] = replace(tables[0], warnings=(*tables[0].warnings, *said))
        return tables


def _is_mine(file: FoundFile) -> bool:
    if file.kind == "sqlite":
        return any(_kind_of(table, SqliteTable(file, table).columns) != "other" for table in table_names(file.path))
    return file.kind == "text" and (_kind_of(file.stem, file.columns) != "other" or _two_rows(file) is not None)


def _is_experiment(file: FoundFile) -> bool:
    """Whether this is Experiment.csv, which says how CellProfiler was run and holds no rows of ours."""
    text = file.text
    return bool(
        text and text.rows[0][:2] == ("Key", "Value") and any("CellProfiler_Version" in row[:1] for row in text.rows)
    )


def _kind_of(name: str, columns: Sequence[str]) -> str:
    """Say whether a table holds ``images``, ``objects`` or something else."""
    if column_named(columns, "ImageNumber") is None:
        return "other"
    if _object_number(columns) is not None:
        return "objects"
    families = {column.removeprefix("Image_").partition("_")[0] for column in columns}
    return "images" if len(families & _IMAGE_FAMILIES) >= 2 else "other"


def _object_number(columns: Sequence[str]) -> str | None:
    named = {column.casefold(): column for column in columns}
    if "objectnumber" in named:
        return named["objectnumber"]
    return next((column for column in columns if column.casefold().endswith("number_object_number")), None)


def _tables_in(file: FoundFile) -> list[_Found]:
    if file.kind == "sqlite":
        found = []
        for table in table_names(file.path):
            raw = SqliteTable(file, table)
            kind = _kind_of(table, raw.columns)
            per = _PER.fullmatch(table)
            objects = per["objects"] if per else table
            group = f"{file.path}#{per['prefix'] if per else ''}"
            if kind == "images":
                found.append(_Found(raw, file, group, None))
            elif kind == "objects":
                found.append(_Found(raw, file, group, "" if _has_many(raw.columns) else objects))
        return found
    two = _two_rows(file)
    group = str(file.folder)
    if two is not None:
        return [_Found(CsvTable(file, columns=list(two), above=2), file, group, "", two)]
    kind = _kind_of(file.stem, file.columns)
    if kind == "other":
        return []
    objects = None if kind == "images" else "" if _has_many(file.columns) else file.stem
    return [_Found(CsvTable(file), file, group, objects)]


def _by_experiment(found: Sequence[_Found]) -> list[_Found]:
    """Return tables, those of a folder with several image tables each with the one that begins as its name does.

    ``Batch1_Cells.csv`` goes with ``Batch1_Image.csv``: numbers of images begin anew in each run of CellProfiler.

    Raises
    ------
    InvalidDataError
        It cannot be told which image table a table goes with.
    """
    images: dict[str, list[_Found]] = {}
    for one in found:
        if one.objects is None:
            images.setdefault(one.group, []).append(one)
    grouped: list[_Found] = []
    for one in found:
        several = images.get(one.group, [])
        if len(several) > 1:
            stem = one.file.stem.casefold()
            fitting = [_prefix(image.file.stem) for image in several]
            fitting = [prefix for prefix in fitting if stem.startswith(prefix.casefold())]
            longest = max(fitting, key=len, default=None)
            if one.file.kind != "text" or longest is None or fitting.count(longest) > 1:
                raise InvalidDataError(
                    f"{one.raw.name}: there are several tables of images beside it, "
                    f"{listed([image.raw.name for image in several], _SHOWN)}, and its name does not say to which one "
                    "it belongs",
                    hint="Import them one by one, or name them alike, such as Batch1_Image.csv and Batch1_Cells.csv.",
                )
            one = replace(one, group=f"{one.group}#{longest}")
        grouped.append(one)
    return grouped


def _has_many(columns: Sequence[str]) -> bool:
    """Whether columns begin with several names of objects."""
    prefixes = {split_object_set(c, None)[0] for c in columns if metadata_name(c) is None} - {None, "Image"}
    return len(prefixes) > 1


def _two_rows(file: FoundFile) -> dict[str, tuple[str, str]] | None:
    """Return the columns of a table whose first row names objects and whose second one their columns."""
    if file.text is None or len(file.text.rows) < 2:
        return None
    objects, names = file.text.rows[:2]
    if len(objects) != len(names) or "ImageNumber" not in names or "ImageNumber" in objects:
        return None
    return {f"{one}_{name}": (one, name) for one, name in zip(objects, names, strict=True)}


def _prefix(stem: str) -> str:
    """Return what stands before the name of the image table: ``MyExpt_`` of ``MyExpt_Image``."""
    return stem[: -len("image")] if stem.casefold().endswith("image") else ""


def _name_of(one: _Found, prefixes: dict[str, str]) -> str:
    assert one.objects
    prefix = prefixes.get(one.group, "") if one.file.kind == "text" else ""
    name = one.objects.removeprefix(prefix) or one.objects
    columns = [c for c in one.raw.columns if metadata_name(c) is None]
    own = {split_object_set(column, None)[0] for column in columns} - {None, "Image"}
    if len(own) == 1:  # the columns know better than the file
        name = str(own.pop())
    return object_set_name(re.sub(r"[^A-Za-z0-9_]", "_", name))


def _image_table(one: _Found, index: ImageIndex) -> SourceTable:
    raw = one.raw
    features, others, texts = _sorted_out(raw, raw.columns)
    image, table = column_named(raw.columns, "ImageNumber"), column_named(raw.columns, "TableNumber")
    assert image is not None
    keys = [image, *([table] if table else [])]

    def batches() -> Iterator[Batch]:
        for rows in raw.read(features, keys):
            identity, metadata = index.look_up(rows[image], rows[table] if table else None, raw.name)
            yield Batch(identity, rows.select(features), metadata)

    return SourceTable(
        level="field",
        object_set=None,
        name=raw.name,
        files=(raw.path,),
        features=tuple(features),
        batches=batches,
        metadata=index.metadata,
        texts=tuple(texts),
        others=tuple(others),
        warnings=tuple(index.warnings),
        size=raw.size,
        read=raw.done,
    )


def _sorted_out(raw: RawTable, columns: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Return features, other numbers, and texts among columns that are no metadata."""
    features: list[str] = []
    others: list[str] = []
    texts: list[str] = []
    for column in columns:
        if metadata_name(column) is not None:
            continue
        if column.removeprefix("Image_").partition("_")[0] in _NO_FEATURES or _NUMBER.search(column):
            others.append(column)
        elif column in raw.numbers:
            features.append(column)
        else:
            texts.append(column)
    check_numbers(raw, texts)
    return features, others, texts


def _object_table(one: _Found, object_set: str, index: ImageIndex | None) -> SourceTable:
    number = _object_number(one.raw.columns)
    assert number is not None
    parent = _parent_of(one.raw.columns, object_set)
    is_number = number.casefold() == "objectnumber"
    left_out = {number} if is_number else set()
    columns = [column for column in one.raw.columns if column not in left_out | ({parent} if parent else set())]
    return _objects(one, object_set, columns, number, parent, index)


def _parent_of(columns: Sequence[str], object_set: str) -> str | None:
    """Return the column with an object's parent.

    Of several it is the parent that the others are parents of, too: of a cytoplasm the cell; and of a cell the nucleus
    that it was grown from, before the nuclei that were filtered away.
    """
    prefix = f"{object_set[:1].upper()}{object_set[1:]}_"
    named = {column.removeprefix(prefix): column for column in columns}
    found = {name.removeprefix("Parent_"): column for name, column in named.items() if name.startswith("Parent_")}
    for wanted in ("Cells", "Nuclei", "Cytoplasm"):
        if wanted in found:
            return found[wanted]
    return next(iter(found.values()), None)


def _objects(
    one: _Found,
    object_set: str,
    columns: Sequence[str],
    number: str,
    parent: str | None,
    index: ImageIndex | None,
) -> SourceTable:
    """Describe a table of objects.

    A row of several objects is filled up where a field has more of the others: it has no number and no value then, and
    is left out.
    """
    raw = one.raw
    features, others, texts = _sorted_out(raw, columns)
    image, table = column_named(raw.columns, "ImageNumber"), column_named(raw.columns, "TableNumber")
    assert image is not None
    own = {} if index is not None else identity_columns(raw.columns)
    if index is None and "field" not in own:
        own["field"] = image
    metadata = [] if index is not None else well_metadata(raw.columns, own.values())
    keys = list(dict.fromkeys([image, *([table] if table else []), *own.values(), *metadata]))
    numbers = list(dict.fromkeys([number, *([parent] if parent else [])]))
    keys += [column for column in numbers if column not in features]

    def batches() -> Iterator[Batch]:
        for rows in raw.read(features, keys):
            if not one.objects:
                rows = rows.filter(_is_there(rows, [number, *features]))
            if index is not None:
                identity, facts = index.look_up(rows[image], rows[table] if table else None, raw.name)
            else:
                identity, facts = identity_table(rows, own, raw.name), renamed(rows, metadata)
            for name, column in (("object_id", number), ("parent_id", parent)):
                if column is not None:
                    values = rows[column]
                    if pa.types.is_string(values.type):
                        values = whole_numbers(values, column, raw.name)
                    identity = identity.append_column(name, values)
            yield Batch(identity, rows.select(features), facts)

    return SourceTable(
        level="object",
        object_set=object_set,
        name=raw.name if one.objects else f"{raw.name} ({object_set})",
        files=(raw.path, *([index.path] if index is not None and index.path != raw.path else [])),
        features=tuple(features),
        batches=batches,
        metadata=index.metadata if index is not None else shown_names(metadata),
        texts=tuple(texts),
        others=tuple(others),
        warnings=tuple(index.warnings) if index is not None else (),
        size=raw.size,
        read=raw.done,
    )


def _is_there(rows: pa.Table, columns: Sequence[str]) -> Any:
    """Return which rows have a value in any of some columns."""
    found: Any = pa.repeat(pa.scalar(False), rows.num_rows)
    for column in columns:
        values: Any = rows[column]
        if pa.types.is_floating(values.type):
            valued = pc.fill_null(pc.invert(pc.is_nan(values)), False)
        else:
            valued = pc.invert(pc.is_in(pc.fill_null(values, ""), value_set=pa.array(NO_NUMBER)))
        found = pc.or_(found, valued)
        if pc.all(found).as_py():
            break
    return found


def _split(one: _Found, index: ImageIndex | None, known: set[str]) -> tuple[list[SourceTable], list[str]]:
    """Take a table of several objects apart; give also the objects that are left to tables of their own."""
    by_set: dict[str, list[str]] = {}
    for column in one.raw.columns:
        prefix = one.two[column][0] if one.two else split_object_set(column, None)[0]
        if prefix and prefix != "Image" and metadata_name(column) is None:
            by_set.setdefault(prefix, []).append(column)
    shared = _object_number([c for c in one.raw.columns if c.casefold() == "objectnumber"])
    tables: list[SourceTable] = []
    left: list[str] = []
    for prefix, columns in by_set.items():
        object_set = object_set_name(prefix)
        if object_set in known:
            left.append(object_set)
            continue
        numbers = [column for column in columns if _NUMBER.search(column)]
        number = _object_number(columns) or next(iter(numbers), shared)
        if number is None:
            continue
        parent = _parent_of(columns, object_set)
        ids = {*numbers, parent}
        tables.append(_objects(one, object_set, [c for c in columns if c not in ids], number, parent, index))
    return tables, left


DIALECTS = (CellProfiler(),)
