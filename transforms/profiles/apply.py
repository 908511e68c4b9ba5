"""Parameters that were fitted earlier, applied to other plates without fitting anything again.

Steps that were fitted on a study or on all plates take what was fitted then. A step that is fitted plate by plate needs
parameters of the plate: those that it has, those of another plate (``like``), or, with ``like="own"``, those of a fit
on the plate itself, which is stored beside the others and named in the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...errors import InvalidDataError, NotFoundError, UsageError
from ...schemas.tables import arrow_schema
from ...store.lineage import Run
from ...store.plates import plates_of
from ...store.registry import ProfileSet, Registration, resolve_any, resolve_profiles
from ...wording import did_you_mean, listed
from . import dose_response
from ._recipe_parsing import recipe_of_definition
from .after import judged, number_of_checks
from .controls import PlateControls, check_columns, judge
from .engine import (
    Progress,
    choose_plates,
    counter,
    found_controls,
    mask_of,
    no_rows,
    rows_with_values,
    wells_with_values,
)
from .fits import Fit, Place, choose_version, newest_version, read_fits, stored_versions, unit_of
from .gather import gather
from .known_features import with_features_of
from .matrix import ProfileMatrix
from .outcome import Outcome, check_treatments, commit_outcome
from .source import Source, plates_with_rows, source_of
from .steps import PlateName, run_steps
from .wells import annotated_wells

if TYPE_CHECKING:
    from ...store.root import LakeRoot
    from .recipe import ProfileRecipe, Step

_SHOWN = 10
_OWN = "own"
_REFERENCE = re.compile(r"(?P<set>[^#]+)(#(?P<version>[1-9]\d*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """The parameters of one version, and which of them a plate takes.

    Attributes
    ----------
    stored
        All parameters of the version.
    like
        The plate whose parameters others take, as (study, plate); None for each its own.
    own
        Whether steps that are fitted plate by plate are fitted on the plate itself.
    """

    label: str
    version: int | None
    stored: Mapping[Place, Fit] = field(repr=False)
    like: PlateName | None
    own: bool
    recipe: ProfileRecipe = field(repr=False)

    def __call__(self, number: int, step: Step, plate: PlateName) -> Fit | None:
        """Return the parameters of a step for a plate; None where they are to be fitted on it."""
        if step.fit == "plate" and self.own:
            return None
        wanted = self.like or plate
        found = self.stored.get((number, unit_of(step.fit, *wanted)))
        if found is None and step.fit == "study":
            units = [fit for (other, _), fit in self.stored.items() if other == number]
            found = units[0] if len(units) == 1 and self.like is None else None
        if found is None:
            raise self._lacking(number, step, plate)
        return found

    def chain(self, plate: PlateName) -> tuple[Fit, ...]:
        """Return the parameters that a plate takes, of all steps but those that are fitted on it.

        Raises
        ------
        InvalidDataError
            There are none for it.
        """
        found = (self(number, step, plate) for number, step in enumerate(self.recipe.steps))
        return tuple(one for one in found if one is not None)

    def _lacking(self, number: int, step: Step, plate: PlateName) -> InvalidDataError:
        units = sorted(unit for other, unit in self.stored if other == number)
        what = f"step {number + 1} ({step.name}) of {self.label} was fitted {step.fit} by {step.fit}"
        there = f"{'/'.join(plate)} was not among them ({listed(units, _SHOWN)})"
        if step.fit == "plate":
            hint = (
                f"take the parameters of another plate (--like {units[0] if units else 'STUDY/PLATE'}), or have the "
                "steps that are fitted plate by plate fitted on the new plate itself (--like own)"
            )
        else:
            hint = "name a plate of the study whose parameters are meant: --like STUDY/PLATE"
        return InvalidDataError(f"{what}, and {there}", hint=hint)


def apply_profiles(
    root: LakeRoot,
    *,
    studies: Sequence[str],
    plate_ids: Sequence[str],
    source: str | None,
    apply: str,
    like: str | None,
    progress: Progress | None,
) -> dict[str, Any]:
    """Apply the parameters of a profile set to plates; arguments and result are those of :func:`.engine.profile`."""
    profile_set, asked = _reference(root, apply)
    recipe = recipe_of_definition(
        profile_set.definition, source=profile_set.label, name=profile_set.name, text=profile_set.recipe or ""
    )
    found = source_of(root, profile_set.definition)
    _check_source(root, source, found, profile_set)
    plates = _plates(root, found, profile_set, studies, plate_ids)
    earlier = _earlier(root, profile_set, recipe, asked, like, studies)
    if not plates:
        return _nothing(root, profile_set, found, studies)
    wells = {study: annotated_wells(root, study) for study in studies}
    known = pa.concat_tables(list(wells.values()), promote_options="default")
    check_treatments(recipe.consensus, known, recipe.source)
    dose_response.check_columns(recipe.dose_response, known.column_names, recipe.source)
    chains = {plate: earlier.chain(plate) for plate in plates}  # before the work that it may be in vain
    run = Run.start(
        "profile",
        study_id=studies[0] if len(studies) == 1 else None,
        plate_ids=[plate for _, plate in plates],
        parameters={"studies": list(studies), "plates": list(plate_ids), "apply": apply, "like": like},
    )
    advance = counter(progress, len(plates) + len(recipe.steps) + 1 + number_of_checks(recipe, studies))
    said: list[str] = []
    matrix = gather(root, found, recipe.aggregate, plates, wells, warnings=said, advance=advance)
    if not len(matrix):
        raise no_rows(found, plates)
    matrix = with_features_of(root, matrix, chains, profile_set, said)
    controls = _controls(recipe, earlier, wells, known, matrix, said)
    for text in said:
        run.warn(text)
    is_control = mask_of(recipe, matrix) if controls else np.zeros(len(matrix), dtype=bool)
    measured = rows_with_values(matrix, recipe)
    done = run_steps(recipe.steps, matrix, is_control, measured=measured, earlier=earlier, advance=advance)
    with root.storage.lock(f"profile-{profile_set.hash[:16]}"):
        version, new = _version(root, profile_set, earlier, done.fits)
        _note_parameters(run, profile_set, earlier, done.used)
        outcome = Outcome(
            registration=Registration(set=profile_set, rows=arrow_schema(ProfileSet.registry).empty_table()),
            source=found,
            recipe=recipe,
            gathered=matrix,
            processed=done,
            fit_version=version,
            new_fits=tuple(new),
            controls=controls,
            left_out=frozenset(),
            replaces="plates",
            studies=tuple(studies),
        )
        result = commit_outcome(root, run, outcome, wells)
    advance()
    return judged(root, result, recipe, studies, advance)


def _reference(root: LakeRoot, text: str) -> tuple[ProfileSet, int | None]:
    """Return the profile set and the version of its parameters that ``name[@version][#fit_version]`` means."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} names no fitted parameters", hint="write name, name@version or name@version#fit")
    profile_set = resolve_profiles(root, match["set"])
    if profile_set.imported:
        raise UsageError(
            f"profile set {profile_set.label} was made elsewhere: the lake has no parameters of it",
            hint=f"start from it: --source {profile_set.label}",
        )
    return profile_set, None if match["version"] is None else int(match["version"])


def _check_source(root: LakeRoot, reference: str | None, found: Source, profile_set: ProfileSet) -> None:
    if reference is None:
        return
    other = resolve_any(root, reference)
    if other.hash != found.set.hash:
        raise UsageError(
            f"the parameters of {profile_set.label} were fitted on {found.set.label}, and {other.label} is another set",
            hint=f"leave the source out, or bring the new plate in as {found.set.name}",
        )


def _plates(
    root: LakeRoot, source: Source, profile_set: ProfileSet, studies: Sequence[str], plate_ids: Sequence[str]
) -> list[PlateName]:
    """Return the plates that are named, or those with features and without profiles of the set."""
    plates = choose_plates(root, source, studies, plate_ids)
    if not plates:
        raise NotFoundError(
            f"no plate of {', '.join(studies)} has rows of {source.set.called} {source.set.label}, "
            f"from which {profile_set.label} was made",
            hint="measure it with the same recipe, or bring its table in under the same name",
        )
    if plate_ids:
        return plates
    rows = root.tables.read(profile_set.table("well"), columns=["study_id", "plate_id"], where={"study_id": studies})
    done = set(zip(rows["study_id"].to_pylist(), rows["plate_id"].to_pylist(), strict=True))
    return [plate for plate in plates if plate not in done]


def _nothing(root: LakeRoot, profile_set: ProfileSet, source: Source, studies: Sequence[str]) -> dict[str, Any]:
    warnings = [
        f"every plate of {', '.join(studies)} that has rows of {source.set.label} has profiles of {profile_set.label} "
        "already; name plates to apply the parameters to them again"
    ]
    for study in studies:
        lacking = sorted(set(plates_of(root, study)) - set(plates_with_rows(root, source, study)))
        if lacking:
            warnings.append(
                f"{len(lacking)} plate(s) of study {study} have no rows of {source.set.called} {source.set.label}, "
                f"from which {profile_set.label} was made: {listed(lacking, _SHOWN)}"
            )
    return {
        "run_id": None,
        "status": "skipped",
        "profile_set": profile_set.label,
        "fit_version": None,
        "source": source.set.label,
        "plates": [],
        "features": {"in": 0, "kept": 0},
        "rows": dict.fromkeys(profile_set.levels, 0),
        "flags": {},
        "dose_responses": None,
        "quality": None,
        "warnings": warnings,
    }


def _earlier(
    root: LakeRoot,
    profile_set: ProfileSet,
    recipe: ProfileRecipe,
    asked: int | None,
    like: str | None,
    studies: Sequence[str],
) -> Earlier:
    """Read the parameters that are meant; without a number the newest that rows of these studies were made with."""
    versions = stored_versions(root, profile_set)
    if not recipe.steps:
        return Earlier(label=profile_set.label, version=None, stored={}, like=None, own=False, recipe=recipe)
    version = asked
    if version is None:
        of_like = [like.partition("/")[0]] if like and "/" in like else []
        version = newest_version(root, profile_set, versions, of_like, studies)
    stored = read_fits(root, profile_set, version)
    plates = list(dict.fromkeys(_plates_in(stored)))
    meant = None if like in {None, _OWN} else _plate_named(str(like), plates, studies, f"{profile_set.label}#{version}")
    return Earlier(
        label=f"{profile_set.label}#{version}",
        version=version,
        stored=stored,
        like=meant,
        own=like == _OWN,
        recipe=recipe,
    )


def _plates_in(stored: Mapping[Place, Fit]) -> Iterator[PlateName]:
    """Give the plates that parameters were fitted on, those of single plates first."""
    for fit in stored.values():
        if fit.study_id is not None and fit.plate_id is not None:
            yield fit.study_id, fit.plate_id
    for fit in stored.values():
        if fit.study_id is not None and fit.plate_id is None:
            yield from ((fit.study_id, name.partition("/")[0]) for name in fit.learned_from)


def _plate_named(like: str, plates: Sequence[PlateName], studies: Sequence[str], label: str) -> PlateName:
    """Return the plate that ``PLATE`` or ``STUDY/PLATE`` means, of those that were fitted."""
    meant = [name for name in plates if "/".join(name) == like]
    meant = meant or [name for name in plates if name[1] == like and name[0] in studies]
    meant = meant or [name for name in plates if name[1] == like]
    if len(meant) == 1:
        return meant[0]
    every = ["/".join(name) for name in plates]
    if meant:
        raise NotFoundError(
            f"{label} was fitted on several plates called {like!r}",
            hint=f"say of which study: {listed(['/'.join(name) for name in meant], _SHOWN)}",
        )
    raise NotFoundError(
        f"{label} was fitted on no plate {like!r}{did_you_mean(like, [*every, *(name for _, name in plates)])}",
        hint=f"it was fitted on {listed(every, _SHOWN)}; or let the plate be fitted on itself with --like own",
    )


def _controls(
    recipe: ProfileRecipe,
    earlier: Earlier,
    wells: Mapping[str, pa.Table],
    known: pa.Table,
    matrix: ProfileMatrix,
    warnings: list[str],
) -> list[PlateControls]:
    """Find the controls of the plates: needed only where a step learns from them now."""
    if recipe.controls is None:
        return []
    needed = earlier.own and any(step.fit == "plate" and step.on == "controls" for step in recipe.steps)
    if needed:
        check_columns(recipe.controls, known, recipe.source)
    elif not set(recipe.controls.where) <= set(known.column_names):
        return []
    with_rows = wells_with_values(matrix, recipe)
    found = found_controls(recipe, wells, list(with_rows), with_rows)
    if needed:
        # Whoever names a plate wants it: it is not left out without a word.
        warnings += judge(replace(recipe.controls, none="error", few="warn"), found, recipe.source).warnings
    return found


def _version(
    root: LakeRoot, profile_set: ProfileSet, earlier: Earlier, fitted: Mapping[Place, Fit]
) -> tuple[int | None, list[Fit]]:
    """Return the version of the parameters together with those that were fitted on the plates themselves.

    Where a plate has other ones in the version already, that is a new version, with all of the parameters.
    """
    if not fitted:
        return earlier.version, []
    known = [fit for place, fit in fitted.items() if place in earlier.stored]
    if all(fit.same_as(earlier.stored[fit.place]) for fit in known):
        return earlier.version, [fit for place, fit in fitted.items() if place not in earlier.stored]
    return choose_version(root, profile_set, {**earlier.stored, **fitted})


def _note_parameters(
    run: Run, profile_set: ProfileSet, earlier: Earlier, used: Mapping[PlateName, Sequence[Fit]]
) -> None:
    """Say in the run which parameters were applied, and who fitted them."""
    if earlier.version is None:
        return
    fits = [fit for own in used.values() for fit in own if fit.run_id]
    by = sorted({fit.run_id for fit in fits})
    units = sorted({fit.unit for fit in fits})
    run.parameters |= {"fitted_by": by, "parameters_of": units, "refitted": earlier.own}
    run.add_input("fit", earlier.label, sha256=profile_set.hash, detail=f"fitted by run {', '.join(by)}")
