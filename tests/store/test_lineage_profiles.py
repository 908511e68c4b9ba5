"""From a row of a profile or a treatment back to the pixels, the parameters, and the wells that these learned from."""

from __future__ import annotations

from typing import Any

import lineage_lake
import pyarrow as pa
import pytest
from cytolake.errors import NotFoundError, UsageError
from cytolake.lake import Lake
from cytolake.store.commit import Commit
from cytolake.store.lineage import parse_row
from cytolake.store.lineage.label_images import label_name
from cytolake.store.treatments import treatment_name
from lineage_lake import CONTROLS, STUDY, Story, sha

Graph = dict[str, Any]


def upstream(graph: Graph, start: str) -> dict[str, list[dict[str, Any]]]:
    """Give what a node was made from, by kind, itself included."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    todo, seen = [start], {start}
    while todo:
        here = todo.pop()
        for edge in graph["edges"]:
            if edge["from"] == here and edge["to"] not in seen:
                seen.add(edge["to"])
                todo.append(edge["to"])
    found: dict[str, list[dict[str, Any]]] = {}
    for one in sorted(seen):
        found.setdefault(nodes[one]["kind"], []).append(nodes[one])
    return found


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("s/P1/a1@standard", {"study_id": "s", "plate_id": "P1", "well_id": "A01", "set_reference": "standard"}),
        ("s/P1@standard@2", {"study_id": "s", "plate_id": "P1", "set_reference": "standard@2"}),
        ("s@standard", {"study_id": "s", "set_reference": "standard"}),
    ],
)
def test_a_row_of_a_set_has_one_spelling(text: str, known: dict[str, str]) -> None:
    assert parse_row(text) == known


@pytest.mark.parametrize("text", ["s@", "@standard", "s", "s/P1/A01/1/nuclei/7/8@x"])
def test_a_spelling_that_names_nothing(text: str) -> None:
    with pytest.raises(UsageError, match="names no row"):
        parse_row(text)


def test_a_profile_leads_to_files_recipe_parameters_and_control_wells(story: Story) -> None:
    graph = Lake(story.root).lineage(f"{STUDY}/P1/A03@plates")
    found = upstream(graph, f"profile:{STUDY}/P1/A03@plates@1")
    assert {file["name"] for file in found["file"]} == {f"Images/P1-A03-ch{channel}.tiff" for channel in (0, 1)}
    assert {file["sha256"] for file in found["file"]} == {sha("P1", "A03", 0), sha("P1", "A03", 1)}
    assert [one["name"] for one in found["objects"]] == [f"{STUDY}/P1/A03/nuclei in nuclei@1"]
    assert found["objects"][0]["rows"] == lineage_lake.OBJECTS
    (fit,) = found["fit"]
    assert (fit["name"], fit["steps"]) == (f"plates@1#1/{STUDY}/P1", ["0 robust_z"])
    assert fit["fitted_on"] == [f"P1/{well}" for well in CONTROLS]
    assert {"from": fit["id"], "to": f"run:{story.runs['plates']}", "relation": "was_generated_by"} in graph["edges"]
    assert {run["verb"] for run in found["run"]} == {"ingest", "transform", "profile"}
    assert {one["name"] for one in found["profile_set"]} == {"plates@1"}
    assert found["profile_set"][0]["recipe"] == 'name = "plates"'
    assert found["plate"][0]["name"] == f"{STUDY}/P1"
    assert found["export"][0]["sha256"] == sha("export", "P1")
    assert found["profile"][0]["n_objects"] == lineage_lake.OBJECTS
    assert "notes" not in graph


def test_a_profile_of_profiles_leads_through_both(story: Story) -> None:
    graph = Lake(story.root).lineage(f"{STUDY}/P2/A04@whole")
    found = upstream(graph, f"profile:{STUDY}/P2/A04@whole@1")
    assert [one["name"] for one in found["profile"]] == [f"{STUDY}/P2/A04@plates@1", f"{STUDY}/P2/A04@whole@1"]
    assert [one["name"] for one in found["fit"]] == [f"plates@1#1/{STUDY}/P2", f"whole@1#1/{STUDY}"]
    assert {file["name"] for file in found["file"]} == {f"Images/P2-A04-ch{channel}.tiff" for channel in (0, 1)}


def test_a_treatment_leads_to_its_wells(story: Story) -> None:
    graph = Lake(story.root).lineage(f"{STUDY}@plates", treatment="inflatin | 10")
    found = upstream(graph, f"treatment:{STUDY}@plates@1: inflatin | 10")
    wells = [f"{STUDY}/{plate}/{well}" for plate in ("P1", "P2") for well in ("A03", "A04")]
    assert [one["name"] for one in found["profile"]] == [f"{well}@plates@1" for well in wells]
    assert [one["name"] for one in found["well"]] == wells
    assert len(found["file"]) == 4 * lineage_lake.CHANNELS
    controls = Lake(story.root).lineage(f"{STUDY}@plates", treatment="DMSO")
    assert {one["name"] for one in controls["nodes"] if one["kind"] == "profile"} == {
        f"{STUDY}/{plate}/{well}@plates@1" for plate in ("P1", "P2") for well in CONTROLS
    }


def test_wells_are_those_of_the_time_when_the_treatment_was_made(story: Story) -> None:
    """What an annotation said later does not change what a row was made from."""
    changed = story.root.tables.read("wells", where={"plate_id": "P1", "well_id": "A03"})
    place = changed.column_names.index("perturbation")
    changed = changed.set_column(place, "perturbation", pa.array(["another"], pa.string()))
    with Commit(story.root, run_id="later", app_id="x") as commit:
        commit.upsert("wells", changed, ["study_id", "plate_id", "well_id"])
        commit.commit()
    graph = Lake(story.root).lineage(f"{STUDY}@plates", treatment="inflatin | 10")
    assert f"profile:{STUDY}/P1/A03@plates@1" in {node["id"] for node in graph["nodes"]}
    assert "notes" not in graph


def test_all_treatments_and_whole_plates_stay_small(story: Story) -> None:
    graph = Lake(story.root).lineage(f"{STUDY}@plates")
    profiles = [node for node in graph["nodes"] if node["kind"] == "profiles"]
    assert [(node["name"], node["rows"]) for node in profiles] == [
        (f"{STUDY}/P1@plates@1", 4),
        (f"{STUDY}/P2@plates@1", 4),
    ]
    plate = Lake(story.root).lineage(f"{STUDY}/P1@plates")
    assert {node["kind"] for node in plate["nodes"]} >= {"profiles", "fit", "objects", "image", "file", "run"}


def test_many_images_are_one_node_that_says_so(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cytolake.store.lineage.measured.MOST_IMAGES", 3)
    graph = Lake(story.root).lineage(f"{STUDY}/P1@plates")
    (images,) = [node for node in graph["nodes"] if node["kind"] == "images"]
    assert images["n_images"] == 4
    assert any("4 images are one node" in note for note in graph["notes"])
    assert "file" not in {node["kind"] for node in graph["nodes"]}


def test_what_was_made_elsewhere_leads_to_its_file(story: Story) -> None:
    lineage_lake.bring_in(story.root)
    graph = Lake(story.root).lineage(f"{STUDY}/P7/A01@jump")
    found = upstream(graph, f"profile:{STUDY}/P7/A01@jump@1")
    assert [(one["name"], one["sha256"]) for one in found["file"]] == [("profiles.csv.gz", sha("profiles.csv.gz"))]
    (known,) = found["profile_set"]
    assert (known["imported_dialect"], known["imported_mapping"]) == ("pycytominer", sha("mapping"))
    assert found["well"][0]["name"] == f"{STUDY}/P7/A01"
    assert "image" not in found


def test_objects_of_one_feature_set_alone(story: Story) -> None:
    graph = Lake(story.root).lineage(f"{STUDY}/P1/A01/1/nuclei/2@nuclei")
    assert [node["name"] for node in graph["nodes"] if node["kind"] == "object"] == [
        f"{STUDY}/P1/A01/1/nuclei/2 in nuclei@1"
    ]
    with pytest.raises(NotFoundError, match="no feature set 'other'"):
        Lake(story.root).lineage(f"{STUDY}/P1/A01/1/nuclei/2@other")


@pytest.mark.parametrize(
    ("row", "treatment", "said"),
    [
        (f"{STUDY}/P1/H12@plates", None, "no row of pilot/P1/H12"),
        (f"{STUDY}/P9@plates", None, "no study_id|no study pilot, plate P9"),
        (f"{STUDY}/P1/A01@standard", None, "no profile set 'standard'"),
        (f"{STUDY}@plates", "inflatin | 1", "did you mean 'inflatin | 10'"),
        ("other@plates", None, "no treatments of study other"),
    ],
)
def test_rows_that_are_not_there(story: Story, row: str, treatment: str | None, said: str) -> None:
    with pytest.raises(NotFoundError, match=said.replace("|", r"\|") if "mean" in said else said):
        Lake(story.root).lineage(row, treatment=treatment)


def test_a_treatment_is_of_a_study(story: Story) -> None:
    with pytest.raises(UsageError, match="of a study"):
        Lake(story.root).lineage(f"{STUDY}/P1@plates", treatment="DMSO")


def test_label_images_have_the_names_that_transform_gives_them() -> None:
    from cytolake.transforms.recipe import load_recipe, shipped_recipes

    checked = 0
    for name in shipped_recipes():
        recipe = load_recipe(name)
        for one in recipe.objects:
            known = f"{one.name}_{recipe.segmentation_hash(one.name)}"
            assert label_name(recipe.definition(), one.name) == known
            checked += 1
    assert checked > 3
    assert label_name({"objects": {"nuclei": {}}, "imported": {}}, "nuclei") is None


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (("DMSO", None), "DMSO"),
        (("inflatin", 10.0), "inflatin | 10"),
        (("inflatin", 0.5), "inflatin | 0.5"),
        ((None, "x"), " | x"),
        (("a | b", 1.0), '["a | b", 1.0]'),
        (("", 2.0), '["", 2.0]'),
    ],
)
def test_no_two_treatments_have_one_name(values: tuple[Any, ...], name: str) -> None:
    assert treatment_name(values) == name
