"""DeepProfiler: one ``.npz`` per field with the embedding of each cell, or tables of wells made of them.

``features/<plate>/<well>/<site>.npz`` (or ``<plate>/<well>_<site>.npz``) holds ``features`` (cells, numbers),
``locations`` (cells, 2) and ``metadata``. The metadata are pickled Python objects, which run code when they are read;
they are never read. Plate, well and site are those of the path.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ...errors import InvalidDataError, SourceFileError
from ...schemas.feature_names import FeatureName, translate
from ...schemas.identifiers import well_or_none
from ...schemas.tool_names import embedding
from ...wording import listed
from .columns import identity_columns, metadata_name
from .contract import Batch, Evidence, Level, Options, SourceTable
from .flat import raw_table, sort_columns, source_table
from .look import FoundFile

#: What stands before the number of a feature of an ``.npz``, whose network is told only by what is not safe to read.
_PREFIX = "DP"
_SITE = re.compile(r"(?:s|site|f|fld|field)?[ _-]?0*(\d+)", re.IGNORECASE)
_WELL_AND_SITE = re.compile(r"(?P<well>[A-Za-z]{1,2}\d{1,2}|[Rr]\d{1,3}[Cc]\d{1,3})[_-](?P<site>.+)")
_LARGEST = 8 << 30  # bytes of one array, unpacked
_LOCATIONS = ("Location_Center_X", "Location_Center_Y")


@dataclass(frozen=True, slots=True)
class _Site:
    """One ``.npz``: where it belongs, and the form of its arrays."""

    file: FoundFile
    plate: str | None
    well: str
    site: int
    cells: int
    numbers: int
    located: bool


class DeepProfiler:
    """Embeddings of cells by DeepProfiler."""

    name = "deepprofiler"
    description = (
        "DeepProfiler: features/<plate>/<well>/<site>.npz, or tables with Metadata_Plate and efficientnet_0, …"
    )

    def detect(self, files: Sequence[FoundFile]) -> Evidence | None:
        """Know ``.npz`` with an array of features, and tables whose features are numbered after a network."""
        arrays = [file for file in files if _is_npz(file)]
        if arrays:
            text = f"{len(arrays):,} .npz with features, such as {arrays[0].name}"
            return Evidence(text=text, files=tuple(file.path for file in arrays))
        tables = [file for file in files if _is_table(file)]
        if not tables:
            return None
        return Evidence(
            text=f"{listed([file.name for file in tables], 3)}: Metadata_ columns, features numbered after a network",
            files=tuple(file.path for file in tables),
        )

    def tables(self, files: Sequence[FoundFile], options: Options) -> list[SourceTable]:
        """Describe one table for all ``.npz`` of as many numbers, and one for each other file."""
        sites = [_site(file, options) for file in files if _is_npz(file)]
        found = [_of_sites([one for one in sites if one.numbers == k]) for k in dict.fromkeys(s.numbers for s in sites)]
        return [*found, *(_of_table(file) for file in files if _is_table(file))]


def _is_npz(file: FoundFile) -> bool:
    if file.path.suffix.lower() != ".npz" or file.kind != "other" or not file.head.startswith(b"PK"):
        return False
    try:
        with zipfile.ZipFile(file.path) as archive:
            return "features.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise SourceFileError(f"{file.path} is damaged: {error}", hint="Copy the file anew.") from error


def _is_table(file: FoundFile) -> bool:
    if file.kind not in ("text", "parquet"):
        return False
    features = [name for name in file.columns if metadata_name(name) is None and name.strip()]
    numbered = [parts for name in features if (parts := embedding(name)) is not None]
    located = {"well"} <= identity_columns(file.columns).keys()
    return located and len(numbered) >= 8 and len(numbered) == len(features) and len({p[1] for p in numbered}) <= 4


def _site(file: FoundFile, options: Options) -> _Site:
    folders = file.path.parts[:-1]
    stem = file.path.name[: -len(".npz")]
    joined = _WELL_AND_SITE.fullmatch(stem)
    if joined is not None and well_or_none(joined["well"]):
        plate, well, site = (folders[-1] if folders else None), joined["well"], joined["site"]
    elif len(folders) >= 1 and well_or_none(folders[-1]):
        plate, well, site = (folders[-2] if len(folders) > 1 else None), folders[-1], stem
    else:
        raise InvalidDataError(
            f"{file.path}: its path tells no well",
            hint="DeepProfiler writes features/<plate>/<well>/<site>.npz; keep these folders.",
        )
    number = _SITE.fullmatch(site)
    if number is None:
        raise InvalidDataError(f"{file.path}: {site!r} is no number of a site", hint="Name it 1.npz, 2.npz, …")
    (cells, numbers), located = _forms(file.path)
    return _Site(file, options.plate or plate, well, int(number[1]), cells, numbers, located)


def _forms(path: Path) -> tuple[tuple[int, int], bool]:
    """Return the shape of the features, and whether there are locations, from the heads of the arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            shape = _head_of(archive, "features.npy", path)
            located = False
            if "locations.npy" in archive.namelist():
                try:
                    located = _head_of(archive, "locations.npy", path) == (shape[0], 2)
                except InvalidDataError:
                    located = False  # pickled; not needed
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        raise SourceFileError(f"{path} is damaged: {error}", hint="Copy the file anew.") from error
    if len(shape) != 2:
        raise InvalidDataError(f"{path}: its features are of {len(shape)} dimensions, not of cells and numbers")
    return (shape[0], shape[1]), located


def _head_of(archive: zipfile.ZipFile, member: str, path: Path) -> tuple[int, ...]:
    if archive.getinfo(member).file_size > _LARGEST:
        raise InvalidDataError(f"{path}: {member} says that it has more than {_LARGEST >> 30} GB")
    with archive.open(member) as stream:
        try:
            version = np.lib.format.read_magic(stream)
            reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = reader(stream)
        except ValueError as error:
            raise InvalidDataError(f"{path}: {member} is no array: {error}") from error
    if dtype.kind not in "fiu":
        raise InvalidDataError(
            f"{path}: {member} holds {'pickled objects' if dtype.hasobject else dtype}, which are not read",
            hint="Features are an array of numbers.",
        )
    return tuple(shape)


def _of_sites(sites: Sequence[_Site]) -> SourceTable:
    numbers = sites[0].numbers
    located = all(one.located for one in sites)
    features = (*(_LOCATIONS if located else ()), *(f"{_PREFIX}_{k}" for k in range(numbers)))
    read = 0

    def batches() -> Iterator[Batch]:
        nonlocal read
        read = 0
        for one in sites:
            if one.cells:
                yield _batch(one, features, located)
            read += one.file.size

    name = f"{len(sites):,} .npz of {numbers} features"
    empty = sum(one.cells == 0 for one in sites)
    return SourceTable(
        level="object",
        object_set="cells",
        name=name,
        files=tuple(one.file.path for one in sites),
        features=features,
        batches=batches,
        names={column: translate("deepprofiler", column, "cells") for column in features},
        warnings=(
            "plates, wells and sites are those of the paths: the metadata in the .npz are pickled objects and not read",
            *([f"{empty:,} .npz have no cells"] if empty else []),
        ),
        size=sum(one.file.size for one in sites),
        read=lambda: read,
    )


def _batch(site: _Site, features: Sequence[str], located: bool) -> Batch:
    columns: dict[str, Any] = {}
    try:
        with np.load(site.file.path, allow_pickle=False) as arrays:
            if located:
                columns |= dict(zip(_LOCATIONS, np.asarray(arrays["locations"], dtype=np.float64).T, strict=True))
            values = np.asarray(arrays["features"], dtype=np.float64)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise SourceFileError(f"{site.file.path} is damaged: {error}", hint="Copy the file anew.") from error
    columns |= {f"{_PREFIX}_{k}": values[:, k] for k in range(values.shape[1])}
    where: dict[str, Any] = {"well": site.well, "field": site.site} | ({"plate": site.plate} if site.plate else {})
    return Batch(
        identity=pa.table({name: pa.repeat(pa.scalar(value), site.cells) for name, value in where.items()}),
        features=pa.table({name: pa.array(columns[name]) for name in features}),
        metadata=pa.table({}),
    )


def _of_table(file: FoundFile) -> SourceTable:
    raw = raw_table(file)
    identity = identity_columns(raw.columns)
    level: Level = "field" if "field" in identity else "well"
    layout = sort_columns(
        raw,
        identity,
        metadata=[name for name in raw.columns if metadata_name(name) is not None and name not in identity.values()],
    )
    names: dict[str, FeatureName] = {column: translate("deepprofiler", column) for column in layout.features}
    return source_table(raw, layout, level=level, names=names)


DIALECTS = (DeepProfiler(),)
