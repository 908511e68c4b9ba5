"""Damage exports and plate maps at random and see that every reader answers, or refuses in our own words.

    make fuzz                          all readers, 60 minutes of processor time
    python tests/fuzz.py --minutes 5 --reader harmony --seed 7

Each case takes a small export, damages one of its files (bytes, cuts, encodings, absurd numbers, XML bombs, paths that
leave the export) or the names of its files, then inspects it and reads its planes. A case fails when anything but a
``CytolakeError`` is raised, when it takes longer than ten seconds or more than two gigabytes, or when a file outside
the export is opened. Failing exports are kept below ``.scratch/fuzz``; the seed repeats a run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import sheet_examples
from cytolake.errors import CytolakeError
from cytolake.ingest.pixels import plane_dtype, read_plane
from cytolake.ingest.readers import ReaderOptions, detect, get_reader
from vendor_exports.registry import SMALL_EXPORTS

SECONDS, MEGABYTES = 10, 2048
#: What is damaged: the exports of every reader, and plate maps of every kind.
SHEETS = "sheets"
EXAMPLES = [*SMALL_EXPORTS, (SHEETS, sheet_examples.build, None)]
KEPT = Path(__file__).parent.parent / ".scratch" / "fuzz"

NUMBERS = [
    b"-1",
    b"0",
    b"99999999999999999999",
    b"1e400",
    b"nan",
    b"-inf",
    b"0x10",
    b"",
    b"1,5",
    b"65536",
    b"4294967295",
]
PATHS = [
    b"../../../../etc/passwd",
    b"/etc/passwd",
    b"C:\\Windows\\win.ini",
    b"a\x00b.tif",
    b"file:///etc/passwd",
    b"\\\\host\\x",
]
BOMB = (
    b'<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">'
    b'<!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;"><!ENTITY x SYSTEM "file:///etc/passwd">]>'
)
#: Files below these may be opened at any time: they are the program's, not the export's.
OURS = tuple(
    str(Path(p).resolve())
    for p in {*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix, str(Path(__file__).parent.parent)}
)  # fmt: skip
SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/localtime", "/usr/share/zoneinfo", "/usr/lib", "/lib")


def damage(data: bytes, dice: random.Random) -> bytes:
    """Return the bytes with one to four things wrong."""
    for _ in range(dice.randint(1, 4)):
        data = dice.choice(_DAMAGES)(data, dice) if data else bytes(dice.randrange(256) for _ in range(8))
    return data


def _flip(data: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << dice.randrange(8))]) + data[at + 1 :]


def _cut(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data))]


def _remove(data: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(data))
    return data[:at] + data[at + dice.randint(1, 64) :]


def _repeat(data: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(data))
    end = min(len(data), at + dice.randint(1, 2000))
    return data[:end] + data[at:end] * dice.randint(1, 5) + data[end:]


def _insert(data: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(data))
    what = dice.choice([*NUMBERS, *PATHS, b"<", b"&", b'"', b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\x00", b"]]>"])
    return data[:at] + what + data[at:]


def _number(data: bytes, dice: random.Random) -> bytes:
    """Replace one run of digits."""
    starts = [i for i in range(len(data)) if 48 <= data[i] <= 57 and (i == 0 or not 48 <= data[i - 1] <= 57)]
    if not starts:
        return data
    at = end = dice.choice(starts)
    while end < len(data) and 48 <= data[end] <= 57:
        end += 1
    return data[:at] + dice.choice(NUMBERS) + data[end:]


def _path(data: bytes, dice: random.Random) -> bytes:
    """Replace one file name."""
    places = [i for i in range(len(data)) if data[i : i + 4].lower() == b".tif"]
    if not places:
        return _insert(data, dice)
    end = dice.choice(places) + 4
    at = end
    while at > 0 and data[at - 1 : at] not in (b">", b'"', b"'", b"\n", b",", b"\t"):
        at -= 1
    return data[:at] + dice.choice(PATHS) + data[end:]


def _encoding(data: bytes, dice: random.Random) -> bytes:
    text = data.decode("utf-8", "replace")
    return text.encode(dice.choice(["utf-16", "utf-32", "latin-1", "utf-8-sig", "cp500"]), "replace")


def _bomb(data: bytes, dice: random.Random) -> bytes:
    at = data.find(b"?>") + 2 if data.startswith(b"<?xml") else 0
    data = data[:at] + BOMB + data[at:]
    spot = data.find(b">", at + len(BOMB) + dice.randrange(200)) + 1
    return data[:spot] + dice.choice([b"&d;", b"&x;"]) + data[spot:]


_DAMAGES = [_flip, _flip, _cut, _remove, _repeat, _insert, _insert, _number, _number, _number, _path, _encoding, _bomb]


def damage_export(folder: Path, dice: random.Random) -> str:
    """Damage one file of an export, seldom its name; say which."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    # Metadata is small in number and parsed by us: it gets half of the damage.
    texts = [p for p in files if p.suffix.lower() not in (".tif", ".tiff", ".png")] or files
    file = dice.choice(texts if dice.random() < 0.6 else files)
    kind = dice.random()
    if kind < 0.08:
        file.unlink()
        return f"removed {file.name}"
    if kind < 0.16:
        name = damage(file.name.encode(), dice).decode("utf-8", "replace").replace("/", "_").replace("\0", "_")[:60]
        target = file.with_name(name if name.strip(".") else "x")
        file.rename(target)
        return f"renamed {file.name} to {target.name}"
    file.write_bytes(damage(file.read_bytes(), dice))
    return f"damaged {file.name}"


def try_export(reader: str, path: Path, options: ReaderOptions | None) -> str:
    """Detect, read, and decode the planes; give what came of it."""
    if reader == SHEETS:
        return sheet_examples.try_sheets(path)
    with suppress(CytolakeError):
        detect(path)
    try:
        exports = get_reader(reader, options).read(path)
    except CytolakeError:
        return "refused"
    outcome = "read"
    for export in exports:
        sizes = {a.acquisition_id: (a.height, a.width) for a in export.acquisitions}
        for plane in export.planes.to_pylist()[:40]:
            if plane["size"] is None:
                continue
            height, width = sizes[plane["acquisition_id"]]
            if height * width > 50_000_000:
                continue
            file = Path(export.root) / plane["file"]
            try:
                read_plane(file, plane["page"], np.empty((height, width), plane_dtype(file, plane["page"])))
            except CytolakeError:
                outcome = "read, a plane refused"
    return outcome


class OutsideError(AssertionError):
    """A file outside the export was opened."""


_inside: list[str] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or not _inside or not isinstance(arguments[0], (str, bytes)):
        return
    path = os.path.realpath(os.fsdecode(arguments[0]))
    if not path.startswith((*_inside, *OURS, *SYSTEM)):
        _inside.clear()
        raise OutsideError(path)


@contextmanager
def _watched(folder: Path) -> Iterator[None]:
    def too_long(*_: Any) -> None:
        raise TimeoutError(f"longer than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    _inside[:] = [os.path.realpath(folder)]
    try:
        yield
    finally:
        _inside.clear()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def fuzz(reader: str, minutes: float, seed: int) -> dict[str, Any]:
    """Damage the small exports of one reader for so many minutes of this process's processor time."""
    outcomes: Counter[str] = Counter()
    failures: dict[str, str] = {}
    end = time.process_time() + 60 * minutes
    work = Path(tempfile.mkdtemp(prefix=f"fuzz-{reader}-"))
    print(work / "case", flush=True)
    builders = [(name, *rest) for (name, *rest) in EXAMPLES if name == reader]
    exports = []
    for number, (_, build, options) in enumerate(builders):
        folder = work / f"whole{number}"
        folder.mkdir()
        exports.append((folder, build(folder).relative_to(folder), options))
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEGABYTES * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    sys.addaudithook(_watch)
    case = 0
    while time.process_time() < end:
        dice = random.Random(f"{reader}/{seed}/{case}")
        whole, below, options = dice.choice(exports)
        folder = work / "case"
        shutil.copytree(whole, folder)
        what = damage_export(folder, dice)
        try:
            with _watched(folder):
                outcomes[try_export(reader, folder / below, options)] += 1
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            trace = traceback.extract_tb(error.__traceback__)
            place = next((f"{f.filename}:{f.lineno}" for f in reversed(trace) if "/ingest/" in f.filename), "")
            key = f"{type(error).__name__} at {place}"
            outcomes["failed"] += 1
            if key not in failures:
                failures[key] = f"case {case} (seed {seed}): {what}: {type(error).__name__}: {str(error)[:300]}"
                kept = KEPT / f"{reader}-{seed}-{case}"
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(folder, kept)
                (kept / "traceback.txt").write_text("".join(traceback.format_exception(error)))
        shutil.rmtree(folder)
        case += 1
    shutil.rmtree(work)
    return {"reader": reader, "cases": case, "outcomes": dict(outcomes), "failures": failures}


def main() -> None:
    known = list(dict.fromkeys(name for name, *_ in EXAMPLES))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60, help="processor time for all readers together")
    parser.add_argument("--reader", action="append", choices=known)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(fuzz(arguments.worker, arguments.minutes, arguments.seed)))
        return
    chosen = arguments.reader or known
    each = arguments.minutes / len(chosen)
    waiting, running, failed = list(chosen), {}, False
    while waiting or running:
        while waiting and len(running) < arguments.jobs:
            name = waiting.pop(0)
            command = [
                sys.executable,
                __file__,
                "--worker",
                name,
                "--minutes",
                str(each),
                "--seed",
                str(arguments.seed),
            ]
            running[name] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for name, process in list(running.items()):
            if process.poll() is None:
                continue
            del running[name]
            output = process.stdout.read() if process.stdout else ""
            if process.returncode:
                failed = True
                last = output.splitlines()[0] if output else "nowhere"
                print(f"{name}: the process ended with {process.returncode}; its last case is in {last}", flush=True)
                continue
            told = json.loads(output.splitlines()[-1])
            counts = ", ".join(f"{count} {what}" for what, count in sorted(told["outcomes"].items()))
            budget = f"{each:.1f} CPU minutes (seed {arguments.seed})"
            print(f"{name}: {told['cases']} cases in {budget}: {counts}", flush=True)
            for key, first in told["failures"].items():
                failed = True
                print(f"  {key}\n    {first}", flush=True)
        time.sleep(0.2)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
