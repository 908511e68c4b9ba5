"""A data set from a spec: bound to one moment, counted, split and checked before a row is read, then written whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InvalidDataError
from ...wording import listed
from ..annotated import meanings_of, require_anndata
from .card import card_of, write_card
from .comparison import difference, find_card, read_index
from .features import Chosen
from .fingerprint import arrow_type, logical_hash
from .folder import Target, files_of
from .formats import Layout, NumpyFiles, ParquetFiles, describe_arrays, write_anndata
from .pins import Pinned
from .plan import Plan
from .spec import Spec, read_spec
from .splitting import assign, check_groups, check_leaks, leaks, single_classes
from .stream import Stream, Writer, pieces

if TYPE_CHECKING:
    from ...store.root import LakeRoot

Progress = Callable[[int, int], None]
#: File of the rows with their splits and digests.
INDEX = "index.parquet"
_SHOWN = 8


def build_dataset(
    root: LakeRoot,
    spec: Mapping[str, Any] | str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    as_of: str | datetime | int | None = None,
    format: str | None = None,
    overwrite: bool = False,
    compare: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Build the data set that a spec describes.

    The folder appears whole or not at all. Where it is there already and the new data set is the same, byte for byte,
    nothing is changed; where it differs, ``overwrite`` must say that it may be replaced.

    Parameters
    ----------
    spec
        A TOML file, or what it would hold; see ``docs/datasets.md``.
    output
        The folder, outside the lake.
    as_of
        A release or a time; else as the spec says, else now.
    format
        ``parquet``, ``anndata`` or ``numpy``; else as the spec says.
    overwrite
        Whether a data set that is there may be replaced.
    compare
        The card or the folder of an earlier data set to compare with; else the one that is at ``output``.
    progress
        Called with the rows that are done and all rows.

    Returns
    -------
    dict
        ``status`` (``ok``, or ``same`` where nothing was changed), ``path``, ``name``, ``format``, ``splits`` (name →
        rows), ``features`` (how many), ``labels`` (name → classes or range), ``versions`` (table → version),
        ``sha256`` (the logical hash), ``files`` (each with ``path``, ``rows``, ``bytes``, ``sha256``), ``leakage``,
        ``dropped``, ``compared`` (None without an earlier one), ``warnings``, ``bytes``.

    Raises
    ------
    InvalidDataError
        The spec is wrong, does not fit the lake, or labels would leak from one split into another.
    NotFoundError, QueryError
        It names what does not exist.
    AlreadyExistsError
        The folder is there and ``overwrite`` is not given, or it is no data set.
    UsageError
        The folder would lie in the lake.
    MissingExtraError
        AnnData is asked for and not installed.
    StorageError
        The folder cannot be written, or files of the past have been removed.
    """
    read = read_spec(spec)
    if format is not None:
        read = replace(read, format=read_format(format))
    if read.format == "anndata":
        require_anndata()
    target = Target(root, Path(output))
    target.check(overwrite=overwrite)
    earlier = find_card(Path(compare)) if compare is not None else target.card()
    pinned = Pinned(root, as_of if as_of is not None else read.as_of)
    plan = Plan.of(pinned, read)
    tally = plan.count()
    kept, splits, dropped_classes, dropped = _divided(plan, tally)
    found_leaks = leaks(kept, list(plan.dimensions))
    check_groups(read.split, kept, splits)
    check_leaks(read.split, found_leaks, list(plan.labels))
    layout, empty = _layout(plan, kept)
    with target.making() as folder:
        stream = Stream(plan, layout, splits, dropped_classes, _writers(read, folder, layout), folder / INDEX)
        try:
            stream.run(list(pieces(plan, kept, len(layout.features) + len(layout.facts))), progress)
        finally:
            stream.close()
        _check_written(plan, layout, stream)
        splits_said = {
            name: {
                "rows": state.rows,
                "columns": [
                    (column, str(kind), state.hashes[column].hexdigest())
                    for column, kind in [*_types(plan), *((one, layout.dtype.name) for one in layout.features)]
                ],
            }
            for name, state in stream.states.items()
        }
        sha256 = logical_hash(splits_said)
        card = card_of(
            plan,
            layout,
            kept,
            stream,
            sha256=sha256,
            columns=splits_said,
            leaks=found_leaks,
            dropped=dropped,
            empty=empty,
        )
        if read.format == "anndata":
            tables = [name for name in pinned.versions if name.startswith(("features/", "profiles/"))]
            meanings = meanings_of(root, tables, layout.features)
            facts = {
                "dataset": read.name,
                "sha256": sha256,
                "tables": [f"{t}@{v}" for t, v in card["versions"].items()],
            }
            for name in layout.rows:
                write_anndata(folder, name, layout, meanings, {"split": name, **facts})
        elif read.format == "numpy":
            describe_arrays(folder, layout)
        card["files"] = files_of(folder, layout.rows)
        write_card(folder, card)
        compared = None
        if earlier is not None:
            compared = difference(earlier, card, read_index(earlier), folder / INDEX)
        status = target.put(folder, overwrite=overwrite, compared=compared)
    files = [*card["files"], *files_of(target.path, {}, only=("card.json", "README.md"))]
    return {
        "status": status,
        "path": str(target.path),
        "name": read.name,
        "format": read.format,
        "splits": dict(layout.rows),
        "features": len(layout.features),
        "labels": card["labels"],
        "versions": card["versions"],
        "sha256": sha256,
        "files": files,
        "leakage": card["leakage"],
        "dropped": card["dropped"],
        "compared": compared,
        "warnings": card["warnings"],
        "bytes": sum(one["bytes"] for one in files),
    }


def read_format(format: str) -> str:
    """Return a format that there is.

    Raises
    ------
    UsageError
        There is none of that name.
    """
    from ...errors import UsageError
    from ...wording import did_you_mean
    from .spec import FORMATS

    if format not in FORMATS:
        raise UsageError(
            f"{format!r} is no format of a data set{did_you_mean(format, FORMATS)}",
            hint=f"formats are {', '.join(FORMATS)}",
        )
    return format


def _types(plan: Plan) -> list[tuple[str, str]]:
    return [*plan.identity_types.items(), ("group", "string"), *plan.kept.items(), *plan.label_types.items()]


def _divided(
    plan: Plan, tally: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], dict[str, str], dict[str, set[Any]], dict[str, int]]:
    """Return the kept rows of the tally with their splits, group → split, classes that are left out, and how many rows.

    Raises
    ------
    InvalidDataError
        No row is left, rows have no label or group and the spec does not say what then, annotators disagree and it
        says ``error``, or a class cannot be split.
    """
    spec = plan.spec
    if not tally:
        raise InvalidDataError(
            f"the data set would be empty: no row of {plan.rows.source.said} is left by the filters",
            hint="look at them: cytolake sql",
        )
    dropped: dict[str, int] = {}
    rows = tally
    for label in spec.labels:
        without = [row for row in rows if row["labels"][label.name] is None]
        disputed = sum(row["n"] for row in rows if row["disputed"][label.name])
        if disputed and label.conflicts == "error":
            raise _disputed(plan, label.name, disputed)
        if len(without) == len(rows):
            raise plan.explain_missing(label.name)
        if without and label.missing == "error":
            raise InvalidDataError(
                f"{label.where}: {sum(row['n'] for row in without):,} rows have no label {label.name!r}, such as "
                f"{listed(['/'.join(map(str, row['place'])) for row in without], 3)}",
                hint="missing = 'drop' leaves them out, 'keep' keeps them",
            )
        if without and label.missing == "drop":
            dropped[f"no {label.name}"] = sum(row["n"] for row in without)
            rows = [row for row in rows if row["labels"][label.name] is not None]
    alone = [row for row in rows if row["group"] is None]
    if alone:
        rows = _without_group(plan, rows, alone, dropped)
    gone: dict[str, set[Any]] = {}
    if spec.split.one_group != "keep":
        for name, is_class in plan.is_class.items():
            single = single_classes(rows, name) if is_class else {}
            if single and spec.split.one_group == "error":
                raise InvalidDataError(
                    f"split: {len(single)} classes of {name!r} lie in one group by {spec.split.by} each and cannot be "
                    f"split: {listed([f'{value!r} in {group!r}' for value, group in single.items()], _SHOWN)}",
                    hint="one_group = 'drop' leaves them out, 'keep' leaves each in one split; or split by another key",
                )
            if single:
                lost = [row for row in rows if str(row["labels"][name]) in single]
                dropped[f"{name} in one group"] = sum(row["n"] for row in lost)
                gone[name] = {row["labels"][name] for row in lost}
                rows = [row for row in rows if str(row["labels"][name]) not in single]
    if not rows:
        raise InvalidDataError(
            f"the data set would be empty: {', '.join(f'{count:,} rows with {why}' for why, count in dropped.items())} "
            "were left out",
            hint="take other labels, or keep what has none",
        )
    splits = assign(spec.split, rows)
    for row in rows:
        row["split"] = splits[row["group"]] if row["group"] is not None else spec.split.missing
    return rows, splits, gone, dropped


def _without_group(
    plan: Plan, rows: list[dict[str, Any]], alone: Sequence[Mapping[str, Any]], dropped: dict[str, int]
) -> list[dict[str, Any]]:
    split = plan.spec.split
    count = sum(row["n"] for row in alone)
    if split.missing == "error":
        raise InvalidDataError(
            f"split: {count:,} rows have no {split.by}, such as "
            f"{listed(['/'.join(map(str, row['place'])) for row in alone], 3)}, and no group to be kept with",
            hint=f"split.missing = 'drop' leaves them out, '{split.names[0]}' puts them there",
        )
    if split.missing == "drop":
        dropped[f"no {split.by}"] = count
        return [row for row in rows if row["group"] is not None]
    return rows


def _disputed(plan: Plan, name: str, count: int) -> InvalidDataError:
    annotation = plan.rows.annotations[name]
    wanted = {one: one for one in plan.rows.identity}
    query = plan.rows.select(wanted, where=[f'"{annotation.disputed}"'], tail=" ORDER BY ALL LIMIT 3")
    some = ["/".join(map(str, row)) for row in plan.pinned.ask(query).fetchall()]
    return InvalidDataError(
        f"{annotation.label.where}: annotators disagree on {count:,} rows, such as {', '.join(some)}",
        hint="conflicts = 'newest', 'majority' or 'drop' says what to do, annotators = [...] whom to believe",
    )


def _layout(plan: Plan, kept: Sequence[Mapping[str, Any]]) -> tuple[Layout, list[str]]:
    """Return the columns, and the features that were left out because no row has a value of them."""
    features = plan.rows.features
    may_go = {name for one in plan.chosen if one.given.empty == "drop" for name in one.columns}
    empty = sorted(plan.without_values(features) & may_go) if may_go else []
    features = [name for name in features if name not in set(empty)]
    if not features:
        raise InvalidDataError("features: no row has a value of any feature", hint="look at them: cytolake sql")
    is_small = all(one.float32 for one in plan.chosen)
    rows = dict.fromkeys(plan.spec.split.names, 0)
    for row in kept:
        rows[row["split"]] += row["n"]
    classes = {}
    for name, is_class in plan.is_class.items():
        if is_class:
            classes[name] = sorted({row["labels"][name] for row in kept if row["labels"][name] is not None})
    layout = Layout(
        identity={name: arrow_type(kind) for name, kind in plan.identity_types.items()},
        annotation=plan.annotation(),
        labels=tuple(plan.labels),
        classes=classes,
        features=tuple(features),
        dtype=np.dtype(plan.spec.dtype or ("float32" if is_small else "float64")),
        rows=rows,
    )
    return layout, empty


def _writers(spec: Spec, folder: Path, layout: Layout) -> dict[str, Writer]:
    if spec.format == "numpy":
        return {name: NumpyFiles(folder, name, layout) for name in layout.rows}
    most = spec.rows_per_file if spec.format == "parquet" else None
    return {name: ParquetFiles(folder, name, layout, rows_per_file=most) for name in layout.rows}


def _check_written(plan: Plan, layout: Layout, stream: Stream) -> None:
    """Make sure that what was written is what was counted, and that every feature has a value.

    Raises
    ------
    InvalidDataError
        A feature has none in any row.
    """
    written = {name: state.rows for name, state in stream.states.items()}
    if written != dict(layout.rows):
        raise InvalidDataError(
            f"the rows that were read ({written}) are not those that were counted ({dict(layout.rows)})",
            hint="a source gives other rows at every run, or several rows have one identity",
        )
    missing = sum(state.missing for state in stream.states.values() if state.missing is not None)
    must: dict[str, Chosen] = {n: one for one in plan.chosen if one.given.empty == "error" for n in one.columns}
    empty = [
        name
        for name, count in zip(layout.features, np.asarray(missing), strict=True)
        if count == sum(written.values()) and name in must
    ]
    if empty:
        raise InvalidDataError(
            f"{must[empty[0]].given.where}: {len(empty)} of {len(layout.features)} features have no value in any row: "
            f"{listed(empty, _SHOWN)}",
            hint="empty = 'drop' leaves them out, 'keep' keeps them",
        )
