"""The verb ``catalog``: what can be asked, and what questions may use."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from textwrap import indent, shorten, wrap
from typing import Any

import click

from .options import common, lake_option, the_lake
from .output import counted, facts, report, say, table


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
            ", ".join(entry.get("feature_sets") or entry.get("profile_sets") or ()) or _subject(entry.get("about")),
        )
        for entry in result["tables"]
    ]
    return table(rows, ("name", "kind", "rows", "columns", "shows"))


def _subject(about: str | None) -> str | None:
    """Return what a view shows, in a few words."""
    return about and re.split(r"[.:,]\s", about.replace("\n", " "), maxsplit=1)[0]


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


@catalog.command()
@click.argument("name", required=False, metavar="[NAME]")
@common
def macros(name: str | None, json_: bool) -> None:
    """List what SQL can say here beyond DuckDB: macros and views, or one with its example and source."""
    from .. import lake

    report({"macros": lake.macros(name)}, json_=json_, readable=_macro if name else _macros)


def _macros(result: Mapping[str, Any]) -> str:
    rows = [
        (one["group"], one["kind"], one["call"], shorten(_first_sentence(one["about"]) or "", 90, placeholder=" …"))
        for one in result["macros"]
    ]
    return table(rows, ("group", "kind", "macro", "gives"))


def _macro(result: Mapping[str, Any]) -> str:
    (one,) = result["macros"]
    parts = ("signature", "kind", "about", "source", "example")
    prose = {key: one[key] if key == "example" else " ".join(one[key].split()) for key in parts if one[key]}
    wrapped = {
        key: "\n".join(
            part
            for line in text.splitlines()
            for part in wrap(line, 100, subsequent_indent="  ", break_long_words=False)
        )
        for key, text in prose.items()
    }
    return facts({key: indent(text, " " * 11).lstrip() for key, text in wrapped.items()})


@catalog.command()
@click.argument("url", metavar="PATH|URL")
@click.option("--name", metavar="NAME", help="What questions call it; else the name of its folder.")
@click.option("--version", type=click.IntRange(min=0), metavar="N", help="Read this version for ever; else the newest.")
@click.option("--description", metavar="TEXT", help="What it is.")
@lake_option
@common
@click.pass_context
def attach(ctx: click.Context, /, url: str, json_: bool, **options: Any) -> None:
    """Let questions use a Delta table that somebody else wrote; it stays where it is."""
    report(the_lake(ctx).attach(url, **options), json_=json_, readable=_attachment)


def _attachment(result: Mapping[str, Any]) -> str:
    return (
        f"{result['name']}: {counted(result['rows'], 'row')}, {counted(result['columns'], 'column')} at {result['url']}"
    )


@catalog.command()
@lake_option
@common
@click.pass_context
def attached(ctx: click.Context, json_: bool) -> None:
    """List the tables of others that questions may use, and whether they can be read."""
    report({"tables": the_lake(ctx).attached()}, json_=json_, readable=_attached)


def _attached(result: Mapping[str, Any]) -> str:
    names = ("name", "url", "version", "rows", "status")
    return table([[one[name] for name in names] for one in result["tables"]], names)


@catalog.command()
@click.argument("name")
@lake_option
@common
@click.pass_context
def detach(ctx: click.Context, name: str, json_: bool) -> None:
    """Forget a table of somebody else's; the table itself is left alone."""
    report(the_lake(ctx).detach(name), json_=json_, readable=lambda one: f"{one['name']} is no longer attached")


@catalog.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False), required=False, metavar="[FILE]")
@click.option("--kind", type=click.Choice(["compound", "gene"]), help="What the file names.")
@click.option("--source", metavar="TEXT", help="Where it is from; else the name of the file.")
@click.option("--forget", metavar="SOURCE", help="Forget what was learnt from SOURCE.")
@lake_option
@common
@click.pass_context
def synonyms(
    ctx: click.Context, /, file: str | None, kind: Any, source: str | None, forget: str | None, json_: bool
) -> None:
    """Learn from FILE which names mean the same compound or gene; without FILE, list what was learnt."""
    if file is not None and forget is None:
        if kind is None:
            raise click.UsageError("--kind compound or --kind gene: what does the file name?")
        report(the_lake(ctx).import_synonyms(file, kind=kind, source=source), json_=json_, readable=_synonyms)
    elif file is None and forget is not None:
        report(the_lake(ctx).forget_synonyms(forget), json_=json_, readable=_forgotten)
    elif file is None:
        report({"sources": the_lake(ctx).synonym_sources()}, json_=json_, readable=_sources)
    else:
        raise click.UsageError("either FILE or --forget")


def _synonyms(result: Mapping[str, Any]) -> str:
    many = {"compound": "compounds", "gene": "genes"}[result["kind"]]
    shown = {
        "synonyms": f"{result['synonyms']:,} of {result['preferred']:,} {many}, {result['added']:,} new",
        "columns": ", ".join(
            column if column == role else f"{column} = {role}" for column, role in result["columns"].items()
        ),
        "not used": ", ".join(result["ignored_columns"]),
        "not valid": "; ".join(
            f"{told['count']:,} of {column}: {', '.join(told['examples'])}"
            for column, told in result["invalid"].items()
        ),
        "ambiguous": counted(result["ambiguous"], "synonym") if result["ambiguous"] else "",
        "for example": "; ".join(f"{one['synonym']}: {', '.join(one['preferred'])}" for one in result["examples"]),
    }
    return f"{facts({key: value for key, value in shown.items() if value})}\n\n{result['status']}  {result['source']}"


def _forgotten(result: Mapping[str, Any]) -> str:
    return f"{counted(result['synonyms'], 'synonym')} of {result['source']} forgotten"


def _sources(result: Mapping[str, Any]) -> str:
    names = ("source", "kind", "synonyms", "preferred")
    return table([[one[name] for name in names] for one in result["sources"]], names)
