"""The verb that brings in tables of features which were made elsewhere: import."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..wording import listed
from .options import common, lake_option, role_option, the_lake
from .output import exit_code, facts, progress_bar, report, table

_SHOWN = 8


@click.command(name="import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option("--study", required=True, metavar="STUDY", help="The study that the rows belong to.")
@click.option("--plate", metavar="PLATE", help="Plate of all rows; else the tables name it.")
@click.option("--dialect", metavar="NAME", help="How the tables are written; recognised by content if not given.")
@click.option("--name", metavar="NAME", help="Name of the feature set or profile set; else that of the dialect.")
@click.option(
    "--mapping", type=click.Path(path_type=Path), metavar="FILE", help="What the columns mean, for tables of any kind."
)
@click.option(
    "--pipeline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The pipeline that made them; another pipeline is another version of the set.",
)
@role_option
@click.option(
    "--existing",
    type=click.Choice(["error", "skip", "replace"]),
    default="error",
    show_default=True,
    help="What to do with a plate that the set has rows of.",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "float64"]),
    default="float32",
    show_default=True,
    help="Of features of objects; profiles are always float64.",
)
@click.option("--plate-format", metavar="96|384|8x12", help="Size of plates that the lake does not have.")
@click.option("--dry-run", is_flag=True, help="Read everything, say what would happen, write nothing.")
@lake_option
@common
@click.pass_context
def import_(
    ctx: click.Context,
    files: tuple[Path, ...],
    study: str,
    plate: str | None,
    dialect: str | None,
    name: str | None,
    mapping: Path | None,
    pipeline: Path | None,
    roles: Mapping[str, str],
    existing: str,
    precision: str,
    plate_format: str | None,
    dry_run: bool,
    json_: bool,
) -> int:
    """Bring in tables of features that were made elsewhere.

    FILE is a table (CSV, packed or not, Parquet, SQLite) or a folder of them: of CellProfiler, CytoTable, pycytominer
    and others. Objects become a feature set; fields, wells and treatments a profile set.
    """
    lake = the_lake(ctx)
    with progress_bar(f"importing into {study}") as progress:
        result = lake.import_tables(
            list(files),
            study=study,
            plate=plate,
            dialect=dialect,
            name=name,
            mapping=mapping,
            pipeline=pipeline,
            roles=roles,
            existing=existing,  # type: ignore[arg-type]  # click has checked it
            precision=precision,  # type: ignore[arg-type]
            plate_format=plate_format,
            dry_run=dry_run,
            progress=progress,
        )
    report(result, json_=json_, readable=_imported)
    return exit_code(result)


def _imported(result: Mapping[str, Any]) -> str:
    sets = [label for label in (result["feature_set"], result["profile_set"]) if label]
    lines = [table(list(result["tables"].items()), ("table", "rows")), ""] if result["tables"] else []
    lines.append(
        facts(
            {
                "dialect": result["dialect"],
                "plates": listed(result["plates"], _SHOWN),
                "in the same sets": _shared(result["other_studies"]),
                "made from the table": listed(result["plates_created"], _SHOWN),
                "channels": ", ".join(f"{channel} = {role}" for channel, role in result["roles"].items()),
                "columns": f"{result['columns_mapped']:,} mapped, {result['columns_unmapped']:,} under their own names",
                "without a number": f"{result['nan']['values']:,} values in {result['nan']['columns']:,} columns",
                "kept with the wells": listed(result["metadata_columns"], _SHOWN),
            }
        )
    )
    run = f"run {result['run_id']}" if result["run_id"] else "nothing was written"
    return "\n".join([*lines, "", f"{result['status']}  {' and '.join(dict.fromkeys(sets))}  {run}"])


def _shared(studies: list[str]) -> str | None:
    """Say which studies are taken to be made alike, and how to tell them apart."""
    return f"{listed(studies, _SHOWN)}; made otherwise? --name or --pipeline tells them apart" if studies else None
