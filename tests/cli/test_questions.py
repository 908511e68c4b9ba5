"""sql and catalog on a real, empty lake: forms, files, streams."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

LONG = "… more than 100 rows: write them all with --output FILE or --format csv"
ROWS = "SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS t(n, text)"


@pytest.fixture
def ask(run: Any, tmp_path: Path) -> Any:
    assert run("init", "lab").code == 0
    return lambda *arguments: run("--lake", str(tmp_path / "lab"), *arguments)


def test_a_table_is_what_people_see(ask: Any) -> None:
    ran = ask("sql", ROWS)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "n  text\n─  ────\n1  a\n2  b\n"


@pytest.mark.parametrize("arguments", [["--format", "json"], ["--json"], ["--json", "--format", "json"]])
def test_json_is_a_list_of_rows(ask: Any, arguments: list[str]) -> None:
    assert ask("sql", ROWS, *arguments).json == [{"n": 1, "text": "a"}, {"n": 2, "text": "b"}]


def test_csv(ask: Any) -> None:
    assert ask("sql", ROWS, "--format", "csv").out == "n,text\n1,a\n2,b\n"


@pytest.mark.parametrize("suffix", ["csv", "json", "arrow", "parquet"])
def test_the_suffix_of_the_file_says_the_form(ask: Any, tmp_path: Path, suffix: str) -> None:
    ran = ask("sql", ROWS, "--output", f"rows.{suffix}")
    assert (ran.code, ran.out, ran.err) == (0, "", f"2 rows in rows.{suffix}\n")
    data = (tmp_path / f"rows.{suffix}").read_bytes()
    if suffix == "parquet":
        assert pq.read_table(io.BytesIO(data)).num_rows == 2
    elif suffix == "arrow":
        assert pa.ipc.open_stream(data).read_all().num_rows == 2
    elif suffix == "json":
        assert len(json.loads(data)) == 2
    else:
        assert data.startswith(b"n,text")


def test_a_table_in_a_file(ask: Any, tmp_path: Path) -> None:
    assert ask("sql", ROWS, "--format", "table", "--output", "rows.txt").code == 0
    assert (tmp_path / "rows.txt").read_text().splitlines()[0] == "n  text"


def test_forms_that_do_not_fit(ask: Any) -> None:
    assert ask("sql", ROWS, "--output", "rows.xlsx").code == 2
    ran = ask("sql", ROWS, "--json", "--format", "csv")
    assert ran.code == 2
    assert "contradict" in ran.out


def test_binary_forms_are_not_for_a_terminal(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    ran = ask("sql", ROWS, "--format", "parquet")
    assert ran.code == 2
    assert "--output" in ran.err


def test_a_question_from_stdin(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(ROWS))
    assert ask("sql", "-", "--format", "csv").out == "n,text\n1,a\n2,b\n"


def test_a_long_answer_is_cut_in_a_table_only(ask: Any) -> None:
    assert ask("sql", "FROM range(500)").out.splitlines()[-1] == LONG
    assert len(ask("sql", "FROM range(500)", "--format", "csv").out.splitlines()) == 501


def test_a_wrong_question(ask: Any) -> None:
    ran = ask("sql", "FROM welsl")
    assert ran.code == 4
    assert ran.err == "error: there is no table 'welsl'\nhint: did you mean 'wells'?\n"
    assert ask("sql", "FROM welsl", "--json").json["error"]["code"] == "query"
    assert ask("sql", "DELETE FROM wells").code == 4
    assert ask("sql", "FROM wells", "--as-of", "spring").code == 5


def test_as_of(ask: Any) -> None:
    assert ask("sql", "SELECT count(*) AS n FROM runs", "--as-of", "2026-01-01", "--json").json == [{"n": 0}]


def test_listings(ask: Any) -> None:
    names = {entry["name"] for entry in ask("catalog", "tables", "--json").json["tables"]}
    assert {"wells", "plates", "runs", "feature_dictionary"} <= names
    assert "wells" in ask("catalog", "tables").out
    columns = ask("catalog", "columns", "wells", "--json").json["columns"]
    assert {"table", "column", "type", "unit", "description"} == set(columns[0])
    assert "concentration_um" in ask("catalog", "columns", "wells").out
    assert ask("catalog", "columns", "welsl").code == 5
    assert ask("catalog", "features", "area", "--json").json == {"features": []}
    nothing = ask("catalog", "features")
    assert nothing.out == "no feature matches\n"
    assert "the lake has no features yet: `cytolake transform` makes them" in nothing.err


def test_a_wide_answer_on_a_terminal_is_cut_at_its_edge(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = "SELECT " + ", ".join(f"'{number:08}' AS column_{number}" for number in range(20))
    assert len(ask("sql", wide).out.splitlines()[0].split()) == 20  # not a terminal: everything
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    lines = ask("sql", wide).out.splitlines()
    assert lines[0].split() == ["column_0", "column_1", "column_2", "column_3"]
    assert max(len(line) for line in lines[:3]) <= 40
    assert lines[-1] == "… 16 more columns: --format csv, or name the columns"


def test_readers_and_presets_can_be_listed(run: Any) -> None:
    listed = {entry["name"]: entry for entry in run("catalog", "readers", "--json").json["readers"]}
    assert listed["harmony"]["presets"] == []
    assert all(entry["description"] for entry in listed.values())
    presets = {preset["name"]: preset for preset in listed["pattern"]["presets"]}
    assert presets["incell-names"]["example"] == "A - 1(fld 1 wv DAPI - DAPI).tif"
    out = run("catalog", "readers").out
    for name in (*listed, *presets):
        assert f"\n{name} " in out


def test_recipes_can_be_listed_and_copied(run: Any, tmp_path: Path) -> None:
    listed = {entry["name"]: entry for entry in run("catalog", "recipes", "--json").json["recipes"]}
    measuring = {name for name, entry in listed.items() if entry["verb"] == "transform"}
    assert measuring == {"nuclei", "nuclei-and-cells", "nuclei-3d", "cell-painting"}
    assert listed["standard"]["verb"] == "profile"
    assert listed["standard"]["steps"] == ["robust_z", "select"]
    assert listed["cell-painting"]["objects"] == ["nuclei", "cells", "cytoplasm"]
    assert "AreaShape" in listed["nuclei"]["families"]
    assert "nuclei-and-cells" in run("catalog", "recipes").out
    text = run("catalog", "recipes", "nuclei").out
    (tmp_path / "mine.toml").write_text(text)
    assert "[objects.nuclei]" in text
    assert run("catalog", "recipes", "mine.toml", "--json").json["text"].rstrip() == text.rstrip()
    assert "did you mean 'nuclei'" in run("catalog", "recipes", "nuclie").err
    assert "did you mean 'standard'" in run("catalog", "recipes", "standart").err
    (tmp_path / "profiles.toml").write_text(run("catalog", "recipes", "standard").out)
    assert run("catalog", "recipes", "profiles.toml", "--json").json["verb"] == "profile"


def test_roles_can_be_listed(run: Any) -> None:
    listed = {entry["role"]: entry["aliases"] for entry in run("catalog", "roles", "--json").json["roles"]}
    assert "mitochondria" in listed["Mito"]
    assert "DNA" in run("catalog", "roles").out
