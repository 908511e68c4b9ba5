"""What a run of profiles starts from: a feature set of objects, or a table of fields or wells; read at one version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import NotFoundError, RecipeError, UsageError
from ...store.current import current_of
from ...store.registry import DefinedSet, FeatureSet, ProfileSet, feature_sets, profile_sets, resolve_any
from ...store.scan import Filter, live_files
from ...wording import did_you_mean, listed

if TYPE_CHECKING:
    from ...store.root import LakeRoot

_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The tables that wells are made from.

    Attributes
    ----------
    set
        A feature set, or a profile set.
    parts
        Its object sets, the first of which counts as the number of objects; or one level, ``well`` or ``field``.
    versions
        Table → the version that is read, so that a run sees one moment.
    """

    set: DefinedSet
    parts: tuple[str, ...]
    versions: Mapping[str, int]

    @property
    def of_objects(self) -> bool:
        """Whether a row is an object."""
        return isinstance(self.set, FeatureSet)

    @property
    def level(self) -> str:
        """What a row is: ``object``, ``field`` or ``well``."""
        return "object" if self.of_objects else self.parts[0]

    def definition(self) -> dict[str, Any]:
        """Return what of it is part of a profile set's definition."""
        own = {"objects": list(self.parts)} if self.of_objects else {"level": self.level}
        return {"kind": self.set.kind, "hash": self.set.hash, **own}


def find_source(
    root: LakeRoot, study_ids: Sequence[str], reference: str | None, objects: Sequence[str] | None
) -> Source:
    """Find what the profiles of some studies are made from.

    Parameters
    ----------
    reference
        ``name@version``, a name or a hash; None for the current feature set of the studies, or, where they have none,
        the one table of wells or fields that was imported for them.
    objects
        Object sets that a recipe names; None for all.

    Raises
    ------
    NotFoundError
        There is no such set, or a study has no rows of it.
    UsageError
        Nothing is named, and there are several.
    RecipeError
        The recipe names object sets that the feature set does not have.
    """
    known = _rows_of_studies(root)
    found: DefinedSet
    if reference is not None:
        found = resolve_any(root, reference)
    else:
        chosen = {study: _usual(root, study, known) for study in study_ids}
        if len({one.hash for one in chosen.values()}) > 1:
            each = "; ".join(f"{study} {one.label}" for study, one in chosen.items())
            raise UsageError(
                f"the studies have different current feature sets: {each}",
                hint="name one that all of them have with --source, or profile them one by one",
            )
        found = next(iter(chosen.values()))
    parts = _parts(found, objects, {part for study in study_ids for part in known.get(study, {}).get(found, ())})
    for study in study_ids:
        if not set(parts) & set(known.get(study, {}).get(found, ())):
            raise NotFoundError(
                f"study {study!r} has no rows of {found.called} {found.label}", hint=_there_is(study, known)
            )
    return _as_it_is(root, found, parts)


def source_of(root: LakeRoot, definition: Mapping[str, Any]) -> Source:
    """Return the source that a profile set's definition names, as it is now.

    Raises
    ------
    NotFoundError
        It is not in the lake.
    """
    named = definition["source"]
    every: list[DefinedSet] = [*feature_sets(root), *profile_sets(root)]
    for one in every:
        if one.hash == named["hash"] and one.kind == named["kind"]:
            parts = tuple(definition["aggregate"]["objects"]) if one.kind == FeatureSet.kind else (named["level"],)
            return _as_it_is(root, one, parts)
    raise NotFoundError(f"the lake has no set with the hash {named['hash'][:12]}…, from which the profiles were made")


def plates_with_rows(root: LakeRoot, source: Source, study_id: str) -> list[str]:
    """Return the plates of a study that may have rows of a source, sorted; from the log alone.

    A file that was compacted by others holds several plates, and its bounds may hold the name of one that it lacks.
    """
    rows = root.tables.read("plates", columns=["plate_id"], where={"study_id": study_id})
    plates: list[Any] = rows["plate_id"].to_pylist()
    found: set[str] = set()
    for table, version in source.versions.items():
        files = live_files(root.tables.open(table, version=version), [Filter("study_id", "=", study_id)])
        for file in files:
            low, high, _ = file.stats.get("plate_id", (None, None, 0))
            found |= {one for one in plates if low is None or high is None or low <= one <= high}
    return sorted(found)


def _as_it_is(root: LakeRoot, one: DefinedSet, parts: tuple[str, ...]) -> Source:
    """Return parts of a set, each table at the version that it has now."""
    tables = [one.table(part) for part in parts if root.tables.exists(one.table(part))]
    return Source(set=one, parts=parts, versions={table: root.tables.version(table) for table in tables})


def _parts(found: DefinedSet, objects: Sequence[str] | None, present: set[str]) -> tuple[str, ...]:
    """Choose object sets, or the level that is nearest to a well."""
    if isinstance(found, ProfileSet):
        for level in ("well", "field"):
            if level in found.parts and (level in present or not present):
                return (level,)
        raise UsageError(
            f"{found.called} {found.label} has rows of {listed(found.parts, _SHOWN)} only",
            hint="profiles are made from objects, fields or wells; name another with --source",
        )
    if objects is None:
        return found.parts
    for name in objects:
        if name not in found.parts:
            raise RecipeError(
                f"[aggregate] objects: {found.called} {found.label} has no object set {name!r}"
                f"{did_you_mean(name, found.parts)}",
                hint=f"it has {', '.join(found.parts)}",
            )
    return tuple(objects)


def _usual(root: LakeRoot, study: str, known: Mapping[str, Mapping[DefinedSet, Sequence[str]]]) -> DefinedSet:
    """Give the current feature set of a study, or the one table of wells or fields that was brought in for it."""
    current = list({one.hash: one for one in current_of(root, study, FeatureSet.kind).values()}.values())
    if not current:
        current = [one for one in known.get(study, {}) if isinstance(one, ProfileSet) and one.imported]
    if len(current) == 1:
        return current[0]
    if current:
        raise UsageError(
            f"study {study!r} has several sets that profiles could be made from: "
            f"{listed([one.label for one in current], _SHOWN)}",
            hint="name one with --source, or choose one with `cytolake features use`",
        )
    raise NotFoundError(
        f"study {study!r} has no features that profiles could be made from", hint=_there_is(study, known)
    )


def _rows_of_studies(root: LakeRoot) -> dict[str, dict[DefinedSet, list[str]]]:
    """Return study → set → the parts of which the study has rows, from the logs alone."""
    found: dict[str, dict[DefinedSet, list[str]]] = {}
    every: list[DefinedSet] = [*feature_sets(root), *profile_sets(root)]
    for one in every:
        for part in one.parts:
            if root.tables.exists(one.table(part)):
                files = live_files(root.tables.open(one.table(part)))
                for study in {str(file.partition_values["study_id"]) for file in files}:
                    found.setdefault(study, {}).setdefault(one, []).append(part)
    return found


def _there_is(study: str, known: Mapping[str, Mapping[DefinedSet, Sequence[str]]]) -> str:
    labels = Counter(one.label for one in {one for sets in known.values() for one in sets})
    there = []
    for one, parts in known.get(study, {}).items():
        # A label that two sets share means the feature set; the profile set is named by its hash.
        name = one.label if labels[one.label] == 1 else f"{one.hash[:8]} = {one.label}"
        there.append(f"{name} ({one.called}: {', '.join(parts)})")
    if there:
        return f"it has {listed(there, _SHOWN)}: name one with --source"
    return "measure its plates with `cytolake transform`, or bring tables in with `cytolake import`"
