"""Correlation against plain implementations of CellProfiler's definitions, object by object and image by image."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from cytolake.transforms.features import correlation as module
from cytolake.transforms.features.correlation_columns import DIRECTED, FAMILY, OPERATORS, SEARCHES
from cytolake.transforms.features.costes import costes_thresholds
from cytolake.transforms.features.family import FieldObjects, FieldPixels, Use
from cytolake.transforms.features.label_index import label_index
from scipy import ndimage
from scipy.stats import pearsonr, rankdata

DEFAULTS = {name: parameter.default for name, parameter in FAMILY.parameters.items()}
ROLES = ("DNA", "ER", "Mito", "RNA")
WITHOUT_COSTES = tuple(name for name in OPERATORS if name != "Costes")


def field_of(labels, image, present=None, full_scale=None):
    return FieldPixels(
        image=image,
        present=np.ones(len(image), bool) if present is None else np.array(present),
        roles=ROLES[: len(image)],
        full_scale=full_scale or (1.0 if image.dtype.kind == "f" else float(np.iinfo(image.dtype).max)),
        sets={"cells": label_index(labels)},
    )


def measure(labels, image, pairs=None, present=None, full_scale=None, **parameters):
    """Column name, without set and category, to values."""
    pairs = tuple(combinations(ROLES[: len(image)], 2)) if pairs is None else pairs
    use = Use(object_set="cells", pairs=pairs, parameters={**DEFAULTS, **parameters})
    field = field_of(labels, image, present, full_scale)
    values = FAMILY.measure(FieldObjects(field, "cells"), use)
    names = [column.name.removeprefix("Cells_Correlation_") for column in FAMILY.columns(use)]
    assert values.dtype == np.float64
    assert values.shape == (len(field.sets["cells"]), len(names))
    return dict(zip(names, values.T, strict=True))


def reference(x, y, percent=15.0):
    """CellProfiler's measures of one object's intensities in two channels, undefined ones NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        dx, dy = x - x.mean(), y - y.mean()
        flat_x, flat_y = np.ptp(x) == 0, np.ptp(y) == 0
        cut_x, cut_y = percent / 100 * x.max(), percent / 100 * y.max()
        both = (x >= cut_x) & (y >= cut_y)
        all_x, all_y = x[x >= cut_x].sum(), y[y >= cut_y].sum()
        rank_x, rank_y = rankdata(x, "dense"), rankdata(y, "dense")
        highest = max(rank_x.max(), rank_y.max())
        weight = (highest - np.abs(rank_x - rank_y)) / highest
        xx, yy, xy = (np.sum((a * b)[both]) for a, b in ((x, x), (y, y), (x, y)))
        return {
            "Correlation_A_B": np.nan if flat_x or flat_y else (dx * dy).sum() / np.sqrt((dx**2).sum() * (dy**2).sum()),
            "Slope_A_B": np.nan if flat_x else (dx * dy).sum() / (dx**2).sum(),
            "Overlap_A_B": xy / np.sqrt(xx * yy),
            "K_A_B": xy / xx,
            "K_B_A": xy / yy,
            "Manders_A_B": x[both].sum() / all_x,
            "Manders_B_A": y[both].sum() / all_y,
            "RWC_A_B": (x * weight)[both].sum() / all_x,
            "RWC_B_A": (y * weight)[both].sum() / all_y,
        }


def costes_reference(x, y, steps, search="Faster"):
    """CellProfiler's thresholds of two images of intensities, NaN where it has none."""
    x, y = x.ravel(), y.ravel()
    lit = (x > 0) | (y > 0)
    covariance = np.cov(x[lit], y[lit])
    difference = covariance[1, 1] - covariance[0, 0]
    a = (difference + np.hypot(difference, 2 * covariance[0, 1])) / (2 * covariance[0, 1])
    b = y[lit].mean() - a * x[lit].mean()

    def background(candidate):
        below = (x < candidate / steps) | (y < a * candidate / steps + b)
        if np.count_nonzero(below) <= 2 or np.ptp(x[below]) == 0 or np.ptp(y[below]) == 0:
            return np.count_nonzero(below), np.nan
        return np.count_nonzero(below), pearsonr(x[below], y[below]).statistic

    if search == "Faster":
        left, right, last, found = 1, steps, 0, np.nan
        candidate = (right - left) // (6 / 5) + left
        while last != candidate:
            count, correlation = background(candidate)
            if count <= 2 or correlation < 0:
                left = candidate - 1
            elif correlation >= 0:
                right, found = candidate + 1, candidate
            last = candidate
            candidate = (right - left) // (6 / 5 if right - left > 6 else 2) + left
        threshold = (found - 1) / steps
    else:
        candidate = round(max(x.max(), y.max()) * steps) + 1
        while candidate / steps > x.max() and a * candidate / steps + b > y.max():
            candidate -= 1
        threshold = candidate / steps
        while candidate > 1:
            threshold = candidate / steps
            correlation = background(candidate)[1]
            if correlation <= 0:
                break
            stride = 1
            if search == "Fast" and candidate >= 10:
                stride = 10 if correlation > 0.45 else 5 if correlation > 0.35 else 2 if correlation > 0.25 else 1
            candidate -= stride
    return threshold, a * threshold + b


def costes_of_object(x, y, thresholds):
    with np.errstate(invalid="ignore"):
        both = (x > thresholds[0]) & (y > thresholds[1])
        return x[both].sum() / x[x >= thresholds[0]].sum(), y[both].sum() / y[y >= thresholds[1]].sum()


def image_of(seed=0, shape=(90, 100), dtype=np.uint16, level=300.0):
    """Channels that share structures: ER with DNA, Mito with ER, RNA against DNA; noise in each; and labels."""
    rng = np.random.default_rng(seed)
    waves = [np.maximum(ndimage.gaussian_filter(rng.normal(size=shape), sigma), 0) for sigma in (4, 3, 2)]
    waves = [wave / wave.max() for wave in waves]
    channels = (waves[0], waves[0] + waves[1], waves[1] + waves[2], 1 - waves[0])
    image = np.stack([level * (2 + 9 * channel) + level / 4 * rng.normal(size=shape) for channel in channels])
    labels, _ = ndimage.label(ndimage.gaussian_filter(rng.normal(size=shape), 4) > 0.01)
    return labels.astype(np.int32), image.clip(0).astype(dtype)


def assert_as_reference(labels, image, measured, full_scale, percent=15.0):
    ids = np.unique(labels[labels > 0])
    for i, j in combinations(range(len(image)), 2):
        a, b = ROLES[i], ROLES[j]
        pixels = [[image[c][labels == k].astype(float) / full_scale for c in (i, j)] for k in ids]
        expected = [reference(x, y, percent) for x, y in pixels]
        for name in expected[0]:
            column = name.replace("A_B", f"{a}_{b}").replace("B_A", f"{b}_{a}")
            values = np.array([one[name] for one in expected])
            np.testing.assert_allclose(measured[column], values, rtol=1e-9, atol=1e-12, err_msg=column)


@pytest.mark.parametrize(("dtype", "level"), [(np.uint8, 20.0), (np.uint16, 700.0), (np.float32, 0.03)])
def test_measures_as_cellprofiler_defines_them(dtype, level):
    labels, image = image_of(dtype=dtype, level=level)
    full_scale = 1.0 if dtype == np.float32 else float(np.iinfo(dtype).max)
    assert_as_reference(labels, image, measure(labels, image), full_scale)
    other = measure(labels, image, full_scale=full_scale / 2, threshold_percent=40.0, measures=WITHOUT_COSTES)
    assert_as_reference(labels, image, other, full_scale / 2, percent=40.0)


def test_specks_lines_scattered_and_constant(scene):
    measured = measure(scene.labels, scene.image, measures=WITHOUT_COSTES, full_scale=65535.0)
    assert_as_reference(scene.labels, scene.image.astype(float), measured, 65535.0)


def test_columns_are_named_as_in_cellprofiler():
    names = [
        column.name for column in FAMILY.columns(Use(object_set="cells", pairs=(("DNA", "ER"),), parameters=DEFAULTS))
    ]
    both = [f"Cells_Correlation_{name}_{pair}" for name in DIRECTED for pair in ("DNA_ER", "ER_DNA")]
    one = [f"Cells_Correlation_{name}_DNA_ER" for name in ("Correlation", "Slope", "Overlap")]
    assert sorted(names) == sorted(one + both)


def test_only_what_is_asked_is_measured(monkeypatch):
    labels, image = image_of()
    everything = measure(labels, image)
    monkeypatch.setattr(module, "costes_thresholds", None)  # not to be called
    for measures in (("RWC",), ("Slope",), ("Manders", "K"), ("Overlap", "Correlation")):
        some = measure(labels, image, pairs=(("ER", "RNA"), ("DNA", "Mito")), measures=measures)
        assert {name.split("_")[0] for name in some} == set(measures)
        for name, values in some.items():
            np.testing.assert_array_equal(values, everything[name])
    assert measure(labels, image, pairs=()) == {}


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize(("dtype", "level"), [(np.uint8, 15.0), (np.uint16, 90.0)])
def test_costes_thresholds_are_those_of_the_image(search, dtype, level):
    labels, image = image_of(seed=1, dtype=dtype, level=level)
    full_scale = float(np.iinfo(dtype).max)
    measured = measure(labels, image, costes=search)
    for i, j in combinations(range(4), 2):
        x, y = image[i] / full_scale, image[j] / full_scale
        expected = costes_reference(x, y, full_scale, search)
        np.testing.assert_allclose(costes_thresholds(image[i], image[j], full_scale, search), expected, rtol=1e-9)
        values = np.array([costes_of_object(x[labels == k], y[labels == k], expected) for k in np.unique(labels)[1:]])
        values[:] = np.nan if np.isnan(expected[0]) else values
        for k, name in enumerate((f"Costes_{ROLES[i]}_{ROLES[j]}", f"Costes_{ROLES[j]}_{ROLES[i]}")):
            np.testing.assert_allclose(measured[name], values[:, k], rtol=1e-9, err_msg=name)


def test_costes_with_anticorrelated_and_dark_pixels():
    rng = np.random.default_rng(5)
    for seed in range(8):
        x = rng.integers(0, 60, 400) * (rng.random(400) < 0.7)
        y = (rng.choice([-1, 1]) * x + rng.integers(0, 90, 400)).clip(0, 255) * (rng.random(400) < 0.8)
        x[:3] = 255  # so that the highest candidates are no plain background
        y[:3] = (0, 255, 255)
        x, y = x.astype(np.uint8)[None], y.astype(np.uint8)[None]
        for search in SEARCHES:
            ours = costes_thresholds(x, y, 255.0, search)
            expected = costes_reference(x / 255, y / 255, 255.0, search)
            np.testing.assert_allclose(ours, expected, rtol=1e-9, err_msg=f"{seed} {search}")


def test_costes_on_the_steps_of_the_scale():
    _, image = image_of(seed=2, level=40.0)
    x, y = image[:2].astype(float)
    for full_scale, steps in ((4095.0, 4095.0), (1000.5, 1000.5)):
        expected = costes_reference(x / full_scale, y / full_scale, steps)
        for dtype in (np.uint16, np.float32):
            ours = costes_thresholds(image[0].astype(dtype), image[1].astype(dtype), full_scale, "Faster")
            np.testing.assert_allclose(ours, expected, rtol=1e-9)
    unit = (image[:2] / 1000).astype(np.float32)  # no scale of its own: 255 steps
    np.testing.assert_allclose(
        costes_thresholds(*unit, 1.0, "Faster"), costes_reference(*unit.astype(float), 255.0), rtol=1e-6
    )


def test_costes_is_undefined_rather_than_made_up():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 200, (30, 30)).astype(np.uint8)
    for x, y in ((noise, np.full_like(noise, 7)), (noise, 255 - noise), (np.zeros_like(noise), np.zeros_like(noise))):
        for a, b in ((x, y), (y, x)):
            assert np.isnan(costes_thresholds(a, b, 255.0, "Faster")).all()
    assert np.isnan(costes_thresholds(noise[:1, :2], noise[:1, 3:5], 255.0, "Faster")).all()
    # One grey level on black: the mean of floats is no number that their sums are exact about.
    lit = np.where(noise < 60, np.float32(1915), np.float32(0))
    assert np.isnan(costes_thresholds(lit, lit, 4095.0, "Faster")).all()
    assert np.isnan(costes_thresholds(lit / 1024, lit / 2048, 4.0, "Accurate")).all()
    labels = np.ones((30, 30), np.int32)
    measured = measure(labels, np.stack([noise, 255 - noise]))
    assert np.isnan(measured["Costes_DNA_ER"]).all()
    assert np.isfinite(measured["Manders_DNA_ER"]).all()


def test_costes_is_found_once_for_all_object_sets(monkeypatch):
    labels, image = image_of()
    calls = []
    monkeypatch.setattr(module, "costes_thresholds", lambda *given: calls.append(given) or costes_thresholds(*given))
    field = FieldPixels(
        image=image,
        present=np.array([True, True, False, True]),
        roles=ROLES,
        full_scale=65535.0,
        sets={"cells": label_index(labels), "nuclei": label_index(np.flip(labels))},
    )
    for object_set in ("cells", "nuclei"):
        use = Use(object_set=object_set, pairs=tuple(combinations(ROLES, 2)), parameters=DEFAULTS)
        FAMILY.measure(FieldObjects(field, object_set), use)
    assert len(calls) == 3


def test_ranks_among_the_set_as_in_cellprofiler():
    for dtype in (np.uint16, np.float32):
        labels, image = image_of(dtype=dtype)
        inside = labels > 0
        ours = measure(labels, image, ranks="set", pairs=(("DNA", "ER"),), measures=("RWC",), full_scale=1000.0)
        x, y = (image[c][inside] / 1000 for c in (0, 1))
        rank_x, rank_y = rankdata(x, "dense"), rankdata(y, "dense")
        highest = max(rank_x.max(), rank_y.max())
        weight = (highest - np.abs(rank_x - rank_y)) / highest
        for k, values in enumerate(ours["RWC_DNA_ER"], 1):
            mine = labels[inside] == k
            above = mine & (x >= 0.15 * x[mine].max())
            both = above & (y >= 0.15 * y[mine].max())
            assert values == pytest.approx((x * weight)[both].sum() / x[above].sum(), rel=1e-6)


def test_labels_are_only_names_and_objects_stand_alone():
    labels, image = image_of()
    before = measure(labels, image)
    order = np.random.default_rng(0).permutation(labels.max())
    names = np.concatenate([[0], order * 7 + 3]).astype(np.int32)
    after = measure(names[labels], image)
    alone = measure(np.where(labels == 2, labels, 0), image)
    for name, values in before.items():
        np.testing.assert_array_equal(after[name][order], values)
        np.testing.assert_array_equal(alone[name][0], values[1])


def test_turning_and_moving_change_nothing():
    labels, image = image_of()
    before = measure(labels, image)
    turned = measure(np.rot90(labels), np.rot90(image, axes=(1, 2)))
    moved = measure(np.roll(labels, (13, 7), (0, 1)), np.roll(image, (13, 7), (1, 2)))
    for name, values in before.items():
        np.testing.assert_allclose(turned[name], values, rtol=1e-12, err_msg=name)
        np.testing.assert_allclose(moved[name], values, rtol=1e-12, err_msg=name)


def test_brightness_does_not_matter():
    labels, image = image_of()
    before, brighter = measure(labels, image), measure(labels, image * np.uint16(4))
    for name, values in before.items():
        if not name.startswith("Costes"):  # whose candidates are steps of the scale
            np.testing.assert_allclose(brighter[name], values, rtol=1e-12, err_msg=name)
    dimmer = measure(labels, (image / np.float32(65536)), full_scale=65535 / 65536)
    for name in ("Correlation_DNA_ER", "Manders_DNA_ER", "RWC_ER_DNA"):
        np.testing.assert_allclose(dimmer[name], before[name], rtol=1e-12)


def test_identical_channels():
    labels, image = image_of()
    labels[0, 0] = labels.max() + 1
    image[1] = image[0]
    measured = measure(labels, image[:2])
    assert np.isnan(measured["Correlation_DNA_ER"][-1])  # one pixel
    assert np.isnan(measured["Slope_DNA_ER"][-1])
    for name, values in measured.items():
        several = slice(None, -1) if name.startswith(("Correlation", "Slope")) else slice(None)
        if not name.startswith("Costes"):
            np.testing.assert_allclose(values[several], 1, rtol=1e-12, err_msg=name)
        assert set(np.unique(values[~np.isnan(values)].round(12))) <= {0.0, 1.0}
    assert (measured["Correlation_DNA_ER"][:-1] <= 1).all()


def test_constant_dark_and_saturated_channels():
    labels, image = image_of()
    image[1], image[2] = 65535, 0
    measured = measure(labels, image)
    for name in ("Correlation_DNA_ER", "Correlation_ER_Mito", "Slope_ER_Mito", "Overlap_DNA_Mito", "K_Mito_DNA"):
        assert np.isnan(measured[name]).all(), name
    for name in ("Manders_Mito_DNA", "RWC_Mito_DNA", "Costes_DNA_ER", "Costes_Mito_RNA"):
        assert np.isnan(measured[name]).all(), name
    np.testing.assert_array_equal(measured["Slope_DNA_ER"], 0)
    np.testing.assert_allclose(measured["Manders_DNA_ER"], 1)
    np.testing.assert_allclose(measured["Manders_DNA_Mito"], 1)  # all pixels reach 15 percent of nothing


def test_absent_channels_and_no_objects():
    labels, image = image_of()
    measured, whole = measure(labels, image, present=[True, True, False, True]), measure(labels, image)
    for name, values in measured.items():
        if "Mito" in name:
            assert np.isnan(values).all()
        else:
            np.testing.assert_array_equal(values, whole[name])
    assert all(len(values) == 0 for values in measure(np.zeros_like(labels), image).values())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_that_are_not_finite(bad):
    labels, image = image_of(dtype=np.float32)
    whole = measure(labels, image, measures=WITHOUT_COSTES)
    y, x = np.argwhere(labels == 2)[5]
    image[1, y, x] = bad
    measured = measure(labels, image, measures=WITHOUT_COSTES)
    for name, values in measured.items():
        assert np.isnan(values[1]) == ("ER" in name)
        np.testing.assert_array_equal(np.delete(values, 1), np.delete(whole[name], 1))
    without = np.ones(image[0].shape, bool)
    without[y, x] = False
    np.testing.assert_allclose(
        costes_thresholds(image[0], image[1], 65535.0, "Faster"),
        costes_reference(*(image[c][without].astype(float) / 65535 for c in (0, 1)), 65535.0),
        rtol=1e-9,
    )


def test_the_full_frame():
    _, image = image_of(shape=(70, 64))
    labels = np.full((70, 64), 9, np.int32)
    assert_as_reference(labels, image, measure(labels, image), 65535.0)


def test_real_cell_painting(shared_data):
    tifffile = pytest.importorskip("tifffile")
    folder = shared_data / "images" / "cellpainting-nf1"
    crop = np.s_[200:600, 300:700]
    image = np.stack([tifffile.imread(path)[crop] for path in sorted(folder.glob("Plate_2_images/B7_*"))[:2]])
    labels, n = ndimage.label(tifffile.imread(folder / "Plate_2_masks" / "B7_01_1_3_DAPI_001_MaskNuclei.tiff")[crop])
    assert n > 3
    measured = measure(labels.astype(np.int32), image)
    assert_as_reference(labels, image, measured, 65535.0)
    expected = costes_reference(image[0] / 65535, image[1] / 65535, 65535.0)
    np.testing.assert_allclose(costes_thresholds(image[0], image[1], 65535.0, "Faster"), expected, rtol=1e-9)
