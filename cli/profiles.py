"""The verb that makes profiles of wells and treatments: profile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..transforms.outputs import check_outputs, write_output
from .options import PictureFile, common, lake_option, the_lake
from .output import counted, exit_code, progress_bar, report, say, table

_WELLS_SHOWN = 8


@click.command()
@click.option("--study", "studies", metavar="STUDY", multiple=True, required=True, help="A study; may be repeated.")
@click.option("--plate", "plates", metavar="PLATE", multiple=True, help="Only this plate; may be repeated.")
@click.option("--recipe", metavar="NAME|FILE", help="How profiles are made.  [default: standard]")
@click.option("--source", metavar="SET", help="What to start from; else the study's current feature set.")
@click.option(
    "--apply",
    metavar="SET[#FIT]",
    help="Apply parameters that were fitted earlier, such as standard@1, and fit nothing again.",
)
@click.option(
    "--like",
    metavar="PLATE|own",
    help="With --apply: the plate whose parameters new plates take; own: steps by plate are fitted on the new plate.",
)
@click.option("--picture", metavar="FILE.png", type=PictureFile("png"), help="Draw the wells of the studies as points.")
@click.option(
    "--picture-by",
    type=click.Choice(["umap", "pca"]),
    help="With --picture: how wells are placed; umap needs cytolake[plots].  [default: umap]",
)
@lake_option
@common
@click.pass_context
def profile(
    ctx: click.Context,
    studies: tuple[str, ...],
    plates: tuple[str, ...],
    recipe: str | None,
    source: str | None,
    apply: str | None,
    like: str | None,
    picture: str | None,
    picture_by: str | None,
    json_: bool,
) -> int:
    """Make profiles: features to wells and treatments, compared with controls."""
    if apply is not None and recipe is not None:
        raise click.UsageError("--apply has a recipe of its own: that of the parameters; leave out --recipe.")
    if like is not None and apply is None:
        raise click.UsageError("--like goes with --apply.")
    if picture_by is not None and picture is None:
        raise click.UsageError("--picture-by goes with --picture.")
    if picture is not None:
        from ..transforms.profiles.embedding import require

        check_outputs([Path(picture)])
        require(picture_by or "umap")
    lake = the_lake(ctx)
    what = f"applying {apply}" if apply is not None else f"profiling with {recipe or 'standard'}"
    with progress_bar(f"{what}: {', '.join(studies)}") as progress:
        result = lake.profile(
            study=studies,
            plates=plates,
            recipe=recipe or "standard",
            source=source,
            apply=apply,
            like=like,
            progress=progress,
        )
    report(result, json_=json_, readable=_profiled)
    if picture is not None:
        drawn = lake.profile_picture(result["profile_set"], study=studies, method=picture_by or "umap")
        write_output(Path(picture), drawn)
        say(f"wrote {picture}")
    return exit_code(result)


def _profiled(result: Mapping[str, Any]) -> str:
    if result["status"] == "skipped":
        return f"skipped  {result['profile_set']}"
    several = len({plate["study_id"] for plate in result["plates"]}) > 1
    rows = [
        (
            *((plate["study_id"],) if several else ()),
            plate["plate_id"],
            "left out" if plate["left_out"] else plate["wells"],
            plate["controls"],
            _some(plate["control_wells"]),
        )
        for plate in result["plates"]
    ]
    header = (*(("study",) if several else ()), "plate", "wells", "controls", "which")
    features, levels = result["features"], result["rows"]
    lines = [table(rows, header), ""]
    lines.append(f"{counted(features['in'], 'feature')} of {result['source']}, {features['kept']:,} kept")
    if result["flags"]:
        flagged = ", ".join(f"{reason} {number}" for reason, number in result["flags"].items())
        lines.append(f"dropped or left empty: {flagged}")
    for plate in result["plates"]:
        own = f"{plate['study_id']}/{plate['plate_id']}"
        others = [unit for unit in plate["parameters_of"] if "/" in unit and unit != own]
        if others:
            lines.append(f"{plate['plate_id']} has the parameters of {', '.join(others)}")
    if result["quality"] is not None:
        lines += [f"quality of {study}: {one['verdict']}" for study, one in result["quality"].items()]
    made = ", ".join(counted(number, f"{level} row") for level, number in levels.items())
    if result["dose_responses"] is not None:
        lines.append(_curves(result["dose_responses"]))
    fit = "" if result["fit_version"] is None else f"  fit {result['fit_version']}"
    views = "profiles, treatment_profiles" if "treatment" in levels else "profiles"
    lines.append(f"{made}; the views that show them: {views}")
    return "\n".join([*lines, "", f"{result['status']}  {result['profile_set']}{fit}  run {result['run_id']}"])


def _curves(made: Mapping[str, Any]) -> str:
    none = ", ".join(f"{reason} {number}" for reason, number in made["reasons"].items())
    return f"{counted(made['curves'], 'dose-response curve')}" + (f"; none for: {none}" if none else "")


def _some(wells: list[str]) -> str:
    more = len(wells) - _WELLS_SHOWN
    return " ".join([*wells[:_WELLS_SHOWN], *([f"… {more} more"] if more > 0 else [])])
