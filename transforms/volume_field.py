"""One field whose objects are found and measured in three dimensions, from stacks to rows.

A stack of all channels may not fit into a worker's memory: one channel is held at a time. A channel that lacks a plane
is neither segmented nor measured, because what is there is unknown; where nothing can be found, the quality rows say
why.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .features.family import default_full_scale
from .features.volume import VolumeMeasures
from .features.volume_index import volume_index
from .field import FieldResult, Steps, corrected_planes, identity_of, missing_planes, object_rows, write_objects
from .quality import image_quality, object_counts, object_quality
from .segmentation.stack import segment_stack

if TYPE_CHECKING:
    from ..store.images.plate import Field
    from .recipe import BoundRecipe, Recipe

Labels = npt.NDArray[np.int32]
Stack = npt.NDArray[Any]
Spacing = tuple[float, float, float]


def process_volume(
    field: Field,
    bound: BoundRecipe,
    *,
    full_scale: Sequence[float | None] | None,
    profiles: Sequence[npt.NDArray[np.float32] | None] | None,
    write_labels: bool,
    timepoints: Sequence[int] | None,
    watch: Callable[[Stack, Mapping[str, Labels]], None] | None,
) -> FieldResult:
    """Segment and measure every time point of one stack; parameters and errors as :func:`.field.process_field`.

    The quality of images is that of the largest of each channel's planes.
    """
    tables: dict[str, list[pa.Table]] = {}
    quality: list[Mapping[str, Any]] = []
    skipped: dict[str, str] = {}
    labels: dict[str, npt.NDArray[np.int32]] = {}
    steps = Steps()
    n_timepoints, n_channels, _, height, width = field.shape
    z_step = field.pixel_size_um[0] or bound.recipe.z_step_um
    no_volume = why_no_volume(bound.recipe, n_z=field.shape[2], z_step_um=z_step)
    spacing_um = (z_step or math.nan, *field.pixel_size_um[1:])  # unknown: then nothing is found
    for timepoint in range(n_timepoints) if timepoints is None else timepoints:
        stacks = _Stacks(field, bound, timepoint, profiles, steps)
        identity = identity_of(field, timepoint)
        found: dict[str, Labels] = {}
        missed: dict[str, str] = {}
        for one in bound.recipe.objects:
            channel = bound.channel_of[one.name]
            assert channel is not None  # every method for stacks takes one
            reason = no_volume or stacks.lacking.get(channel)
            if reason is not None:
                missed[one.name] = reason
                continue
            stack = stacks.measured(channel)
            with steps("segment"):
                found[one.name] = segment_stack(one, stack, spacing_um)
        skipped.update(missed)
        with steps("measure"):
            indices = {name: volume_index(volume) for name, volume in found.items()}
            measures = {
                name: VolumeMeasures(index, bound.plans[name].columns, in_pixels(spacing_um))
                for name, index in indices.items()
            }
        projection = np.zeros((n_channels, height, width), field.dtype)
        # The channel that was read last is at hand.
        for channel in sorted(range(n_channels), key=lambda channel: channel != stacks.held):
            stacks.project(channel, projection[channel])
            role = bound.roles[channel]
            if role is None or channel in stacks.lacking or not measures:
                continue
            stack = stacks.measured(channel)
            with steps("measure"):
                for own in measures.values():
                    own.add(role, stack, default_full_scale(field.dtype))
        if watch is not None:
            watch(projection, {name: volume.max(axis=0) for name, volume in found.items()})
        counts: dict[str, int | None] = dict.fromkeys(missed)
        for name, index in indices.items():
            counts[name] = len(index)
            columns = [column.name for column in bound.plans[name].columns]
            rows = object_rows(identity, index.tall.object_ids, None, columns, measures[name].values)
            tables.setdefault(name, []).append(rows)
            with steps("quality"):
                quality += [{**identity, **row} for row in object_quality(name, index)]
        with steps("quality"):
            missing = missing_planes(field, timepoint)
            of_images = image_quality(projection, stacks.present, bound, missing=missing, full_scale=full_scale)
        quality += [{**identity, **row} for row in of_images]
        quality += [{**identity, **row} for row in object_counts(counts, missed)]
        if write_labels:
            with steps("labels"):
                for name, volume in found.items():
                    if n_timepoints == 1:
                        labels[name] = volume[np.newaxis]
                        continue
                    if name not in labels:
                        labels[name] = _room(field)
                    labels[name][timepoint] = volume
    if write_labels:
        with steps("labels"):
            for name, volumes in labels.items():
                write_objects(field, bound, name, volumes)
    return FieldResult(
        objects={name: pa.concat_tables(parts) for name, parts in tables.items()},
        quality=quality,
        skipped=skipped,
        seconds=steps.seconds,
    )


def why_no_volume(recipe: Recipe, *, n_z: int, z_step_um: float | None) -> str | None:
    """Say why a field cannot be measured in three dimensions; None where it can.

    ``z_step_um`` is what the plate says of the distance of planes, or the recipe where the plate says nothing.
    """
    if n_z < 2:
        return f'a single plane is no stack: recipe {recipe.name!r} needs projection = "single" for it'
    if not z_step_um:
        return "the distance between the planes is unknown: say it at the top of the recipe, z_step_um = …"
    return None


def in_pixels(spacing_um: Spacing) -> Spacing:
    """Distance of neighbouring voxels in pixels of the x axis."""
    z, y, x = spacing_um
    return z / x, y / x, 1.0


class _Stacks:
    """The channels of a field at one time point, one of them in memory.

    Attributes
    ----------
    present
        bool (c,): channels of which any plane is there.
    lacking
        Why a channel cannot be measured in three dimensions; those that can be are not in it.
    held
        The channel that is in memory, -1 for none.
    """

    def __init__(
        self,
        field: Field,
        bound: BoundRecipe,
        timepoint: int,
        profiles: Sequence[npt.NDArray[np.float32] | None] | None,
        steps: Steps,
    ) -> None:
        self._field, self._bound, self._timepoint, self._steps = field, bound, timepoint, steps
        self._light = [None] * field.shape[1] if profiles is None else profiles
        self._there: npt.NDArray[np.bool_] = np.ones(field.shape[1:3], np.bool_)
        for t, c, z in field.missing_planes:
            self._there[c, z] &= t != timepoint
        self.present: npt.NDArray[np.bool_] = np.asarray(self._there.any(axis=1))
        self.lacking = {int(c): self._why(int(c)) for c in np.flatnonzero(~self._there.all(axis=1))}
        self.held = -1
        self._raw: Stack | None = None
        self._corrected: Stack | None = None

    def _why(self, channel: int) -> str:
        name = self._bound.channel_names[channel]
        if not self.present[channel]:
            return f"no pixels of channel {name!r} in this field"
        gone = np.flatnonzero(~self._there[channel])
        return f"channel {name!r} lacks {len(gone)} of {self._there.shape[1]} planes, the first is z = {gone[0]}"

    def measured(self, channel: int) -> Stack:
        """Give a channel as the recipe wants it measured, (z, y, x)."""
        raw = self._read(channel)
        if not self._bound.recipe.corrects:
            return raw
        if self._corrected is None:
            n_z = len(raw)
            with self._steps("correct"):
                self._corrected = corrected_planes(
                    self._field,
                    self._bound,
                    raw,
                    [self._light[channel]] * n_z,
                    [self._bound.channel_names[channel]] * n_z,
                    np.ones(n_z, np.bool_),
                )
        return self._corrected

    def project(self, channel: int, out: Stack) -> None:
        """Put the largest of a channel's planes, as they are in the plate, into ``out`` (y, x), where there are any."""
        there = np.flatnonzero(self._there[channel])
        if there.size:
            planes = self._read(channel)
            out[:] = planes[there[0]]
            for z in there[1:]:
                np.maximum(out, planes[z], out=out)

    def _read(self, channel: int) -> Stack:
        if self.held != channel or self._raw is None:
            self.held, self._raw, self._corrected = channel, None, None
            with self._steps("read"):
                self._raw = self._field.read([channel], t=self._timepoint)[0]
        return self._raw


def _room(field: Field) -> npt.NDArray[np.int32]:
    """Make room for the labels of all time points, 0 so far, in a file that vanishes: they may not fit into memory."""
    n_timepoints, _, n_z, height, width = field.shape
    with tempfile.TemporaryFile() as file:  # the map outlives it
        return np.memmap(file, np.int32, "w+", shape=(n_timepoints, n_z, height, width))
