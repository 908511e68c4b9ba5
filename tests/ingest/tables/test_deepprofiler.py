"""DeepProfiler: arrays of fields, whose metadata are never unpickled, and tables of wells."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from cytolake import Lake, init_lake
from cytolake.errors import InvalidDataError, SourceFileError

RNG = np.random.default_rng(4)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return init_lake(tmp_path / "lab")


class Trap:
    """What runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def write(path: Path, features: np.ndarray, *, trap: Path | None = None, locations: bool = True) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = np.empty((), dtype=object)
    metadata[()] = {"Metadata_Plate": "P", "Metadata_Model": Trap(trap) if trap else "efficientnet"}
    arrays = {"features": features, "metadata": metadata}
    if locations:
        arrays["locations"] = np.stack([np.arange(len(features)), 100 + np.arange(len(features))], axis=1)
    np.savez_compressed(path, **arrays)
    return features


def test_fields(lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "run1" / "features"
    trap = tmp_path / "sprung"
    one = write(folder / "SQ001" / "B02" / "3.npz", RNG.normal(size=(5, 12)).astype(np.float32), trap=trap)
    write(folder / "SQ001" / "B03" / "1.npz", RNG.normal(size=(2, 12)).astype(np.float32))
    write(folder / "SQ001" / "B03" / "2.npz", np.empty((0, 12), np.float32))
    report = lake.import_tables(folder, study="s")
    assert not trap.exists()
    assert (report["dialect"], report["level"], report["rows"]) == ("deepprofiler", "object", 7)
    (table,) = report["tables"]
    assert table.endswith("/cells")
    rows = [row for row in lake.root.tables.read(table).to_pylist() if row["well_id"] == "B02"]
    rows.sort(key=lambda row: row["object_id"])
    assert [(row["plate_id"], row["field_id"], row["object_id"]) for row in rows] == [
        ("SQ001", 3, n) for n in range(1, 6)
    ]
    values = np.array([[row[f"DP_{k}"] for k in range(12)] for row in rows], np.float32)
    np.testing.assert_array_equal(values, one)
    assert [(row["Cells_Location_Center_X"], row["Cells_Location_Center_Y"]) for row in rows][:2] == [
        (0, 100),
        (1, 101),
    ]
    assert report["columns_unmapped"] == 0
    assert any("pickled" in text for text in report["warnings"])
    assert any("1 .npz have no cells" in text for text in report["warnings"])
    families = {row["family"] for row in lake.root.tables.read("feature_dictionary").to_pylist()}
    assert families == {"Embedding", "Location"}


@pytest.mark.parametrize("name", ["SQ001/B02_3.npz", "SQ001/B02-s3.npz", "SQ001/r02c02/site_03.npz", "SQ001/B2/f3.npz"])
def test_ways_to_write_the_path(lake: Lake, tmp_path: Path, name: str) -> None:
    write(tmp_path / "in" / name, RNG.normal(size=(1, 8)), locations=False)
    report = lake.import_tables(tmp_path / "in", study="s")
    (row,) = lake.root.tables.read(next(iter(report["tables"]))).to_pylist()
    assert (row["plate_id"], row["well_id"], row["field_id"]) == ("SQ001", "B02", 3)


def test_locations_that_are_pickled_are_left_out(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "in" / "P" / "A01" / "1.npz"
    path.parent.mkdir(parents=True)
    objects = np.empty((1, 2), dtype=object)
    np.savez(path, features=np.ones((1, 8)), locations=objects)
    report = lake.import_tables(tmp_path / "in", study="s")
    (row,) = lake.root.tables.read(next(iter(report["tables"]))).to_pylist()
    assert "Cells_Location_Center_X" not in row


@pytest.mark.parametrize(
    ("name", "features", "says"),
    [
        ("P/B02/x.npz", np.ones((1, 8)), "no number of a site"),
        ("P/somewhere/1.npz", np.ones((1, 8)), "tells no well"),
        ("P/B02/1.npz", np.ones(8), "1 dimensions"),
        ("P/B02/1.npz", np.array([[object()]]), "pickled objects"),
        ("P/B02/1.npz", np.array([["a", "b"]]), "<U1"),
    ],
)
def test_what_is_refused(lake: Lake, tmp_path: Path, name: str, features: np.ndarray, says: str) -> None:
    path = tmp_path / "in" / name
    path.parent.mkdir(parents=True)
    pickled = features.dtype == object
    if pickled:
        features = np.array([[None]], dtype=object)
    np.savez(path, features=features)
    with pytest.raises(InvalidDataError, match=says):
        lake.import_tables(tmp_path / "in", study="s")


def test_a_damaged_array(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "in" / "P" / "B02" / "1.npz"
    write(path, RNG.normal(size=(200, 8)))
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("features.npy").header_offset + 400
    path.write_bytes(whole[:at] + bytes(100) + whole[at + 100 :])
    with pytest.raises(SourceFileError, match="is damaged"):
        lake.import_tables(tmp_path / "in", study="s")


def test_an_archive_of_something_else(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "1.npz"
    path.write_bytes(pickle.dumps({"features": 1}))
    with pytest.raises(InvalidDataError, match="no dialect knows"):
        lake.import_tables(path, study="s")


def test_tables_of_wells(lake: Lake, tmp_path: Path) -> None:
    header = ["Metadata_Plate", "Metadata_Well", "Metadata_broad_sample", *(f"efficientnet_{k}" for k in range(10))]
    lines = [["P1", "A01", "DMSO", *map(str, range(10))], ["P1", "A02", "BRD-1", *([""] * 10)]]
    path = tmp_path / "profiles.csv"
    path.write_text("\n".join(",".join(line) for line in [header, *lines]))
    report = lake.import_tables(path, study="s")
    assert (report["dialect"], report["level"], report["rows"], report["columns_unmapped"]) == (
        "deepprofiler",
        "well",
        2,
        0,
    )
    rows = {row["well_id"]: row for row in lake.root.tables.read(next(iter(report["tables"]))).to_pylist()}
    assert rows["A01"]["efficientnet_7"] == 7
    assert rows["A02"]["efficientnet_7"] is None
    wells = {row["well_id"]: dict(row["attributes"]) for row in lake.root.tables.read("wells").to_pylist()}
    assert wells["A02"] == {"Metadata_broad_sample": "BRD-1"}
