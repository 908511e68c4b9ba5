"""Stacks, found and measured in three dimensions: rows, labels, what is missing, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import cytolake
import numpy as np
import pytest
import tifffile
from cytolake.errors import RecipeError
from cytolake.lake import Lake
from cytolake.store.images.check import check_plate
from cytolake.store.images.model import AcquisitionSpec, ChannelSpec, FieldKey, ImageSpec, Plane, PlateSpec
from cytolake.store.images.plate import Field, open_plate
from cytolake.store.images.writer import ImageWriter, PlateWriter
from cytolake.store.registry import feature_sets
from cytolake.store.storage import open_storage
from cytolake.transforms.features.volume import volume_columns
from cytolake.transforms.field import FieldResult, process_field
from cytolake.transforms.recipe import BoundRecipe, load_recipe
from cytolake.transforms.segmentation.stack import segment_stack
from skimage.measure import regionprops_table

SPACING = (2.0, 0.5, 0.5)
ROLES = ("DNA", "ER", None)
NAMES = ("Hoechst", "488", "transmitted")
#: z, y, x in pixels and radius in µm: the first two touch the top and a side of the stack, the last is small.
BALLS = ((0.5, 30, 30, 5.0), (5, 35, 4, 5.0), (4, 80, 40, 5.5), (6, 70, 80, 5.0), (5, 25, 85, 4.0), (4, 88, 88, 3.0))


def drawn(shape: tuple[int, int, int] = (10, 104, 104), *, seed: int = 0) -> np.ndarray:
    """Three channels of uint16 (c, z, y, x): balls of light on a ground, another ground behind them, noise alone."""
    rng = np.random.default_rng(seed)
    z, y, x = (step * axis for step, axis in zip(SPACING, np.mgrid[tuple(slice(n) for n in shape)], strict=True))
    light = np.full(shape, 200.0)
    for cz, cy, cx, radius in BALLS:
        away = np.sqrt((z - 2 * cz) ** 2 + (y - cy / 2) ** 2 + (x - cx / 2) ** 2)
        light += 3000 / (1 + np.exp(3 * (away - radius)))
    other = 500 + 300 * x / x.max() + 50 * z
    return rng.poisson(np.stack([light, other, np.full(shape, 100.0)])).astype(np.uint16)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """One time point of three channels."""
    return drawn()


def written(
    folder: Path,
    pixels: np.ndarray,
    *,
    without: tuple[Plane, ...] = (),
    z_step_um: float | None = SPACING[0],
) -> Field:
    """A field with these pixels (t, c, z, y, x), in a plate of its own."""
    storage = open_storage(folder / "lake")
    key = FieldKey("A01", 1, 1)
    acquisition = AcquisitionSpec(acquisition_id=1, name="run")
    spec = PlateSpec(name="p", n_rows=8, n_columns=12, acquisitions=(acquisition,), images=(key,), attributes={})
    plate = PlateWriter(storage, "images/p.ome.zarr", spec)
    plate.begin()

    def read(t: int, c: int, z: int, out: np.ndarray) -> bool:
        out[:] = pixels[t, c, z]
        return (t, c, z) not in without

    image = ImageSpec(
        **key._asdict(),
        shape=pixels.shape,
        dtype=pixels.dtype.name,
        pixel_size_um=(z_step_um, *SPACING[1:]),
        channels=tuple(ChannelSpec(name=n, role=r, color="00FFFF") for n, r in zip(NAMES, ROLES, strict=True)),
    )
    ImageWriter(storage, "images/p.ome.zarr").write(image, read)
    plate.finish()
    return open_plate(storage, "images/p.ome.zarr").field("A01", 1)


def recipe(folder: Path, nuclei: str = "", *, top: str = "", more: str = "") -> BoundRecipe:
    """A recipe for stacks, with more of what a table or its top says, on the channels above."""
    text = f"""name = "stacks"
projection = "volume"
{top}
[objects.nuclei]
method = "volume"
channel = "DNA"
diameter_um = 10
{nuclei}
[features.AreaShape]
objects = "nuclei"
[features.Intensity]
objects = "nuclei"
[features.Location]
objects = "nuclei"
channels = ["ER"]
{more}"""
    path = folder / "stacks.toml"
    path.write_text(text, encoding="utf-8")
    return load_recipe(path).bind(ROLES, NAMES)


def label_of(field: Field) -> str:
    """Name of the one label image of a field."""
    (name,) = field.labels()
    return name


def metrics(result: FieldResult, metric: str) -> list[dict[str, Any]]:
    """Quality rows of one metric."""
    return [dict(row) for row in result.quality if row["metric"] == metric]


@pytest.fixture(scope="module")
def measured(pixels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> tuple[Field, BoundRecipe, FieldResult]:
    """The stack in a plate, processed."""
    folder = tmp_path_factory.mktemp("stack")
    field = written(folder, pixels[np.newaxis])
    bound = recipe(folder)
    return field, bound, process_field(field, bound)


def agrees_with_scikit_image(table: Any, labels: np.ndarray, channels: dict[str, np.ndarray], z_step: float) -> None:
    """Compare rows of nuclei with scikit-image's properties of their labels; steps in pixels of the x axis."""
    names = ["label", "area", "bbox", "centroid", "area_bbox", "extent", "euler_number"]
    known = regionprops_table(labels, properties=names)
    assert table["object_id"].to_pylist() == known["label"].tolist()
    shape = "Nuclei_AreaShape_"
    pairs = {"Volume": "area", "BoundingBoxVolume": "area_bbox", "Extent": "extent", "EulerNumber": "euler_number"}
    for i, axis in enumerate("ZYX"):
        pairs |= {f"BoundingBoxMinimum_{axis}": f"bbox-{i}", f"BoundingBoxMaximum_{axis}": f"bbox-{i + 3}"}
        pairs |= {f"Center_{axis}": f"centroid-{i}"}
    for ours, theirs in pairs.items():
        np.testing.assert_allclose(table[shape + ours].to_numpy(), known[theirs], rtol=1e-6, err_msg=ours)
    lengths = regionprops_table(
        labels,
        properties=["equivalent_diameter_area", "axis_major_length", "axis_minor_length"],
        spacing=(z_step, 1.0, 1.0),
    )
    for ours, theirs in zip(("EquivalentDiameter", "MajorAxisLength", "MinorAxisLength"), lengths, strict=True):
        np.testing.assert_allclose(table[shape + ours].to_numpy(), lengths[theirs], rtol=1e-5, err_msg=ours)
    for role, stack in channels.items():
        of_channel = regionprops_table(labels, stack, properties=["intensity_mean", "intensity_max", "intensity_min"])
        for ours, theirs in (("Mean", "mean"), ("Max", "max"), ("Min", "min")):
            values = table[f"Nuclei_Intensity_{ours}Intensity_{role}"].to_numpy() * 65535
            np.testing.assert_allclose(values, of_channel[f"intensity_{theirs}"], rtol=1e-6)


def test_rows_are_what_scikit_image_measures_on_the_written_labels(
    measured: tuple[Field, BoundRecipe, FieldResult], pixels: np.ndarray
) -> None:
    field, bound, result = measured
    assert result.skipped == {}
    table = result.objects["nuclei"]
    assert table.num_rows == len(BALLS)
    assert table["parent_id"].null_count == table.num_rows
    assert set(table["timepoint"].to_pylist()) == {0}
    labels = field.read_label(label_of(field))
    assert labels.shape == pixels.shape[1:]
    agrees_with_scikit_image(table, labels, {"DNA": pixels[0], "ER": pixels[1]}, 4.0)
    assert table.column_names[6:] == [column.name for column in bound.plans["nuclei"].columns]
    assert not any("Intensity_X_DNA" in name for name in table.column_names)  # Location was asked of ER alone
    radius = table["Nuclei_AreaShape_EquivalentDiameter"].to_numpy() / 4  # of half a µm
    drawn_radius = np.array([ball[-1] for ball in BALLS])
    assert np.sort(radius)[-3:] == pytest.approx(np.sort(drawn_radius)[-3:], rel=0.2)


def test_labels_and_plate_are_whole(measured: tuple[Field, BoundRecipe, FieldResult]) -> None:
    field, bound, _ = measured
    assert label_of(field) == f"nuclei_{bound.recipe.segmentation_hash('nuclei')}"
    assert check_plate(field.storage, "images/p.ome.zarr", deep=True) == []


def test_quality_is_of_the_projection_and_of_the_objects(
    measured: tuple[Field, BoundRecipe, FieldResult], pixels: np.ndarray
) -> None:
    _, _, result = measured
    assert [row["value"] for row in metrics(result, "MeanIntensity")] == pytest.approx(
        pixels.max(axis=1).mean(axis=(1, 2))
    )
    assert [row["value"] for row in metrics(result, "Count")] == [len(BALLS)]
    (typical,) = metrics(result, "TypicalVolume")
    volumes = np.sort(result.objects["nuclei"]["Nuclei_AreaShape_Volume"].to_numpy())
    assert typical["value"] in volumes
    assert typical["value"] > np.median(volumes) / 2


def test_who_watches_sees_the_largest_of_the_planes(pixels: np.ndarray, tmp_path: Path) -> None:
    field = written(tmp_path, pixels[np.newaxis])
    seen: list[Any] = []
    process_field(field, recipe(tmp_path), write_labels=False, watch=lambda *what: seen.append(what))
    ((image, labels),) = seen
    np.testing.assert_array_equal(image, pixels.max(axis=1))
    assert labels["nuclei"].shape == image.shape[1:]
    assert labels["nuclei"].max() == len(BALLS)
    assert field.labels() == []


def test_one_channel_is_read_at_a_time_and_once(
    pixels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    field = written(tmp_path, pixels[np.newaxis])
    asked: list[Any] = []
    original = Field.read

    def spy(self: Field, channels: Any = None, **options: Any) -> Any:
        asked.append(channels)
        return original(self, channels, **options)

    monkeypatch.setattr(Field, "read", spy)
    process_field(field, recipe(tmp_path), write_labels=False)
    assert sorted(asked) == [[0], [1], [2]]


def test_a_channel_that_lacks_a_plane_is_not_measured(pixels: np.ndarray, tmp_path: Path) -> None:
    result = process_field(written(tmp_path, pixels[np.newaxis], without=(Plane(0, 1, 3),)), recipe(tmp_path))
    table = result.objects["nuclei"]
    assert table.num_rows == len(BALLS)
    for name in table.column_names[6:]:
        assert table[name].null_count == (table.num_rows if name.endswith("_ER") else 0), name
    assert [row["value"] for row in metrics(result, "MissingPlanes")] == [0, 1, 0]
    assert metrics(result, "MeanIntensity")[1]["value"] > 0  # of the planes that are there


def test_nothing_is_found_in_a_stack_that_lacks_a_plane(pixels: np.ndarray, tmp_path: Path) -> None:
    two = np.stack([pixels, pixels])
    field = written(tmp_path, two, without=(Plane(0, 0, 3), Plane(0, 0, 7)))
    result = process_field(field, recipe(tmp_path))
    reason = "channel 'Hoechst' lacks 2 of 10 planes, the first is z = 3"
    assert result.skipped == {"nuclei": reason}
    assert set(result.objects["nuclei"]["timepoint"].to_pylist()) == {1}
    counts = [(row["timepoint"], row["value"], row["reason"]) for row in metrics(result, "Count")]
    assert counts == [(0, None, reason), (1, len(BALLS), None)]
    name = label_of(field)
    assert field.read_label(name, t=0).max() == 0
    assert field.read_label(name, t=1).max() == len(BALLS)


def test_a_single_plane_is_no_stack(pixels: np.ndarray, tmp_path: Path) -> None:
    result = process_field(written(tmp_path, pixels[np.newaxis, :, :1]), recipe(tmp_path))
    assert 'projection = "single"' in result.skipped["nuclei"]
    assert result.objects == {}
    assert metrics(result, "Count")[0]["value"] is None
    assert metrics(result, "MeanIntensity")[0]["value"] > 0


def test_the_distance_of_planes_is_the_plates_or_else_the_recipes(pixels: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "known").mkdir()
    unknown = written(tmp_path, pixels[np.newaxis], z_step_um=None)
    assert "z_step_um" in process_field(unknown, recipe(tmp_path)).skipped["nuclei"]
    said = recipe(tmp_path, top="z_step_um = 2.0")
    assert said.recipe.segmentation_hash("nuclei") != recipe(tmp_path).recipe.segmentation_hash("nuclei")
    by_recipe = process_field(unknown, said)
    known = written(tmp_path / "known", pixels[np.newaxis])
    by_plate = process_field(known, recipe(tmp_path, top="z_step_um = 7.0"))
    assert by_plate.objects["nuclei"].equals(by_recipe.objects["nuclei"])
    assert by_plate.objects["nuclei"].num_rows == len(BALLS)


def test_rules_of_border_and_volume(pixels: np.ndarray, tmp_path: Path) -> None:
    def kept(rules: str) -> np.ndarray:
        (one,) = recipe(tmp_path, rules).recipe.objects
        labels = segment_stack(one, pixels[0], SPACING)
        assert np.unique(labels).tolist() == list(range(labels.max() + 1))
        return np.bincount(labels.ravel())[1:] * np.prod(SPACING)

    everything = kept("")
    assert len(everything) == len(BALLS)
    # The second ball is cut by a side of the planes; the first one by the first plane, which is no border.
    inner = kept('border = "discard"')
    assert len(inner) == len(BALLS) - 1
    assert np.isin(inner, everything).all()
    bound = float(np.median(everything))
    assert np.array_equal(kept(f"min_volume_um3 = {bound}"), everything[everything >= bound])
    assert np.array_equal(kept(f"max_volume_um3 = {bound}"), everything[everything <= bound])
    assert len(kept(f"min_volume_um3 = {everything.max() + 1}")) == 0


def test_planes_are_corrected_before_they_are_measured(pixels: np.ndarray, tmp_path: Path) -> None:
    light = np.linspace(0.5, 1.5, 104, dtype=np.float32) * np.ones((104, 1), np.float32)
    bound = recipe(tmp_path, more='[illumination]\nmethod = "basic"\n')
    assert bound.recipe.corrects
    field = written(tmp_path, pixels[np.newaxis])
    result = process_field(field, bound, profiles=[None, light, None])
    labels = field.read_label(label_of(field))
    means = regionprops_table(labels, pixels[1] / light, properties=["intensity_mean"])["intensity_mean"]
    found = result.objects["nuclei"]["Nuclei_Intensity_MeanIntensity_ER"].to_numpy() * 65535
    np.testing.assert_allclose(found, means, rtol=1e-6)
    (er,) = [row for row in metrics(result, "MeanIntensity") if row["channel_role"] == "ER"]
    assert er["value"] == pytest.approx(pixels[1].max(axis=0).mean())  # as the camera saw it


AFTER_WARM_UP = """
import sys
from pathlib import Path
from cytolake.store.images.plate import open_plate
from cytolake.store.storage import open_storage
from cytolake.transforms.field import process_field
from cytolake.transforms.recipe import load_recipe
from cytolake.transforms.warmup import _warm_up
from numba.core.dispatcher import Dispatcher

def ready():
    modules = [module for name, module in sys.modules.items() if name.startswith("cytolake.")]
    kernels = {kernel for module in modules for kernel in vars(module).values() if isinstance(kernel, Dispatcher)}
    return {(kernel.__qualname__, types) for kernel in kernels for types in kernel.signatures}

folder = Path(sys.argv[1])
field = open_plate(open_storage(folder / "lake"), "images/p.ome.zarr").field("A01", 1)
channels = field.channels
bound = load_recipe(folder / "stacks.toml").bind([one.role for one in channels], [one.name for one in channels])
_warm_up([bound], field.dtype)
warm = ready()
process_field(field, bound, write_labels=False)
print(len(warm) > 0, sorted(ready() - warm))
"""


def test_a_warm_worker_compiles_no_more_kernels_for_a_stack(pixels: np.ndarray, tmp_path: Path) -> None:
    written(tmp_path, pixels[np.newaxis])
    recipe(tmp_path)
    command = [sys.executable, "-c", AFTER_WARM_UP, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("True []\n", "")


NUCLEI = '[objects.nuclei]\nmethod = "volume"\nchannel = "DNA"\n'


@pytest.mark.parametrize(
    ("text", "problem", "allowed"),
    [
        (NUCLEI, "makes one plane of a stack", 'projection = "volume"'),
        ('projection = "volume"\n' + NUCLEI.replace('"volume"', '"otsu"'), '"otsu" works in planes', "volume"),
        (
            'projection = "volume"\n' + NUCLEI + '[objects.cells]\nmethod = "watershed"\nfrom = "nuclei"\n',
            "works in planes",
            "volume",
        ),
        (
            'projection = "volume"\n' + NUCLEI + '[objects.rest]\nfrom = "nuclei"\nminus = "nuclei"\n',
            '"subtract" works in planes',
            "volume",
        ),
        ('projection = "volume"\n' + NUCLEI + "min_area_um2 = 20\n", "min_area_um2: unknown key", "min_volume_um3"),
        (NUCLEI.replace('"volume"', '"otsu"') + "min_volume_um3 = 20\n", "min_volume_um3: unknown key", "min_area_um2"),
        ('projection = "volume"\n' + NUCLEI + 'from = "cells"\n', "from: unknown key", "channel"),
        (
            'projection = "volume"\n' + NUCLEI + "min_volume_um3 = 9\nmax_volume_um3 = 8\n",
            "above max_volume_um3",
            "min ≤ max",
        ),
        (
            'projection = "volume"\n' + NUCLEI + '[features.Texture]\nobjects = "nuclei"\n',
            "[features.Texture]: measured in planes alone",
            "AreaShape, Intensity, Location",
        ),
        (
            'projection = "volume"\n' + NUCLEI + '[features.Intensty]\nobjects = "nuclei"\n',
            "unknown feature family",
            "AreaShape, Intensity, Location",
        ),
        ('projection = "volume"\n' + NUCLEI + '[tracking]\nobjects = "nuclei"\n', "tracking: objects are followed", ""),
        ("z_step_um = 2\n" + NUCLEI.replace('"volume"', '"otsu"'), "z_step_um: projection", "volume"),
        ('projection = "volume"\nz_step_um = 0\n' + NUCLEI, "z_step_um: 0 is out of range", ""),
    ],
)
def test_what_does_not_go_with_stacks_is_refused_by_name(tmp_path: Path, text: str, problem: str, allowed: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'name = "mine"\n{text}', encoding="utf-8")
    with pytest.raises(RecipeError) as error:
        load_recipe(path)
    assert problem in error.value.message
    assert allowed in (error.value.hint or "")


def test_every_setting_of_a_stack_is_part_of_the_definition(tmp_path: Path) -> None:
    plain = recipe(tmp_path).recipe
    for other in (
        recipe(tmp_path, "min_volume_um3 = 3"),
        recipe(tmp_path, "max_volume_um3 = 3"),
        recipe(tmp_path, 'border = "discard"'),
        recipe(tmp_path, "edge_level = 0.4"),
        recipe(tmp_path, top="z_step_um = 1"),
    ):
        assert other.recipe.canonical() != plain.canonical()
        assert other.recipe.segmentation_hash("nuclei") != plain.segmentation_hash("nuclei")


# --- a lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Two wells of stacks as TIFF files whose pages are planes, and one whose files are single planes."""
    folder = tmp_path_factory.mktemp("lake")
    for well, seed in (("A01", 0), ("B02", 1)):
        for channel, stack in zip(("DNA", "ER"), drawn(seed=seed), strict=False):
            (folder / "stacks").mkdir(exist_ok=True)
            tifffile.imwrite(folder / "stacks" / f"{well}_f1_{channel}.tif", stack, photometric="minisblack")
    (folder / "planes").mkdir()
    tifffile.imwrite(folder / "planes" / "A01_f1_DNA.tif", drawn()[0, 5], photometric="minisblack")
    lake = cytolake.init_lake(folder / "lake")
    for export in ("stacks", "planes"):
        lake.ingest(
            folder / export,
            study=export,
            pattern=r"(?P<well>[A-P]\d+)_f(?P<field>\d+)_(?P<channel>\w+)\.tif",
            pixel_size_um=0.5,
            plate_format="96",
        )
    return lake


def with_z_step(folder: Path) -> str:
    """The shipped recipe, as a file that says how far apart planes are."""
    text = Path(cytolake.__file__).with_name("transforms").joinpath("recipes/nuclei-3d.toml").read_text("utf-8")
    path = folder / "mine.toml"
    path.write_text(text.replace('projection = "volume"', 'projection = "volume"\nz_step_um = 2.0'), encoding="utf-8")
    return str(path)


def test_a_plate_of_stacks_into_tables(lake: Lake, tmp_path: Path) -> None:
    report = lake.transform(study="stacks", recipe=with_z_step(tmp_path), workers=1)
    assert report["status"] == "ok"
    (plate,) = report["plates"]
    assert plate["objects"] == {"nuclei": 2 * len(BALLS)}
    (one,) = feature_sets(lake.root)
    table = lake.root.tables.read(one.table("nuclei"))
    expected = [column.name for column in volume_columns("nuclei", ("DNA", "ER"))]
    assert [name for name in table.column_names if name.startswith("Nuclei_")] == expected
    described = lake.root.tables.read("feature_dictionary").to_pylist()
    assert {row["column"] for row in described} == set(expected)
    (volume,) = [row for row in described if row["column"] == "Nuclei_AreaShape_Volume"]
    assert volume["definition"] == "Number of voxels of the object."
    (mean,) = [row for row in described if row["column"] == "Nuclei_Intensity_MeanIntensity_ER"]
    assert "the stack lacks this channel or planes of it" in mean["definition"]
    field = lake.plate("stacks", plate["plate_id"]).field("B02", 1)
    rows = table.filter([well == "B02" for well in table["well_id"].to_pylist()])
    agrees_with_scikit_image(rows, field.read_label(label_of(field)), {"DNA": field.read()[0]}, 4.0)


def test_the_plate_is_looked_at_before_anything_is_computed(lake: Lake) -> None:
    with pytest.raises(RecipeError, match=r"distance between the planes is unknown.*z_step_um"):
        lake.transform(study="stacks", recipe="nuclei-3d", workers=1)
    with pytest.raises(RecipeError, match=r'projection = "single"'):
        lake.transform(study="planes", recipe="nuclei-3d", workers=1)


def test_a_preview_of_stacks(lake: Lake, tmp_path: Path) -> None:
    page = tmp_path / "look.html"
    report = lake.preview(1, study="stacks", output=page, recipe=with_z_step(tmp_path), workers=1)
    assert report["status"] == "ok"
    assert report["fields"][0]["objects"] == {"nuclei": len(BALLS)}
    assert "Nuclei_AreaShape_Volume" in page.read_text(encoding="utf-8")


def test_a_real_stack(shared_data: Path, tmp_path: Path) -> None:
    image = tifffile.imread(shared_data / "images/stardist-sample/img3d.tif")
    field = written(tmp_path, np.stack([image, image, image])[np.newaxis])
    bound = recipe(tmp_path)
    result = process_field(field, bound)
    labels = field.read_label(label_of(field))
    assert 15 <= labels.max() <= 80
    agrees_with_scikit_image(result.objects["nuclei"], labels, {"DNA": image}, 4.0)
