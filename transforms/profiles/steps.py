"""The steps of a recipe over the rows of wells: fitted on plates, studies or all; applied plate by plate.

A step is always applied to one plate at a time, whatever it was fitted on: the same parameters and the same rows of a
plate then give the same numbers to the bit, whichever plates are beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import CytolakeError, InvalidDataError
from ...wording import listed
from .fits import Fit, Place, unit_of
from .matrix import ProfileMatrix
from .recipe import Step

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: (study, plate)
PlateName = tuple[str, str]
#: Gives the parameters of a step for a plate that were fitted earlier; None where they are to be fitted now.
Earlier = Callable[[int, Step, PlateName], Fit | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateRows:
    """Where the rows of one plate stand in a matrix: from ``start`` to before ``stop``."""

    study_id: str
    plate_id: str
    start: int
    stop: int

    @property
    def name(self) -> PlateName:
        """Study and plate."""
        return self.study_id, self.plate_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Processed:
    """What steps made of a matrix, and the parameters that they used: for each plate those of each step."""

    matrix: ProfileMatrix
    fits: Mapping[Place, Fit]
    used: Mapping[PlateName, tuple[Fit, ...]]
    warnings: tuple[str, ...]


def plates_of_rows(matrix: ProfileMatrix) -> list[PlateRows]:
    """Return where each plate stands in a matrix.

    Raises
    ------
    InvalidDataError
        The rows of a plate are not together.
    """
    names = list(zip(matrix.column("study_id"), matrix.column("plate_id"), strict=True))
    edges = [number for number, name in enumerate(names) if number == 0 or name != names[number - 1]]
    found = [
        PlateRows(study_id=names[start][0], plate_id=names[start][1], start=start, stop=stop)
        for start, stop in zip(edges, [*edges[1:], len(names)], strict=True)
    ]
    if len({one.name for one in found}) != len(found):
        raise InvalidDataError("the rows of a plate must be together")
    return found


def sliced(matrix: ProfileMatrix, start: int, stop: int) -> ProfileMatrix:
    """Return some rows in a row, without copying their values."""
    return ProfileMatrix(
        rows=matrix.rows.slice(start, stop - start), features=matrix.features, values=matrix.values[start:stop]
    )


def stacked(parts: Sequence[ProfileMatrix]) -> ProfileMatrix:
    """Put rows below one another; a feature that a part lacks is NaN there."""
    import pyarrow as pa

    features = list(dict.fromkeys(name for part in parts for name in part.features))
    rows = pa.concat_tables([part.rows for part in parts], promote_options="default")
    if all(part.features == tuple(features) for part in parts):
        values = np.concatenate([part.values for part in parts])
    else:
        at = {name: number for number, name in enumerate(features)}
        values = np.full((rows.num_rows, len(features)), np.nan)
        start = 0
        for part in parts:
            values[start : start + len(part), [at[name] for name in part.features]] = part.values
            start += len(part)
    return ProfileMatrix(rows=rows, features=tuple(features), values=values)


def run_steps(
    steps: Sequence[Step],
    matrix: ProfileMatrix,
    is_control: NDArray[np.bool_],
    *,
    measured: NDArray[np.bool_] | None = None,
    earlier: Earlier | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Processed:
    """Fit and apply one step after another.

    Parameters
    ----------
    matrix
        Rows of wells, those of a plate and of a study together.
    is_control
        Of shape (rows,): which are controls.
    measured
        Of shape (rows,): which have features, and so something to learn from; all where None. Wells without objects
        are not among them, although their number of objects is known. Where a unit has no other rows, they are all
        that there is.
    earlier
        Where parameters come from that are not fitted now; all are fitted now where None.
    advance
        Called after each step.
    """
    plates = plates_of_rows(matrix)
    every = np.ones(len(matrix), dtype=bool) if measured is None else measured
    fits: dict[Place, Fit] = {}
    used: dict[PlateName, list[Fit]] = {plate.name: [] for plate in plates}
    warnings: list[str] = []
    for number, step in enumerate(steps):
        before = matrix
        parts = []
        for plate in plates:
            fit = None if earlier is None else earlier(number, step, plate.name)
            if fit is None:
                place = number, unit_of(step.fit, *plate.name)
                if place not in fits:
                    try:
                        fits[place] = _fitted(number, step, before, is_control, every, plates, plate)
                    except InvalidDataError as error:
                        raise InvalidDataError(error.message + _emptied(used), hint=error.hint) from error
                fit = fits[place]
            used[plate.name].append(fit)
            parts.append(_applied(number, step, fit, sliced(before, plate.start, plate.stop)))
        matrix = stacked(parts)
        warnings += _without_values(number, step, before, matrix)
        if len({part.features for part in parts}) > 1:
            warnings.append(
                f"step {number + 1} ({step.name}) kept other features on each {step.fit}: "
                f"features that a plate lacks are empty there"
            )
        advance()
    return Processed(
        matrix=matrix,
        fits=fits,
        used={name: tuple(own) for name, own in used.items()},
        warnings=tuple(warnings),
    )


def needed_features(fits: Sequence[Fit]) -> tuple[str, ...]:
    """Return which features must be there for the outputs of all steps, of those that the first was fitted on.

    A step whose parameters are one number per feature makes each output from the feature of that name; one with a
    matrix makes each from all of them.
    """
    if not fits:
        return ()
    needed = set(fits[-1].fitted.outputs)
    for fit in reversed(fits):
        fitted = fit.fitted
        mixes = any(array.ndim > 1 for array in fitted.arrays.values()) or not needed <= set(fitted.features)
        needed = set(fitted.features) if mixes else needed
    return tuple(name for name in fits[0].fitted.features if name in needed)


def _fitted(
    number: int,
    step: Step,
    matrix: ProfileMatrix,
    is_control: NDArray[np.bool_],
    measured: NDArray[np.bool_],
    plates: Sequence[PlateRows],
    plate: PlateRows,
) -> Fit:
    """Fit a step on the unit that a plate belongs to."""
    unit = unit_of(step.fit, *plate.name)
    own = [one for one in plates if unit_of(step.fit, *one.name) == unit]
    start, stop = own[0].start, own[-1].stop
    part = sliced(matrix, start, stop)
    learn = is_control[start:stop] if step.on == "controls" else np.ones(stop - start, dtype=bool)
    if (learn & measured[start:stop]).any():
        learn = learn & measured[start:stop]
    try:
        fitted = step.operator.fit(part, learn)
    except CytolakeError as error:
        raise type(error)(
            f"step {number + 1} ({step.name}) on {_said(unit)}: {error.message}", hint=error.hint
        ) from error
    # Plates of two studies may share a name: where studies are fitted together, theirs is said too.
    named = ("study_id", "plate_id", "well_id") if step.fit == "all" else ("plate_id", "well_id")
    places = zip(*(part.column(name) for name in named), strict=True)
    learners = ["/".join(place) for place, one in zip(places, learn, strict=True) if one]
    return Fit(
        step=number,
        unit=unit,
        study_id=None if step.fit == "all" else plate.study_id,
        plate_id=plate.plate_id if step.fit == "plate" else None,
        operator=step.name,
        settings=step.operator.settings(),
        fitted=fitted,
        learned_from=tuple(dict.fromkeys(learners)),
    )


def _applied(number: int, step: Step, fit: Fit, part: ProfileMatrix) -> ProfileMatrix:
    plate = f"{part.column('study_id')[0]}/{part.column('plate_id')[0]}"
    try:
        done = step.operator.apply(part, fit.fitted)
    except CytolakeError as error:
        raise type(error)(f"step {number + 1} ({step.name}) on {plate}: {error.message}", hint=error.hint) from error
    assert len(done) == len(part), f"{step.name} must not change the rows"
    return done


def _without_values(number: int, step: Step, before: ProfileMatrix, after: ProfileMatrix) -> list[str]:
    """Tell of rows that had values and have none after a step, as where one that mixes features lacks one of them."""
    lost: NDArray[np.bool_] = np.asarray(~np.isnan(before.values).all(axis=1) & np.isnan(after.values).all(axis=1))
    if not lost.any() or lost.all():
        return []
    columns = zip(after.column("plate_id"), after.column("well_id"), lost, strict=True)
    named = [f"{plate}/{well}" for plate, well, one in columns if one]
    return [
        f"step {number + 1} ({step.name}) leaves {len(named)} row(s) of wells without any value: {listed(named, 5)}"
    ]


def _emptied(used: Mapping[PlateName, Sequence[Fit]]) -> str:
    """Say which steps before left features empty or dropped them, and why; for the end of a message."""
    found: dict[tuple[int, str, str], set[str]] = {}
    for fits in used.values():
        for fit in fits:
            for flag in fit.fitted.flags:
                found.setdefault((fit.step, fit.operator, flag.reason), set()).add(flag.feature)
    each = [f"step {step + 1} ({name}) {len(features)} {why}" for (step, name, why), features in sorted(found.items())]
    return f"; features that were left empty or dropped before: {', '.join(each)}" if each else ""


def _said(unit: str) -> str:
    return "all plates" if unit == "*" else f"plate {unit}" if "/" in unit else f"study {unit}"
