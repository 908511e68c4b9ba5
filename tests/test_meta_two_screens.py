"""Two siRNA screens of one laboratory with libraries of their own: what both say about a gene, in one question."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cytolake
import pytest
from cytolake.lake import Lake

DATA = Path(os.environ.get("CYTOLAKE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
IDR0028 = DATA / "profiles" / "idr0028_rhogtpase"
LIBRARIES = {"screenA": "LM2_siGENOME", "screenB": "LM2_ONTARGETPlus"}
AREA = "Nuclei_AreaShape_Area_um2"
RING = "Ring_Region_YAP/TAZ__-_Mean_per_Well"

pytestmark = pytest.mark.skipif(not IDR0028.is_dir(), reason="the tables of idr0028 are not here")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = cytolake.init_lake(tmp_path_factory.mktemp("lake"))
    for study, library in LIBRARIES.items():
        (features,) = IDR0028.glob(f"*{study}__{library}_features.txt")
        (library_file,) = IDR0028.glob(f"*{study}__idr0028-{study}-library.txt")
        lake.import_tables(features, study=study)
        lake.annotate(library_file, study=study, keep_unknown=True, accept_valid=True)
    return lake


def ask(lake: Lake, query: str) -> list[dict[str, Any]]:
    """Ask about the wells as they were imported, in the view ``profiles``."""
    found: list[dict[str, Any]] = lake.sql(query).to_dicts()
    return found


def test_every_gene_of_both_screens(lake: Lake) -> None:
    rows = ask(lake, f"FROM meta_effects(profiles, gene, {AREA}) WHERE k = 2 ORDER BY estimate DESC")
    assert len(rows) > 100
    assert "ECT2" in [row["treatment"] for row in rows[:3]]
    assert {row["treatment"] for row in rows} >= {"ECT2", "RACGAP1", "TIAM2"}
    (ect2,) = (row for row in rows if row["treatment"] == "ECT2")
    assert ect2["ci_low"] > 8
    assert ect2["p"] < 1e-20
    assert all(row["k_left_out"] == 0 and row["tau2"] >= 0 and 0 <= row["i2"] <= 1 for row in rows)


def test_wells_that_are_no_gene_are_no_treatment(lake: Lake) -> None:
    names = {row["treatment"] for row in ask(lake, f"SELECT treatment FROM study_effects(profiles, gene, {AREA})")}
    assert not [name for name in names if name.isdigit() or "/" in name or name.lower() in {"empty", "cells"}]
    assert "ARHGEF39" in names or "C9orf100" in names


def test_no_effect_is_certain_because_its_wells_coincide(lake: Lake) -> None:
    query = """SELECT max(abs(estimate) / sqrt(well_variance / n_wells)) AS z
        FROM study_effects(profiles, gene, COLUMNS('^(Nuclei|Cells|Cytoplasm)_'), moderated := {})"""
    (naive,) = ask(lake, query.format("false"))
    (of_wells,) = ask(lake, query.format("true"))
    (whole,) = ask(
        lake,
        """SELECT max(abs(estimate) / sqrt(variance)) AS z
        FROM study_effects(profiles, gene, COLUMNS('^(Nuclei|Cells|Cytoplasm)_'))""",
    )
    assert naive["z"] > 100
    assert of_wells["z"] < naive["z"] / 3
    assert whole["z"] < 20


def test_yap_in_the_ring_of_cells_without_yap(lake: Lake) -> None:
    (row,) = ask(lake, f"""FROM study_effects(profiles, gene, "{RING}") WHERE treatment = 'YAP'""")
    assert row["study_id"] == "screenB"
    assert row["estimate"] == pytest.approx(-9.1, abs=0.2)
    (pooled,) = ask(lake, f"""FROM meta_effects(profiles, gene, "{RING}") WHERE treatment = 'YAP'""")
    assert (pooled["k"], pooled["tau2"], pooled["method"]) == (1, None, "one study")
    assert pooled["p"] < 1e-6


def test_forest_of_one_gene(lake: Lake) -> None:
    rows = ask(
        lake,
        f"""WITH effects AS (FROM study_effects(profiles, gene, {AREA}) WHERE treatment = 'ECT2')
        FROM forest(effects, study_id, per := treatment)""",
    )
    assert [(row["label"], row["kind"]) for row in rows] == [
        ("screenA", "study"),
        ("screenB", "study"),
        ("pooled", "pooled"),
    ]
