"""The same journey on object storage: a bucket instead of a folder, nothing else changes."""

from __future__ import annotations

from pathlib import Path

import cytolake
from cytolake.lake import Lake

ROLES = {"Alexa 488": "ER", "Alexa 568": "AGP"}


def test_a_plate_goes_into_a_bucket_and_comes_out_as_rows(s3_url: str, tiny_export: Path, tmp_path: Path) -> None:
    plate_map = tmp_path / "map.csv"
    plate_map.write_text("well,compound,concentration,control_type\nA01,DMSO,,negative_vehicle\nA02,inflatin,10 uM,\n")
    lake = cytolake.init_lake(f"{s3_url}/journey")
    first = lake.ingest(tiny_export, study="pilot", plate_map=plate_map, roles=ROLES)
    assert first["status"] == "ok"
    assert lake.ingest(tiny_export, study="pilot", existing="skip")["status"] == "skipped"
    report = lake.transform(study="pilot", recipe="nuclei-and-cells", workers=1)
    assert report["plates"][0]["objects"]["nuclei"] > 10

    again: Lake = cytolake.open_lake(f"{s3_url}/journey")
    answer = again.sql(
        "SELECT well_id, compound, count(*) AS nuclei, avg(Nuclei_AreaShape_Area) AS area FROM nuclei "
        "WHERE plate_id = 'tiny-1' GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    assert [(row[0], row[1]) for row in answer] == [("A01", "DMSO"), ("A02", "inflatin")]
    assert 1.2 < answer[1][3] / answer[0][3] < 1.8
    assert again.plate("pilot", "tiny-1").field("A01", 1).read().any()
    assert again.validate(deep=True)["errors"] == []

    replaced = again.ingest(tiny_export, study="pilot", existing="replace")
    assert replaced["plates"][0]["path"] != first["plates"][0]["path"]
    assert again.sql("SELECT count(*) FROM nuclei").fetchall() == [(0,)]
    assert again.validate(deep=True)["errors"] == []
