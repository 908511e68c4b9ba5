"""Feature sets: a definition has a hash, the hash has a name and a version, and rows live under the hash.

The hash is the identity: the same definition under another name, or written in another order, is the same feature
set. ``name@version`` is a label for one hash; a definition that changed takes the next version and never overwrites
what was computed under the old one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..errors import InvalidDataError, NotFoundError
from ..schemas.identifiers import check_id
from ..schemas.tables import arrow_schema

if TYPE_CHECKING:
    from .commit import Commit
    from .root import LakeRoot

_TABLE = "feature_sets"
_SHORT = 8  # hex digits of the hash that name the folder


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSet:
    """One definition that is, or is about to be, registered.

    Attributes
    ----------
    hash
        SHA-256 of the definition, 64 hex digits.
    object_sets
        The object sets that it segments and measures, parents first.
    definition
        All that decides a value.
    recipe
        The text that the definition was read from, comments and all.
    """

    name: str
    version: int
    hash: str
    object_sets: tuple[str, ...]
    definition: Mapping[str, Any] = field(hash=False)
    recipe: str | None
    created_at: datetime
    run_id: str

    @property
    def label(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    def table(self, object_set: str) -> str:
        """Return the name of the table with the rows of one object set."""
        return f"features/{self.name}/{self.hash[:_SHORT]}/{object_set}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A feature set, and the rows of ``feature_sets`` that make it known (none where it is known already)."""

    feature_set: FeatureSet
    rows: pa.Table = field(repr=False)

    @property
    def is_new(self) -> bool:
        """Whether the feature set is not in the lake yet."""
        return self.rows.num_rows > 0

    def add_to(self, commit: Commit) -> None:
        """Register it together with its first rows.

        Two runs may register one definition at once; two definitions that want the same label may not: the second
        commit fails with ``ConflictError``, and its run, repeated, gets the next version.
        """
        commit.insert(_TABLE, self.rows, on=["name", "version"], same=["hash"])


def canonical_json(definition: Mapping[str, Any]) -> str:
    """Return the one text of a definition: keys sorted, no spaces, Unicode as it is.

    Raises
    ------
    InvalidDataError
        It holds something that JSON does not have, such as NaN.
    """
    try:
        return json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"the definition of a feature set must be plain JSON: {error}") from error


def definition_hash(definition: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a definition's canonical JSON, as 64 hex digits."""
    return hashlib.sha256(canonical_json(definition).encode()).hexdigest()


def register(
    root: LakeRoot, name: str, definition: Mapping[str, Any], *, recipe_text: str | None, run_id: str
) -> Registration:
    """Find the feature set of a definition, or prepare a new one under the next version of ``name``.

    Parameters
    ----------
    definition
        Plain JSON values; its ``objects`` has a key for each object set.
    run_id
        The run that is about to compute the first rows.

    Returns
    -------
    Registration
        Nothing is written yet: give it to the commit that brings the first rows. A definition that is known keeps
        the name it was first registered under.
    """
    wanted = definition_hash(definition)
    known = feature_sets(root)
    for one in known:
        if one.hash == wanted:
            return Registration(feature_set=one, rows=arrow_schema(_TABLE).empty_table())
    new = FeatureSet(
        name=check_id(name, "name of the feature set"),
        version=1 + max((one.version for one in known if one.name == name), default=0),
        hash=wanted,
        object_sets=tuple(definition["objects"]),
        definition=definition,
        recipe=recipe_text,
        created_at=datetime.now(UTC),
        run_id=run_id,
    )
    row = {
        "name": new.name,
        "version": new.version,
        "hash": new.hash,
        "object_sets": list(new.object_sets),
        "definition": canonical_json(definition),
        "recipe": recipe_text,
        "created_at": new.created_at,
        "run_id": run_id,
    }
    return Registration(feature_set=new, rows=pa.Table.from_pylist([row], schema=arrow_schema(_TABLE)))


def feature_sets(root: LakeRoot, *, version: int | None = None) -> list[FeatureSet]:
    """Return all registered feature sets, oldest first; ``version`` is one of the table ``feature_sets``."""
    rows = root.tables.read(_TABLE, version=version).to_pylist()
    found = [
        FeatureSet(
            name=row["name"],
            version=row["version"],
            hash=row["hash"],
            object_sets=tuple(row["object_sets"]),
            definition=json.loads(row["definition"]),
            recipe=row["recipe"],
            created_at=row["created_at"],
            run_id=row["run_id"],
        )
        for row in rows
    ]
    return sorted(found, key=lambda one: (one.created_at, one.name, one.version))


def resolve(root: LakeRoot, reference: str) -> FeatureSet:
    """Return the feature set meant by ``name@version``, by ``name`` (its newest version), or by a hash.

    A hash may be shortened to eight digits or more.

    Raises
    ------
    NotFoundError
        No feature set is meant, or the hash begins several.
    """
    known = feature_sets(root)
    named = [one for one in known if one.name == reference]
    if named:
        return max(named, key=lambda one: one.version)
    for one in known:
        if one.label == reference:
            return one
    hashed = [one for one in known if len(reference) >= _SHORT and one.hash.startswith(reference)]
    if len(hashed) == 1:
        return hashed[0]
    close = get_close_matches(reference, [name for one in known for name in (one.label, one.name)], n=1)
    listed = ", ".join(one.label for one in known) or "none is registered yet"
    raise NotFoundError(
        f"there is no feature set {reference!r} in {root.url}",
        hint=f"did you mean {close[0]!r}?" if close else f"feature sets: {listed}",
    )


def current(root: LakeRoot) -> dict[str, FeatureSet]:
    """Return for each object set the feature set that its view shows: the one registered last.

    A feature set counts for an object set as soon as it has a table for it.
    """
    shown: dict[str, FeatureSet] = {}
    for one in feature_sets(root):
        for object_set in one.object_sets:
            if root.tables.exists(one.table(object_set)):
                shown[object_set] = one
    return shown


def feature_tables(root: LakeRoot) -> dict[str, tuple[FeatureSet, str]]:
    """Return every feature table that exists: its name → (feature set, object set)."""
    tables = {}
    for one in feature_sets(root):
        for object_set in one.object_sets:
            if root.tables.exists(one.table(object_set)):
                tables[one.table(object_set)] = (one, object_set)
    return tables
