"""Tables of CytoTable and pycytominer: one row per cell, field, well or treatment, ``Metadata_`` columns and features.

A row of a table of single cells joins the cell with its nucleus and cytoplasm. It is taken apart again: one table per
object set, with the columns that begin with its name and the number that the object has in its image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute

from ...errors import InvalidDataError
from ...schemas.feature_names import split_object_set
from ...wording import listed
from .columns import (
    first_named,
    identity_columns,
    identity_table,
    metadata_name,
    renamed,
    shown_names,
    well_metadata,
    whole_numbers,
)
from .contract import Batch, Evidence, Level, Options, SourceTable
from .flat import raw_table
from .look import FoundFile
from .raw import NO_NUMBER, RawTable, as_text, check_numbers, not_a_number

pc: Any = pyarrow.compute  # its stubs know fewer combinations of types than its functions take

_NUMBERS = re.compile(r"(?:Image_)?(?:Metadata_)?(?:ImageNumber|TableNumber)", re.IGNORECASE)
#: A column without a name, such as the index that pandas writes.
_UNNAMED = re.compile(r"column \d+|Unnamed: \d+")
_WORDS_OF_OBJECTS = ("objectnumber", "number_object_number", "location_center_x", "location_center_y")
_SHOWN = 6


@dataclass(frozen=True, slots=True)
class _Objects:
    """One object set of a joined table: its features, and the columns with numbers of object and parent."""

    object_set: str
    features: tuple[str, ...]
    number: str | None
    parent: str | None


@dataclass(frozen=True, slots=True)
class JoinedDialect:
    """A dialect of joined tables; CytoTable's and pycytominer's differ in what they usually hold."""

    name: str
    description: str
    #: Whether it takes tables with one row per cell and the numbers of images, or all others.
    of_images: bool

    def detect(self, files: Sequence[FoundFile]) -> Evidence | None:
        """Say why files are of this dialect; see :class:`.contract.Dialect`."""
        mine = [file for file in files if self._knows(file)]
        if not mine:
            return None
        shown = listed([file.name for file in mine], _SHOWN)
        what = "numbers of images and objects" if self.of_images else "Metadata_ columns"
        text = f"{shown}: {what} beside features of {_sets_text(mine[0])}"
        return Evidence(text=text, files=tuple(file.path for file in mine))

    def _knows(self, file: FoundFile) -> bool:
        if file.kind not in ("text", "parquet"):
            return False
        columns = file.columns
        if any(column.casefold() == "imagenumber" for column in columns):  # CellProfiler's own
            return False
        if not any(metadata_name(column) for column in columns) or not _feature_columns(columns):
            return False
        return _is_of_images(columns) == self.of_images

    def tables(self, files: Sequence[FoundFile], options: Options) -> list[SourceTable]:
        """Describe the tables; see :class:`.contract.Dialect`."""
        found: list[SourceTable] = []
        for file in files:
            found += tables_of(raw_table(file))
        return found


def _is_of_images(columns: Sequence[str]) -> bool:
    return any(_NUMBERS.fullmatch(column) for column in columns) and _level(columns) == "object"


def _feature_columns(columns: Sequence[str]) -> list[str]:
    return [column for column in columns if metadata_name(column) is None and split_object_set(column, None)[0]]


def _sets_text(file: FoundFile) -> str:
    sets = dict.fromkeys(split_object_set(column, None)[0] or "" for column in _feature_columns(file.columns))
    return listed(list(sets), _SHOWN)


def _level(columns: Sequence[str]) -> Level:
    """Say what a row is, by the columns that tell rows apart."""
    told = [column.casefold() for column in columns if metadata_name(column) is not None]
    own = [column.casefold() for column in columns if metadata_name(column) is None]
    if any(word in column for column in told for word in _WORDS_OF_OBJECTS):
        return "object"
    # The mean of object numbers is a column of wells, too.
    of_images = any(_NUMBERS.fullmatch(column) for column in columns)
    ends = ("objectnumber", "number_object_number") if of_images else ("objectnumber",)
    if any(column.endswith(ends) and "closest" not in column for column in own):
        return "object"
    identity = identity_columns(columns)
    if "well" not in identity and "row" not in identity:
        return "treatment"
    return "field" if "field" in identity else "well"


def tables_of(raw: RawTable) -> list[SourceTable]:
    """Describe the tables that a joined table holds."""
    level = _level(raw.columns)
    identity = identity_columns(raw.columns)
    image = next((c for c in raw.columns if _NUMBERS.fullmatch(c) and "image" in c.casefold()), None)
    warnings: list[str] = []
    if level == "object" and "field" not in identity and image is not None:
        identity["field"] = image
        warnings.append(f"{raw.name} has no column with the field (Metadata_Site): the number of the field is {image}")
    unnamed = tuple(column for column in raw.columns if _UNNAMED.fullmatch(column))
    numbers = {column for column in raw.columns if _is_number(column)} | set(unnamed)
    metadata = [c for c in well_metadata(raw.columns, identity.values()) if c not in numbers and "Location" not in c]
    features = [c for c in raw.columns if c in raw.numbers and metadata_name(c) is None and c not in numbers]
    texts = tuple(c for c in raw.columns if c not in raw.numbers and metadata_name(c) is None and c not in numbers)
    check_numbers(raw, texts)
    texts += unnamed
    if level == "treatment":
        return [_treatments(raw, features, metadata, texts)]
    if level != "object":
        return [_simple(raw, level, features, identity, metadata, texts)]
    objects = _objects(raw, features)
    left = set(features) - {column for one in objects for column in (*one.features, one.number, one.parent)}
    return [
        _of_objects(raw, one, identity, metadata, texts, tuple(sorted(left)), tuple(warnings) if not index else ())
        for index, one in enumerate(objects)
    ]


def _is_number(column: str) -> bool:
    """Whether a column numbers images, objects or their parents, and measures nothing."""
    folded = column.casefold()
    if _NUMBERS.fullmatch(column):
        return True
    if metadata_name(column) is not None:
        return any(word in folded for word in ("objectnumber", "number_object_number", "_parent_"))
    return folded.endswith("objectnumber") and "closest" not in folded


def _objects(raw: RawTable, features: Sequence[str]) -> list[_Objects]:
    """Take the columns of a joined table apart by the objects that they begin with."""
    by_set: dict[str, list[str]] = {}
    for column in features:
        prefix = split_object_set(column, None)[0]
        if prefix and prefix != "Image":
            by_set.setdefault(prefix, []).append(column)
    if not by_set:
        raise InvalidDataError(
            f"{raw.name}: no feature says which objects it describes",
            hint="Columns of features begin with the objects, such as Cells_AreaShape_Area.",
        )
    names = list(by_set)
    folded = {column.casefold(): column for column in raw.columns}
    found = []
    taken: set[str] = set()
    for prefix in names:
        number = next((folded[one] for one in _number_names(prefix.casefold()) if one in folded), None)
        if number is not None:
            taken.add(number)
        found.append((prefix, number))
    rest = next((folded[one] for one in ("metadata_objectnumber", "objectnumber") if one in folded), None)
    lacking = [prefix for prefix, number in found if number is None]
    sets = []
    for prefix, number in found:
        if number is None and rest is not None and (len(lacking) == 1 or len(found) == 1):
            number = rest
        parent = _parent(prefix, names, folded)
        columns = tuple(
            column for column in by_set[prefix] if column != parent and not column.endswith("_Number_Object_Number")
        )
        sets.append(_Objects(object_set_name(prefix), columns, number or rest, parent))
    return sets


def _number_names(prefix: str) -> tuple[str, ...]:
    return (
        f"metadata_{prefix}_objectnumber",
        f"metadata_objectnumber_{prefix}",
        f"metadata_{prefix}_number_object_number",
        f"{prefix}_objectnumber",
        f"{prefix}_number_object_number",
        f"metadata_cytoplasm_parent_{prefix}",
        f"cytoplasm_parent_{prefix}",
    )


def _parent(prefix: str, names: Sequence[str], folded: dict[str, str]) -> str | None:
    """Return the column with the parents of a set, the first set that is in the table before others."""
    others = [name for name in names if name != prefix]
    wanted = [f"{start}{prefix}_parent_{other}".casefold() for other in others for start in ("", "Metadata_")]
    return next((folded[one] for one in wanted if one in folded), None)


def object_set_name(text: str) -> str:
    """Return the object set of a name of objects: ``Nuclei`` is ``nuclei``, ``PH3`` and ``FilteredNuclei`` stay."""
    return text.lower() if text[1:].islower() else text


def _of_objects(
    raw: RawTable,
    objects: _Objects,
    identity: dict[str, str],
    metadata: Sequence[str],
    texts: tuple[str, ...],
    others: tuple[str, ...],
    warnings: tuple[str, ...],
) -> SourceTable:
    columns = dict(identity)
    if objects.number:
        columns["object_id"] = objects.number
    if objects.parent:
        columns["parent_id"] = objects.parent
    columns.pop("n_objects", None)

    def batches() -> Iterator[Batch]:
        wanted = list(dict.fromkeys((*columns.values(), *metadata)))
        numbers = list(objects.features)
        both = [column for column in wanted if column in numbers]  # a number that is a feature as well
        for rows in raw.read(numbers, [column for column in wanted if column not in both]):
            texts_of = rows
            for column in both:
                texts_of = texts_of.set_column(rows.schema.get_field_index(column), column, as_text(rows[column]))
            yield Batch(identity_table(texts_of, columns, raw.name), rows.select(numbers), renamed(texts_of, metadata))

    return SourceTable(
        level="object",
        object_set=objects.object_set,
        name=f"{raw.name} ({objects.object_set})",
        files=(raw.path,),
        features=objects.features,
        batches=batches,
        metadata=shown_names(metadata),
        texts=texts,
        others=others,
        warnings=warnings,
        size=raw.size,
        read=raw.done,
    )


def _simple(
    raw: RawTable,
    level: Level,
    features: Sequence[str],
    identity: dict[str, str],
    metadata: Sequence[str],
    texts: tuple[str, ...],
) -> SourceTable:
    def batches() -> Iterator[Batch]:
        wanted = list(dict.fromkeys((*identity.values(), *metadata)))
        for rows in raw.read(features, wanted):
            yield Batch(identity_table(rows, identity, raw.name), rows.select(features), renamed(rows, metadata))

    return SourceTable(
        level=level,
        object_set=None,
        name=raw.name,
        files=(raw.path,),
        features=tuple(features),
        batches=batches,
        metadata=shown_names(metadata),
        texts=texts,
        size=raw.size,
        read=raw.done,
    )


#: Column of ``treatment`` rows → names behind ``Metadata_``, without case and underscores.
_TREATMENT = {
    "perturbation": (
        "perturbation", "pertiname", "pertname", "broadsample", "jcp2022", "symbol", "genename", "gene", "compound",
    ),
    "compound": ("compound", "compoundname", "pertiname"),
    "gene": ("gene", "genename", "genesymbol", "symbol"),
    "concentration_um": ("concentrationum", "doseum", "micromolar"),
    "control_type": ("controltype",),
    "n_wells": ("nwells", "wellcount", "nreplicates", "replicatecount"),
    "n_plates": ("nplates", "platecount"),
}  # fmt: skip


def _treatments(raw: RawTable, features: Sequence[str], metadata: Sequence[str], texts: tuple[str, ...]) -> SourceTable:
    """Describe a table of consensus profiles: its metadata columns together say which treatment a row is."""
    named = {(metadata_name(column) or "").replace("_", "").casefold(): column for column in metadata}
    found = first_named(_TREATMENT, named)
    keys = [column for column in metadata if column not in (found.get("n_wells"), found.get("n_plates"))]
    if not keys:
        raise InvalidDataError(f"{raw.name} has neither wells nor a column that names treatments (Metadata_…)")

    def batches() -> Iterator[Batch]:
        for rows in raw.read(features, list(metadata)):
            filled = [pc.fill_null(rows[column], "") for column in keys]
            named = pc.binary_join_element_wise(*filled, "") if len(filled) > 1 else filled[0]
            treatment = pc.binary_join_element_wise(*filled, " | ")
            identity: dict[str, Any] = {
                "treatment": pc.if_else(pc.equal(named, ""), pa.scalar(None, pa.string()), treatment)
            }
            for one, column in found.items():
                values: Any = rows[column]
                if one in ("n_wells", "n_plates"):
                    values = whole_numbers(values, column, raw.name)
                elif one == "concentration_um":
                    values = _doses(values, column, raw.name)
                identity[one] = values
            yield Batch(pa.table(identity), rows.select(features), rows.select([]))

    return SourceTable(
        level="treatment",
        object_set=None,
        name=raw.name,
        files=(raw.path,),
        features=tuple(features),
        batches=batches,
        texts=texts,
        size=raw.size,
        read=raw.done,
    )


def _doses(values: Any, column: str, source: str) -> Any:
    """Return concentrations as numbers."""
    valued = pc.invert(pc.is_in(pc.fill_null(values, ""), value_set=pa.array(NO_NUMBER)))
    doses = pc.if_else(valued, values, pa.scalar(None, pa.string()))
    try:
        return doses.cast(pa.float64())
    except pa.ArrowInvalid:
        _, word = not_a_number(doses)
        raise InvalidDataError(
            f"{source}: column {column} holds concentrations in µM, and {word[:40]!r}",
            hint="Write numbers there, or call the column otherwise.",
        ) from None


DIALECTS = (
    JoinedDialect(
        "cytotable",
        "CytoTable: single cells with nuclei and cytoplasm in one row, numbers of images and objects in Metadata_.",
        of_images=True,
    ),
    JoinedDialect(
        "pycytominer",
        "pycytominer: Metadata_ columns and features per cell, field, well or treatment; Parquet, CSV, CSV.gz.",
        of_images=False,
    ),
)
