"""Every question of the hostile list is asked of a real lake, in the processes that a sandbox makes."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cytolake.catalog.sandbox import Policy, Record, Sandbox
from cytolake.errors import CytolakeError

PAGE = Path(__file__).resolve().parents[3] / "docs" / "sandbox.md"
#: Wide, so that a busy machine changes no verdict; an attack on a limit has its own.
LIMITS = {"seconds": 200, "cpu_seconds": 60, "memory_mb": 1024}
SECRET = "SESAME-OPEN"


def _hostile() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hostile", Path(__file__).with_name("hostile.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hostile"] = module
    spec.loader.exec_module(module)
    return module


hostile = _hostile()
#: Asked of a sandbox: all that are not refused when they are read, all that might break the process, and the first of
#: some aims. The others are read one after another by one process, with the same functions.
SOME = {"read a file", "a table that is not shown", "write a file"}
WHOLE_WAY = {
    *{attack.aim: attack for attack in reversed(hostile.ATTACKS) if attack.aim in SOME}.values(),
    *(attack for attack in hostile.ATTACKS if attack.decision != "refused" or attack.aim == "break the engine"),
}
READ = """
import json, sys
import pyarrow as pa
from cytolake.catalog.sandbox import engine
from cytolake.errors import QueryError

said = []
limits = {"threads": 1, "memory_mb": 512}
schema = pa.schema([("study_id", pa.string()), ("plate_id", pa.string())])
connection = engine.connect(limits, 600)
for query in json.load(sys.stdin):
    try:
        said.append(f"passed: {engine.Question(connection, query, {'plates': schema}, ['plates']).read()}")
    except QueryError as error:
        said.append(str(error))
json.dump(said, sys.stdout)
"""


def _tree(folder: Path) -> str:
    """A hash over all names, links and bytes under a folder."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        whole.update(os.fsencode(path.relative_to(folder)))
        if path.is_symlink():
            whole.update(os.fsencode(path.readlink()))
        elif path.is_file():
            whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


class Verdicts:
    """Asks the list."""

    def __init__(self, root: Any, outside: Path) -> None:
        self.lake = Path(root.url)
        self.outside = outside
        secret = outside / "secret.txt"
        secret.write_text(SECRET)
        (self.lake / "tables" / "link.txt").symlink_to(secret)
        # A quote in the name of a file is written twice in SQL.
        self.paths = {
            "lake": str(self.lake),
            "secret": str(secret),
            "link": str(self.lake / "tables" / "link.txt"),
            "target": str(outside / "it's new"),
        }
        self.root = root
        self.before = _tree(outside)
        self._read: dict[Any, tuple[str, str, str]] | None = None

    def _read_others(self) -> dict[Any, tuple[str, str, str]]:
        attacks = [attack for attack in hostile.ATTACKS if attack not in WHOLE_WAY]
        texts = json.dumps([attack.written(self.paths) for attack in attacks])
        done = subprocess.run([sys.executable, "-c", READ], input=texts, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        after = _tree(self.outside)
        return {attack: ("refused", said, after) for attack, said in zip(attacks, json.loads(done.stdout), strict=True)}

    def _ask(self, attack: Any) -> tuple[str, str, str]:
        records: list[Record] = []
        limits = LIMITS | dict(attack.limits)
        policy = Policy.read({"tables": {"plates": {"columns": ["study_id", "plate_id"]}}, "limits": limits})
        sandbox = Sandbox(self.root, policy, on_question=records.append)
        try:
            said = str(sandbox.sql(attack.written(self.paths)).fetchall())
        except CytolakeError as error:
            said = str(error)
        return records[0].decision, said, _tree(self.outside)

    def of(self, attack: Any) -> tuple[str, str, str]:
        if attack in WHOLE_WAY:
            return self._ask(attack)
        if self._read is None:
            self._read = self._read_others()
        return self._read[attack]


@pytest.fixture(scope="module")
def verdicts(shared_lake: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    import shutil

    from cytolake.store.root import open_root

    outside = tmp_path_factory.mktemp("outside")
    shutil.copytree(shared_lake.root.url, outside / "lake")
    return Verdicts(open_root(outside / "lake"), outside)


@pytest.mark.slow  # a process for each of about thirty
@pytest.mark.parametrize("attack", hostile.ATTACKS, ids=lambda attack: attack.sql[:60])
def test_what_comes_of_it(attack: Any, verdicts: Verdicts) -> None:
    decision, said, after = verdicts.of(attack)

    expected = attack.says
    for name, path in verdicts.paths.items():
        expected = expected.replace(f"{{{name}}}", path)
    assert decision == attack.decision, said
    assert expected in said
    assert SECRET not in said
    assert after == verdicts.before


def test_the_page_shows_the_list() -> None:
    shown = hostile.in_page(PAGE.read_text(encoding="utf-8"))
    assert shown == hostile.table(), f"run: python tests/catalog/sandbox/hostile.py {PAGE}"


def test_no_attack_is_there_twice() -> None:
    asked = [attack.sql for attack in hostile.ATTACKS]
    assert len(set(asked)) == len(asked)


def test_the_table_functions_that_are_allowed_exist_and_make_rows_of_their_arguments_alone() -> None:
    import duckdb
    from cytolake.catalog.sandbox.checks import TABLE_FUNCTIONS

    with duckdb.connect(":memory:") as connection:
        rows = connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('table', 'table_macro')"
        ).fetchall()
    present = {name for (name,) in rows}

    assert present >= TABLE_FUNCTIONS
    reaching = ("arrow_", "duckdb_", "enable_", "glob", "pandas_", "parquet_", "pragma_", "python_", "query", "read_")
    assert not [name for name in TABLE_FUNCTIONS if name.startswith(reaching)]
