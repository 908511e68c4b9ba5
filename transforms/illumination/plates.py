"""The profiles of one acquisition of a plate: the vendor's, those that are kept with the plate, or new estimates.

An estimate reads one plane of each of some fields, spread over the whole plate, at the coarsest level of the pyramid
that is finer than the grid, and holds nothing but the grid.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from dataclasses import field as dataclass_field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import CytolakeError, InvalidDataError, NotFoundError, StorageError
from ...store.images.illumination import evaluate_harmony
from ...store.images.profiles import StoredProfile, read_profile, write_profile
from ...wording import listed
from .estimate import Estimate, estimate, on_grid
from .flatness import Flatness
from .grids import GRID, Plane
from .settings import IlluminationSettings

if TYPE_CHECKING:
    from ...store.images.model import FieldKey
    from ...store.images.plate import Field, Plate

Progress = Callable[[int, int], None]

_GOLDEN = (math.sqrt(5) - 1) / 2
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelLight:
    """What is known of the light of one channel.

    Attributes
    ----------
    channel_index, name
        Which channel.
    method
        What gave the profile: ``vendor``, ``basic``, ``cellprofiler``; ``none`` where there is none, and ``reason``
        says why.
    profile
        float32 (y, x), mean 1; None where pixels stay as they are.
    images
        How many an estimate was made from.
    before, after
        Flatness of images without and with the profile; see :mod:`.estimate`.
    stored
        Name of the profile among those kept with the plate; None of a vendor's.
    is_new
        Whether it was estimated now.
    """

    channel_index: int
    name: str
    method: str = "none"
    profile: Plane | None = None
    reason: str | None = None
    images: int | None = None
    before: Flatness | None = None
    after: Flatness | None = None
    stored: str | None = None
    is_new: bool = False

    def used(self) -> dict[str, Any]:
        """Return what decided pixels, for lineage: the method and a hash of the profile, not the profile."""
        profile = None if self.profile is None else hashlib.sha256(self.profile.tobytes()).hexdigest()
        return {
            "channel_index": self.channel_index,
            "method": self.method,
            "stored": self.stored,
            "sha256": profile,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateLight:
    """What is known of the light of one acquisition.

    ``warnings`` is what a reader of the report should know. ``unreadable`` names images that an estimate was made
    without because they could not be read; what was made then is not kept.
    """

    acquisition_id: int
    channels: tuple[ChannelLight, ...]
    warnings: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def profiles(self) -> list[Plane | None]:
        """One per channel, in the order of the image's channels."""
        return [channel.profile for channel in self.channels]

    def used(self) -> list[dict[str, Any]]:
        """Return what decided pixels, channel by channel, as JSON."""
        return [channel.used() for channel in self.channels]


def profiles_for(
    plate: Plate,
    acquisition_id: int,
    settings: IlluminationSettings,
    *,
    channels: Sequence[Mapping[str, Any]],
    fingerprint: str,
    progress: Progress | None = None,
) -> PlateLight:
    """Find or make the profiles of one acquisition.

    Parameters
    ----------
    plate
        Its images.
    acquisition_id
        Which measurement.
    settings
        ``auto`` takes the vendor's profile where there is one that can be evaluated without the export, else the better
        of the estimates if it is of use, else none. Other methods take that one or none. Estimates are kept with the
        plate and taken from there when settings and images are the same.
    channels
        Rows of the table ``channels`` of this acquisition, in the order of the image's channels; of use are ``name``,
        ``flatfield`` and ``flatfield_applied``.
    fingerprint
        What changes when the plate's images do.
    progress
        Called with (images read, images in all).

    Returns
    -------
    PlateLight
        A channel without a profile says why, and so does a warning; the others go on. Channels whose pixels the
        microscope corrected itself get none, whatever the settings.

    Raises
    ------
    NotFoundError
        The acquisition has no field.
    StorageError
        A profile could not be kept.
    """
    fields = [key for key in plate.fields() if key.acquisition_id == acquisition_id]
    if not fields:
        raise NotFoundError(f"plate {plate.name} has no fields in acquisition {acquisition_id}")
    names = [str(row["name"]) for row in channels]
    found: dict[int, ChannelLight] = {}
    if settings.is_off:
        return PlateLight(
            acquisition_id=acquisition_id,
            channels=tuple(ChannelLight(channel_index=i, name=name) for i, name in enumerate(names)),
        )
    for index, row in enumerate(channels):
        known = _from_vendor(plate, fields[0], index, row, settings)
        if known is not None:
            found[index] = known
    name = _stored_name(settings, fingerprint)
    for index in range(len(names)):
        if index not in found and (kept := _kept(plate, name, acquisition_id, index, names[index])) is not None:
            found[index] = kept
    missing = [index for index in range(len(names)) if index not in found]
    read = _read(plate, fields, missing, settings, progress)
    for index in missing:
        light = _estimated(index, names[index], read.stack(index), read.shape, settings)
        found[index] = light if read.failed else _keep(plate, name, acquisition_id, light, settings, fingerprint)
    lights = tuple(found[index] for index in range(len(names)))
    where = f"plate {plate.name}" + (f", acquisition {acquisition_id}" if len(plate.acquisitions) > 1 else "")
    warnings = []
    if read.failed:
        shown = listed(read.failed, _SHOWN)
        warnings.append(f"{where}: its light is estimated without images that cannot be read: {shown}")
    if read.of_other_size:
        warnings.append(f"{where}: {read.of_other_size} fields of another size take no part in estimating its light")
    warnings += [
        f"{where}: channel {light.name!r} is not corrected: {light.reason}"
        for light in lights
        if light.profile is None and light.reason not in (None, _APPLIED)
    ]
    return PlateLight(
        acquisition_id=acquisition_id, channels=lights, warnings=tuple(warnings), unreadable=tuple(read.failed)
    )


def grids_of(
    plate: Plate,
    acquisition_id: int,
    channels: Sequence[int],
    settings: IlluminationSettings,
    progress: Progress | None = None,
) -> dict[int, Plane]:
    """Read what an estimate of some channels would be made from: channel index to float32 (n, y, x) on a grid."""
    fields = [key for key in plate.fields() if key.acquisition_id == acquisition_id]
    read = _read(plate, fields, channels, settings, progress)
    return {index: read.stack(index) for index in channels}


def spread(count: int, most: int) -> list[int]:
    """Choose ``most`` of ``count`` things in a row, evenly but not at even steps, always the same.

    Even steps would meet the same field of every well where the step is the number of fields in a well.
    """
    if count <= most:
        return list(range(count))
    return [int((i + (i * _GOLDEN) % 1) * count / most) for i in range(most)]


_APPLIED = "the microscope corrected its pixels already"


def _from_vendor(
    plate: Plate, first: FieldKey, index: int, row: Mapping[str, Any], settings: IlluminationSettings
) -> ChannelLight | None:
    """Give what the vendor's word settles for a channel; None where an estimate is to be made."""
    name = str(row["name"])
    if row.get("flatfield_applied"):
        return ChannelLight(channel_index=index, name=name, reason=_APPLIED)
    if settings.method not in ("auto", "vendor"):
        return None
    reason = "the vendor says nothing of its light"
    text = row.get("flatfield")
    if text:
        said = json.loads(text) if isinstance(text, str) else text
        if said.get("kind") == "image":
            reason = f"the vendor's profile is the image {said.get('file')} of the export, which the lake does not keep"
        else:
            shape = plate.field(first.well_id, first.field_id, first.acquisition_id).shape[-2:]
            try:
                profile = evaluate_harmony(said, (shape[0], shape[1]))
                return ChannelLight(channel_index=index, name=name, method="vendor", profile=profile)
            except InvalidDataError as error:
                reason = f"the vendor's profile is of no use: {error.message}"
    return None if settings.method == "auto" else ChannelLight(channel_index=index, name=name, reason=reason)


def _stored_name(settings: IlluminationSettings, fingerprint: str) -> str:
    text = json.dumps([settings.definition(), fingerprint], sort_keys=True)
    return f"{settings.method}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _kept(plate: Plate, name: str, acquisition_id: int, index: int, channel: str) -> ChannelLight | None:
    try:
        stored = read_profile(plate, name, acquisition_id=acquisition_id, channel_index=index)
        about = stored.about
        return ChannelLight(
            channel_index=index,
            name=channel,
            method=about["method"],
            profile=stored.profile,
            reason=about["reason"],
            images=about["images"],
            before=_figure(about["before"]),
            after=_figure(about["after"]),
            stored=name,
        )
    except (NotFoundError, InvalidDataError, StorageError, KeyError, TypeError):
        return None  # not there, or damaged: made again


def _figure(said: Mapping[str, float] | None) -> Flatness | None:
    return None if said is None else Flatness(**said)


def _keep(
    plate: Plate,
    name: str,
    acquisition_id: int,
    light: ChannelLight,
    settings: IlluminationSettings,
    fingerprint: str,
) -> ChannelLight:
    about = {
        "method": light.method,
        "reason": light.reason,
        "images": light.images,
        "before": None if light.before is None else asdict(light.before),
        "after": None if light.after is None else asdict(light.after),
        "settings": settings.definition(),
        "plate_fingerprint": fingerprint,
    }
    stored = StoredProfile(
        name=name,
        acquisition_id=acquisition_id,
        channel_index=light.channel_index,
        profile=light.profile,
        about=about,
    )
    write_profile(plate, stored)
    return replace(light, stored=name)


def _estimated(
    index: int, name: str, stack: Plane, shape: tuple[int, int], settings: IlluminationSettings
) -> ChannelLight:
    if not len(stack):
        reason = (
            "none of its images has light and shade in it: they are missing, of one value each, or below dark_level"
        )
        return ChannelLight(channel_index=index, name=name, reason=reason, images=0, is_new=True)
    try:
        made = estimate(stack, settings)
    except InvalidDataError as error:
        return ChannelLight(channel_index=index, name=name, reason=error.message, images=len(stack), is_new=True)
    return ChannelLight(
        channel_index=index,
        name=name,
        method=made.method if made.is_useful else "none",
        profile=made.profile(shape) if made.is_useful else None,
        reason=None if made.is_useful else _useless(made),
        images=made.images,
        before=made.before,
        after=made.after,
        is_new=True,
    )


def _useless(made: Estimate) -> str:
    return (
        f"a profile from {made.images} images does not make other images more even "
        f"(variation {100 * made.before.cv:.1f} % before, {100 * made.after.cv:.1f} % after)"
    )


@dataclass(slots=True)
class _Read:
    """Images of some channels on a grid, while they are read."""

    grids: dict[int, list[Plane]]
    shape: tuple[int, int] = (0, 0)
    failed: list[str] = dataclass_field(default_factory=list)
    of_other_size: int = 0

    def stack(self, index: int) -> Plane:
        """Give the images of a channel: float32 (n, y, x)."""
        own = self.grids[index]
        return np.concatenate(own) if own else np.empty((0, 0, 0), np.float32)


def _read(
    plate: Plate,
    fields: Sequence[FieldKey],
    channels: Sequence[int],
    settings: IlluminationSettings,
    progress: Progress | None,
) -> _Read:
    """Read images of some channels, spread over the plate; the first field says which size counts."""
    found = _Read({index: [] for index in channels})
    chosen = [fields[i] for i in spread(len(fields), settings.images)] if channels else []
    for turn, key in enumerate(chosen):
        try:
            field = plate.field(key.well_id, key.field_id, key.acquisition_id)
            size = (field.shape[-2], field.shape[-1])
            if found.shape == (0, 0):
                found.shape = size
            if size == found.shape:
                for index, plane in _planes(field, channels, turn, len(chosen)):
                    grid = on_grid([plane], dark_level=settings.dark_level)
                    if len(grid):
                        found.grids[index].append(grid)
            else:
                found.of_other_size += 1
        except (StorageError, NotFoundError) as error:
            found.failed.append(f"{key.well_id} field {key.field_id} ({_first_line(error)})")
        if progress is not None:
            progress(turn + 1, len(chosen))
    return found


def _first_line(error: CytolakeError) -> str:
    return error.message.partition("\n")[0][:200]


def _planes(field: Field, channels: Sequence[int], turn: int, turns: int) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Read the middle plane of each channel, of a time point that changes from field to field."""
    n_t, _, n_z, _, _ = field.shape
    t = turn * n_t // turns
    z = n_z // 2
    level = max((n for n in range(field.levels) if max(field.level_shape(n)[-2:]) >= GRID), default=0)
    gone = {plane.c for plane in field.missing_planes if (plane.t, plane.z) == (t, z)}
    wanted = [index for index in channels if index not in gone]
    if wanted:
        pixels = field.read(wanted, t=t, z=z, level=level)
        yield from zip(wanted, pixels[:, 0], strict=True)
