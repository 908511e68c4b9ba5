"""The verb that shows what was followed over time: tracks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from .options import PictureFile, common, lake_option, the_lake
from .output import report, table


@click.command()
@click.option("--study", required=True, metavar="STUDY", help="The study.")
@click.option("--plate", required=True, metavar="PLATE", help="The plate.")
@click.option("--well", metavar="WELL", help="Only this well.")
@click.option("--field", type=int, metavar="N", help="Only this field.")
@click.option("--acquisition", type=int, metavar="N", help="Only this acquisition.")
@click.option("--feature-set", metavar="NAME", help="Whose tracks; the last that were made if not given.")
@click.option(
    "--picture", metavar="FILE.png", type=PictureFile("png"), help="Draw lineages of the field with most divisions."
)
@click.option(
    "--overlay", metavar="FILE.png", type=PictureFile("png"), help="Draw the ways of its objects over its last image."
)
@lake_option
@common
@click.pass_context
def tracks(
    ctx: click.Context,
    study: str,
    plate: str,
    well: str | None,
    field: int | None,
    acquisition: int | None,
    feature_set: str | None,
    picture: str | None,
    overlay: str | None,
    json_: bool,
) -> None:
    """Say what was followed over time on a plate: tracks, divisions, lifetimes; draw lineages and ways."""
    result = the_lake(ctx).tracks(
        study=study,
        plate=plate,
        well=well,
        field=field,
        acquisition=acquisition,
        feature_set=feature_set,
        picture=picture,
        overlay=overlay,
    )
    report(result, json_=json_, readable=_tracks)


_COLUMNS = {
    "well_id": "well",
    "field_id": "field",
    "timepoints": "time points",
    "objects": "objects",
    "tracks": "tracks",
    "lineages": "lineages",
    "divisions": "divisions",
    "gaps": "gaps",
    "median_lifetime": "median lifetime",
    "median_speed_um_s": "median µm/s",
}


def _tracks(result: Mapping[str, Any]) -> str:
    rows = [[one[name] for name in _COLUMNS] for one in result["fields"]]
    lines = [f"{result['object_set']} of plate {result['plate_id']} ({result['feature_set']})", ""]
    lines += [table(rows, tuple(_COLUMNS.values()))]
    if result["pictures"]:
        drawn = result["drawn"]
        lines += ["", f"drawn: well {drawn['well_id']} field {drawn['field_id']}: {', '.join(result['pictures'])}"]
    return "\n".join(lines)
