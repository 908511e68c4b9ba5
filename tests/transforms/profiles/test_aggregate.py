"""From objects in Delta tables to wells and fields, against pandas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from cytolake.errors import InvalidDataError
from cytolake.schemas.tables import class_schema
from cytolake.store.commit import Commit
from cytolake.store.root import LakeRoot, init_root
from cytolake.store.scan import Filter, Scan, scan
from cytolake.transforms.profiles import aggregate
from cytolake.transforms.profiles.aggregate import aggregate_plate, aggregate_rows
from cytolake.transforms.profiles.matrix import ProfileMatrix

NAN = np.nan
KEY = ["acquisition_id", "timepoint", "well_id"]


class Lake:
    """Tables of features, filled plate by plate."""

    def __init__(self, root: LakeRoot) -> None:
        self.root = root

    def put(self, object_set: str, objects: pd.DataFrame, *, plate: str = "P1", kind: Any = "float32") -> None:
        """Commit the objects of a plate; columns that identify objects have usual values where there are none."""
        identity = class_schema("ObjectRow")
        usual = {"study_id": "s", "plate_id": plate, "acquisition_id": 1, "field_id": 1, "timepoint": 0, "run_id": "r"}
        full = objects.assign(
            **{k: v for k, v in usual.items() if k not in objects}, object_id=range(1, len(objects) + 1)
        )
        arrays = {
            name: pa.array(full[name], identity.field(name).type)
            if name in full
            else pa.nulls(len(full), identity.field(name).type)
            for name in identity.names
        }
        for name in objects.columns:
            if name not in arrays:
                arrays[name] = pa.array(objects[name].to_numpy(kind), from_pandas=True)
        schema = pa.schema([*identity, *(pa.field(n, a.type) for n, a in arrays.items() if n not in identity.names)])
        with Commit(self.root, run_id="r", app_id=f"test/{object_set}/{plate}") as commit:
            commit.replace(
                self.table(object_set), {"study_id": "s", "plate_id": plate}, pa.table(arrays, schema=schema)
            )
            commit.commit()

    def table(self, object_set: str) -> str:
        return f"features/test/abcd1234/{object_set}"

    def scans(self, *object_sets: str, plate: str = "P1") -> dict[str, Scan]:
        filters = [Filter("study_id", "=", "s"), Filter("plate_id", "=", plate)]
        return {name: scan(self.root, self.table(name), filters) for name in object_sets}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(init_root(tmp_path / "lake"))


def some_cells(n: int = 400, seed: int = 0) -> pd.DataFrame:
    """Objects in no order, on two acquisitions and two time points; values are missing and infinite here and there."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "acquisition_id": rng.integers(1, 3, n),
            "well_id": rng.choice(["A01", "A02", "A10", "B01", "AA01"], n, p=[0.5, 0.3, 0.1, 0.05, 0.05]),
            "field_id": rng.integers(0, 3, n),
            "timepoint": rng.integers(0, 2, n),
        }
    )
    for k in range(20):
        column = rng.normal(size=n)
        column[rng.random(n) < 0.1 * (k % 3)] = NAN
        frame[f"Cells_F{k}"] = column
    return frame


def by_pandas(frame: pd.DataFrame, method: str, by: list[str]) -> pd.DataFrame:
    features = [name for name in frame if name.startswith("Cells_")]
    return frame.groupby(by)[features].agg(method)


def keyed(found: ProfileMatrix, by: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame(found.values, columns=list(found.features))
    return frame.set_index(pd.MultiIndex.from_arrays([found.column(name) for name in by], names=by))


@pytest.mark.parametrize("kind", ["float64", "float32"])
@pytest.mark.parametrize("method", ["mean", "median"])
@pytest.mark.parametrize("by", ["well", "field"])
@pytest.mark.parametrize("columns", [1, 7, 100])
def test_as_pandas(lake: Lake, kind: str, method: Any, by: Any, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate, "_LEAST", columns)  # read so many at a time
    monkeypatch.setattr(aggregate, "_AT_ONCE", 1)
    frame = some_cells()
    lake.put("cells", frame, kind=kind)
    names = KEY + (["field_id"] if by == "field" else [])
    found = aggregate_plate(lake.scans("cells"), method=method, by=by)
    features = [name for name in frame if name.startswith("Cells_")]
    assert found.features == ("Cells_Count", *features)
    exact = frame.assign(**{name: frame[name].to_numpy(kind).astype(float) for name in features})
    want = by_pandas(exact, method, names).reindex(keyed(found, names).index)
    np.testing.assert_allclose(found.values[:, 1:], want.to_numpy(), rtol=1e-12, atol=1e-15)
    if method == "median":
        np.testing.assert_array_equal(found.values[:, 1:], want.to_numpy())
    sizes = frame.groupby(names).size()
    assert found.column("n_objects") == sizes.loc[keyed(found, names).index].tolist()
    assert found.values[:, 0].tolist() == found.column("n_objects")
    assert len(found) == len(sizes)


def test_rows_are_in_order_and_say_who_they_are(lake: Lake) -> None:
    lake.put("cells", some_cells())
    found = aggregate_plate(lake.scans("cells"))
    schema = class_schema("ProfileRow")
    assert found.rows.column_names == [name for name in schema.names if name not in ("run_id", "fit_version")]
    assert all(one.type == schema.field(one.name).type for one in found.rows.schema)
    assert set(found.column("study_id")) == {"s"}
    assert set(found.column("plate_id")) == {"P1"}
    assert found.column("field_id") == [None] * len(found)
    assert found.column("well_id")[:5] == ["A01", "A02", "A10", "B01", "AA01"]  # as on the plate
    order = list(zip(found.column("acquisition_id"), found.column("timepoint"), strict=True))
    assert order == sorted(order)


def test_several_object_sets(lake: Lake) -> None:
    lake.put("cells", pd.DataFrame({"well_id": ["A01", "A01", "A02"], "Cells_a": [1.0, 2.0, 3.0]}))
    lake.put("lipid_Droplets", pd.DataFrame({"well_id": ["A01", "A03"], "Lipid_Droplets_b": [5.0, 6.0]}))
    told: list[str] = []
    found = aggregate_plate(lake.scans("cells", "lipid_Droplets"), warnings=told)
    assert found.features == ("Cells_Count", "Cells_a", "Lipid_Droplets_Count", "Lipid_Droplets_b")
    np.testing.assert_array_equal(found.values, [[2, 1.5, 1, 5], [1, 3, 0, NAN], [0, NAN, 1, 6]])
    assert found.column("n_objects") == [2, 1, 0]  # of the first set
    assert told == [
        "plate P1: 1 of 3 wells have no cells, and no features of them: A03 (0)",
        "plate P1: 1 of 3 wells have no lipid_Droplets, and no features of them: A02 (0)",
    ]
    assert "Cells_Count" not in aggregate_plate(lake.scans("cells"), counts=False).features


def expected(*wells: str, **more: Any) -> pa.Table:
    rows = [
        {"study_id": "s", "plate_id": "P1", "acquisition_id": 1, "well_id": well, "timepoint": 0, **more}
        for well in wells
    ]
    return pa.Table.from_pylist(rows)


def test_wells_without_objects(lake: Lake) -> None:
    lake.put("cells", pd.DataFrame({"well_id": ["A02", "C03"], "Cells_a": [1.0, 2.0]}))
    found = aggregate_plate(lake.scans("cells"), expected=expected("A01", "A02"))
    assert found.column("well_id") == ["A01", "A02", "C03"]
    np.testing.assert_array_equal(found.values, [[0, NAN], [1, 1], [1, 2]])
    by_field = aggregate_plate(lake.scans("cells"), by="field", expected=expected("A01", "A02", field_id=7))
    assert list(zip(by_field.column("well_id"), by_field.column("field_id"), strict=True)) == [
        ("A01", 7), ("A02", 1), ("A02", 7), ("C03", 1),
    ]  # fmt: skip


def test_a_plate_without_any_object(lake: Lake) -> None:
    lake.put("cells", pd.DataFrame({"well_id": ["A02"], "Cells_a": [1.0]}))
    found = aggregate_plate(lake.scans("cells", plate="P9"), expected=expected("A01"))
    assert (found.column("plate_id"), found.features, found.values.tolist()) == (["P1"], ("Cells_Count",), [[0.0]])
    nothing = aggregate_plate(lake.scans("cells", plate="P9"))
    assert nothing.values.shape == (0, 1)


def test_few_objects_leave_features_empty(lake: Lake) -> None:
    frame = pd.DataFrame({"well_id": ["A01"] * 5 + ["A02"] * 4, "Cells_a": np.arange(9.0)})
    lake.put("cells", frame)
    told: list[str] = []
    found = aggregate_plate(lake.scans("cells"), min_objects=5, warnings=told)
    np.testing.assert_array_equal(found.values, [[5, 2], [4, NAN]])
    assert told == ["plate P1: 1 of 2 wells have fewer than 5 cells, and no features of them: A02 (4)"]


def test_missing_and_infinite_values(lake: Lake) -> None:
    values = {"Cells_a": [1.0, np.inf, 3.0, NAN, -np.inf], "Cells_b": [NAN, NAN, NAN, 4.0, np.inf]}
    lake.put("cells", pd.DataFrame({"well_id": ["A01", "A01", "A01", "A02", "A02"], **values}))
    told: list[str] = []
    for method in ("mean", "median"):
        told.clear()
        found = aggregate_plate(lake.scans("cells"), method=method, warnings=told)
        np.testing.assert_array_equal(found.values, [[3, 2, NAN], [2, NAN, 4]])
    assert told == ["plate P1: 3 infinite value(s) in 2 feature(s) of cells, most in Cells_a, count as missing"]


def test_features_that_other_plates_have_are_not_made_up(lake: Lake) -> None:
    lake.put("cells", pd.DataFrame({"well_id": ["A01"], "Cells_a": [1.0]}))
    lake.put("cells", pd.DataFrame({"well_id": ["A01"], "Cells_a": [2.0], "Cells_b": [3.0]}), plate="P2")
    assert aggregate_plate(lake.scans("cells")).features == ("Cells_Count", "Cells_a")
    assert aggregate_plate(lake.scans("cells", plate="P2")).features == ("Cells_Count", "Cells_a", "Cells_b")


def test_one_file_with_rows_of_other_plates(lake: Lake) -> None:
    lake.put(
        "cells",
        pd.DataFrame({"well_id": ["A01"] * 3, "Cells_a": [1.0, 2.0, 9.0], "plate_id": ["P1", "P1", "P2"]}),
        plate="x",
    )
    assert aggregate_plate(lake.scans("cells")).values.tolist() == [[2, 1.5]]


def test_a_table_that_only_its_own_engine_can_read(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = some_cells()
    lake.put("cells", frame)
    plain = aggregate_plate(lake.scans("cells"))
    (one,) = lake.scans("cells").values()
    delta = lake.root.tables.open(lake.table("cells"))
    other = replace(one, plain=False, files=(), _delta=delta)
    found = aggregate_plate({"cells": other})
    assert found.rows.equals(plain.rows)
    np.testing.assert_array_equal(found.values, plain.values)


def test_what_is_refused(lake: Lake) -> None:
    lake.put("cells", pd.DataFrame({"well_id": ["A01"], "a": [1.0]}))
    lake.put("nuclei", pd.DataFrame({"well_id": ["A01"], "a": [1.0]}))
    lake.put("cells", pd.DataFrame({"well_id": ["A01"], "a": [1.0]}), plate="P2")
    with pytest.raises(InvalidDataError, match="two features are called 'a': one of cells, one of nuclei"):
        aggregate_plate(lake.scans("cells", "nuclei"))
    both = {"cells": scan(lake.root, lake.table("cells"))}
    with pytest.raises(InvalidDataError, match="of one plate were asked for, and these are of 2: s/P1, s/P2"):
        aggregate_plate(both)
    lake.put("spots", pd.DataFrame({"well_id": ["A01"], "Spots_Count": [1.0]}))
    with pytest.raises(InvalidDataError, match="'Spots_Count': one of the number of spots, one of spots"):
        aggregate_plate(lake.scans("spots"))
    assert aggregate_plate(lake.scans("spots"), counts=False).features == ("Spots_Count",)


def test_the_same_to_the_bit(lake: Lake) -> None:
    lake.put("cells", some_cells())
    for method in ("mean", "median"):
        one, other = (aggregate_plate(lake.scans("cells"), method=method) for _ in range(2))
        assert one.values.tobytes() == other.values.tobytes()


def fields(values: Mapping[str, list[float]], **columns: list[Any]) -> ProfileMatrix:
    n = len(next(iter(values.values())))
    usual = {"study_id": ["s"] * n, "plate_id": ["P1"] * n, "acquisition_id": [1] * n, "well_id": ["A01"] * n}
    usual |= {"field_id": list(range(n)), "timepoint": [0] * n, "n_objects": [None] * n}
    return ProfileMatrix(
        rows=pa.table({**usual, **columns}), features=tuple(values), values=np.array(list(values.values()), float).T
    )


def test_wells_from_fields() -> None:
    one = fields(
        {"a": [1, 2, 6, 4], "Count_Cells": [10, 20, 30, NAN], "c": [NAN, np.inf, 7, NAN]},
        well_id=["A01", "A01", "A01", "B02"],
        n_objects=[10, 20, 30, None],
    )
    told: list[str] = []
    found = aggregate_rows(one, method="mean", summed=["Count_Cells", "not there"], warnings=told)
    assert found.column("well_id") == ["A01", "B02"]
    assert found.column("n_objects") == [60, None]
    assert found.column("field_id") == [None, None]
    np.testing.assert_array_equal(found.values, [[3, 60, 7], [4, NAN, NAN]])
    assert told == ["1 infinite value(s) of fields count as missing"]
    assert aggregate_rows(one).values[0].tolist() == [2, 20, 7]


def test_wells_from_fields_of_several_plates() -> None:
    one = fields({"a": [1, 2, 3, 5]}, plate_id=["P2", "P1", "P1", "P1"], timepoint=[0, 0, 1, 1])
    found = aggregate_rows(one)
    assert list(zip(found.column("plate_id"), found.column("timepoint"), strict=True)) == [
        ("P2", 0),
        ("P1", 0),
        ("P1", 1),
    ]
    assert found.values[:, 0].tolist() == [1, 2, 4]
    assert len(aggregate_rows(one.select_rows(np.zeros(4, np.bool_)))) == 0
