"""Ingest and transform of one plate at the same time: one of them is told to wait, nothing is mixed."""

from __future__ import annotations

import shutil
from pathlib import Path

import cytolake
import numpy as np
import pytest
import tifffile
from cytolake.errors import ConflictError
from cytolake.lake import Lake
from cytolake.store.commit import Commit

ROLES = {"Alexa 488": "ER", "Alexa 568": "AGP"}


@pytest.fixture
def lake(tiny_export: Path, tmp_path: Path) -> Lake:
    lake = cytolake.init_lake(tmp_path / "lake")
    lake.ingest(tiny_export, study="pilot", roles=ROLES)
    return lake


@pytest.fixture
def other_pixels(tiny_export: Path, tmp_path: Path) -> Path:
    export = Path(shutil.copytree(tiny_export, tmp_path / "other"))
    for file in export.rglob("*.tiff"):
        tifffile.imwrite(file, np.full((256, 256), 7, np.uint16))
    return export


def test_a_plate_is_not_replaced_while_it_is_measured(lake: Lake, other_pixels: Path) -> None:
    met: list[str] = []

    def replace(done: int, total: int) -> None:
        if not met:
            with pytest.raises(ConflictError, match="locked by"):
                lake.ingest(other_pixels, study="pilot", existing="replace")
            met.append("refused")

    assert lake.transform(study="pilot", workers=1, progress=replace)["status"] == "ok"
    assert met == ["refused"]
    assert lake.validate(deep=True)["errors"] == []


def test_features_of_pixels_that_are_gone_are_not_committed(
    lake: Lake, other_pixels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on an object store, which has no locks: the plate is replaced just before the commit.
    enter = Commit.__enter__
    done: list[str] = []

    def late(self: Commit) -> Commit:
        if self._app_id.startswith("transform/") and not done:
            done.append("replaced")
            monkeypatch.setattr(type(lake.root.storage), "lock", _no_lock)
            lake.ingest(other_pixels, study="pilot", existing="replace")
        return enter(self)

    monkeypatch.setattr(Commit, "__enter__", late)
    with pytest.raises(ConflictError, match="was changed while run"):
        lake.transform(study="pilot", workers=1)
    assert done == ["replaced"]
    assert not [name for name in lake.root.tables.names() if name.startswith("features/")]


def test_a_plate_that_was_replaced_after_planning_is_planned_anew(
    lake: Lake, other_pixels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cytolake.transforms import engine

    plan = engine.plan_work

    def slow(*args: object, **settings: object) -> object:
        works = plan(*args, **settings)  # type: ignore[arg-type]
        lake.ingest(other_pixels, study="pilot", existing="replace")
        return works

    monkeypatch.setattr(engine, "plan_work", slow)
    with pytest.raises(ConflictError, match="ingested anew"):
        lake.transform(study="pilot", workers=1)
    assert len(list(Path(lake.url).glob("images/pilot/*.ome.zarr"))) == 1


def test_replacing_says_that_features_go(lake: Lake, other_pixels: Path) -> None:
    lake.transform(study="pilot", workers=1)
    report = lake.ingest(other_pixels, study="pilot", existing="replace")
    assert any("transform it" in warning for warning in report["warnings"])


def _no_lock(*_: object, **__: object) -> object:
    import contextlib

    return contextlib.nullcontext()
