"""The card of a data set, ``card.json`` for programs and ``README.md`` for people; the same rows make the same card."""

# ruff: noqa: S608 - names and values in the SQL made here are quoted

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import CytolakeError
from ...store.scan import count
from ...wording import listed
from ..binding import text
from .folder import CARD, PAGE
from .page import page_of
from .splitting import key_of

if TYPE_CHECKING:
    from .formats import Layout
    from .plan import Plan
    from .splitting import Leak
    from .stream import Stream

#: What is told of each split: how many different values there are, and which, up to a number of them.
_TOLD = ("study", "plate", "compound", "gene", "donor", "cell_line", "biosample", "batch")
_VALUES = 200
_WORST = 20
_LEAKS = 100
_MUCH = 0.5
_STUDY = ("study_id", "title", "licence", "data_use", "access_level", "donor_derived", "consent_reference")
_STUDY_MORE = ("publication_doi", "related_accession")


def card_of(
    plan: Plan,
    layout: Layout,
    tally: Sequence[Mapping[str, Any]],
    stream: Stream,
    *,
    sha256: str,
    columns: Mapping[str, Mapping[str, Any]],
    leaks: Mapping[str, Sequence[Leak]],
    dropped: Mapping[str, int],
    empty: Sequence[str],
) -> dict[str, Any]:
    """Return the card, but for its files."""
    from ... import __version__

    spec, pinned = plan.spec, plan.pinned
    studies = _studies(plan, tally)
    runs = sorted({row["run_id"] for row in tally if row["run_id"] is not None})
    sets = {one.label: one for chosen in plan.chosen for one in chosen.source.sets}
    made_by = _code_of(plan, runs)
    fitted = _fitted(plan, [one.hash for one in sets.values() if one.kind == "profiles"], tally)
    missing = _missing(layout, stream)
    labels = {name: _label(plan, layout, tally, stream, name) for name in plan.labels}
    card: dict[str, Any] = {
        "kind": "cytolake dataset",
        "name": spec.name,
        "description": spec.description,
        "sha256": sha256,
        "format": spec.format,
        "level": spec.entities.level,
        "source": plan.rows.source.said,
        "lake": pinned.root.config.name,
        "as_of": pinned.said,
        "versions": dict(sorted(pinned.versions.items())),
        "table_rows": {table: _count(plan, table, at) for table, at in sorted(pinned.versions.items())},
        "sets": [
            {
                "label": one.label,
                "kind": one.kind,
                "hash": one.hash,
                "recipe_sha256": hashlib.sha256(one.recipe.encode()).hexdigest() if one.recipe else None,
            }
            for _, one in sorted(sets.items())
        ],
        "runs": runs,
        "made_by": made_by,
        "software": {"cytolake": __version__, **{name: version(name) for name in ("duckdb", "numpy", "pyarrow")}},
        "split": {"by": spec.split.by, "assign": spec.split.assign, "seed": spec.split.seed},
        "splits": {
            name: {
                "rows": layout.rows[name],
                "groups": len({row["group"] for row in tally if row["split"] == name} - {None}),
                **_values(plan, tally, name),
                "columns": [list(one) for one in columns[name]["columns"]],
            }
            for name in layout.rows
        },
        "labels": labels,
        "features": {"names": list(layout.features), "dtype": layout.dtype.name, "left_out": list(empty)},
        "missing": missing,
        "leakage": {
            "checked": list(plan.dimensions),
            "forbidden": list(spec.split.forbid),
            "found": {
                name: {
                    "values": len(some),
                    "examples": [{"value": o.value, "rows": dict(o.rows)} for o in some[:_LEAKS]],
                }
                for name, some in leaks.items()
                if some
            },
            "fitted_across": fitted,
        },
        "dropped": dict(dropped),
        "studies": studies,
        "spec": spec.given,
    }
    card["warnings"] = _warnings(plan, card, stream, tally)
    return card


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write both cards."""
    data = json.dumps(card, ensure_ascii=False, indent=1, default=str)
    (folder / CARD).write_text(data + "\n", encoding="utf-8")
    (folder / PAGE).write_text(page_of(card), encoding="utf-8")


def _count(plan: Plan, table: str, at: int) -> int | None:
    if not plan.pinned.root.tables.exists(table):  # a table of somebody else's
        return None
    try:
        return count(plan.pinned.root, table, version=at)
    except CytolakeError:  # the log of an old version may be gone, which the question itself has told
        return None


def _values(plan: Plan, tally: Sequence[Mapping[str, Any]], split: str) -> dict[str, Any]:
    """Return how many values a split has of each dimension, and the first of them."""
    found: dict[str, Any] = {}
    for dimension in _TOLD:
        if dimension not in plan.dimensions:
            continue
        values: dict[str, str] = {}
        for row in tally:
            value = row["dimensions"][dimension]
            key = key_of(dimension, value)
            if row["split"] == split and key is not None:
                values.setdefault(key, str(value))
        known = [values[key] for key in sorted(values)]
        found[dimension] = {"count": len(known), "values": known[:_VALUES]}
    return found


def _label(plan: Plan, layout: Layout, tally: Sequence[Mapping[str, Any]], stream: Stream, name: str) -> dict[str, Any]:
    given = next(one for one in plan.spec.labels if one.name == name)
    disputed = sum(row["n"] for row in tally if row["disputed"][name])
    told: dict[str, Any] = {"type": plan.label_types[name], "rows": {}}
    if given.vocabulary is not None:
        told["vocabulary"] = given.vocabulary
        told["as_of"] = given.as_of.isoformat() if given.as_of else None
        told["level"] = plan.rows.annotations[name].level
        told["conflicts"] = {"rule": given.conflicts, "rows": disputed}
    if name not in layout.classes:
        for split, state in stream.states.items():
            one = state.numbers.get(name)
            if one is None or not one.rows:
                told["rows"][split] = {"rows": 0}
            else:
                told["rows"][split] = {
                    "rows": one.rows,
                    "min": one.least,
                    "mean": one.total / one.rows,
                    "max": one.most,
                }
        return told
    told["classes"] = list(layout.classes[name])
    counts: dict[str, dict[str, int]] = {split: defaultdict(int) for split in layout.rows}
    for row in tally:
        value = row["labels"][name]
        counts[row["split"]]["(none)" if value is None else str(value)] += row["n"]
    order = [*(str(one) for one in layout.classes[name]), "(none)"]
    told["rows"] = {split: {one: of[one] for one in order if one in of} for split, of in counts.items()}
    return told


def _missing(layout: Layout, stream: Stream) -> dict[str, Any]:
    """Return the share of values that are missing: in all, of the worst features, of the worst plates."""
    rows = sum(layout.rows.values())
    total: Any = sum(state.missing for state in stream.states.values() if state.missing is not None)
    total = np.asarray(total)
    worst = np.argsort(-total, kind="stable")[:_WORST]
    plates = sorted(
        ((name, missing / values) for name, (missing, values) in stream.missing_by_plate.items() if values),
        key=lambda one: (-one[1], one[0]),
    )
    return {
        "share": float(total.sum() / (rows * len(layout.features))),
        "features_with_any": int((total > 0).sum()),
        "worst_features": [
            {"feature": layout.features[at], "share": float(total[at] / rows)} for at in worst if total[at]
        ],
        "by_split": {
            name: float(np.asarray(state.missing).sum() / (state.rows * len(layout.features)))
            for name, state in stream.states.items()
        },
        "worst_plates": [{"plate": name, "share": share} for name, share in plates[:_WORST] if share],
    }


def _studies(plan: Plan, tally: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return title, licence and terms of use of the studies that rows are of."""
    ids = sorted({row["place"][0] for row in tally})
    known = {
        row["study_id"]: row
        for row in plan.pinned.rows(
            f"SELECT {', '.join((*_STUDY, *_STUDY_MORE))} FROM studies "
            f"WHERE study_id IN ({', '.join(text(one) for one in ids)}) ORDER BY study_id"
        )
    }
    return [known.get(one) or {"study_id": one, **dict.fromkeys((*_STUDY[1:], *_STUDY_MORE))} for one in ids]


def _code_of(plan: Plan, runs: Sequence[str]) -> list[str]:
    """Return which versions of the software made the rows."""
    if not runs:
        return []
    rows = plan.pinned.rows(
        "SELECT DISTINCT verb, code_version FROM runs "
        f"WHERE run_id IN ({', '.join(text(one) for one in runs)}) ORDER BY ALL"
    )
    return [f"{row['verb']} {row['code_version']}" for row in rows]


def _fitted(plan: Plan, hashes: Sequence[str], tally: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return steps of profiles that were fitted on plates together of which some are in one split, some in another."""
    if not hashes:
        return []
    splits: dict[str, set[str]] = defaultdict(set)
    for row in tally:
        splits[row["place"][0]].add(row["split"])
    together = len(set().union(*splits.values())) > 1
    rows = plan.pinned.rows(
        "SELECT DISTINCT profile_set, operator, study_id FROM profile_fits WHERE plate_id IS NULL AND "
        f"profile_set_hash IN ({', '.join(text(one) for one in hashes)}) ORDER BY ALL"
    )
    found = []
    for row in rows:
        study = row["study_id"]
        if together if study is None else len(splits.get(study, ())) > 1:
            on = f"study {study}" if study else "several studies"
            found.append(f"{row['operator']} of {row['profile_set']} was fitted on all of {on}")
    return found


def _warnings(plan: Plan, card: Mapping[str, Any], stream: Stream, tally: Sequence[Mapping[str, Any]]) -> list[str]:
    found = []
    for name, label in card["labels"].items():
        for split, counts in label["rows"].items():
            absent = [str(one) for one in label.get("classes", ()) if str(one) not in counts]
            if absent:
                found.append(f"{split} has no row of {name} {listed([repr(one) for one in absent], 5)}")
        disputed = label.get("conflicts", {}).get("rows", 0)
        if disputed:
            found.append(
                f"annotators disagree on {name} of {disputed:,} rows; the rule is {label['conflicts']['rule']!r}"
            )
    for why, rows in card["dropped"].items():
        found.append(f"{rows:,} rows with {why} were left out")
    infinite = sum(state.infinite for state in stream.states.values())
    if infinite:
        found.append(f"{infinite:,} values are infinite")
    many = [one["feature"] for one in card["missing"]["worst_features"] if one["share"] > _MUCH]
    if many:
        found.append(f"more than half of the values are missing of {listed(many, 5)}")
    found += [f"{one}: what is in one split shaped the features of another" for one in card["leakage"]["fitted_across"]]
    for study in card["studies"]:
        level = study["access_level"]
        terms = f" ({', '.join(study['data_use'])})" if study["data_use"] else ""
        if level not in (None, "open"):
            found.append(f"study {study['study_id']} is {level}{terms}: whoever receives this data set is bound by it")
    if "donor" in plan.dimensions and any(study["donor_derived"] for study in card["studies"]):
        without = sum(row["n"] for row in tally if not row["dimensions"]["donor"])
        if without:
            found.append(f"{without:,} rows name no donor, so that it cannot be checked whether donors are kept apart")
    return found
