"""The verb ``plot``: the answer of a question as a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .options import PictureFile, common, lake_option, the_lake
from .output import report, size


@click.command()
@click.argument("kind", type=click.Choice(["forest", "heatmap", "volcano", "embedding"]))
@click.argument("query")
@click.option(
    "--output", metavar="FILE", required=True, type=PictureFile("svg", "png"), help="The picture, SVG or PNG."
)
@click.option("--title", metavar="TEXT", help="What it says above.")
@click.option("--as-of", metavar="RELEASE|TIMESTAMP|VERSION", help="Of the lake as it was.")
@click.option("--set", "settings", metavar="NAME=VALUE", multiple=True, help="A setting of the kind; may be repeated.")
@lake_option
@common
@click.pass_context
def plot(
    ctx: click.Context, /, kind: str, query: str, output: str, settings: tuple[str, ...], json_: bool, **options: Any
) -> None:
    """Draw the answer of QUERY (- reads it from stdin): a forest plot, a heat map of plates, a volcano, an embedding.

    The columns that each kind takes are in docs/plots.md.
    """
    if query == "-":
        query = sys.stdin.read()
    given = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise click.UsageError(f"--set {setting}: give NAME=VALUE")
        given[name.strip()] = value.strip()
    path = Path(output)
    form: Any = path.suffix.lower().removeprefix(".")
    picture = the_lake(ctx).plot(kind, query, format=form, options=given, **options)  # type: ignore[arg-type]
    path.write_bytes(picture)
    made = {"path": str(path), "kind": kind, "bytes": len(picture)}
    report(made, json_=json_, readable=lambda one: f"{one['kind']} in {one['path']}, {size(one['bytes'])}")
