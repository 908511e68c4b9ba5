"""Whether the tools agree: every value of every column that a peer has under a name of its own, on one or many fields.

A column's deviation is relative to its scale, the largest absolute value that the peer gives for the object set, over
all fields. Where definitions differ on purpose (:mod:`.differences`) values are counted and their deviation told, but
no limit holds for them. Any other deviation beyond the limit, or a value that only one side has, is a fault.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from cytolake.transforms.features.dictionary import FeatureColumn
from numpy.typing import NDArray

from benchmarks.features.contenders import OURS, Table, alias, contenders_of, costes_of_image, indices
from benchmarks.features.differences import difference_of
from benchmarks.features.fields import Field
from benchmarks.features.groups import COSTES, CP_IMAGE, CP_MEASURE, SCIKIT_IMAGE, Group

Ours = Mapping[str, tuple[list[FeatureColumn], NDArray[np.float64]]]

#: Whose values are compared; Nyxus names no feature by a definition that we could hold it to.
COMPARED = (CP_MEASURE, CP_IMAGE, SCIKIT_IMAGE)
#: Limits relative to a column's scale: the first that matches its name without the object set.
LIMITS = ((re.compile(r"Granularity_"), 1e-6), (re.compile(r"AreaShape_.*(Moment|Inertia)"), 1e-8))
LIMIT = 1e-9
#: 0 by definition, up to rounding of sums of this size.
_ZERO = {"CentralMoment_0_1": "SpatialMoment_0_1", "CentralMoment_1_0": "SpatialMoment_1_0"}


@dataclass(slots=True)
class Agreement:
    """What the comparison of one group with one peer has found."""

    values: int = 0
    columns: int = 0
    worst: float = 0.0
    worst_column: str = ""
    faults: list[str] = field(default_factory=list)
    deliberate: dict[str, dict[str, Any]] = field(default_factory=dict)
    peer_failed: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Give what is written to the result."""
        return {
            "columns": self.columns,
            "values": self.values,
            "largest_deviation": self.worst,
            "in_column": self.worst_column,
            "deliberate": self.deliberate,
            "faults": self.faults,
            "peer_failed": self.peer_failed,
        }

    def count(self, reason: str, **found: float) -> None:
        """Add to what is known of a deliberate difference."""
        entry = self.deliberate.setdefault(
            reason, {"values": 0, "beyond_limit": 0, "on_one_side": 0, "largest_deviation": 0.0}
        )
        for key, value in found.items():
            entry[key] = max(entry[key], value) if key == "largest_deviation" else entry[key] + value


@dataclass(slots=True)
class _Column:
    """The values of one column on both sides, field by field."""

    column: FeatureColumn
    fields: list[Field] = field(default_factory=list)
    ours: list[NDArray[np.float64]] = field(default_factory=list)
    theirs: list[NDArray[np.float64]] = field(default_factory=list)

    def scale(self) -> float:
        return max((np.abs(one[np.isfinite(one)]).max(initial=0) for one in self.theirs), default=0.0)


def compare(peer: str, pairs: Iterable[tuple[Field, Ours, Table]]) -> Agreement:
    """Compare the values of one peer with ours over some fields."""
    found: dict[str, _Column] = {}
    for one, ours, table in pairs:
        for object_set, (columns, values) in ours.items():
            for k, column in enumerate(columns):
                theirs = alias(column, peer)
                key = (object_set, theirs or "", column.channel_role, column.second_channel_role)
                if key in table:
                    entry = found.setdefault(column.name, _Column(column))
                    entry.fields.append(one)
                    entry.ours.append(values[:, k])
                    entry.theirs.append(_in_our_unit(column, peer, table[key], one))
    result = Agreement(columns=len(found))
    for name, entry in found.items():
        reference = _ZERO.get(entry.column.operator)
        of_size = found[name.replace(entry.column.operator, reference)] if reference else entry
        _compare_column(result, peer, entry, of_size.scale())
    return result


def _in_our_unit(column: FeatureColumn, peer: str, values: NDArray[Any], field_: Field) -> NDArray[np.float64]:
    values = np.asarray(values, dtype=np.float64)
    if peer == SCIKIT_IMAGE and column.operator == "Orientation":
        return np.degrees(values)
    if peer == SCIKIT_IMAGE and column.family == "Intensity":
        return values / field_.full_scale
    return values


def _compare_column(result: Agreement, peer: str, entry: _Column, scale: float) -> None:
    name = entry.column.name
    limit = next((size for pattern, size in LIMITS if pattern.match(name.partition("_")[2])), LIMIT)
    for field_, ours, theirs in zip(entry.fields, entry.ours, entry.theirs, strict=True):
        both = np.isfinite(ours) & np.isfinite(theirs)
        deviations = np.abs(ours[both] - theirs[both])
        if entry.column.operator == "Orientation":  # of an axis, not of an arrow: -90 is 90
            deviations = np.minimum(deviations, 180 - deviations)
        relative = deviations / scale if scale > 0 else deviations
        worst, one_side = float(relative.max(initial=0)), int((np.isfinite(ours) != np.isfinite(theirs)).sum())
        known = difference_of(peer, name, field_, values=True)
        if known:
            beyond = int((relative > limit).sum())
            result.count(
                known.reason, values=len(relative), beyond_limit=beyond, on_one_side=one_side, largest_deviation=worst
            )
            continue
        result.values += len(relative)
        if worst >= result.worst:
            result.worst, result.worst_column = worst, name
        if worst > limit:
            result.faults.append(f"{name}: {worst:.2g} of a scale of {scale:.3g}")
        if one_side:
            known = difference_of(peer, name, field_, values=False)
            if known:
                result.count(known.reason, on_one_side=one_side)
            else:
                result.faults.append(f"{name}: {one_side} values are defined on one side only")


def on_fields(group: Group, fields: Iterable[Field]) -> dict[str, Agreement]:
    """Measure some fields with every tool that is compared, and compare; a field that a peer breaks on is noted."""
    found: dict[str, list[tuple[Field, Ours, Table]]] = defaultdict(list)
    failed: dict[str, list[str]] = defaultdict(list)
    for number, one in enumerate(fields):
        contenders = contenders_of(group, one, indices(one))
        ours = contenders.pop(OURS)()
        if group is COSTES:  # cp_measure's own differs on purpose and takes longer than all others together
            contenders = {CP_IMAGE: partial(costes_of_image, one)}
        for peer in (peer for peer in COMPARED if peer in contenders):
            try:
                found[peer].append((one, ours, contenders[peer]()))
            except (ArithmeticError, LookupError, NameError, TypeError, ValueError) as error:
                failed[peer].append(f"field {number}: {type(error).__name__}: {error}")
    agreements = {peer: compare(peer, pairs) for peer, pairs in found.items()}
    for peer, agreement in agreements.items():
        agreement.peer_failed = failed[peer]
    return agreements
