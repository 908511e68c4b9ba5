"""Verbs that ask: sql, catalog."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from .options import common, lake_option, the_lake
from .output import counted, facts, report, say, table

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
@click.option("--as-of", metavar="RELEASE|TIMESTAMP", help="Ask the lake as it was, such as 2026-03-01T12:00.")
@lake_option
@common
@click.pass_context
def sql(
    ctx: click.Context, query: str, format_: str | None, output: str | None, as_of: str | None, json_: bool
) -> None:
    """Ask a question in DuckDB's SQL; QUERY - reads it from stdin.

    Tables and views: `cytolake catalog tables`; columns: `cytolake catalog columns`.
    """
    if json_:
        if format_ not in {None, "json"}:
            raise click.UsageError(f"--json and --format {format_} contradict each other")
        format_ = "json"
    if format_ is None and output is None:
        format_ = "table"
    if format_ in _BINARY and output is None and sys.stdout.isatty():
        raise click.UsageError(f"{format_} is not for a terminal; name a file with --output")
    if query == "-":
        query = sys.stdin.read()
    result = the_lake(ctx).sql(query, as_of=as_of)
    if output is not None and format_ != "table":
        rows = result.write(output, format_)
        say(f"{counted(rows, 'row')} in {output}")
    elif format_ == "table":
        _print_table(result, output)
    else:
        result.write(sys.stdout.buffer, format_)


def _print_table(result: Result, output: str | None) -> None:
    if output is None:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        click.echo(result.to_text(_SHOWN, width=width))
        return
    with click.open_file(output, "w", encoding="utf-8", atomic=True) as file:
        file.write(f"{result.to_text(_SHOWN)}\n")
    say(f"a table in {output}")


@click.group()
def catalog() -> None:
    """List what can be asked."""


@catalog.command()
@lake_option
@common
@click.pass_context
def tables(ctx: click.Context, json_: bool) -> None:
    """List tables, views of object sets, and feature tables."""
    found = the_lake(ctx).tables()
    report({"tables": found}, json_=json_, readable=_tables)


def _tables(result: Mapping[str, Any]) -> str:
    rows = [
        (
            entry["name"],
            entry["kind"],
            entry["rows"],
            entry["columns"],
            ", ".join(entry.get("feature_sets") or entry.get("profile_sets") or ()),
        )
        for entry in result["tables"]
    ]
    return table(rows, ("name", "kind", "rows", "columns", "shows"))


@catalog.command()
@click.argument("name", required=False, metavar="[TABLE]")
@lake_option
@common
@click.pass_context
def columns(ctx: click.Context, name: str | None, json_: bool) -> None:
    """List the columns of TABLE, or of all tables and views."""
    found = the_lake(ctx).columns(name)
    report({"columns": found}, json_=json_, readable=_columns)


def _columns(result: Mapping[str, Any]) -> str:
    names = ("table", "column", "type", "unit", "description")
    return table([[entry[name] for name in names] for entry in result["columns"]], names)


@catalog.command()
@click.argument("search", nargs=-1, metavar="[SEARCH]...")
@lake_option
@common
@click.pass_context
def features(ctx: click.Context, search: tuple[str, ...], json_: bool) -> None:
    """Find features by words: part of a name, a family, a channel role, a meaning."""
    lake = the_lake(ctx)
    found = lake.features(" ".join(search) or None)
    if not found and not json_ and not (search and lake.features()):
        say("the lake has no features yet: `cytolake transform` makes them")
    report({"features": found}, json_=json_, readable=_features)


#: More features than these are shown by what they measure, not one by one.
_MANY = 40


def _features(result: Mapping[str, Any]) -> str:
    found = result["features"]
    if not found:
        return "no feature matches"
    if len(found) == 1:
        return facts(_entry(found[0]))
    if len(found) > _MANY:
        return _by_measure(found)
    names = ("column", "object_set", "feature_set", "unit")
    return table(
        [[*(entry[name] for name in names), _first_sentence(entry["definition"])] for entry in found],
        (*names, "definition"),
    )


def _entry(feature: Mapping[str, Any]) -> dict[str, Any]:
    """Give everything that the dictionary says of one feature."""
    return {key: ", ".join(value) if isinstance(value, list) else value for key, value in feature.items() if value}


def _by_measure(found: Sequence[Mapping[str, Any]]) -> str:
    measures: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for entry in found:
        measures.setdefault((entry["family"], entry["operator"]), []).append(entry)
    rows = [
        (family, operator, len(own), own[0]["column"], _first_sentence(own[0]["definition"]))
        for (family, operator), own in measures.items()
    ]
    names = ("family", "measure", "columns", "for example", "definition")
    note = f"{len(found):,} columns; with its whole name you are told all of one, --json lists them"
    return f"{table(rows, names)}\n\n{note}"


def _first_sentence(text: str | None) -> str | None:
    """Return what a feature is; --json has the small print."""
    return text and text.split(". ")[0].rstrip(".")


@catalog.command()
@click.argument("name", required=False, metavar="[NAME]")
@common
def recipes(name: str | None, json_: bool) -> None:
    """List the recipes that come with cytolake, or print the TOML of NAME, to change it."""
    from .. import lake

    if name is None:
        report({"recipes": [_described(one) for one in lake.recipes()]}, json_=json_, readable=_recipes)
        return
    found = lake.recipe(name)
    report({**_described(found), "text": found["text"]}, json_=json_, readable=lambda one: str(one["text"]).rstrip())


def _described(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in recipe.items() if key != "text"}


def _recipes(result: Mapping[str, Any]) -> str:
    shown = []
    for verb, names in {"transform": ("name", "objects", "families"), "profile": ("name", "steps")}.items():
        own = [entry for entry in result["recipes"] if entry["verb"] == verb]
        rows = [[entry[name] for name in (*names, "description")] for entry in own]
        shown.append(f"for `cytolake {verb}`:\n{table(rows, (*names, 'description'))}")
    return "\n\n".join(shown)


@catalog.command()
@common
def roles(json_: bool) -> None:
    """List the roles that a channel may have: what --role and recipes call the stains."""
    from .. import lake

    report({"roles": lake.roles()}, json_=json_, readable=_roles)


def _roles(result: Mapping[str, Any]) -> str:
    return table([(entry["role"], ", ".join(entry["aliases"])) for entry in result["roles"]], ("role", "also called"))


@catalog.command()
@common
def readers(json_: bool) -> None:
    """List the readers of vendor exports, and the presets of file names that --pattern takes."""
    from .. import lake

    report({"readers": lake.readers()}, json_=json_, readable=_readers)


def _readers(result: Mapping[str, Any]) -> str:
    known = table([(one["name"], one["description"]) for one in result["readers"]], ("reader", "reads"))
    names = ("name", "example", "origin")
    presets = [[preset[name] for name in names] for one in result["readers"] for preset in one["presets"]]
    return "\n\n".join([known, table(presets, ("pattern", *names[1:]))])
