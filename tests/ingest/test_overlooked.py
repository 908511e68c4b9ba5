"""What lies below a folder beside the export that is read: told, never left out in silence."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cytolake import init_lake, inspect
from cytolake.errors import InvalidDataError, NotAnExportError
from cytolake.ingest import overlooked
from cytolake.ingest.readers import ReaderOptions, recognise
from harmony_xml import Export, grid
from vendor_exports import czi, imagexpress, ome
from vendor_exports.pattern import cellomics, write_folder
from vendor_exports.registry import SMALL_EXPORTS, Build


def left_out(folder: Path) -> list[str]:
    return [warning for warning in inspect(folder)["warnings"] if warning.startswith("left out: ")]


@pytest.fixture
def harmony(tmp_path: Path) -> Path:
    return Export(images=grid()).write(tmp_path / "E" / "Measurement 1")


def test_exports_of_others_are_named_with_their_place(harmony: Path) -> None:
    place = harmony.parent
    (place / "zeiss" / "deep").mkdir(parents=True)
    czi.write_plate(place / "zeiss" / "deep" / "p.czi")
    write_folder(place / "cellomics", cellomics())
    write_folder(place / "more", cellomics())
    assert left_out(place) == [
        f"left out: pattern recognises {place}/cellomics, {place}/more, which harmony does not read from {place}; "
        "name each by itself",
        f"left out: czi recognises {place}/zeiss/deep (p.czi), which harmony does not read from {place}; "
        "name it by itself",
    ]
    lake = init_lake(place.parent / "lake")
    assert len([w for w in lake.ingest(place, study="s")["warnings"] if w.startswith("left out: ")]) == 2


def test_what_was_asked_for_is_not_doubted(harmony: Path) -> None:
    write_folder(harmony.parent / "cellomics", cellomics())
    told = inspect(harmony.parent, reader="harmony")["warnings"]
    assert not any(warning.startswith("left out") for warning in told)


@pytest.mark.parametrize(("reader", "build", "options"), SMALL_EXPORTS)
def test_an_export_by_itself_is_all_there_is(
    tmp_path: Path, reader: str, build: Build, options: ReaderOptions | None
) -> None:
    """Its folders, and its images, which have names that a preset knows, are no news."""
    place = build(tmp_path)
    if place.is_dir():
        (place / "Evaluation1").mkdir()
        (place / "Evaluation1" / "result.txt").touch()
    told = recognise(place, None, options)
    assert (told.evidence.reader, told.warnings) == (reader, ())


def test_images_beside_those_of_another_reader(tmp_path: Path) -> None:
    czi.write_plate(tmp_path / "p.czi")
    assert left_out(tmp_path) == []
    write_folder(tmp_path, cellomics())
    assert left_out(tmp_path) == [
        f"left out: pattern recognises {tmp_path}, which czi does not read from {tmp_path}; name it by itself"
    ]


def test_a_look_that_ended_early_is_told(harmony: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlooked, "_MOST_LISTED", 1)
    assert any(
        "too many folders to look into all of them" in warning for warning in inspect(harmony.parent)["warnings"]
    )


def test_what_nobody_knows_is_sent_to_what_is_known(harmony: Path, tmp_path: Path) -> None:
    deep = tmp_path / "deep"
    for name in ("a", "b"):
        (deep / name / "c").mkdir(parents=True)
        czi.write_plate(deep / name / "c" / "p.czi")
    with pytest.raises(NotAnExportError) as raised:
        inspect(deep)
    assert raised.value.hint == (
        f"Name {deep}/a/c, which the reader czi recognises. Name {deep}/b/c, which the reader czi recognises."
    )
    image = next(harmony.rglob("*.tiff"))
    with pytest.raises(NotAnExportError) as raised:
        inspect(image)
    assert raised.value.hint == f"Name its folder, {image.parent}, which the reader harmony reads."
    with pytest.raises(NotAnExportError) as raised:
        inspect(harmony, reader="czi")
    assert raised.value.hint == "Only the reader czi was asked: leave --reader out to ask them all."


@pytest.mark.parametrize(
    ("kind", "hint"), [("uint16", "Put the well into the names"), ("int8", "unsigned 8- or 16-bit")]
)
def test_a_hint_says_the_remedy_of_an_ome_tiff(tmp_path: Path, kind: str, hint: str) -> None:
    image = ome.Img(row=0, column=0, number=0, type=kind)
    xml = re.sub("<Plate .*?</Plate>", "", ome.Plate(images=[image]).xml(only=[image]), flags=re.DOTALL)
    ome.write_tiff(tmp_path / "cells.ome.tif", ome.pixels(0, image), xml)
    for place in (tmp_path, tmp_path / "cells.ome.tif"):
        with pytest.raises(NotAnExportError) as raised:
            inspect(place)
        assert hint in (raised.value.hint or "")
        assert ("only uint8 and uint16 are read" in raised.value.message) == (kind == "int8")


def test_names_of_several_kinds(tmp_path: Path) -> None:
    """Those that the chosen preset does not explain are told, whether they are few or so many that none is chosen."""
    folder = write_folder(tmp_path / "E", [f"a/{name}" for name in cellomics(wells=("A01", "A02", "A03"), channels=4)])
    write_folder(folder, ["b/plate_B01_s1_w1.tif", "b/plate_B02_s1_w1.tif"])
    assert any("b/plate_B01_s1_w1.tif" in warning and "left out" in warning for warning in inspect(folder)["warnings"])
    write_folder(folder, [f"b/plate_{row}0{column}_s1_w1.tif" for row in "BCD" for column in (1, 2)])
    with pytest.raises(NotAnExportError) as raised:
        inspect(folder)
    assert raised.value.hint == (
        "Say --pattern cellomics to leave the others out, or give a regular expression. "
        f"Name {folder}/a, which the reader pattern recognises. Name {folder}/b, which the reader pattern recognises."
    )


def test_a_damaged_index_is_not_passed_over_for_telling_names(tmp_path: Path) -> None:
    folder = Export(images=grid()).write(tmp_path / "M")
    (index,) = folder.rglob("Index*.xml")
    index.write_bytes(index.read_bytes()[:100])
    told = recognise(folder, None, ReaderOptions(pixel_size_um=0.5))
    assert told.evidence.reader == "pattern"
    (warning,) = told.warnings
    assert re.search(r"names of files alone .* because of harmony: .*Index", warning)
    with pytest.raises(InvalidDataError, match=r"size of a pixel.*names of files alone .* because of harmony: .*Index"):
        recognise(folder)


def test_images_read_by_name_from_below_are_no_news(tmp_path: Path) -> None:
    folder = imagexpress.mixed(exported=True).write(tmp_path / "plate")
    for htd in folder.rglob("*.HTD"):
        htd.write_text("damaged")
    told = recognise(folder, None, ReaderOptions(pixel_size_um=0.5))
    assert [warning for warning in told.warnings if warning.startswith("left out")] == []
    assert any("because of imagexpress" in warning for warning in told.warnings)


def test_a_folder_that_cannot_be_looked_into_is_told(tmp_path: Path, unlistable: Callable[[Path], None]) -> None:
    czi.write_plate(tmp_path / "plate7.czi")
    (tmp_path / "other").mkdir()
    told = recognise(tmp_path, "czi")
    read = overlooked.overlooked(tmp_path, told.exports, (), lambda _: ())
    assert read.told(tmp_path, "czi") == []
    unlistable(tmp_path / "other")
    (warning,) = overlooked.overlooked(tmp_path, told.exports, (), lambda _: ()).told(tmp_path, "czi")
    assert warning == f"folders that cannot be looked into: {tmp_path / 'other'} (Permission denied)"
