"""Finding the reader of a folder, and the contract that every reader keeps."""

from __future__ import annotations

import os
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from cytolake.errors import ConfigurationError, NotAnExportError, NotFoundError, StorageError, UsageError
from cytolake.ingest import readers
from cytolake.ingest.contract import ReaderContract
from cytolake.ingest.export import PlateExport
from cytolake.ingest.readers import Evidence, ReaderOptions, detect, get_reader, read_export
from cytolake.ingest.vendors.harmony import HarmonyReader
from harmony_xml import BRIGHT, DAPI, FITC, Export, grid


class TestHarmonyV5(ReaderContract):
    reader = HarmonyReader()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        return Export(images=grid(planes=2, times=2)).write(tmp_path / "Measurement 1")


class TestHarmonyV7(ReaderContract):
    reader = HarmonyReader()

    @pytest.fixture
    def export_path(self, tmp_path: Path) -> Path:
        images = (*grid(channels=[1, 3]), *grid(wells=[(8, 12)], fields=[7], channels=[2]))
        export = Export(version="V7", bom=True, channels=(DAPI, FITC, BRIGHT), images=images, index_above=True)
        return export.write(tmp_path / "Measurement 1")


class TestRealOperetta(ReaderContract):
    reader = HarmonyReader()

    @pytest.fixture
    def export_path(self, shared_data: Path) -> Path:
        return shared_data / "vendors" / "harmony" / "operetta-cls"


class TestPhenixWithoutImages(ReaderContract):
    reader = HarmonyReader()

    @pytest.fixture
    def export_path(self, shared_data: Path) -> Path:
        return shared_data / "vendors" / "harmony" / "phenix-v7-index-only"


class TestSyntheticPlate(ReaderContract):
    reader = HarmonyReader()

    @pytest.fixture
    def export_path(self, tiny_export: Path) -> Path:
        return tiny_export


def test_detects_by_content(tmp_path: Path) -> None:
    folder = Export(version="V7", images=grid()).write(tmp_path / "M")
    evidence = detect(folder)
    assert (evidence.reader, evidence.confidence) == ("harmony", 1.0)
    assert evidence.index == str(folder / "Images" / "Index.xml")
    assert "Harmony V7" in evidence.facts
    assert read_export(folder, "harmony")[0].plate_id == "P0001"


def test_says_what_it_looked_at(tmp_path: Path) -> None:
    with pytest.raises(NotAnExportError, match="no file that any of them knows") as raised:
        detect(tmp_path)
    assert "Name the measurement folder" in str(raised.value)
    (tmp_path / "Index.xml").write_text('<Catalogue xmlns="urn:books" />')
    with pytest.raises(NotAnExportError, match="root element is <Catalogue> in namespace urn:books"):
        detect(tmp_path)
    with pytest.raises(NotAnExportError, match="root element is <Catalogue> in namespace urn:books"):
        read_export(tmp_path, "harmony")


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing at"):
        detect(tmp_path / "none")
    with pytest.raises(NotFoundError, match="nothing at"):
        read_export(tmp_path / "none", "harmony")


def test_what_is_no_export_at_all(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "plate.xdce")
    with pytest.raises(NotAnExportError, match="neither a file nor a folder"):
        detect(tmp_path / "plate.xdce")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(StorageError, match="Too many levels"):
        detect(tmp_path / "loop")
    with pytest.raises(StorageError, match="too long"):
        detect(tmp_path / ("p" * 5000))
    with pytest.raises(UsageError, match="not UTF-8"):
        detect(tmp_path / os.fsdecode(b"Pl\xe4tte"))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    for name in ("plate.xdce", "plate.HTD", "experiment_descriptor.xml", "MeasurementData.mlf", "Index.xml"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(NotAnExportError):
        detect(tmp_path)


def test_unknown_reader_names() -> None:
    with pytest.raises(UsageError, match="no reader is called 'harmoni'; did you mean 'harmony'") as raised:
        get_reader("harmoni")
    assert "harmony" in str(raised.value.hint)


class Plugin:
    name = "mine"

    def detect(self, path: Path) -> Evidence | None:
        return Evidence(reader="mine", confidence=0.7, facts=("has a mine.txt",), index=str(path / "mine.txt"))

    def read(self, path: Path) -> tuple[PlateExport, ...]:
        raise NotAnExportError("not yet")


class SureOfEverything(Plugin):
    name = "sure"

    def detect(self, path: Path) -> Evidence | None:
        return Evidence(reader="sure", confidence=0.7, facts=("it is a folder",), index=str(path))


def test_two_that_are_equally_sure_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    points = {"mine": Plugin, "sure": SureOfEverything}
    monkeypatch.setattr(
        readers, "_plugins", lambda: tuple(EntryPoint(n, f"plugin:{n}", "cytolake.readers") for n in points)
    )
    monkeypatch.setattr(EntryPoint, "load", lambda self: points[self.name])
    with pytest.raises(UsageError, match=r"mine: has a mine\.txt; sure: it is a folder") as raised:
        detect(tmp_path)
    assert raised.value.hint == "Say which: --reader mine or --reader sure."
    assert detect(tmp_path, "sure").reader == "sure"


def test_options_that_a_reader_cannot_use_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(readers, "_plugins", lambda: (EntryPoint("mine", "plugin:mine", "cytolake.readers"),))
    monkeypatch.setattr(EntryPoint, "load", lambda self: Plugin)
    with pytest.raises(UsageError, match=r"mine takes everything from the export, not pixel_size_um \(--pixel-size\)"):
        read_export(tmp_path, "mine", ReaderOptions(pixel_size_um=0.5))
    with pytest.raises(UsageError, match=r"not plate_format \(--plate-format\)"):
        read_export(tmp_path, "mine", ReaderOptions(plate_format=(8, 12)))


class NotAReader:
    pass


@pytest.mark.parametrize("name", ["mine", "harmony"])
def test_plugins_are_found_and_cannot_replace_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    point = EntryPoint(name=name, value="plugin:Plugin", group="cytolake.readers")
    monkeypatch.setattr(EntryPoint, "load", lambda _: Plugin)
    monkeypatch.setattr(readers, "_plugins", lambda: (point,))
    assert isinstance(get_reader("harmony"), HarmonyReader)
    if name == "mine":
        assert detect(tmp_path).facts == ("has a mine.txt",)


@pytest.mark.parametrize(("target", "said"), [(NotAReader, "lacks name, detect or read"), (None, "cannot be loaded")])
def test_broken_plugins_are_named(monkeypatch: pytest.MonkeyPatch, target: type | None, said: str) -> None:
    point = EntryPoint(name="mine", value="plugin:Plugin", group="cytolake.readers")
    monkeypatch.setattr(EntryPoint, "load", lambda _: target)
    monkeypatch.setattr(readers, "_plugins", lambda: (point,))
    with pytest.raises(ConfigurationError, match=said):
        readers.readers()
