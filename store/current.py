"""Which feature set and which profile set of a study is the current one: what its views show, what profiles start from.

That is the one that somebody has chosen, else the one whose rows of that study the newest run wrote, so that a recipe
that is run once more is shown again. Run identifiers sort by time, and the log has their bounds, so no data is read.
It is one set per study and part (object set or level): two would show every object twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import NotFoundError, UsageError
from ..schemas.tables import arrow_schema
from .lineage import Run
from .plates import plates_of
from .registry import (
    DefinedSet,
    FeatureSet,
    ProfileSet,
    feature_sets,
    profile_sets,
    resolve,
    resolve_any,
    resolve_profiles,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from .root import LakeRoot

Defined = TypeVar("Defined", bound=DefinedSet)

#: (kind, part, study) → hash of the set that somebody has chosen.
Choices = Mapping[tuple[str, str, str], str]

_TABLE = "current_sets"
KINDS = (FeatureSet.kind, ProfileSet.kind)


def shown(
    known: Iterable[Defined], part: str, newest: Callable[[str], Mapping[str, str]], choices: Choices
) -> dict[str, Defined]:
    """Return, for an object set or a level, study → the set that is current.

    A set that was chosen and of which the study has no rows any more is passed over.

    Parameters
    ----------
    known
        The registered sets of one kind, oldest first: among equals the one that was registered last counts.
    newest
        Gives for a table study → the newest run that wrote rows of it, as :func:`newest_runs` does.
    choices
        What :func:`chosen` returns.
    """
    found: dict[str, tuple[bool, str, Defined]] = {}
    for one in known:
        if part not in one.parts:
            continue
        for study, run in newest(one.table(part)).items():
            rank = choices.get((one.kind, part, study)) == one.hash, run
            if study not in found or rank >= found[study][:2]:
                found[study] = (*rank, one)
    return {study: one for study, (_, _, one) in found.items()}


def newest_runs(root: LakeRoot, table: str, *, version: int | None = None) -> dict[str, str]:
    """Return for a table of features or profiles study → the newest run that wrote rows of it, from the log alone.

    Where the log does not say it, for files of other writers, that is the empty text. A table that does not exist has
    none.
    """
    if not root.tables.exists(table):
        return {}
    from .snapshots import add_actions

    return newest_of(add_actions(root.tables.open(table, version=version)))


def newest_of(logged: pa.Table) -> dict[str, str]:
    """Return the same from the log's rows of such a table, as :attr:`.snapshots.Snapshot.actions` has them."""
    import pyarrow as pa

    # In Python: Arrow's groups import its datasets and pandas, which costs a third of a second in a new process.
    runs: Any = logged["max.run_id"] if "max.run_id" in logged.column_names else pa.nulls(len(logged), pa.string())
    newest: dict[str, str] = {}
    for study, run in zip(logged["partition.study_id"].to_pylist(), runs.to_pylist(), strict=True):
        newest[str(study)] = max(newest.get(str(study), ""), run or "")
    return newest


def chosen(root: LakeRoot, version: int | None = None) -> dict[tuple[str, str, str], str]:
    """Return what somebody has chosen: (kind, part, study) → hash; ``version`` is one of the table ``current_sets``."""
    rows = root.tables.read(_TABLE, columns=["kind", "part", "study_id", "hash"], version=version).to_pylist()
    return {(row["kind"], row["part"], row["study_id"]): row["hash"] for row in rows}


def current_of(root: LakeRoot, study_id: str, kind: str = "features") -> dict[str, DefinedSet]:
    """Return part → the current set of a study: of each object set (``features``) or level (``profiles``).

    Parts of which the study has no rows are left out: a study without features has the empty dictionary.
    """
    found = shown_in(root, kinds=(_kind(kind).kind,))
    return {part: one for (_, part, study), one in found.items() if study == study_id}


def shown_in(
    root: LakeRoot, versions: Mapping[str, int] | None = None, *, kinds: Iterable[str] = KINDS
) -> dict[tuple[str, str, str], DefinedSet]:
    """Return what the views show, now or in given versions of the tables: (kind, part, study) → the current set.

    Parameters
    ----------
    versions
        Table → version, of all tables that there are, as a release names them; the newest where None.
    """

    def there(table: str) -> bool:
        return versions is None or table in versions

    def version(table: str) -> int | None:
        return None if versions is None else versions[table]

    def newest(table: str) -> Mapping[str, str]:
        return newest_runs(root, table, version=version(table)) if there(table) else {}

    choices = chosen(root, version(_TABLE)) if there(_TABLE) else {}
    found: dict[tuple[str, str, str], DefinedSet] = {}
    for made in map(_kind, kinds):
        if not there(made.registry):
            continue
        read = feature_sets if made is FeatureSet else profile_sets
        known: list[DefinedSet] = list(read(root, version=version(made.registry)))
        for part in dict.fromkeys(part for one in known for part in one.parts):
            for study, one in shown(known, part, newest, choices).items():
                found[made.kind, part, study] = one
    return found


def choose(root: LakeRoot, reference: str, *, study_id: str, kind: str | None = None) -> dict[str, Any]:
    """Make one set the current one of a study, for every part of which the study has rows of it.

    Parameters
    ----------
    reference
        ``name@version``, a name (its newest version) or a hash of eight digits or more.
    kind
        ``features`` or ``profiles``, where a feature set and a profile set have the same name.

    Returns
    -------
    dict
        ``run_id`` (None where all was chosen already), ``status`` (``ok`` or ``skipped``), ``study_id``, ``kind``,
        ``label``, ``hash``, ``parts`` and ``before`` (part → label of what was current, where it was another).

    Raises
    ------
    NotFoundError
        There is no such study or set, or the study has no rows of it.
    """
    plates_of(root, study_id)  # says what there is where the study is unknown
    one = _resolve(root, reference, kind)
    tables = {part: one.table(part) for part in one.parts if study_id in newest_runs(root, one.table(part))}
    if not tables:
        present = sorted({current.label for current in current_of(root, study_id, one.kind).values()})
        made = "cytolake transform" if one.kind == FeatureSet.kind else "cytolake profile"
        raise NotFoundError(
            f"study {study_id!r} has no rows of {one.called} {one.label}",
            hint=f"it has {', '.join(present)}; see `cytolake features list --study {study_id}`"
            if present
            else f"make them with `{made}`, or bring them in with `cytolake import`",
        )
    choices = chosen(root)
    before = current_of(root, study_id, one.kind)
    said = {
        "study_id": study_id,
        "kind": one.kind,
        "label": one.label,
        "hash": one.hash,
        "parts": list(tables),
        "before": {part: before[part].label for part in tables if before[part].hash != one.hash},
    }
    if all(choices.get((one.kind, part, study_id)) == one.hash for part in tables):
        return {"run_id": None, "status": "skipped", **said}
    run = Run.start("features use", study_id=study_id, parameters={"set": reference, "label": one.label, "kind": kind})
    for table in tables.values():
        run.add_input("table", table, version=root.tables.version(table))
    rows = [
        {
            "study_id": study_id,
            "kind": one.kind,
            "part": part,
            "label": one.label,
            "hash": one.hash,
            "run_id": run.run_id,
        }
        for part in tables
    ]
    run.add_output("table", _TABLE, rows=len(rows))
    _write(root, run, rows)
    return {"run_id": run.run_id, "status": "ok", **said}


def forget(root: LakeRoot, *, study_id: str, kind: str | None = None) -> dict[str, Any]:
    """Go back to what the newest run wrote, for all that was chosen for a study, or for what is of one kind.

    Returns
    -------
    dict
        ``run_id`` (None where nothing had been chosen), ``status`` (``ok`` or ``skipped``), ``study_id``, and
        ``forgotten``: what was chosen, each with ``kind``, ``part`` and ``label``.

    Raises
    ------
    NotFoundError
        There is no such study.
    """
    plates_of(root, study_id)  # says what there is where the study is unknown
    kinds = KINDS if kind is None else (_kind(kind).kind,)
    rows = root.tables.read(_TABLE, where={"study_id": study_id, "kind": list(kinds)}).to_pylist()
    forgotten = [{name: row[name] for name in ("kind", "part", "label")} for row in rows]
    if not rows:
        return {"run_id": None, "status": "skipped", "study_id": study_id, "forgotten": []}
    run = Run.start("features use", study_id=study_id, parameters={"set": None, "kind": kind})
    run.add_output("table", _TABLE, rows=0)
    _write(root, run, [], gone=kinds)
    return {"run_id": run.run_id, "status": "ok", "study_id": study_id, "forgotten": forgotten}


def _write(root: LakeRoot, run: Run, rows: list[dict[str, Any]], gone: Iterable[str] = ()) -> None:
    import pyarrow as pa

    from .commit import Commit

    with Commit(root, run_id=run.run_id, app_id=f"current/{run.study_id}") as commit:
        for kind in gone:
            commit.delete(_TABLE, {"study_id": str(run.study_id), "kind": kind})
        commit.upsert(_TABLE, pa.Table.from_pylist(rows, schema=arrow_schema(_TABLE)), on=["study_id", "kind", "part"])
        commit.append("runs", run.record("ok"))
        commit.commit()


def _resolve(root: LakeRoot, reference: str, kind: str | None) -> DefinedSet:
    if kind is None:
        return resolve_any(root, reference)
    return resolve(root, reference) if _kind(kind) is FeatureSet else resolve_profiles(root, reference)


def _kind(kind: str) -> type[DefinedSet]:
    kinds: dict[str, type[DefinedSet]] = {FeatureSet.kind: FeatureSet, ProfileSet.kind: ProfileSet}
    if kind not in kinds:
        raise UsageError(f"{kind!r} is no kind of set", hint=f"there are {' and '.join(KINDS)}")
    return kinds[kind]
