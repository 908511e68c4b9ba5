"""Rows of wells in memory: one plate after another, from objects, fields or wells, with what is known of each well."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ...schemas.tables import class_schema
from ...store.scan import Filter, scan
from .aggregate import aggregate_plate, aggregate_rows
from .matrix import ProfileMatrix
from .steps import PlateName, stacked
from .wells import annotate, excluded_wells, row_order, wells_looked_at

if TYPE_CHECKING:
    from ...store.root import LakeRoot
    from .recipe import Aggregate
    from .source import Source

#: Numbers of objects, as cytolake (Nuclei_Count) and CellProfiler (Count_Nuclei) name them.
_COUNT = re.compile(r"(^|_)Count(_|$)")
#: The columns of a row of wells that are no features and are known before anything is fitted.
IDENTITY = tuple(name for name in class_schema("ProfileRow").names if name not in {"run_id", "fit_version"})


def gather(
    root: LakeRoot,
    source: Source,
    aggregate: Aggregate,
    plates: Sequence[PlateName],
    wells: Mapping[str, pa.Table],
    *,
    warnings: list[str],
    advance: Callable[[], None] = lambda: None,
) -> ProfileMatrix:
    """Make the rows of wells of some plates.

    Parameters
    ----------
    plates
        In the order in which their rows shall come.
    wells
        Study → what is known of its wells. Excluded ones are left out.
    warnings
        Where sentences for the user are appended.
    advance
        Called after each plate.

    Returns
    -------
    ProfileMatrix
        Rows with :data:`IDENTITY` and the columns of wells. Features are those of all plates: a plate that lacks one
        has NaN there, and one that no row has a value of is left out. Without rows where no plate has any.
    """
    parts = []
    for study_id, plate_id in plates:
        part = plate_rows(root, source, aggregate, study_id, plate_id, warnings=warnings)
        excluded = excluded_wells(wells[study_id], plate_id)
        if excluded:
            kept = part.select_rows(np.array([name not in excluded for name in part.column("well_id")], dtype=bool))
            if len(part) and not len(kept):
                warnings.append(f"plate {plate_id} of study {study_id} has no profile: all of its wells are excluded")
            part = kept
        if len(part):
            parts.append(part)
        advance()
    if not parts:
        return ProfileMatrix(rows=_identity_schema().empty_table(), features=(), values=np.empty((0, 0)))
    whole = stacked(parts)
    known = pa.concat_tables(list(wells.values()), promote_options="default")
    filled = np.asarray(~np.isnan(whole.values).all(axis=0))
    return ProfileMatrix(
        rows=annotate(whole.rows, known),
        features=tuple(name for name, one in zip(whole.features, filled, strict=True) if one),
        values=whole.values if filled.all() else whole.values[:, filled],
    )


def plate_rows(
    root: LakeRoot, source: Source, aggregate: Aggregate, study_id: str, plate_id: str, *, warnings: list[str]
) -> ProfileMatrix:
    """Make the rows of wells of one plate, excluded ones too; without what is known of the wells."""
    filters = [Filter("study_id", "=", study_id), Filter("plate_id", "=", plate_id)]
    scans = {
        part: scan(root, source.set.table(part), filters, version=source.versions[source.set.table(part)])
        for part in source.parts
        if source.set.table(part) in source.versions
    }
    if source.of_objects:
        return aggregate_plate(
            scans,
            method=aggregate.method,
            by=aggregate.by,
            counts=aggregate.counts,
            min_objects=aggregate.min_objects,
            expected=wells_looked_at(root, source, study_id, plate_id),
            warnings=warnings,
        )
    found = profile_rows(scans[source.level].read(), f"plate {plate_id} of study {study_id}", warnings)
    if source.level == "field":
        counts = [name for name in found.features if is_count(name)]
        found = aggregate_rows(found, method=aggregate.method, summed=counts, warnings=warnings)
    order = row_order(found.rows)
    return ProfileMatrix(rows=found.rows.take(pa.array(order)), features=found.features, values=found.values[order])


def profile_rows(table: pa.Table, where: str, warnings: list[str]) -> ProfileMatrix:
    """Turn rows of a table of profiles into a matrix; infinite values become NaN, and users are told."""
    known = set(class_schema("ProfileRow").names)
    features = tuple(one.name for one in table.schema if one.name not in known and pa.types.is_floating(one.type))
    values = np.full((table.num_rows, len(features)), np.nan)
    for number, name in enumerate(features):
        values[:, number] = table[name].to_numpy()
    infinite = np.isinf(values)
    if infinite.any():
        warnings.append(f"{where}: {int(infinite.sum())} infinite value(s) count as missing")
        values[infinite] = np.nan
    rows = table.select([name for name in IDENTITY if name in table.column_names])
    for one in _identity_schema():
        if one.name not in rows.column_names:
            rows = rows.append_column(one, pa.nulls(rows.num_rows, one.type))
    return ProfileMatrix(rows=rows.select(IDENTITY), features=features, values=values)


def is_count(feature: str) -> bool:
    """Whether a feature is a number of objects, by its name."""
    return _COUNT.search(feature) is not None


def _identity_schema() -> pa.Schema:
    schema = class_schema("ProfileRow")
    return pa.schema([schema.field(name).remove_metadata().with_nullable(True) for name in IDENTITY])
