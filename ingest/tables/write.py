"""The one commit of an import: rows of objects and profiles, plates and wells, the registry and the dictionary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...errors import ConflictError
from ...store.commit import Commit
from ...store.lineage import PreviousRows, Run
from ...store.plates import locked
from ...wording import listed
from ..rows import table_of
from .names import NamePlan
from .sets import Sets
from .wells import Links, WellFacts

if TYPE_CHECKING:
    from ...store.datafiles import DataFile
    from ...store.root import LakeRoot

_MOST_NAMED = 20  # plates that the name of a commit lists
_MOST_LOCKED = 200  # each lock is an open file
_SHOWN = 10
_PLATE = ("n_rows", "n_columns", "status", "run_id")
_DICTIONARY_KEY = ("feature_set_hash", "object_set", "column")


def write(
    root: LakeRoot,
    run: Run,
    *,
    sets: Sets,
    names: NamePlan,
    links: Links,
    facts: WellFacts,
    plate_names: Mapping[str, str],
    files: Mapping[tuple[str, str | None], Sequence[DataFile]],
    schemas: Mapping[str, pa.Schema],
    dictionary: Mapping[str, str],
) -> list[str]:
    """Commit an import whose data files are written; return what somebody should know.

    Parameters
    ----------
    files
        Table and plate (None for treatments) → data files.
    schemas
        Table → all its columns.
    dictionary
        Level or object set → hash of the set that its columns belong to.

    Raises
    ------
    ConflictError
        Somebody changed one of the plates, or is at work on it. Nothing was written.
    """
    plates = sorted(links.plates)
    study_id = str(run.study_id)
    run.plate_ids = tuple(plates)
    lock = locked(root, study_id, plates) if len(plates) <= _MOST_LOCKED else nullcontext()
    with lock:
        now = links.again()
        for plate_id, link in links.plates.items():
            before, after = link.row, now.plates[plate_id].row
            if (before and before["run_id"]) != (after and after["run_id"]):
                raise ConflictError(
                    f"plate {plate_id} of study {study_id} was changed meanwhile; nothing was imported",
                    hint="Run the same command again.",
                )
        changes, contradictions = now.changed_wells(facts, run.run_id)
        warnings = []
        if contradictions:
            warnings.append(
                f"{len(contradictions)} facts of wells are otherwise in the lake, and stay so: "
                f"{listed(contradictions, _SHOWN, between='; ')}"
            )
        previous: dict[str, PreviousRows] = {}
        for plate_id, change in changes.items():
            for before_run, wells in change.before.items():
                previous.setdefault(before_run, {}).setdefault("wells", {})[plate_id] = sorted(wells)
        for before_run, rows_of in previous.items():
            run.add_previous(before_run, rows_of)
        for target in dict.fromkeys(target for target, _ in files):
            count = sum(file.rows or 0 for (table, _), found in files.items() if table == target for file in found)
            run.add_output("table", target, rows=count)
        for warning in warnings:
            run.warn(warning)
        named = "+".join(plates) if len(plates) <= _MOST_NAMED else f"{len(plates)} plates"
        with Commit(root, run_id=run.run_id, app_id=f"import/{study_id}/{named}") as commit:
            study = table_of("studies", [{"study_id": study_id, "title": study_id, "run_id": run.run_id}])
            commit.insert("studies", study, on=["study_id"], same=["study_id"])
            for plate_id, link in now.plates.items():
                if link.row is not None:
                    key = {"study_id": study_id, "plate_id": plate_id}
                    commit.expect("plates", key, {name: link.row[name] for name in _PLATE})
            if now.created:
                made = now.plate_rows(plate_names, run.run_id)
                commit.insert("plates", made, on=["study_id", "plate_id"])
                commit.insert("wells", now.new_wells(facts, run.run_id), on=["study_id", "plate_id", "well_id"])
            for plate_id, change in changes.items():
                commit.replace("wells", {"study_id": study_id, "plate_id": plate_id}, change.rows)
            for registration in (sets.features, sets.profiles):
                if registration is not None:
                    registration.add_to(commit)
            fresh, renamed = _against(root, _dictionary(names, dictionary, run.run_id))
            added, changed = (table_of("feature_dictionary", rows) for rows in (fresh, renamed))
            commit.insert("feature_dictionary", added, on=_DICTIONARY_KEY, same=_DICTIONARY_KEY)
            commit.upsert("feature_dictionary", changed, on=_DICTIONARY_KEY)
            for (target, plate), found in files.items():
                key = {"study_id": study_id} if plate is None else {"study_id": study_id, "plate_id": plate}
                new = sets.existing != "replace"
                commit.replace_files(target, key, list(found), schemas[target], must_be_new=new)
            commit.append("runs", run.record("ok"))
            commit.commit()
    return warnings


def _against(root: LakeRoot, rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Part descriptions into those of columns that are new to their set, and known ones that have another name here.

    Another table may call a column otherwise, ``…_Hoechst`` for ``…_DAPI``; the first description stays, and every name
    is one that it can be found by.
    """
    hashes = sorted({row["feature_set_hash"] for row in rows})
    there = root.tables.read("feature_dictionary", where={"feature_set_hash": hashes}).to_pylist() if hashes else []
    known = {tuple(row[name] for name in _DICTIONARY_KEY): row for row in there}
    fresh, renamed = [], []
    for row in rows:
        before = known.get(tuple(row[name] for name in _DICTIONARY_KEY))
        if before is None:
            fresh.append(row)
            continue
        own = {row["column"], before["original"]}
        names = dict.fromkeys([*(before["aliases"] or ()), *row["aliases"], row["original"]])
        aliases = [name for name in names if name is not None and name not in own]
        if aliases != list(before["aliases"] or ()):
            renamed.append(before | {"aliases": aliases})
    return fresh, renamed


def _dictionary(names: NamePlan, hashes: Mapping[str, str], run_id: str) -> list[dict[str, Any]]:
    """Describe every column once per set."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for (level, object_set), group in names.groups.items():
        of_set = hashes[object_set or level]
        for one in group.values():
            feature = one.feature
            rows.setdefault(
                (of_set, one.object_set, one.column),
                {
                    "feature_set_hash": of_set,
                    "object_set": one.object_set,
                    "column": one.column,
                    "family": feature.family,
                    "operator": feature.operator,
                    "channel_role": feature.channel_role,
                    "second_channel_role": feature.second_channel_role,
                    "scale": feature.scale,
                    "unit": feature.unit,
                    "definition": feature.definition,
                    "source": feature.source,
                    "aliases": list(feature.aliases),
                    "original": one.original,
                    "run_id": run_id,
                },
            )
    return list(rows.values())
