"""The runs in a graph as OpenLineage events, for Marquez, DataHub and whatever else reads them.

Written after version 2-0-2 of the specification (https://openlineage.io/spec/2-0-2/OpenLineage.json) and the versions
of its facets that are named in :data:`_FACETS`. Each run gives two events, as the specification asks: its START, and
its COMPLETE or FAIL with everything that is known of it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ... import __version__
from ...errors import CytolakeError
from ..datafiles import table_path
from ..tables import delta_schema

if TYPE_CHECKING:
    import pyarrow as pa

    from ..root import LakeRoot

_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_PRODUCER = f"https://cytolake.readthedocs.io/en/{__version__}"
#: Facet → where its schema is.
_FACETS = {
    "schema": "https://openlineage.io/spec/facets/1-1-1/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet",
    "version": "https://openlineage.io/spec/facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet",
    "outputStatistics": "https://openlineage.io/spec/facets/1-0-2/OutputStatisticsOutputDatasetFacet.json"
    "#/$defs/OutputStatisticsOutputDatasetFacet",
    "processing_engine": "https://openlineage.io/spec/facets/1-1-1/ProcessingEngineRunFacet.json"
    "#/$defs/ProcessingEngineRunFacet",
    "errorMessage": "https://openlineage.io/spec/facets/1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet",
    "jobType": "https://openlineage.io/spec/facets/2-0-3/JobTypeJobFacet.json#/$defs/JobTypeJobFacet",
    "sourceCode": "https://openlineage.io/spec/facets/1-0-1/SourceCodeJobFacet.json#/$defs/SourceCodeJobFacet",
    "cytolake_run": "https://w3id.org/cytolake/provenance#Run",
    "cytolake_input": "https://w3id.org/cytolake/provenance#RunInput",
    "cytolake_output": "https://w3id.org/cytolake/provenance#RunOutput",
}
#: What our run identifiers are hashed in: the same run has the same UUID wherever its lake is copied.
_RUNS = uuid.uuid5(uuid.NAMESPACE_URL, "https://w3id.org/cytolake/provenance#Run")
_STATES = {"ok": "COMPLETE", "partial": "COMPLETE", "failed": "FAIL"}
#: Kinds of inputs that are files somewhere, not tables of the lake.
_OUTSIDE = "cytolake-sources"
#: A feature table has hundreds of columns: all are given, and this many at most.
_MOST_COLUMNS = 10_000


def run_uuid(run_id: str) -> str:
    """Return the UUID (version 5) that stands for a run in OpenLineage; always the same for one run."""
    return str(uuid.uuid5(_RUNS, run_id))


def run_events(root: LakeRoot, graph: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the events of every run of a graph of lineage, in the order in which they happened.

    Returns
    -------
    list of dict
        ``RunEvent`` values: a START and a COMPLETE or FAIL for each run that the table ``runs`` knows. Inputs and
        outputs are those that the run noted; label images and other things on the disk are outputs too.
    """
    wanted = [node["name"] for node in graph["nodes"] if node["kind"] == "run"]
    rows = root.tables.read("runs", where={"run_id": wanted}).to_pylist() if wanted else []
    recipes = {node["name"]: node.get("recipe") for node in graph["nodes"] if node["kind"].endswith("_set")}
    used = {
        edge["from"].removeprefix("run:"): recipes.get(edge["to"].partition(":")[2])
        for edge in graph["edges"]
        if edge["relation"] == "used" and edge["to"].partition(":")[0].endswith("_set")
    }
    writer = _Writer(root)
    events = [event for row in rows for event in writer.events(row, used.get(row["run_id"]))]
    return sorted(events, key=lambda event: (event["eventTime"], event["eventType"] != "START", event["run"]["runId"]))


class _Writer:
    """Writes events, and opens each table once."""

    def __init__(self, root: LakeRoot) -> None:
        self.root = root
        self._schemas: dict[tuple[str, int | None], pa.Schema | None] = {}

    def events(self, row: Mapping[str, Any], recipe: str | None) -> list[dict[str, Any]]:
        job = {"namespace": self.namespace, "name": f"cytolake.{row['verb']}", "facets": _job_facets(recipe)}
        start = {
            "eventType": "START",
            "eventTime": row["started_at"].isoformat(),
            "run": {"runId": run_uuid(row["run_id"]), "facets": {"processing_engine": _engine(row)}},
            "job": job,
            "inputs": [],
            "outputs": [],
            "producer": _PRODUCER,
            "schemaURL": _SCHEMA,
        }
        inputs = [self._input(used) for used in row["inputs"] or () if used["kind"] != "run"]
        outputs = [self._output(made) for made in row["outputs"] or ()]
        end = {
            **start,
            "eventType": _STATES.get(row["status"], "OTHER"),
            "eventTime": row["finished_at"].isoformat(),
            "run": {"runId": run_uuid(row["run_id"]), "facets": _run_facets(row)},
            "inputs": inputs,
            "outputs": outputs,
        }
        return [start, end]

    @property
    def namespace(self) -> str:
        """What the jobs of a lake are named in: the lake's own name."""
        return f"cytolake://{self.root.config.name}"

    def _input(self, used: Mapping[str, Any]) -> dict[str, Any]:
        if used["kind"] == "table":
            return self._table(str(used["name"]), used["version"])
        facets = {"cytolake_input": _facet("cytolake_input", kind=used["kind"], **_known(used, "sha256", "detail"))}
        if used["sha256"]:
            facets["version"] = _facet("version", datasetVersion=used["sha256"])
        if used["kind"] == "plate":
            return {**self._in_lake(str(used["name"])), "facets": facets}
        return {"namespace": _OUTSIDE, "name": str(used["name"]), "facets": facets}

    def _output(self, made: Mapping[str, Any]) -> dict[str, Any]:
        if made["kind"] == "table":
            dataset = self._table(str(made["name"]), made["version"])
        else:
            dataset = {**self._in_lake(str(made["name"])), "facets": {}}
        if made["detail"]:
            dataset["facets"]["cytolake_output"] = _facet("cytolake_output", kind=made["kind"], detail=made["detail"])
        if made["rows"] is not None:
            dataset["outputFacets"] = {"outputStatistics": _facet("outputStatistics", rowCount=made["rows"])}
        return dataset

    def _table(self, name: str, version: int | None) -> dict[str, Any]:
        facets: dict[str, Any] = {}
        schema = self._schema(name, version)
        if schema is not None:
            fields = [{"name": one.name, "type": str(one.type)} for one in list(schema)[:_MOST_COLUMNS]]
            facets["schema"] = _facet("schema", fields=fields)
        if version is not None:
            facets["version"] = _facet("version", datasetVersion=str(version))
        return {**self._in_lake(table_path(name)), "facets": facets}

    def _in_lake(self, path: str) -> dict[str, str]:
        """Name something by where it lies: ``file`` and an absolute path, or a bucket and a key."""
        uri = self.root.storage.uri(path)
        if uri.startswith("s3://"):
            bucket, _, key = uri.removeprefix("s3://").partition("/")
            return {"namespace": f"s3://{bucket}", "name": key}
        return {"namespace": "file", "name": uri}

    def _schema(self, name: str, version: int | None) -> pa.Schema | None:
        """Return the columns of a table; None for a version that cannot be read any more."""
        if (name, version) not in self._schemas:
            try:
                self._schemas[name, version] = delta_schema(self.root.tables.open(name, version=version))
            except CytolakeError:
                self._schemas[name, version] = None
        return self._schemas[name, version]


def _job_facets(recipe: str | None) -> dict[str, Any]:
    facets = {"jobType": _facet("jobType", processingType="BATCH", integration="CYTOLAKE", jobType="COMMAND")}
    if recipe:
        facets["sourceCode"] = _facet("sourceCode", language="toml", sourceCode=recipe)
    return facets


def _run_facets(row: Mapping[str, Any]) -> dict[str, Any]:
    facets = {
        "processing_engine": _engine(row),
        "cytolake_run": _facet(
            "cytolake_run",
            run_id=row["run_id"],
            verb=row["verb"],
            status=row["status"],
            started_at=row["started_at"].isoformat(),
            code_version=row["code_version"],
            schema_version=row["schema_version"],
            plate_ids=list(row["plate_ids"] or ()),
            parameters=json.loads(row["parameters"] or "{}"),
            warnings=list(row["warnings"] or ()),
            previous_runs=[run_uuid(used["name"]) for used in row["inputs"] or () if used["kind"] == "run"],
            **_known(row, "study_id"),
        ),
    }
    if row["status"] == "failed":
        said = _sentences(row["warnings"])
        facets["errorMessage"] = _facet("errorMessage", message=said, programmingLanguage="PYTHON")
    return facets


def _sentences(warnings: Sequence[str] | None) -> str:
    return "; ".join(warnings or ()) or "the run failed, and nothing of it was kept"


def _engine(row: Mapping[str, Any]) -> dict[str, Any]:
    return _facet("processing_engine", name="cytolake", version=row["code_version"])


def _facet(name: str, /, **values: Any) -> dict[str, Any]:
    return {"_producer": _PRODUCER, "_schemaURL": _FACETS[name], **values}


def _known(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names if row[name] is not None}
