"""The verb ``lineage``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from .options import PictureFile, common, lake_option, the_lake
from .output import as_json, counted, report, say, table

#: Letters of a fact that are shown.
_LONGEST = 100
#: Facts that name the node, or are told elsewhere.
_NOT_FACTS = {"id", "kind", "name"}


@click.command()
@click.argument("row", metavar="STUDY/PLATE[/WELL[/FIELD[/OBJECT_SET[/OBJECT]]]][@SET]")
@click.option(
    "--forward", is_flag=True, help="Go to all that was made from ROW, a study, or kind:name such as file:NAME."
)
@click.option("--treatment", metavar="TEXT", help="With STUDY@SET: the treatment that is meant.")
@click.option("--picture", metavar="FILE.png|.svg", type=PictureFile("png", "svg"), help="Draw it.")
@click.option(
    "--openlineage",
    metavar="FILE.json",
    type=click.Path(dir_okay=False),
    help="Write the runs as OpenLineage events.",
)
@lake_option
@common
@click.pass_context
def lineage(
    ctx: click.Context,
    row: str,
    forward: bool,
    treatment: str | None,
    picture: str | None,
    openlineage: str | None,
    json_: bool,
) -> None:
    """Go from a row back to its pixels, recipe and code, or forward to all that was made from it.

    @SET names the row of a profile set (study/plate/well@standard), or of one feature set of objects; study@SET are its
    treatments. Forward, ROW may be file:NAME, sha256:HASH, image:PATH, labels:PATH, feature_set:NAME, profile_set:NAME,
    fit:NAME@1#1, run:ID, release:NAME or table:NAME@7.
    """
    lake = the_lake(ctx)
    # Only what was asked for is handed on, so that the plain question stays as plain as it was.
    options: dict[str, Any] = ({"forward": True} if forward else {}) | ({"treatment": treatment} if treatment else {})
    result = lake.lineage(row, **options)
    if picture is not None:
        drawn = lake.lineage_picture(result, format="svg" if picture.lower().endswith(".svg") else "png")
        _write(picture, drawn)
        say(f"drawn: {picture}")
    if openlineage is not None:
        events = lake.openlineage(result)
        _write(openlineage, f"{as_json(events)}\n".encode())
        say(f"{counted(len(events), 'event')} in {openlineage}")
    report(result, json_=json_, readable=_forward if forward else _back)


def _write(path: str, content: bytes) -> None:
    with click.open_file(path, "wb", atomic=True) as file:
        file.write(content)


def _back(result: Mapping[str, Any]) -> str:
    below: dict[str, list[tuple[str, str]]] = {}
    for edge in result["edges"]:
        below.setdefault(edge["from"], []).append((edge["relation"], edge["to"]))
    reached = {edge["to"] for edge in result["edges"]}
    starts = [node["id"] for node in result["nodes"] if node["id"] not in reached]
    return "\n".join([*_tree(result["nodes"], below, starts), *_notes(result)])


def _forward(result: Mapping[str, Any]) -> str:
    """Print what was made as a tree from the start, then the rows of each table."""
    below: dict[str, list[tuple[str, str]]] = {}
    for edge in result["edges"]:
        if edge["relation"] not in {"was_generated_by", "used"} or edge["to"] == result["start"]:
            below.setdefault(edge["to"], []).append((_REVERSED.get(edge["relation"], edge["relation"]), edge["from"]))
    lines = _tree(result["nodes"], below, [result["start"]])
    names = ("table", "part", "rows", "relation")
    rows = [
        [str(entry[name]).replace("_", " ") if name == "relation" else entry[name] for name in names]
        for entry in result["rows"]
    ]
    if rows:
        lines += ["", table(rows, names)]
    for entry in result["releases"]:
        withdrawn = " (withdrawn)" if entry["withdrawn"] else ""
        lines.append(f"release {entry['release']}{withdrawn} pins such rows of {', '.join(entry['tables'])}")
    return "\n".join([*lines, *_notes(result)])


#: What an edge is called when it is read from the source.
_REVERSED = {
    "was_derived_from": "source of",
    "was_influenced_by": "influenced",
    "part_of": "has part",
    "had_member": "pinned by",
    "was_generated_by": "made",
    "used": "used by",
}


def _notes(result: Mapping[str, Any]) -> list[str]:
    return [f"note: {text}" for text in result.get("notes") or ()]


def _tree(
    nodes: Sequence[Mapping[str, Any]], below: Mapping[str, Sequence[tuple[str, str]]], starts: Sequence[str]
) -> list[str]:
    """Draw a graph as trees; a node that has been shown is only named again."""
    known = {node["id"]: node for node in nodes}
    lines: list[str] = []
    shown: set[str] = set()

    def draw(identifier: str, relation: str, depth: int) -> None:
        node = known[identifier]
        indent = "  " * depth
        again = identifier in shown and bool(below.get(identifier))
        name = " ".join(part for part in (relation.replace("_", " "), node["kind"], node["name"]) if part)
        lines.append(f"{indent}{name}{' (above)' if again else ''}")
        if identifier in shown:
            return
        shown.add(identifier)
        for key, value in node.items():
            if key not in _NOT_FACTS and value not in (None, "", [], {}):
                text = " ".join(str(value).split())
                lines.append(f"{indent}    {key}: {text if len(text) <= _LONGEST else text[: _LONGEST - 1] + '…'}")
        for inner, target in below.get(identifier, []):
            draw(target, inner, depth + 1)

    for identifier in starts:
        draw(identifier, "", 0)
    return lines
