"""Verbs that correct what is in the lake: exclude, remove."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from .options import common, lake_option, the_lake
from .output import counted, exit_code, report, say, table


@click.command()
@click.option("--study", required=True, metavar="STUDY", help="The study of the wells.")
@click.option("--plate", metavar="PLATE", help="Their plate, where the study has several.")
@click.option(
    "--well", "wells", metavar="WELL", multiple=True, required=True, help="A well, or a rectangle A01:C12; repeatable."
)
@click.option("--reason", metavar="TEXT", help="Why they are excluded.")
@click.option("--include", is_flag=True, help="Take the wells in again.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing.")
@lake_option
@common
@click.pass_context
def exclude(
    ctx: click.Context,
    study: str,
    plate: str | None,
    wells: tuple[str, ...],
    reason: str | None,
    include: bool,
    dry_run: bool,
    json_: bool,
) -> int:
    """Leave wells out of the views, for a reason; the tables keep them, and --include takes them in again."""
    result = the_lake(ctx).exclude(
        list(wells), study=study, plate=plate, reason=reason, include=include, dry_run=dry_run
    )
    if dry_run:
        say("dry run: nothing is written")
    report(result, json_=json_, readable=_excluded)
    return exit_code(result)


def _excluded(result: Mapping[str, Any]) -> str:
    run = f"  run {result['run_id']}" if result["run_id"] else ""
    return f"{result['status']}  {counted(result['rows'], 'well')} changed{run}"


@click.command()
@click.option("--study", required=True, metavar="STUDY", help="The study that goes, or whose plate goes.")
@click.option("--plate", metavar="PLATE", help="The plate that goes; else the whole study.")
@click.option("--reason", metavar="TEXT", help="Why, for the record.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and write nothing.")
@lake_option
@common
@click.pass_context
def remove(
    ctx: click.Context,
    study: str,
    plate: str | None,
    reason: str | None,
    yes: bool,
    dry_run: bool,
    json_: bool,
) -> int:
    """Remove a plate or a study: its rows leave every table at once; history keeps them, and the images stay."""
    from ..errors import UsageError

    lake = the_lake(ctx)
    if dry_run or not yes:
        planned = lake.remove(study=study, plate=plate, reason=reason, dry_run=True)
        if dry_run:
            say("dry run: nothing is written")
            report(planned, json_=json_, readable=_removed)
            return exit_code(planned)
        what = f"plate {plate} of study {study}" if plate else f"study {study}"
        if not sys.stdin.isatty():
            raise UsageError(
                f"{what} ({counted(planned['rows'], 'row')}) would be removed, and nobody can be asked",
                hint="Add --yes to remove it, or --dry-run to see what would go.",
            )
        say(_removed(planned))
        click.confirm(f"remove {what}?", abort=True, err=True)
    result = lake.remove(study=study, plate=plate, reason=reason)
    report(result, json_=json_, readable=_removed)
    return exit_code(result)


def _removed(result: Mapping[str, Any]) -> str:
    parts = [table(list(result["tables"].items()), ("table", "rows"))]
    if result["kept"]:
        parts.append(
            "images that stay, for history, until their folders are deleted by hand: " + ", ".join(result["kept"])
        )
    run = f"  run {result['run_id']}" if result["run_id"] else ""
    plates = counted(len(result["plates"]), "plate")
    parts.append(f"{result['status']}  {plates}, {counted(result['rows'], 'row')}{run}")
    return "\n\n".join(parts)
