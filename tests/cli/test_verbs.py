"""What each verb passes on, and what it prints of the answer."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from vendor_exports.pattern import write_folder

PLATE = {
    "plate_id": "P1",
    "wells": 12,
    "fields": 48,
    "planes": 240,
    "missing_planes": 5,
    "corrupt_planes": 0,
    "bytes_read": 112_600_000,
    "seconds": 3.25,
    "path": "images/pilot/P1.ome.zarr",
}


def ingested(status: str = "ok", **more: Any) -> dict[str, Any]:
    return {
        "run_id": "20260102T030405000000-0a1b2c",
        "status": status,
        "plates": [PLATE],
        "warnings": [],
        "errors": [],
        **more,
    }


def test_init_makes_a_lake_once(run: Any, tmp_path: Path) -> None:
    ran = run("init", "lab", "--name", "our lab", "--json")
    assert ran.code == 0
    assert ran.json == {"lake": str(tmp_path / "lab"), "name": "our lab", "format_version": 1}
    again = run("init", "lab")
    assert again.code == 4
    assert "is a lake already, named 'our lab'" in again.err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    assert run("init", "full").code == 3


def test_init_says_what_comes_next(run: Any) -> None:
    ran = run("init", "lab")
    assert ran.out.startswith("lake 'lab' at ")
    assert "cytolake --lake lab ingest" in ran.err


#: What a person may say of an export, and did not.
UNTOLD = {"reader": None, "pattern": None, "pixel_size_um": None, "plate_format": None}
INSPECTED: dict[str, Any] = {
    "reader": "harmony",
    "evidence": {"confidence": 1.0, "index": "/x/Index.idx.xml", "facts": []},
    "vendor": "PerkinElmer Harmony",
    "format_version": "V5",
    "plates": [
        {
            "plate": "P1",
            "barcode": "B1",
            "rows": 16,
            "columns": 24,
            "wells": 3,
            "fields": 12,
            "channels": [{"name": "HOECHST", "role": "DNA"}, {"name": "Alexa 488", "role": None}],
            "acquisitions": [{"acquisition_id": 1}],
            "timepoints": 1,
            "z_planes": 1,
            "pixel_size_um": 0.5983,
            "planes": 24,
            "missing_planes": 2,
            "bytes": 11_500_000,
        }
    ],
    "warnings": ["channel 'Alexa 488' has no role"],
}


def test_inspect(run: Any, noted: Any, tmp_path: Path) -> None:
    noted.answers |= {"inspect": INSPECTED, "inspect_picture": b"PNG"}
    ran = run("inspect", "export", "--reader", "harmony", "--picture", "plate.png")
    assert noted.calls[0] == ("inspect", ("export",), {**UNTOLD, "reader": "harmony"})
    assert (tmp_path / "plate.png").read_bytes() == b"PNG"
    assert ran.err == "wrote plate.png\nwarning: channel 'Alexa 488' has no role\n"
    for line in ("vendor  PerkinElmer Harmony", "format       16 × 24", "planes       24 (2 missing)",
                 "pixel size   0.5983 µm", "Alexa 488  not recognised", "size         11.5 MB"):  # fmt: skip
        assert line in ran.out
    assert run("inspect", "export", "--json").json == INSPECTED
    assert run("inspect", "export", "--picture", "no/folder.png").code == 1


def test_inspect_refuses_to_draw_what_nobody_sees(run: Any, noted: Any) -> None:
    ran = run("inspect", "export", "--well", "A1")
    assert ran.code == 2
    assert "--well says what to draw; add --picture FILE.png" in ran.err
    assert "--acquisition says what to draw" in run("inspect", "export", "--acquisition", "2").err
    ran = run("inspect", "export", "--picture", "plate.jpg")
    assert ran.code == 2
    assert "call it plate.png" in ran.err
    assert noted.calls == []


def test_inspect_names_wells_and_missing_planes(run: Any, noted: Any) -> None:
    first = [
        {
            "acquisition_id": 1,
            "well_id": "A02",
            "field_id": 7,
            "timepoint": 0,
            "z": 3,
            "channel": "DAPI",
            "file": "a.tif",
        }
    ]
    missing = {"wells": {"A02": 2}, "channels": {"DAPI": 2}, "first": first}
    plate = INSPECTED["plates"][0] | {"well_ids": ["A01", "A02", "B01", "B02", "C07"], "missing": missing}
    noted.answers["inspect"] = INSPECTED | {"plates": [plate]}
    lines = [" ".join(line.split()) for line in run("inspect", "export").out.splitlines()]
    assert "wells 3 (A01:B02, C07)" in lines
    assert lines[-3:] == [
        "missing field channel time z file",
        "A02 7 DAPI 0 3 a.tif",
        "... and 1 more; by well: A02 (2)",
    ]


def test_inspect_says_of_each_plate_what_they_do_not_share(run: Any, noted: Any) -> None:
    one, other = (
        INSPECTED["plates"][0] | {"vendor": "PerkinElmer Harmony", "format_version": version, "path": "/x"}
        for version in ("V5", "V7")
    )
    noted.answers["inspect"] = INSPECTED | {"plates": [one, other]}
    lines = [" ".join(line.split()) for line in run("inspect", "export").out.splitlines()]
    assert "vendor PerkinElmer Harmony" in lines
    assert [line for line in lines if line.startswith("written in")] == ["written in V5", "written in V7"]
    assert not any(line.startswith(("format V", "folder")) for line in lines)


def test_ingest_names_the_plates_that_it_could_not_bring_in(run: Any, noted: Any) -> None:
    error = {"plate_id": "P2", "code": "source-file", "message": "not one image is there", "hint": "Copy them."}
    noted.answers["ingest"] = ingested("partial", errors=[error])
    ran = run("--lake", "lab", "ingest", "export", "--study", "pilot")
    assert ran.code == 6
    assert "error: plate P2: not one image is there" in ran.err
    assert "hint: Copy them." in ran.err


def test_inspect_shows_each_of_several_acquisitions(run: Any, noted: Any) -> None:
    one = {"acquisition_id": 1, "z_mode": "stack", "wells": 12, "fields": 12, "timepoints": 1, "z_planes": 10,
           "height": 512, "width": 640, "pixel_size_um": 1.3672, "planes": 120, "missing_planes": 3}  # fmt: skip
    other = one | {"acquisition_id": 2, "z_mode": "projection", "z_planes": 1, "planes": 12, "missing_planes": 0}
    channels = [{"name": "DAPI", "role": "DNA", "acquisition_id": number} for number in (1, 2)]
    plate = INSPECTED["plates"][0] | {"acquisitions": [one, other], "channels": channels}
    noted.answers["inspect"] = INSPECTED | {"plates": [plate]}
    lines = [line.split() for line in run("inspect", "export").out.splitlines()]
    assert ["1", "stack", "12", "12", "1", "10", "512", "×", "640", "1.367", "µm", "120", "3"] in lines
    assert ["2", "projection", "12", "12", "1", "1", "512", "×", "640", "1.367", "µm", "12", "0"] in lines
    assert lines[-2:] == [["DAPI", "DNA", "1"], ["DAPI", "DNA", "2"]]


def test_ingest_passes_everything_on(run: Any, noted: Any) -> None:
    noted.answers["ingest"] = ingested(warnings=["a dusty lens"])
    ran = run(
        "--lake", "lab", "ingest", "export", "--study", "pilot", "--plate", "P1", "--plate-map", "a.csv",
        "--plate-map", "b.csv", "--keep-unknown", "--role", "Alexa 488=ER", "--role", "a = b=DNA",
        "--existing", "extend", "--by-reference", "--workers", "3", "--dry-run", "--reader", "harmony",
    )  # fmt: skip
    assert ran.code == 0
    verb, arguments, options = noted.last
    assert (verb, arguments) == ("ingest", ("export",))
    assert callable(options.pop("progress"))
    assert options == {
        "study": "pilot",
        "plate": "P1",
        "plate_map": ["a.csv", "b.csv"],
        "keep_unknown": True,
        "accept_valid": False,
        "roles": {"Alexa 488": "ER", "a = b": "DNA"},
        "existing": "extend",
        "by_reference": True,
        "workers": 3,
        "dry_run": True,
        **UNTOLD,
        "reader": "harmony",
    }
    assert "warning: a dusty lens" in ran.err
    assert "P1        12      48     240        5        0  112.6 MB     3.25  images/pilot/P1.ome.zarr" in ran.out
    assert "run 20260102T030405000000-0a1b2c" in ran.out


def test_what_is_told_of_an_export_is_passed_on(run: Any, noted: Any) -> None:
    noted.answers |= {"inspect": INSPECTED, "inspect_picture": b"PNG", "ingest": ingested()}
    told = ("--pattern", r"(?P<well>A\d)", "--pixel-size", "0.65", "--plate-format", "8x12")
    expected = {"pattern": r"(?P<well>A\d)", "pixel_size_um": 0.65, "plate_format": "8x12"}
    assert run("inspect", "export", *told, "--picture", "p.png").code == 0
    assert noted.calls[0][2] == {"reader": None, **expected}
    assert noted.calls[1][2] == {"reader": "harmony", "well": None, "acquisition": None, **expected}
    assert run("ingest", "export", "--study", "s", "--lake", "lab", *told).code == 0
    assert expected.items() <= noted.last[2].items()


@pytest.mark.parametrize(
    ("told", "message", "hint"),
    [
        (("--plate-format", "95"), "there is no plate format '95'", "96, 384, 1536"),
        (("--plate-format", "33x48"), "there is no plate format '33x48'", "32x48 is the largest"),
        (("--pixel-size", "0"), "a pixel of 0 µm", "divided by the magnification"),
        (("--pixel-size", "wide"), "'wide' is not a valid float", "inspect --help"),
        (
            ("--pattern", "celomics"),
            "no preset of file names is called 'celomics'; did you mean 'cellomics'?",
            "Presets",
        ),
        (("--pattern", "(?P<well>"), "no regular expression that is understood", "RE2"),
    ],
)
def test_what_is_told_wrongly_is_a_usage_error(
    run: Any, tmp_path: Path, told: tuple[str, ...], message: str, hint: str
) -> None:
    (tmp_path / "x").mkdir()
    ran = run("inspect", "x", *told)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert hint in ran.err


def test_a_folder_of_tiff_files_from_end_to_end(run: Any, tmp_path: Path) -> None:
    write_folder(tmp_path / "scans", [f"B{c}_{f}_GFP.tif" for c in (2, 3) for f in (1, 2)], resolution=(72, 72))
    ran = run("inspect", "scans")
    assert (ran.code, ran.out) == (4, "")
    assert "no preset explains names such as B2_1_GFP.tif" in ran.err
    pattern = r"(?P<well>[A-P]\d+)_(?P<field>\d+)_(?P<channel>\w+)\.tif"
    ran = run("inspect", "scans", "--pattern", pattern)
    assert ran.code == 0
    assert "the size of a pixel is not known" in ran.err
    assert "Say it with --pixel-size UM" in ran.err
    assert "pixel size" not in ran.out
    assert run("init", "other").code == 0
    ran = run("--lake", "other", "ingest", "scans", "--study", "s", "--pattern", pattern, "--dry-run")
    assert ran.code == 4
    assert "hint: Say it with --pixel-size UM" in ran.err
    told = ("--pattern", pattern, "--pixel-size", "0.65", "--plate-format", "96")
    ran = run("inspect", "scans", *told, "--json").json
    assert (ran["reader"], ran["vendor"], ran["plates"][0]["wells"]) == ("pattern", "TIFF folder", 2)
    assert (ran["plates"][0]["rows"], ran["plates"][0]["pixel_size_um"]) == (8, 0.65)
    assert run("init", "lab").code == 0
    ran = run("--lake", "lab", "ingest", "scans", "--study", "s", "--plate", "p", *told, "--json").json
    assert (ran["status"], ran["plates"][0]["planes"], ran["plates"][0]["missing_planes"]) == ("ok", 4, 0)
    assert run("--lake", "lab", "validate", "--deep").code == 0


def test_ingest_json_is_the_result_alone(run: Any, noted: Any) -> None:
    noted.answers["ingest"] = ingested(warnings=["a dusty lens"])
    ran = run("ingest", "export", "--study", "pilot", "--lake", "lab", "--json")
    assert ran.json == noted.answers["ingest"]


def test_partly_done_has_its_own_code(run: Any, noted: Any) -> None:
    noted.answers["ingest"] = ingested("partial")
    assert run("ingest", "export", "--study", "pilot", "--lake", "lab").code == 6


@pytest.mark.parametrize("value", ["DNA", "=DNA", "Hoechst=", " = "])
def test_a_role_must_be_channel_and_role(run: Any, noted: Any, value: str) -> None:
    ran = run("ingest", "export", "--study", "pilot", "--lake", "lab", "--role", value)
    assert ran.code == 2
    assert "CHANNEL=ROLE" in ran.err
    assert noted.calls == []


def test_a_channel_has_one_role(run: Any, noted: Any) -> None:
    ran = run("transform", "--study", "pilot", "--lake", "lab", "--role", "A=DNA", "--role", "A=ER")
    assert ran.code == 2
    assert "'A' is given twice" in ran.err


def test_annotate(run: Any, noted: Any) -> None:
    error = {"file": "a.csv", "row": 3, "column": "well", "value": "Z99", "rule": "well", "message": "no such well"}
    noted.answers["annotate"] = {"run_id": None, "status": "failed", "rows": 0, "errors": [error], "warnings": []}
    ran = run("--lake", "lab", "annotate", "--study", "pilot", "a.csv", "b.csv", "--replace", "--keep-unknown")
    assert ran.code == 4
    assert noted.last[1] == (["a.csv", "b.csv"],)
    assert noted.last[2] == {
        "study": "pilot",
        "plate": None,
        "replace": True,
        "keep_unknown": True,
        "accept_valid": False,
        "dry_run": False,
    }
    assert "a.csv    3  well    Z99    well  no such well" in ran.out
    assert "1 error\n" in ran.out
    noted.answers["annotate"] = {"run_id": "r", "status": "partial", "rows": 2, "errors": [error], "warnings": []}
    assert run("--lake", "lab", "annotate", "--study", "pilot", "a.csv", "--accept-valid").code == 6
    noted.answers["annotate"] = {"run_id": "r", "status": "ok", "rows": 2, "errors": [], "warnings": []}
    ran = run("--lake", "lab", "annotate", "--study", "pilot", "a.csv")
    assert (ran.code, ran.out) == (0, "ok  2 rows written\n")


def test_annotate_dry_run(run: Any, noted: Any) -> None:
    told = {"run_id": None, "status": "failed", "rows": 2, "errors": [], "warnings": []}
    noted.answers["annotate"] = told | {"contradictions": ["A01 has X, row 2 of a.csv says Y"]}
    ran = run("--lake", "lab", "annotate", "--study", "pilot", "a.csv", "--dry-run")
    assert (ran.code, noted.last[2]["dry_run"]) == (4, True)
    assert ran.out == (
        "A01 has X, row 2 of a.csv says Y\n\n1 contradiction of what the lake holds\nfailed  2 rows would be written\n"
    )
    assert "dry run: nothing is written" in ran.err


def test_of_thousands_of_errors_a_thousand_are_printed(run: Any, noted: Any) -> None:
    error = {"file": "a.csv", "row": 3, "column": "well", "value": "Z99", "rule": "well", "message": "no such well"}
    told = {"run_id": None, "status": "failed", "rows": 0, "errors": [error] * 1003, "warnings": []}
    noted.answers["annotate"] = told
    out = run("--lake", "lab", "annotate", "--study", "pilot", "a.csv").out
    assert (out.count("no such well"), "... and 3 more, which --json lists" in out) == (1000, True)
    assert len(run("--lake", "lab", "annotate", "--study", "pilot", "a.csv", "--json").json["errors"]) == 1003


def test_transform(run: Any, noted: Any) -> None:
    noted.answers["transform"] = {
        "run_id": "r9",
        "status": "ok",
        "feature_set": "nuclei-and-cells@1",
        "plates": [
            {"plate_id": "P1", "objects": {"nuclei": 220, "cells": 219}, "images": 48, "seconds": 9.6, "failed": []}
        ],
        "warnings": [],
    }
    ran = run(
        "--lake", "lab", "transform", "--study", "pilot", "--plate", "P1", "--plate", "P2", "--recipe", "my.toml",
        "--role", "FITC=DNA", "--device", "cpu", "--workers", "2", "--scheduler", "tcp://x:1",
    )  # fmt: skip
    options = noted.last[2]
    assert callable(options.pop("progress"))
    assert options == {
        "study": "pilot",
        "plates": ["P1", "P2"],
        "recipe": "my.toml",
        "roles": {"FITC": "DNA"},
        "device": "cpu",
        "workers": 2,
        "scheduler": "tcp://x:1",
    }
    assert ran.out.splitlines()[:2] == [
        "plate  images  nuclei  cells  seconds",
        "P1         48     220    219      9.6",
    ]
    assert ran.out.endswith("ok  nuclei-and-cells@1  run r9\n")


def test_no_bar_without_a_terminal(run: Any, noted: Any) -> None:
    noted.answers["ingest"] = ingested()
    ran = run("ingest", "export", "--study", "pilot", "--lake", "lab")
    assert ran.err == "ingesting export\n"


def test_lineage_is_drawn_as_a_tree(run: Any, noted: Any) -> None:
    noted.answers["lineage"] = {
        "nodes": [
            {"id": "well:s/P/A01", "kind": "well", "name": "s/P/A01", "compound": "taxol"},
            {"id": "plate:s/P", "kind": "plate", "name": "s/P", "path": "images/s/P.ome.zarr"},
            {"id": "run:r1", "kind": "run", "name": "r1", "verb": "ingest"},
            {"id": "export:x", "kind": "export", "name": "x"},
        ],
        "edges": [
            {"from": "well:s/P/A01", "to": "plate:s/P", "relation": "part_of"},
            {"from": "plate:s/P", "to": "run:r1", "relation": "was_generated_by"},
            {"from": "well:s/P/A01", "to": "run:r1", "relation": "was_generated_by"},
            {"from": "run:r1", "to": "export:x", "relation": "used"},
        ],
    }
    ran = run("--lake", "lab", "lineage", "s/P/A01")
    assert noted.last[1] == ("s/P/A01",)
    assert ran.out == (
        "well s/P/A01\n"
        "    compound: taxol\n"
        "  part of plate s/P\n"
        "      path: images/s/P.ome.zarr\n"
        "    was generated by run r1\n"
        "        verb: ingest\n"
        "      used export x\n"
        "  was generated by run r1 (above)\n"
    )
    assert run("--lake", "lab", "lineage", "s/P/A01", "--json").json == noted.answers["lineage"]


def test_validate(run: Any, noted: Any) -> None:
    error = {"code": "file-missing", "where": "tables/wells/x.parquet", "message": "gone"}
    whole = {"checked": {"tables": 12, "plates": 1}, "errors": [], "warnings": ["left over"]}
    noted.answers["validate"] = {**whole, "errors": [error]}
    ran = run("--lake", "lab", "validate", "--deep")
    assert (ran.code, noted.last) == (4, ("validate", ([],), {"deep": True}))
    assert "file-missing  tables/wells/x.parquet  gone" in ran.out
    noted.answers["validate"] = whole
    ran = run("--lake", "lab", "validate", "P.ome.zarr")
    assert (ran.code, noted.last[1]) == (0, (["P.ome.zarr"],))
    assert ran.out == "checked 12 tables, 1 plate\nno errors found\n"
    assert ran.err == "warning: left over\n"


def test_validate_of_a_path_needs_no_lake(run: Any, noted: Any) -> None:
    noted.answers["validate"] = {"checked": {}, "errors": [], "warnings": []}
    assert run("validate", "map.csv").code == 0
    assert noted.opened == []
    assert run("validate").code == 3


def test_doctor(run: Any, noted: Any) -> None:
    good = {"name": "python", "ok": True, "detail": "3.11.7", "repair": ""}
    bad = {"name": "hard links", "ok": False, "detail": "not supported", "repair": "move the lake"}
    noted.answers["doctor"] = {"checks": [good]}
    ran = run("doctor")
    assert (ran.code, noted.last[1]) == (0, (None,))
    noted.answers["doctor"] = {"checks": [good, bad]}
    ran = run("--lake", "lab", "doctor")
    assert ran.code == 3
    assert noted.last[1] == (noted,)
    assert ran.out == ("ok    python      3.11.7\nFAIL  hard links  not supported\n                  → move the lake\n")
    assert run("doctor", "--json").json == {"checks": [good, bad]}


def test_demo(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from cytolake.demo import story

    def run_demo(directory: Path, *, progress: Any) -> story.DemoResult:
        progress("make one", 1, 2)
        progress("make one", 2, 2)
        return story.DemoResult(
            directory=directory,
            lake=directory / "lake",
            studies=(),
            question="How much?",
            sql="SELECT 1",
            answer=(
                story.Comparison(
                    study_id="one", plate_id="P1", control_nuclei=10, treated_nuclei=20, effect=1.4142, truth=1.4
                ),
            ),
            seconds={"make one": 2.0},
            next_steps=("cytolake catalog tables",),
        )

    monkeypatch.setattr(story, "run_demo", run_demo)
    ran = run("demo", "--directory", "here")
    assert ran.code == 0
    assert ran.err == "make one …\n"
    assert "one    P1                 10              20  1.41 ×  1.40 ×" in ran.out
    assert "How much?" in ran.out
    assert "    cytolake catalog tables" in ran.out
    commands = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{commands}:/usr/bin")
    assert "export PATH" not in run("demo", "--directory", "here").out
    monkeypatch.setenv("PATH", "/nowhere")
    assert f"    export PATH={shlex.quote(str(commands))}:$PATH\n" in run("demo", "--directory", "here").out
    made = run("demo", "--directory", "here", "--json").json
    assert made["answer"][0]["truth"] == 1.4
    assert made["directory"] == "here"
    assert "cytolake-demo-" in run("demo", "--json").json["directory"]


def test_dask_logs_nothing_of_how_it_ends() -> None:
    script = (
        "from cytolake.cli.transform import _keep_dask_quiet; _keep_dask_quiet()\n"
        "import logging, distributed\n"
        "logging.getLogger('distributed.batched').info('Batched Comm Closed')\n"
        "logging.getLogger('asyncio').error('Task exception was never retrieved')\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stderr == ""
