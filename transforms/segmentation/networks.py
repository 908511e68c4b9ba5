"""Networks in ONNX and TorchScript files: a field goes in as float32 tiles, maps come out and become objects.

The contract, whichever the file: one input (1, C, Y, X) float32, C the channels that the recipe names; one output of
the same Y and X, with one channel of foreground probabilities, two of foreground and boundary, or one of labels.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import watershed

from ...errors import InvalidDataError, RecipeError
from . import objects
from .finite import refuse_odd_pixels
from .models import first_line, need, one_thread, read_model
from .splitting import smallest, split_touching

Float = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]

#: Output of a recipe to the channels of the network's output.
OUTPUTS = {"probability": 1, "probability-and-boundary": 2, "labels": 1}

# Networks halve their images some times; sides are made multiples of this.
_MULTIPLE = 32
# How far a probability may be outside 0 to 1 by rounding.
_ROUNDING = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A loaded network.

    ``run`` gives the output, float32 or integers (1, k, y, x), of an input float32 (1, c, y, x). ``channels`` and
    ``size`` (y, x) are what the file says that it takes; None where it takes any, or does not say.
    """

    run: Callable[[Float], npt.NDArray[Any]]
    channels: int | None = None
    size: tuple[int | None, int | None] = (None, None)


def load_onnx(file: Path, sha256: str) -> Network:
    """Load an ONNX file for one thread of the CPU.

    Raises
    ------
    MissingExtraError
        onnxruntime is not installed.
    RecipeError
        The file is no ONNX model of one image to one map.
    """
    runtime = need("onnxruntime", "models", what="the method onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Weights in other files, of which the hash says nothing, are not found there.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    content = read_model(file, sha256)
    try:
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise RecipeError(
            f"{file}: onnxruntime cannot load it: {first_line(error)}",
            hint="An ONNX file that holds its weights itself is needed.",
        ) from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise RecipeError(f"{file}: has {len(inputs)} inputs and {len(outputs)} outputs, needed is one of each")
    if inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 4:
        raise RecipeError(f"{file}: takes {inputs[0].type} {inputs[0].shape}, needed is float32 (1, C, Y, X)")
    name = inputs[0].name
    _, channels, height, width = (n if isinstance(n, int) else None for n in inputs[0].shape)

    def run(tile: Float) -> npt.NDArray[Any]:
        return np.asarray(session.run(None, {name: tile})[0])

    return Network(run=run, channels=channels, size=(height, width))


def load_torchscript(file: Path, sha256: str) -> Network:
    """Load a TorchScript file for one thread of the CPU; nothing in it is unpickled by Python.

    Raises
    ------
    MissingExtraError
        torch is not installed.
    RecipeError
        The file is no TorchScript archive.
    """
    torch = need("torch", "torch", what="the method torchscript")
    content = read_model(file, sha256)
    try:
        module = torch.jit.load(io.BytesIO(content), map_location="cpu").eval()
    except Exception as error:
        raise RecipeError(
            f"{file}: torch cannot load it as TorchScript: {first_line(error)}",
            hint="Save it with torch.jit.script(model).save(path) or torch.jit.trace(model, example).save(path).",
        ) from error

    def run(tile: Float) -> npt.NDArray[Any]:
        try:
            with one_thread(torch), torch.inference_mode():
                answer = module(torch.from_numpy(tile))
        except RuntimeError as error:
            # Above it stand the lines of the script.
            raise RuntimeError(str(error).strip().splitlines()[-1]) from error
        if not hasattr(answer, "numpy"):
            raise RecipeError(f"{file}: gives a {type(answer).__name__}, needed is one tensor")
        return np.asarray(answer.numpy())

    return Network(run=run)


@dataclass(frozen=True, slots=True)
class NetworkSegmenter:
    """Objects by a network; ``name`` is what messages call it."""

    network: Network
    name: str

    def __call__(
        self,
        pixels: npt.NDArray[Any],
        *,
        pixel_size_um: float,
        output: str,
        diameter_um: float,
        threshold: float,
        boundary_threshold: float,
        low_percentile: float,
        high_percentile: float,
        model_pixel_size_um: float,
        tile: int,
        overlap: int,
    ) -> Labels:
        """Find the objects of one field.

        Parameters
        ----------
        pixels
            (c, y, x), any real dtype.
        pixel_size_um
            Side of a pixel in µm.
        output
            A key of :data:`OUTPUTS`: what the network gives.
        diameter_um
            Typical diameter of an object, for splitting foreground; a tenth of its disc is the smallest object.
        threshold, boundary_threshold
            Probability from which on a pixel is foreground, boundary.
        low_percentile, high_percentile
            Percentiles of each channel over the field that become 0 and 1.
        model_pixel_size_um
            Side of a pixel that the network was trained on; 0: whatever the field has.
        tile, overlap
            Side of the tiles in pixels of the network, and how far neighbours overlap.

        Returns
        -------
        ndarray
            int32 (y, x), numbered without order.

        Raises
        ------
        RecipeError
            The network takes or gives something else.
        InvalidDataError
            A pixel is not finite.
        """
        shape = pixels.shape[1:]
        factor = pixel_size_um / model_pixel_size_um if model_pixel_size_um else 1.0
        scaled = _resized(normalised(pixels, low_percentile, high_percentile), factor)
        if output == "labels":
            return _nearest(self._labels(scaled), shape)
        maps = _fitted(self._maps(scaled, OUTPUTS[output], tile, overlap), shape)
        inside = maps[0] > threshold
        diameter = diameter_um / pixel_size_um
        if output == "probability":
            labels, _, _ = split_touching(inside, diameter)
        else:
            markers, _ = ndimage.label(inside & (maps[1] <= boundary_threshold))
            labels = np.asarray(watershed(maps[1], markers, mask=inside), dtype=np.int32)
        return objects.drop(labels, objects.areas(labels) < smallest(diameter))

    def _maps(self, image: Float, n_maps: int, tile: int, overlap: int) -> Float:
        """Run the network over tiles and blend their maps, (n_maps, y, x): a tile weighs less towards its border."""
        fixed = self.network.size
        sides = tuple(fixed[axis] or min(tile, _up(image.shape[axis + 1])) for axis in range(2))
        padded = _padded(image, sides)
        total = np.zeros((n_maps, *padded.shape[1:]), np.float32)
        weight = np.zeros(padded.shape[1:], np.float32)
        ramp = np.minimum.outer(_ramp(sides[0], overlap), _ramp(sides[1], overlap))
        for y in _starts(padded.shape[1], sides[0], overlap):
            for x in _starts(padded.shape[2], sides[1], overlap):
                window = (slice(y, y + sides[0]), slice(x, x + sides[1]))
                maps = self._run(padded[:, *window], n_maps)
                if maps.min() < -_ROUNDING or maps.max() > 1 + _ROUNDING:
                    raise RecipeError(
                        f"{self.name}: gives values from {maps.min():.3g} to {maps.max():.3g}, no probabilities",
                        hint='Put a sigmoid behind the network, or say output = "labels" if these are labels.',
                    )
                total[:, *window] += maps * ramp
                weight[window] += ramp
        total /= weight
        return total[:, : image.shape[1], : image.shape[2]]

    def _labels(self, image: Float) -> Labels:
        """Run the network over the whole image at once: labels of tiles do not go together."""
        fixed = self.network.size
        sides = tuple(fixed[axis] or _up(image.shape[axis + 1]) for axis in range(2))
        if any(side < size for side, size in zip(sides, image.shape[1:], strict=True)):
            raise RecipeError(
                f"{self.name}: takes images of {sides[0]} × {sides[1]} pixels, the field has {image.shape[1]} × "
                f"{image.shape[2]}, and labels of tiles cannot be joined",
                hint="Export the model with free height and width.",
            )
        answer = self._run(_padded(image, sides), 1)[0, : image.shape[1], : image.shape[2]]
        labels = answer.astype(np.int32)
        if (labels != answer).any() or labels.min(initial=0) < 0:
            raise RecipeError(
                f"{self.name}: gives values that are no labels: fractions, or below 0",
                hint='Labels are whole numbers, 0 for the background; probabilities need output = "probability".',
            )
        _, dense = np.unique(labels, return_inverse=True)
        return np.where(labels > 0, dense.reshape(labels.shape), 0).astype(np.int32)

    def _run(self, tile: Float, n_maps: int) -> npt.NDArray[Any]:
        """Give the maps (n_maps, y, x) of one tile (c, y, x)."""
        if self.network.channels not in (None, len(tile)):
            raise RecipeError(
                f"{self.name}: takes {self.network.channels} channel(s), and the recipe gives it {len(tile)}",
                hint="A second one is named by second_channel.",
            )
        try:
            answer = self.network.run(np.ascontiguousarray(tile[np.newaxis]))
        except RecipeError:
            raise
        except Exception as error:
            raise RecipeError(
                f"{self.name}: fails on an input float32 {(1, *tile.shape)}: {first_line(error)}",
                hint="See the number of channels, and which sides of tiles it takes.",
            ) from error
        if answer.shape != (1, n_maps, *tile.shape[1:]):
            raise RecipeError(
                f"{self.name}: gives {answer.shape} for an input {(1, *tile.shape)}, needed is "
                f"{(1, n_maps, *tile.shape[1:])}",
                hint="The parameter output says what the model gives: " + ", ".join(OUTPUTS) + ".",
            )
        if not np.isfinite(answer).all():
            raise InvalidDataError(f"{self.name}: gives values that are not finite")
        return np.asarray(answer[0])


def normalised(pixels: npt.NDArray[Any], low_percentile: float, high_percentile: float) -> Float:
    """Stretch each channel so that these percentiles become 0 and 1; a flat channel becomes 0.

    Raises
    ------
    InvalidDataError
        A pixel is not finite.
    """
    refuse_odd_pixels(pixels)
    stretched = pixels.astype(np.float32)
    for plane in stretched:
        low, high = np.percentile(plane, (low_percentile, high_percentile))
        plane -= np.float32(low)
        if high > low:
            plane /= np.float32(high - low)
        else:
            plane[...] = 0
    return stretched


def _up(size: int) -> int:
    return math.ceil(size / _MULTIPLE) * _MULTIPLE


def _padded(image: Float, sides: tuple[int, ...]) -> Float:
    """Mirror an image at its lower and right border until it has at least these sides."""
    more = [(0, max(0, side - size)) for side, size in zip(sides, image.shape[1:], strict=True)]
    return np.pad(image, [(0, 0), *more], mode="symmetric") if any(after for _, after in more) else image


def _starts(size: int, side: int, overlap: int) -> list[int]:
    """Where tiles begin, evenly, so that neighbours overlap by ``overlap`` at least, but no more than by half."""
    if size <= side:
        return [0]
    count = 1 + math.ceil((size - side) / (side - min(overlap, side // 2)))
    return [round(k * (size - side) / (count - 1)) for k in range(count)]


def _ramp(side: int, overlap: int) -> Float:
    """Weights along a tile: rising over the overlap, never 0."""
    from_border = np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1))
    return np.minimum(1.0, from_border / max(1, overlap)).astype(np.float32)


def _resized(image: Float, factor: float) -> Float:
    """Bring channels (c, y, x) to another size of pixels, between them by linear interpolation."""
    if factor == 1.0:
        return image
    shape = tuple(max(1, round(size * factor)) for size in image.shape[1:])
    # What is made smaller is smoothed first, so that no detail turns into a pattern.
    sigma = max(0.0, (1 / factor - 1) / 2)
    smooth = ndimage.gaussian_filter(image, (0, sigma, sigma)) if sigma else image
    return _fitted(smooth, shape)


def _fitted(maps: Float, shape: tuple[int, ...]) -> Float:
    """Resize maps (k, y, x) to a shape (y, x) by linear interpolation."""
    if maps.shape[1:] == shape:
        return maps
    zoom = (1, *(new / old for new, old in zip(shape, maps.shape[1:], strict=True)))
    return np.asarray(ndimage.zoom(maps, zoom, order=1, mode="nearest", grid_mode=True), dtype=np.float32)


def _nearest(labels: Labels, shape: tuple[int, ...]) -> Labels:
    """Resize labels (y, x) to a shape: each pixel takes the number of the one that it lies in."""
    if labels.shape == shape:
        return labels
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.int64), old - 1)
        for new, old in zip(shape, labels.shape, strict=True)
    )
    return labels[np.ix_(rows, columns)]
