"""``cytolake report``: options reach the lake, results are printed, nothing heavy is imported for its help."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import NotedLake, Run

RESULT = {
    "path": "r.html",
    "pictures": ["r.png"],
    "plates": [
        {
            "plate_id": "P1",
            "feature_set": "nuclei@1",
            "wells": 2,
            "fields": 4,
            "problems": [{"problem": "blurred", "sentence": "A01 field 1 is blurred (DNA): -3 is below -2."}],
            "notes": ["Well B02 is empty, as the plate map says."],
            "effects": [],
            "z_prime": [],
        }
    ],
    "warnings": ["left out: plate P2"],
}


def test_options_reach_the_lake_and_problems_are_printed(run: Run, noted: NotedLake) -> None:
    noted.answers["report"] = RESULT
    arguments = ["--study", "s", "--plate", "P1", "--output", "r.html", "--png", "r.png", "--feature-set", "nuclei"]
    ran = run("--lake", "x", "report", *arguments)
    assert ran.code == 0
    verb, _, options = noted.last
    assert verb == "report"
    assert options.pop("progress") is not None
    assert options == {"study": "s", "plates": ["P1"], "output": "r.html", "png": "r.png", "feature_set": "nuclei"}
    assert ran.out.splitlines() == [
        "P1: 1 problem (2 wells, 4 fields, nuclei@1)",
        "  A01 field 1 is blurred (DNA): -3 is below -2.",
        "  note: Well B02 is empty, as the plate map says.",
        "r.html",
        "r.png",
    ]
    assert "left out: plate P2" in ran.err


def test_json_is_the_result(run: Run, noted: NotedLake) -> None:
    noted.answers["report"] = RESULT
    ran = run("--lake", "x", "report", "--study", "s", "--output", "r.html", "--json")
    assert ran.json == RESULT


def test_the_output_must_be_named(run: Run, noted: NotedLake) -> None:
    ran = run("--lake", "x", "report", "--study", "s")
    assert ran.code == 2
    assert "--output" in ran.err
