"""Fixtures that every folder of tests uses."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cytolake.demo.synthetic import Truth


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real exports, images and profiles; tests that need it skip where it is absent."""
    named = os.environ.get("CYTOLAKE_TEST_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set CYTOLAKE_TEST_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def demo_truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """A tiny synthetic plate and all that is true about it: 2 wells × 2 fields × 3 stains, 256² pixels.

    A01 is a control, A02 holds a compound that makes nuclei 1.5 times as large. Read only: tests share it.
    """
    from cytolake.demo.synthetic import AGP, CONTROL, DNA, ER, Phenotype, PlateSpec, make_export

    treated = Phenotype(
        compound="inflatin",
        concentration_um=10.0,
        control_type="treatment",
        nucleus_area=1.5,
        cell_area=1.2,
    )
    spec = PlateSpec(
        plate_id="tiny-1",
        wells={"A01": CONTROL, "A02": treated},
        stains=(DNA, ER, AGP),
        n_fields=2,
        size=256,
        seed=7,
    )
    return make_export(tmp_path_factory.mktemp("tiny") / "tiny-1__2026-01-15T09_30_00-Measurement 1", spec)


@pytest.fixture(scope="session")
def tiny_export(demo_truth: Truth) -> Path:
    """The measurement folder of :func:`demo_truth`: a Harmony export, read only."""
    return demo_truth.export


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRun:
    """What ``cytolake demo`` did, run once for every test that looks at it. ``folder`` is read only."""

    command: str
    folder: Path
    output: str
    errors: str
    exit_code: int


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    """``cytolake demo --directory demo``, as a user runs it (about a minute)."""
    folder = tmp_path_factory.mktemp("demo-run")
    command = [str(Path(sys.executable).with_name("cytolake")), "demo", "--directory", "demo"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    return DemoRun(
        command="cytolake demo --directory demo",
        folder=folder,
        output=done.stdout,
        errors=done.stderr,
        exit_code=done.returncode,
    )
