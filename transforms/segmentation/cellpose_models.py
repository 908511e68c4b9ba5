"""Cellpose by model file: the file goes to Cellpose as its own weights, and its masks are the objects.

Both lines of Cellpose are understood: 3 (networks for two channels) and 4 (Cellpose-SAM). Which one is installed must
fit the file; Cellpose refuses the other's.
"""

from __future__ import annotations

import inspect
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import ConfigurationError, RecipeError
from .finite import refuse_odd_pixels
from .models import Segmenter, file_sha256, first_line, need, one_thread

Labels = npt.NDArray[np.int32]


def load_cellpose(file: Path, sha256: str) -> Segmenter:
    """Load a Cellpose model for one thread of the CPU.

    The file is read with PyTorch's loader for weights alone first, which runs nothing that a file brings along.

    Raises
    ------
    MissingExtraError
        Cellpose is not installed.
    ConfigurationError
        The file is gone or another one.
    RecipeError
        It holds no weights, or none that the installed Cellpose can use.
    """
    torch = need("torch", "cellpose", what="the method cellpose")
    models = need("cellpose.models", "cellpose", what="the method cellpose")
    # Cellpose takes a path that is not there for the name of a model, and downloads one.
    if not file.is_file() or file_sha256(file) != sha256:
        raise ConfigurationError(
            f"{file} is gone, or has changed since the recipe was read",
            hint="Put the model where every worker sees it, and run the same command again.",
        )
    try:
        torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise RecipeError(
            f"{file}: holds no weights that PyTorch loads without running code of the file",
            hint="Needed is a model file of Cellpose, as it or its training writes them.",
        ) from error
    settings: dict[str, Any] = {"gpu": False, "pretrained_model": str(file)}
    if "use_bfloat16" in inspect.signature(models.CellposeModel).parameters:
        settings["use_bfloat16"] = False  # processors are slow at it
    try:
        model = models.CellposeModel(**settings)
    except Exception as error:
        raise RecipeError(
            f"{file}: the installed Cellpose cannot use it: {first_line(error)}",
            hint="Models of Cellpose 3 need cellpose<4, models of Cellpose-SAM need cellpose>=4.",
        ) from error
    of_two_channels = int(version("cellpose").split(".")[0]) < 4

    def segment(
        pixels: npt.NDArray[Any],
        *,
        pixel_size_um: float,
        diameter_um: float,
        flow_threshold: float,
        cellprob_threshold: float,
    ) -> Labels:
        refuse_odd_pixels(pixels)
        with one_thread(torch):
            masks, *_ = model.eval(
                pixels.astype(np.float32),
                channel_axis=0,
                diameter=diameter_um / pixel_size_um,
                flow_threshold=flow_threshold,
                cellprob_threshold=cellprob_threshold,
                **({"channels": [1, 2] if len(pixels) == 2 else [0, 0]} if of_two_channels else {}),
            )
        return np.asarray(masks).astype(np.int32)

    return segment
