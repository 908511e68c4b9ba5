"""Verbs about vendor exports: inspect, ingest, annotate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ..schemas.identifiers import well_blocks
from ..wording import listed
from .options import PictureFile, common, export_options, lake_option, role_option, the_lake
from .output import counted, exit_code, facts, progress_bar, report, say, say_error, size, table

#: Blocks of wells that one line shows.
_MOST_BLOCKS = 8
_MOST_FAULTS = 1000


@click.command()
@click.argument("export", type=click.Path())
@export_options
@click.option("--picture", metavar="FILE.png", type=PictureFile("png"), help="Draw the plate as PNG.")
@click.option("--well", metavar="WELL", help="Whose fields to draw; else those of the well with the most.")
@click.option("--acquisition", metavar="N", type=int, help="Which acquisition of that well; else that with the most.")
@common
def inspect(
    export: str, picture: str | None, well: str | None, acquisition: int | None, json_: bool, **told: Any
) -> None:
    """Say what a vendor export is, without reading pixels."""
    from .. import lake

    if picture is None and (well is not None or acquisition is not None):
        raise click.UsageError(f"{'--well' if well else '--acquisition'} says what to draw; add --picture FILE.png")
    result = lake.inspect(export, **told)
    if picture is not None:
        told |= {"reader": result["reader"]}
        drawn = lake.inspect_picture(export, well=well, acquisition=acquisition, **told)
        _write(Path(picture), drawn)
        say(f"wrote {picture}")
    report(result, json_=json_, readable=_inspected)


def _write(path: Path, data: bytes) -> None:
    from ..errors import StorageError

    try:
        path.write_bytes(data)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written ({error.strerror})") from error


def _inspected(result: Mapping[str, Any]) -> str:
    plates = result["plates"]
    #: What plates of one folder may differ in is said of each then.
    differing = [
        (name, key)
        for name, key in (("vendor", "vendor"), ("format", "format_version"), ("folder", "path"))
        if len({plate.get(key) for plate in plates}) > 1
    ]
    shared = {"vendor": result["vendor"], "format": result["format_version"]}
    parts = [
        facts(
            {name: value for name, value in shared.items() if name not in dict(differing)}
            | {"reader": result["reader"], "index": (result.get("evidence") or {}).get("index")}
        )
    ]
    for plate in plates:
        parts += _plate(plate, {"written in" if name == "format" else name: plate[key] for name, key in differing})
    return "\n\n".join(parts)


def _plate(plate: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    """Return the paragraphs about a plate; ``own`` is what it does not share with the others."""
    pixel = plate["pixel_size_um"]
    missing = plate["missing_planes"]
    where = listed(well_blocks(plate.get("well_ids", ())), _MOST_BLOCKS)
    parts = [
        facts(
            {
                "plate": plate["plate"],
                **own,
                "barcode": plate["barcode"],
                "format": f"{plate['rows']} × {plate['columns']}",
                "wells": f"{plate['wells']}" + (f" ({where})" if where else ""),
                "fields": plate["fields"],
                "time points": plate["timepoints"],
                "z planes": plate["z_planes"],
                "pixel size": None if pixel is None else f"{pixel:.4g} µm",
                "planes": f"{plate['planes']:,}" + (f" ({missing:,} missing)" if missing else ""),
                "size": size(plate["bytes"]),
            }
        )
    ]
    several = len(plate["acquisitions"]) > 1
    if several:
        parts.append(_acquisitions(plate["acquisitions"]))
    channels = [
        (one["name"], one["role"] or "not recognised", *((one["acquisition_id"],) if several else ()))
        for one in plate["channels"]
    ]
    parts.append(table(channels, ("channel", "role", "acquisition") if several else ("channel", "role")))
    if missing and plate.get("missing"):
        parts.append(_missing(plate["missing"], missing, several=several))
    return parts


def _missing(missing: Mapping[str, Any], count: int, *, several: bool) -> str:
    """Name the first planes that are not there, and the wells that lack the others."""
    names = ("well_id", "field_id", "channel", "timepoint", "z", *(("acquisition_id",) if several else ()), "file")
    header = ("missing", "field", "channel", "time", "z", *(("acquisition",) if several else ()), "file")
    first = missing["first"]
    shown = table([[one[name] for name in names] for one in first], header)
    if count == len(first):
        return shown
    wells = [f"{well} ({planes:,})" for well, planes in missing["wells"].items()]
    return f"{shown}\n... and {count - len(first):,} more; by well: {listed(wells, _MOST_BLOCKS)}"


def _acquisitions(acquisitions: Sequence[Mapping[str, Any]]) -> str:
    """Show what the measurements of a plate do not share."""
    rows = [
        (
            one["acquisition_id"],
            one["z_mode"],
            one["wells"],
            one["fields"],
            one["timepoints"],
            one["z_planes"],
            f"{one['height']} × {one['width']}",
            None if one["pixel_size_um"] is None else f"{one['pixel_size_um']:.4g} µm",
            one["planes"],
            one["missing_planes"],
        )
        for one in acquisitions
    ]
    header = ("acquisition", "kind", "wells", "fields", "times", "z", "pixels", "pixel size", "planes", "missing")
    return table(rows, header)


@click.command()
@click.argument("export", type=click.Path())
@click.option("--study", required=True, metavar="STUDY", help="The study that the plate belongs to.")
@click.option("--plate", metavar="PLATE", help="Name of the plate; else the export's own.")
@click.option(
    "--plate-map", "plate_maps", metavar="FILE", multiple=True, help="Sheet of what is in the wells; repeatable."
)
@click.option("--keep-unknown", is_flag=True, help="Keep columns of it that look like a slip of a known one.")
@click.option("--accept-valid", is_flag=True, help="Take its valid rows although others are not.")
@role_option
@click.option(
    "--existing",
    type=click.Choice(["error", "skip", "replace", "extend"]),
    default="error",
    show_default=True,
    help="What to do when the lake has the plate already.",
)
@click.option("--by-reference", is_flag=True, help="Leave the pixels of an OME-Zarr plate where they are.")
@export_options
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="How many threads convert; else one per core.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing.")
@lake_option
@common
@click.pass_context
def ingest(
    ctx: click.Context,
    /,
    export: str,
    study: str,
    plate: str | None,
    plate_maps: tuple[str, ...],
    roles: Mapping[str, str],
    existing: Any,
    by_reference: bool,
    workers: int | None,
    dry_run: bool,
    json_: bool,
    **told: Any,
) -> int:
    """Bring a vendor export into the lake: an OME-Zarr plate, and rows that describe it."""
    lake = the_lake(ctx)
    with progress_bar(f"{'looking at' if dry_run else 'ingesting'} {export}") as progress:
        result = lake.ingest(
            export,
            study=study,
            plate=plate,
            plate_map=list(plate_maps),
            roles=roles,
            existing=existing,
            by_reference=by_reference,
            workers=workers,
            dry_run=dry_run,
            progress=progress,
            **told,
        )
    report(result, json_=json_, readable=_ingested)
    if not json_:
        for error in result["errors"]:
            say_error(f"plate {error['plate_id']}: {error['message']}", error["hint"])
    return exit_code(result)


def _ingested(result: Mapping[str, Any]) -> str:
    rows = [
        (
            plate["plate_id"],
            plate["wells"],
            plate["fields"],
            plate["planes"],
            plate["missing_planes"],
            plate["corrupt_planes"],
            size(plate["bytes_read"]),
            plate["seconds"],
            plate["path"],
        )
        for plate in result["plates"]
    ]
    header = ("plate", "wells", "fields", "planes", "missing", "corrupt", "read", "seconds", "path")
    run = f"  run {result['run_id']}" if result["run_id"] else ""
    annotation = result.get("annotation") or {"rows": 0, "errors": ()}
    annotated = f"  annotation of {counted(annotation['rows'], 'well')}" if annotation["rows"] else ""
    return "\n".join([table(rows, header), "", *_faults(annotation["errors"]), f"{result['status']}{run}{annotated}"])


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@click.option("--study", required=True, metavar="STUDY", help="The study that the wells belong to.")
@click.option("--plate", metavar="PLATE", help="The plate, where the sheet does not name it.")
@click.option("--replace", is_flag=True, help="Replace the annotation that wells have already.")
@click.option("--keep-unknown", is_flag=True, help="Keep columns that look like a slip of a known one.")
@click.option("--accept-valid", is_flag=True, help="Write the valid rows although others are not.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing.")
@lake_option
@common
@click.pass_context
def annotate(
    ctx: click.Context,
    files: tuple[str, ...],
    study: str,
    plate: str | None,
    replace: bool,
    keep_unknown: bool,
    accept_valid: bool,
    dry_run: bool,
    json_: bool,
) -> int:
    """Say what is in the wells: plate maps and sample sheets, checked row by row.

    FILE is CSV, TSV or XLSX (FILE.xlsx#Sheet for one sheet), or a folder with a barcode_platemap.csv; several complete
    each other.
    """
    result = the_lake(ctx).annotate(
        list(files),
        study=study,
        plate=plate,
        replace=replace,
        keep_unknown=keep_unknown,
        accept_valid=accept_valid,
        dry_run=dry_run,
    )
    if dry_run:
        say("dry run: nothing is written")
    report(result, json_=json_, readable=_annotated)
    # Nothing was written where rows are wrong, unless the valid ones were asked for: then it is partly done.
    return exit_code(result) or (4 if result["status"] == "failed" else 0)


def _annotated(result: Mapping[str, Any]) -> str:
    parts = _faults(result["errors"])
    contradictions = result.get("contradictions") or []
    if contradictions:
        parts += [*contradictions[:_MOST_FAULTS], *_left_out(contradictions), ""]
        parts.append(f"{counted(len(contradictions), 'contradiction')} of what the lake holds")
    rows = result["rows"]
    wrote = "would be written" if "contradictions" in result else "written"
    parts.append(f"{result['status']}  {counted(rows, 'row')} {wrote}" if isinstance(rows, int) else result["status"])
    return "\n".join(parts)


def _faults(errors: Sequence[Mapping[str, Any]]) -> list[str]:
    """Show the faults of plate maps."""
    if not errors:
        return []
    header = ("file", "row", "column", "value", "rule", "message")
    shown = table([[error.get(name) for name in header] for error in errors[:_MOST_FAULTS]], header)
    return [shown, *_left_out(errors), "", counted(len(errors), "error")]


def _left_out(found: Sequence[Any]) -> list[str]:
    left = len(found) - _MOST_FAULTS
    return [f"... and {left:,} more, which --json lists"] if left > 0 else []
