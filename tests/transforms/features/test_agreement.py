"""Every feature against scikit-image, or against its definition where scikit-image does not have it."""

from __future__ import annotations

import numpy as np
import pytest
from cytolake.transforms.features.families import FAMILIES, compute
from cytolake.transforms.features.label_index import label_index
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist
from skimage.measure import regionprops
from skimage.segmentation import find_boundaries

SKIMAGE = "scikit-image:"
#: Relative to a feature's scale, its largest absolute value over the objects of the image.
TOLERANCE = 1e-9
MOMENT_TOLERANCE = 1e-8


def measured(scene, **options):
    columns, values = compute(tuple(FAMILIES), "nuclei", label_index(scene.labels), scene.image, scene.roles, **options)
    return columns, dict(zip([column.name for column in columns], values.T, strict=True))


def assert_close(name, ours, reference, tolerance=TOLERANCE, scale=None):
    defined = ~np.isnan(reference)
    np.testing.assert_array_equal(np.isnan(ours), ~defined, err_msg=name)
    scale = np.abs(reference[defined]).max(initial=0) if scale is None else scale
    worst = np.abs(ours[defined] - reference[defined]).max(initial=0)
    assert worst <= tolerance * scale, f"{name}: differs by {worst} at a scale of {scale}"


def from_skimage(alias, props, channel):
    """The property ``name-i-j`` of every region; of one channel where it has channels."""
    name, *at = alias.split("-")
    values = []
    for region in props:
        value = getattr(region, name)
        for i in at:
            value = value[int(i)]
        values.append(value if channel is None else value[channel])
    return np.array(values, dtype=float)


def test_what_scikit_image_measures(scene):
    props = regionprops(scene.labels, intensity_image=np.moveaxis(scene.image, 0, -1).astype(float))
    columns, ours = measured(scene, full_scale=1.0)
    single = np.array([region.area == 1 for region in props])
    checked = set()
    for column in columns:
        alias = next((a.removeprefix(SKIMAGE) for a in column.aliases if a.startswith(SKIMAGE)), None)
        if alias is None:
            continue
        channel = None if column.channel_role is None else scene.roles.index(column.channel_role)
        reference = from_skimage(alias, props, channel)
        tolerance, scale = TOLERANCE, None
        if column.operator == "Orientation":
            # scikit-image gives objects without a longer axis one of the diagonals.
            round_ = np.array([np.ptp(r.inertia_tensor_eigvals) == 0 for r in props])
            assert round_.any()
            reference = np.where(round_, np.nan, np.degrees(reference))
        elif column.operator == "Eccentricity":  # and single pixels an ellipse
            reference[single] = np.nan
        elif "Moment" in column.operator or "Inertia" in column.operator:
            tolerance = MOMENT_TOLERANCE
            if column.operator in ("CentralMoment_0_1", "CentralMoment_1_0"):  # 0, whatever the sizes summed over
                scale = max(region.moments[0, 1] for region in props)
        assert_close(column.name, ours[column.name], reference, tolerance, scale)
        checked.add(column.operator)
    assert len(checked) == 18 + 53 + 5 + 2


def test_ratios_of_perimeter_and_area(scene):
    props = regionprops(scene.labels)
    _, ours = measured(scene)
    area, outline = (np.array([getattr(r, name) for r in props]) for name in ("area", "perimeter"))
    outline_or_nan = np.where(outline == 0, np.nan, outline)
    assert_close("Compactness", ours["Nuclei_AreaShape_Compactness"], outline**2 / (4 * np.pi * area))
    assert_close("FormFactor", ours["Nuclei_AreaShape_FormFactor"], 4 * np.pi * area / outline_or_nan**2)


def test_radii_are_those_of_the_distance_transform(scene):
    _, ours = measured(scene)
    reference = []
    for region in regionprops(scene.labels):
        inside = ndimage.distance_transform_edt(np.pad(region.image, 1))[1:-1, 1:-1][region.image]
        reference.append((inside.max(), inside.mean(), np.median(inside)))
    for name, values in zip(("MaximumRadius", "MeanRadius", "MedianRadius"), np.transpose(reference), strict=True):
        assert_close(name, ours[f"Nuclei_AreaShape_{name}"], values)


def test_radii_of_a_large_object():
    y, x = np.mgrid[:400, :600]
    blob = ((y - 200) ** 2 / 180**2 + (x - 300) ** 2 / 290**2 < 1) & ((y // 37 + x // 53) % 9 > 0)
    _, values = compute(["AreaShape"], "nuclei", label_index(blob.astype(np.int32)), None, [])
    names = [column.operator for column in compute(["AreaShape"], "nuclei", label_index(blob.astype(int)), None, [])[0]]
    inside = ndimage.distance_transform_edt(np.pad(blob, 1))[1:-1, 1:-1][blob]
    for name, reference in (("MaximumRadius", inside.max()), ("MeanRadius", inside.mean())):
        assert values[0, names.index(name)] == pytest.approx(reference, rel=1e-12)


def test_feret_diameters_are_those_of_the_pixel_centres(scene):
    _, ours = measured(scene)
    widest, narrowest = [], []
    for region in regionprops(scene.labels):
        points = region.coords.astype(float)
        widest.append(pdist(points).max() if len(points) > 1 else 0.0)
        try:
            # Turned so that each edge of the hull lies level, how high the hull is.
            normals = ConvexHull(points).equations[:, :2]
            narrowest.append(np.ptp(points @ normals.T, axis=0).min())
        except QhullError:  # points on one line
            narrowest.append(0.0)
    assert_close("MaxFeretDiameter", ours["Nuclei_AreaShape_MaxFeretDiameter"], np.array(widest))
    assert_close("MinFeretDiameter", ours["Nuclei_AreaShape_MinFeretDiameter"], np.array(narrowest))


@pytest.mark.parametrize("edge", [False, True])
def test_intensities_by_definition(scene, edge):
    _, ours = measured(scene)
    top = {"uint8": 255, "uint16": 65535, "float32": 1}[scene.image.dtype.name]
    where = find_boundaries(scene.labels, mode="inner") if edge else np.ones(scene.labels.shape, bool)
    statistics = {
        "IntegratedIntensity": np.sum,
        "MeanIntensity": np.mean,
        "StdIntensity": np.std,
        "MinIntensity": np.min,
        "MaxIntensity": np.max,
    }
    if not edge:
        statistics |= {
            "LowerQuartileIntensity": lambda v: np.percentile(v, 25),
            "MedianIntensity": np.median,
            "MADIntensity": lambda v: np.median(np.abs(v - np.median(v))),
            "UpperQuartileIntensity": lambda v: np.percentile(v, 75),
        }
    labels = np.unique(scene.labels)[1:]
    for channel, role in enumerate(scene.roles):
        pixels = [scene.image[channel][(scene.labels == k) & where].astype(float) / top for k in labels]
        for name, statistic in statistics.items():
            reference = np.array([statistic(own) if own.size else np.nan for own in pixels])
            operator = f"{name}Edge" if edge else name
            scale = max(np.abs(own).max(initial=0) for own in pixels) if name == "StdIntensity" else None
            assert_close(operator, ours[f"Nuclei_Intensity_{operator}_{role}"], reference, scale=scale)


def test_places_by_definition(scene):
    _, ours = measured(scene)
    labels = np.unique(scene.labels)[1:]
    for channel, role in enumerate(scene.roles):
        plane = scene.image[channel].astype(float)
        mass, peak, displacement = [], [], []
        for label in labels:
            y, x = np.nonzero(scene.labels == label)
            values = plane[y, x]
            brightest = values.argmax()
            peak.append((y[brightest], x[brightest]))
            mass.append((values @ y / values.sum(), values @ x / values.sum()))
            displacement.append(np.hypot(mass[-1][0] - y.mean(), mass[-1][1] - x.mean()))
        mass, peak = np.array(mass), np.array(peak, float)
        size = max(scene.labels.shape)
        for axis, name in enumerate("YX"):
            # A negative channel can nearly cancel, and the centre of mass then lies anywhere.
            scale = max(size, np.abs(mass).max())
            name_of_mass = f"Nuclei_Location_CenterMassIntensity_{name}_{role}"
            assert_close(name_of_mass, ours[name_of_mass], mass[:, axis], scale=scale)
            name_of_peak = f"Nuclei_Location_MaxIntensity_{name}_{role}"
            assert_close(name_of_peak, ours[name_of_peak], peak[:, axis])
        displaced = f"Nuclei_Intensity_MassDisplacement_{role}"
        assert_close(displaced, ours[displaced], np.array(displacement), scale=scale)
