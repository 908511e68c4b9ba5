"""Feature sets and profile sets: a definition has a hash, the hash has a name and a version, rows live under the hash.

The hash is the identity: the same definition under another name, or written in another order, is the same set.
``name@version`` is a label for one hash; a definition that changed takes the next version and never overwrites what
was computed under the old one. A feature set has one table per object set, a profile set one per level (field, well,
treatment).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import pyarrow as pa

from ..errors import InvalidDataError, NotFoundError
from ..schemas.identifiers import check_id
from ..schemas.tables import arrow_schema

if TYPE_CHECKING:
    from .commit import Commit
    from .root import LakeRoot

_SHORT = 8  # hex digits of the hash that name the folder


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinedSet:
    """One definition that is, or is about to be, registered.

    Attributes
    ----------
    hash
        SHA-256 of the definition, 64 hex digits.
    parts
        What it has a table for: the object sets of a feature set, the levels of a profile set.
    definition
        All that decides a value.
    recipe
        The text that the definition was read from, comments and all.
    """

    #: Folder of the tables, the table of the registry, its column for ``parts``, and what people call it.
    kind: ClassVar[str]
    registry: ClassVar[str]
    parts_column: ClassVar[str]
    called: ClassVar[str]

    name: str
    version: int
    hash: str
    parts: tuple[str, ...]
    definition: Mapping[str, Any] = field(hash=False)
    recipe: str | None
    created_at: datetime
    run_id: str

    @property
    def label(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    def table(self, part: str) -> str:
        """Return the name of the table with the rows of one object set or level."""
        return f"{self.kind}/{self.name}/{self.hash[:_SHORT]}/{part}"

    @property
    def imported(self) -> bool:
        """Whether its values were made elsewhere."""
        return "imported" in self.definition


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSet(DefinedSet):
    """A definition of features of objects."""

    kind = "features"
    registry = "feature_sets"
    parts_column = "object_sets"
    called = "feature set"

    @property
    def object_sets(self) -> tuple[str, ...]:
        """The object sets that it segments and measures, parents first."""
        return self.parts


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSet(DefinedSet):
    """A definition of profiles: a recipe and the features that it starts from, or a table made elsewhere."""

    kind = "profiles"
    registry = "profile_sets"
    parts_column = "levels"
    called = "profile set"

    @property
    def levels(self) -> tuple[str, ...]:
        """What a row may be: ``field``, ``well``, ``treatment``."""
        return self.parts


Defined = TypeVar("Defined", bound=DefinedSet)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration(Generic[Defined]):
    """A set, and the rows of its registry that make it known (none where it is known already)."""

    set: Defined
    rows: pa.Table = field(repr=False)

    @property
    def is_new(self) -> bool:
        """Whether the set is not in the lake yet."""
        return self.rows.num_rows > 0

    def add_to(self, commit: Commit) -> None:
        """Register it together with its first rows.

        Two runs may register one definition at once; two definitions that want the same label may not: the second
        commit fails with ``ConflictError``, and its run, repeated, gets the next version.
        """
        commit.insert(self.set.registry, self.rows, on=["name", "version"], same=["hash"])


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
) -> Registration[FeatureSet]:
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
    return _register(root, FeatureSet, name, definition, tuple(definition["objects"]), recipe_text, run_id)


def register_profiles(
    root: LakeRoot,
    name: str,
    definition: Mapping[str, Any],
    *,
    levels: Sequence[str],
    recipe_text: str | None,
    run_id: str,
) -> Registration[ProfileSet]:
    """Do the same for a profile set; ``levels`` are what it will have tables for."""
    return _register(root, ProfileSet, name, definition, tuple(levels), recipe_text, run_id)


def _register(
    root: LakeRoot,
    made: type[Defined],
    name: str,
    definition: Mapping[str, Any],
    parts: tuple[str, ...],
    recipe_text: str | None,
    run_id: str,
) -> Registration[Defined]:
    wanted = definition_hash(definition)
    known = _known(root, made)
    schema = arrow_schema(made.registry)
    for one in known:
        if one.hash == wanted:
            return Registration(set=one, rows=schema.empty_table())
    new = made(
        name=check_id(name, f"name of the {made.called}"),
        version=1 + max((one.version for one in known if one.name == name), default=0),
        hash=wanted,
        parts=parts,
        definition=definition,
        recipe=recipe_text,
        created_at=datetime.now(UTC),
        run_id=run_id,
    )
    row = {
        "name": new.name,
        "version": new.version,
        "hash": new.hash,
        made.parts_column: list(parts),
        "definition": canonical_json(definition),
        "recipe": recipe_text,
        "created_at": new.created_at,
        "run_id": run_id,
    }
    return Registration(set=new, rows=pa.Table.from_pylist([row], schema=schema))


def feature_sets(root: LakeRoot, *, version: int | None = None) -> list[FeatureSet]:
    """Return all registered feature sets, oldest first; ``version`` is one of the table ``feature_sets``."""
    return _known(root, FeatureSet, version=version)


def profile_sets(root: LakeRoot, *, version: int | None = None) -> list[ProfileSet]:
    """Return all registered profile sets, oldest first; ``version`` is one of the table ``profile_sets``."""
    return _known(root, ProfileSet, version=version)


def _known(root: LakeRoot, made: type[Defined], *, version: int | None = None) -> list[Defined]:
    return defined(made, root.tables.read(made.registry, version=version))


def defined(made: type[Defined], rows: pa.Table) -> list[Defined]:
    """Return the sets that rows of a registry describe, oldest first."""
    # Arrow imports pandas to make Python's time of one with a zone, which costs a third of a second in a new process.
    times: list[Any] = rows["created_at"].cast(pa.timestamp("us")).to_pylist()
    found = [
        made(
            name=row["name"],
            version=row["version"],
            hash=row["hash"],
            parts=tuple(row[made.parts_column]),
            definition=json.loads(row["definition"]),
            recipe=row["recipe"],
            created_at=time.replace(tzinfo=UTC),
            run_id=row["run_id"],
        )
        for row, time in zip(rows.drop_columns(["created_at"]).to_pylist(), times, strict=True)
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
    return _meant(root, reference, feature_sets(root), FeatureSet.called)


def resolve_profiles(root: LakeRoot, reference: str) -> ProfileSet:
    """Do the same for a profile set."""
    return _meant(root, reference, profile_sets(root), ProfileSet.called)


def resolve_any(root: LakeRoot, reference: str) -> FeatureSet | ProfileSet:
    """Do the same for a set of either kind; a feature set of that name comes first."""
    known: list[FeatureSet | ProfileSet] = [*feature_sets(root), *profile_sets(root)]
    return _meant(root, reference, known, "feature set or profile set")


def _meant(root: LakeRoot, reference: str, known: Sequence[Defined], called: str) -> Defined:
    named = [one for one in known if one.name == reference]
    if named:
        first = [one for one in named if one.kind == named[0].kind]
        return max(first, key=lambda one: one.version)
    for one in known:
        if one.label == reference:
            return one
    hashed = [one for one in known if len(reference) >= _SHORT and one.hash.startswith(reference)]
    if len(hashed) == 1:
        return hashed[0]
    close = get_close_matches(reference, [name for one in known for name in (one.label, one.name)], n=1)
    listed = ", ".join(dict.fromkeys(one.label for one in known)) or "none is registered yet"
    raise NotFoundError(
        f"there is no {called} {reference!r} in {root.url}",
        hint=f"did you mean {close[0]!r}?" if close else f"there are: {listed}",
    )


def feature_tables(root: LakeRoot) -> dict[str, tuple[FeatureSet, str]]:
    """Return every feature table that exists: its name → (feature set, object set)."""
    return _tables(root, feature_sets(root))


def profile_tables(root: LakeRoot) -> dict[str, tuple[ProfileSet, str]]:
    """Return every table of profiles that exists: its name → (profile set, level)."""
    return _tables(root, profile_sets(root))


def _tables(root: LakeRoot, known: Sequence[Defined]) -> dict[str, tuple[Defined, str]]:
    tables = {}
    for one in known:
        for part in one.parts:
            if root.tables.exists(one.table(part)):
                tables[one.table(part)] = (one, part)
    return tables
