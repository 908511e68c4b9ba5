"""The registry of methods: every entry can be run as a recipe would run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cytolake.transforms.segmentation.methods import METHODS, Method

Scene = tuple[np.ndarray, np.ndarray]


#: Those that need nothing but pixels and labels.
OWN = {name: method for name, method in METHODS.items() if method.kind not in ("model", "imported")}
PLANES = {name: method for name, method in OWN.items() if method.kind != "volume"}
STACKS = {name: method for name, method in OWN.items() if method.kind == "volume"}


@pytest.mark.parametrize("method", STACKS.values(), ids=STACKS)
def test_every_method_for_stacks_runs_with_its_defaults(method: Method, grid: Scene) -> None:
    image, _ = grid
    settings = {name: parameter.default for name, parameter in method.parameters.items()}
    ground = np.full_like(image, np.median(image))
    found = method.run(np.stack([ground, *[image] * 4, ground]), spacing_um=(2.0, 0.5, 0.5), **settings)
    assert found.shape == (6, *image.shape)
    assert found.dtype == np.int32
    assert 24 <= found.max() <= 25


@pytest.mark.parametrize("method", PLANES.values(), ids=PLANES)
def test_every_method_runs_with_its_defaults(method: Method, grid: Scene) -> None:
    image, labels = grid
    given = {"image": (image,), "seeded": (image, labels), "difference": (labels, np.zeros_like(labels))}
    settings = {name: parameter.default for name, parameter in method.parameters.items()}
    found = method.run(*given[method.kind], pixel_size_um=0.5, **settings)
    assert found.shape == image.shape
    assert found.dtype == np.int32
    assert 24 <= found.max() <= 25  # Otsu's threshold is above the dimmest nucleus


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_defaults_are_allowed_values(method: Method) -> None:
    for parameter in method.parameters.values():
        if parameter.choices:
            assert parameter.default in parameter.choices
        elif not isinstance(parameter.default, str):
            assert isinstance(parameter.default, float | int)
            assert parameter.low <= parameter.default <= parameter.high


def test_checking_a_recipe_loads_no_image_library() -> None:
    code = (
        "import sys; from cytolake.transforms.recipe import load_recipe; load_recipe('cell-painting');"
        "print([m for m in ('skimage', 'scipy', 'numba', 'dask', 'duckdb', 'zarr') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_method_and_parameter_is_described_with_its_default() -> None:
    docs = Path(__file__).resolve().parents[3] / "docs"
    pages = {}
    for page in (docs / "segmentation.md", docs / "reference" / "models.md"):
        rows = [line.split("|") for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
        # Rows of parameters, which have four columns, count before others of the same name.
        pages[page.stem] = {cells[1].strip(" `"): cells for cells in sorted(rows, key=len)}
    for method in METHODS.values():
        described = pages["segmentation" if method.name in OWN else "models"]
        assert method.name in described
        for name, parameter in method.parameters.items():
            _, _, used_by, default, *_ = described[name]
            assert f"`{method.name}`" in used_by, name
            text = parameter.default if isinstance(parameter.default, str) else f"{parameter.default:g}"
            assert default.strip(" `") == text, name
