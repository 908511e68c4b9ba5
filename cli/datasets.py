"""The verb ``dataset``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from .options import common, lake_option, the_lake
from .output import counted, facts, progress_bar, report, size

#: Reasons that are listed.
_MOST = 20


@click.group()
def dataset() -> None:
    """Make data sets for training: pinned, split without leaks, described."""


@dataset.command()
@click.argument("spec", metavar="SPEC.toml", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--output", metavar="FOLDER", required=True, type=click.Path(), help="Where it appears whole or not at all."
)
@click.option("--as-of", metavar="RELEASE|TIMESTAMP", help="Of the lake as it was; else as the spec says, else now.")
@click.option("--format", "format_", type=click.Choice(["parquet", "anndata", "numpy"]), help="Else as the spec says.")
@click.option("--overwrite", is_flag=True, help="Replace a data set that is there.")
@click.option(
    "--compare", metavar="CARD", type=click.Path(exists=True), help="Say what differs from an earlier data set."
)
@lake_option
@common
@click.pass_context
def build(ctx: click.Context, /, spec: str, output: str, format_: str | None, json_: bool, **options: Any) -> None:
    """Build the data set that SPEC.toml describes, with a card that says what is in it."""
    with progress_bar("reading rows") as progress:
        made = the_lake(ctx).build_dataset(spec, output, format=format_, progress=progress, **options)
    report(made, json_=json_, readable=_built)


@dataset.command()
@click.argument("folder", type=click.Path())
@common
def check(folder: str, json_: bool) -> int:
    """Hold a data set against its card: every file, and the hash over its values."""
    from pathlib import Path

    from ..catalog.datasets import check_dataset

    found = check_dataset(Path(folder))
    report(found, json_=json_, readable=_checked)
    return 0 if found["status"] == "ok" else 4


def _built(result: Mapping[str, Any]) -> str:
    there = " (there already)" if result["status"] == "same" else ""
    lines = {
        "in": f"{result['path']}, {size(result['bytes'])}{there}",
        "rows": ", ".join(f"{name} {rows:,}" for name, rows in result["splits"].items()),
        "columns": counted(result["features"], "feature"),
        "pinned": counted(len(result["versions"]), "table"),
        "hash": result["sha256"],
    }
    compared = result["compared"]
    if compared is None:
        return facts(lines)
    said = "the same" if compared["same"] else "not the same"
    name = compared["with"]["name"]
    heading = f"{said} as {name} in {compared['with']['folder']}"
    return "\n".join([facts(lines), "", heading, *(f"  {one}" for one in compared["because"][:_MOST])])


def _checked(result: Mapping[str, Any]) -> str:
    if result["faults"]:
        faults = [f"  {fault}" for fault in result["faults"]]
        return "\n".join([*faults, f"damaged  {counted(len(faults), 'fault')}"])
    what = "the hash of its values too" if result["content"] else "values were not read again"
    return f"ok  {counted(result['files'], 'file')} as the card says, {what}"
