"""The demo, run as a user runs it: two studies in, one true answer out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cytolake
import pytest
from cytolake.demo import story
from cytolake.demo.synthetic import Phenotype, PlateSpec, make_export
from cytolake.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import DemoRun


@pytest.mark.slow
def test_the_answer_is_the_truth_put_in(demo_run: DemoRun) -> None:
    assert demo_run.exit_code == 0, demo_run.errors
    lake = cytolake.open_lake(demo_run.folder / "cytolake-demo" / "lake")
    rows = lake.sql(story.SQL).to_arrow().to_pylist()
    assert [row["study_id"] for row in rows] == ["boston", "heidelberg"]
    for row in rows:
        assert row["control_nuclei"] > 1000
        assert row["treated_nuclei"] > 500
        # Segmentation and chance together: the standard error of the ratio is about 1 %.
        assert row["effect"] == pytest.approx(story.SHARED_EFFECT, abs=0.06)


@pytest.mark.slow
def test_the_lost_field_is_recorded(demo_run: DemoRun) -> None:
    lake = cytolake.open_lake(demo_run.folder / "cytolake-demo" / "lake")
    lost = lake.sql(
        "SELECT plate_id, well_id, field_id, n_missing_planes FROM images WHERE n_missing_planes > 0"
    ).fetchall()
    assert lost == [("HD-0042", "B02", 3, 3)]
    counted = lake.sql("SELECT count(*) FROM nuclei WHERE plate_id = 'HD-0042' AND well_id = 'B02' AND field_id = 3")
    assert counted.fetchall() == [(0,)]


@pytest.mark.slow
def test_both_studies_have_the_same_columns(demo_run: DemoRun) -> None:
    lake = cytolake.open_lake(demo_run.folder / "cytolake-demo" / "lake")
    asked = "SELECT study_id, avg(Cells_Intensity_MeanIntensity_ER) IS NOT NULL FROM cells GROUP BY 1 ORDER BY 1"
    assert lake.sql(asked).fetchall() == [("boston", True), ("heidelberg", True)]


def test_refuses_a_folder_with_something_in_it(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(UsageError, match="not empty"):
        story.run_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_effect_drawn_is_that_of_whole_nuclei(tmp_path: Path) -> None:
    large = Phenotype(compound="x", control_type="treatment", nucleus_area=2.0)
    spec = PlateSpec(wells={"A01": Phenotype(), "A02": large}, n_fields=2, size=400, touching=0.0)
    truth = make_export(tmp_path / "plate", spec)
    rows = [row for row in truth.objects.to_pylist() if not row["touches_border"]]
    mean = {
        well: sum(r["nucleus_area_px"] for r in rows if r["well_id"] == well)
        / sum(1 for r in rows if r["well_id"] == well)
        for well in spec.wells
    }
    assert story.effect_drawn(truth, "x") == pytest.approx(mean["A02"] / mean["A01"])
    assert story.effect_drawn(truth, "x") == pytest.approx(2.0, rel=0.1)


def test_the_two_plates_differ_where_laboratories_differ() -> None:
    one, other = story.specs().values()
    assert {s.label for s in one.stains}.isdisjoint({s.label for s in other.stains})
    assert {s.role for s in one.stains} == {s.role for s in other.stains}
    assert one.pixel_size_um != other.pixel_size_um
    shared = {p.compound for p in one.wells.values()} & {p.compound for p in other.wells.values()}
    assert shared == {"DMSO", story.SHARED_COMPOUND}
