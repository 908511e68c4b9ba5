"""How things are printed: results on stdout, everything else on stderr, plain text where there is no terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

Progress = Callable[[int, int], None]


def as_json(value: Any) -> str:
    """Return one JSON object for stdout; names that are not UTF-8 with their odd bytes escaped."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str).encode(errors="backslashreplace").decode()


def say(text: str) -> None:
    """Narrate on stderr."""
    click.echo(text, err=True)


def say_error(message: str, hint: str | None) -> None:
    """Print an error as two lines on stderr."""
    click.secho("error: ", err=True, nl=False, fg="red", bold=True)
    say(message)
    if hint:
        click.secho("hint: ", err=True, nl=False, fg="cyan", bold=True)
        say(hint)


def say_warnings(warnings: Sequence[str]) -> None:
    """Print warnings on stderr."""
    for warning in warnings:
        click.secho("warning: ", err=True, nl=False, fg="yellow", bold=True)
        say(warning)


def report(result: Mapping[str, Any], *, json_: bool, readable: Callable[[Mapping[str, Any]], str]) -> None:
    """Print the result of a verb: one JSON object, or what a person wants to see of it."""
    if json_:
        click.echo(as_json(result))
        return
    say_warnings([str(text) for text in result.get("warnings") or ()])
    text = readable(result)
    if text:
        click.echo(text)


def exit_code(result: Mapping[str, Any]) -> int:
    """Return 6 for a result that is only partly done, else 0."""
    return 6 if result.get("status") == "partial" else 0


def table(rows: Sequence[Sequence[Any]], header: Sequence[str]) -> str:
    """Return rows aligned in columns, numbers to the right."""
    shown = [[_cell(value) for value in row] for row in rows]
    numeric = [
        all(isinstance(row[index], int | float | None) for row in rows) and bool(rows) for index in range(len(header))
    ]
    widths = [max(len(name), *(len(row[index]) for row in shown), 0) for index, name in enumerate(header)]

    def line(values: Sequence[str]) -> str:
        cells = zip(values, widths, numeric, strict=True)
        return "  ".join(text.rjust(width) if right else text.ljust(width) for text, width, right in cells).rstrip()

    return "\n".join([line(header), *(line(row) for row in shown)])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value)
    return str(value)


def facts(pairs: Mapping[str, Any]) -> str:
    """Return one ``name  value`` line per fact that is known."""
    known = {name: _cell(value) for name, value in pairs.items() if value is not None and value != ""}
    width = max((len(name) for name in known), default=0)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in known.items())


def size(count: float | None) -> str | None:
    """Return a number of bytes as people write it: 1.2 GB."""
    if count is None:
        return None
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(count) < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return None


def counted(count: int, one: str) -> str:
    """Return ``1 plate``, ``2 plates``, ``12,000 fields``."""
    return f"{count:,} {one if count == 1 else f'{one}s'}"


@contextmanager
def progress_bar(what: str) -> Iterator[Progress]:
    """Show a bar on stderr while the block runs; without a terminal only say what begins."""
    if not sys.stderr.isatty():
        say(what)
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=None)

        def show(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        yield show
