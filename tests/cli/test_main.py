"""How every command ends: exit codes, errors in two lines, one JSON object."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import cytolake.errors
import pytest
from cytolake.cli.main import _VERBS, cli

CYTOLAKE = str(Path(sys.executable).with_name("cytolake"))

#: Verbs that have verbs.
GROUPS = {
    "catalog": {
        "tables",
        "columns",
        "features",
        "recipes",
        "roles",
        "readers",
        "macros",
        "attach",
        "attached",
        "detach",
        "synonyms",
    },
    "dataset": {"build", "check"},
    "features": {"list", "show", "diff", "use", "check"},
    "release": {"create", "list", "show", "diff", "withdraw"},
}
#: Options of each verb that cli.md promises, beside --help.
OPTIONS = {
    "init": {"--name", "--json"},
    "import": {
        "--study", "--plate", "--dialect", "--name", "--mapping", "--pipeline", "--role", "--existing", "--precision",
        "--plate-format", "--dry-run", "--json",
    },
    "profile": {"--study", "--plate", "--recipe", "--source", "--apply", "--like", "--picture", "--json"},
    "maintain": {"--dry-run", "--json"},
    "inspect": {
        "--reader", "--pattern", "--pixel-size", "--plate-format", "--picture", "--well", "--acquisition", "--json",
    },
    "ingest": {
        "--study", "--plate", "--plate-map", "--keep-unknown", "--accept-valid", "--role", "--existing",
        "--by-reference", "--workers", "--dry-run", "--lake", "--json",
        "--reader", "--pattern", "--pixel-size", "--plate-format",
    },
    "annotate": {
        "--study", "--plate", "--replace", "--keep-unknown", "--accept-valid", "--dry-run", "--lake", "--json",
    },
    "transform": {
        "--study", "--plate", "--recipe", "--role", "--device", "--workers", "--scheduler", "--preview", "--output",
        "--lake", "--json",
    },
    "illumination": {"--study", "--plate", "--method", "--picture", "--lake", "--json"},
    "report": {"--study", "--plate", "--output", "--lake", "--json"},
    "tracks": {"--study", "--plate", "--well", "--field", "--picture", "--lake", "--json"},
    "sql": {"--format", "--output", "--as-of", "--policy", "--explain", "--lake", "--json"},
    "plot": {"--output", "--title", "--as-of", "--set", "--lake", "--json"},
    "export": {
        "--output", "--study", "--plate", "--where", "--as-of", "--format", "--layout", "--overwrite", "--lake",
        "--json",
    },
    "lineage": {"--forward", "--treatment", "--picture", "--openlineage", "--lake", "--json"},
    "exclude": {"--study", "--plate", "--well", "--reason", "--include", "--dry-run", "--lake", "--json"},
    "remove": {"--study", "--plate", "--reason", "--yes", "--dry-run", "--lake", "--json"},
    "validate": {"--deep", "--lake", "--json"},
    "doctor": {"--lake", "--json"},
    "demo": {"--directory", "--json"},
}  # fmt: skip


def commands() -> dict[str, click.Command]:
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def test_every_verb_is_there_with_its_options() -> None:
    assert set(commands()) == {*OPTIONS, *GROUPS} == set(_VERBS)
    for name, promised in OPTIONS.items():
        options = {option for parameter in commands()[name].params for option in parameter.opts}
        assert promised <= options, name
    for name, verbs in GROUPS.items():
        group = commands()[name]
        assert isinstance(group, click.Group)
        assert set(group.commands) == verbs


def test_every_option_and_verb_has_help(run: Any) -> None:
    for name, command in commands().items():
        assert command.help, name
        for parameter in command.params:
            assert not isinstance(parameter, click.Option) or parameter.help, f"{name} {parameter.name}"
        ran = run(name, "--help")
        assert (ran.code, ran.err) == (0, "")
        assert "Usage: cytolake" in ran.out


def test_without_a_verb_the_help_is_shown(run: Any) -> None:
    ran = run("--help")
    assert ran.code == 0
    for name, verb in _VERBS.items():
        assert f"{name} " in ran.out
        assert verb.help in ran.out
    bare = run()
    assert (bare.code, bare.out, bare.err) == (0, ran.out, "")
    group = run("catalog")
    assert (group.code, group.out, group.err) == (0, run("catalog", "--help").out, "")


def test_an_unknown_verb(run: Any) -> None:
    ran = run("ingset", "x")
    assert ran.code == 2
    assert ran.err == "error: no such command 'ingset'; did you mean 'ingest'?\nhint: see `cytolake --help`\n"


def test_a_missing_argument(run: Any) -> None:
    ran = run("ingest", "x")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "error: Missing option '--study'.\nhint: see `cytolake ingest --help`\n"


ERRORS = [
    (name, one)
    for name, one in vars(cytolake.errors).items()
    if isinstance(one, type) and issubclass(one, cytolake.errors.CytolakeError)
]


@pytest.mark.parametrize(("name", "kind"), ERRORS)
def test_every_error_has_its_code_and_two_lines(run: Any, noted: Any, name: str, kind: Any) -> None:
    noted.answers["lineage"] = kind("plate P1: nothing there", hint="look elsewhere")
    ran = run("--lake", "x", "lineage", "s/P1")
    assert (ran.code, ran.out) == (kind.exit_code, "")
    assert ran.err == "error: plate P1: nothing there\nhint: look elsewhere\n"
    ran = run("--lake", "x", "lineage", "s/P1", "--json")
    assert ran.code == kind.exit_code
    assert ran.json == {"error": {"code": kind.code, "message": "plate P1: nothing there", "hint": "look elsewhere"}}


def test_exit_codes_are_those_of_the_style_guide() -> None:
    assert {kind.exit_code for _, kind in ERRORS} <= {1, 2, 3, 4, 5}
    assert cytolake.errors.UsageError.exit_code == 2
    assert cytolake.errors.ConfigurationError.exit_code == 3
    assert cytolake.errors.InvalidDataError.exit_code == 4
    assert cytolake.errors.NotFoundError.exit_code == 5


def test_an_unexpected_error_is_told_without_a_traceback(run: Any, noted: Any) -> None:
    noted.answers["lineage"] = KeyError("x")
    ran = run("--lake", "x", "lineage", "s/P1")
    assert ran.code == 1
    assert ran.err == "error: unexpected KeyError: 'x'\nhint: run it again with --debug, and report what it prints\n"
    assert run("--lake", "x", "lineage", "s/P1", "--json").json["error"]["code"] == "unexpected"


@pytest.mark.parametrize("where", ["before", "behind", "environment"])
def test_debug_shows_where_an_error_comes_from(
    run: Any, noted: Any, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    noted.answers["lineage"] = KeyError("x")
    if where == "environment":
        monkeypatch.setenv("CYTOLAKE_DEBUG", "1")
    before = ["--debug"] if where == "before" else []
    behind = ["--debug"] if where == "behind" else []
    with pytest.raises(KeyError):
        run(*before, "--lake", "x", "lineage", "s/P1", *behind)


def test_usage_errors_are_json_too(run: Any) -> None:
    ran = run("lineage", "--json")
    assert ran.code == 2
    assert ran.json["error"]["code"] == "usage"


def test_interruption(run: Any, noted: Any) -> None:
    noted.answers["lineage"] = KeyboardInterrupt()
    ran = run("--lake", "x", "lineage", "s/P1")
    assert ran.code == 130
    assert "interrupted" in ran.err


def test_no_lake(run: Any, tmp_path: Path) -> None:
    ran = run("catalog", "tables")
    assert ran.code == 3
    assert f"no lake.toml in {tmp_path}" in ran.err
    assert "--lake" in ran.err


def test_which_lake(run: Any, noted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noted.answers["tables"] = []
    (tmp_path / "lake.toml").touch()
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "er")
    assert run("catalog", "tables").code == 0
    monkeypatch.setenv("CYTOLAKE_LAKE", "from-environment")
    run("catalog", "tables")
    run("--lake", "from-option", "catalog", "tables")
    run("catalog", "tables", "--lake", "from-option-behind")
    run("--lake", "before", "catalog", "tables", "--lake", "s3://bucket/behind")
    expected = [str(tmp_path), "from-environment", "from-option", "from-option-behind", "s3://bucket/behind"]
    assert noted.opened == expected


def test_a_closed_pipe_is_no_error_message(tmp_path: Path) -> None:
    """``cytolake ... | head -1``: quiet, and no traceback from Python's own last flush."""
    subprocess.run([CYTOLAKE, "init", "lab"], cwd=tmp_path, check=True, capture_output=True)
    command = f"'{CYTOLAKE}' --lake lab sql 'FROM range(2000000)' --format csv | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["range", "141"]
    assert done.stderr == ""


def test_the_installed_command_returns_its_exit_code(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "CYTOLAKE_LAKE"}
    done = subprocess.run(
        [CYTOLAKE, "lineage", "s/P"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert done.stderr.startswith("error: no lake")


@pytest.mark.parametrize(
    "asked",
    [
        ("inspect", "export", "--picture"),
        ("illumination", "--study", "s", "--picture"),
        ("report", "--study", "s", "--output", "r.html", "--png"),
        ("tracks", "--study", "s", "--plate", "p", "--overlay"),
    ],
    ids=lambda asked: str(asked[0]),
)
def test_a_picture_is_called_png(run: Any, noted: Any, asked: tuple[str, ...]) -> None:
    ran = run("--lake", "lab", *asked, "plate.jpg")
    assert ran.code == 2
    assert "call it plate.png" in ran.err
    assert noted.calls == []
