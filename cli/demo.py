"""The verb that shows everything at once: demo."""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import common
from .output import report, say, table

if TYPE_CHECKING:
    from ..demo.story import DemoResult


@click.command()
@click.option("--directory", metavar="FOLDER", type=click.Path(), help="Where to make it; else a temporary folder.")
@common
def demo(directory: str | None, json_: bool) -> None:
    """Make two small studies, run everything on them, and ask one question across both."""
    from ..demo.story import run_demo

    folder = Path(directory) if directory else Path(tempfile.mkdtemp(prefix="cytolake-demo-"))
    told: set[str] = set()

    def follow(step: str, done: int, total: int) -> None:
        if step not in told:
            told.add(step)
            say(f"{step} …")

    made = run_demo(folder, progress=follow)
    result = {**asdict(made), "directory": str(made.directory), "lake": str(made.lake)}
    report(result, json_=json_, readable=lambda _: _told(made))


def _told(made: DemoResult) -> str:
    lines = []
    for study in made.studies:
        channels = ", ".join(f"{label} = {role}" for label, role in study.channels)
        lines.append(f"{study.study_id}: {study.wells} wells, {study.fields} fields; {channels}")
    lines += ["", made.question, "", *(f"    {line}" for line in made.sql.splitlines()), ""]
    rows = [
        (
            one.study_id,
            one.plate_id,
            one.control_nuclei,
            one.treated_nuclei,
            f"{one.effect:.2f} ×",
            f"{one.truth:.2f} ×",
        )
        for one in made.answer
    ]
    lines.append(table(rows, ("study", "plate", "control nuclei", "treated nuclei", "effect", "put in")))
    seconds = sum(made.seconds.values())
    lines += ["", f"{seconds:.0f} s in all; everything is in {made.directory}", "", "Go on with"]
    return "\n".join([*lines, *(f"    {step}" for step in (*_on_the_path(), *made.next_steps))])


def _on_the_path() -> list[str]:
    """Give what a shell must be told where it does not find the command: `make demo` runs it in an environment."""
    commands = Path(sys.executable).parent
    if shutil.which("cytolake") is None and (commands / "cytolake").exists():
        return [f"export PATH={shlex.quote(str(commands))}:$PATH"]
    return []
