"""What a picture of lineage shows: boxes with a few facts, those that are alike in one, and which leads to which.

A graph of lineage says what was made from what; a picture is read the way things were made, so links go from sources to
what was made from them. Runs are no boxes: what a run made says so in its own box, and what the run read leads there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...wording import listed

Node = Mapping[str, Any]

#: Alike nodes of which there are more than these become one box.
MOST_ALIKE = 2
#: Kind → what people call one of it, and several.
_CALLED = {
    "file": ("source file", "source files"),
    "export": ("export of a microscope", "exports"),
    "image": ("image", "images"),
    "images": ("images", "images"),
    "labels": ("label image", "label images"),
    "object": ("object", "objects"),
    "objects": ("objects", "groups of objects"),
    "plate": ("plate", "plates"),
    "well": ("well", "wells"),
    "field": ("field", "fields"),
    "feature_set": ("feature set", "feature sets"),
    "profile_set": ("profile set", "profile sets"),
    "fit": ("fitted parameters", "fitted parameters"),
    "profile": ("profile", "profiles"),
    "profiles": ("profiles", "groups of profiles"),
    "treatment": ("treatment", "treatments"),
    "treatments": ("treatments", "groups of treatments"),
    "rows": ("rows", "tables"),
    "illumination": ("light of the images", "profiles of light"),
    "masks": ("masks made elsewhere", "masks made elsewhere"),
}
#: Kinds of which many may be alike, and where in their name lies what tells one sort from another.
_MANY: Mapping[str, str | None] = {
    "file": None,
    "image": None,
    "well": None,
    "labels": "/",
    "object": "/",
    "objects": "/",
    "profile": "@",
    "profiles": "@",
    "treatment": "@",
    "rows": " of ",
    "table": None,
}
#: What runs read that the picture tells in another way: tables, plates and recipes by what was made
#: from them.
_NOT_SHOWN = {"table", "run"}
_PLACES = {"study", "plate", "well", "field"}
_READ_AND_NOT_SHOWN = {"table", "run", "plate", "recipe"}


@dataclass(slots=True)
class Box:
    """One box: ``kind`` decides its colour; ``head`` is what it is, ``name`` which one, ``facts`` is known of it."""

    id: str
    kind: str
    head: str
    name: str
    facts: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Link:
    """From a source to what was made from it; ``firm`` where its values are in there, else it decided something."""

    source: str
    target: str
    firm: bool = True


def summarise(graph: Mapping[str, Any]) -> tuple[list[Box], list[Link]]:
    """Return the boxes of a graph of lineage, and the links between them, without those that others imply."""
    nodes: dict[str, Node] = {node["id"]: node for node in graph["nodes"]}
    made_by: dict[str, list[str]] = {edge["from"]: [] for edge in graph["edges"]}
    links: dict[tuple[str, str], bool] = {}
    for edge in graph["edges"]:
        source, target = edge["to"], edge["from"]
        if edge["relation"] == "was_generated_by":
            made_by[target].append(source)
        elif edge["relation"] == "had_member":
            links[edge["to"], edge["from"]] = False
        elif edge["relation"] != "used" or nodes[target]["kind"] != "run":
            firm = edge["relation"] in {"was_derived_from", "part_of"}
            links[source, target] = links.get((source, target), False) or firm
    _fold_runs(graph, nodes, made_by, links)
    linked = {end for pair in links for end in pair}
    shown = [
        node
        for node in nodes.values()
        if (node["kind"] not in _NOT_SHOWN and (node["id"] in linked or node["kind"] not in _READ_AND_NOT_SHOWN))
        or node["id"] in {graph.get("start"), graph["nodes"][0]["id"]}
    ]
    kept = {node["id"] for node in shown}
    links = {pair: firm for pair, firm in links.items() if kept.issuperset(pair) and pair[0] != pair[1]}
    group = _groups(shown, links)
    members: dict[str, list[Node]] = {}
    for node in shown:
        members.setdefault(group[node["id"]], []).append(node)
    boxes = [_box(identifier, own, nodes, made_by) for identifier, own in members.items()]
    merged: dict[tuple[str, str], bool] = {}
    for (source, target), firm in links.items():
        pair = group[source], group[target]
        if pair[0] != pair[1]:
            merged[pair] = merged.get(pair, False) or firm
    return boxes, [Link(*pair, merged[pair]) for pair in _needed(merged)]


def _fold_runs(
    graph: Mapping[str, Any],
    nodes: Mapping[str, Node],
    made_by: Mapping[str, Sequence[str]],
    links: dict[tuple[str, str], bool],
) -> None:
    """Lead what a run read to what it made: to the first of it, from which the rest follows."""
    before: dict[str, set[str]] = {}
    for source, target in links:
        before.setdefault(target, set()).add(source)
    made: dict[str, list[str]] = {}
    for target, runs in made_by.items():
        for run in runs:
            made.setdefault(run, []).append(target)
    for edge in graph["edges"]:
        if edge["relation"] != "used" or nodes[edge["from"]]["kind"] != "run":
            continue
        if nodes[edge["to"]]["kind"] in _READ_AND_NOT_SHOWN:
            continue
        own = made.get(edge["from"], [])
        if nodes[edge["to"]]["kind"] != "export":
            # An export has the plate in it; a table of features names one, which is made on the way.
            own = [one for one in own if nodes[one]["kind"] not in _PLACES] or own
        firsts = [one for one in own if not _reaches(before, one, set(own) - {one})]
        # What was read for one of them is known to belong to it, as the file of an image does.
        if any(edge["to"] in before.get(one, ()) for one in own):
            continue
        for one in firsts:
            links.setdefault((edge["to"], one), nodes[edge["to"]]["kind"] in {"file", "export", "masks"})


def _reaches(before: Mapping[str, set[str]], start: str, wanted: set[str]) -> bool:
    """Whether one of ``wanted`` lies upstream of a node."""
    waiting, seen = [start], {start}
    while waiting:
        for source in before.get(waiting.pop(), ()):
            if source in wanted:
                return True
            if source not in seen:
                seen.add(source)
                waiting.append(source)
    return False


def _groups(nodes: Sequence[Node], links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return node → the box that it is in: nodes of a kind that are linked alike are in one, if they are many.

    Sorts of nodes are split as long as two of a sort are linked to different sorts, so that what is left of a sort
    cannot be told apart by any of its links.
    """
    sort = {node["id"]: _sort(node) for node in nodes}
    around: dict[str, set[tuple[str, str]]] = {node["id"]: set() for node in nodes}
    for source, target in links:
        around[source].add(("to", target))
        around[target].add(("from", source))
    while True:
        named: dict[Any, int] = {}
        finer = {}
        for one, pairs in around.items():
            key = (sort[one], tuple(sorted({(way, str(sort[other])) for way, other in pairs})))
            finer[one] = str(named.setdefault(key, len(named)))
        if len(set(finer.values())) == len(set(sort.values())):
            break
        sort = finer
    alike: dict[str, list[str]] = {}
    for node in nodes:
        alike.setdefault(sort[node["id"]], []).append(node["id"])
    return {one: own[0] if len(own) > MOST_ALIKE else one for own in alike.values() for one in own}


def _sort(node: Node) -> str:
    if node["kind"] not in _MANY:
        return str(node["id"])
    cut = _MANY[node["kind"]]
    name = str(node["name"])
    told = "" if cut is None else name.partition(cut)[0] if cut == " of " else name.rpartition(cut)[2]
    return f"{node['kind']}|{told.split(':')[0]}|{node.get('status') or ''}|{node.get('control_type') or ''}"


def _box(identifier: str, own: Sequence[Node], nodes: Mapping[str, Node], made_by: Mapping[str, Sequence[str]]) -> Box:
    kind = str(own[0]["kind"])
    one, several = _CALLED.get(kind, (kind.replace("_", " "), f"{kind.replace('_', ' ')}s"))
    runs = list(dict.fromkeys(run for node in own for run in made_by.get(str(node["id"]), ())))
    facts = [*_facts(kind, own), *_made(runs, nodes)]
    if len(own) == 1:
        return Box(identifier, kind, one, _short(kind, str(own[0]["name"])), facts)
    names = sorted(_short(kind, str(node["name"])) for node in own)
    return Box(identifier, kind, f"{len(own):,} {several}", _range(names[0], names[-1]), facts)


def _range(first: str, last: str) -> str:
    """Return the first and the last of several names, without saying twice what they begin with."""
    alike = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), 0)
    cut = max((first.rfind(sign, 0, alike) + 1 for sign in "/ "), default=0)
    return f"{first} … {last[cut:]}"


def _short(kind: str, name: str) -> str:
    """Return a name without what other boxes say: the folder of the plate's images."""
    path = name.removeprefix("images/").replace(".ome.zarr/", ", ", 1)
    if kind == "labels" and "/labels/" in path:
        image, _, labels = path.partition("/labels/")
        return f"{labels} of {image}"
    return path if kind == "image" else name


def _facts(kind: str, own: Sequence[Node]) -> list[str]:
    found = []
    for fact, text in _SHOWN.get(kind, {}).items():
        values = [node[fact] for node in own if node.get(fact) not in (None, "", [])]
        if not values:
            continue
        if fact in _SUMMED:
            total = sum(values)
            if fact == "bytes":
                found.append(_bytes(total))
            elif total or fact != "n_missing_planes":
                found.append(text.format(counted(total, "object" if kind == "objects" else _SUMMED[fact])))
        elif len(set(map(str, values))) == 1:
            shown = _told(fact, values[0])
            if not (fact == "status" and shown == "ok"):
                found.append(text.format(shown))
    return found


def _told(fact: str, value: Any) -> str:
    if isinstance(value, list):
        names = [str(one) for one in value]
        plates = {name.rpartition("/")[0] for name in names}
        alike = len(plates) == 1 and fact == "fitted_on"
        return listed([name.rpartition("/")[2] if alike else name for name in names], _LISTED)
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)[:_HASH] if fact == "hash" else str(value)


_LISTED = 6
_HASH = 8
#: Facts that are added up where one box stands for many, and what is counted.
_SUMMED = {"rows": "row", "bytes": "byte", "n_missing_planes": "plane", "n_objects": "object"}
#: Kind → the facts that its box tells, and how.
_SHOWN: Mapping[str, Mapping[str, str]] = {
    "file": {"bytes": "{}", "status": "status {}"},
    "plate": {"barcode": "barcode {}", "status": "status {}"},
    "well": {"perturbation": "{}", "concentration_um": "{} µM", "control_type": "{}"},
    "image": {"n_missing_planes": "{} missing"},
    "objects": {"rows": "{}"},
    "object": {"parent_id": "in object {}"},
    "rows": {"rows": "{}"},
    "profile": {"n_objects": "from {}", "fit_version": "fit version {}"},
    "profiles": {"rows": "{}", "fit_version": "fit version {}"},
    "treatment": {"n_wells": "{} wells", "n_plates": "on {} plates"},
    "treatments": {"rows": "{}"},
    "fit": {"steps": "steps {}", "n_fitted_on": "learned from {} wells", "fitted_on": "{}"},
    "feature_set": {"hash": "hash {}", "imported_dialect": "imported from {}"},
    "profile_set": {"hash": "hash {}", "imported_dialect": "imported from {}"},
    "table": {"rows": "{}"},
    "release": {"withdrawn_at": "withdrawn {}"},
    "run": {"verb": "{}"},
}


def _made(runs: Sequence[str], nodes: Mapping[str, Node]) -> list[str]:
    """Say which run made something, and with which version of the software; the last of several."""
    known = [nodes[run] for run in runs if nodes[run].get("verb")]
    if not known:
        return []
    last = max(known, key=lambda run: str(run["finished_at"]))
    when = str(last["finished_at"])[:16].replace("T", " ")
    more = f" and {counted(len(known) - 1, 'more run')}" if len(known) > 1 else ""
    state = "" if last["status"] == "ok" else f", {last['status']}"
    return [f"made by {last['verb']}{state}{more}", f"{when}, cytolake {last['code_version']}"]


def counted(count: int, one: str) -> str:
    """Return ``1 row``, ``2 rows``, ``12,000 rows``."""
    return f"{count:,} {one if count == 1 else f'{one}s'}"


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return ""


def _needed(links: Mapping[tuple[str, str], bool]) -> list[tuple[str, str]]:
    """Return the links that no longer way implies."""
    after: dict[str, set[str]] = {}
    for source, target in links:
        after.setdefault(source, set()).add(target)
    kept = []
    for source, target in links:
        waiting = [one for one in after[source] if one != target]
        seen = {source, *waiting}  # a way in a circle is no longer way
        while waiting:
            for one in after.get(waiting.pop(), ()):
                if one not in seen:
                    seen.add(one)
                    waiting.append(one)
        if target not in seen:
            kept.append((source, target))
    return kept
