"""The verb illumination: what it passes on and prints, and a plate from end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

LOOKED = {
    "run_id": "20260102T030405000000-0a1b2c",
    "status": "ok",
    "channels": [
        {
            "plate_id": "P1",
            "acquisition_id": 1,
            "channel_index": 0,
            "channel": "DAPI",
            "role": "DNA",
            "method": "basic",
            "images": 48,
            "flatness_before": {"cv": 0.2373, "corner_to_centre": 0.686},
            "flatness_after": {"cv": 0.0292, "corner_to_centre": 1.018},
            "stored": "auto-0123abcd",
            "is_new": True,
            "reason": None,
        }
    ],
    "warnings": ["plate P1: channel 'GFP' is not corrected: 3 images tell too little of the light"],
}
UNTOLD = {"method": "auto", "images": 200, "min_images": 16, "dark_level": 0.0}


def test_what_is_asked_and_printed(run: Any, noted: Any, tmp_path: Path) -> None:
    noted.answers |= {"estimate_illumination": LOOKED, "illumination_picture": b"PNG"}
    told = ("--method", "basic", "--images", "90", "--min-images", "20", "--dark-level", "100")
    ran = run("--lake", "lab", "illumination", "--study", "s", "--plate", "P1", *told, "--picture", "light.png")
    assert ran.code == 0
    asked = {"study": "s", "plates": ["P1"], "method": "basic", "images": 90, "min_images": 20, "dark_level": 100.0}
    estimated, drawn = noted.calls
    assert callable(estimated[2].pop("progress"))
    assert estimated[2] == drawn[2] == asked
    assert (tmp_path / "light.png").read_bytes() == b"PNG"
    header, row, *_ = ran.out.splitlines()
    assert " ".join(header.split()) == "plate channel method images varies % after % corners % after % kept as"
    assert " ".join(row.split()) == "P1 DAPI basic 48 23.7 2.9 68.6 102 auto-0123abcd"
    assert "warning: plate P1: channel 'GFP' is not corrected" in ran.err


def test_json_and_exit_codes(run: Any, noted: Any) -> None:
    noted.answers["estimate_illumination"] = LOOKED
    assert run("--lake", "lab", "illumination", "--study", "s", "--json").json == LOOKED
    assert {name: noted.last[2][name] for name in UNTOLD} == UNTOLD
    noted.answers["estimate_illumination"] = LOOKED | {"status": "partial"}
    assert run("--lake", "lab", "illumination", "--study", "s").code == 6
    ran = run("--lake", "lab", "illumination", "--study", "s", "--picture", "light.jpg")
    assert ran.code == 2
    assert "call it light.png" in ran.err


def test_a_plate_from_end_to_end(run: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    (tmp_path / "scans").mkdir()
    for well in range(1, 9):
        for field in (1, 2):
            lit = rng.uniform(300, 600) * (1 - 0.4 * (x**2 + y**2) / 2)
            for channel, mean in (("DAPI", lit), ("GFP", np.full_like(lit, 50))):
                path = tmp_path / "scans" / f"A{well:02}_{field}_{channel}.tif"
                tifffile.imwrite(path, rng.poisson(mean).astype(np.uint16))
    assert run("init", "lab").code == 0
    told = ("--pattern", r"(?P<well>[A-P]\d+)_(?P<field>\d+)_(?P<channel>\w+)\.tif", "--pixel-size", "0.65",
            "--plate-format", "96")  # fmt: skip
    assert run("--lake", "lab", "ingest", "scans", "--study", "s", "--plate", "p", *told).code == 0
    ran = run("--lake", "lab", "illumination", "--study", "s", "--picture", "light.png", "--json")
    assert ran.code == 0
    dapi, gfp = ran.json["channels"]
    assert dapi["flatness_before"]["cv"] > 5 * dapi["flatness_after"]["cv"]
    assert dapi["is_new"]
    assert gfp["channel"] == "GFP"
    assert (tmp_path / "light.png").read_bytes().startswith(b"\x89PNG")
    again = run("--lake", "lab", "illumination", "--study", "s", "--json").json["channels"][0]
    assert again == dapi | {"is_new": False}
    assert run("--lake", "lab", "validate", "--deep").code == 0
    runs = run("--lake", "lab", "sql", "SELECT run_id FROM runs WHERE verb = 'illumination'", "--json").json
    assert len(runs) == 2
    assert run("--lake", "lab", "illumination", "--study", "t").code == 5
