"""Feature sets and profile sets as users see them: which there are, what defines each, what each holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..store.contents import PlateRows, ancestors, families_of, feature_columns, held_rows
from ..store.current import chosen, shown_in
from ..store.plates import plates_of
from ..store.registry import DefinedSet, ProfileSet, feature_sets, profile_sets, resolve_any

if TYPE_CHECKING:
    from ..store.root import LakeRoot

#: Where neither the dictionary of the set nor that of what it was made from has a column.
_NO_FAMILY = "other"


def list_sets(root: LakeRoot, study_id: str | None = None) -> list[dict[str, Any]]:
    """Return one entry per feature set and profile set, oldest first, from the registries and the logs alone.

    Parameters
    ----------
    study_id
        Only sets of which this study has rows.

    Returns
    -------
    list of dict
        ``kind`` (``features`` or ``profiles``), ``name``, ``version``, ``label``, ``hash``, ``parts``; ``origin``
        (``computed``, ``imported`` or ``recipe``), ``dialect`` of an imported one, ``source`` (label of the set that
        profiles were made from); ``studies``, ``plates`` and ``rows`` (None where the log does not say it), ``rows_of``
        (part → its rows), ``columns`` (features, those of several levels once), ``current_in`` (studies whose views
        show it), ``chosen_in`` (those where somebody chose it), ``fit_versions`` of a profile set, ``created_at``,
        ``run_id``.

    Raises
    ------
    NotFoundError
        There is no such study.
    """
    if study_id is not None:
        plates_of(root, study_id)
    known: list[DefinedSet] = [*feature_sets(root), *profile_sets(root)]
    current = {(one.hash, study) for (_, _, study), one in shown_in(root).items()}
    choices = {(digest, study) for (_, _, study), digest in chosen(root).items()}
    versions = _fit_versions(root)
    found = []
    for one in known:
        contents = {
            part: [row for row in held_rows(root, one.table(part)) if study_id in (None, row.study_id)]
            for part in one.parts
        }
        held = [row for rows in contents.values() for row in rows]
        if study_id is not None and not held:
            continue
        current_in = sorted(study for digest, study in current if digest == one.hash)
        found.append(
            {
                **_who(one, known),
                **_extent(held),
                "rows_of": {part: _total(rows) for part, rows in contents.items()},
                "columns": len({name for part in one.parts for name in feature_columns(root, one, part)}),
                "current_in": current_in,
                "chosen_in": [study for study in current_in if (one.hash, study) in choices],
                "fit_versions": versions.get(one.hash, []),
                "created_at": one.created_at.isoformat(),
                "run_id": one.run_id,
            }
        )
    return found


def show_set(root: LakeRoot, reference: str) -> dict[str, Any]:
    """Describe one feature set or profile set.

    Parameters
    ----------
    reference
        ``name@version``, a name (its newest version) or a hash of eight digits or more.

    Returns
    -------
    dict
        What :func:`list_sets` says of it, and ``definition``, ``recipe`` (the TOML, None where there is none),
        ``contents`` (part → ``rows``, ``columns``, ``families`` (family → columns), ``plates``: each with ``study_id``,
        ``plate_id``, ``rows``), ``lineage`` (the sets that it was made from, nearest first), and ``fits`` of a profile
        set: each with ``version``, ``fitted_at``, ``run_id``, ``steps``, ``units`` and ``controls`` (wells).

    Raises
    ------
    NotFoundError
        There is no such set.
    """
    one = resolve_any(root, reference)
    known: list[DefinedSet] = [*feature_sets(root), *profile_sets(root)]
    of_set = next(entry for entry in list_sets(root) if entry["hash"] == one.hash and entry["kind"] == one.kind)
    families = families_of(root, one, known)
    contents = {}
    for part in one.parts:
        plates = held_rows(root, one.table(part))
        columns = feature_columns(root, one, part)
        contents[part] = {
            "table": one.table(part),
            "rows": _total(plates),
            "columns": columns,
            "families": _counted(columns, families),
            "plates": [{"study_id": row.study_id, "plate_id": row.plate_id, "rows": row.rows} for row in plates],
        }
    return {
        **of_set,
        "definition": dict(one.definition),
        "recipe": one.recipe,
        "contents": contents,
        "lineage": [{"kind": up.kind, "label": up.label, "hash": up.hash} for up in ancestors(one, known)],
        "fits": _fits(root, one) if isinstance(one, ProfileSet) else [],
    }


def _who(one: DefinedSet, known: Iterable[DefinedSet]) -> dict[str, Any]:
    source = next(iter(ancestors(one, known)), None)
    origin = "imported" if one.imported else "recipe" if isinstance(one, ProfileSet) else "computed"
    return {
        "kind": one.kind,
        "name": one.name,
        "version": one.version,
        "label": one.label,
        "hash": one.hash,
        "parts": list(one.parts),
        "origin": origin,
        "dialect": one.definition["imported"].get("dialect") if one.imported else None,
        "source": source and source.label,
    }


def _extent(held: Sequence[PlateRows]) -> dict[str, Any]:
    plates = {(row.study_id, row.plate_id) for row in held if row.plate_id is not None}
    return {"studies": sorted({row.study_id for row in held}), "plates": len(plates), "rows": _total(held)}


def _total(held: Sequence[PlateRows]) -> int | None:
    rows = [row.rows for row in held]
    return None if None in rows else sum(one or 0 for one in rows)


def _counted(columns: Iterable[str], families: Mapping[str, str]) -> dict[str, int]:
    """Return family → how many columns, the largest first."""
    counts: dict[str, int] = {}
    for column in columns:
        family = families.get(column, _NO_FAMILY)
        counts[family] = counts.get(family, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _fit_versions(root: LakeRoot) -> dict[str, list[int]]:
    """Return hash of a profile set → the versions of its fitted parameters."""
    found: dict[str, set[int]] = {}
    for row in root.tables.read("profile_fits", columns=["profile_set_hash", "fit_version"]).to_pylist():
        found.setdefault(row["profile_set_hash"], set()).add(row["fit_version"])
    return {digest: sorted(versions) for digest, versions in found.items()}


def _fits(root: LakeRoot, one: ProfileSet) -> list[dict[str, Any]]:
    """Return the versions of a profile set's fitted parameters: when, on what, how many controls."""
    columns = ["fit_version", "step", "unit", "operator", "controls", "run_id"]
    rows = root.tables.read("profile_fits", columns=columns, where={"profile_set_hash": one.hash}).to_pylist()
    runs = sorted({row["run_id"] for row in rows})
    dates = {
        row["run_id"]: row["started_at"]
        for row in root.tables.read("runs", columns=["run_id", "started_at"], where={"run_id": runs}).to_pylist()
    }
    found = []
    for version in sorted({row["fit_version"] for row in rows}):
        own = [row for row in rows if row["fit_version"] == version]
        last = max(row["run_id"] for row in own)
        date = dates.get(last)
        steps = dict(sorted({row["step"]: row["operator"] for row in own}.items()))
        found.append(
            {
                "version": version,
                "fitted_at": None if date is None else date.isoformat(),
                "run_id": last,
                "steps": list(steps.values()),
                "units": sorted({row["unit"] for row in own}),
                "controls": len({well for row in own for well in row["controls"] or ()}),
            }
        )
    return found
