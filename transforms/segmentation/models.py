"""Learned segmenters: which file holds the model, whether it is what the recipe means, and whether it works.

A model is known by the SHA-256 of its file: that is part of what an object set is, where the file lies is not. The
file is looked at when a recipe is read, and the model is tried on an empty tile when the recipe meets a plate, so that
whatever is wrong with it is told before any pixel is computed. Nothing is ever downloaded.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import ConfigurationError, MissingExtraError, RecipeError
from ..parameters import BadParameterError, Value, full_path, is_file

Pixels = npt.NDArray[Any]
Labels = npt.NDArray[np.int32]

#: Finds objects in pixels (c, y, x) of a field whose pixels have a side in µm, with the settings of a recipe.
Segmenter = Callable[..., Labels]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST = 240


def find_model(parameters: Mapping[str, Value], folder: Path) -> dict[str, Value]:
    """Find the model file that a recipe names, and say which one it is.

    Parameters
    ----------
    parameters
        As written: ``model`` is a path, ``model_sha256`` empty or what the file must hash to.
    folder
        What a relative path begins at.

    Returns
    -------
    dict
        The same with an absolute path, and the hash of the file.

    Raises
    ------
    BadParameterError
        There is no path, no such file, or another file than ``model_sha256`` means.
    """
    path, pinned = str(parameters["model"]), str(parameters["model_sha256"]).lower()
    if not path:
        raise BadParameterError("model", "missing", "the path of a model file, from the recipe's folder")
    if pinned and not _SHA256.fullmatch(pinned):
        raise BadParameterError("model_sha256", f"{pinned!r} is no SHA-256", "64 hexadecimal digits")
    file = full_path("model", path, folder)
    if not is_file(file):
        what = "is a folder" if os.path.isdir(file) else "does not exist"  # noqa: PTH112 - says no of any path
        raise BadParameterError("model", f"{file} {what}", "the path of a model file; nothing is downloaded")
    _check_network(parameters)
    found = file_sha256(file)
    if pinned and found != pinned:
        raise BadParameterError("model_sha256", f"{file} is another model: its SHA-256 is {found}", "that of the file")
    return {**parameters, "model": str(file), "model_sha256": found}


def _check_network(parameters: Mapping[str, Value]) -> None:
    """Refuse settings of a network that each alone is fine and not together."""
    if "tile" not in parameters:
        return
    tile, overlap = int(parameters["tile"]), int(parameters["overlap"])  # type: ignore[arg-type]
    if overlap > tile // 2 and parameters["output"] != "labels":  # labels are not made tile by tile
        raise BadParameterError("overlap", f"{overlap} is more than half of tile = {tile}", f"at most {tile // 2}")
    low, high = parameters["low_percentile"], parameters["high_percentile"]
    if low == high:
        raise BadParameterError("low_percentile", f"{low} is high_percentile too", "less than high_percentile")


def file_sha256(file: Path) -> str:
    """Hash a file; 64 hexadecimal digits."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from error


def read_model(file: Path, sha256: str) -> bytes:
    """Read a model file, and make sure that it is the one that was meant.

    Raises
    ------
    ConfigurationError
        It cannot be read, or it is not the same any more.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{file}: cannot be read: {error.strerror}", hint="Put the model where every worker sees it."
        ) from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ConfigurationError(f"{file} has changed since the recipe was read", hint="Run the same command again.")
    return content


def need(module: str, extra: str, *, what: str) -> ModuleType:
    """Import an optional library.

    Raises
    ------
    MissingExtraError
        It is not installed.
    ConfigurationError
        It is, and cannot be imported: libraries beside it do not go together.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{what} needs {module}, which is not installed: {first_line(error)}",
            hint=f"pip install 'cytolake[{extra}]'",
        ) from error
    except Exception as error:
        raise ConfigurationError(
            f"{what} needs {module}, which is installed and cannot be imported: {first_line(error)}",
            hint=f"Install cytolake[{extra}] into an environment of its own.",
        ) from error


@contextmanager
def one_thread(torch: ModuleType) -> Iterator[None]:
    """Let PyTorch compute in one thread for as long as this context lasts."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def first_line(error: Exception) -> str:
    """Give what another library says of an error, without its colours and pages of details."""
    lines = _COLOUR.sub("", str(error)).strip().splitlines()
    return lines[0][:_LONGEST] if lines else type(error).__name__


@lru_cache(maxsize=4)
def load_segmenter(kind: str, path: str, sha256: str) -> Segmenter:
    """Load a model once per process.

    Parameters
    ----------
    kind
        ``onnx``, ``torchscript`` or ``cellpose``.
    path, sha256
        The file, and what it hashes to.

    Raises
    ------
    MissingExtraError
        The library for it is not installed.
    ConfigurationError
        The file is gone or another one.
    RecipeError
        The file holds no such model.
    """
    if kind == "cellpose":
        from .cellpose_models import load_cellpose

        return load_cellpose(Path(path), sha256)
    from .networks import NetworkSegmenter, load_onnx, load_torchscript

    load = {"onnx": load_onnx, "torchscript": load_torchscript}[kind]
    return NetworkSegmenter(load(Path(path), sha256), path)


def segment_by_model(
    kind: str, pixels: Pixels, *, pixel_size_um: float, model: str, model_sha256: str, **settings: Any
) -> Labels:
    """Find objects with a learned segmenter.

    Parameters
    ----------
    kind
        See :func:`load_segmenter`.
    pixels
        (c, y, x): the stain to segment, and for models of two channels a second one.
    pixel_size_um
        Side of a pixel in µm.
    model, model_sha256
        The file, and what it hashes to.
    settings
        What the recipe says of this kind of model.

    Returns
    -------
    ndarray
        int32 (y, x), numbered without order.
    """
    return load_segmenter(kind, model, model_sha256)(pixels, pixel_size_um=pixel_size_um, **settings)


def try_model(kind: str, parameters: Mapping[str, Any], n_channels: int) -> None:
    """Run a model on an empty tile, as it would be run on a field.

    Raises
    ------
    RecipeError
        It takes another input, gives another output, or fails.
    MissingExtraError, ConfigurationError
        It cannot be loaded.
    """
    side = 64
    empty = np.zeros((n_channels, side, side), np.uint16)
    labels = segment_by_model(kind, empty, pixel_size_um=parameters.get("model_pixel_size_um") or 1.0, **parameters)
    if labels.shape != (side, side):
        raise RecipeError(
            f"{parameters['model']}: gives labels of shape {labels.shape} for an image of {side} × {side}"
        )
