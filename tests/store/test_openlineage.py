"""Events as OpenLineage 2-0-2 wants them: required keys, types and facets, written out here from its schema files."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import lineage_lake
import pytest
from cytolake.lake import Lake
from cytolake.schemas.tables import SCHEMA_VERSION
from cytolake.store.commit import Commit
from cytolake.store.lineage import Run
from cytolake.store.lineage.openlineage import run_events, run_uuid
from cytolake.store.root import LakeRoot
from lineage_lake import STUDY, Story, sha

#: spec/OpenLineage.json, 2-0-2: $defs RunEvent, Run, Job, Dataset, BaseFacet.
EVENT_REQUIRED = {"eventTime", "producer", "schemaURL", "run", "job"}
EVENT_TYPES = {"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"}
RUN_REQUIRED, JOB_REQUIRED, DATASET_REQUIRED = {"runId"}, {"namespace", "name"}, {"namespace", "name"}
FACET_REQUIRED = {"_producer", "_schemaURL"}
#: spec/facets/*.json: what each facet must have beside.
REQUIRED_OF_FACET = {
    "version": {"datasetVersion"},
    "schema": set(),
    "outputStatistics": set(),
    "processing_engine": {"version"},
    "errorMessage": {"message", "programmingLanguage"},
    "jobType": {"processingType", "integration"},
    "sourceCode": {"language", "sourceCode"},
}
#: Custom facets are named after who made them.
PREFIX = "cytolake_"


@pytest.fixture
def story(lake: LakeRoot) -> Story:
    return lineage_lake.make(lake)


def check_facets(facets: dict[str, Any]) -> None:
    for name, facet in facets.items():
        assert facet.keys() >= FACET_REQUIRED
        assert facet["_schemaURL"].startswith("https://")
        if not name.startswith(PREFIX):
            assert REQUIRED_OF_FACET[name] <= facet.keys()
            assert facet["_schemaURL"].startswith("https://openlineage.io/spec/facets/")
            kind = facet["_schemaURL"].rpartition("/")[2]
            assert kind in facet["_schemaURL"].partition("#")[0]


def check_event(event: dict[str, Any]) -> None:
    assert event.keys() >= EVENT_REQUIRED
    assert event["eventType"] in EVENT_TYPES
    assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
    assert event["schemaURL"] == "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
    assert event["producer"].startswith("https://")
    assert RUN_REQUIRED <= event["run"].keys() <= {"runId", "facets"}
    assert uuid.UUID(event["run"]["runId"]).version == 5
    assert JOB_REQUIRED <= event["job"].keys() <= {"namespace", "name", "facets"}
    check_facets(event["run"].get("facets", {}))
    check_facets(event["job"].get("facets", {}))
    for side, own in (("inputs", "inputFacets"), ("outputs", "outputFacets")):
        for dataset in event[side]:
            assert DATASET_REQUIRED <= dataset.keys() <= {"namespace", "name", "facets", own}
            assert all(isinstance(dataset[name], str) and dataset[name] for name in DATASET_REQUIRED)
            check_facets(dataset.get("facets", {}))
            check_facets(dataset.get(own, {}))


def test_every_event_is_as_the_specification_wants_it(story: Story) -> None:
    lake = Lake(story.root)
    lineage_lake.bring_in(story.root)
    for row in (f"{STUDY}/P1/A03@whole", f"{STUDY}/P7/A01@jump", f"{STUDY}/P1/A01/1/nuclei/1"):
        events = lake.openlineage(row)
        for event in events:
            check_event(event)
        assert len(events) == 2 * len({event["run"]["runId"] for event in events})
        assert [event["eventTime"] for event in events] == sorted(event["eventTime"] for event in events)


def test_a_run_starts_and_ends(story: Story) -> None:
    events = Lake(story.root).openlineage(f"{STUDY}/P1/A03@plates")
    own = [event for event in events if event["run"]["runId"] == run_uuid(story.runs["plates"])]
    start, end = own
    assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE")
    assert start["eventTime"] <= end["eventTime"]
    assert start["job"] == end["job"]
    assert end["job"]["name"] == "cytolake.profile"
    assert end["job"]["facets"]["sourceCode"]["sourceCode"] == 'name = "plates"'
    facet = end["run"]["facets"]["cytolake_run"]
    assert (facet["run_id"], facet["status"]) == (story.runs["plates"], "ok")
    assert facet["schema_version"] == SCHEMA_VERSION
    tables = {one["name"].rpartition("/tables/")[2]: one for one in end["inputs"] if one["namespace"] == "file"}
    wells = tables["wells"]
    assert wells["name"] == f"{story.root.url}/tables/wells"
    assert wells["facets"]["version"]["datasetVersion"] == str(story.root.tables.version("wells"))
    assert {"name": "well_id", "type": "string"} in wells["facets"]["schema"]["fields"]


def test_files_are_known_by_their_hash(story: Story) -> None:
    lineage_lake.bring_in(story.root)
    events = Lake(story.root).openlineage(f"{STUDY}/P7/A01@jump")
    (file,) = events[-1]["inputs"]
    assert file["name"] == "profiles.csv.gz"
    assert file["facets"]["version"]["datasetVersion"] == sha("profiles.csv.gz")


def test_the_same_run_has_the_same_uuid_everywhere() -> None:
    assert run_uuid("20260101T000000000000-abcdef") == run_uuid("20260101T000000000000-abcdef")
    assert run_uuid("20260101T000000000000-abcdef") != run_uuid("20260101T000000000000-abcdee")


def test_a_failed_run_says_why_and_a_partial_one_is_complete(lake: LakeRoot) -> None:
    graph: dict[str, Any] = {"nodes": [], "edges": []}
    for status in ("failed", "partial"):
        run = Run.start("ingest", study_id="s")
        run.warn("the disk was full")
        run.add_previous("20260101T000000000000-abcdef", {"wells": {"P1": None}})
        run.add_output("table", "images", rows=4)
        run.add_output("plate", "images/s/P1.ome.zarr")
        with Commit(lake, run_id=run.run_id, app_id=status) as commit:
            commit.append("runs", run.record(status))
            commit.commit()
        graph["nodes"].append({"id": f"run:{run.run_id}", "kind": "run", "name": run.run_id})
    _, failed, _, partial = run_events(lake, graph)
    for event in (failed, partial):
        check_event(event)
    assert (failed["eventType"], partial["eventType"]) == ("FAIL", "COMPLETE")
    assert failed["run"]["facets"]["errorMessage"]["message"] == "the disk was full"
    assert "errorMessage" not in partial["run"]["facets"]
    assert partial["run"]["facets"]["cytolake_run"]["status"] == "partial"
    table, plate = partial["outputs"]
    assert table["outputFacets"]["outputStatistics"]["rowCount"] == 4
    assert plate["name"] == f"{lake.url}/images/s/P1.ome.zarr"
    assert partial["inputs"] == []
    assert partial["run"]["facets"]["cytolake_run"]["previous_runs"] == [run_uuid("20260101T000000000000-abcdef")]


def test_forward_too_and_from_a_graph(story: Story) -> None:
    lake = Lake(story.root)
    graph = lake.lineage(f"{STUDY}/P1", forward=True)
    events = lake.openlineage(graph)
    verbs = {event["job"]["name"] for event in events}
    assert verbs == {"cytolake.ingest", "cytolake.transform", "cytolake.profile"}
    for event in events:
        check_event(event)
    assert run_events(story.root, {"nodes": [], "edges": []}) == []
