"""Where the rows of an import belong: plates, wells, fields and numbers of objects, checked and in our spelling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from ...errors import InvalidDataError
from ...schemas.identifiers import format_well, parse_well, slug
from ...wording import listed
from .contract import IDENTITY, Batch, Level, SourceTable

pc: Any = pyarrow.compute  # its stubs know fewer combinations of types than its functions take

_SHOWN = 10
_FIELD_KEY = ("plate_id", "acquisition_id", "well_id", "field_id", "timepoint")
_INT32 = 2**31 - 1


class Places:
    """Turns :attr:`Batch.identity` into the identity columns of the lake, for all tables of an import.

    Parameters
    ----------
    plate
        Plate of all rows, over what the tables say; an identifier.
    """

    def __init__(self, plate: str | None) -> None:
        self._plate = plate
        self._wells: dict[str, str] = {}
        self._plates: dict[str, str] = {}
        self._named: set[str] = set()  # plates in the tables that ``plate`` goes over
        #: Plate → what the tables call it.
        self.plate_names: dict[str, str] = {}

    def of(self, table: SourceTable, batch: Batch) -> pa.Table:
        """Return the identity of a batch's rows: the columns of ``ProfileRow`` or ``ObjectRow`` but study and run.

        Raises
        ------
        InvalidDataError
            A row has no plate, no well, no field, or something that is none; says which table, and examples.
        """
        given = {name: _cast(table, name, batch.identity[name]) for name in batch.identity.column_names}
        rows = batch.features.num_rows if batch.features.num_columns else batch.identity.num_rows
        columns: dict[str, Any] = {
            "plate_id": self._plate_ids(table, given.get("plate"), rows),
            "acquisition_id": _number(table, "acquisition", given.get("acquisition"), rows, default=1),
            "well_id": self._well_ids(table, given, rows),
            "field_id": _number(table, "field", given.get("field"), rows, needed=table.level in ("object", "field")),
            "timepoint": _number(table, "time point", given.get("timepoint"), rows, default=0),
        }
        if table.level == "object":
            if "object_id" in given:
                columns["object_id"] = _number(table, "object number", given["object_id"], rows, needed=True)
            if "parent_id" in given:
                parents = given["parent_id"]
                none = pc.fill_null(pc.less(parents, 1), True)  # CellProfiler writes 0 for none, others -1
                parents = pc.if_else(none, pa.scalar(None, parents.type), parents)
                columns["parent_id"] = _number(table, "parent", parents, rows)
        elif "n_objects" in given:
            columns["n_objects"] = given["n_objects"]
        return pa.table(columns)

    def _plate_ids(self, table: SourceTable, given: Any, rows: int) -> Any:
        if self._plate is not None:
            self.plate_names.setdefault(self._plate, self._plate)
            if given is not None:
                self._named |= {text for text in given.unique().to_pylist() if text}
            if len(self._named) > 1:  # --plate names the plate of all rows, and chooses none
                raise InvalidDataError(
                    f"{table.name}: its rows are of several plates, {listed(sorted(self._named), _SHOWN)}, "
                    f"and --plate {self._plate} would make one of them; nothing was imported",
                    hint="Leave --plate out: every row goes to the plate that it names. For one plate alone, "
                    "write its rows to a file of their own.",
                )
            return pa.repeat(pa.scalar(self._plate), rows)
        if given is None or given.null_count:
            which = "its rows name no plate" if given is None else f"{given.null_count:,} rows name no plate"
            raise InvalidDataError(f"{table.name}: {which}", hint="Name the plate with --plate.")
        return self._mapped(given, self._plates, self._plate_id)

    def _plate_id(self, text: str) -> str:
        plate_id = slug(text)
        self.plate_names[plate_id] = text
        return plate_id

    def _well_ids(self, table: SourceTable, given: dict[str, Any], rows: int) -> Any:
        texts = given.get("well")
        if texts is None and "row" in given and "column" in given:
            # R01C02 for numbers, A02 for letters; a number with a fraction is left to fail.
            row, column = given["row"], given["column"]
            numbered = pc.match_substring_regex(row, "^[0-9]+$")
            with_number = pc.binary_join_element_wise("R", row, "C", column, "")
            texts = pc.if_else(numbered, with_number, pc.binary_join_element_wise(row, column, ""))
        if texts is None or texts.null_count:
            which = "its rows name no well" if texts is None else f"{texts.null_count:,} rows name no well"
            raise InvalidDataError(
                f"{table.name}: {which}",
                hint="Add a column with the wells, such as Metadata_Well, or a mapping file that names it.",
            )
        bad: list[str] = []

        def well_id(text: str) -> str:
            try:
                return format_well(*parse_well(text))
            except InvalidDataError:
                bad.append(text)
                return ""

        found = self._mapped(texts, self._wells, well_id)
        if bad:
            raise InvalidDataError(
                f"{table.name}: {len(bad)} names of wells are none: {listed([repr(one[:40]) for one in bad], _SHOWN)}",
                hint="Wells are row letters and a column number, such as B07 or AF48.",
            )
        return found

    @staticmethod
    def _mapped(texts: Any, known: dict[str, str], make: Any) -> Any:
        """Replace each text by what ``make`` gives for it, asked once."""
        if isinstance(texts, pa.ChunkedArray):
            texts = texts.combine_chunks()
        coded = texts.dictionary_encode()
        words = []
        for text in coded.dictionary.to_pylist():
            if text not in known:
                made = make(text)
                if made:
                    known[text] = made
            words.append(known.get(text, ""))
        return pa.array(words, pa.string()).take(coded.indices)


def _cast(table: SourceTable, name: str, column: Any) -> Any:
    kind = IDENTITY[name]
    if column.type == kind:
        return column
    try:
        if pa.types.is_integer(kind) and pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        return column.cast(kind)
    except pa.ArrowInvalid as error:
        raise InvalidDataError(
            f"{table.name}: the column with the {name.replace('_id', ' number')} holds something else: "
            f"{str(error).splitlines()[0]}"
        ) from error


def _number(
    table: SourceTable, what: str, given: Any, rows: int, *, default: int | None = None, needed: bool = False
) -> Any:
    if given is None:
        if needed:
            raise InvalidDataError(
                f"{table.name}: its rows name no {what}", hint=f"Add a column with the {what}, or a mapping file."
            )
        return pa.repeat(pa.scalar(default, pa.int32()), rows)
    if given.null_count:
        if needed:
            raise InvalidDataError(f"{table.name}: {given.null_count:,} rows have no {what}")
        if default is not None:
            given = pc.fill_null(given, default)
    bounds = pc.min_max(given).as_py()
    if bounds["min"] is not None and not (bounds["min"] >= 0 and bounds["max"] <= _INT32):
        raise InvalidDataError(f"{table.name}: a {what} is {bounds['min']} or {bounds['max']}, out of what one can be")
    return given.cast(pa.int32())


class Keys:
    """Numbers the fields of an import, counts objects that have no number, and finds rows that come twice."""

    def __init__(self, level: Level, name: str) -> None:
        self._level = level
        self._name = name
        self._codes: dict[str, int] = {}
        self._counts: dict[int, int] = {}
        self._seen: list[Any] = []
        self._fields: set[int] = set()

    def check(self, table: SourceTable, rows: pa.Table) -> pa.Table:
        """Return the rows with a number for each object, and keep their keys.

        Raises
        ------
        InvalidDataError
            A field or well comes twice.
        """
        codes = self._codes_of(rows)
        if self._level != "object":
            known, counts = np.unique(codes, return_counts=True)
            twice = [code for code, count in zip(known.tolist(), counts.tolist(), strict=True) if count > 1]
            twice += [code for code in known.tolist() if code in self._fields]
            if twice:
                raise self._twice(table, self._words(twice[0]))
            self._fields.update(known.tolist())
            return rows
        if "object_id" not in rows.column_names:
            rows = rows.append_column("object_id", pa.array(self._numbered(codes), pa.int32()))
        objects = np.asarray(rows["object_id"].to_numpy(), dtype=np.int64)
        self._seen.append((codes.astype(np.int64) << 32) | objects)
        return rows

    def finish(self, table: SourceTable) -> None:
        """Raise ``InvalidDataError`` where an object comes twice; call it when all rows have been seen."""
        if not self._seen:
            return
        every = np.concatenate(self._seen)
        self._seen = []
        if np.all(every[1:] > every[:-1]):  # as files are usually sorted
            return
        every.sort()
        twice = np.flatnonzero(every[1:] == every[:-1])
        if twice.size:
            key = int(every[twice[0]])
            raise self._twice(table, f"object {key & 0xFFFFFFFF} of {self._words(key >> 32)}", len(twice))

    def _codes_of(self, rows: pa.Table) -> np.ndarray[Any, np.dtype[np.int64]]:
        parts = [pc.fill_null(rows[name].cast(pa.string()), "") for name in _FIELD_KEY]
        joined: Any = pc.binary_join_element_wise(*parts, "\t")
        if isinstance(joined, pa.ChunkedArray):
            joined = joined.combine_chunks()
        coded = joined.dictionary_encode()
        numbers = [self._codes.setdefault(text, len(self._codes)) for text in coded.dictionary.to_pylist()]
        codes: np.ndarray[Any, np.dtype[np.int64]] = np.asarray(numbers, dtype=np.int64)[coded.indices.to_numpy()]
        return codes

    def _numbered(self, codes: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Count the objects of each field in the order of the file, from 1."""
        order = np.argsort(codes, kind="stable")
        ordered = codes[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        lengths = np.diff(np.r_[starts, len(ordered)])
        before = np.array([self._counts.get(code, 0) for code in ordered[starts].tolist()], dtype=np.int64)
        numbers = np.empty(len(codes), dtype=np.int64)
        numbers[order] = np.arange(len(codes)) - np.repeat(starts, lengths) + np.repeat(before, lengths) + 1
        for code, count, length in zip(ordered[starts].tolist(), before.tolist(), lengths.tolist(), strict=True):
            self._counts[code] = count + length
        return numbers

    def _words(self, code: int) -> str:
        text = next(text for text, number in self._codes.items() if number == code)
        plate, acquisition, well, field, timepoint = text.split("\t")
        words = [f"plate {plate}", f"well {well}"]
        words += [f"field {field}"] if field else []
        words += [f"time point {timepoint}"] if timepoint != "0" else []
        words += [f"measurement {acquisition}"] if acquisition != "1" else []
        return ", ".join(words)

    def _twice(self, table: SourceTable, words: str, count: int = 1) -> InvalidDataError:
        more = f" (and {count - 1:,} more)" if count > 1 else ""
        return InvalidDataError(
            f"{self._name}: {words} comes more than once{more}, the last time in {table.name}; nothing was imported",
            hint="Rows must differ in plate, well, field, time point or object number. Leave out a file that repeats "
            "another one, or name its plate with --plate in an import of its own.",
        )
