"""Compounds of three laboratories under one key: IDR's screens 0035 and 0036 beside JUMP-Target, as they are published.

pandas reads the same files and says independently which compounds the studies share.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import cytolake
import pandas as pd
import pytest
from cytolake.lake import Lake
from cytolake.schemas.identifiers import format_well

DATA = Path(os.environ.get("CYTOLAKE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / "profiles"
CAIE = DATA / "idr_compound_screens" / "idr0035-caie-drugresponse__screenA__idr0035-screenA-annotation.csv"
GUSTAFSDOTTIR = (
    DATA / "idr_compound_screens" / "idr0036-gustafsdottir-cellpainting__screenA__idr0036-screenA-processed.txt"
)
JUMP = [
    (
        DATA / "jump_target" / f"JUMP-Target-{n}_compound_platemap.tsv",
        DATA / "jump_target" / f"JUMP-Target-{n}_compound_metadata.tsv",
    )
    for n in (1, 2)
]

pytestmark = pytest.mark.skipif(
    not CAIE.is_file(), reason="the tables of idr0035, idr0036 and JUMP-Target are not here"
)


def table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="," if path.suffix == ".csv" else "\t", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Plates without images are made by an import, which wants one number for each well; the maps say the rest."""
    folder = tmp_path_factory.mktemp("labs")
    lake = cytolake.init_lake(folder / "lake")
    (folder / "caie.toml").write_text(
        'level = "well"\nonly = true\n[columns]\nplate = "Plate"\nwell = "Well"\n'
        '[features]\n"Well Number" = "well_number"\n'
    )
    (folder / "made.toml").write_text('level = "well"\n[columns]\nplate = "plate"\nwell = "well"\n')
    lake.import_tables(CAIE, study="idr0035", dialect="wide", mapping=folder / "caie.toml")
    lake.annotate(CAIE, study="idr0035", keep_unknown=True, accept_valid=True)
    # The file of idr0036 names compounds and no wells: they are laid out here, in its order.
    compounds = table(GUSTAFSDOTTIR)
    grid = [format_well(row, column) for row in range(1, 17) for column in range(1, 25)]
    compounds["plate"] = [f"list-{1 + at // 384}" for at in range(len(compounds))]
    compounds["well"] = [grid[at % 384] for at in range(len(compounds))]
    compounds["has_phenotype"] = (compounds["Has Phenotype"] == "yes").astype(int)
    compounds[["plate", "well", "has_phenotype"]].to_csv(folder / "idr0036.csv", index=False)
    sheet = compounds[["plate", "well", "Compound Broad Identifier", "Compound Name"]]
    sheet.rename(columns={"Compound Broad Identifier": "broad_sample"}).to_csv(folder / "map.csv", index=False)
    lake.import_tables(folder / "idr0036.csv", study="idr0036", dialect="wide", mapping=folder / "made.toml")
    lake.annotate(folder / "map.csv", study="idr0036")
    for number, (platemap, metadata) in enumerate(JUMP, start=1):
        plate = f"JUMP-Target-{number}"
        wells = pd.DataFrame({"plate": plate, "well": table(platemap)["well_position"], "in_map": 1})
        wells.to_csv(folder / f"{plate}.csv", index=False)
        lake.import_tables(folder / f"{plate}.csv", study="jump", dialect="wide", mapping=folder / "made.toml")
        lake.annotate([platemap, metadata], study="jump", plate=plate, keep_unknown=True)
    for file in (GUSTAFSDOTTIR, *(metadata for _, metadata in JUMP)):
        lake.import_synonyms(file, kind="compound")
    return lake


def ask(lake: Lake, query: str) -> list[tuple[Any, ...]]:
    return list(lake.sql(query).fetchall())


def plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.lower())


def brd(text: str) -> str:
    return text[:13]


def expected() -> dict[str, dict[str, int]]:
    """Return key → study → wells, by looking names and BRD numbers up in JUMP's table and then in idr0036's."""
    jump = pd.concat([table(metadata) for _, metadata in JUMP])
    of_brd = {brd(row.broad_sample): row.InChIKey for row in jump.itertuples() if row.broad_sample}
    of_name: dict[str, set[str]] = defaultdict(set)
    for row in jump.itertuples():
        if row.InChIKey:
            of_name[plain(row.pert_iname)].add(row.InChIKey)
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for platemap, _ in JUMP:
        for row in table(platemap).itertuples():
            found[of_brd[brd(row.broad_sample)] if row.broad_sample else next(iter(of_name["dmso"]))]["jump"] += 1
    theirs: dict[str, set[str]] = defaultdict(set)
    for number, name in table(GUSTAFSDOTTIR)[["Compound Broad Identifier", "Compound Name"]].itertuples(index=False):
        keys = {of_brd[brd(number)]} if brd(number) in of_brd else of_name.get(plain(name), {brd(number)})
        (key,) = keys
        theirs[plain(name)].add(key)
        found[key]["idr0036"] += 1
    for name in table(CAIE)["Compound Name"]:
        keys = of_name.get(plain(name)) or theirs.get(plain(name)) or {plain(name)}
        (key,) = keys
        found[key]["idr0035"] += 1
    return found


def test_studies_share_the_compounds_that_pandas_finds(lake: Lake) -> None:
    rows = ask(lake, "SELECT key, study_id, n_wells FROM coverage WHERE n_studies > 1")
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for key, study, wells in rows:
        found[key][study] = wells
    shared = {key.split(":", 1)[1]: wells for key, wells in found.items()}
    assert shared == {key: dict(wells) for key, wells in expected().items() if len(wells) > 1}
    assert len(shared) == 48
    assert sum(len(wells) == 3 for wells in shared.values()) == 3


def test_every_compound_has_a_key_and_none_is_ambiguous(lake: Lake) -> None:
    rows = ask(
        lake, "SELECT study_id, count(*), count(key), bool_or(ambiguous) FROM harmonised_perturbations GROUP BY ALL"
    )
    assert {study: (n, keys, ambiguous) for study, n, keys, ambiguous in rows} == {
        "idr0035": (113, 113, False),
        "idr0036": (649, 649, False),
        "jump": (436, 436, False),
    }


def test_near_misses_are_listed_and_not_matched(lake: Lake) -> None:
    rows = ask(lake, "SELECT reason, names FROM perturbation_matches WHERE match = 'near miss'")
    assert ("one letter", ["cyclohexamide", "cycloheximide"]) in rows
    assert ("salt or hydrate", ["Mitoxantrone dihydrochloride", "mitoxantrone"]) in rows
    assert ("punctuation", ["Mevinolin (lovastatin)", "mevinolin/lovastatin"]) in rows
    assert ("stereoisomer", ["(+ -)-BACLOFEN", "baclofen"]) in rows
    assert len(rows) == 8
    matched = {
        tuple(names) for (names,) in ask(lake, "SELECT names FROM perturbation_matches WHERE match <> 'near miss'")
    }
    assert ("cyclohexamide", "cycloheximide") not in matched


def test_what_somebody_decides_is_learnt(lake: Lake, tmp_path: Path) -> None:
    """Taxol and paclitaxel have nothing in common; one line says that they are one."""
    question = "SELECT names FROM perturbation_matches WHERE list_contains(names, 'taxol')"
    assert ask(lake, question) == []
    decided = tmp_path / "decided.csv"
    decided.write_text("namespace,synonym,preferred_namespace,preferred\nname,taxol,name,paclitaxel\n")
    lake.import_synonyms(decided, kind="compound")
    assert ask(lake, question) == [(["Paclitaxel", "taxol"],)]
    lake.forget_synonyms("decided.csv")
    assert ask(lake, question) == []
