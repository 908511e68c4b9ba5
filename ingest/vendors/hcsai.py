"""ImageXpress HCS.ai acquisitions of MetaXpress Acquire: one folder a run, one folder each ``experiment*``.

``experiment`` holds single planes or projections, ``experiment_z_stack`` the stacks they were made of, and
``experiment_montage`` what was stitched from either. Offsets from the middle of the well have y down: in the protocol
the lower rows of sites have the larger ``yOffsetFromWellCenterUm``, as the lower rows of wells have the larger stage y.
Time stamps are seconds since 1970 in UTC; the hour in the ``.jdce`` is local, whatever its offset says.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from ...errors import CytolakeError, InvalidDataError, NotAnExportError, PixelSizeError, SourceFileError, StorageError
from ...schemas.identifiers import MAX_COLUMNS, MAX_ROWS, slug
from ..channels import guess_roles
from ..export import AcquisitionInfo, ChannelInfo, PlateExport
from ..pixels import SourceFile
from ..planes import BuiltPlanes, ExportFiles, PlaneTables, safe_path
from ..readers import Evidence, ReaderOptions
from ..sources import glance, list_folder, read_bytes
from .hcsai_files import Jdce, Protocol, name_wells, parse_image_rows, parse_jdce, parse_protocol
from .hcsai_parts import STACKS, Experiment, Part, channels, parts
from .pixel_size import overruled

_JDCE, _PROTOCOL = ".jdce", ".mxprotocol"
_MONTAGE = "experiment_montage"
_EXPERIMENT = "experiment"
#: What ``detect`` looks at, at most: entries of a folder, and folders.
_MOST_ENTRIES, _MOST_RUNS = 10_000, 200
#: Images whose headers are tried to see how large they are.
_TRIED_IMAGES = 3
#: Seconds since 1970 of years that the instrument can have seen: 2001 to 2286.
_EPOCH_S = (1e9, 1e10)
_HINT = "Name the folder of the acquisition, with its .mxprotocol file and experiment folders."


class HcsAiReader:
    """Reads acquisitions with ``.mxprotocol``, ``.jdce`` and ``image_metadata_*.csv``."""

    name = "hcsai"

    def __init__(self, options: ReaderOptions | None = None) -> None:
        self._options = options or ReaderOptions()

    def with_options(self, options: ReaderOptions) -> Self:
        """Return a reader that knows the size of pixels or of the plate where the files do not say them."""
        return type(self)(options)

    def detect(self, path: Path) -> Evidence | None:
        """Look at the first ``.jdce``; confidence 0 where a file of that name is something else."""
        index = next(_jdce_files(path, bounded=True), None)
        if index is None:
            return None
        try:
            jdce = parse_jdce(read_bytes(index), index.name)
        except CytolakeError as error:
            # A damaged one is still nobody else's.
            is_ours = not isinstance(error, NotAnExportError)
            return self._evidence(1.0 if is_ours else 0.0, index, error.message)
        said = f"{index.name}: ImageStack, version {jdce.version or 'unknown'}"
        return self._evidence(1.0, index, said, jdce.software or "MetaXpress Acquire")

    def _evidence(self, confidence: float, index: Path, *facts: str) -> Evidence:
        return Evidence(reader=self.name, confidence=confidence, facts=facts, index=str(index))

    def read(self, path: Path) -> tuple[PlateExport, ...]:
        """Return the plates of one acquisition, or of the acquisitions below ``path``."""
        runs, left_out = _runs(path)
        if not runs:
            said = "; ".join([f"{path} holds no acquisition of ImageXpress HCS.ai", *left_out])
            raise NotAnExportError(said, hint=_HINT)
        exports = [self._run(run, left_out) for run in runs]
        shared = Counter(export.plate_id for export in exports)
        top = os.path.commonpath([export.root for export in exports])
        return tuple(
            replace(export, plate_id=slug(f"{export.plate_id} {Path(export.root).relative_to(top).as_posix()}"))
            if shared[export.plate_id] > 1
            else export
            for export in exports
        )

    def _run(self, root: Path, left_out: Sequence[str]) -> PlateExport:
        files = ExportFiles(root, skip=("autofocus",))
        warnings = list(left_out)
        experiments = _experiments(files, warnings)
        if not experiments:
            raise InvalidDataError(
                f"{root}: its experiments are links to folders ({', '.join(files.links)}), which are not followed",
                hint="Give the folder that they lie in.",
            )
        protocol, protocol_file = _protocol(files, warnings)
        recorded = parts(experiments, protocol, warnings)
        tables = PlaneTables(str(files.root), files)
        for number, part in enumerate(recorded, start=1):
            _tell(part, number, tables, warnings)
        jdce = experiments[0].jdce
        built = tables.build(self._plate_size(jdce, warnings), warnings)
        name = Path(experiments[0].files[0]).stem
        said: list[str] = []
        with_roles: list[ChannelInfo] = []
        acquisitions = []
        for number, part in enumerate(recorded, start=1):
            own, about = guess_roles(channels(part, number, protocol))
            with_roles += own
            said += [warning for warning in about if warning not in said]
            acquisitions.append(self._acquisition(part, number, built, files, protocol, len(recorded) > 1, warnings))
        return PlateExport(
            reader=self.name,
            vendor="Molecular Devices ImageXpress HCS.ai",
            format_version=f"jdce {jdce.version}" if jdce.version else "jdce",
            root=str(files.root),
            plate_id=slug(jdce.barcode or name),
            barcode=jdce.barcode,
            name=name,
            plate_type=jdce.plate_type,
            n_rows=built.n_rows,
            n_columns=built.n_columns,
            acquisitions=tuple(acquisitions),
            channels=tuple(with_roles),
            planes=built.planes,
            fields=built.fields,
            metadata_files=(*(f for e in experiments for f in e.files), *((protocol_file,) if protocol_file else ())),
            warnings=(*warnings, *said),
        )

    def _plate_size(self, jdce: Jdce, warnings: list[str]) -> tuple[int | None, int | None] | None:
        if self._options.plate_format is not None:
            return self._options.plate_format
        if (jdce.n_rows or 0) > MAX_ROWS or (jdce.n_columns or 0) > MAX_COLUMNS:
            warnings.append(f"the .jdce says a plate of {jdce.n_rows} × {jdce.n_columns} wells, which there is not")
            return None
        return jdce.n_rows, jdce.n_columns

    def _acquisition(
        self,
        part: Part,
        number: int,
        built: BuiltPlanes,
        files: ExportFiles,
        protocol: Protocol,
        several: bool,
        warnings: list[str],
    ) -> AcquisitionInfo:
        jdce, where = part.experiment.jdce, part.experiment.files[0]
        size, given = jdce.pixel_size_um, self._options.pixel_size_um
        if given is not None:
            if doubt := overruled(given, size, where):
                warnings.append(doubt)
            size = (given, given)
        if size is None:
            raise PixelSizeError(
                f"{where} does not say how large pixels are", hint="Give their side in µm: --pixel-size UM"
            )
        height, width = _image_size(part, number, built, files, warnings)
        step = None
        if part.z_mode == "stack":
            told = {w.z_step_um for w in jdce.wavelengths if w.index in part.waves} - {None} or {jdce.z_step_um}
            step = told.pop() if len(told) == 1 else None
            step = step if step is not None else built.z_step_um(number, warnings)
        magnification = re.match(r"\s*(\d+(?:\.\d+)?)\s*[xX]", jdce.objective or "")
        started_at, ended_at = built.span(number)
        return AcquisitionInfo(
            acquisition_id=number,
            height=height,
            width=width,
            pixel_size_x_um=size[0],
            pixel_size_y_um=size[1],
            z_step_um=step,
            z_mode=part.z_mode,
            measurement_id=jdce.uuid,
            name=f"{part.experiment.folder or jdce.plate_id} {part.z_mode}" if several else jdce.plate_id,
            started_at=started_at.astimezone(UTC) if started_at else None,
            ended_at=ended_at.astimezone(UTC) if ended_at else None,
            time_interval_s=built.time_interval_s(number),
            operator=jdce.operator,
            instrument_manufacturer="Molecular Devices",
            instrument_model="ImageXpress HCS.ai",
            software=jdce.software,
            modality=_modality(protocol.light_path),
            camera=protocol.camera,
            magnification=float(magnification[1]) if magnification else None,
            numerical_aperture=protocol.numerical_aperture,
        )


def _modality(light_path: str | None) -> str | None:
    text = (light_path or "").lower()
    return "spinning_disk_confocal" if text.startswith("confocal") else "widefield" if text == "widefield" else None


def _image_size(
    part: Part, number: int, built: BuiltPlanes, files: ExportFiles, warnings: list[str]
) -> tuple[int, int]:
    """Return rows and columns of an image: as the files have them, where the tables say otherwise.

    Raises
    ------
    InvalidDataError
        No file can be read, and nothing says it.
    """
    jdce, where = part.experiment.jdce, part.experiment.files[0]
    shapes = Counter((r.height, r.width) for r in part.rows if r.height and r.width)
    told = {"its table": shapes.most_common(1)[0][0]} if shapes else {}
    if jdce.height and jdce.width and part.experiment.folder.lower() != _MONTAGE:
        told["its camera"] = (jdce.height, jdce.width)
    if len(shapes) > 1:
        listed = ", ".join(f"{count} of {h} × {w}" for (h, w), count in shapes.most_common(3))
        warnings.append(f"{where}: the table has images of several sizes ({listed}); the first is recorded")
    own = built.planes["acquisition_id"].to_pylist()
    there = (
        file
        for file, size, of in zip(built.planes["file"].to_pylist(), built.planes["size"].to_pylist(), own, strict=True)
        if of == number and size is not None
    )
    for _, file in zip(range(_TRIED_IMAGES), there, strict=False):
        try:
            with closing(SourceFile(files.root / str(file))) as source:
                told = {f"the image {file}": source.plane_format()[0], **told}
        except (SourceFileError, StorageError):
            continue
        break
    known = [(shape[0], shape[1]) for shape in told.values() if shape[0] and shape[1]]
    if not known:
        raise InvalidDataError(f"{where} and its images do not say how large the images are")
    # Some say the camera's own pixels, of which several are binned into one of an image.
    same = {known[0], (known[0][0] * (jdce.binning or 1), known[0][1] * (jdce.binning or 1))}
    if not same.issuperset(known):
        listed = ", ".join(f"{who} {shape[0]} × {shape[1]}" for who, shape in told.items())
        warnings.append(f"{where}: sizes of images differ ({listed}); the first is recorded, check the size of pixels")
    return known[0]


def _jdce_files(path: Path, *, bounded: bool = False) -> Iterator[Path]:
    """Give the ``.jdce`` files of the acquisitions at a path, outermost folders first.

    Parameters
    ----------
    path
        A ``.jdce``, an ``.mxprotocol``, the folder of an acquisition, or one with several.
    bounded
        To tell quickly whether there is one: look into so many folders, at so many entries, and pass over what cannot
        be listed.
    """

    def listed(folder: Path) -> list[os.DirEntry[str]]:
        return glance(folder, _MOST_ENTRIES) if bounded else list_folder(folder)

    if path.is_file():
        if path.name.lower().endswith(_JDCE):
            yield path
            return
        if not path.name.lower().endswith(_PROTOCOL):
            return
        path = path.parent

    def walk(folder: Path, depth: int) -> Iterator[Path]:
        here = listed(folder)
        own = list(_jdce_of_run(folder, here, listed))
        yield from own
        if depth and (own or bounded):
            return
        # Links are followed in the folder that was named only: they may go round.
        below = [e.name for e in here if e.is_dir(follow_symlinks=not depth) and not _is_experiment(e.name)]
        for name in below[: _MOST_RUNS if bounded else None]:
            yield from walk(folder / name, depth + 1)

    yield from walk(path, 0)


def _is_experiment(name: str) -> bool:
    return name.lower().startswith(_EXPERIMENT)


def _jdce_of_run(
    folder: Path, here: Sequence[os.DirEntry[str]], listed: Callable[[Path], list[os.DirEntry[str]]]
) -> Iterator[Path]:
    yield from _jdce_in(folder, here)
    for entry in here:
        if entry.is_dir() and _is_experiment(entry.name):
            yield from _jdce_in(folder / entry.name, listed(folder / entry.name))


def _jdce_in(folder: Path, entries: Sequence[os.DirEntry[str]]) -> list[Path]:
    return [folder / e.name for e in entries if e.name.lower().endswith(_JDCE) and not e.is_dir()]


def _runs(path: Path) -> tuple[list[Path], list[str]]:
    """Return the folders of the acquisitions at a path (those around their experiments), and what is left out."""
    path = Path(os.path.abspath(path))  # noqa: PTH100  # links stay as the user named them
    found: dict[Path, None] = {}
    for jdce in _jdce_files(path):
        is_inner = _is_experiment(jdce.parent.name)
        found[jdce.parent.parent if is_inner else jdce.parent] = None
    folders = [path, *(path / e.name for e in list_folder(path) if e.is_dir())] if path.is_dir() else []
    left_out = [
        f"{folder} has a protocol and no .jdce file; it is left out"
        for folder in folders
        if folder not in found and any(e.name.lower().endswith(_PROTOCOL) for e in list_folder(folder))
    ]
    return list(found), left_out


def _experiments(files: ExportFiles, warnings: list[str]) -> list[Experiment]:
    """Read the experiments of an acquisition, stacks first; a montage only where there is nothing else."""
    found: dict[str, str] = {}
    for file in files:
        folder = file.rpartition("/")[0]
        if file.lower().endswith(_JDCE) and "/" not in folder:
            if folder in found:
                raise InvalidDataError(f"{files.root / folder} holds two .jdce files, {found[folder]} and {file}")
            found[folder] = file
    montages = [folder for folder in found if folder.lower() == _MONTAGE]
    if montages and len(found) > len(montages):
        warnings.append(f"{montages[0]} holds images stitched from the others; it is left out")
        for folder in montages:
            del found[folder]
    order = sorted(found, key=lambda folder: (folder.lower() != STACKS, folder))
    return [_experiment(files, folder, found[folder], warnings) for folder in order]


def _experiment(files: ExportFiles, folder: str, jdce_file: str, warnings: list[str]) -> Experiment:
    prefix = f"{folder}/" if folder else ""
    jdce = parse_jdce(read_bytes(files.root / jdce_file), str(files.root / jdce_file))
    named = [files.find(prefix + safe_path(name, jdce_file)) for name in jdce.csv_names]
    there = [name for name, size in named if size is not None]
    if len(there) < len(named):
        raise InvalidDataError(
            f"{files.root / jdce_file} names {next(n for n, s in named if s is None)}, which is not there",
            hint="Copy all files of the experiment folder.",
        )
    pattern = re.compile(rf"{re.escape(prefix)}image_metadata[^/]*\.csv", re.IGNORECASE)
    tables = [file for file in files if pattern.fullmatch(file)]
    if not named:
        there = tables
    elif unnamed := [file for file in tables if file not in there]:
        warnings.append(f"{jdce_file} does not name {', '.join(unnamed)}; what these describe is left out")
    rows = tuple(r for name in there for r in parse_image_rows(read_bytes(files.root / name), str(files.root / name)))
    rows = name_wells(rows, warnings)
    warnings += [f"{jdce_file}: {note}" for note in jdce.notes]
    if not rows:
        raise InvalidDataError(f"{files.root / folder} describes no image", hint="Copy its image_metadata CSV files.")
    if not jdce.is_complete:
        warnings.append(f"{jdce_file}: the acquisition was not completed; what it did not write is not promised")
    return Experiment(folder=folder, jdce=jdce, rows=rows, files=(jdce_file, *there))


def _protocol(files: ExportFiles, warnings: list[str]) -> tuple[Protocol, str | None]:
    there = [f for f in files if f.lower().endswith(_PROTOCOL) and "/" not in f]
    if not there:
        return Protocol(), None
    file = there[0]
    if len(there) > 1:
        warnings.append(f"there are several protocols, {', '.join(there)}; the first is used")
    try:
        return parse_protocol(read_bytes(files.root / file), file), file
    except InvalidDataError as error:
        warnings.append(f"the protocol is not used: {error.message}")
        return Protocol(), file


def _tell(part: Part, number: int, tables: PlaneTables, warnings: list[str]) -> None:
    index = {wave: position for position, wave in enumerate(part.waves)}
    prefix = f"{part.experiment.folder}/" if part.experiment.folder else ""
    for row in part.rows:
        tables.add(
            acquisition_id=number,
            row=row.row,
            column=row.column,
            field_id=row.field,
            timepoint=row.timepoint,
            z=row.z_index if part.z_mode == "stack" else 0,
            channel_index=index[row.wavelength],
            file=prefix + safe_path(f"{row.folder}/{row.file}" if row.folder else row.file, row.where),
            x_um=row.offset_x_um,
            y_um=row.offset_y_um,
            z_um=row.z_um,
            acquired_at=_moment(row.timestamp_s),
        )
    placeless = next((row for row in part.rows if row.offset_x_um is None or row.offset_y_um is None), None)
    if placeless is not None:
        warnings.append(f"{placeless.where}: the table does not give the place of every field")


def _moment(seconds: float | None) -> datetime | None:
    if seconds is None or not _EPOCH_S[0] <= seconds < _EPOCH_S[1]:
        return None
    return datetime.fromtimestamp(seconds, UTC)
