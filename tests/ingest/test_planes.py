"""The tables that every reader fills."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cytolake.errors import InvalidDataError, SourceFileError, StorageError
from cytolake.ingest.export import FIELDS_SCHEMA, PLANES_SCHEMA
from cytolake.ingest.planes import ExportFiles, PlaneTables, safe_path


@pytest.fixture
def tables(tmp_path: Path) -> PlaneTables:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "A.TIF").write_bytes(bytes(7))
    (tmp_path / ".hidden.tif").write_bytes(bytes(3))
    return PlaneTables("index.x", ExportFiles(tmp_path))


def tell(tables: PlaneTables, **facts: object) -> None:
    tables.add(**{"row": 2, "column": 3, "field_id": 1, "channel_index": 0, "file": "sub/a.tif", **facts})  # type: ignore[arg-type]


def test_planes_and_fields(tables: PlaneTables) -> None:
    start = datetime(2026, 1, 1, 12, tzinfo=UTC)
    for t in range(3):
        for z in range(2):
            tell(tables, timepoint=t, z=z, page=z, z_um=5.0 + 2 * z, acquired_at=start + timedelta(seconds=60 * t + z))
    tell(tables, field_id=7, file="sub/b.tif", x_um=10.0, y_um=-20.0)
    warnings: list[str] = []
    built = tables.build(None, warnings)
    assert (built.n_rows, built.n_columns) == (2, 3)
    assert "does not say the size" in warnings[0]
    assert built.planes.schema.equals(PLANES_SCHEMA)
    assert built.fields.schema.equals(FIELDS_SCHEMA)
    assert built.planes["file"].to_pylist()[0] == "sub/A.TIF"
    assert built.planes["size"].to_pylist() == [7] * 6 + [None]
    assert built.fields.to_pylist()[1] == {
        "acquisition_id": 1, "well_id": "B03", "field_id": 7, "x_um": 10.0, "y_um": -20.0, "z_um": None,
    }  # fmt: skip
    assert built.z_step_um(1, warnings) == 2.0
    assert built.time_interval_s(1) == 60.0
    assert built.span(1) == (start, start + timedelta(seconds=121))


@pytest.mark.parametrize(
    ("told", "size", "words"),
    [
        ((16, None), (16, 24), "16 rows and not how many columns; 16 × 24 is taken"),
        ((None, 12), (8, 12), "12 columns and not how many rows; 8 × 12 is taken"),
        ((None, None), (2, 3), "does not say the size of the plate; 2 × 3 holds its wells"),
    ],
)
def test_what_is_told_of_a_plate_is_taken(
    tables: PlaneTables, told: tuple[int | None, int | None], size: tuple[int, int], words: str
) -> None:
    tell(tables)
    warnings: list[str] = []
    built = tables.build(told, warnings)
    assert (built.n_rows, built.n_columns) == size
    assert words in warnings[0]
    with pytest.raises(InvalidDataError, match=r"index\.x says that the plate has 7 rows") as raised:
        tables.build((7, None), warnings)
    assert "--plate-format" in str(raised.value.hint)


def test_folders_that_are_links_are_told(tmp_path: Path) -> None:
    for name in ("here/inner", "there"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.tif").touch()
    (tmp_path / "here" / "inner" / "link").symlink_to(tmp_path / "there", target_is_directory=True)
    tables = PlaneTables("x", ExportFiles(tmp_path / "here"))
    tell(tables, file="inner/a.tif")
    warnings: list[str] = []
    tables.build((8, 12), warnings)
    assert warnings == ["folders that are links are not followed: inner/link; give such a folder itself"]


def test_a_file_that_the_disk_says_nothing_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tif").touch()

    class Entry:
        name, path = "a.tif", str(tmp_path / "a.tif")

        def is_dir(self, *, follow_symlinks: bool = True) -> bool:
            return False

        def is_file(self) -> bool:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("cytolake.ingest.planes.list_folder", lambda _: [Entry()])
    with pytest.raises(StorageError, match=r"a\.tif cannot be looked at: Permission denied"):
        ExportFiles(tmp_path)


def test_one_listing_per_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no question about a single file, of which a plate has tens of thousands."""
    for well in range(5):
        (tmp_path / f"w{well}").mkdir()
        for field in range(20):
            (tmp_path / f"w{well}" / f"f{field}.tif").touch()
    listed: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (listed.append(str(path)), scandir(path))[1])
    tables = PlaneTables("index.x", ExportFiles(tmp_path))
    monkeypatch.setattr(os, "stat", None)
    for well in range(5):
        for field in range(21):
            tell(tables, row=1 + well, field_id=field, file=f"w{well}/f{field}.tif")
    assert tables.build((8, 12), []).planes["size"].null_count == 5
    assert len(listed) == 6


def test_uneven_steps_are_told(tables: PlaneTables) -> None:
    for z, height in enumerate((0.0, 1.0, 4.0)):
        tell(tables, z=z, page=z, z_um=height)
    warnings: list[str] = []
    assert tables.build((8, 12), warnings).z_step_um(1, warnings) == 2.0
    assert "not evenly spaced" in warnings[0]


def test_a_plane_told_twice_names_both_files(tables: PlaneTables) -> None:
    tell(tables)
    tell(tables, file="sub/b.tif")
    with pytest.raises(InvalidDataError, match=r"1 planes twice: B03 field 1 .* is sub/a.tif and sub/b.tif"):
        tables.build((8, 12), [])


def test_nothing_told(tables: PlaneTables) -> None:
    with pytest.raises(InvalidDataError, match="describes no image"):
        tables.build(None, [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"timepoint": -1},
        {"z": 10**6},
        {"row": 33},
        {"column": 0},
        {"channel_index": 10**6},
        {"x_um": 1e9},
        {"page": -1},
    ],
)
def test_numbers_that_cannot_be(tables: PlaneTables, wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidDataError, match=r"index\.x"):
        tell(tables, **wrong)


def test_a_well_outside_its_plate(tables: PlaneTables) -> None:
    tell(tables, row=9)
    with pytest.raises(InvalidDataError, match=r"well I03, outside its plate of 8 × 12 wells"):
        tables.build((8, 12), [])


@pytest.mark.parametrize(
    "bad", ["/etc/passwd", "..\\x.tif", "a/../../x", "C:\\x.tif", "s3://b/x.tif", "a\n.tif", "a/", ""]
)
def test_paths_that_leave_the_export(bad: str) -> None:
    with pytest.raises(SourceFileError, match="record 3"):
        safe_path(bad, "record 3")


def test_paths_that_stay() -> None:
    assert safe_path(".\\a\\b.tif", "x") == "a/b.tif"
