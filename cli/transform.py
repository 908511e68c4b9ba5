"""The verb that computes: transform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from .options import common, lake_option, role_option, the_lake
from .output import exit_code, progress_bar, report, table


@click.command()
@click.option("--study", required=True, metavar="STUDY", help="The study whose plates are measured.")
@click.option("--plate", "plates", metavar="PLATE", multiple=True, help="Only this plate; may be repeated.")
@click.option("--recipe", metavar="NAME|FILE", default="nuclei", show_default=True, help="What to find and measure.")
@role_option
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to compute."
)
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="How many processes; else one per core.")
@click.option("--scheduler", metavar="ADDRESS", help="A Dask scheduler to use instead of this machine.")
@lake_option
@common
@click.pass_context
def transform(
    ctx: click.Context,
    study: str,
    plates: tuple[str, ...],
    recipe: str,
    roles: Mapping[str, str],
    device: str,
    workers: int | None,
    scheduler: str | None,
    json_: bool,
) -> int:
    """Segment and measure: pixels to labels, features and quality."""
    lake = the_lake(ctx)
    with progress_bar(f"transforming {study} with {recipe}") as progress:
        result = lake.transform(
            study=study,
            plates=list(plates),
            recipe=recipe,
            roles=roles,
            device=device,
            workers=workers,
            scheduler=scheduler,
            progress=progress,
        )
    report(result, json_=json_, readable=_transformed)
    return exit_code(result)


def _transformed(result: Mapping[str, Any]) -> str:
    sets = list(dict.fromkeys(name for plate in result["plates"] for name in plate["objects"]))
    rows = [
        (plate["plate_id"], plate["images"], *(plate["objects"].get(name) for name in sets), plate["seconds"])
        for plate in result["plates"]
    ]
    lines = [table(rows, ("plate", "images", *sets, "seconds")), ""]
    return "\n".join([*lines, f"{result['status']}  {result['feature_set']}  run {result['run_id']}"])
