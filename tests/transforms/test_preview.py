"""A preview shows a recipe on fields spread over the plate, and writes nothing into the lake."""

from __future__ import annotations

import re
from pathlib import Path

import cytolake
import pytest
from cytolake.errors import UsageError
from cytolake.lake import Lake
from cytolake.schemas.identifiers import format_well
from cytolake.store.registry import feature_sets
from cytolake.transforms.preview.choose import choose_fields

ROLES = {"Alexa 488": "ER", "Alexa 568": "AGP"}


@pytest.fixture(scope="module")
def lake(tiny_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = cytolake.init_lake(tmp_path_factory.mktemp("preview") / "lake")
    lake.ingest(tiny_export, study="pilot", roles=ROLES)
    return lake


def plate(rows: int, columns: int, fields: int) -> list[tuple[int, str, int]]:
    wells = [format_well(row, column) for row in range(1, rows + 1) for column in range(1, columns + 1)]
    return [(1, well, field) for well in wells for field in range(1, fields + 1)]


def test_fields_are_spread_over_the_plate() -> None:
    names = plate(16, 24, 9)
    chosen = choose_fields(names, 5)
    assert len({well for _, well, _ in chosen}) == 5
    assert {"A01", "A24", "P01", "P24"} <= {well for _, well, _ in chosen}
    assert len({field for *_, field in chosen}) > 1
    assert chosen == choose_fields(names, 5)


@pytest.mark.parametrize("count", [1, 7, 12, 100])
def test_no_field_is_chosen_twice_and_all_are_when_asked_for(count: int) -> None:
    names = plate(2, 3, 2)
    chosen = choose_fields(names, count)
    assert len(set(chosen)) == len(chosen) == min(count, 12)
    assert chosen == sorted(chosen, key=names.index)


def test_the_page_shows_outlines_counts_and_times_and_the_lake_is_as_before(lake: Lake, tmp_path: Path) -> None:
    page = tmp_path / "look.html"
    report = lake.preview(2, study="pilot", output=page, recipe="nuclei-and-cells", workers=1)
    assert report["status"] == "ok"
    assert len(report["fields"]) == 2
    assert all(field["objects"]["nuclei"] > 0 for field in report["fields"])
    text = page.read_text(encoding="utf-8")
    for field in report["fields"]:
        assert f"{field['well_id']} field {field['field_id']}" in text
    # Two fields of three channels, each whole and its middle.
    assert len(re.findall("data:image/jpeg;base64", text)) == 2 * 3 * 2
    assert "Nuclei_AreaShape_Area" in text
    assert "s per field" in text
    assert "<script" not in text
    assert feature_sets(lake.root) == []
    key = lake.plate("pilot", "tiny-1").fields()[0]
    assert lake.plate("pilot", "tiny-1").field(key.well_id, key.field_id).labels() == []
    assert list(tmp_path.iterdir()) == [page]


def test_a_field_that_cannot_be_read_is_on_the_page_with_the_reason(tiny_export: Path, tmp_path: Path) -> None:
    lake = cytolake.init_lake(tmp_path / "lake")
    lake.ingest(tiny_export, study="pilot", roles=ROLES)
    for path in Path(lake.url).rglob("A/02/a1f2/0/c/**/*"):
        if path.is_file():
            path.write_bytes(bytes(path.stat().st_size))
    report = lake.preview(4, study="pilot", output=tmp_path / "look.html", workers=1)
    assert report["status"] == "partial"
    (failed,) = [field for field in report["fields"] if field["failed"]]
    assert (failed["well_id"], failed["field_id"]) == ("A02", 2)
    assert "Could not be processed" in (tmp_path / "look.html").read_text(encoding="utf-8")


def test_nothing_to_preview_is_refused(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="0 fields"):
        lake.preview(0, study="pilot", output=tmp_path / "look.html")


def test_a_page_that_cannot_be_written_is_refused_before_any_work(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "folder.html").mkdir()
    for output in (tmp_path / "absent" / "look.html", tmp_path / "folder.html", tmp_path / ("long" * 100) / "x.html"):
        with pytest.raises(UsageError, match="cannot be written"):
            lake.preview(1, study="pilot", output=output, workers=1, progress=lambda *_: pytest.fail("worked"))


def test_a_field_that_fails_is_told_on_the_page_and_the_others_are_shown(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cytolake.transforms.preview import looks

    def of_one_well(field: object, *arguments: object, **settings: object) -> object:
        if field.key.well_id == "A01":  # type: ignore[attr-defined]
            raise OSError(5, "<Input/output error>")
        return process_field(field, *arguments, **settings)  # type: ignore[arg-type]

    process_field = looks.process_field
    monkeypatch.setattr(looks, "process_field", of_one_well)
    report = lake.preview(2, study="pilot", output=tmp_path / "look.html", recipe="nuclei", workers=1)
    assert report["status"] == "partial"
    assert [field["failed"] is None for field in report["fields"]] == [False, True]
    assert "OSError: [Errno 5] &lt;Input/output error&gt;" in (tmp_path / "look.html").read_text(encoding="utf-8")
    assert [file.name for file in tmp_path.iterdir()] == ["look.html"]
