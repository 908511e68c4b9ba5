"""Flags: a defect is named with its number and limit, what is typical is not, what cannot be judged says why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cytolake.transforms.quality import FLAG_METRICS, FlagLimits, plate_flags
from cytolake.transforms.quality.flags import CHANNEL_FLAGS

#: What an unremarkable field measures.
USUAL = {
    "MissingPlanes": 0.0,
    "PowerLogLogSlope": -1.7,
    "PercentSaturated": 0.0,
    "PercentMaximal": 0.001,
    "MaxIntensity": 4000.0,
    "MedianIntensity": 400.0,
    "Unevenness": 0.12,
    "MeanIntensity": 700.0,
    "BackgroundIntensity": 300.0,
    "HighIntensity": 2500.0,
}
OBJECTS = {"Count": 80.0, "PercentDebris": 4.0, "PercentClumped": 6.0}

Change = dict[tuple[str, int], dict[str, float | None]]


def rows(changes: Change | None = None, *, wells: int = 12, usual: dict[str, float] | None = None) -> pa.Table:
    """Quality rows of a plate of two fields a well, one channel and one object set, with a little noise."""
    rng = np.random.default_rng(3)
    found: list[dict[str, Any]] = []
    for number in range(wells):
        for field_id in (1, 2):
            well_id = f"{'ABC'[number // 6]}{number % 6 + 1:02}"
            changed = (changes or {}).get((well_id, field_id), {})
            for of_objects, metrics in ((False, {**USUAL, **(usual or {})}), (True, OBJECTS)):
                for metric, value in metrics.items():
                    noisy = value * (1 + 0.03 * float(rng.standard_normal()))
                    found.append(
                        {
                            "acquisition_id": 1,
                            "well_id": well_id,
                            "field_id": field_id,
                            "timepoint": 0,
                            "channel_index": None if of_objects else 0,
                            "channel_role": None if of_objects else "DNA",
                            "object_set": "nuclei" if of_objects else None,
                            "metric": metric,
                            "value": changed.get(metric, noisy),
                        }
                    )
    return pa.Table.from_pylist(found)


def raised(table: pa.Table) -> dict[tuple[str, str, int], str]:
    return {
        (row["metric"], row["well_id"], row["field_id"]): row["reason"]
        for row in table.to_pylist()
        if row["value"] == 1.0
    }


def test_an_unremarkable_plate_has_rows_and_no_flag() -> None:
    flags = plate_flags(rows())
    assert raised(flags) == {}
    assert flags.num_rows == 24 * len(FLAG_METRICS)
    assert set(flags["value"].to_pylist()) == {0.0}
    assert all((row["object_set"] is None) == (row["metric"] in CHANNEL_FLAGS) for row in flags.to_pylist())


@pytest.mark.parametrize(
    ("metric", "changed", "said"),
    [
        ("Flag_Missing", {"MissingPlanes": 2.0}, "2 planes"),
        ("Flag_Blurred", {"PowerLogLogSlope": -2.4}, "-2.40 is below -2."),
        ("Flag_Saturated", {"PercentSaturated": 3.0}, "3 % of the pixels are at the camera's limit"),
        ("Flag_Saturated", {"PercentMaximal": 2.0, "MaxIntensity": 4095.0}, "4095"),
        ("Flag_Uneven", {"Unevenness": 0.6}, "0.60 is above 0.3"),
        ("Flag_Dim", {"HighIntensity": 500.0}, "HighIntensity less BackgroundIntensity"),
        ("Flag_Bright", {"MeanIntensity": 3000.0}, "3000 is above 1"),
        ("Flag_Empty", {"Count": 0.0}, "no nuclei; typical of the plate is"),
        ("Flag_Debris", {"PercentDebris": 40.0}, "40 % of the objects are specks"),
        ("Flag_Clumped", {"PercentClumped": 45.0}, "45 % of the objects are clumps"),
    ],
)
def test_each_defect_is_named_with_its_number_and_nothing_else_is(
    metric: str, changed: dict[str, float | None], said: str
) -> None:
    found = raised(plate_flags(rows({("B02", 2): changed})))
    assert list(found) == [(metric, "B02", 2)]
    assert said in found[metric, "B02", 2]


def test_an_empty_well_is_told_from_an_empty_field_and_is_not_called_dim() -> None:
    bare: dict[str, float | None] = {"Count": 0.0, "HighIntensity": 340.0, "MeanIntensity": 300.0}
    flags = plate_flags(rows({("A03", 1): bare, ("A03", 2): bare}))
    found = raised(flags)
    assert list(found) == [("Flag_Empty", "A03", 1), ("Flag_Empty", "A03", 2)]
    assert "every field of the well" in found["Flag_Empty", "A03", 1]
    (dim,) = [r for r in flags.to_pylist() if (r["metric"], r["well_id"], r["field_id"]) == ("Flag_Dim", "A03", 1)]
    assert (dim["value"], dim["reason"]) == (None, "not judged: the field is empty")


def test_few_fields_are_not_compared_but_limits_that_hold_anywhere_do() -> None:
    flags = plate_flags(rows({("A01", 1): {"Unevenness": 2.0, "PercentSaturated": 9.0}}, wells=2))
    assert list(raised(flags)) == [("Flag_Saturated", "A01", 1)]
    uneven = [row for row in flags.to_pylist() if row["metric"] == "Flag_Uneven"]
    assert all(row["value"] is None and "fewer than 8 fields" in row["reason"] for row in uneven)


def test_a_plate_that_is_blurred_as_a_whole_is_blurred() -> None:
    found = raised(plate_flags(rows(usual={"PowerLogLogSlope": -3.2})))
    assert len(found) == 24
    assert {metric for metric, _, _ in found} == {"Flag_Blurred"}


def test_what_was_not_measured_is_not_judged_and_order_does_not_matter() -> None:
    changes: Change = {("A01", 1): dict.fromkeys(USUAL), ("C01", 2): {"Count": None}}
    table = rows(changes, wells=14)
    flags = plate_flags(table)
    assert raised(flags) == {}
    lost = [r for r in flags.to_pylist() if (r["well_id"], r["field_id"]) == ("A01", 1) and r["object_set"] is None]
    assert all(row["value"] is None and row["reason"] for row in lost)
    mixed = plate_flags(table.take(pa.array(np.random.default_rng(0).permutation(table.num_rows))))
    names = [(name, "ascending") for name in ("metric", "well_id", "field_id")]
    assert mixed.sort_by(names).equals(flags.sort_by(names))


def test_limits_are_settings_and_no_rows_are_no_flags() -> None:
    changed: Change = {("A01", 1): {"PercentSaturated": 0.4}}
    assert raised(plate_flags(rows(changed))) == {}
    assert raised(plate_flags(rows(changed), FlagLimits(percent_saturated=0.1)))
    assert plate_flags(rows().slice(0, 0)).num_rows == 0
