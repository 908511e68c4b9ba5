"""Learned segmenters: the file is the identity, whatever is wrong is told before work, tiles do not show."""

from __future__ import annotations

import hashlib
import sys
import types
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cytolake.errors import ConfigurationError, InvalidDataError, MissingExtraError, RecipeError
from cytolake.transforms.recipe import Recipe, load_recipe
from cytolake.transforms.segmentation import models
from cytolake.transforms.segmentation.networks import Network, NetworkSegmenter, normalised
from cytolake.transforms.segmentation.segment import segment_field
from cytolake.transforms.segmentation.sources import check_sources
from onnx_file import INT32, constant, foreground, node, onnx_model

Scene = tuple[np.ndarray, np.ndarray]

needs_onnx = pytest.mark.skipif(find_spec("onnxruntime") is None, reason="onnxruntime is not installed")
SETTINGS = {
    "output": "probability",
    "diameter_um": 12.0,
    "threshold": 0.5,
    "boundary_threshold": 0.5,
    "low_percentile": 1.0,
    "high_percentile": 99.8,
    "model_pixel_size_um": 0.0,
    "tile": 512,
    "overlap": 64,
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """``write(content, "more = 1", method="onnx")`` writes a model and a recipe for it beside each other."""

    def write(content: bytes, more: str = "", *, method: str = "onnx", channel: str = "DNA") -> Path:
        (tmp_path / "m.bin").write_bytes(content)
        text = f'name = "r"\n[objects.nuclei]\nmethod = "{method}"\nchannel = "{channel}"\nmodel = "m.bin"\n{more}\n'
        (tmp_path / "r.toml").write_text(text, encoding="utf-8")
        return tmp_path / "r.toml"

    return write


def check(recipe: Recipe, roles: tuple[str, ...] = ("DNA", "RNA")) -> None:
    check_sources(recipe.bind(roles, roles), [], lambda: pytest.fail("no plate is needed"))


def same_objects(found: np.ndarray, true: np.ndarray) -> None:
    assert found.max() == true.max()
    for value in range(1, true.max() + 1):
        own = found[true == value]
        number = np.bincount(own[own > 0]).argmax()
        assert ((found == number) & (true == value)).sum() / ((found == number) | (true == value)).sum() > 0.7


# What a model is


def test_a_model_is_its_bytes_not_its_place(write: Callable[..., Path], tmp_path: Path) -> None:
    first = load_recipe(write(b"weights"))
    parameters = first.definition()["objects"]["nuclei"]["parameters"]
    assert "model" not in parameters
    assert parameters["model_sha256"] == hashlib.sha256(b"weights").hexdigest()
    elsewhere = tmp_path / "other" / "n.onnx"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(b"weights")
    path = tmp_path / "moved.toml"
    path.write_text(first.text.replace("m.bin", str(elsewhere)), encoding="utf-8")
    assert load_recipe(path).canonical() == first.canonical()
    assert load_recipe(path).segmentation_hash("nuclei") == first.segmentation_hash("nuclei")
    elsewhere.write_bytes(b"other weights")
    assert load_recipe(path).canonical() != first.canonical()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('model_sha256 = "abc"', "'abc' is no SHA-256"),
        (f'model_sha256 = "{"0" * 64}"', "is another model: its SHA-256 is"),
        ("tile = 100.5", "no whole number"),
        ("tile = 8", "out of range"),
        ('second_channel = "dna"', "unknown role 'dna'"),
        ('from = "nuclei"', "unknown key"),
    ],
)
def test_what_a_recipe_cannot_say(write: Callable[..., Path], more: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said) as caught:
        load_recipe(write(b"weights", more))
    assert "r.toml: [objects.nuclei]" in str(caught.value)


def test_a_file_that_is_not_there(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write(b"weights")
    (tmp_path / "m.bin").unlink()
    with pytest.raises(RecipeError, match=r"m\.bin does not exist") as caught:
        load_recipe(path)
    assert "nothing is downloaded" in str(caught.value)
    (tmp_path / "m.bin").mkdir()
    with pytest.raises(RecipeError, match="is a folder"):
        load_recipe(path)
    path.write_text(path.read_text(encoding="utf-8").replace('"m.bin"', '""'), encoding="utf-8")
    with pytest.raises(RecipeError, match="model: missing"):
        load_recipe(path)


@pytest.mark.parametrize(
    ("method", "module", "extra"),
    [("onnx", "onnxruntime", "models"), ("torchscript", "torch", "torch"), ("cellpose", "torch", "cellpose")],
)
def test_a_missing_library_is_named_with_its_extra(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, method: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    models.load_segmenter.cache_clear()
    with pytest.raises(MissingExtraError, match=module) as caught:
        check(load_recipe(write(b"weights", method=method)))
    assert f"cytolake[{extra}]" in str(caught.value)


@needs_onnx
def test_a_model_that_changes_under_way_is_noticed(write: Callable[..., Path], tmp_path: Path) -> None:
    recipe = load_recipe(write(foreground()))
    (tmp_path / "m.bin").write_bytes(foreground() + b" ")
    models.load_segmenter.cache_clear()
    with pytest.raises(ConfigurationError, match="has changed since the recipe was read"):
        check(recipe)


# ONNX


@needs_onnx
@pytest.mark.parametrize("tile", [64, 96, 512])
def test_nuclei_by_an_onnx_network(write: Callable[..., Path], grid: Scene, tile: int) -> None:
    image, true = grid
    bound = load_recipe(write(foreground(), f"tile = {tile}\noverlap = 16")).bind(["DNA"], ["a"])
    check_sources(bound, [], lambda: pytest.fail("no plate is needed"))
    found = segment_field(bound, np.sqrt(image)[np.newaxis], pixel_size_um=0.5)
    same_objects(found.labels["nuclei"], true)
    assert set(np.unique(found.labels["nuclei"])) == set(range(26))


@needs_onnx
def test_a_network_of_two_channels_and_two_maps(write: Callable[..., Path], grid: Scene) -> None:
    nuclei, true = grid
    both = np.stack([np.full_like(nuclei, 7), np.minimum(nuclei, 600)])
    # The second channel is bright in nuclei: it is given back as foreground; there is no boundary.
    nodes = [node("Mul", ["image", "one"], "map")]
    recipe = load_recipe(
        write(
            onnx_model(nodes, [constant("one", 1.0)], takes=(1, 2, "y", "x"), gives=(1, 2, "y", "x")),
            'second_channel = ["DNA"]\noutput = "probability-and-boundary"\nhigh_percentile = 100\nlow_percentile = 0',
            channel="RNA",
        )
    )
    check(recipe)
    found = segment_field(recipe.bind(["DNA", "RNA"], ["a", "b"]), both[::-1], pixel_size_um=0.5)
    assert found.labels["nuclei"].max() == 0  # the first map, of the flat channel, is what counts as foreground
    swapped = segment_field(recipe.bind(["RNA", "DNA"], ["a", "b"]), both[::-1], pixel_size_um=0.5)
    same_objects(swapped.labels["nuclei"], true)
    skipped = segment_field(
        recipe.bind(["RNA", "DNA"], ["a", "b"]), both, present=np.array([True, False]), pixel_size_um=0.5
    )
    assert skipped.skipped == {"nuclei": "no pixels of channel 'b' in this field"}


@needs_onnx
def test_a_network_of_labels(write: Callable[..., Path]) -> None:
    nodes = [node("Floor", ["image"], "whole"), node("Cast", ["whole"], "map", to=INT32)]
    settings = 'output = "labels"\nhigh_percentile = 100\nlow_percentile = 0\ntile = 64'
    recipe = load_recipe(write(onnx_model(nodes, gives_type=INT32), settings))
    check(recipe)
    image = np.random.default_rng(0).integers(0, 5, (70, 90)).astype(np.uint16)
    image[30:40, 60:80] = 7
    found = segment_field(recipe.bind(["DNA"], ["a"]), image[np.newaxis], pixel_size_um=0.5).labels["nuclei"]
    assert np.array_equal(found, image == 7)


@needs_onnx
@pytest.mark.parametrize(
    ("content", "more", "said"),
    [
        (b"no model at all", "", "onnxruntime cannot load it"),
        (
            foreground(takes=(1, 3, "y", "x"), gives=(1, 3, "y", "x")),
            "",
            r"takes 3 channel\(s\), and the recipe gives it 1",
        ),
        (foreground(), 'second_channel = "RNA"', r"takes 1 channel\(s\), and the recipe gives it 2"),
        (foreground(takes=(1, "y", "x"), gives=(1, "y", "x")), "", r"needed is float32 \(1, C, Y, X\)"),
        (foreground(), 'output = "probability-and-boundary"', r"gives \(1, 1, 64, 64\) .*needed is \(1, 2, 64, 64\)"),
        (foreground(), 'output = "labels"', "no labels: fractions"),
        (
            onnx_model([node("Sub", ["image", "half"], "map")], [constant("half", 0.5)]),
            "",
            "values from -0.5 to -0.5, no probabilities",
        ),
        (
            onnx_model([node("GlobalAveragePool", ["image"], "map")], gives=(1, 1, 1, 1)),
            "",
            r"gives \(1, 1, 1, 1\) for an input",
        ),
    ],
)
def test_a_model_that_does_not_fit_is_told_before_work(
    write: Callable[..., Path], content: bytes, more: str, said: str
) -> None:
    with pytest.raises(RecipeError, match=said) as caught:
        check(load_recipe(write(content, more)))
    assert "[objects.nuclei]" in str(caught.value)
    assert "m.bin" in str(caught.value)


@needs_onnx
def test_the_size_that_an_onnx_file_asks_for_is_what_it_is_given(write: Callable[..., Path], grid: Scene) -> None:
    image, true = grid
    recipe = load_recipe(write(foreground(takes=(1, 1, 96, 128), gives=(1, 1, 96, 128))))
    check(recipe)
    parameters = recipe.object_set("nuclei").parameters
    segmenter = models.load_segmenter("onnx", parameters["model"], parameters["model_sha256"])
    assert isinstance(segmenter, NetworkSegmenter)
    assert segmenter.network.size == (96, 128)
    found = segment_field(recipe.bind(["DNA"], ["a"]), np.sqrt(image)[np.newaxis], pixel_size_um=0.5)
    same_objects(found.labels["nuclei"], true)


# Tiles, scales, outputs: with networks that are functions


def run(function: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray, **changes: Any) -> np.ndarray:
    segmenter = NetworkSegmenter(Network(run=function), "net")
    return segmenter(pixels, pixel_size_um=changes.pop("pixel_size_um", 0.5), **{**SETTINGS, **changes})


@pytest.mark.parametrize("shape", [(64, 64), (200, 331), (65, 500)])
def test_tiles_join_without_a_seam(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = rng.random((1, *shape)).astype(np.float32)
    seen: list[tuple[int, ...]] = []

    def identity(tile: np.ndarray) -> np.ndarray:
        seen.append(tile.shape)
        return tile

    maps = NetworkSegmenter(Network(run=identity), "net")._maps(image, 1, 64, 16)
    assert maps.shape == image.shape
    assert np.allclose(maps, image, atol=1e-6)
    assert set(seen) == {(1, 1, 64, 64)}


def test_a_network_of_one_size_is_given_tiles_of_it() -> None:
    image = np.random.default_rng(0).random((1, 200, 331)).astype(np.float32)
    seen: set[tuple[int, ...]] = set()

    def identity(tile: np.ndarray) -> np.ndarray:
        seen.add(tile.shape)
        return tile

    segmenter = NetworkSegmenter(Network(run=identity, size=(96, None)), "net")
    assert np.allclose(segmenter._maps(image, 1, 64, 16), image, atol=1e-6)
    assert seen == {(1, 1, 96, 64)}
    with pytest.raises(
        RecipeError, match=r"takes images of 96 × 352 pixels, the field has 200 × 331, and labels of tiles cannot"
    ):
        segmenter._labels(image)


def test_a_tile_of_the_middle_counts_more_than_a_border() -> None:
    image = np.zeros((1, 64, 112), np.float32)
    calls = iter([0.0, 1.0])
    maps = NetworkSegmenter(Network(run=lambda tile: np.full_like(tile, next(calls))), "net")._maps(image, 1, 64, 16)
    row = maps[0, 32]
    assert (row[:48] == 0).all()
    assert (row[64:] == 1).all()
    assert (np.diff(row[47:65]) > 0).all()


def test_the_network_sees_its_own_pixel_size(grid: Scene) -> None:
    image, true = grid
    shapes: list[tuple[int, ...]] = []

    def network(tile: np.ndarray) -> np.ndarray:
        shapes.append(tile.shape)
        return (tile > 0.2).astype(np.float32)

    found = run(network, np.sqrt(image)[np.newaxis], model_pixel_size_um=1.0)
    assert shapes == [(1, 1, 128, 128)]
    same_objects(found, true)


def test_boundaries_divide_what_touches() -> None:
    truth = np.zeros((96, 96), np.int32)
    truth[20:70, 20:48], truth[20:70, 48:76] = 1, 2
    boundary = np.zeros(truth.shape, np.float32)
    boundary[20:70, 46:50] = 0.9
    maps = np.stack([(truth > 0).astype(np.float32), boundary])[np.newaxis]
    found = run(lambda _: maps, np.zeros((1, 96, 96), np.uint16), output="probability-and-boundary")
    assert np.array_equal(found > 0, truth > 0)
    same_objects(found, truth)
    whole = run(
        lambda _: maps, np.zeros((1, 96, 96), np.uint16), output="probability-and-boundary", boundary_threshold=0.95
    )
    assert whole.max() == 1


def test_labels_are_taken_as_they_are_and_scaled_by_nearest() -> None:
    labels = np.zeros((64, 64), np.int64)
    labels[10:20, 10:20], labels[10:20, 20:30], labels[40:50, 5:60] = 900_000, 7, 65_536
    pixels = np.zeros((1, 64, 64), np.uint16)
    found = run(lambda _: labels[np.newaxis, np.newaxis], pixels, output="labels")
    assert sorted(np.unique(found)) == [0, 1, 2, 3]
    assert len(np.unique(found * 1_000_003 + labels)) == 4
    doubled = run(
        lambda _: labels[np.newaxis, np.newaxis],
        np.zeros((1, 128, 128)),
        output="labels",
        pixel_size_um=0.5,
        model_pixel_size_um=1.0,
    )
    assert np.array_equal(doubled, found.repeat(2, axis=0).repeat(2, axis=1))


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (0.5, RecipeError, "no labels: fractions, or below 0"),
        (-1.0, RecipeError, "no labels: fractions, or below 0"),
        (float("nan"), InvalidDataError, "gives values that are not finite"),
    ],
)
def test_what_is_no_label(value: float, error: type[Exception], said: str) -> None:
    answer = np.full((1, 1, 64, 64), value)
    with pytest.raises(error, match=said):
        run(lambda _: answer, np.zeros((1, 64, 64)), output="labels")


def test_percentiles_stretch_each_channel_and_flat_ones_are_nothing() -> None:
    pixels = np.stack([np.arange(10_001).reshape(1, -1), np.full((1, 10_001), 5)]).astype(np.uint16)
    stretched = normalised(pixels, 1.0, 99.0)
    assert stretched.dtype == np.float32
    assert stretched[0, 0, 100] == pytest.approx(0.0, abs=1e-6)
    assert stretched[0, 0, 9900] == pytest.approx(1.0, abs=1e-6)
    assert (stretched[1] == 0).all()
    brighter = normalised(pixels * 3 + 7, 1.0, 99.0)
    assert np.allclose(brighter, stretched, atol=1e-5)
    with pytest.raises(InvalidDataError, match="not finite"):
        normalised(np.array([[[0.0, np.nan]]]), 1.0, 99.0)


# TorchScript and Cellpose: the glue, with modules that stand in for them


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Stands in for PyTorch: its script multiplies by one, its weights are what is not refused."""

    class Tensor:
        def __init__(self, array: np.ndarray) -> None:
            self.array = array

        def numpy(self) -> np.ndarray:
            return self.array

    class Script:
        def eval(self) -> Script:
            return self

        def __call__(self, tile: Tensor) -> Tensor:
            assert module.threads == 1
            return Tensor(np.clip(tile.array, 0, 1))

    class Quiet:
        def __enter__(self) -> None:
            pass

        def __exit__(self, *_: object) -> None:
            pass

    def load_script(stream: Any, map_location: str) -> Script:
        assert map_location == "cpu"
        if stream.read() != b"script":
            raise RuntimeError("PytorchStreamReader failed\nmore")
        return Script()

    def load(path: Path, *, map_location: str, weights_only: bool) -> dict[str, Any]:
        assert weights_only
        if path.read_bytes() != b"weights":
            raise RuntimeError("Weights only load failed")
        return {}

    def set_num_threads(number: int) -> None:
        module.threads = number

    module = types.ModuleType("torch")
    module.threads = 5
    module.jit = types.SimpleNamespace(load=load_script)
    module.load = load
    module.from_numpy = Tensor
    module.inference_mode = Quiet
    module.get_num_threads = lambda: module.threads
    module.set_num_threads = set_num_threads
    monkeypatch.setitem(sys.modules, "torch", module)
    models.load_segmenter.cache_clear()
    yield module
    models.load_segmenter.cache_clear()


def test_nuclei_by_torchscript(write: Callable[..., Path], torch: types.ModuleType, grid: Scene) -> None:
    image, true = grid
    recipe = load_recipe(write(b"script", "threshold = 0.2", method="torchscript"))
    check(recipe)
    found = segment_field(recipe.bind(["DNA"], ["a"]), np.sqrt(image)[np.newaxis], pixel_size_um=0.5)
    same_objects(found.labels["nuclei"], true)
    assert torch.threads == 5  # as it was


def test_what_is_no_torchscript(write: Callable[..., Path], torch: types.ModuleType) -> None:
    with pytest.raises(RecipeError, match=r"cannot load it as TorchScript: PytorchStreamReader failed\n") as caught:
        check(load_recipe(write(b"pickle", method="torchscript")))
    assert "torch.jit" in str(caught.value)


@pytest.fixture
def cellpose(torch: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stands in for Cellpose 3; gives what it was asked."""
    asked: list[dict[str, Any]] = []

    class CellposeModel:
        def __init__(self, gpu: bool = False, pretrained_model: str = "", nchan: int = 2) -> None:
            assert not gpu
            asked.append({"pretrained_model": pretrained_model})

        def eval(self, pixels: np.ndarray, **settings: Any) -> tuple[np.ndarray, list[Any], list[Any]]:
            asked.append({"shape": pixels.shape, **settings})
            from scipy import ndimage

            return ndimage.label(pixels[-1] > 600)[0].astype(np.uint16), [], []

    package, module = types.ModuleType("cellpose"), types.ModuleType("cellpose.models")
    module.CellposeModel = CellposeModel
    monkeypatch.setitem(sys.modules, "cellpose", package)
    monkeypatch.setitem(sys.modules, "cellpose.models", module)
    monkeypatch.setattr("cytolake.transforms.segmentation.cellpose_models.version", lambda _: "3.1.1")
    return asked


def test_nuclei_by_cellpose(write: Callable[..., Path], cellpose: list[dict[str, Any]], grid: Scene) -> None:
    image, true = grid
    recipe = load_recipe(write(b"weights", "diameter_um = 15\nflow_threshold = 0.6", method="cellpose"))
    check(recipe)
    found = segment_field(recipe.bind(["DNA"], ["a"]), image[np.newaxis], pixel_size_um=0.5)
    same_objects(found.labels["nuclei"], true)
    assert Path(cellpose[0]["pretrained_model"]).name == "m.bin"
    assert cellpose[-1] == {
        "shape": (1, 256, 256),
        "channel_axis": 0,
        "diameter": 30.0,
        "flow_threshold": 0.6,
        "cellprob_threshold": 0.0,
        "channels": [0, 0],
    }


def test_cellpose_gets_cell_and_nucleus(
    write: Callable[..., Path], cellpose: list[dict[str, Any]], grid: Scene
) -> None:
    image, _ = grid
    recipe = load_recipe(write(b"weights", 'second_channel = "DNA"', method="cellpose", channel="RNA"))
    segment_field(recipe.bind(["DNA", "RNA"], ["a", "b"]), np.stack([image, image]), pixel_size_um=0.5)
    assert cellpose[-1]["shape"] == (2, 256, 256)
    assert cellpose[-1]["channels"] == [1, 2]


def test_cellpose_is_given_no_file_that_would_run_or_be_downloaded(
    write: Callable[..., Path], cellpose: list[dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match="no weights that PyTorch loads without running code"):
        check(load_recipe(write(b"a pickle of code", method="cellpose")))
    recipe = load_recipe(write(b"weights", method="cellpose"))
    (tmp_path / "m.bin").unlink()
    with pytest.raises(ConfigurationError, match="is gone"):
        check(recipe)
    assert cellpose == []


# With the real libraries, where they are installed


def test_real_torchscript(write: Callable[..., Path], grid: Scene, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")

    class Bright(torch.nn.Module):  # type: ignore[name-defined, misc]
        def forward(self, image: Any) -> Any:
            return torch.sigmoid(40 * (image - 0.2))

    torch.jit.trace(Bright(), torch.zeros(1, 1, 64, 64)).save(str(tmp_path / "traced"))
    image, true = grid
    models.load_segmenter.cache_clear()
    recipe = load_recipe(write((tmp_path / "traced").read_bytes(), method="torchscript"))
    check(recipe)
    found = segment_field(recipe.bind(["DNA"], ["a"]), np.sqrt(image)[np.newaxis], pixel_size_um=0.5)
    same_objects(found.labels["nuclei"], true)
    torch.save({"weight": torch.zeros(3)}, tmp_path / "pickle")
    with pytest.raises(RecipeError, match="cannot load it as TorchScript"):
        check(load_recipe(write((tmp_path / "pickle").read_bytes(), method="torchscript")))
