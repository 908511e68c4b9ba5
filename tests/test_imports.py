"""What is loaded when: the command line answers at once, and there is one copy of the package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cytolake
import pytest

ROOT = Path(__file__).resolve().parents[1]
#: Each of these alone costs more than the whole budget of `--help`, or a library that only one verb needs.
HEAVY = {
    "numba",
    "dask",
    "distributed",
    "duckdb",
    "zarr",
    "linkml",
    "pyarrow",
    "numpy",
    "pandas",
    "tensorstore",
}
HEAVY |= {"ome_zarr", "deltalake", "polars", "skimage", "scipy"}


def modules_after(code: str, folder: Path) -> set[str]:
    """Top-level modules that a fresh interpreter holds after ``code``."""
    program = f"{code}\nimport sys, json\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_import_loads_nothing_heavy(tmp_path: Path) -> None:
    loaded = modules_after("import cytolake; cytolake.__version__", tmp_path)
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("arguments", [["--help"], ["ingest", "--help"], ["sql", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(tmp_path: Path, arguments: list[str]) -> None:
    code = f"""
import sys
sys.argv = ["cytolake", *{arguments!r}]
from cytolake.cli.main import main
assert not main()
"""
    assert modules_after(code, tmp_path) & HEAVY == set()


def test_public_names_exist() -> None:
    for name in cytolake.__all__:
        assert getattr(cytolake, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'open_lak'"):
        _ = cytolake.open_lak


def test_one_copy_of_the_package() -> None:
    """Pytest may meet the root's ``__init__.py`` under the checkout's folder name; nothing else twice."""
    import cytolake.errors

    twins = [
        name
        for name, module in list(sys.modules.items())
        if getattr(module, "__file__", None) and Path(str(module.__file__)).resolve() == ROOT / "errors.py"
    ]
    assert twins == ["cytolake.errors"]
    assert Path(str(cytolake.__file__)).resolve() == ROOT / "__init__.py"
