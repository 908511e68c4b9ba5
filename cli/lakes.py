"""Verbs about a lake as a whole: init, validate, doctor."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import click

from .options import common, lake_option, lake_url, the_lake
from .output import counted, report, say, table


@click.command()
@click.argument("path", metavar="PATH|URL")
@click.option("--name", metavar="NAME", help="What people call the lake; else the last part of its path.")
@common
def init(path: str, name: str | None, json_: bool) -> None:
    """Make a lake in an empty or absent folder, or under an s3:// prefix."""
    from .. import lake

    made = lake.init_lake(path, name=name)
    result = {"lake": made.url, "name": made.name, "format_version": made.root.config.format_version}
    report(result, json_=json_, readable=lambda _: f"lake {made.name!r} at {made.url}")
    if not json_:
        say(f"next: cytolake --lake {shlex.quote(path)} ingest EXPORT --study STUDY")


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path())
@click.option("--deep", is_flag=True, help="Read every pixel and every row, not only what describes them.")
@lake_option
@common
@click.pass_context
def validate(ctx: click.Context, paths: tuple[str, ...], deep: bool, json_: bool) -> int:
    """Check plates, sheets, or (without PATH) the whole lake."""
    if paths and lake_url(ctx) is None:
        from .. import lake

        result = lake.validate(list(paths), deep=deep)
    else:
        result = the_lake(ctx).validate(list(paths), deep=deep)
    report(result, json_=json_, readable=_validated)
    return 4 if result["errors"] else 0


def _validated(result: Mapping[str, Any]) -> str:
    lines = []
    if result["errors"]:
        names = ("code", "where", "message")
        lines += [table([[error[name] for name in names] for error in result["errors"]], names), ""]
    looked_at = ", ".join(counted(count, what.removesuffix("s")) for what, count in result["checked"].items())
    lines.append(f"checked {looked_at or 'an empty lake'}")
    lines += [f"note: {note}" for note in result.get("notes") or ()]
    errors = result["errors"]
    lines.append(counted(len(errors), "error") if errors else "no errors found")
    return "\n".join(lines)


@click.command()
@lake_option
@common
@click.pass_context
def doctor(ctx: click.Context, json_: bool) -> int:
    """Check the machine and, where there is one, the lake; each failure says its repair."""
    from .. import lake

    result = lake.doctor(the_lake(ctx) if lake_url(ctx) is not None else None)
    report(result, json_=json_, readable=_examined)
    return 0 if all(check["ok"] for check in result["checks"]) else 3


def _examined(result: Mapping[str, Any]) -> str:
    lines = []
    width = max(len(check["name"]) for check in result["checks"])
    for check in result["checks"]:
        lines.append(f"{'ok  ' if check['ok'] else 'FAIL'}  {check['name'].ljust(width)}  {check['detail']}")
        if not check["ok"] and check["repair"]:
            lines.append(f"      {' ' * width}  → {check['repair']}")
    return "\n".join(lines)
