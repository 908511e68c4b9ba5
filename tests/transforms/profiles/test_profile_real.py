"""A real siRNA screen in two libraries (IDR idr0028): failed cytokinesis makes large nuclei, in both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cytolake.lake import init_lake

MOCK = """
name = "mock"
[controls]
where = { Genes = "Cells" }
[[steps]]
operator = "robust_z"
fit = "plate"
on = "controls"
[consensus]
by = ["Genes"]
"""
AREA = "Nuclei_AreaShape_Area_um2"
#: Screen → (name of its table, wells of ECT2, mock wells per plate)
SCREENS = {
    "A": ("LM2_siGENOME", ["F17", "L09"], [24, 24, 168, 168]),
    "B": ("LM2_ONTARGETPlus", ["D09", "L13"], [79, 139, 225, 291]),
}


@pytest.mark.parametrize("screen", SCREENS)
def test_ect2_has_nuclei_of_ten_to_fourteen_robust_z(shared_data: Path, tmp_path: Path, screen: str) -> None:
    folder = shared_data / "profiles" / "idr0028_rhogtpase"
    library, wells, mock = SCREENS[screen]
    files = sorted(folder.glob(f"*screen{screen}__{library}_features.txt"))
    if not files:
        pytest.skip(f"no features of screen {screen} in {folder}")
    lake = init_lake(tmp_path / "lake")
    lake.import_tables(files, study=screen)
    (tmp_path / "mock.toml").write_text(MOCK, encoding="utf-8")
    result = lake.profile(study=screen, recipe=tmp_path / "mock.toml")
    assert [one["controls"] for one in result["plates"]] == mock
    found = lake.sql(
        f"SELECT p.plate_id, p.well_id, p.{AREA} AS z FROM profiles p "
        "JOIN wells w USING (study_id, plate_id, well_id) WHERE w.attributes['Genes'] = 'ECT2' ORDER BY ALL"
    ).to_arrow()
    plates = [f"{library}_1{one}" for one in "AB"]
    places = list(zip(found["plate_id"].to_pylist(), found["well_id"].to_pylist(), strict=True))
    assert places == [(plate, well) for plate in plates for well in wells]
    median = float(np.median(found["z"].to_numpy()))
    assert 10 < median < 14
    treatment = lake.sql(f"SELECT {AREA} AS z, n_wells FROM treatment_profiles WHERE treatment = 'ECT2'").to_arrow()
    assert treatment.to_pylist() == [{"z": pytest.approx(median, rel=1e-12), "n_wells": 4}]
    applied = lake.profile(study=screen, plates=[plates[1]], apply="mock@1")
    assert applied["fit_version"] == result["fit_version"] == 1
    again = lake.sql(f"SELECT {AREA} AS z FROM treatment_profiles WHERE treatment = 'ECT2'").to_arrow()
    assert again["z"].to_pylist() == treatment["z"].to_pylist(), "to the bit"
