"""Why two data sets are not the same: what moved in the lake, in the spec, in the rows."""

# ruff: noqa: S608 - names in the SQL made here are quoted

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from ...wording import listed
from ..binding import quoted, text
from ..definitions import changes
from .folder import read_card

_SHOWN = 6
_INDEX = "index.parquet"


def find_card(path: Path) -> dict[str, Any]:
    """Return the card of an earlier data set, by its file or folder."""
    return read_card(Path(path))


def read_index(card: Mapping[str, Any]) -> Path | None:
    """Return the rows of an earlier data set, None where only its card is there."""
    path = Path(card["folder"]) / _INDEX
    return path if path.is_file() else None


def difference(before: Mapping[str, Any], after: Mapping[str, Any], old: Path | None, new: Path) -> dict[str, Any]:
    """Say what differs between two data sets.

    Parameters
    ----------
    before, after
        Their cards.
    old, new
        Their rows: identity, split, digest. Without the old ones rows cannot be told apart.

    Returns
    -------
    dict
        ``same`` (the logical hashes are equal), ``with`` (name and hash of the earlier one), ``because`` (sentences),
        ``tables`` (those that moved: ``table``, ``before``, ``after`` as versions, ``rows_before``, ``rows_after``),
        ``features`` and ``labels`` (``added``, ``removed``; classes as ``label = class``), ``rows`` (``added``,
        ``removed``, ``moved`` to another split, ``changed`` in a value; None where it cannot be known), ``spec`` (the
        paths of keys that differ).
    """
    tables = _tables(before, after)
    features = _sets(before["features"]["names"], after["features"]["names"])
    labels = _sets(_classes(before), _classes(after))
    spec = [str(one["path"]) for one in changes(before["spec"], after["spec"])]
    same_columns = _columns(before) == _columns(after)
    rows = None if old is None else _rows(old, new, same_columns=same_columns)
    because = []
    if spec:
        because.append(f"the spec differs in {listed(spec, _SHOWN)}")
    if before["as_of"] != after["as_of"]:
        because.append(f"it is of {after['as_of']}, was of {before['as_of']}")
    because += [_moved(one) for one in tables]
    if before["sets"] != after["sets"]:
        old_sets, new_sets = (
            [f"{one['label']} ({one['hash'][:8]})" for one in card["sets"]] for card in (before, after)
        )
        because.append(f"the sets are {listed(new_sets, _SHOWN)}, no longer {listed(old_sets, _SHOWN)}")
    because += [f"features {text}" for text in _said(features)] + [f"labels {text}" for text in _said(labels)]
    if rows is not None:
        counts = [(rows["added"], "added"), (rows["removed"], "removed"), (rows["moved"], "moved to another split")]
        counts.append((rows["changed"], "with other values"))
        said = [f"{count:,} {what}" for count, what in counts if count]
        if said:
            because.append(f"rows: {', '.join(said)}")
    same = before["sha256"] == after["sha256"]
    if not same and before["software"] != after["software"]:
        because.append(f"made by other versions of the software: {_versions(before)}, now {_versions(after)}")
    return {
        "same": same,
        "with": {"name": before["name"], "sha256": before["sha256"], "folder": before["folder"]},
        "because": because,
        "tables": tables,
        "features": features,
        "labels": labels,
        "rows": rows,
        "spec": spec,
    }


def _tables(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for name in sorted({*before["versions"], *after["versions"]}):
        one, other = before["versions"].get(name), after["versions"].get(name)
        if one != other:
            rows = [card["table_rows"].get(name) for card in (before, after)]
            found.append({"table": name, "before": one, "after": other, "rows_before": rows[0], "rows_after": rows[1]})
    return found


def _moved(one: Mapping[str, Any]) -> str:
    if one["before"] is None:
        return f"table {one['table']} is read now (version {one['after']})"
    if one["after"] is None:
        return f"table {one['table']} is not read any more"
    said = f"table {one['table']} is at version {one['after']}, was at {one['before']}"
    if one["rows_before"] is None or one["rows_after"] is None:
        return said
    more = one["rows_after"] - one["rows_before"]
    return f"{said} ({one['rows_before']:,} rows then, {one['rows_after']:,} now)" if more else f"{said} (as many rows)"


def _sets(before: list[str], after: list[str]) -> dict[str, list[str]]:
    return {
        "added": [one for one in after if one not in set(before)],
        "removed": [one for one in before if one not in set(after)],
    }


def _said(moved: Mapping[str, list[str]]) -> list[str]:
    return [f"{what}: {listed(names, _SHOWN)}" for what, names in moved.items() if names]


def _classes(card: Mapping[str, Any]) -> list[str]:
    return [
        f"{name} = {one}" for name, label in card["labels"].items() for one in (label.get("classes") or ["a number"])
    ]


def _columns(card: Mapping[str, Any]) -> list[list[str]]:
    first = next(iter(card["splits"].values()))
    return [list(one[:2]) for one in first["columns"]]


def _versions(card: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in card["software"].items())


def _rows(old: Path, new: Path, *, same_columns: bool) -> dict[str, int | None]:
    """Compare rows by their identity; of one that both have, the split and the values."""
    keys = [name for name in pq.read_schema(new).names if name not in {"split", "digest"}]
    theirs = [name for name in pq.read_schema(old).names if name not in {"split", "digest"}]
    if keys != theirs:
        return {"added": None, "removed": None, "moved": None, "changed": None}
    on = " AND ".join(f"a.{quoted(key)} IS NOT DISTINCT FROM b.{quoted(key)}" for key in keys)
    query = (
        "SELECT count(*) FILTER (WHERE a.split IS NULL), count(*) FILTER (WHERE b.split IS NULL), "
        "count(*) FILTER (WHERE a.split <> b.split), count(*) FILTER (WHERE a.digest <> b.digest) "
        f"FROM read_parquet({text(str(old))}) a FULL JOIN read_parquet({text(str(new))}) b ON {on}"
    )
    with duckdb.connect(":memory:") as connection:
        ((added, removed, moved, changed),) = connection.execute(query).fetchall()
    return {"added": added, "removed": removed, "moved": moved, "changed": changed if same_columns else None}
