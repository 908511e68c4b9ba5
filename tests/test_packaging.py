"""What a user gets: the wheel holds every package folder and every data file, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BESIDE = {"tests", "benchmarks", "docs", "build", "dist"}


def beside(folder: str, names: list[str]) -> set[str]:
    """Everything that is no source of the package, for ``copytree``."""
    at_root = Path(folder) == ROOT
    return {
        name
        for name in names
        if name in {"__pycache__", "cytolake.egg-info"} or name.startswith(".") or (at_root and name in BESIDE)
    }


@pytest.fixture(scope="module")
def wheel_files(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names in a wheel built from a copy of the sources, offline."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", ignore=beside)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    done = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(folder / "source")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def package_sources() -> set[str]:
    """Every file that the wheel should hold, as it is named there."""
    sources = {f"cytolake/{path.name}" for path in ROOT.glob("*.py")} | {"cytolake/py.typed"}
    for folder in ROOT.iterdir():
        if folder.is_dir() and folder.name not in BESIDE and (folder / "__init__.py").exists():
            for path in folder.rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts:
                    sources.add("cytolake/" + path.relative_to(ROOT).as_posix())
    return sources


def test_wheel_holds_every_source(wheel_files: set[str]) -> None:
    # numba writes its cache beside the code; it is nobody's source.
    wanted = {name for name in package_sources() if not name.endswith((".nbi", ".nbc", ".pyc"))}
    assert len(wanted) > 40
    assert wanted - wheel_files == set()


def test_wheel_holds_nothing_else(wheel_files: set[str]) -> None:
    extra = {name for name in wheel_files - package_sources() if ".dist-info/" not in name}
    assert extra == set()


def test_every_package_folder_is_listed() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {name.rpartition("/")[0].replace("/", ".") for name in package_sources() if name.endswith(".py")}
    assert found == listed
