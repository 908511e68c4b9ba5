"""The verb ``dataset``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from .options import common, lake_option, the_lake
from .output import counted, facts, report, size


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
@lake_option
@common
@click.pass_context
def build(ctx: click.Context, /, spec: str, output: str, format_: str | None, json_: bool, **options: Any) -> None:
    """Build the data set that SPEC.toml describes, with a card that says what is in it."""
    made = the_lake(ctx).build_dataset(spec, output, format=format_, **options)
    report(made, json_=json_, readable=_built)


def _built(result: Mapping[str, Any]) -> str:
    lines = {
        "in": f"{result['path']}, {size(result['bytes'])}",
        "rows": ", ".join(f"{name} {rows:,}" for name, rows in result["splits"].items()),
        "columns": counted(result["features"], "feature"),
        "pinned": counted(len(result["versions"]), "table"),
        "hash": result["sha256"],
    }
    return facts(lines)
