"""Worker warm-up: kernels are compiled by one worker and loaded from the disk by the others, before the first field.

Without it every worker of a fresh installation would compile the same kernels at the same time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .features.families import measure
from .features.family import FieldPixels, default_full_scale
from .features.label_index import label_index
from .features.volume import VolumeMeasures
from .features.volume_index import volume_index
from .segmentation.segment import segment_field
from .segmentation.stack import segment_stack

if TYPE_CHECKING:
    from distributed import Client, Future

    from .recipe import BoundRecipe

_SIDE = 128


def warm_up_workers(client: Client, recipes: Iterable[BoundRecipe], dtype: np.dtype[Any]) -> None:
    """Have every worker load what these recipes need: the first one alone, then the others.

    Parameters
    ----------
    client
        Whose workers.
    recipes
        Recipes bound to the channels of a plate.
    dtype
        Type of the pixels that will be measured.
    """
    needed = list(recipes)
    first, *others = sorted(client.scheduler_info(n_workers=-1)["workers"])

    def start(worker: str) -> Future:
        # If it dies meanwhile, another takes its task, which else would wait for that address without end.
        return client.submit(_warm_up, needed, dtype, workers=[worker], allow_other_workers=True, pure=False)

    start(first).result()
    client.gather([start(one) for one in others])


def _warm_up(recipes: list[BoundRecipe], dtype: np.dtype[Any]) -> None:
    for bound in recipes:
        if bound.recipe.projection == "volume":
            _warm_up_volume(bound, dtype)
            continue
        image = _blobs(len(bound.roles), dtype)
        segment_field(bound, image, pixel_size_um=0.5)
        labels = np.zeros((_SIDE, _SIDE), np.int32)
        labels[20:40, 20:44] = 1
        labels[60:90, 60:80] = 2
        index = label_index(labels)
        pixels = FieldPixels(
            image=image,
            present=np.ones(len(image), np.bool_),
            roles=bound.roles,
            full_scale=default_full_scale(dtype),
            sets=dict.fromkeys(bound.plans, index),
        )
        for name, plan in bound.plans.items():
            measure(pixels, name, plan)


def _warm_up_volume(bound: BoundRecipe, dtype: np.dtype[Any]) -> None:
    stack = np.ascontiguousarray(np.broadcast_to(_blobs(1, dtype), (8, _SIDE, _SIDE)))
    labels = np.zeros(stack.shape, np.int32)
    labels[2:6, 20:40, 20:44] = 1
    for one in bound.recipe.objects:
        segment_stack(one, stack, (1.0, 0.5, 0.5))
        measures = VolumeMeasures(volume_index(labels), bound.plans[one.name].columns, (2.0, 1.0, 1.0))
        for role in bound.roles:
            if role is not None:
                measures.add(role, stack, default_full_scale(dtype))


def _blobs(channels: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Draw nuclei of 12 µm at 0.5 µm per pixel, each channel a little different, with noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:_SIDE, :_SIDE]
    light = sum(np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 100.0) for cy, cx in ((30, 32), (75, 70), (95, 30)))
    brightness = 1.0 if dtype.kind == "f" else 0.7 * float(np.iinfo(dtype).max)
    planes = [brightness * (0.05 + 0.8 * np.asarray(light) ** (1 + 0.2 * c)) for c in range(channels)]
    noisy = np.stack(planes) * rng.normal(1.0, 0.02, (channels, _SIDE, _SIDE))
    return np.clip(noisy, 0, brightness).astype(dtype)
