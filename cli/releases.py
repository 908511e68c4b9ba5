"""Verbs about what is kept: release, maintain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from .options import common, lake_option, the_lake
from .output import counted, exit_code, facts, progress_bar, report, say, size, table

#: Plates, tables and runs that a readable summary names; --json has all of them.
_SHOWN = 20


@click.group()
def release() -> None:
    """Name the versions of all tables, so that they can be asked for ever.

    `cytolake sql QUERY --as-of NAME` asks a release; `cytolake maintain` keeps what it needs.
    """


@release.command()
@click.argument("name")
@click.option("--note", metavar="TEXT", help="What the release is for.")
@click.option(
    "--accept-quality", metavar="REASON", help="Release although `features check` refused features, for a reason."
)
@lake_option
@common
@click.pass_context
def create(ctx: click.Context, name: str, note: str | None, accept_quality: str | None, json_: bool) -> None:
    """Call the tables as they are now NAME."""
    made = the_lake(ctx).create_release(name, note=note, accept_quality=accept_quality)
    report(made, json_=json_, readable=_created)
    if not json_:
        say(f"next: cytolake sql QUERY --as-of {name}")


def _created(made: Mapping[str, Any]) -> str:
    return (
        f"release {made['release']}: {counted(len(made['tables']), 'table')}, {counted(made['rows'], 'row')}, "
        f"{counted(made['files'], 'file')}"
    )


@release.command("list")
@click.option("--check", is_flag=True, help="Look for every file that each release needs.")
@lake_option
@common
@click.pass_context
def list_(ctx: click.Context, check: bool, json_: bool) -> int:
    """List the releases, oldest first; exit code 4 where --check finds one that is not whole."""
    found = the_lake(ctx).releases(check=check)
    report({"releases": found}, json_=json_, readable=_listed)
    return 4 if any(one.get("ok") is False for one in found) else 0


def _listed(result: Mapping[str, Any]) -> str:
    if not result["releases"]:
        return "no releases yet; make one with `cytolake release create NAME`"
    rows = [
        (one["release"], _time(one["created_at"]), len(one["tables"]), one["rows"], _state(one), one["note"])
        for one in result["releases"]
    ]
    lines = [table(rows, ("release", "created", "tables", "rows", "state", "note"))]
    lines += [f"{one['release']}: {text}" for one in result["releases"] for text in _problems(one)]
    return "\n".join(lines)


def _state(one: Mapping[str, Any]) -> str:
    if one["withdrawn_at"]:
        return f"withdrawn {_time(one['withdrawn_at'])}: {one['reason']}"
    if one.get("ok") is None:
        return "kept"
    return "whole" if one["ok"] else "NOT WHOLE"


def _problems(one: Mapping[str, Any]) -> list[str]:
    return [problem["message"] for problem in one.get("problems") or ()]


@release.command()
@click.argument("name")
@lake_option
@common
@click.pass_context
def show(ctx: click.Context, name: str, json_: bool) -> int:
    """Say what the release NAME holds, and whether all of its files are there (exit code 4 where not)."""
    found = the_lake(ctx).release(name)
    report(found, json_=json_, readable=_shown)
    return 4 if found.get("ok") is False else 0


def _shown(one: Mapping[str, Any]) -> str:
    told = facts(
        {
            "release": one["release"],
            "created": _time(one["created_at"]),
            "note": one["note"],
            "run": one["run_id"],
            "state": _state(one),
            "accepted": one["accepted_quality"] and f"{len(one['refused'])} refused ({one['accepted_quality']})",
        }
    )
    names = ("table", "version", "rows", "files")
    pins = table([[pin[name] for name in names] for pin in one["pins"]], names)
    return "\n".join([told, *_problems(one), "", pins])


@release.command()
@click.argument("before")
@click.argument("after", default="now")
@lake_option
@common
@click.pass_context
def diff(ctx: click.Context, before: str, after: str, json_: bool) -> None:
    """Say what changed from BEFORE to AFTER, two releases; AFTER is the lake as it is where it is left out."""
    report(the_lake(ctx).diff_releases(before, after), json_=json_, readable=_diffed)


def _diffed(result: Mapping[str, Any]) -> str:
    lines = [f"from {_named(result, 'before')} to {_named(result, 'after')}"]
    changed = [one for one in result["tables"] if one["change"] not in {"same", "same rows"}]
    if not changed:
        return f"{lines[0]}\nnothing changed"
    studies, plates = result["studies"], result["plates"]
    lines += _items("studies", [f"+ {one}" for one in studies["added"]] + [f"- {one}" for one in studies["removed"]])
    lines += _items(
        "plates",
        [f"+ {_plate(one)}" for one in plates["added"]]
        + [f"- {_plate(one)}" for one in plates["removed"]]
        + [f"~ {_plate(one)}  {_changes(one['tables'])}" for one in plates["changed"]],
    )
    lines += _items("feature sets", [f"+ {label}" for label in result["feature_sets"]])
    lines += _items("profile sets", [f"+ {label}" for label in result["profile_sets"]])
    lines += _items(
        "views",
        [f"{one['part']} of {one['study_id']}: {_from_to(one['before'], one['after'])}" for one in result["views"]],
    )
    lines += _items("runs", [f"{one['run_id']}  {_run(one)}" for one in result["runs"]])
    rows = [
        (
            one["table"],
            one["change"],
            _from_to(one["version_before"], one["version_after"]),
            one["rows_after"],
            one["rows_added"],
            one["rows_removed"],
            _columns(one),
        )
        for one in changed
    ]
    return "\n".join([*lines, "", table(rows, ("table", "change", "version", "rows", "added", "removed", "columns"))])


def _named(result: Mapping[str, Any], side: str) -> str:
    at = result[f"{side}_at"]
    return f"{result[side]} ({_time(at)})" if at else str(result[side])


def _items(what: str, items: Sequence[str]) -> list[str]:
    left = len(items) - _SHOWN
    more = [f"  … and {left} more"] if left > 0 else []
    return [f"{what}:", *(f"  {item}" for item in items[:_SHOWN]), *more] if items else []


def _plate(one: Mapping[str, Any]) -> str:
    return f"{one['study_id']}/{one['plate_id']}"


def _changes(tables: Mapping[str, Mapping[str, int]]) -> str:
    return ", ".join(f"{name} +{rows['rows_added']} -{rows['rows_removed']}" for name, rows in tables.items())


def _from_to(before: Any, after: Any) -> str:
    return f"{'none' if before is None else before} → {'none' if after is None else after}"


def _run(one: Mapping[str, Any]) -> str:
    about = "/".join(part for part in (one["study_id"], ",".join(one["plate_ids"] or ())) if part)
    status = "" if one["status"] == "ok" else f"({one['status']})"
    return " ".join(part for part in (one["verb"], about, status) if part)


def _columns(one: Mapping[str, Any]) -> str:
    return " ".join(
        f"{sign}{len(names)}" for sign, names in (("+", one["columns_added"]), ("-", one["columns_removed"])) if names
    )


@release.command()
@click.argument("name")
@click.option("--reason", required=True, metavar="TEXT", help="Why; whoever asks the release is told.")
@lake_option
@common
@click.pass_context
def withdraw(ctx: click.Context, name: str, reason: str, json_: bool) -> None:
    """Withdraw the release NAME: it cannot be asked any more, and `maintain` may remove what only it needs."""
    report(the_lake(ctx).withdraw_release(name, reason=reason), json_=json_, readable=_withdrawn)


def _withdrawn(one: Mapping[str, Any]) -> str:
    already = " already" if one["status"] == "skipped" else ""
    return f"release {one['release']}: withdrawn{already} {_time(one['withdrawn_at'])}: {one['reason']}"


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@lake_option
@common
@click.pass_context
def maintain(ctx: click.Context, dry_run: bool, json_: bool) -> int:
    """Join small files, and remove those that no release and no reader of the last 7 days needs.

    Sweeps what interrupted commands left behind, too, a day later. Others may go on working meanwhile.
    """
    lake = the_lake(ctx)
    with progress_bar("maintaining tables") as advance:
        result = lake.maintain(dry_run=dry_run, progress=advance)
    if dry_run:
        say("dry run: nothing is changed")
    report(result, json_=json_, readable=_maintained)
    return exit_code(result)


def _maintained(result: Mapping[str, Any]) -> str:
    rows = [
        (
            one["table"],
            one["files"] - one["files_compacted"] + one["files_written"],
            one["files_compacted"],
            one["files_removed"],
            size(one["bytes_freed"]),
            ", ".join(f"{counted(kept['files'], 'file')} for {name}" for name, kept in one["kept"].items()),
        )
        for one in result["tables"]
        if one["files_compacted"] or one["files_removed"] or one["kept"]
    ]
    parts = []
    if rows:
        parts.append(table(rows, ("table", "files", "joined", "removed", "freed", "kept")))
    swept = result["leftovers"]
    lines = []
    if swept["files_removed"]:
        lines.append(f"leftovers: {counted(swept['files_removed'], 'file')}, {size(swept['bytes_freed'])}")
    lines += [f"finished the interrupted commit of run {run}" for run in result["finished_commits"]]
    lines += [
        f"kept for release {one['release']} alone: {counted(one['files'], 'file')}, {size(one['bytes'])}"
        for one in result["kept"]
        if one["files"]
    ]
    would = "would be " if result["dry_run"] else ""
    removed, freed = counted(result["files_removed"], "file"), size(result["bytes_freed"])
    joined = f"{result['files_compacted']} {would}joined into {result['files_written']}"
    lines.append(f"{result['status']}  {removed} {would}removed ({freed}), {joined}")
    parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _time(text: str) -> str:
    """Return a time as people write it, in UTC to the second."""
    return text[:19].replace("T", " ")
