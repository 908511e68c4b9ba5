"""CellProfiler's table of images: which plate, well and field an ImageNumber is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute

from ...errors import InvalidDataError
from ...wording import listed
from ..vendors.pattern_names import Place, place
from ..vendors.pattern_presets import OUTER_FOLDERS, PRESETS
from .columns import identity_columns, identity_table, renamed, shown_names, take, well_metadata
from .raw import RawTable

pc: Any = pyarrow.compute  # its stubs know fewer combinations of types than its functions take

_SHOWN = 10
_FILE_NAME = re.compile(r"(?:Image_)?FileName_.+")


def column_named(columns: Sequence[str], name: str) -> str | None:
    """Return the column of that name, with or without ``Image_`` before it and whatever its capitals."""
    wanted = {name.casefold(), f"image_{name}".casefold()}
    return next((column for column in columns if column.casefold() in wanted), None)


class ImageIndex:
    """The images of one run of CellProfiler: a small table in memory, looked up by ImageNumber (and TableNumber).

    Attributes
    ----------
    metadata
        Names of the columns that describe wells.
    warnings
        What was inferred.
    """

    def __init__(self, raw: RawTable) -> None:
        self.name = raw.name
        self.path = raw.path
        self.warnings: list[str] = []
        columns = raw.columns
        image, table = column_named(columns, "ImageNumber"), column_named(columns, "TableNumber")
        if image is None:
            raise InvalidDataError(f"{raw.name} has no column ImageNumber")
        self.identity_names = identity_columns(columns)
        kept = well_metadata(columns, self.identity_names.values())
        files = [column for column in columns if _FILE_NAME.fullmatch(column)]
        folders = [folder for one in files if (folder := _beside(one)) in columns]
        named = [*self.identity_names.values(), *kept, *files, *folders]
        wanted = list(dict.fromkeys([image, *([table] if table else []), *named]))
        batches = list(raw.read([], wanted))
        texts = pa.concat_tables(batches) if batches else pa.table({name: pa.array([], pa.string()) for name in wanted})
        self.has_tables = table is not None
        self.identity = self._identity(texts, image, files)
        self.metadata = shown_names(kept)
        self._metadata = renamed(texts, kept)
        keys = _keys(texts[image], texts[table] if table else None)
        self._rows = {_plain(key): row for row, key in enumerate(keys.to_pylist())}
        if len(self._rows) < len(keys):
            raise InvalidDataError(f"{self.name}: an ImageNumber comes more than once")

    def look_up(self, images: Any, tables: Any, source: str) -> tuple[pa.Table, pa.Table]:
        """Return identity and metadata of the images that rows name.

        Raises
        ------
        InvalidDataError
            Rows name images that there are not.
        """
        keys = _keys(images, tables if self.has_tables else None)
        if isinstance(keys, pa.ChunkedArray):
            keys = keys.combine_chunks()
        coded = keys.dictionary_encode()
        words = [_plain(word) for word in coded.dictionary.to_pylist()]
        missing = [word for word in words if word not in self._rows]
        if missing or coded.null_count:
            named = listed([str(word).partition("\t")[0] for word in missing], _SHOWN) or "empty"
            raise InvalidDataError(
                f"{source}: {self.name} has no image with the number {named}",
                hint="Both tables must be of one run of CellProfiler.",
            )
        rows = pa.array([self._rows[word] for word in words], pa.int64()).take(coded.indices)
        return take(self.identity, rows), take(self._metadata, rows)

    def _identity(self, texts: pa.Table, image: str, files: Sequence[str]) -> pa.Table:
        names = {one: column for one, column in self.identity_names.items() if one != "n_objects"}
        if "well" not in names and "row" not in names:
            return self._from_file_names(texts, image, files, names)
        identity = identity_table(texts, names, self.name)
        if "field" not in names:
            self.warnings.append(
                f"{self.name} has no column with the field (Metadata_Site): the number of the field is the ImageNumber"
            )
            identity = identity.append_column("field", texts[image].cast(pa.int64()))
        return identity

    def _from_file_names(self, texts: pa.Table, image: str, files: Sequence[str], names: dict[str, str]) -> pa.Table:
        """Read wells and fields from the names of the images' files, where these are named as microscopes name them."""
        for column in files:
            files_of_rows: list[Any] = texts[column].to_pylist()
            if not files_of_rows or any(name is None for name in files_of_rows):
                continue
            places, preset = _places(files_of_rows, _folders(texts, column))
            if not places:
                continue
            self.warnings.append(
                f"{self.name} has no column with the well (Metadata_Well): wells and fields are read from {column}, "
                f"which holds names like {files_of_rows[0]} ({preset})"
            )
            said: dict[str, Any] = {
                "row": pa.array([str(one.row) for one in places]),
                "column": pa.array([str(one.column) for one in places]),
                "field": pa.array([one.field_id for one in places], pa.int64()),
            }
            if all(one.plate for one in places):
                said["plate"] = pa.array([one.plate for one in places])
            times = [one.time for one in places if one.time is not None]
            moments = sorted(set(times))
            if len(moments) > 1 and len(times) == len(places):
                said["timepoint"] = pa.array([moments.index(time) for time in times], pa.int64())
            told = identity_table(texts, names, self.name) if names else pa.table({})
            return pa.table(said | dict(zip(told.column_names, told.columns, strict=True)))
        raise InvalidDataError(
            f"{self.name} does not say which well an image is of: it has no column Metadata_Well, and the names of the "
            "images do not tell",
            hint="Add a column Metadata_Well (and Metadata_Plate, Metadata_Site) to it.",
        )


def _folders(texts: pa.Table, column: str) -> list[str | None]:
    """Return the folders of the images that a column names, as ``PathName_…`` beside it says."""
    beside = _beside(column)
    if beside not in texts.column_names:
        return [None] * texts.num_rows
    folders: list[str | None] = texts[beside].to_pylist()
    return folders


def _beside(column: str) -> str:
    return column.replace("FileName_", "PathName_", 1)


def _places(names: Sequence[str], folders: Sequence[str | None]) -> tuple[list[Place], str]:
    """Return where files belong by the first preset that explains all of their names; none where none does."""
    paths = [_path(name, folder) for name, folder in zip(names, folders, strict=True)]
    for preset in PRESETS.values():
        for pattern in preset.patterns:
            said = [one for one in pattern.match(paths if preset.with_folders else names) if one is not None]
            if len(said) < len(names):
                continue
            places = [place(one, name) for one, name in zip(said, names, strict=True)]
            if all(one.row and one.column for one in places):
                return places, preset.name
    return [], ""


def _path(name: str, folder: str | None) -> str:
    """Return a name with the innermost of its folders, which say the time point or the depth where it does not."""
    parts = re.split(r"[/\\\\]+", folder.rstrip("/\\")) if folder else []
    return "/".join([*parts[-OUTER_FOLDERS:], name])


def _keys(images: Any, tables: Any) -> Any:
    """Return one text per row that names its image."""
    return images if tables is None else pc.binary_join_element_wise(images, tables, "\t")


def _plain(key: str | None) -> str | None:
    """Return the name of an image as :func:`_keys` gives it, with ``1`` for ``1.0``: other programs write both."""
    if key is None:
        return None
    image, tab, table = key.partition("\t")
    whole, point, zeros = image.partition(".")
    return f"{whole if point and not zeros.strip('0') else image}{tab}{table}"
