"""Fixtures that every folder of tests uses."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the slow tests: one that comes last would leave the other processes of a run idle."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@contextmanager
def _one_core() -> Iterator[None]:
    """Leave one core to the commands started meanwhile, another one for each process of a test run.

    A transform then starts no worker processes, which take longer to start than these small plates to measure, and
    which the other test processes would have to make room for. Tests of their own start workers on purpose.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    turn = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    os.sched_setaffinity(0, {sorted(cores)[turn % len(cores)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@pytest.fixture
def one_core() -> Iterator[None]:
    """Commands that the test starts have one core; see :func:`_one_core`."""
    with _one_core():
        yield


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
    """``cytolake demo``, as a user runs it (about a minute); once for all processes of a test run."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, told = shared / "demo-run", shared / "demo-run.json"
    with (shared / "demo-run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.exists():
            folder.mkdir()
            command = ["cytolake", "demo", "--directory", "cytolake-demo"]
            # Where the command is found, as on the pages: the demo tells a shell that does not find it how to.
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            with _one_core():
                done = subprocess.run(
                    command,
                    cwd=folder,
                    env=os.environ | {"PATH": path},
                    capture_output=True,
                    text=True,
                    stdin=subprocess.DEVNULL,
                    check=False,
                )
            told.write_text(
                json.dumps({"output": done.stdout, "errors": done.stderr, "exit_code": done.returncode}),
                encoding="utf-8",
            )
    return DemoRun(
        command="cytolake demo --directory cytolake-demo", folder=folder, **json.loads(told.read_text(encoding="utf-8"))
    )


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Address of an S3 server of this session's own; a process, because deltalake holds the interpreter's lock."""
    pytest.importorskip("moto", reason="the S3 tests need moto")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    if server.poll() is not None or time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


@pytest.fixture
def s3_url(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of a prefix in a new bucket, with the environment that leads there."""
    settings = {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    bucket = f"lake-{uuid.uuid4().hex[:12]}"
    request = urllib.request.Request(f"{s3_endpoint}/{bucket}", method="PUT")
    with urllib.request.urlopen(request, timeout=30):
        pass
    return f"s3://{bucket}/lab"
