"""The verb ``export``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from .options import common, lake_option, the_lake
from .output import counted, report, size


@click.command()
@click.argument("table")
@click.option("--output", metavar="FILE", required=True, type=click.Path(), help="The file, or the folder of a .zarr.")
@click.option("--study", metavar="STUDY", help="Rows of this study alone.")
@click.option("--plate", "plates", metavar="PLATE", multiple=True, help="Rows of this plate alone; may be repeated.")
@click.option("--where", metavar="SQL", help="Rows that satisfy this alone, as behind WHERE.")
@click.option("--as-of", metavar="RELEASE|TIMESTAMP", help="Of the lake as it was.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["parquet", "csv", "csv.gz", "h5ad", "zarr"]),
    help="Else by the ending of FILE.",
)
@click.option(
    "--layout",
    type=click.Choice(["pycytominer", "plain"]),
    help="Names of columns in Parquet and CSV: Metadata_Plate, ..., or as the lake has them.",
)
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@lake_option
@common
@click.pass_context
def export(ctx: click.Context, /, table: str, output: str, format_: str | None, json_: bool, **options: Any) -> None:
    """Write TABLE, a view or table, as Parquet, CSV or AnnData.

    Views are nuclei, cells, profiles, treatment_profiles and so on; tables are listed by `cytolake catalog tables`.
    """
    report(the_lake(ctx).export(table, output, format=format_, **options), json_=json_, readable=_written)


def _written(result: Mapping[str, Any]) -> str:
    what = f"{counted(result['rows'], 'row')}, {counted(result['columns'], 'column')}"
    of_them = f" ({result['features']:,} of them features)" if result["features"] else ""
    of_sets = f" of {', '.join(result['sets'])}" if result["sets"] else ""
    return f"{what}{of_them}{of_sets} in {result['path']}, {size(result['bytes'])}"
