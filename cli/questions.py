"""The verb that asks: sql."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from .options import common, lake_option, the_lake
from .output import counted, report, say, table

if TYPE_CHECKING:
    from ..catalog.result import Result

#: Rows that a printed table shows; the other formats have all of them.
_SHOWN = 100
_BINARY = {"arrow", "parquet"}


@click.command()
@click.argument("query")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "csv", "json", "arrow", "parquet"]),
    help="Form of the rows; else by the suffix of --output, else a table.",
)
@click.option("--output", metavar="FILE", type=click.Path(dir_okay=False), help="Write the rows to a file.")
@click.option("--as-of", metavar="RELEASE|TIMESTAMP|VERSION", help="Ask the lake as it was, such as 2026-03-01T12:00.")
@click.option("--policy", metavar="FILE", help="Ask within a policy (TOML), in a process of its own.")
@click.option("--explain", is_flag=True, help="Say which files would be read, and how many need not be.")
@lake_option
@common
@click.pass_context
def sql(
    ctx: click.Context,
    query: str,
    format_: str | None,
    output: str | None,
    as_of: str | None,
    policy: str | None,
    explain: bool,
    json_: bool,
) -> None:
    """Ask a question in DuckDB's SQL; QUERY - reads it from stdin.

    Tables and views: `cytolake catalog tables`; columns: `cytolake catalog columns`; what else SQL can say here:
    `cytolake catalog macros`.
    """
    if query == "-":
        query = sys.stdin.read()
    if policy is not None and (explain or as_of is not None):
        raise click.UsageError("a policy says itself what moment is asked, and not which files are read")
    if explain:
        if format_ is not None or output is not None:
            raise click.UsageError("--explain asks nothing; leave out --format and --output")
        report(the_lake(ctx).explain(query, as_of=as_of), json_=json_, readable=_plan)
        return
    if json_:
        if format_ not in {None, "json"}:
            raise click.UsageError(f"--json and --format {format_} contradict each other")
        format_ = "json"
    if format_ is None and output is None:
        format_ = "table"
    if format_ in _BINARY and output is None and sys.stdout.isatty():
        raise click.UsageError(f"{format_} is not for a terminal; name a file with --output")
    result = the_lake(ctx).sql(query, as_of=as_of) if policy is None else _guarded(ctx, query, policy)
    if output is not None and format_ != "table":
        rows = result.write(output, format_)
        say(f"{counted(rows, 'row')} in {output}")
    elif format_ == "table":
        _print_table(result, output)
    else:
        result.write(sys.stdout.buffer, format_)


def _guarded(ctx: click.Context, query: str, policy: str) -> Result:
    answer = the_lake(ctx).sandbox(policy).sql(query)
    if answer.truncated:
        rows = counted(answer.record.rows, "row")
        say(f"the policy's limit {answer.record.limit} let {rows} through; there are more")
    return answer


def _print_table(result: Result, output: str | None) -> None:
    if output is None:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        click.echo(result.to_text(_SHOWN, width=width))
        return
    with click.open_file(output, "w", encoding="utf-8", atomic=True) as file:
        file.write(f"{result.to_text(_SHOWN)}\n")
    say(f"a table in {output}")


def _plan(plan: Mapping[str, Any]) -> str:
    names = ("relation", "table", "version", "files_considered", "files_pruned", "files_opened", "because")
    rows = [[scan[name] for name in names] for scan in plan["scans"]]
    shown = table(rows, ("relation", "table", "version", "considered", "pruned", "opened", "because"))
    return f"{shown}\n\nmacros and views: {', '.join(plan['macros'])}" if plan["macros"] else shown
