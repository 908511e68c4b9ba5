"""Which features a plate must have for parameters that were fitted earlier, and that it has just these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InvalidDataError
from ...wording import listed
from .fits import Fit
from .matrix import ProfileMatrix
from .steps import PlateName, needed_features, plates_of_rows, sliced, stacked

if TYPE_CHECKING:
    from ...store.registry import ProfileSet
    from ...store.root import LakeRoot

_SHOWN = 10


def with_features_of(
    root: LakeRoot,
    matrix: ProfileMatrix,
    chains: Mapping[PlateName, Sequence[Fit]],
    profile_set: ProfileSet,
    warnings: list[str],
) -> ProfileMatrix:
    """Give each plate just the features that its parameters were fitted on.

    Raises
    ------
    InvalidDataError
        A plate has no value of a feature without which nothing comes out.
    """
    parts = []
    more: set[str] = set()
    for plate in plates_of_rows(matrix):
        part = sliced(matrix, plate.start, plate.stop)
        chain = chains[plate.name]
        if chain:
            wanted = chain[0].fitted.features
            more |= set(part.features) - set(wanted)
            there = {
                name
                for name, one in zip(part.features, np.asarray(~np.isnan(part.values).all(axis=0)), strict=True)
                if one
            }
            missing = [name for name in _needed(chain) if name not in there]
            if missing and not _was_there(root, profile_set, chain[0], plate.name):
                raise InvalidDataError(
                    f"plate {plate.plate_id} of study {plate.study_id} has no value of {len(missing)} feature(s) that "
                    f"the parameters of {profile_set.label} need: {listed(missing, _SHOWN)}",
                    hint="measure it as the plates that they were fitted on, or make profiles of all plates anew",
                )
            part = _columns(part, wanted)
        parts.append(part)
    if more:
        warnings.append(
            f"{len(more)} feature(s) that the parameters do not know are left out: {listed(sorted(more), _SHOWN)}"
        )
    return stacked(parts)


def _was_there(root: LakeRoot, profile_set: ProfileSet, fit: Fit, plate: PlateName) -> bool:
    """Whether parameters were fitted on a plate, which then has what it had.

    Those of ``fit = "all"`` do not say of which studies their plates were: one that was there has profiles of the set.
    """
    if fit.study_id not in {None, plate[0]} or not any(well.startswith(f"{plate[1]}/") for well in fit.learned_from):
        return False
    where = {"study_id": plate[0], "plate_id": plate[1]}
    return fit.study_id is not None or bool(
        root.tables.read(profile_set.table("well"), columns=["well_id"], where=where).num_rows
    )


def _needed(chain: Sequence[Fit]) -> list[str]:
    """Return the features without which something is missing in the end; not those that nothing was known of."""
    first = chain[0].fitted
    unknown = np.zeros(len(first.features), dtype=bool)
    for array in first.arrays.values():
        if array.shape == unknown.shape:
            unknown |= np.isnan(array)
    empty = {name for name, one in zip(first.features, unknown, strict=True) if one}
    return [name for name in needed_features(chain) if name not in empty]


def _columns(part: ProfileMatrix, wanted: Sequence[str]) -> ProfileMatrix:
    at = {name: number for number, name in enumerate(part.features)}
    values = np.full((len(part), len(wanted)), np.nan)
    for number, name in enumerate(wanted):
        if name in at:
            values[:, number] = part.values[:, at[name]]
    return part.with_values(values, wanted)
