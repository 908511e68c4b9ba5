"""Which wells are controls, and what is said of plates that have none or few."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from cytolake.errors import InvalidDataError, RecipeError
from cytolake.transforms.profiles.controls import (
    PlateControls,
    check_columns,
    control_mask,
    judge,
    plate_controls,
)
from cytolake.transforms.profiles.recipe import Controls

VEHICLE = Controls(where={"control_type": ("negative_vehicle",)}, min_wells=2)


def wells(**columns: Any) -> pa.Table:
    number = len(next(iter(columns.values())))
    known = {
        "study_id": ["s"] * number,
        "plate_id": ["P1"] * number,
        "well_id": [f"A{n:02}" for n in range(1, number + 1)],
        "excluded": [False] * number,
    }
    return pa.table(known | columns)


def on_plate(controls: Controls, table: pa.Table, with_rows: Any = None) -> PlateControls:
    return plate_controls(controls, study_id="s", plate_id="P1", wells=table, with_rows=with_rows)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"gene": ("Cells",)}, [True, False, False, False]),
        ({"gene": ("Cells", "ECT2")}, [True, True, False, False]),
        ({"dose": (0,)}, [True, False, False, True]),
        ({"dose": ("0",)}, [False, False, False, False]),  # numbers are compared as numbers
        ({"batch number": (7,)}, [True, True, False, False]),  # attributes are text
        ({"seeded": (True,)}, [True, False, True, False]),
        ({"gene": ("Cells", "ECT2"), "dose": (0.0,)}, [True, False, False, False]),
    ],
)
def test_wells_are_chosen_by_any_columns(where: Any, expected: list[bool]) -> None:
    rows = wells(
        gene=["Cells", "ECT2", None, "cells"],
        dose=[0.0, 1.5, None, 0.0],
        seeded=[True, False, True, None],
        **{"batch number": ["7", "7", "8", None]},
    )
    assert control_mask(Controls(where=where), rows).tolist() == expected


def test_controls_come_in_the_order_of_the_plate() -> None:
    table = pa.table(
        {
            "well_id": ["B01", "A10", "A02"],
            "excluded": [False, False, False],
            "control_type": ["negative_vehicle"] * 3,
        }
    )
    assert on_plate(VEHICLE, table).wells == ("A02", "A10", "B01")


def test_a_column_that_no_well_has_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"no well has 'gen'; did you mean 'gene'"):
        check_columns(Controls(where={"gen": ("Cells",)}), wells(gene=["Cells"]), "mine.toml")


def test_a_plate_without_controls_is_an_error_that_says_what_there_is() -> None:
    plates = [on_plate(VEHICLE, wells(control_type=["treatment", "treatment", None]))]
    with pytest.raises(InvalidDataError) as caught:
        judge(VEHICLE, plates, "recipe standard")
    assert caught.value.message == (
        "recipe standard: plate P1 of study s has no control well (control_type 'negative_vehicle'); "
        "P1: control_type there: treatment (2), nothing (1)"
    )
    assert "cytolake annotate" in str(caught.value.hint)
    assert "whole-plate" in str(caught.value.hint)


def test_a_plate_whose_controls_are_excluded_or_empty_says_so() -> None:
    table = wells(control_type=["negative_vehicle"] * 3 + ["treatment"])
    excluded = table.set_column(3, "excluded", pa.array([True, True, False, False]))
    with pytest.raises(InvalidDataError, match=r"P1: excluded: A01, A02; without features: A03"):
        judge(VEHICLE, [on_plate(VEHICLE, excluded, with_rows=["A04"])], "mine.toml")


def test_plates_that_lack_controls_alike_are_told_together_and_where_the_value_stands() -> None:
    mock = Controls(where={"gene": ("Cells",)})
    plates = [
        plate_controls(
            mock, study_id="s", plate_id=plate, wells=wells(gene=[None, None], Genes=["Cells", "ECT2"]), with_rows=None
        )
        for plate in ("P1", "P2")
    ]
    with pytest.raises(InvalidDataError) as caught:
        judge(mock, plates, "mine.toml")
    assert caught.value.message == (
        "mine.toml: plates P1, P2 of study s have no control well (gene 'Cells'); "
        "P1, P2: gene there: nothing (2); 'Cells' stands in Genes"
    )


def test_few_controls_are_a_warning_an_error_or_leave_the_plate_out() -> None:
    kinds = ["negative_vehicle", "treatment"]
    many, few = wells(control_type=[kinds[0]] * 5), wells(control_type=[kinds[0]] * 3 + [kinds[1]])

    def judged(choice: Any) -> Any:
        controls = Controls(where=VEHICLE.where, min_wells=4, few=choice)
        plates = [on_plate(controls, table) for table in (many, few)]
        plates[0] = PlateControls(study_id="s", plate_id="P0", wells=plates[0].wells)
        return judge(controls, plates, "mine.toml")

    warned = judged("warn")
    assert warned.left_out == frozenset()
    assert warned.warnings == (
        "plate P1 of study s has 3 control well(s) (A01, A02, A03), fewer than 4, and is normalised all the same; "
        "control_type there: negative_vehicle (3), treatment (1)",
    )
    assert judged("leave_out").left_out == {("s", "P1")}
    with pytest.raises(InvalidDataError, match="fewer than 4 control wells"):
        judged("error")


def test_plates_without_controls_may_be_left_out_but_not_all() -> None:
    controls = Controls(where=VEHICLE.where, min_wells=1, none="leave_out")
    bad = on_plate(controls, wells(control_type=["treatment"]))
    good = PlateControls(study_id="s", plate_id="P2", wells=("A01",))
    judgement = judge(controls, [bad, good], "mine.toml")
    assert judgement.left_out == {("s", "P1")}
    assert judgement.warnings[0].startswith("plate P1 of study s is left out: no control well; control_type there")
    with pytest.raises(InvalidDataError, match="no plate has 1 or more control wells"):
        judge(controls, [bad], "mine.toml")
