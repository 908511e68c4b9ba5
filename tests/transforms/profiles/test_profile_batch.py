"""Batch correction and dose response in a lake: kept, applied to plates that come later, and asked for in SQL."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cytolake.errors import InvalidDataError, NotFoundError, RecipeError
from cytolake.schemas.identifiers import format_well
from PIL import Image
from profile_lakes import CONTROL, FEATURES, ProfileLake

DOSES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
#: Compound → EC50 in µM; the last does nothing.
COMPOUNDS = {"cpd-a": 0.3, "cpd-b": 2.0, "cpd-c": None}
_ROBUST = """
[controls]
where = { control_type = "negative_vehicle" }
[[steps]]
operator = "robust_z"
fit = "plate"
on = "controls"
"""
_DOSES = '[dose_response]\nfeatures = ["Nuclei_AreaShape_Area"]\n'


def doses_map() -> dict[str, dict[str, Any]]:
    """Twelve controls in two rows, below them each compound in a row, at six doses, twice."""
    wells = {format_well(row, column): dict(CONTROL) for row in (1, 2) for column in range(1, 7)}
    for row, compound in enumerate(COMPOUNDS, 3):
        for column in range(1, 13):
            dose = DOSES[(column - 1) % 6]
            wells[format_well(row, column)] = {
                "control_type": "treatment",
                "perturbation": compound,
                "compound": compound,
                "concentration_um": dose,
            }
    return wells


def objects(seed: int, batch: int) -> dict[str, np.ndarray]:
    """Nuclei whose features rise with the dose; a batch moves all of them."""
    random = np.random.default_rng(seed)
    moved = np.random.default_rng(batch).normal(size=len(FEATURES)) * 3
    found = {}
    for well, facts in doses_map().items():
        ec50, dose = COMPOUNDS.get(facts.get("compound", "")), facts.get("concentration_um")
        effect = 0.0 if ec50 is None else 8 / (1 + (ec50 / dose) ** 1.5)
        values = random.normal(size=(20, len(FEATURES))) + 50 + moved + effect * np.arange(1, len(FEATURES) + 1)
        found[well] = values.astype(np.float32)
    return found


def put(lake: ProfileLake, plate: str, *, seed: int, batch: int) -> None:
    lake.annotate("screen", plate, doses_map(), batch=f"b{batch}")
    lake.objects("screen", plate, objects(seed, batch))


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> ProfileLake:
    made = ProfileLake.make(tmp_path_factory.mktemp("screen") / "lake")
    for number, batch in enumerate((1, 1, 2, 2), 1):
        put(made, f"P{number}", seed=number, batch=batch)
    return made


@pytest.fixture
def lake(screen: ProfileLake, tmp_path: Path) -> ProfileLake:
    """Study ``screen``: plates P1 and P2 of batch b1, P3 and P4 of b2; nothing profiled yet."""
    return screen.copy(tmp_path / "lake")


def recipe(folder: Path, body: str, name: str = "mine") -> str:
    path = folder / f"{name}.toml"
    path.write_text(f'name = "{name}"\n[aggregate]\ncounts = false\n{body}', encoding="utf-8")
    return str(path)


def ask(lake: ProfileLake, question: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = lake.lake.sql(question).to_arrow().to_pylist()
    return rows


def test_curves_of_a_recipe_are_a_table(lake: ProfileLake, tmp_path: Path) -> None:
    result = lake.lake.profile(study="screen", recipe=recipe(tmp_path, _ROBUST + _DOSES))
    assert result["dose_responses"] == {"curves": 2, "reasons": {"flat": 1}}
    rows = ask(lake, "SELECT * FROM dose_responses ORDER BY compound")
    assert [row["reason"] for row in rows] == [None, None, "flat"]
    assert {row["profile_set"] for row in rows} == {result["profile_set"]}
    for row, ec50 in zip(rows, COMPOUNDS.values(), strict=True):
        assert (row["n_wells"], row["n_controls"], row["n_doses"]) == (48, 48, 6)
        if ec50 is not None:
            assert row["ec50_low_um"] < ec50 < row["ec50_high_um"]
            assert row["ec50_um"] == pytest.approx(ec50, rel=0.2)
    (run,) = ask(lake, f"SELECT outputs FROM runs WHERE run_id = '{result['run_id']}'")
    assert "dose_responses" in {one["name"] for one in run["outputs"]}
    lake.lake.profile(study="screen", recipe=recipe(tmp_path, _ROBUST + _DOSES))
    assert ask(lake, "SELECT count(*) AS n FROM dose_responses") == [{"n": 3}]


def test_curves_belong_to_the_definition_and_none_are_made_unasked(lake: ProfileLake, tmp_path: Path) -> None:
    plain = lake.lake.profile(study="screen", recipe=recipe(tmp_path, _ROBUST))
    assert plain["dose_responses"] is None
    assert not lake.lake.root.tables.exists("dose_responses")
    other = lake.lake.profile(study="screen", recipe=recipe(tmp_path, _ROBUST + _DOSES))
    assert (plain["profile_set"], other["profile_set"]) == ("mine@1", "mine@2")


def test_a_plate_that_comes_later_adds_to_the_curves(lake: ProfileLake, tmp_path: Path) -> None:
    made = lake.lake.profile(study="screen", recipe=recipe(tmp_path, _ROBUST + _DOSES))
    put(lake, "P5", seed=5, batch=1)
    done = lake.lake.profile(study="screen", apply=made["profile_set"], like="own")
    assert [plate["plate_id"] for plate in done["plates"]] == ["P5"]
    assert done["dose_responses"] == {"curves": 2, "reasons": {"flat": 1}}
    assert ask(lake, "SELECT min(n_wells) AS low, max(n_wells) AS high FROM dose_responses") == [
        {"low": 60, "high": 60}
    ]


def test_what_curves_need_is_looked_for_before_the_work(lake: ProfileLake, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"mine.toml: \[dose_response\].*'compount'.*'compound'"):
        lake.lake.profile(study="screen", recipe=recipe(tmp_path, _ROBUST + _DOSES + 'by = "compount"'))
    with pytest.raises(RecipeError, match="Nuclei_AreaShape_Perimeter"):
        lake.lake.profile(study="screen", recipe=recipe(tmp_path, _ROBUST + _DOSES.replace('Area"', 'Perimeter"')))
    assert not lake.lake.root.tables.exists("profile_sets")


_STEPS = {
    "harmony": 'operator = "harmony"\nfit = "study"\non = "all"\nbatch = "batch"\nn_clusters = 6\nn_pcs = 5',
    "combat": 'operator = "combat"\nfit = "study"\non = "all"\nbatch = "batch"\ncovariates = ["compound"]',
}


@pytest.mark.parametrize("step", sorted(_STEPS))
def test_batches_are_corrected_and_a_later_plate_of_a_known_batch_alike(
    lake: ProfileLake, tmp_path: Path, step: str
) -> None:
    # Controls have no compound: their name for ComBat's covariate is that of the perturbation.
    body = f"[[steps]]\n{_STEPS[step].replace('compound', 'perturbation')}\n"
    made = lake.lake.profile(study="screen", recipe=recipe(tmp_path, body))
    features = ", ".join(f'avg("{name}")' for name in _features(lake, made["profile_set"]))
    question = (
        f"SELECT plate_id, {features} FROM profiles WHERE control_type = 'negative_vehicle' GROUP BY 1 ORDER BY 1"
    )

    def by_plate() -> dict[str, np.ndarray]:
        return {row["plate_id"]: np.array([*row.values()][1:], float) for row in ask(lake, question)}

    def apart(found: dict[str, np.ndarray], one: str, other: str) -> float:
        return float(np.linalg.norm(found[one] - found[other]))

    moved = np.linalg.norm(
        objects(1, 1)["A01"].mean(axis=0).astype(float) - objects(1, 2)["A01"].mean(axis=0).astype(float)
    )
    before = by_plate()
    assert apart(before, "P1", "P3") < 0.35 * moved
    fits = lake.lake.root.tables.version("profile_fits")
    put(lake, "P5", seed=5, batch=2)
    done = lake.lake.profile(study="screen", apply=made["profile_set"])
    assert (done["fit_version"], lake.lake.root.tables.version("profile_fits")) == (1, fits), "nothing is fitted again"
    after = by_plate()
    assert apart(after, "P5", "P1") < 0.35 * moved
    assert np.array_equal(after["P1"], before["P1"])
    put(lake, "P6", seed=6, batch=3)
    with pytest.raises(InvalidDataError, match=r"batch=b3.*known: batch=b1, batch=b2"):
        lake.lake.profile(study="screen", apply=made["profile_set"])


def _features(lake: ProfileLake, label: str) -> list[str]:
    (row,) = ask(lake, f"SELECT outputs FROM profile_fits WHERE profile_set = '{label}' ORDER BY step DESC LIMIT 1")
    outputs: list[str] = row["outputs"]
    return outputs


def test_spherize_and_inverse_normal_follow_one_another(lake: ProfileLake, tmp_path: Path) -> None:
    body = (
        _ROBUST
        + '[[steps]]\noperator = "inverse_normal"\non = "all"\n[[steps]]\noperator = "spherize"\non = "controls"\n'
    )
    made = lake.lake.profile(study="screen", recipe=recipe(tmp_path, body))
    names = _features(lake, made["profile_set"])
    assert tuple(names) == FEATURES
    columns = ", ".join(f'"{name}"' for name in names)
    rows = ask(lake, f"SELECT {columns} FROM profiles WHERE control_type = 'negative_vehicle'")
    values = np.array([[*row.values()] for row in rows], float)
    assert np.allclose(np.cov(values.T), np.eye(len(names)), atol=1e-3)


def test_wells_are_drawn(lake: ProfileLake, tmp_path: Path) -> None:
    made = lake.lake.profile(study="screen", recipe=recipe(tmp_path, _ROBUST))
    png = lake.lake.profile_picture(made["profile_set"], study="screen", method="pca")
    image = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    # Three compounds and the crosses of the controls.
    for colour in ((0, 114, 178), (213, 94, 0), (0, 158, 115), (32, 36, 44)):
        assert (np.abs(image[48:764, 18:734] - np.array(colour)).max(axis=-1) <= 12).sum() > 10
    with pytest.raises(NotFoundError):
        lake.lake.profile_picture("other@1", study="screen", method="pca")
