"""Run what the documentation shows, and compare or rewrite the output that it prints.

In a Markdown page, every ``console`` block is run by bash, command by command (lines that start with ``$``, continued
while a line ends in a backslash), in one folder and with one environment per page; what follows a command is its
standard output. Every ``python`` block is run as a script of its own, and a ``text`` block right after it is what it
prints. In expected output ``...`` stands for anything within a line, and alone for any number of lines; identifiers of
runs, times, hashes and the width of gaps may differ anyway. The page's folder is shown as ``/home/me``. A command that
is meant to fail says so: ``# exit code 4``. A block under ``<!-- not run: why -->`` is left alone.

``python tests/docs_runner.py PAGE FOLDER`` runs a page in a folder and writes the real output into the page.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(\w*)\s*$")
_EXIT = re.compile(r"#\s*exit code (\d+)\s*$")
_STATE = ".docs-state"
HOME = "/home/me"
#: What is another at every run, and what stands for it when output is compared.
_CHANGING = (
    (re.compile(r"\b\d{8}T\d{12}-[0-9a-f]{6}\b"), "<run>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)?"), "<time>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<hash>"),
    (re.compile(r"(?<=[/_])[0-9a-f]{8}\b"), "<hash>"),
    (re.compile(r"─+"), "─"),
    (re.compile(r"[ \t]+"), " "),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command or script, the output it should have, and the lines (from, to) of that output in the page.

    ``shown`` is False for a script whose output the page does not show.
    """

    line: int
    code: str
    shell: bool
    expected: tuple[str, ...]
    span: tuple[int, int]
    exit_code: int = 0
    shown: bool = True


def blocks(lines: list[str]) -> Iterator[tuple[str, int, int, bool]]:
    """Kind, first and last line (exclusive) of the content of every fenced block, and whether it is run."""
    kind, start, skip = None, 0, False
    for number, line in enumerate(lines):
        fence = _FENCE.match(line)
        if kind is None and fence:
            kind, start = fence[1], number + 1
            skip = number > 0 and lines[number - 1].startswith("<!-- not run:")
        elif kind is not None and line.startswith("```"):
            yield kind, start, number, not skip
            kind = None


def steps(text: str) -> list[Step]:
    """Everything that a page runs, in order."""
    lines = text.split("\n")
    found: list[Step] = []
    everything = list(blocks(lines))
    for position, (kind, start, end, run) in enumerate(everything):
        if kind == "console" and run:
            found += _commands(lines, start, end)
        elif kind == "python" and run:
            span, shown = (end, end), False
            if position + 1 < len(everything):
                next_kind, next_start, next_end, _ = everything[position + 1]
                if next_kind == "text" and next_start <= end + 3:
                    span, shown = (next_start, next_end), True
            code = "\n".join(lines[start:end])
            expected = tuple(lines[slice(*span)])
            found.append(Step(line=start, code=code, shell=False, expected=expected, span=span, shown=shown))
    return found


def _commands(lines: list[str], start: int, end: int) -> Iterator[Step]:
    at = start
    while at < end:
        if not lines[at].startswith("$ "):
            raise ValueError(f"line {at + 1}: a console block starts with a command, '$ ...'")
        first = at
        code = [lines[at][2:]]
        while code[-1].endswith("\\") and at + 1 < end:
            at += 1
            code.append(lines[at].removeprefix("> "))
        output = at = at + 1
        while at < end and not lines[at].startswith("$ "):
            at += 1
        text = "\n".join(code)
        fails = _EXIT.search(text)
        yield Step(
            line=first + 1,
            code=text,
            shell=True,
            expected=tuple(lines[output:at]),
            span=(output, at),
            exit_code=int(fails[1]) if fails else 0,
        )


def run(step: Step, folder: Path) -> tuple[str, str, int]:
    """Standard output, standard error and exit code of a step; shell state is carried over in ``folder``."""
    environment = dict(os.environ, PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", COLUMNS="100")
    for name in ("CYTOLAKE_LAKE", "PYTEST_CURRENT_TEST"):
        environment.pop(name, None)
    state = folder / _STATE
    if step.shell:
        before = f'source "{state}"\n' if state.exists() else ""
        after = f'\n_code=$?\n{{ export -p; printf "cd %q\\n" "$PWD"; }} > "{state}"\nexit $_code\n'
        command = ["bash", "-c", before + step.code + after]
    else:
        # ibis 12 calls DuckDB 2 by a name that has a successor.
        warnings = ["-W", "error", "-W", "ignore:fetch_arrow_table:DeprecationWarning"]
        command = [sys.executable, *warnings, "-c", step.code]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    return done.stdout.replace(str(folder), HOME), done.stderr, done.returncode


def matches(expected: tuple[str, ...], actual: str) -> bool:
    """Whether output is as shown, where ``...`` stands for anything."""
    pattern = []
    for line in _trimmed([_unchanging(line) for line in expected]):
        if line.strip() == "...":
            pattern.append(r"(?:[^\n]*\n)*?")
        else:
            pattern.append(r"[^\n]*".join(re.escape(part) for part in line.split("...")) + r"\n")
    text = "".join(line + "\n" for line in _trimmed([_unchanging(line) for line in actual.split("\n")]))
    return re.fullmatch("".join(pattern), text) is not None


def _unchanging(line: str) -> str:
    for what, stand_in in _CHANGING:
        line = what.sub(stand_in, line)
    return line.strip()


def _trimmed(lines: list[str]) -> list[str]:
    lines = [line.rstrip() for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def rewrite(page: Path, folder: Path) -> int:
    """Run a page and put the real output where the shown one does not match; the number of places changed."""
    lines = page.read_text(encoding="utf-8").split("\n")
    changes: list[tuple[Step, list[str]]] = []
    for step in steps("\n".join(lines)):
        output, errors, code = run(step, folder)
        if code != step.exit_code:
            raise SystemExit(f"{page}:{step.line}: exit code {code}\n{step.code}\n{output}{errors}")
        if step.shown and not matches(step.expected, output):
            changes.append((step, _merged(step.expected, _trimmed(output.split("\n")))))
    for step, output_lines in reversed(changes):
        lines[slice(*step.span)] = output_lines
    page.write_text("\n".join(lines), encoding="utf-8")
    return len(changes)


def _merged(old: tuple[str, ...], new: list[str]) -> list[str]:
    """New output, with the old lines that still hold: their dots were put there on purpose."""
    kept = [line for line in old if line.strip() not in {"", "..."}]
    return [next((before for before in kept if matches((before,), line)), line) for line in new]


if __name__ == "__main__":
    changed = rewrite(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stderr.write(f"{sys.argv[1]}: {changed} outputs rewritten\n")
