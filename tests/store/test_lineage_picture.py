"""Lineage as a picture: what is in it, that nothing hides anything, and that it can be read by any program."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from itertools import combinations, pairwise
from typing import Any

import lineage_lake
import pytest
from cytolake.errors import UsageError
from cytolake.lake import Lake
from cytolake.store.lineage.boxes import Box, Link, summarise
from cytolake.store.lineage.layers import Size, arrange
from cytolake.store.lineage.picture import draw
from lineage_lake import STUDY, Story

SVG = "{http://www.w3.org/2000/svg}"


def graph_of(nodes: list[str], edges: list[tuple[str, str, str]], **facts: Any) -> dict[str, Any]:
    """Make a graph of nodes ``kind:name`` and edges (from, to, relation)."""
    made = [{"id": one, "kind": one.partition(":")[0], "name": one.partition(":")[2], **facts} for one in nodes]
    return {"nodes": made, "edges": [{"from": a, "to": b, "relation": r} for a, b, r in edges]}


def texts(svg: bytes) -> list[str]:
    return [one.text or "" for one in ET.fromstring(svg).iter(f"{SVG}text")]


def boxes_in(svg: bytes) -> list[tuple[float, float, float, float]]:
    """Corners of the boxes of a picture: the legend's little ones and the ground are left out."""
    found = []
    for one in ET.fromstring(svg).iter(f"{SVG}rect"):
        if one.get("rx") and float(one.get("width", 0)) > 20:
            x, y, width, height = (float(one.get(name, 0)) for name in ("x", "y", "width", "height"))
            found.append((x, y, x + width, y + height))
    return found


def test_a_treatment_as_people_see_it(story: Story) -> None:
    graph = Lake(story.root).lineage(f"{STUDY}@plates", treatment="inflatin | 10")
    boxes, links = summarise(graph)
    heads = [box.head for box in boxes]
    assert heads.count("4 source files") == len(lineage_lake.PLATES)
    assert heads.count("well") == heads.count("profile") == 4
    assert "treatment" in heads
    assert not any(box.kind == "run" for box in boxes)
    (treatment,) = [box for box in boxes if box.kind == "treatment"]
    assert treatment.facts[:2] == ["4 wells", "on 2 plates"]
    assert treatment.facts[2] == "made by profile"
    files = next(box for box in boxes if box.head == "4 source files")
    assert files.facts == ["4.0 kB"]
    # Files lead to images, these to objects, objects and parameters to profiles, and those to the treatment.
    after: dict[str, set[str]] = {}
    for link in links:
        after.setdefault(link.source, set()).add(link.target)
    kinds = {box.id: box.kind for box in boxes}
    here, way = {files.id}, []
    while here:
        way.append({kinds[one] for one in here})
        here = {target for one in here for target in after.get(one, ())}
    assert way == [{"file"}, {"image"}, {"objects"}, {"profile"}, {"treatment"}]


def test_a_picture_has_a_format_that_is_drawn() -> None:
    with pytest.raises(UsageError, match="not 'gif'"):
        draw(graph_of(["run:a"], []), format="gif")  # type: ignore[arg-type]


def test_boxes_lie_in_the_picture_and_apart(story: Story) -> None:
    lake = Lake(story.root)
    for graph in (lake.lineage(f"{STUDY}@whole", treatment="DMSO"), lake.lineage(f"{STUDY}/P1/A01", forward=True)):
        svg = draw(graph, format="svg")
        root = ET.fromstring(svg)
        width, height = float(root.get("width", 0)), float(root.get("height", 0))
        boxes = boxes_in(svg)
        assert len(boxes) == len(summarise(graph)[0])
        for left, top, right, bottom in boxes:
            assert left >= 0
            assert top > 40  # below the title
            assert right <= width
            assert bottom <= height
        for one, other in combinations(boxes, 2):
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_many_that_are_alike_are_one_box_and_different_ones_are_not() -> None:
    files = [f"file:Images/r01c01f{number:02}.tiff" for number in range(37)]
    nodes = ["image:images/s/P1.ome.zarr/A/01/a1f1", *files, "plate:s/P1", "plate:s/P2", "plate:s/P3"]
    edges = [(nodes[0], one, "was_derived_from") for one in files]
    edges += [(nodes[0], plate, "part_of") for plate in nodes[-3:]]
    graph = graph_of(nodes, edges)
    graph["nodes"][1]["status"] = "missing"
    boxes, _ = summarise(graph)
    assert sorted(box.head for box in boxes) == ["36 source files", "image", "plate", "plate", "plate", "source file"]
    (many,) = [box for box in boxes if box.head == "36 source files"]
    assert many.name == "Images/r01c01f01.tiff … r01c01f36.tiff"
    assert "status missing" in next(box for box in boxes if box.head == "source file").facts


def test_nodes_that_lead_to_different_things_stay_apart() -> None:
    nodes = ["objects:s/P1/A01/nuclei in n@1", "objects:s/P1/A02/nuclei in n@1"]
    images = [f"image:images/s/P1.ome.zarr/A/0{well}/a1f{field}" for well in (1, 2) for field in range(4)]
    edges = [(nodes[number // 4], image, "was_derived_from") for number, image in enumerate(images)]
    edges += [("profile:s/P1/A01@x@1", nodes[0], "was_derived_from")]
    boxes, links = summarise(graph_of([*nodes, *images, "profile:s/P1/A01@x@1"], edges))
    assert sorted(box.head for box in boxes) == ["4 images", "4 images", "objects", "objects", "profile"]
    assert len(links) == 3


def test_links_that_a_longer_way_implies_are_left_out() -> None:
    nodes = ["objects:o", "labels:images/x/labels/n", "image:images/x"]
    edges = [(nodes[0], nodes[1], "was_derived_from"), (nodes[1], nodes[2], "was_derived_from")]
    _, links = summarise(graph_of(nodes, [*edges, (nodes[0], nodes[2], "was_derived_from")]))
    assert {(link.source, link.target) for link in links} == {(nodes[1], nodes[0]), (nodes[2], nodes[1])}


def test_what_a_run_read_leads_to_what_it_made_first() -> None:
    nodes = ["plate:s/P1", "well:s/P1/A01", "run:r1", "export:E"]
    edges = [
        ("plate:s/P1", "run:r1", "was_generated_by"),
        ("well:s/P1/A01", "run:r1", "was_generated_by"),
        ("well:s/P1/A01", "plate:s/P1", "part_of"),
        ("run:r1", "export:E", "used"),
    ]
    _, links = summarise(graph_of(nodes, edges))
    assert links == [Link("plate:s/P1", "well:s/P1/A01"), Link("export:E", "plate:s/P1")]


def test_long_and_odd_names_are_broken_and_escaped() -> None:
    long = "Images/" + "a-very-long-name-of-a-file_" * 12 + "<&>\x07.tiff"
    svg = draw(graph_of([f"file:{long}"], []), format="svg")
    (box,) = boxes_in(svg)
    assert box[2] - box[0] < 300
    assert "�" in "".join(texts(svg))
    assert any(line.startswith("…") for line in texts(svg))
    wall = draw(graph_of([f"file:{'x' * 300}"], []), format="svg")
    assert boxes_in(wall)[0][2] < 300


def test_the_same_lineage_is_the_same_picture(story: Story) -> None:
    graph = Lake(story.root).lineage(f"{STUDY}/P1/A03@whole")
    assert draw(graph, format="svg") == draw(graph, format="svg")
    assert draw(graph) == draw(graph)


def test_png_is_a_picture_of_the_same_shape(story: Story) -> None:
    from PIL import Image

    lake = Lake(story.root)
    graph = lake.lineage(f"{STUDY}/P1/A03@whole")
    root = ET.fromstring(lake.lineage_picture(graph, format="svg"))
    image = Image.open(io.BytesIO(lake.lineage_picture(graph)))
    assert image.format == "PNG"
    wide, high = image.size
    assert wide == pytest.approx(2 * float(root.get("width", 0)), abs=3)
    assert high == pytest.approx(2 * float(root.get("height", 0)), abs=3)
    colours = {colour for _, colour in image.getcolors(maxcolors=1 << 24) or ()}
    assert {(222, 236, 250), (240, 226, 246), (253, 235, 214)} <= colours
    assert lake.lineage_picture(f"{STUDY}/P1/A03@whole")[:4] == b"\x89PNG"


def test_notes_are_told(story: Story) -> None:
    graph = {**graph_of(["plate:s/P1"], []), "notes": ["it cannot be told whether " + "so much is so " * 20]}
    assert any("Note: it cannot be told" in line for line in texts(draw(graph, format="svg")))


def test_too_much_to_look_at() -> None:
    nodes = [f"fit:s@1#{number}" for number in range(500)]
    with pytest.raises(UsageError, match="500 boxes"):
        draw(graph_of(nodes, []))
    tall = [f"fit:s@1#{number}" for number in range(350)]
    with pytest.raises(UsageError, match="pixels"):
        draw(graph_of(tall, []))
    assert draw(graph_of(tall, []), format="svg")


def test_layers_go_from_sources_to_what_was_made() -> None:
    sizes = {name: Size(100, 40) for name in "abcdef"}
    links = [("a", "b"), ("b", "c"), ("a", "d"), ("e", "c"), ("c", "f")]
    layout = arrange(sizes, links, between=50)
    x = {name: place[0] for name, place in layout.places.items()}
    assert all(x[source] < x[target] for source, target in links)
    assert x["e"] == x["b"]  # beside the first thing that was made from it
    for (source, target), way in layout.ways.items():
        assert way[0][0] == x[source] + 100
        assert way[-1][0] == x[target]
        assert all(one[0] <= other[0] for one, other in pairwise(way))


def test_a_circle_does_not_hang() -> None:
    layout = arrange({"a": Size(10, 10), "b": Size(10, 10)}, [("a", "b"), ("b", "a")], between=5)
    assert len(layout.places) == 2


def test_a_link_over_layers_has_its_own_way() -> None:
    sizes = {name: Size(100, 40) for name in "abc"}
    layout = arrange(sizes, [("a", "b"), ("b", "c"), ("a", "c")], between=50)
    way = layout.ways["a", "c"]
    left, top = layout.places["b"]
    passing = [y for x, y in way if left <= x <= left + 100]
    assert passing
    assert all(y < top or y > top + 40 for y in passing)


def test_a_box_is_what_it_says() -> None:
    boxes, _ = summarise(graph_of(["fit:standard@1#2/s/P1"], [], fitted_on=["P1/A01", "P1/A02"], n_fitted_on=2))
    assert boxes == [
        Box(
            "fit:standard@1#2/s/P1",
            "fit",
            "fitted parameters",
            "standard@1#2/s/P1",
            ["learned from 2 wells", "A01, A02"],
        )
    ]
