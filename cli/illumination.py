"""The verb that looks at light: illumination."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..transforms.outputs import check_outputs, write_output
from .options import PictureFile, common, lake_option, the_lake
from .output import exit_code, progress_bar, report, say, table


@click.command()
@click.option("--study", required=True, metavar="STUDY", help="The study whose plates are looked at.")
@click.option("--plate", "plates", metavar="PLATE", multiple=True, help="Only this plate; may be repeated.")
@click.option(
    "--method",
    type=click.Choice(["auto", "vendor", "basic", "cellprofiler"]),
    default="auto",
    show_default=True,
    help="Where profiles come from; auto: the vendor, else the better estimate if it is of use.",
)
@click.option("--images", metavar="N", type=int, default=200, show_default=True, help="Most images of a channel.")
@click.option("--min-images", metavar="N", type=int, default=16, show_default=True, help="Fewest images of a channel.")
@click.option(
    "--dark-level",
    metavar="GREY",
    type=float,
    default=0.0,
    show_default=True,
    help="What the camera reads in the dark.",
)
@click.option(
    "--picture",
    metavar="FILE.png",
    type=PictureFile("png"),
    help="Draw mean images before and after, with the profiles.",
)
@lake_option
@common
@click.pass_context
def illumination(
    ctx: click.Context,
    study: str,
    plates: tuple[str, ...],
    method: str,
    images: int,
    min_images: int,
    dark_level: float,
    picture: str | None,
    json_: bool,
) -> int:
    """Say how evenly plates are lit, and keep profiles with them that a recipe may apply."""
    if picture:
        check_outputs([Path(picture)])
    lake = the_lake(ctx)
    asked: dict[str, Any] = {"study": study, "plates": list(plates), "method": method, "images": images}
    asked |= {"min_images": min_images, "dark_level": dark_level}
    with progress_bar(f"looking at the light of {study}") as progress:
        result = lake.estimate_illumination(**asked, progress=progress)
    if picture:
        write_output(Path(picture), lake.illumination_picture(**asked))
        say(f"wrote {picture}")
    report(result, json_=json_, readable=_seen)
    return exit_code(result)


def _seen(result: Mapping[str, Any]) -> str:
    several = any(one["acquisition_id"] != 1 for one in result["channels"])
    columns = ("plate_id", *(("acquisition_id",) if several else ()), "channel", "method", "images")
    rows = [
        (
            *(one[name] for name in columns),
            *(_percent(one[when], "cv") for when in ("flatness_before", "flatness_after")),
            *(_percent(one[when], "corner_to_centre") for when in ("flatness_before", "flatness_after")),
            one["stored"],
        )
        for one in result["channels"]
    ]
    header = (*(name.removesuffix("_id") for name in columns), "varies %", "after %", "corners %", "after %", "kept as")
    return "\n".join([table(rows, header), "", f"{result['status']}  run {result['run_id']}"])


def _percent(figures: Mapping[str, float] | None, name: str) -> float | None:
    return None if figures is None else round(100 * figures[name], 1)
