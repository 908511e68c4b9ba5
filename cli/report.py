"""The verb that tells how good plates are: report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from .options import PictureFile, common, lake_option, the_lake
from .output import counted, progress_bar
from .output import report as print_report


@click.command()
@click.option("--study", required=True, metavar="STUDY", help="The study whose plates are reported.")
@click.option("--plate", "plates", metavar="PLATE", multiple=True, help="Only this plate; may be repeated.")
@click.option("--output", required=True, metavar="FILE.html", help="The page to write.")
@click.option("--png", metavar="FILE.png", type=PictureFile("png"), help="A picture too, one per plate.")
@click.option("--feature-set", metavar="NAME", help="Whose quality rows; of each plate the newest if not given.")
@lake_option
@common
@click.pass_context
def report(
    ctx: click.Context,
    study: str,
    plates: tuple[str, ...],
    output: str,
    png: str | None,
    feature_set: str | None,
    json_: bool,
) -> int:
    """Write the quality report of plates: what is wrong, counts, focus, intensity, edge effect, controls."""
    lake = the_lake(ctx)
    with progress_bar(f"reporting {study}") as progress:
        result = lake.report(
            study=study, plates=list(plates), output=output, png=png, feature_set=feature_set, progress=progress
        )
    print_report(result, json_=json_, readable=_reported)
    return 0


def _reported(result: Mapping[str, Any]) -> str:
    lines = []
    for plate in result["plates"]:
        found = counted(len(plate["problems"]), "problem") if plate["problems"] else "no problem found"
        size = f"{counted(plate['wells'], 'well')}, {counted(plate['fields'], 'field')}"
        lines += [f"{plate['plate_id']}: {found} ({size}, {plate['feature_set']})"]
        lines += [f"  {problem['sentence']}" for problem in plate["problems"]]
        lines += [f"  note: {note}" for note in plate["notes"]]
    return "\n".join([*lines, *(str(file) for file in (result["path"], *result["pictures"]))])
