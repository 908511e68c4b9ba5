"""Columns that are numbers in the lake and text in a table that is imported into the same set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...errors import InvalidDataError
from ...wording import listed
from .contract import SourceTable

if TYPE_CHECKING:
    from ...store.root import LakeRoot

_SHOWN = 10


def check_known(root: LakeRoot, tables: Sequence[SourceTable], hash_of: Callable[[SourceTable], str]) -> None:
    """Make sure that no column of text has numbers in the lake, from tables that were imported before.

    Parameters
    ----------
    hash_of
        Gives the hash of the set that a table goes into.

    Raises
    ------
    InvalidDataError
        A column has: as text it would be left out, and be empty for the new plates.
    """
    with_text = [table for table in tables if table.texts]
    hashes = sorted({hash_of(table) for table in with_text})
    if not hashes:
        return
    columns = ["feature_set_hash", "object_set", "original"]
    rows = root.tables.read("feature_dictionary", columns=columns, where={"feature_set_hash": hashes}).to_pylist()
    known = {tuple(row[name] for name in columns) for row in rows}
    levels = {(row["feature_set_hash"], row["original"]) for row in rows}
    clashes = [
        f"{column} of {table.name}"
        for table in with_text
        for column in table.texts
        if (
            (hash_of(table), table.object_set, column) in known
            if table.object_set is not None
            else (hash_of(table), column) in levels
        )
    ]
    if clashes:
        raise InvalidDataError(
            f"columns hold text, and numbers in the plates that were imported before: {listed(clashes, _SHOWN)}; "
            "nothing was imported",
            hint="Correct the file so that they hold numbers, or import it under another --name.",
        )
