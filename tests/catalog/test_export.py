"""Tables handed out: what is in the files, in which order and under which names; and that nothing is half written."""

from __future__ import annotations

import csv
import gzip
import io
import math
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cytolake.catalog.export as exporting
import cytolake.catalog.selection as selecting
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cytolake.catalog.export import export
from cytolake.catalog.selection import check_condition
from cytolake.errors import (
    AlreadyExistsError,
    InvalidDataError,
    MissingExtraError,
    NotFoundError,
    QueryError,
    StorageError,
    UsageError,
)
from cytolake.lake import Lake

AREA, DNA, MITO = "Nuclei_AreaShape_Area", "Nuclei_Intensity_MeanIntensity_DNA", "Nuclei_Intensity_MeanIntensity_Mito"


def read_csv(path: Path) -> list[dict[str, str]]:
    data = path.read_bytes()
    text = gzip.decompress(data).decode() if path.name.endswith(".gz") else data.decode()
    return list(csv.DictReader(io.StringIO(text)))


def objects(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[f"Metadata_{name}"] for name in ("Study", "Plate", "Well", "ObjectNumber"))


@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
def test_csv_as_pycytominer_expects_it(shared_lake: Any, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"nuclei.{suffix}"
    said = export(shared_lake.root, "nuclei", target)
    found = read_csv(target)
    assert [objects(row) for row in found] == [
        ("one", "P1", "A01", "1"),
        ("one", "P1", "A01", "2"),
        ("one", "P1", "A02", "1"),
        ("one", "P1", "H12", "1"),
        ("one", "P2", "A01", "1"),
        ("one", "P2", "B02", "1"),
        ("two", "P1", "A01", "1"),
        ("two", "P1", "A01", "2"),
    ]
    assert list(found[0])[:6] == [
        "Metadata_Study",
        "Metadata_Plate",
        "Metadata_Well",
        "Metadata_Acquisition",
        "Metadata_Site",
        "Metadata_Timepoint",
    ]
    assert [name for name in found[0] if not name.startswith("Metadata_")] == [AREA, DNA, MITO]
    # An empty cell where there is no value, and the shortest number that is the float32.
    assert (found[0][AREA], found[0][DNA], found[0][MITO], found[0]["Metadata_compound"]) == ("100", "0.5", "", "")
    assert found[1][DNA] == "0.6"
    assert found[2]["Metadata_compound"] == "nocodazole"
    assert (said["rows"], said["features"], said["format"], said["layout"]) == (8, 3, suffix, "pycytominer")
    assert said["columns"] == len(found[0])
    assert said["bytes"] == target.stat().st_size
    assert said["sets"] == ["nuclei@1"]
    assert said["tables"]["wells"] == shared_lake.root.tables.version("wells")


def test_parquet_keeps_types_and_plain_keeps_names(shared_lake: Any, tmp_path: Path) -> None:
    target = tmp_path / "nuclei.parquet"
    export(shared_lake.root, "nuclei", target, layout="plain")
    found = pq.read_table(target)
    assert found.schema.field(AREA).type == pa.float32()
    assert found.schema.field("object_id").type == pa.int32()
    assert found.column_names[:4] == ["study_id", "plate_id", "well_id", "acquisition_id"]
    assert found[MITO].to_pylist()[:2] == [None, None]


def test_the_same_rows_make_the_same_file(shared_lake: Any, tmp_path: Path) -> None:
    for suffix in ("csv.gz", "parquet"):
        first, second = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
        for target in (first, second):
            export(shared_lake.root, "nuclei", target)
        assert first.read_bytes() == second.read_bytes()


def test_rows_are_read_in_pieces_and_no_piece_is_lost(
    lake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wells = [f"{row}{column:02}" for row in "ABCDEFGH" for column in range(1, 13)]
    values = {well: [{AREA: float(number), DNA: 0.0}] * 3 for number, well in enumerate(wells)}
    lake.features("one", "P3", dict(reversed(values.items())))
    whole = tmp_path / "whole.csv"
    export(lake.root, "nuclei", whole)
    monkeypatch.setattr(selecting, "_FEWEST", 7)
    monkeypatch.setattr(selecting, "_PIECE_BYTES", 0)
    asked: list[str] = []
    again = selecting.Result.again
    monkeypatch.setattr(selecting.Result, "again", lambda self, query: asked.append(query) or again(self, query))
    pieces = tmp_path / "pieces.csv"
    export(lake.root, "nuclei", pieces)
    assert len([query for query in asked if "ORDER BY" in query and "count(*)" not in query]) > 30
    assert pieces.read_bytes() == whole.read_bytes()
    assert len(read_csv(whole)) == 8 + 3 * len(wells)


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        ({"where": "compound = 'nocodazole' AND study_id = 'two'"}, 2),
        ({"study": "one", "plates": ["P2"]}, 2),
        ({"where": f"{AREA} > 100 -- large ones"}, 4),
        ({"where": "control_type = 'x;y'", "study": None}, 0),
        ({"where": "study_id = 'two' OR true", "plates": ["P2"]}, 2),
    ],
)
def test_some_rows_alone(shared_lake: Any, tmp_path: Path, asked: dict[str, Any], rows: int) -> None:
    target = tmp_path / "some.csv"
    if rows:
        assert export(shared_lake.root, "nuclei", target, **asked)["rows"] == rows == len(read_csv(target))
    else:
        with pytest.raises(NotFoundError, match="no row of"):
            export(shared_lake.root, "nuclei", target, **asked)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "where",
    [
        "true) UNION ALL SELECT * FROM nuclei WHERE (true",
        "true) ORDER BY (1",
        "true) GROUP BY (study_id",
        "true; DELETE FROM wells",
        "true) LIMIT (1",
        "false) OR (true",
        "",
        "-- nothing",
        "study_id = 'one",
    ],
)
def test_a_condition_is_no_more_than_that(shared_lake: Any, tmp_path: Path, where: str) -> None:
    with pytest.raises(QueryError, match="condition"):
        export(shared_lake.root, "nuclei", tmp_path / "x.csv", where=where)
    assert list(tmp_path.iterdir()) == []


def test_a_condition_may_hold_a_question_that_reads_but_reads_the_lake_alone(shared_lake: Any, tmp_path: Path) -> None:
    check_condition("plate_id IN (SELECT plate_id FROM plates)")
    target = tmp_path / "x.csv"
    export(shared_lake.root, "nuclei", target, where="plate_id IN (SELECT plate_id FROM plates WHERE study_id = 'two')")
    assert {row["Metadata_Plate"] for row in read_csv(target)} == {"P1"}
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with pytest.raises(QueryError):
        export(shared_lake.root, "nuclei", tmp_path / "y.csv", where=f"1 IN (SELECT a FROM read_csv('{secret}'))")


def test_a_table_of_one_set_has_its_wells_beside_it(lake: Any, tmp_path: Path) -> None:
    table = lake.features("one", "P1", {"A02": [{AREA: 1.0, DNA: 2.0}]})
    target = tmp_path / "set.parquet"
    export(lake.root, f'"{table}"', target, plates=["P1"], study="one")
    (row,) = pq.read_table(target).to_pylist()
    assert (row["Metadata_compound"], row["Metadata_Well"], row[AREA]) == ("nocodazole", "A02", 1.0)
    export(lake.root, table, target, layout="plain", overwrite=True)
    assert "compound" not in pq.read_table(target).column_names


def test_profiles_and_treatments(lake: Any, tmp_path: Path) -> None:
    lake.profiles("one", {"A01": {AREA: 0.5}, "A02": {AREA: 7.25}})
    target = tmp_path / "profiles.csv"
    said = export(lake.root, "profiles", target)
    assert [(row["Metadata_Well"], row[AREA], row["Metadata_Object_Count"]) for row in read_csv(target)] == [
        ("A01", "0.5", "10"),
        ("A02", "7.25", "10"),
    ]
    assert said["sets"] == ["standard@1"]
    lake.profiles(
        "one",
        {"b | 2": {AREA: 2.0}, "a | 1": {AREA: 1.0}},
        level="treatment",
        name="treated",
        definition={"consensus": {"by": ["perturbation"]}},
    )
    export(lake.root, "treatment_profiles", target, overwrite=True)
    assert [row["Metadata_treatment"] for row in read_csv(target)] == ["a | 1", "b | 2"]


def test_other_tables_keep_their_names_and_say_times_as_iso(lake: Any, tmp_path: Path) -> None:
    lake.put("wells", {"study_id": "one", "plate_id": "P9", "well_id": "A01", "attributes": [("dose, µM", "1\n2")]})
    target = tmp_path / "wells.csv"
    said = export(lake.root, "wells", target, where="plate_id = 'P9'")
    (row,) = read_csv(target)
    assert (said["layout"], row["attributes"]) == ("plain", '{"dose, µM": "1\\n2"}')
    from cytolake.store.commit import Commit
    from cytolake.store.lineage import Run

    with Commit(lake.root, run_id="r", app_id="r") as commit:
        commit.append("runs", Run.start("ingest").record("ok"))
        commit.commit()
    export(lake.root, "runs", target, overwrite=True)
    started = read_csv(target)[0]["started_at"]
    assert started[10] == "T"
    assert started.endswith("Z")


def test_as_of_a_release(lake: Any, tmp_path: Path) -> None:
    Lake(lake.root).create_release("spring")
    lake.features("two", "P1", {"A01": [{AREA: 1.0}]})
    target = tmp_path / "n.csv"
    assert export(lake.root, "nuclei", target, study="two")["rows"] == 1
    assert export(lake.root, "nuclei", target, study="two", as_of="spring", overwrite=True)["rows"] == 2
    with pytest.raises(NotFoundError, match="sprung"):
        export(lake.root, "nuclei", tmp_path / "o.csv", as_of="sprung")


@pytest.mark.parametrize(
    ("table", "name", "options", "error", "said"),
    [
        ("nuclei", "x.xlsx", {}, UsageError, "its ending says no format"),
        ("nuclei", "x", {"format": "parket"}, UsageError, "did you mean 'parquet'"),
        ("nuclei", "x.csv", {"layout": "pycyto"}, UsageError, "no layout"),
        ("nucle", "x.csv", {}, QueryError, "no table 'nucle'"),
        ("studies", "x.csv", {"plates": ["P1"]}, QueryError, "no column plate_id"),
        ("nuclei", "x.csv", {"study": "three"}, NotFoundError, "no row of study three"),
        ("nuclei", "no/x.csv", {}, StorageError, "is no folder"),
        ("wells", "x.h5ad", {}, InvalidDataError, "could be a feature"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(
    shared_lake: Any, tmp_path: Path, table: str, name: str, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        export(shared_lake.root, table, tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_too_long_is_told(shared_lake: Any, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        export(shared_lake.root, "nuclei", tmp_path / f"{'x' * 240}.csv")


def test_a_file_that_is_there_stays_unless_it_may_be_replaced(shared_lake: Any, tmp_path: Path) -> None:
    for name in ("n.csv", "n.zarr"):
        target = tmp_path / name
        target.write_text("mine")
        with pytest.raises(AlreadyExistsError, match="is there already"):
            export(shared_lake.root, "nuclei", target)
        assert target.read_text() == "mine"
        for _ in range(2):
            assert export(shared_lake.root, "nuclei", target, overwrite=True)["rows"] == 8
    folder = tmp_path / "data.zarr"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(AlreadyExistsError, match="no Zarr"):
        export(shared_lake.root, "nuclei", folder, overwrite=True)
    assert (folder / "thesis.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.zarr", "n.csv", "n.zarr"]


def test_a_disk_that_fails_leaves_what_was_there(
    shared_lake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import anndata

    def full(self: Any, path: Path) -> None:
        Path(path).write_text("half")
        raise OSError(28, "No space left on device")

    target = tmp_path / "n.h5ad"
    target.write_text("mine")
    monkeypatch.setattr(anndata.AnnData, "write_h5ad", full)
    with pytest.raises(StorageError, match="No space left"):
        export(shared_lake.root, "nuclei", target, overwrite=True)
    assert target.read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_features_that_pycytominer_would_not_find_are_named(lake: Any, tmp_path: Path) -> None:
    lake.features("one", "P1", {"A01": [{"Spots_AreaShape_Area": 1.0}]}, object_set="spots", name="spots")
    said = export(lake.root, "spots", tmp_path / "spots.csv")
    assert "compartments=['spots']" in said["warnings"][0]
    assert export(lake.root, "nuclei", tmp_path / "n.csv")["warnings"] == []


def test_features_without_any_value_are_told(shared_lake: Any, tmp_path: Path) -> None:
    for name in ("n.csv", "n.h5ad"):
        (told,) = export(shared_lake.root, "nuclei", tmp_path / name, study="one")["warnings"]
        assert told.startswith(f"1 of 3 features have no value in any of these rows: {MITO};")


def test_an_empty_table_has_its_columns(empty_lake: Any, tmp_path: Path) -> None:
    said = export(empty_lake.root, "wells", tmp_path / "w.csv")
    assert said["rows"] == 0
    assert "no rows" in said["warnings"][0]
    assert (tmp_path / "w.csv").read_text().startswith("study_id,plate_id,well_id")


@pytest.fixture
def read_anndata(tmp_path: Path) -> Iterator[Any]:
    import anndata

    def read(path: Path) -> Any:
        return anndata.read_h5ad(path) if path.suffix == ".h5ad" else anndata.read_zarr(path)

    with warnings.catch_warnings():
        # Slices of AnnData set an option that pandas 3 has given up; it is theirs.
        warnings.filterwarnings("ignore", message="The 'mode.chained_assignment' option is deprecated")
        yield read


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_anndata(shared_lake: Any, tmp_path: Path, read_anndata: Any, suffix: str) -> None:
    target = tmp_path / f"nuclei.{suffix}"
    said = export(shared_lake.root, "nuclei", target)
    found = read_anndata(target)
    assert (said["rows"], said["layout"]) == (8, None)
    assert found.shape == (8, 3)
    assert found.X.dtype == "float32"
    assert list(found.var_names) == [AREA, DNA, MITO]
    assert found.obs_names[0] == "one/P1/A01/1/1"
    assert found.obs_names.is_unique
    assert found.X[2].tolist()[:2] == pytest.approx([200.0, 0.7])
    assert math.isnan(found.X[0, 2])
    assert found.var.loc[AREA, "unit"] == "px"
    assert found.var.loc[DNA, "definition"] == f"what {DNA} means"
    assert found.obs["well_id"].tolist()[:2] == ["A01", "A01"]
    assert found.obs["object_id"].tolist()[:3] == [1, 2, 1]
    about = found.uns["cytolake"]
    assert list(about["feature_sets"]) == ["nuclei@1"]
    asked = shared_lake.catalog.sql("SELECT DISTINCT run_id FROM nuclei ORDER BY 1").fetchall()
    assert [str(one) for one in about["run_ids"]] == [run for (run,) in asked]
    # As scanpy works with it: by names of features, and by groups of rows.
    controls = found[found.obs["control_type"] == "negative_vehicle", [AREA]]
    assert sorted(controls.X[:, 0].tolist()) == [90.0, 100.0, 110.0]
    assert found.obs_vector(AREA)[0] == 100.0
    assert found.to_df().groupby(found.obs["plate_id"], observed=True)[AREA].mean()["P2"] == pytest.approx(92.5)


def test_an_answer_as_anndata(lake: Any, read_anndata: Any) -> None:
    lake.profiles("one", {"A01": {AREA: 0.5}, "A02": {AREA: 7.25}}, definition={"source": {"hash": "?"}})
    made = Lake(lake.root).sql(f"SELECT plate_id, well_id, {AREA}, {AREA} * 2 AS twice FROM profiles").to_anndata()
    assert made.X.tolist() == [[0.5, 1.0], [7.25, 14.5]]
    assert made.X.dtype == "float64"
    assert list(made.obs.columns) == ["plate_id", "well_id"]
    assert list(made.obs_names) == ["P1/A01", "P1/A02"]
    assert list(made.uns["cytolake"]["profile_sets"]) == ["standard@1"]
    with pytest.raises(InvalidDataError, match="could be a feature"):
        Lake(lake.root).sql("SELECT plate_id FROM plates").to_anndata()


def test_rows_of_a_table(shared_lake: Any) -> None:
    lake = Lake(shared_lake.root)
    assert lake.table("wells").to_arrow().num_rows == 6
    assert lake.table("nuclei", "study_id = 'two'").to_pandas()[AREA].tolist() == [210.0, 220.0]
    assert lake.table("nuclei", where="study_id = 'two'").to_anndata().n_obs == 2
    with pytest.raises(QueryError, match="no condition"):
        lake.table("wells", where="true) LIMIT (1")


def test_the_extra_is_named(shared_lake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(MissingExtraError, match=r"cytolake\[anndata\]"):
        export(shared_lake.root, "nuclei", tmp_path / "x.h5ad")
    with pytest.raises(MissingExtraError, match=r"cytolake\[anndata\]"):
        Lake(shared_lake.root).sql("SELECT * FROM nuclei").to_anndata()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_compacted_away_is_asked_again(
    lake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cytolake.catalog.messages import FileIsGoneError

    calls: list[int] = []
    stream = exporting.Selection.stream

    def gone_once(self: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise FileIsGoneError("a file is gone")
        return stream(self)

    monkeypatch.setattr(exporting.Selection, "stream", gone_once)
    assert export(lake.root, "nuclei", tmp_path / "n.csv")["rows"] == 8
    assert len(calls) == 2
