"""Two screens of one laboratory, as their tables of wells lie in the Image Data Resource: import, annotate, profile."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cytolake
import pytest
from cytolake.lake import Lake

DATA = Path(os.environ.get("CYTOLAKE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
IDR0028 = DATA / "profiles" / "idr0028_rhogtpase"
#: Study → its library of library_file, and how many wells its table has.
SCREENS = {"screenA": ("LM2_siGENOME", 960), "screenB": ("LM2_ONTARGETPlus", 1523)}
AREA = "Nuclei_AreaShape_Area_um2"

pytestmark = pytest.mark.skipif(not IDR0028.is_dir(), reason="the tables of idr0028 are not here")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = cytolake.init_lake(tmp_path_factory.mktemp("lake"))
    for study, (library, wells) in SCREENS.items():
        (features,) = IDR0028.glob(f"*{study}__{library}_features.txt")
        (library_file,) = IDR0028.glob(f"*{study}__idr0028-{study}-library.txt")
        assert lake.import_tables(features, study=study)["rows"] == wells
        lake.annotate(library_file, study=study, keep_unknown=True, accept_valid=True)
    lake.profile(study=list(SCREENS), recipe="standard")
    return lake


def ask(lake: Lake, query: str) -> list[tuple[Any, ...]]:
    return list(lake.sql(query).fetchall())


def test_cells_that_fail_to_divide_have_large_nuclei_in_both_screens(lake: Lake) -> None:
    found = {
        study: (wells, area)
        for study, wells, area in ask(
            lake, f"SELECT study_id, n_wells, {AREA} FROM treatment_profiles WHERE gene = 'ECT2'"
        )
    }
    assert set(found) == set(SCREENS)
    for wells, area in found.values():
        assert wells == 4
        assert 10 < area < 14
    ((racgap,),) = ask(lake, f"SELECT {AREA} FROM treatment_profiles WHERE gene = 'RACGAP1' AND study_id = 'screenA'")
    assert racgap == pytest.approx(16.9, abs=0.1)


def test_each_plate_is_measured_against_its_own_mock_wells(lake: Lake) -> None:
    rows = ask(
        lake,
        f"""SELECT plate_id, count(*), median({AREA}) FROM profiles
            WHERE control_type LIKE 'negative%' GROUP BY ALL""",
    )
    assert len(rows) == 8
    assert all(wells >= 24 for _, wells, _ in rows)
    assert all(median == pytest.approx(0, abs=1e-12) for _, _, median in rows)
    fits = lake.root.tables.read("profile_fits", columns=["unit", "operator", "controls"]).to_pylist()
    recorded = {fit["unit"].split("/")[1]: len(fit["controls"]) for fit in fits if fit["operator"] == "robust_z"}
    assert recorded == {plate: wells for plate, wells, _ in rows}
