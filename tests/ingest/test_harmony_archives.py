"""Harmony exports that say things once: V6 channel tables, reduced indexes, and archives with their own folders."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cytolake.errors import NotAnExportError
from cytolake.ingest.export import PlateExport
from cytolake.ingest.vendors.harmony import HarmonyReader
from cytolake.ingest.vendors.harmony_index import parse_index
from harmony_xml import Export, Img, changed, grid, said_once


def read(folder: Path) -> PlateExport:
    (export,) = HarmonyReader().read(folder)
    return export


@pytest.mark.parametrize("version", ["V5", "V6", "V7"])
def test_an_index_that_says_things_once(tmp_path: Path, version: str) -> None:
    values: dict[str, Any] = {"version": version, "images": grid(planes=3, times=2)}
    long = read(Export(**values).write(tmp_path / "long"))
    short = read(Export(**values, tweak=said_once).write(tmp_path / "short"))
    text = next((tmp_path / "short" / "Images").glob("*.xml")).read_text()
    assert "<Position" not in text[text.index("<Images>") :]
    assert short.planes.equals(long.planes)
    assert short.fields.equals(long.fields)
    assert (short.acquisitions, short.channels) == (long.acquisitions, long.channels)
    assert (short.fields["x_um"].to_pylist()[1], short.acquisitions[0].time_interval_s) == (100.0, 300.5)


def test_what_an_image_says_itself_counts_more(tmp_path: Path) -> None:
    def tweak(text: str) -> str:
        return text.replace("</Maps>", '<Map><Entry FieldID="2"><PositionX Unit="m">1</PositionX></Entry></Map></Maps>')

    assert read(Export(images=grid(), tweak=tweak).write(tmp_path / "M")).fields["x_um"].to_pylist()[1] == 100.0


def test_v6_may_repeat_a_channel_in_its_images(tmp_path: Path) -> None:
    """Real V6 indexes name channels in a table; some writers of V6 still repeat the facts in each image."""

    def repeated(text: str) -> str:
        facts = dict(re.findall(r'<Entry ChannelID="(\d)">(<ChannelName>.*?)</Entry>', text, re.DOTALL))
        text = re.sub(r'<Map><Entry ChannelID="1"><ChannelName>.*?</Map>', "", text, flags=re.DOTALL)
        return re.sub(
            r"(<ChannelID>(\d)</ChannelID>)",
            lambda found: found[1] + facts[found[2]],
            text,
        )

    table = read(Export(version="V6", images=grid()).write(tmp_path / "table"))
    images = read(Export(version="V6", images=grid(), tweak=repeated).write(tmp_path / "images"))
    assert [(c.name, c.excitation_nm, c.excitation_power) for c in table.channels] == [
        ("HOECHST 33342", 405.0, 20.0),
        ("Alexa 488", 488.0, 20.0),
    ]
    assert images.channels == table.channels
    assert images.acquisitions == table.acquisitions


def test_facts_of_a_channel_that_differ_are_told(tmp_path: Path) -> None:
    def entries(text: str) -> str:
        return text.replace("</Maps>", '<Map><Entry ChannelID="1"><ObjectiveNA>1.1</ObjectiveNA></Entry></Map></Maps>')

    def images(text: str) -> str:
        return text.replace("<ChannelID>1</ChannelID>", "<ChannelID>1</ChannelID><ChannelName>DAPI</ChannelName>")

    export = read(Export(version="V6", images=grid(), tweak=lambda t: images(entries(t))).write(tmp_path / "M"))
    assert export.channels[0].name == "HOECHST 33342"
    assert any("ObjectiveNA '0.8' in its first entry, '1.1' in another entry" in w for w in export.warnings)
    assert any("ChannelName 'HOECHST 33342' in its entry, 'DAPI' in its images" in w for w in export.warnings)


def test_facts_of_no_channel_are_not_a_channel() -> None:
    xml = Export(version="V6", images=grid(), tweak=said_once).xml()
    assert sorted(parse_index(xml).channels) == ["1", "2"]


# --- folders of an archive


def into_wells(images: Path) -> None:
    for file in list(images.glob("*.tiff")):
        well = images / file.name[:6]
        well.mkdir(exist_ok=True)
        file.rename(well / file.name)


def archive(folder: Path, measurement: str, **values: Any) -> Path:
    """An archive of Harmony 5: ``hs/<id>/index/<any>.xml``, ``hs/<id>/images/r01c01/*.tiff``, flat fields beside."""
    own = Export(**{"version": "V7", "images": grid()} | values).write(folder / "hs" / measurement)
    (own / "index").mkdir()
    (own / "Images" / "Index.xml").rename(own / "index" / "measurement.xml")
    (own / "Images").rename(own / "images")
    into_wells(own / "images")
    return own


@pytest.mark.parametrize("given", ["", "hs", "hs/5de7", "hs/5de7/images", "hs/5de7/index/measurement.xml"])
def test_an_archive_with_a_folder_per_well(tmp_path: Path, given: str) -> None:
    own = archive(tmp_path, "5de7")
    path = tmp_path / given
    evidence = HarmonyReader().detect(path)
    assert evidence is not None
    assert evidence.confidence == 1.0
    export = read(path)
    assert export.root == str(own)
    assert export.planes["size"].null_count == 0
    assert export.planes["file"][0].as_py() == "images/r01c01/r01c01f01p01-ch1sk1fk1fl1.tiff"
    assert export.metadata_files == ("index/measurement.xml",)


def test_an_archive_of_several_measurements(tmp_path: Path) -> None:
    archive(tmp_path, "a1", started="2024-05-01T10:00:00Z")
    archive(tmp_path, "b2", started="2024-05-03T10:00:00Z", images=grid(fields=[1]))
    archive(tmp_path, "c3", plate_id="P0002")
    first, second = HarmonyReader().read(tmp_path)
    assert [(e.plate_id, len(e.acquisitions)) for e in (first, second)] == [("P0001", 2), ("P0002", 1)]
    assert first.root == str(tmp_path)
    assert first.planes["size"].null_count == 0
    assert str(first.planes["file"][0].as_py()).startswith("hs/a1/images/r01c01/")
    assert sum("hold the same measurement; both are kept" in w for w in first.warnings) == 1


def test_an_older_archive(tmp_path: Path) -> None:
    """``IMAGES/<id>/Index.ref.xml`` with its images beside it."""
    made = Export(images=grid(), tweak=said_once).write(tmp_path / "made")
    own = tmp_path / "Archive" / "IMAGES" / "f4ee44a8"
    own.parent.mkdir(parents=True)
    (made / "Images").rename(own)
    (own / "Index.idx.xml").rename(own / "Index.ref.xml")
    for given in (tmp_path / "Archive", own.parent, own):
        export = read(given)
        assert export.planes["size"].null_count == 0
        assert export.fields.num_rows == 4


def test_images_exported_with_their_flat_field_lie_in_flex(tmp_path: Path) -> None:
    folder = Export(images=grid()).write(tmp_path / "M")
    (folder / "Images" / "flex").mkdir()
    for file in (folder / "Images").glob("*.tiff"):
        file.rename(file.parent / "flex" / file.name)
    (folder / "Images" / "Index.idx.xml").rename(folder / "Images" / "Index.ref.xml")
    assert read(folder).planes["file"][0].as_py() == "Images/flex/r01c01f01p01-ch1sk1fk1fl1.tiff"


def test_absent_files_of_an_archive_are_counted(tmp_path: Path) -> None:
    own = archive(tmp_path, "a1", images=changed(grid(), 3, write=False))
    assert read(own).planes["size"].null_count == 1


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that are listed."""
    found: list[str] = []
    scandir: Callable[[Any], Any] = os.scandir

    def counted(path: Any) -> Any:
        found.append(str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counted)
    return found


@pytest.mark.parametrize("given", [".", "Images", "Images/Index.xml"])
def test_no_folder_is_listed_twice(
    tmp_path: Path, listed: list[str], monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    """A folder of 100,000 images on a share takes a minute to list."""
    folder = Export(version="V6", images=grid(), index_above=given == ".").write(tmp_path / "M")
    (folder / "Assaylayout").mkdir()
    monkeypatch.chdir(folder)
    listed.clear()
    assert read(Path(given)).planes["size"].null_count == 0
    assert len(listed) == len({os.path.realpath(one) for one in listed})
    assert len(listed) <= 4


def test_one_listing_per_well_folder(tmp_path: Path, listed: list[str]) -> None:
    own = archive(tmp_path, "a1", images=grid(wells=[(1, c) for c in range(1, 6)], fields=range(1, 8)))
    listed.clear()
    assert read(own).planes["size"].null_count == 0
    wells = [folder for folder in listed if re.search(r"r\d+c\d+$", folder)]
    assert sorted(wells) == sorted(set(wells))
    assert len(wells) == 5
    assert len(listed) <= 30


def test_other_peoples_thousands_of_folders_are_not_all_listed(tmp_path: Path, listed: list[str]) -> None:
    for number in range(400):
        (tmp_path / f"folder {number}").mkdir()
    assert HarmonyReader().detect(tmp_path) is None
    assert len(listed) < 1500
    listed.clear()
    Export(images=(Img(),)).write(tmp_path / "a measurement")
    assert HarmonyReader().detect(tmp_path) is not None
    assert len(listed) < 20


def test_what_a_mac_writes_beside_files_is_no_index(tmp_path: Path) -> None:
    own = archive(tmp_path, "a1")
    (own / "index" / "._measurement.xml").write_bytes(b"\0\5\x16\7")
    assert read(tmp_path).metadata_files == ("index/measurement.xml",)


def test_an_index_folder_with_several_files_is_not_guessed_at(tmp_path: Path) -> None:
    own = archive(tmp_path, "a1")
    (own / "index" / "other.xml").write_text("<x/>")
    assert HarmonyReader().detect(own) is None
    with pytest.raises(NotAnExportError, match="a1/index holds 2 XML files"):
        HarmonyReader().read(own)
    archive(tmp_path, "b2")
    assert any("a1/index holds 2 XML files" in w for w in read(tmp_path).warnings)


@pytest.mark.parametrize("sk", ["²", "9" * 5000])
def test_odd_digits_in_a_file_name(tmp_path: Path, sk: str) -> None:
    images = changed(grid(), 0, url=f"r01c01f01p01-ch1sk{sk}fk1fl1.tiff", write=False)
    assert read(Export(images=images).write(tmp_path / "M")).planes["size"].null_count == 1
