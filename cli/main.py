"""The entry point: finds the verb, and turns every ending into an exit code and two lines that help.

Nothing but click is imported until a verb runs. Results go to stdout; narration, warnings and errors to stderr. With
``--json`` stdout carries exactly one object in every case: the report, or ``{"error": {code, message, hint}}``.

Exit codes: 0 ok, 1 unexpected, 2 usage, 3 configuration, 4 validation failed, 5 not found, 6 partly done,
130 interrupted, 141 when whoever reads stdout closed it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from keyword import iskeyword
from typing import Any, NamedTuple

import click

from .. import __version__
from ..errors import CytolakeError
from ..wording import did_you_mean
from .output import as_json, say_error

_INTERRUPTED = 130
_PIPE_CLOSED = 141
#: What newer versions of click raise where a group is called without a verb; older ones print the help themselves.
_NO_ARGUMENTS: tuple[type[click.ClickException], ...] = tuple(
    filter(None, [getattr(click.exceptions, "NoArgsIsHelpError", None)])
)


class _Verb(NamedTuple):
    module: str
    help: str


#: Verb → where it lives, and what it does: shown by ``--help`` without importing it.
_VERBS: Mapping[str, _Verb] = {
    "init": _Verb("lakes", "Make a lake."),
    "inspect": _Verb("exports", "Say what a vendor export is, without reading pixels."),
    "ingest": _Verb("exports", "Bring a vendor export into the lake."),
    "annotate": _Verb("exports", "Say what is in the wells: plate maps and sample sheets."),
    "illumination": _Verb("illumination", "Say how evenly plates are lit; keep profiles to correct it."),
    "transform": _Verb("transform", "Segment and measure: pixels to labels, features, quality."),
    "import": _Verb("tables", "Bring in tables of features that were made elsewhere."),
    "profile": _Verb("profiles", "Features to profiles of wells and treatments."),
    "report": _Verb("report", "Write the quality report of plates as a page to look at."),
    "tracks": _Verb("tracks", "Say what was followed over time; draw lineages."),
    "sql": _Verb("questions", "Ask a question in SQL."),
    "catalog": _Verb("catalog", "List what can be asked; attach what others wrote."),
    "plot": _Verb("plots", "Draw an answer: forest, heat map, volcano, embedding."),
    "features": _Verb("features", "List, compare, choose and check sets of features and profiles."),
    "dataset": _Verb("datasets", "Build data sets for training, pinned and split."),
    "export": _Verb("out", "Write a table or view as AnnData, Parquet or CSV."),
    "lineage": _Verb("lineage", "Go from a row back to its pixels and code, or forward."),
    "release": _Verb("releases", "Name the versions of all tables, to ask them for ever."),
    "exclude": _Verb("corrections", "Leave wells out of the views, or take them in again."),
    "remove": _Verb("corrections", "Remove a plate or a study; history keeps it."),
    "maintain": _Verb("releases", "Compact tables and remove what nothing needs any more."),
    "validate": _Verb("lakes", "Check a plate, a sheet, or the whole lake."),
    "doctor": _Verb("lakes", "Check the machine and the lake; each failure says its repair."),
    "demo": _Verb("demo", "Make two small studies, run everything, ask across them."),
}


class _ClosedPipe(Exception):  # noqa: N818 - nobody's error
    """Whoever read our output has gone."""


class _Verbs(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        verb = _VERBS.get(cmd_name)
        if verb is None:
            return None
        name = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        command = getattr(import_module(f"{__package__}.{verb.module}"), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _VERBS:
            ctx.fail(f"no such command {args[0]!r}{did_you_mean(args[0], _VERBS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.help) for name, verb in _VERBS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        # click itself would answer a closed pipe with exit code 1.
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            raise _ClosedPipe from error
        return result


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="cytolake")
@click.option("--lake", metavar="PATH|URL", help="The lake; else $CYTOLAKE_LAKE, else the nearest lake.toml above.")
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@click.pass_context
def cli(ctx: click.Context, lake: str | None, debug: bool) -> None:
    """Vendor plates to OME-Zarr, features to Delta tables, questions across studies in SQL.

    Results go to stdout, everything else to stderr. `cytolake COMMAND --help` explains a command.
    """
    ctx.obj = {"lake": lake, "debug": debug}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    before = given[: given.index("--")] if "--" in given else given
    json_wanted, debug = "--json" in before, "--debug" in before or bool(os.environ.get("CYTOLAKE_DEBUG"))
    try:
        code = _run(given, json_wanted=json_wanted, debug=debug)
    except (_ClosedPipe, BrokenPipeError):
        # Python would complain again when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    if code == _INTERRUPTED and arguments is None:
        _end_at_once(code)
    return code


def _end_at_once(code: int) -> None:
    """End the process if a native call is still running, whose thread Python's own way out would make abort."""
    if any(thread.daemon and thread.is_alive() for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(given: list[str], *, json_wanted: bool, debug: bool) -> int:
    try:
        code = cli.main(args=given, prog_name="cytolake", standalone_mode=False)
    except click.ClickException as error:
        if isinstance(error, _NO_ARGUMENTS):
            click.echo(error.format_message())
            return 0
        hint = None
        if isinstance(error, click.UsageError) and error.ctx is not None:
            hint = f"see `{error.ctx.command_path} --help`"
        return _fail("usage", error.format_message(), hint, error.exit_code, json_wanted=json_wanted)
    except (click.Abort, KeyboardInterrupt):
        return _fail(
            "interrupted",
            "interrupted; the lake is as it was or as far as it says",
            "run the same command again to go on",
            _INTERRUPTED,
            json_wanted=json_wanted,
        )
    except CytolakeError as error:
        if debug:
            raise
        return _fail(error.code, error.message, error.hint, error.exit_code, json_wanted=json_wanted)
    except _ClosedPipe:
        raise
    except Exception as error:
        if debug:
            raise
        message = f"unexpected {type(error).__name__}: {error}"
        hint = "run it again with --debug, and report what it prints"
        return _fail("unexpected", message, hint, 1, json_wanted=json_wanted)
    return code if isinstance(code, int) else 0


def _fail(code: str, message: str, hint: str | None, exit_code: int, *, json_wanted: bool) -> int:
    if json_wanted:
        click.echo(as_json({"error": {"code": code, "message": message, "hint": hint}}))
    say_error(message, hint)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
