"""The verb that computes: transform."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
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
@click.option(
    "--preview", type=click.IntRange(min=1), metavar="N", help="Only show what it does on N fields, as a page."
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where the preview goes; else preview-STUDY.html.",
)
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
    preview: int | None,
    output: Path | None,
    json_: bool,
) -> int:
    """Segment and measure: pixels to labels, features and quality."""
    lake = the_lake(ctx)
    if preview is None and output is not None:
        raise click.UsageError("--output is where a --preview goes.")
    _keep_dask_quiet()
    if preview is not None:
        with progress_bar(f"previewing {study} with {recipe}") as progress:
            result = lake.preview(
                preview,
                study=study,
                output=output or Path(f"preview-{study}.html"),
                plates=list(plates),
                recipe=recipe,
                roles=roles,
                device=device,
                workers=workers,
                scheduler=scheduler,
                progress=progress,
            )
        report(result, json_=json_, readable=_previewed)
        return exit_code(result)
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


def _keep_dask_quiet() -> None:
    """Hide what Dask logs of its connections and tasks while it ends, done or interrupted: traceback after traceback.

    Before Dask is imported, for workers too; ``connect`` silences it only as long as its cluster is there.
    """
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


def _previewed(result: Mapping[str, Any]) -> str:
    sets = list(dict.fromkeys(name for field in result["fields"] for name in field["objects"]))
    rows = [
        (
            field["plate_id"],
            field["well_id"],
            field["field_id"],
            *(field["objects"].get(name) for name in sets),
            field["seconds"],
        )
        for field in result["fields"]
    ]
    failed = [f"{f['well_id']} field {f['field_id']}: {f['failed']}" for f in result["fields"] if f["failed"]]
    lines = [table(rows, ("plate", "well", "field", *sets, "seconds")), "", *failed]
    return "\n".join([*lines, f"{result['status']}  {result['path']}  (nothing was written into the lake)"])


def _transformed(result: Mapping[str, Any]) -> str:
    sets = list(dict.fromkeys(name for plate in result["plates"] for name in plate["objects"]))
    rows = [
        (plate["plate_id"], plate["images"], *(plate["objects"].get(name) for name in sets), plate["seconds"])
        for plate in result["plates"]
    ]
    lines = [table(rows, ("plate", "images", *sets, "seconds")), ""]
    lines += [
        f"{plate['plate_id']} {one['well_id']} field {one['field_id']}: {one['reason']}"
        for plate in result["plates"]
        for one in plate["failed"]
    ]
    return "\n".join([*lines, f"{result['status']}  {result['feature_set']}  run {result['run_id']}"])
