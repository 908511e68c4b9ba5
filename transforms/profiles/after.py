"""What follows when profiles are written: they are held against the thresholds of the recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...store.root import LakeRoot
    from .recipe import ProfileRecipe


def number_of_checks(recipe: ProfileRecipe, studies: Sequence[str]) -> int:
    """Return how many checks :func:`judged` makes."""
    return len(studies) if recipe.quality else 0


def judged(
    root: LakeRoot,
    result: dict[str, Any],
    recipe: ProfileRecipe,
    studies: Sequence[str],
    advance: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Hold the profiles of a run against the thresholds of its recipe, where it has any.

    Parameters
    ----------
    result
        What the run reports.
    advance
        Called after the check of each study.

    Returns
    -------
    dict
        The result, with ``quality`` (study → ``run_id`` of the check and ``verdict``, None without thresholds), and the
        warnings of the checks beside those of the run.
    """
    if not recipe.quality:
        return result | {"quality": None}
    from .quality import check_features

    quality: dict[str, Any] = {}
    warnings = list(result["warnings"])
    for study in studies:
        checked = check_features(root, study_id=study, source=result["profile_set"], recipe=recipe)
        quality[study] = {"run_id": checked["run_id"], "verdict": checked["verdict"]}
        warnings += [text for text in checked["warnings"] if text not in warnings]
        advance()
    return result | {"quality": quality, "warnings": warnings}
