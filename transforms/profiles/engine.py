"""Profiles of wells and treatments: gathered, processed by the steps of a recipe, committed with what was fitted.

A run without ``apply`` fits the recipe on all plates of its studies that have features, or on those that are named, and
replaces the profiles of these studies. A run with ``apply`` fits nothing again: see :mod:`.apply`. Both write in one
commit, so that a kill leaves the profiles that were there before, or all of the new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...errors import InvalidDataError, NotFoundError, UsageError
from ...store.lineage import Run
from ...store.plates import plates_of
from ...store.registry import ProfileSet, register_profiles
from ...wording import did_you_mean, listed
from . import dose_response
from .after import judged, number_of_checks
from .controls import PlateControls, check_columns, control_mask, judge, plate_controls
from .fits import choose_version
from .gather import gather, is_count
from .matrix import ProfileMatrix
from .outcome import Outcome, check_treatments, commit_outcome
from .recipe import ProfileRecipe, load_profile_recipe
from .source import Source, find_source, plates_with_rows
from .steps import PlateName, run_steps
from .verdicts import check_thresholds
from .wells import annotated_wells, excluded_wells

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...store.root import LakeRoot

Progress = Callable[[int, int], None]

_SHOWN = 10
#: The recipe that is used where none is named.
_DEFAULT = "standard"


def profile(
    root: LakeRoot,
    *,
    study_ids: Sequence[str],
    plate_ids: Sequence[str] = (),
    recipe: str = _DEFAULT,
    source: str | None = None,
    apply: str | None = None,
    like: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Make profiles of wells and treatments.

    Parameters
    ----------
    root
        The lake.
    study_ids
        Studies, whose plates are fitted together where the recipe says ``fit = "all"``.
    plate_ids
        Fit on these plates alone; refused where other plates of a study have profiles of the set. With ``apply``: the
        plates that parameters are applied to; those without profiles when none is named.
    recipe
        Name of a shipped recipe or path of a TOML file.
    source
        Feature set or profile set to start from; see :func:`.source.find_source`.
    apply
        Profile set whose parameters are applied without fitting anything again, ``name[@version][#fit_version]``.
    like
        With ``apply``, for plates that steps were not fitted on: ``PLATE`` or ``STUDY/PLATE`` whose parameters they
        take, or ``own`` to fit these steps on the plate itself.
    progress
        Called with (steps done, steps in all).

    Returns
    -------
    dict
        ``run_id``, ``status`` (``ok``; ``skipped`` where nothing was to be applied), ``profile_set``, ``fit_version``
        (None where nothing is fitted), ``source``, ``plates``, ``features`` (``in``, ``kept``), ``rows`` (level →
        rows), ``flags`` (reason → features), ``dose_responses`` (``curves``, and ``reasons`` → how many have none; None
        where the recipe asks for none), ``quality`` (study → ``run_id`` of the check and ``verdict``; None where the
        recipe has no thresholds), ``warnings``.

    Raises
    ------
    NotFoundError
        A study, plate, recipe or set does not exist, or a plate has no features.
    RecipeError
        The recipe is wrong, or names what the wells do not have.
    InvalidDataError
        A plate lacks controls and the recipe does not leave it out, or a step cannot learn from what is there.
    """
    studies = _studies(root, study_ids)
    if apply is not None:
        from .apply import apply_profiles

        if recipe != _DEFAULT:
            raise UsageError(
                "a recipe and parameters to apply exclude each other: the parameters are those of a recipe",
                hint="leave out the recipe, or apply nothing",
            )
        return apply_profiles(
            root, studies=studies, plate_ids=plate_ids, source=source, apply=apply, like=like, progress=progress
        )
    if like is not None:
        raise UsageError("like says whose parameters are applied, and nothing is applied", hint="name what to apply")
    loaded = load_profile_recipe(recipe)
    found = find_source(root, studies, source, loaded.aggregate.objects)
    wells = {study: annotated_wells(root, study) for study in studies}
    known = pa.concat_tables(list(wells.values()), promote_options="default")
    if loaded.controls is not None:
        check_columns(loaded.controls, known, loaded.source)
    check_treatments(loaded.consensus, known, loaded.source)
    dose_response.check_columns(loaded.dose_response, known.column_names, loaded.source)
    check_thresholds(loaded.quality, loaded.source)
    plates = choose_plates(root, found, studies, plate_ids)
    run = Run.start(
        "profile",
        study_id=studies[0] if len(studies) == 1 else None,
        plate_ids=[plate for _, plate in plates],
        parameters={"studies": studies, "plates": list(plate_ids), "recipe": loaded.name, "source": found.set.label},
    )
    run.add_input("recipe", loaded.name, detail=loaded.source)
    registration = register_profiles(
        root,
        loaded.name,
        loaded.definition(found.definition()),
        levels=loaded.levels,
        recipe_text=loaded.text,
        run_id=run.run_id,
    )
    if registration.set.name != loaded.name:
        run.warn(f"{loaded.source} says what {registration.set.label} says: its profiles are those of that profile set")
    if plate_ids:
        _check_no_other_plates(root, registration.set, plates)
        run.warn(f"fitted on the named plate(s) alone: {listed([plate for _, plate in plates], _SHOWN)}")
    in_use = [name for name in plates if not _all_excluded(wells, name)]
    _judged(loaded, wells, in_use, with_rows=None)  # before the work that it may be in vain
    advance = counter(progress, len(plates) + len(loaded.steps) + 1 + number_of_checks(loaded, studies))
    said: list[str] = []
    matrix = gather(root, found, loaded.aggregate, plates, wells, warnings=said, advance=advance)
    if not len(matrix):
        raise no_rows(found, plates)
    with_rows = wells_with_values(matrix, loaded)
    plates = [name for name in plates if name in with_rows]
    controls, left_out, told = _judged(loaded, wells, plates, with_rows=with_rows)
    for text in (*said, *told):
        run.warn(text)
    matrix = _without(matrix, left_out)
    is_control = mask_of(loaded, matrix)
    measured = rows_with_values(matrix, loaded)
    done = run_steps(loaded.steps, matrix, is_control, measured=measured, advance=advance)
    with root.storage.lock(f"profile-{registration.set.hash[:16]}"):
        version, new = choose_version(root, registration.set, done.fits) if done.fits else (None, [])
        outcome = Outcome(
            registration=registration,
            source=found,
            recipe=loaded,
            gathered=matrix,
            processed=done,
            fit_version=version,
            new_fits=tuple(new),
            controls=controls,
            left_out=left_out,
            replaces="studies",
            studies=tuple(studies),
        )
        result = commit_outcome(root, run, outcome, wells)
    advance()
    return judged(root, result, loaded, studies, advance)


def _check_no_other_plates(root: LakeRoot, profile_set: ProfileSet, plates: Sequence[PlateName]) -> None:
    """Refuse to fit on some plates of a study whose other plates have profiles of the set: those would be lost."""
    if not root.tables.exists(profile_set.table("well")):
        return
    for study in dict.fromkeys(study for study, _ in plates):
        found = root.tables.read(profile_set.table("well"), columns=["plate_id"], where={"study_id": study})
        there: list[Any] = found["plate_id"].unique().to_pylist()
        others = sorted(set(there) - {plate for _, plate in plates})
        if others:
            raise UsageError(
                f"{len(others)} other plate(s) of study {study} have profiles of {profile_set.label}, and would lose "
                f"them: {listed(others, _SHOWN)}",
                hint=f"name no plate, to fit on all; or `--apply {profile_set.label}`, to give these plates profiles "
                "with the parameters that are there",
            )


def choose_plates(root: LakeRoot, source: Source, studies: Sequence[str], plate_ids: Sequence[str]) -> list[PlateName]:
    """Return the plates that are meant: those named, or all that have rows of the source, by study and name.

    Raises
    ------
    NotFoundError
        A named plate is in none of the studies, or has no rows.
    """
    there = {study: plates_with_rows(root, source, study) for study in studies}
    if not plate_ids:
        return [(study, plate) for study in studies for plate in there[study]]
    every = {one for study in studies for one in plates_of(root, study)}
    for plate in plate_ids:
        if plate not in every:
            raise NotFoundError(
                f"{_named(studies)} no plate {plate!r}{did_you_mean(plate, every)}",
                hint=f"the plates are {listed(sorted(every), _SHOWN)}",
            )
        if not any(plate in own for own in there.values()):
            raise NotFoundError(
                f"plate {plate!r} has no rows of {source.set.called} {source.set.label}",
                hint="measure it with `cytolake transform`, or bring its table in with `cytolake import`",
            )
    return [(study, plate) for study in studies for plate in there[study] if plate in set(plate_ids)]


def counter(progress: Progress | None, total: int) -> Callable[[], None]:
    """Return a function that tells of one more step done each time it is called."""
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    return advance


def mask_of(recipe: ProfileRecipe, matrix: ProfileMatrix) -> NDArray[np.bool_]:
    """Return which rows are of controls, of shape (rows,); none where the recipe has no controls."""
    if recipe.controls is None:
        return np.zeros(len(matrix), dtype=bool)
    return control_mask(recipe.controls, matrix.rows)


def no_rows(source: Source, plates: Sequence[PlateName]) -> InvalidDataError:
    """Return the error for plates of which nothing is left."""
    return InvalidDataError(
        f"none of the {len(plates)} plate(s) has a well with features of {source.set.called} {source.set.label}",
        hint="all of its wells may be excluded; see `cytolake sql` for the rows of wells",
    )


def rows_with_values(matrix: ProfileMatrix, recipe: ProfileRecipe) -> NDArray[np.bool_]:
    """Return which rows, of shape (rows,), have a value of any feature beside the numbers of objects."""
    measured = np.array([not (recipe.aggregate.counts and is_count(name)) for name in matrix.features], dtype=bool)
    values = matrix.values[:, measured] if measured.any() else matrix.values
    return np.asarray(~np.isnan(values).all(axis=1))


def wells_with_values(matrix: ProfileMatrix, recipe: ProfileRecipe) -> dict[PlateName, list[str]]:
    """Return plate → its wells that have a value of any feature beside the numbers of objects."""
    found: dict[PlateName, list[str]] = {}
    filled = rows_with_values(matrix, recipe)
    columns = (matrix.column(name) for name in ("study_id", "plate_id", "well_id"))
    for study, plate, well, one in zip(*columns, filled, strict=True):
        own = found.setdefault((study, plate), [])
        if one:
            own.append(well)
    return found


def found_controls(
    recipe: ProfileRecipe,
    wells: Mapping[str, pa.Table],
    plates: Sequence[PlateName],
    with_rows: Mapping[PlateName, Sequence[str]] | None,
) -> list[PlateControls]:
    """Return the controls of each plate; ``with_rows`` says which wells have features, None where nobody knows yet."""
    if recipe.controls is None:
        return []
    found = []
    for study, plate in plates:
        own = wells[study]
        own = own.filter(pa.array([one == plate for one in own["plate_id"].to_pylist()], pa.bool_()))
        rows = None if with_rows is None else with_rows.get((study, plate), ())
        found.append(plate_controls(recipe.controls, study_id=study, plate_id=plate, wells=own, with_rows=rows))
    return found


def _judged(
    recipe: ProfileRecipe,
    wells: Mapping[str, pa.Table],
    plates: Sequence[PlateName],
    *,
    with_rows: Mapping[PlateName, Sequence[str]] | None,
) -> tuple[list[PlateControls], frozenset[PlateName], tuple[str, ...]]:
    """Find the controls of each plate, and what follows where a step learns from them."""
    found = found_controls(recipe, wells, plates, with_rows)
    if recipe.controls is None or not recipe.needs_controls:
        return found, frozenset(), ()
    judgement = judge(recipe.controls, found, recipe.source)
    return found, judgement.left_out, judgement.warnings


def _all_excluded(wells: Mapping[str, pa.Table], plate: PlateName) -> bool:
    """Whether a plate has wells, and somebody has excluded all of them: it is passed over, and lacks no controls."""
    study_id, plate_id = plate
    plates: list[Any] = wells[study_id]["plate_id"].to_pylist()
    return 0 < plates.count(plate_id) == len(excluded_wells(wells[study_id], plate_id))


def _without(matrix: ProfileMatrix, left_out: frozenset[PlateName]) -> ProfileMatrix:
    if not left_out:
        return matrix
    names = zip(matrix.column("study_id"), matrix.column("plate_id"), strict=True)
    return matrix.select_rows(np.array([name not in left_out for name in names], dtype=bool))


def _studies(root: LakeRoot, study_ids: Sequence[str]) -> list[str]:
    """Return the studies that are named, each once; ``NotFoundError`` where the lake has none of that name."""
    if not study_ids:
        raise UsageError("no study is named", hint="name one or more")
    studies = list(dict.fromkeys(study_ids))
    for study in studies:
        plates_of(root, study)
    return studies


def _named(studies: Sequence[str]) -> str:
    return f"study {studies[0]!r} has" if len(studies) == 1 else f"the studies {listed(studies, _SHOWN)} have"
