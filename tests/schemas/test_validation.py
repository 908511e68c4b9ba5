"""Bulk validation: speed, the types Python brings along, and messages that help."""

from __future__ import annotations

import datetime as dt
import math
import time
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cytolake.errors import NotFoundError
from cytolake.schemas.generated import models
from cytolake.schemas.identifiers import format_well
from cytolake.schemas.tables import arrow_schema
from cytolake.schemas.validation import Problem, validate_records

WELL: dict[str, Any] = {
    "study_id": "s",
    "plate_id": "p",
    "well_id": "B07",
    "row": 2,
    "column": 7,
    "n_perturbations": 0,
    "excluded": False,
    "run_id": "r",
}


def well(**changes: Any) -> dict[str, Any]:
    return {**WELL, **changes}


def rules(problems: list[Problem]) -> list[tuple[int, str, str]]:
    return [(p.index, p.slot, p.rule) for p in problems]


def test_a_hundred_thousand_wells_in_seconds() -> None:
    per_plate = 1536
    records = [
        well(
            plate_id=f"p{i // per_plate}",
            well_id=format_well(i % per_plate // 48 + 1, i % 48 + 1),
            row=i % per_plate // 48 + 1,
            column=i % 48 + 1,
            concentration_um=0.1 * i,
            attributes={"layout": "a"},
        )
        for i in range(100_000)
    ]
    records[77_777]["control_type"] = "DMSO"
    start = time.perf_counter()
    problems = validate_records("Well", records)
    # About one second on two cores; the bound only catches a change of order.
    assert time.perf_counter() - start < 15
    assert rules(problems) == [(77_777, "control_type", "value")]


def test_rows_as_arrow_hands_them_out_are_valid() -> None:
    now = dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC)
    wells = pa.Table.from_pylist([well(attributes={"layout": "a"})], schema=arrow_schema("wells"))
    assert validate_records("Well", wells.to_pylist()) == []
    run = {"run_id": "r", "verb": "ingest", "status": "ok", "started_at": now, "finished_at": now}
    run |= {"code_version": "1", "schema_version": "1", "inputs": [{"kind": "file", "name": "x"}]}
    runs = pa.Table.from_pylist([run], schema=arrow_schema("runs"))
    assert validate_records("Run", runs.to_pylist()) == []


def test_numpy_scalars_are_judged_by_their_value() -> None:
    assert validate_records("Well", [well(row=np.int32(2), concentration_um=np.float64(1.5))]) == []
    assert rules(validate_records("Well", [well(row=np.float64(2.5))])) == [(0, "row", "type")]
    assert rules(validate_records("Well", [well(concentration_um=np.float32("nan"))])) == [
        (0, "concentration_um", "not-finite")
    ]


@pytest.mark.parametrize("value", [object(), np.longdouble(1), np.arange(2), Decimal(1), {1, 2}])
def test_an_object_no_slot_takes_is_a_problem_and_no_crash(value: Any) -> None:
    assert rules(validate_records("Well", [well(concentration_um=value)])) == [(0, "concentration_um", "type")]


def test_members_of_enumerations_are_their_values() -> None:
    assert validate_records("Well", [well(control_type=models.ControlType.untreated, compound=np.str_("x"))]) == []


def test_naive_datetimes_are_found_as_objects_and_as_text() -> None:
    label = {"study_id": "s", "plate_id": "p", "vocabulary": "v", "value": "x", "annotator": "me", "run_id": "r"}
    moments = [
        dt.datetime(2024, 5, 1, 10),
        "2024-05-01T10:00:00",
        "2024-05-01 10:00",
        dt.datetime(2024, 5, 1, tzinfo=dt.UTC),
    ]
    found = validate_records("LabelAnnotation", [{**label, "annotated_at": moment} for moment in moments])
    assert rules(found) == [(i, "annotated_at", "naive-datetime") for i in range(3)]
    assert "+00:00" in found[0].message


def test_nan_inside_a_list_is_found() -> None:
    run = {"run_id": "r", "verb": "v", "status": "ok", "started_at": "2024-05-01T10:00:00Z"}
    run |= {"finished_at": "2024-05-01T10:00:00Z", "code_version": "1", "schema_version": "1"}
    run["outputs"] = [{"kind": "table", "name": "wells"}, {"kind": "table", "name": "images", "rows": math.nan}]  # type: ignore[assignment]
    assert rules(validate_records("Run", [run])) == [(0, "outputs.1.rows", "not-finite")]


def test_two_records_of_one_well_are_a_problem_of_the_second() -> None:
    found = validate_records("Well", [well(), well(well_id="B08", column=8), well(compound="x")])
    assert rules(found) == [(2, "well_id", "duplicate")]
    assert "record 0" in found[0].message


def test_records_without_a_key_may_repeat() -> None:
    label = {"study_id": "s", "plate_id": "p", "vocabulary": "v", "value": "x", "annotator": "me", "run_id": "r"}
    label["annotated_at"] = "2024-05-01T10:00:00Z"
    assert validate_records("LabelAnnotation", [label, label]) == []


def test_every_problem_of_a_record_is_told() -> None:
    bad = well(well_id="B7", row="2", colum=7)
    del bad["column"]
    assert sorted(rules(validate_records("Well", [bad]))) == [
        (0, "colum", "unknown-slot"),
        (0, "column", "missing"),
        (0, "row", "type"),
        (0, "well_id", "pattern"),
    ]


def test_messages_name_the_likely_meaning() -> None:
    found = validate_records("Well", [well(colum=7), well(well_id="C07", row=3, control_type="negative vehicle")])
    assert "did you mean column?" in found[0].message
    assert "did you mean negative_vehicle?" in found[1].message


def test_an_unhashable_key_does_not_stop_the_check() -> None:
    assert (0, "plate_id", "type") in rules(validate_records("Well", [well(plate_id=["p"])]))


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(NotFoundError) as caught:
        validate_records("Wells", [])
    assert "Well" in str(caught.value.hint)


@pytest.mark.parametrize(
    "change",
    [
        {"row": "2"},
        {"row": True},
        {"excluded": 1},
        {"excluded": "no"},
        {"concentration_um": "1.5"},
        {"concentration_um": math.nan},
        {"compound": 5},
        {"column": 8},
        {"plate_id": "a b"},
        {"replicate": 0},
    ],
)
def test_models_refuse_what_bulk_validation_refuses(change: dict[str, Any]) -> None:
    assert validate_records("Well", [well(**change)])
    with pytest.raises(ValueError, match="validation error"):
        models.Well(**well(**change))


def test_a_model_is_checked_again_when_a_slot_is_set() -> None:
    made = models.Well(**WELL)
    with pytest.raises(ValueError, match="well-position"):
        made.column = 8
