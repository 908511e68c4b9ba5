"""Which reader reads this folder: recognised by content, said with evidence.

A reader is a small object with a name and two methods; third parties add theirs under the entry point group
``cytolake.readers`` and prove them with :class:`cytolake.ingest.contract.ReaderContract`.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ..errors import ConfigurationError, CytolakeError, NotAnExportError, NotFoundError, StorageError, UsageError
from ..schemas.identifiers import MAX_COLUMNS, MAX_ROWS
from ..wording import did_you_mean
from .export import PlateExport
from .overlooked import index_that_was_read, overlooked
from .plate_formats import PLATE_FORMATS
from .sources.base import is_unicode

#: Name -> where the class lives; imported when a folder is looked at, never before.
_BUILT_IN = {
    "cellvoyager": (".vendors.cellvoyager", "CellVoyagerReader"),
    "czi": (".vendors.czi", "CziReader"),
    "harmony": (".vendors.harmony", "HarmonyReader"),
    "hcsai": (".vendors.hcsai", "HcsAiReader"),
    "imagexpress": (".vendors.imagexpress", "ImageXpressReader"),
    "incell": (".vendors.incell", "InCellReader"),
    "lif": (".vendors.lif", "LifReader"),
    "nd2": (".vendors.nd2", "Nd2Reader"),
    "ome-tiff": (".vendors.ome_tiff", "OmeTiffReader"),
    "ome-zarr": (".vendors.ome_zarr", "OmeZarrReader"),
    "scanr": (".vendors.scanr", "ScanrReader"),
    # The last resort: names alone.
    "pattern": (".vendors.pattern", "PatternReader"),
}
_GROUP = "cytolake.readers"
#: Readers that go by names of files are not surer than this.
_NAMES_ALONE = 0.5
#: µm that a pixel of a light microscope may have.
_SMALLEST_PIXEL_UM, _LARGEST_PIXEL_UM = 0.01, 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Why a reader thinks that a folder is its own.

    ``confidence`` is 1 for a file format recognised by content, less for names alone, and 0 for "there is a file of
    the right name, but it is something else": ``facts`` then say what it is, nobody reads it, and ``hint`` may say what
    to do. ``index`` is the file that was looked at.
    """

    reader: str
    confidence: float
    facts: tuple[str, ...]
    index: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """What was made of a path: why the reader was chosen, the plates, and what ``warnings`` say of both together."""

    evidence: Evidence
    exports: tuple[PlateExport, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderOptions:
    """What a user may tell a reader that its files do not say.

    ``pattern`` is the name of a preset or a regular expression for file names, ``pixel_size_um`` the side of a pixel
    at the sample, ``plate_format`` the rows and columns of the plate. A reader that can use any of them has a method
    ``with_options(options)``, which returns a reader that does.
    """

    pattern: str | None = None
    pixel_size_um: float | None = None
    plate_format: tuple[int, int] | None = None


def reader_options(
    *,
    pattern: str | None = None,
    pixel_size_um: float | None = None,
    plate_format: str | int | tuple[int, int] | None = None,
) -> ReaderOptions:
    """Return options from what a person writes.

    Parameters
    ----------
    pattern
        A preset of file names, or a regular expression.
    pixel_size_um
        Side of a pixel at the sample, µm.
    plate_format
        A number of wells (``96``), or rows and columns (``8x12``).

    Raises
    ------
    UsageError
        No microscope has such pixels, or there is no such plate.
    """
    if pixel_size_um is not None and not _SMALLEST_PIXEL_UM < pixel_size_um < _LARGEST_PIXEL_UM:
        raise UsageError(
            f"a pixel of {pixel_size_um:g} µm at the sample is none of a light microscope",
            hint="Give the camera's pixel divided by the magnification, in µm, such as 0.325.",
        )
    size = None if plate_format is None else _plate_format(plate_format)
    return ReaderOptions(pattern=pattern or None, pixel_size_um=pixel_size_um, plate_format=size)


def _plate_format(told: str | int | tuple[int, int]) -> tuple[int, int]:
    if isinstance(told, tuple):
        size: tuple[int, int] | None = told
    else:
        text = re.sub(r"\s", "", str(told)).lower().replace("×", "x")
        sides = re.fullmatch(r"([0-9]{1,2})x([0-9]{1,2})", text)
        by_wells = {str(rows * columns): (rows, columns) for rows, columns in PLATE_FORMATS}
        size = (int(sides[1]), int(sides[2])) if sides else by_wells.get(text)
    if size is None or not (1 <= size[0] <= MAX_ROWS and 1 <= size[1] <= MAX_COLUMNS):
        wells = ", ".join(str(rows * columns) for rows, columns in PLATE_FORMATS)
        raise UsageError(
            f"there is no plate format {told!r}",
            hint=f"Give a number of wells ({wells}) or rows and columns, such as 8x12 (32x48 is the largest).",
        )
    return size


@runtime_checkable
class Reader(Protocol):
    """What a vendor reader is.

    ``detect`` looks at names and first bytes only and never raises for a folder that is not its own. ``read`` parses
    metadata, opens no image, and returns one export per plate; it raises
    :class:`~cytolake.errors.NotAnExportError` for what is not its own and another
    :class:`~cytolake.errors.CytolakeError` for what is, but broken.
    """

    name: str

    def detect(self, path: Path) -> Evidence | None:
        """Return the evidence that ``path`` is this reader's, or ``None``."""
        ...

    def read(self, path: Path) -> tuple[PlateExport, ...]:
        """Return the plates of the export at ``path``."""
        ...


def readers() -> dict[str, Reader]:
    """Return every reader by name: the built-in ones, then those of installed plug-ins (which cannot replace ours).

    Raises
    ------
    ConfigurationError
        When an installed plug-in cannot be loaded, or is no reader.
    """
    found: dict[str, Reader] = {}
    for name, (module, cls) in _BUILT_IN.items():
        found[name] = getattr(import_module(module, __package__), cls)()
    for point in _plugins():
        if point.name in found:
            continue
        try:
            reader = point.load()()
        except Exception as error:
            raise ConfigurationError(
                f"the reader plug-in {point.name!r} ({point.value}) cannot be loaded: {error}",
                hint="Repair or uninstall that package.",
            ) from error
        if not isinstance(reader, Reader):
            raise ConfigurationError(f"the reader plug-in {point.name!r} ({point.value}) lacks name, detect or read")
        found[point.name] = reader
    return found


@cache
def _plugins() -> tuple[EntryPoint, ...]:
    # Asking goes through the metadata of every installed package.
    return tuple(entry_points(group=_GROUP))


def describe_readers() -> list[dict[str, Any]]:
    """List the readers: ``name``, ``description``, and the ``presets`` of those that read by file names.

    A preset has ``name``, ``vendor``, ``origin`` and ``example``; what a reader calls by the attribute ``presets``.
    """
    found = []
    for name, reader in readers().items():
        words = (type(reader).__doc__ or "").strip().split("\n\n")[0]
        presets = [dict(one) for one in getattr(reader, "presets", ())]
        found.append({"name": name, "description": " ".join(words.replace("`", "").split()), "presets": presets})
    return found


def get_reader(name: str, options: ReaderOptions | None = None) -> Reader:
    """Return the reader of that name, told what the options say.

    Raises
    ------
    UsageError
        When there is none, with those there are; when it takes no options and some are given.
    """
    known = readers()
    if name not in known:
        raise UsageError(
            f"no reader is called {name!r}{did_you_mean(name, known)}", hint=f"Readers are {', '.join(known)}."
        )
    return _with_options(known[name], options)


def _with_options(reader: Reader, options: ReaderOptions | None) -> Reader:
    if options is None or options == ReaderOptions():
        return reader
    configure = getattr(reader, "with_options", None)
    if configure is None:
        given = [
            f"{name} (--{name.removesuffix('_um').replace('_', '-')})"
            for name in ReaderOptions.__slots__
            if getattr(options, name) is not None
        ]
        raise UsageError(
            f"the reader {reader.name} takes everything from the export, not {', '.join(given)}",
            hint="Leave that option out, or name another reader with --reader.",
        )
    told: Reader = configure(options)
    return told


def _existing(path: Path | str) -> Path:
    place = Path(path)
    hint = "Name the folder of an export, or its index file."
    if not is_unicode(str(place)):
        raise UsageError(
            f"the name {str(place)!r} is not UTF-8", hint="Rename it (`convmv -f latin1 -t utf8 --notest`)."
        )
    try:
        mode = place.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise NotFoundError(f"there is nothing at {place}", hint=hint) from error
    except OSError as error:
        raise StorageError(f"{place} cannot be looked at: {error.strerror}", hint=hint) from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise NotAnExportError(f"{place} is neither a file nor a folder", hint=hint)
    return place


def _not_an_export(path: Path, answers: Sequence[Evidence], reader: str | None) -> NotAnExportError:
    """Return the error of a path that no reader knows, with what is known around it."""
    looked = [f"{one.reader}: {', '.join(one.facts)}" for one in answers] or ["no file that any of them knows"]
    hints = [one.hint for one in answers if one.hint][:1]
    if reader is not None:
        hints.append(f"Only the reader {reader} was asked: leave --reader out to ask them all.")
    elif path.is_file() and not hints:
        around = _sure(path.absolute().parent)
        hints += [f"Name its folder, {path.parent}, which the reader {one.reader} reads." for one in around[:1]]
    elif path.is_dir():
        below = overlooked(path, (), (), _sure).found
        hints += [f"Name {folder}, which the reader {one.reader} recognises." for folder, one in below[:3]]
    if not hints:
        hints.append(f"Name the measurement folder itself. Readers are {', '.join(readers())}; --reader picks one.")
    return NotAnExportError(f"{path} is not an export that a reader knows: {'; '.join(looked)}", hint=" ".join(hints))


def _sure(place: Path) -> Sequence[Evidence]:
    """Return the evidence of all readers that recognise something at a place, the surest first."""
    answers = [one.detect(place) for one in readers().values()]
    return _by_confidence(answers)


def _by_confidence(answers: Iterable[Evidence | None]) -> list[Evidence]:
    return sorted((one for one in answers if one is not None and one.confidence > 0), key=lambda one: -one.confidence)


def detect(path: Path | str, reader: str | None = None, options: ReaderOptions | None = None) -> Evidence:
    """Return the evidence of the surest reader.

    Parameters
    ----------
    path
        A folder, or the index file of an export.
    reader
        Ask only this one.
    options
        What the user says of the files; with a ``pattern`` only readers of file names are asked.

    Raises
    ------
    NotFoundError
        When nothing is there.
    NotAnExportError
        When no reader knows it; the message says what each looked at.
    UsageError
        When two readers are equally sure.
    """
    return _detect(_existing(path), reader, options)[0][0]


def _detect(place: Path, reader: str | None, options: ReaderOptions | None) -> tuple[list[Evidence], list[Evidence]]:
    """Return the evidence of the readers that recognise something, the surest first, and of those that refuse it."""
    if reader is None and options is not None and options.pattern is not None:
        asked = {"pattern": get_reader("pattern", options)}
    else:
        asked = readers() if reader is None else {reader: get_reader(reader, options)}
    answers = [one.detect(place) for one in asked.values()]
    sure = _by_confidence(answers)
    if len(sure) > 1 and sure[0].confidence == sure[1].confidence:
        told = "; ".join(f"{e.reader}: {', '.join(e.facts)}" for e in sure if e.confidence == sure[0].confidence)
        raise UsageError(
            f"{place} may be read in more than one way ({told})",
            hint=f"Say which: --reader {sure[0].reader} or --reader {sure[1].reader}.",
        )
    if not sure:
        raise _not_an_export(place, [one for one in answers if one is not None], reader)
    return sure, [one for one in answers if one is not None and one.confidence == 0]


def recognise(path: Path | str, reader: str | None = None, options: ReaderOptions | None = None) -> Recognised:
    """Return the plates of an export, from metadata alone, and what else is there.

    A reader that was chosen by content is not taken to read everything: what it leaves out and another would read is
    among the warnings.

    Parameters
    ----------
    path
        A folder, or the index file of an export.
    reader
        The name of a reader; found by content when not given.
    options
        What the user says of the files.

    Raises
    ------
    NotFoundError
        When nothing is there.
    NotAnExportError
        When no reader knows it, or the named one refuses it.
    CytolakeError
        When the export is known and broken.
    """
    place = _existing(path)
    (evidence, *others), refused = _detect(place, reader, options)
    # An index that is damaged must not be passed over in silence because the images have telling names.
    passed_over = [
        f"{one.reader}: {', '.join(one.facts)}"
        for one in refused
        if evidence.confidence <= _NAMES_ALONE and not one.index.lower().endswith((".tif", ".tiff"))
    ]
    try:
        exports = get_reader(evidence.reader, options).read(place)
    except CytolakeError as error:
        if passed_over:
            error.message += f"; the names of files alone were read, because of {'; '.join(passed_over)}"
        raise
    warnings = [f"the names of files alone are read, because of {told}" for told in passed_over]
    if reader is None and (options is None or options.pattern is None):
        warnings += overlooked(place, exports, others, _sure).told(place, evidence.reader)
    index = index_that_was_read(evidence.index, exports)
    return Recognised(evidence=replace(evidence, index=index), exports=exports, warnings=tuple(warnings))


def read_export(
    path: Path | str, reader: str | None = None, options: ReaderOptions | None = None
) -> tuple[PlateExport, ...]:
    """Return the plates of an export, as :func:`recognise` does; the first of them has what is told of all."""
    if reader is not None:
        return get_reader(reader, options).read(_existing(path))
    told = recognise(path, None, options)
    first, *rest = told.exports
    return (replace(first, warnings=(*told.warnings, *first.warnings)), *rest)
