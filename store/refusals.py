"""What stands in the way of a release: features that views show and that their last check refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .current import shown_in

if TYPE_CHECKING:
    from .registry import DefinedSet
    from .root import LakeRoot

_QUALITY = "feature_quality"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One measure that is beyond its threshold."""

    label: str
    row: Mapping[str, Any]

    def __str__(self) -> str:
        row = self.row
        where = row["study_id"] if row["plate_id"] is None else f"{row['study_id']}/{row['plate_id']}"
        what = " ".join(part for part in (row["object_set"], row["feature"]) if part)
        value = "not defined" if row["value"] is None else f"{row['value']:.4g}"
        held = "" if row["threshold"] is None else f" (threshold {row['threshold']:.4g})"
        reason = f", {row['reason']}" if row["reason"] else ""
        return f"{self.label} {where}{f' {what}' if what else ''}: {row['metric']} {value}{held}{reason}"


def refusals(root: LakeRoot, versions: Mapping[str, int]) -> list[Refusal]:
    """Return what the newest check of each plate refused, of the sets that views show.

    Parameters
    ----------
    versions
        Table → version: the lake as it is to be released.
    """
    if _QUALITY not in versions:
        return []
    current = _current(root, versions)
    if not current:
        return []
    rows = root.tables.read(_QUALITY, where={"feature_set_hash": list(current)}, version=versions[_QUALITY])
    plates = {
        (row["study_id"], row["plate_id"])
        for row in root.tables.read(
            "plates", columns=["study_id", "plate_id"], version=versions.get("plates")
        ).to_pylist()
    }
    newest: dict[tuple[Any, ...], str] = {}
    kept = []
    for row in rows.to_pylist():
        parts = current[row["feature_set_hash"]][1].get(row["study_id"], set())
        is_shown = bool(parts) if row["object_set"] is None else row["object_set"] in parts
        # What was said of a plate that was removed since says nothing about the lake.
        known = row["plate_id"] is None or (row["study_id"], row["plate_id"]) in plates
        if is_shown and known:
            kept.append(row)
            newest[_checked(row)] = max(newest.get(_checked(row), ""), row["run_id"])
    refused = [row for row in kept if row["verdict"] == "refused" and row["run_id"] == newest[_checked(row)]]
    found = [Refusal(label=current[row["feature_set_hash"]][0].label, row=row) for row in refused]
    return sorted(found, key=str)


def _checked(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what one check is about: the rows of its newest run count."""
    return tuple(row[name] for name in ("feature_set_hash", "study_id", "plate_id", "object_set"))


def _current(root: LakeRoot, versions: Mapping[str, int]) -> dict[str, tuple[DefinedSet, dict[str, set[str]]]]:
    """Return hash → a set that views show, and study → the object sets or levels in which they show it."""
    found: dict[str, tuple[DefinedSet, dict[str, set[str]]]] = {}
    for (_, part, study), one in shown_in(root, versions).items():
        found.setdefault(one.hash, (one, {}))[1].setdefault(study, set()).add(part)
    return found
