"""The notebooks of the documentation run, and show what they say that they show."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import notebook_runner
import pytest

if TYPE_CHECKING:
    from conftest import DemoRun

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_shows_what_it_says(notebook: Path, tmp_path: Path, demo_run: DemoRun) -> None:
    assert demo_run.exit_code == 0, demo_run.errors
    shutil.copytree(demo_run.folder, tmp_path / "work")
    copy = shutil.copy(notebook, tmp_path / notebook.name)
    runner = str(ROOT / "tests" / "notebook_runner.py")
    command = [sys.executable, "-W", "error", runner, str(copy), str(tmp_path / "work")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = json.loads(notebook.read_text(encoding="utf-8"))
    assert len(notebook_runner.texts(written)) >= 5
    assert notebook_runner.texts(json.loads(Path(copy).read_text(encoding="utf-8"))) == notebook_runner.texts(written)
