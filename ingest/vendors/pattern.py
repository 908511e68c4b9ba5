"""Any folder of TIFF files whose names say where they belong.

The last resort, and so the last in rank: a format with an index is read by its own reader, and names alone never make
this one surer than half. Which preset names a folder's files is found by asking how many each explains; two that
explain as many are a question for the user, and whatever a preset does not explain is told, never dropped in silence.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ...errors import NotAnExportError, UsageError
from ..export import PlateExport
from ..planes import ExportFiles
from ..readers import Evidence, ReaderOptions
from .pattern_headers import shown
from .pattern_names import Place, places, plain
from .pattern_plates import plate_export, split_plates
from .pattern_presets import OUTER_FOLDERS, PRESETS, Preset, preset_of

#: How sure names alone make this reader.
_CONFIDENCE = 0.4
#: The share of names that a preset must explain to be chosen by itself.
_NEARLY_ALL = 0.9
#: What a look into a folder costs at most: files of a folder, entries in all.
_LOOK_FILES, _LOOK_ENTRIES = 200, 4_000
#: Names by which presets are sifted before all names are matched.
_SIFTED = 300
_HINT = (
    "Say where the well is with --pattern and a regular expression, such as "
    "'(?P<well>[A-P]\\d{2})_s(?P<field>\\d+)_w(?P<channel>\\d+)', or name a preset; `cytolake catalog readers` lists "
    "them."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What a preset makes of the TIFF files of a folder.

    ``left_out`` is file -> what it is instead of a plane; ``without`` file -> why its name says no place, an empty text
    where the name is simply another.
    """

    preset: Preset
    places: Sequence[Place]
    left_out: Mapping[str, str]
    without: Mapping[str, str]

    @property
    def count(self) -> int:
        """How many files it explains."""
        return len(self.places) + len(self.left_out)


class PatternReader:
    """Reads folders of TIFF files by their names: named presets, or a regular expression of one's own."""

    name = "pattern"
    #: What ``--pattern`` may name, for lists.
    presets = tuple(
        {"name": one.name, "vendor": one.vendor, "origin": one.origin, "example": one.examples[0]}
        for one in PRESETS.values()
    )

    def __init__(self, options: ReaderOptions | None = None) -> None:
        self._options = options or ReaderOptions()
        self._preset = None if self._options.pattern is None else preset_of(self._options.pattern)

    def with_options(self, options: ReaderOptions) -> PatternReader:
        """Return a reader that uses a pattern, a pixel size or a plate format.

        Raises
        ------
        UsageError
            The pattern is neither a preset nor a regular expression with a well.
        """
        return PatternReader(options)

    def detect(self, path: Path) -> Evidence | None:
        """Look at the first names; confidence 0 where there are TIFF files that no preset explains."""
        if not path.is_dir():
            return None
        names = _look(path)
        tiffs = _tiffs(names)
        refused = _refused(names)
        if not tiffs:
            return self._evidence(0.0, path, *refused) if refused else None
        if self._preset is not None:
            return self._evidence(_CONFIDENCE, path, f"names of {shown(tiffs)} by {self._preset.name}")
        best = _best(tiffs, path)
        if not best:
            fact = f"no preset explains names such as {shown(tiffs)}"
            return replace(self._evidence(0.0, path, fact, *refused), hint=_HINT)
        if best[0].count < _NEARLY_ALL * len(tiffs):
            name, without = best[0].preset.name, shown(list(best[0].without))
            fact = f"preset {name} explains {best[0].count} of {len(tiffs)} names, not {without}"
            return replace(self._evidence(0.0, path, fact), hint=_leave_out(name))
        facts = [f"preset {one.preset.name} explains {one.count} of {len(tiffs)} names, as {tiffs[0]}" for one in best]
        return self._evidence(_CONFIDENCE, path, *facts)

    def _evidence(self, confidence: float, folder: Path, *facts: str) -> Evidence:
        return Evidence(reader=self.name, confidence=confidence, facts=facts, index=str(folder))

    def read(self, path: Path) -> tuple[PlateExport, ...]:
        """Return one export per plate that the names tell apart."""
        if not path.is_dir():
            raise NotAnExportError(f"{path} is no folder of TIFF files", hint="Name the folder that holds the images.")
        files = ExportFiles(path)
        tiffs = _tiffs(files)
        if not tiffs:
            raise NotAnExportError(_nothing(files), hint="Name the folder that holds the images, as TIFF files.")
        found = _choose(tiffs, files.root) if self._preset is None else _told(self._preset, tiffs, files.root)
        about_all = _about(found, len(tiffs), files)
        exports: list[PlateExport] = []
        for name, own in split_plates(found.places, files.root, found.preset).items():
            exports.append(
                plate_export(
                    name, own, files=files, preset=found.preset, options=self._options,
                    warnings=[] if exports else about_all,
                )
            )  # fmt: skip
        return tuple(exports)


def explain(preset: Preset, tiffs: Sequence[str], root: Path) -> Explained:
    """Say what a preset makes of files, paths relative to ``root``.

    Raises
    ------
    UsageError
        The preset's expression takes too long.
    """
    # The outer folders belong to a tree that the user may have entered; an own expression sees the export alone.
    outer = "/".join(root.parts[1:][-OUTER_FOLDERS:]) + "/" if preset.name in PRESETS else ""
    texts = {file: f"{outer}{file}" if preset.with_folders else file.rpartition("/")[2] for file in tiffs}
    left_out: dict[str, str] = {}
    for expression, what in preset.left_out.items():
        told = pc.match_substring_regex(pa.array([plain(text) for text in texts.values()]), expression).to_pylist()
        left_out |= {file: what for file, matches in zip(texts, told, strict=True) if matches}
    found: list[Place] = []
    rest = [file for file in tiffs if file not in left_out]
    without: dict[str, str] = dict.fromkeys(rest, "")
    for pattern in preset.patterns:
        said = pattern.match([texts[file] for file in rest])
        more, others = places(said, rest)
        found += more
        rest = list(others)
        without = {file: why or without[file] for file, why in others.items()}
        if not rest:
            break
    return Explained(preset=preset, places=found, left_out=left_out, without=without)


def _best(tiffs: Sequence[str], root: Path) -> list[Explained]:
    """Return the presets that explain most of the names, and as many; none where none explains any."""
    root = Path(os.path.abspath(root))  # noqa: PTH100  # links stay as the user named them
    sample = tiffs[:: -(-len(tiffs) // _SIFTED)]
    likely = [preset for preset in PRESETS.values() if explain(preset, sample, root).places]
    told = [explain(preset, tiffs, root) for preset in likely]
    most = max((one.count for one in told), default=0)
    return [one for one in told if one.count == most]


def _choose(tiffs: Sequence[str], root: Path) -> Explained:
    best = _best(tiffs, root)
    if not best:
        raise NotAnExportError(
            f"{root}: no preset explains the names of its {len(tiffs):,} TIFF files, such as {shown(tiffs)}", hint=_HINT
        )
    if len(best) > 1:
        names = [one.preset.name for one in best]
        raise UsageError(
            f"{root}: the presets {' and '.join(names)} explain as many of the {len(tiffs):,} names, such as "
            f"{shown(tiffs)}",
            hint=f"Say which: {' or '.join(f'--pattern {name}' for name in names)}.",
        )
    (one,) = best
    if one.count < _NEARLY_ALL * len(tiffs):
        raise NotAnExportError(
            f"{root}: the preset {one.preset.name} explains {one.count:,} of {len(tiffs):,} TIFF names, and not "
            f"{shown(list(one.without))}",
            hint=_leave_out(one.preset.name),
        )
    return one


def _leave_out(preset: str) -> str:
    return f"Say --pattern {preset} to leave the others out, or give a regular expression."


def _told(preset: Preset, tiffs: Sequence[str], root: Path) -> Explained:
    found = explain(preset, tiffs, root)
    if not found.places:
        why = next((f" ({file}: {why})" for file, why in found.without.items() if why), "")
        what = f"the preset {preset.name}" if preset.name in PRESETS else f"the pattern '{preset.expressions[0]}'"
        where = "path" if preset.with_folders else "name"
        raise UsageError(
            f"{what} explains none of the {len(tiffs):,} TIFF files of {root}; their {where}s are such as "
            f"{shown(tiffs)}{why}",
            hint="A pattern with a slash is matched against the path below the folder, one without against the name.",
        )
    return found


def _about(found: Explained, count: int, files: ExportFiles) -> list[str]:
    """Return the warnings about a folder as a whole: what is not among its plates."""
    warnings = []
    other = [file for file, why in found.without.items() if not why]
    if other:
        warnings.append(
            f"{len(other):,} of {count:,} TIFF files are left out, as {found.preset.name} does not explain their "
            f"names: {shown(other)}"
        )
    wrong = [f"{file} ({why})" for file, why in found.without.items() if why]
    if wrong:
        warnings.append(f"{len(wrong):,} of {count:,} TIFF files are left out, as they lie nowhere: {shown(wrong)}")
    for what, times in Counter(found.left_out.values()).items():
        examples = [file for file, kind in found.left_out.items() if kind == what]
        warnings.append(f"{times:,} {what} are left out: {shown(examples)}")
    warnings += _refused(files)
    ignored = [group for pattern in found.preset.patterns for group in pattern.ignored]
    if ignored:
        warnings.append(f"groups of the pattern that mean nothing here: {', '.join(ignored)}")
    return warnings


def _tiffs(names: Sequence[str] | ExportFiles) -> list[str]:
    return [name for name in names if name.lower().endswith((".tif", ".tiff"))]


def _refused(names: Sequence[str] | ExportFiles) -> list[str]:
    """Return what to do with files of the presets' instruments that are not read."""
    found = []
    for preset in PRESETS.values():
        for suffix, repair in preset.refused.items():
            own = [name for name in names if name.lower().endswith(suffix)]
            if own:
                found.append(f"{preset.vendor} {suffix.upper()} files are not read, such as {own[0]}: {repair}")
    return found


def _nothing(files: ExportFiles) -> str:
    """Return what a folder without TIFF files holds."""
    refused = _refused(files)
    if refused:
        return f"{files.root} holds no TIFF file; {'; '.join(refused)}"
    suffixes = Counter(Path(name).suffix.lower() for name in files)
    held = ", ".join(f"{count} {suffix or 'nameless'}" for suffix, count in suffixes.most_common(3))
    return f"{files.root} holds no TIFF file" + (f", but {held}" if held else " and no other")


def _look(folder: Path) -> list[str]:
    """Return the names of some files below a folder, relative to it: the first of each of a few folders."""
    names: list[str] = []
    below = [""]
    left = _LOOK_ENTRIES
    while below and left > 0 and len(names) < 4 * _LOOK_FILES:
        prefix = below.pop()
        files = 0
        with contextlib.suppress(OSError), os.scandir(folder / prefix) as listing:
            for entry in listing:
                left -= 1
                if left < 0 or files >= _LOOK_FILES:
                    break
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    below.append(f"{prefix}{entry.name}/")
                else:
                    files += 1
                    names.append(f"{prefix}{entry.name}")
    return sorted(names)
