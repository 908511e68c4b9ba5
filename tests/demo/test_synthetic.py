"""The plate maker: what it says is true is in the pixels and in the files, and the same every time."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
from cytolake.demo.scene import VIGNETTING, vignetting
from cytolake.demo.synthetic import (
    AGP,
    BRIGHTFIELD,
    CELL_PAINTING,
    CONTROL,
    DNA,
    ER,
    Phenotype,
    PlateSpec,
    Truth,
    make_export,
    render_field,
)
from cytolake.errors import UsageError

LARGE = Phenotype(compound="inflatin", concentration_um=2.5, control_type="treatment", nucleus_area=1.6, cell_area=1.3)


def index_of(truth: Truth) -> ElementTree.Element:
    (path,) = list(truth.export.rglob("Index*.xml"))
    return ElementTree.fromstring(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))


def texts(root: ElementTree.Element, tag: str) -> list[str]:
    return [element.text or "" for element in root.iter() if element.tag.rpartition("}")[2] == tag]


def test_index_and_files_agree(demo_truth: Truth) -> None:
    named = texts(index_of(demo_truth), "URL")
    there = sorted(path.name for path in (demo_truth.export / "Images").glob("*.tiff"))
    assert len(named) == 2 * 2 * 3
    assert sorted(named) == there


def test_pixels_are_the_truth_again(demo_truth: Truth) -> None:
    made = demo_truth.field("A02", 2)
    for channel in range(3):
        path = demo_truth.export / "Images" / f"r01c02f02p01-ch{channel + 1}sk1fk1fl1.tiff"
        np.testing.assert_array_equal(tifffile.imread(path), made.image[channel])


def test_objects_table_is_the_label_image(demo_truth: Truth) -> None:
    made = demo_truth.field("A01", 1)
    rows = [r for r in demo_truth.objects.to_pylist() if (r["well_id"], r["field_id"]) == ("A01", 1)]
    assert [r["object_id"] for r in rows] == sorted(set(made.nuclei.ravel()) - {0})
    for row in rows:
        inside = made.nuclei == row["object_id"]
        assert row["nucleus_area_px"] == inside.sum()
        assert row["cell_area_px"] == (made.cells == row["object_id"]).sum()
        y, x = np.nonzero(inside)
        assert (row["y_px"], row["x_px"]) == pytest.approx((y.mean(), x.mean()))
        assert row["touches_border"] == bool(y.min() == 0 or x.min() == 0 or y.max() == 255 or x.max() == 255)


def test_every_nucleus_lies_in_its_cell(demo_truth: Truth) -> None:
    made = demo_truth.field("A02", 1)
    inside = made.nuclei > 0
    np.testing.assert_array_equal(made.cells[inside], made.nuclei[inside])


def test_stain_is_where_the_labels_are(demo_truth: Truth) -> None:
    made = demo_truth.field("A01", 1)
    dna, er = made.image[0].astype(float), made.image[1].astype(float)
    nuclei, cytoplasm = made.nuclei > 0, (made.cells > 0) & (made.nuclei == 0)
    background = made.cells == 0
    assert dna[nuclei].mean() > 4 * dna[background].mean()
    assert dna[cytoplasm].mean() < 1.3 * dna[background].mean()
    assert er[cytoplasm].mean() > 2 * er[background].mean()


def test_phenotype_has_the_size_asked_for() -> None:
    spec = PlateSpec(wells={"A01": CONTROL, "A02": LARGE}, stains=(DNA,), size=1080, touching=0.0, seed=3)
    mean = {}
    for well in spec.wells:
        shapes = render_field(spec, well, 1)
        border = {0, *shapes.nuclei[0], *shapes.nuclei[-1], *shapes.nuclei[:, 0], *shapes.nuclei[:, -1]}
        area = np.bincount(shapes.nuclei.ravel())
        mean[well] = np.mean([a for label, a in enumerate(area) if a and label not in border])
    # About 200 nuclei a well of CV 0.2: the standard error of the ratio is 2 %.
    assert mean["A02"] / mean["A01"] == pytest.approx(1.6, rel=0.06)


def test_intensity_and_count_and_empty_wells() -> None:
    bright = Phenotype(compound="x", control_type="treatment", intensity={"ER": 2.0})
    few = Phenotype(compound="y", control_type="treatment", count=0.3)
    empty = Phenotype(compound=None, control_type="empty")
    spec = PlateSpec(wells={"A01": CONTROL, "A02": bright, "A03": few, "A04": empty}, stains=(DNA, ER))
    made = {well: render_field(spec, well, 1) for well in spec.wells}

    def above(well: str, channel: int) -> float:
        field = made[well]
        return float(
            np.median(field.image[channel][field.cells > 0]) - np.median(field.image[channel][field.cells == 0])
        )

    assert above("A02", 1) / above("A01", 1) == pytest.approx(2.0, rel=0.15)
    count = {well: len(np.unique(field.nuclei)) - 1 for well, field in made.items()}
    assert count["A03"] < 0.5 * count["A01"]
    assert count["A04"] == 0


def test_same_spec_same_bytes(tmp_path: Path) -> None:
    spec = PlateSpec(stains=(DNA, BRIGHTFIELD), n_fields=1, size=128, seed=11)

    def digest(folder: Path) -> dict[str, str]:
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    first, second = make_export(tmp_path / "a", spec), make_export(tmp_path / "b", spec)
    assert digest(first.export) == digest(second.export)
    assert first.objects.equals(second.objects)


def test_another_seed_other_pixels() -> None:
    one, other = (render_field(PlateSpec(stains=(DNA,), size=64, seed=seed), "A01", 1) for seed in (1, 2))
    assert (one.image != other.image).mean() > 0.5


def test_missing_field_is_named_and_absent(tmp_path: Path) -> None:
    spec = PlateSpec(stains=(DNA,), n_fields=2, size=64, missing_fields=(("A02", 1),))
    truth = make_export(tmp_path / "x", spec)
    assert "r01c02f01p01-ch1sk1fk1fl1.tiff" in texts(index_of(truth), "URL")
    assert not (truth.export / "Images" / "r01c02f01p01-ch1sk1fk1fl1.tiff").exists()
    assert set(zip(truth.objects["well_id"].to_pylist(), truth.objects["field_id"].to_pylist(), strict=True)) <= {
        ("A01", 1),
        ("A01", 2),
        ("A02", 2),
    }


def test_v7_states_channels_once(tmp_path: Path) -> None:
    spec = PlateSpec(stains=(DNA, AGP), n_fields=2, size=64, layout="V7", bom=True, index_above=True, n_timepoints=2)
    truth = make_export(tmp_path / "x", spec)
    path = truth.export / "Index.xml"
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    root = index_of(truth)
    assert root.tag == "{43B2A954-E3C3-47E1-B392-6635266B0DD3/HarmonyV7}EvaluationInputData"
    assert texts(root, "ChannelName") == ["HOECHST 33342", "Alexa 568"]
    assert set(texts(root, "TimepointID")) == {"1", "2"}
    assert all((truth.export / url).is_file() for url in texts(root, "URL"))


def test_stack_is_brightest_in_focus(tmp_path: Path) -> None:
    spec = PlateSpec(wells={"A01": CONTROL}, stains=(DNA,), n_fields=1, size=128, n_z=3)
    truth = make_export(tmp_path / "x", spec)
    stack = [tifffile.imread(truth.export / "Images" / f"r01c01f01p0{z}-ch1sk1fk1fl1.tiff").max() for z in (1, 2, 3)]
    assert max(stack) == stack[1]
    assert texts(index_of(truth), "PositionZ") == ["0", "1e-06", "2e-06"]


def test_fields_lie_where_the_index_says_they_do(tmp_path: Path) -> None:
    truth = make_export(tmp_path / "x", PlateSpec(wells={"A01": CONTROL}, stains=(DNA,), size=64))
    root = index_of(truth)
    x, y = ([float(v) * 1e6 for v in texts(root, tag)] for tag in ("PositionX", "PositionY"))
    half = 64 * 0.598 / 2
    # A snake from the top left; the stage's y points up.
    assert np.round(x, 3).tolist() == np.round([-half, half, half, -half], 3).tolist()
    assert np.round(y, 3).tolist() == np.round([half, half, -half, -half], 3).tolist()


def test_vignetting_is_what_the_index_states() -> None:
    light = vignetting(101)
    assert light[50, 50] == pytest.approx(VIGNETTING[0])
    assert light[0, 50] == pytest.approx(VIGNETTING[0] + VIGNETTING[1] * (50 / 101) ** 2)


def test_plate_map_says_what_is_in_the_wells(tmp_path: Path) -> None:
    spec = PlateSpec(wells={"A01": CONTROL, "B12": LARGE}, stains=(DNA,), n_fields=1, size=64)
    truth = make_export(tmp_path / "x", spec)
    with truth.plate_map.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"well": "A01", "compound": "DMSO", "concentration": "", "control_type": "negative_vehicle"},
        {"well": "B12", "compound": "inflatin", "concentration": "2.5 uM", "control_type": "treatment"},
    ]


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="outside a plate of 2 × 3"):
        PlateSpec(wells={"C01": CONTROL}, n_rows=2, n_columns=3)
    with pytest.raises(UsageError, match="is written A01"):
        PlateSpec(wells={"a1": CONTROL})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(UsageError, match="not empty"):
        make_export(tmp_path / "full", PlateSpec(size=64))


def test_five_stains_have_five_roles() -> None:
    assert len({stain.role for stain in CELL_PAINTING}) == len({stain.pattern for stain in CELL_PAINTING}) == 5
