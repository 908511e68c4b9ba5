"""Which sets there are, and what each holds: from registries and logs."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from cytolake.catalog.sets import list_sets, show_set
from cytolake.errors import NotFoundError
from cytolake.store.commit import Commit
from cytolake.store.contents import held_rows
from cytolake.store.current import choose

AREA, DNA = "Nuclei_AreaShape_Area", "Nuclei_Intensity_MeanIntensity_DNA"


@pytest.fixture
def three(lake: Any) -> Any:
    """Two versions of features and profiles made of the first."""
    lake.features("one", "P1", {"A01": [{AREA: 1.0, DNA: 2.0}]}, definition={"v": 2})
    source = next(one["hash"] for one in list_sets(lake.root) if one["label"] == "nuclei@1")
    lake.profile_set(
        "robust",
        {"P1": {"A01": {AREA: 1.0}, "A02": {AREA: 2.0}}, "P2": {"A01": {AREA: 3.0}}},
        definition={"source": {"kind": "features", "hash": source}, "steps": [{"operator": "robust_z"}]},
        controls=("P1/A01", "P1/A02"),
    )
    return lake


def test_every_set_says_what_it_is_and_holds(three: Any) -> None:
    first, second, profiles = list_sets(three.root)
    assert [first["label"], second["label"], profiles["label"]] == ["nuclei@1", "nuclei@2", "robust@1"]
    assert (first["kind"], first["origin"], first["parts"], first["source"]) == (
        "features",
        "computed",
        ["nuclei"],
        None,
    )
    assert (first["studies"], first["plates"], first["rows"]) == (["one", "two"], 3, 9)
    assert first["columns"] == 3
    assert (first["current_in"], second["current_in"]) == (["two"], ["one"])
    assert (second["studies"], second["plates"], second["rows"]) == (["one"], 1, 1)
    assert (profiles["kind"], profiles["origin"], profiles["source"]) == ("profiles", "recipe", "nuclei@1")
    assert (profiles["plates"], profiles["rows"], profiles["fit_versions"]) == (2, 3, [1])
    assert profiles["current_in"] == ["one"]


def test_a_choice_is_told(three: Any) -> None:
    choose(three.root, "nuclei@1", study_id="one")
    first, second, _ = list_sets(three.root)
    assert (first["current_in"], first["chosen_in"]) == (["one", "two"], ["one"])
    assert (second["current_in"], second["chosen_in"]) == ([], [])


def test_of_one_study(three: Any) -> None:
    (only,) = list_sets(three.root, "two")
    assert (only["label"], only["studies"], only["plates"]) == ("nuclei@1", ["two"], 1)
    with pytest.raises(NotFoundError, match="three"):
        list_sets(three.root, "three")


def test_nothing_is_read_to_list_them(three: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from cytolake.store import scan

    opened: list[str] = []
    real = scan.Scan._open

    def counted(self: Any, file: Any) -> Any:
        opened.append(self.table)
        return real(self, file)

    monkeypatch.setattr(scan.Scan, "_open", counted)
    list_sets(three.root)
    assert not [name for name in opened if name.startswith(("features/", "profiles/"))]


def test_an_imported_set_says_from_what(lake: Any) -> None:
    lake.profile_set(
        "theirs",
        {"P1": {"A01": {AREA: 1.0}}},
        definition={"imported": {"dialect": "pycytominer", "name": "theirs"}, "levels": ["well"]},
        recipe=None,
    )
    found = next(one for one in list_sets(lake.root) if one["name"] == "theirs")
    assert (found["origin"], found["dialect"], found["source"]) == ("imported", "pycytominer", None)


def test_a_column_of_several_words_has_no_family(lake: Any) -> None:
    definition = {"imported": {"dialect": "idr", "name": "theirs"}, "levels": ["well"]}
    profiles = {"P1": {"A01": {AREA: 1.0, "Neighbour_Fraction": 0.5}}}
    lake.profile_set("theirs", profiles, definition=definition, recipe=None)
    families = {AREA: "AreaShape", "Neighbour_Fraction": "Neighbour Fraction"}
    found = next(one for one in list_sets(lake.root) if one["name"] == "theirs")
    entries = [
        {"feature_set_hash": found["hash"], "object_set": "well", "column": column, "family": family, "operator": "x"}
        for column, family in families.items()
    ]
    lake.put("feature_dictionary", *entries)
    assert show_set(lake.root, "theirs")["contents"]["well"]["families"] == {"AreaShape": 1, "other": 1}


def test_a_set_in_full(three: Any) -> None:
    shown = show_set(three.root, "nuclei@1")
    nuclei = shown["contents"]["nuclei"]
    # The dictionary of these tests lacks the column that the second study adds.
    assert nuclei["families"] == {"AreaShape": 1, "Intensity": 1, "other": 1}
    assert nuclei["rows"] == 9
    assert [(one["study_id"], one["plate_id"], one["rows"]) for one in nuclei["plates"]] == [
        ("one", "P1", 5),
        ("one", "P2", 2),
        ("two", "P1", 2),
    ]
    assert (shown["lineage"], shown["fits"], shown["definition"]) == ([], [], {"objects": {"nuclei": {}}})


def test_a_profile_set_in_full(three: Any) -> None:
    shown = show_set(three.root, "robust")
    assert [one["label"] for one in shown["lineage"]] == ["nuclei@1"]
    assert shown["recipe"] == "name = 'x'"
    # Families are those of the features that it was made from.
    assert shown["contents"]["well"]["families"] == {"AreaShape": 1}
    (fit,) = shown["fits"]
    assert (fit["version"], fit["steps"], fit["units"], fit["controls"]) == (1, ["robust_z"], ["one/P1"], 2)


def test_a_set_that_is_not_there(three: Any) -> None:
    with pytest.raises(NotFoundError, match="nuclei@9"):
        show_set(three.root, "nuclei@9")


def test_a_file_of_several_plates_is_counted_plate_by_plate(lake: Any) -> None:
    one = lake.profile_set("x", {"P1": {"A01": {AREA: 1.0}, "A02": {AREA: 1.0}}}, definition={"n": 1})
    table = f"profiles/x/{one[:8]}/well"
    rows = lake.root.tables.read(table)
    names = rows.column_names
    both = pa.concat_tables(
        [rows, rows.set_column(names.index("plate_id"), "plate_id", pa.array(["P2", "P3"], pa.string()))]
    )
    with Commit(lake.root, run_id="p0002", app_id="compacted") as commit:
        commit.delete(table, {"study_id": "one"})
        commit.append(table, both)
        commit.commit()
    assert [(row.plate_id, row.rows) for row in held_rows(lake.root, table)] == [("P1", 2), ("P2", 1), ("P3", 1)]
    assert held_rows(lake.root, "profiles/x/00000000/well") == []


def test_an_empty_lake_has_no_sets(empty_lake: Any) -> None:
    assert list_sets(empty_lake.root) == []
