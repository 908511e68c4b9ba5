"""What every vendor reader keeps, ours and those of plug-ins: tests to inherit.

Subclass :class:`ReaderContract` in a test module, name the reader, and say where a small export is::

    class TestMyReader(ReaderContract):
        reader = MyReader()

        @pytest.fixture
        def export_path(self, tmp_path):
            return make_small_export(tmp_path / "export")

pytest collects the inherited tests. Nothing here imports pytest, so the package does not need it.
"""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow.compute as pc

from ..errors import CytolakeError, NotAnExportError
from ..schemas.identifiers import check_id, parse_well
from .export import ANNOTATION_SCHEMA, FIELDS_SCHEMA, PLANES_SCHEMA, PlateExport
from .pixels import plane_dtype, read_plane
from .readers import Evidence, Reader

_PLANE = ("acquisition_id", "well_id", "field_id", "timepoint", "z", "channel_index")


def _evidence(reader: Reader, path: Path) -> Evidence:
    evidence = reader.detect(path)
    assert evidence is not None, f"{reader.name} does not know its own export {path}"
    return evidence


def _same(one: PlateExport, other: PlateExport) -> bool:
    tables = ("planes", "fields", "annotation")
    return all(getattr(one, name).equals(getattr(other, name)) for name in tables) and all(
        getattr(one, name) == getattr(other, name) for name in one.__slots__ if name not in tables
    )


class ReaderContract:
    """Tests of one reader on one export; set ``reader`` and the fixture ``export_path``."""

    reader: Reader

    def test_has_the_shape_of_a_reader(self) -> None:
        """Has a name, ``detect`` and ``read``."""
        assert isinstance(self.reader, Reader)
        assert self.reader.name == self.reader.name.lower()

    def test_detects_its_export_with_evidence(self, export_path: Path) -> None:
        """Says why it is sure, and which file it looked at."""
        evidence = _evidence(self.reader, export_path)
        assert evidence.reader == self.reader.name
        assert 0 < evidence.confidence <= 1
        assert evidence.facts
        assert all(evidence.facts)
        assert Path(evidence.index).exists()

    def test_does_not_claim_other_folders(self, tmp_path: Path) -> None:
        """Claims neither an empty folder nor one with other files."""
        folder = tmp_path / "other"
        folder.mkdir()
        assert self.reader.detect(folder) is None
        (folder / "notes.txt").write_text("not an export")
        (folder / "image.tif").write_bytes(b"II*\0" + bytes(64))
        evidence = self.reader.detect(folder)
        assert evidence is None or evidence.confidence < 1

    def test_refuses_other_folders(self, tmp_path: Path) -> None:
        """Raises NotAnExportError for what is not its own."""
        folder = tmp_path / "other"
        folder.mkdir()
        try:
            self.reader.read(folder)
        except NotAnExportError:
            return
        raise AssertionError("read() of an empty folder must raise NotAnExportError")

    def test_tables_follow_their_schemas(self, export_path: Path) -> None:
        """Gives tables of exactly the schemas, without NULL where none may be."""
        for export in self.reader.read(export_path):
            for table, schema in (
                (export.planes, PLANES_SCHEMA),
                (export.fields, FIELDS_SCHEMA),
                (export.annotation, ANNOTATION_SCHEMA),
            ):
                assert table.schema.equals(schema), table.schema
                for column in schema:
                    assert column.nullable or table[column.name].null_count == 0, column.name

    def test_planes_are_told_once(self, export_path: Path) -> None:
        """Has at least one plane, and none twice."""
        for export in self.reader.read(export_path):
            assert export.planes.num_rows > 0
            assert export.planes.group_by(list(_PLANE)).aggregate([]).num_rows == export.planes.num_rows

    def test_every_plane_has_field_channel_and_acquisition(self, export_path: Path) -> None:
        """Describes what planes refer to, and nothing twice."""
        for export in self.reader.read(export_path):
            fields = list(zip(*(export.fields[n].to_pylist() for n in _PLANE[:3]), strict=True))
            channels = [(c.acquisition_id, c.channel_index) for c in export.channels]
            acquisitions = [a.acquisition_id for a in export.acquisitions]
            for told in (fields, channels, acquisitions):
                assert len(set(told)) == len(told)
            assert set(zip(*(export.planes[n].to_pylist() for n in _PLANE[:3]), strict=True)) == set(fields)
            used = set(zip(*(export.planes[n].to_pylist() for n in ("acquisition_id", "channel_index")), strict=True))
            assert used <= set(channels)
            assert {a for a, _ in channels} == set(acquisitions)

    def test_numbers_start_where_they_should(self, export_path: Path) -> None:
        """Counts time points, planes and channels from 0 without negative numbers, acquisitions from 1."""
        for export in self.reader.read(export_path):
            for column in ("timepoint", "z", "channel_index", "page"):
                assert pc.min(export.planes[column]).as_py() >= 0
            assert sorted(a.acquisition_id for a in export.acquisitions) == list(range(1, len(export.acquisitions) + 1))
            for acquisition in export.acquisitions:
                indices = [c.channel_index for c in export.channels if c.acquisition_id == acquisition.acquisition_id]
                assert indices == list(range(len(indices)))

    def test_wells_lie_on_the_plate(self, export_path: Path) -> None:
        """Writes wells as ``A01``, within the plate's rows and columns."""
        for export in self.reader.read(export_path):
            check_id(export.plate_id, "plate")
            for well in pc.unique(export.planes["well_id"]).to_pylist():
                row, column = parse_well(str(well))
                assert row <= export.n_rows
                assert column <= export.n_columns

    def test_geometry_is_physical(self, export_path: Path) -> None:
        """Gives sizes above 0, in µm that a light microscope can have."""
        for export in self.reader.read(export_path):
            for acquisition in export.acquisitions:
                assert acquisition.height > 0
                assert acquisition.width > 0
                assert 0.01 < acquisition.pixel_size_x_um < 100
                assert 0.01 < acquisition.pixel_size_y_um < 100
                assert acquisition.z_step_um is None or 0 < acquisition.z_step_um < 1000

    def test_files_are_inside_and_sized(self, export_path: Path) -> None:
        """Names files relative to the root, with their size, or NULL where they are absent."""
        for export in self.reader.read(export_path):
            root = Path(export.root)
            assert root.is_absolute()
            for name in (*export.metadata_files, *export.planes["file"].to_pylist()):
                parts = PurePosixPath(str(name))
                assert not parts.is_absolute()
                assert ".." not in parts.parts
                assert "\\" not in str(name)
            assert all((root / name).is_file() for name in export.metadata_files)
            for name, size in zip(*(export.planes[n].to_pylist() for n in ("file", "size")), strict=True):
                file = root / str(name)
                # A plane may lack its pixels inside of a file that is there.
                assert size == _bytes(file) or (size is None and file.is_dir()), name

    def test_says_the_same_again(self, export_path: Path) -> None:
        """Gives equal exports for the folder read twice, and for the index file."""
        first = self.reader.read(export_path)
        for again in (self.reader.read(export_path), self.reader.read(Path(_evidence(self.reader, export_path).index))):
            assert len(first) == len(again)
            assert all(_same(one, other) for one, other in zip(first, again, strict=True))

    def test_travels_to_workers(self, export_path: Path) -> None:
        """Survives pickling whole."""
        for export in self.reader.read(export_path):
            assert _same(pickle.loads(pickle.dumps(export)), export)  # noqa: S301  # our own bytes

    def test_pixels_are_as_described(self, export_path: Path) -> None:
        """Has files that hold planes of the promised shape; the first there is, of each channel, is read."""
        for export in self.reader.read(export_path):
            sizes = {a.acquisition_id: (a.height, a.width) for a in export.acquisitions}
            seen: set[tuple[int, int]] = set()
            for plane in export.planes.to_pylist():
                channel = (plane["acquisition_id"], plane["channel_index"])
                if plane["size"] is None or channel in seen:
                    continue
                seen.add(channel)
                file = Path(export.root) / plane["file"]
                out = np.zeros(sizes[channel[0]], plane_dtype(file, plane["page"]))
                assert len(read_plane(file, plane["page"], out)) == 64

    def test_absent_files_are_counted(self, export_path: Path, tmp_path: Path) -> None:
        """Promises the same planes when a file is gone, with no size for the one that is; names alone promise none."""
        copy = tmp_path / "copy"
        shutil.copytree(_export_folder(self.reader, export_path), copy)
        before = self.reader.read(copy)[0]
        there = before.planes.filter(pc.is_valid(before.planes["size"]))
        if not there.num_rows:
            return
        if not before.metadata_files:
            return  # images that describe themselves: what is gone was promised by nobody else
        gone = Path(before.root) / str(there["file"][0].as_py())
        if gone.is_dir():
            shutil.rmtree(gone)
        else:
            gone.chmod(0o600)
            gone.unlink()
        after = self.reader.read(copy)[0]
        if Path(_evidence(self.reader, copy).index).is_dir() and after.planes.num_rows < before.planes.num_rows:
            return
        assert after.planes.num_rows == before.planes.num_rows
        assert after.planes["size"].null_count > before.planes["size"].null_count

    def test_a_cut_off_index_is_refused(self, export_path: Path, tmp_path: Path) -> None:
        """Raises one of our errors, not another one, wherever the index ends; images alone have none to cut off."""
        copy = tmp_path / "copy"
        shutil.copytree(_export_folder(self.reader, export_path), copy)
        index = Path(_evidence(self.reader, copy).index)
        if index.is_dir():
            return
        data = index.read_bytes()
        index.chmod(0o600)
        for share in (0.0, 0.01, 0.3, 0.6, 0.9):
            index.write_bytes(data[: int(len(data) * share)])
            try:
                self.reader.read(copy)
            except CytolakeError:
                continue
            raise AssertionError(f"an index cut off at {share:.0%} was read as if it were whole")


def _bytes(file: Path) -> int | None:
    """Return the bytes of a file, or of all files of a folder that is one array of pixels; None where it is absent."""
    if file.is_dir():
        return sum(one.stat().st_size for one in file.rglob("*") if one.is_file())
    return file.stat().st_size if file.exists() else None


def _export_folder(reader: Reader, path: Path) -> Path:
    """Return the folder that holds all of an export: the root that its reader names."""
    return Path(reader.read(path)[0].root)
