"""The fields of a CZI: tiles of scenes, the numbers, heights and times of their planes, and where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ...errors import InvalidDataError
from ..sources.czi_layout import CziPlane
from .czi_xml import CziDocument, CziScene, CziTags
from .single_files import STAGE, WELL, SitePlane

#: A file may lack some planes; one that promises far more than it has is damaged.
_MOST_PROMISED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """The planes of one field, with their numbers in the file and their tags."""

    planes: tuple[tuple[int, CziPlane, CziTags], ...]

    @property
    def scene(self) -> int:
        """The scene that it is of."""
        return self.planes[0][1].scene

    @property
    def middle(self) -> tuple[float, float]:
        """Its middle in the frame of pixels."""
        first = self.planes[0][1]
        return first.x + first.width / 2, first.y + first.height / 2


def tiles_of(planes: Sequence[CziPlane], tags: Sequence[CziTags]) -> list[Tile]:
    """Group planes to fields: by scene and tile, and by place where tiles have no number of their own."""
    by_number = len({plane[:5] for plane in planes}) == len(planes)
    groups: dict[tuple[int, ...], list[tuple[int, CziPlane, CziTags]]] = {}
    for number, (plane, tag) in enumerate(zip(planes, tags, strict=True)):
        key = (plane.scene, plane.tile) if by_number else (plane.scene, plane.tile, plane.y, plane.x)
        groups.setdefault(key, []).append((number, plane, tag))
    return [Tile(planes=tuple(groups[key])) for key in sorted(groups)]


def alike(planes: Sequence[CziPlane]) -> list[tuple[int, ...]]:
    """Return the channels in groups that are acquisitions of their own: stacks, single planes, other types of pixels.

    ZEN takes a channel in the middle of the stack only, where told so; that is no stack that lacks its other planes.
    """
    depths: dict[int, set[int]] = {}
    kinds: dict[int, str] = {}
    for plane in planes:
        depths.setdefault(plane.channel, set()).add(plane.z)
        kinds.setdefault(plane.channel, plane.pixel_type)
    groups: dict[tuple[bool, str], list[int]] = {}
    for channel in sorted(depths):
        groups.setdefault((len(depths[channel]) == 1, kinds[channel]), []).append(channel)
    return [tuple(group) for group in groups.values()]


class Numbers:
    """Indices from 0 of the planes of some channels, and their heights and times.

    A part of an experiment that was saved apart may start anywhere.

    Planes say their heights and times themselves, or the experiment says the steps that were planned: what was measured
    and what was planned are never mixed, so where some planes say theirs, those that do not have none.
    """

    def __init__(
        self, planes: Sequence[CziPlane], tags: Sequence[CziTags], document: CziDocument, channels: Sequence[int]
    ) -> None:
        self._document = document
        lacking = {
            "height": sum(tag.z_um is None for tag in tags), "time": sum(tag.acquired_at is None for tag in tags),
        }  # fmt: skip
        self.has_heights, self.has_times = (number < len(tags) for number in lacking.values())
        self.warnings = [
            f"{number} planes do not say their {what}, and others do: they have none"
            for what, number in lacking.items() if 0 < number < len(tags)
        ]  # fmt: skip
        self.first_time = min(plane.timepoint for plane in planes)
        depths = {plane.z for plane in planes if plane.channel in channels}
        self.first_z, self._is_stack = min(depths), len(depths) > 1
        self._channel = {channel: index for index, channel in enumerate(channels)}

    def site_planes(self, tile: Tile, following: int, path: Path) -> tuple[tuple[SitePlane, ...], int]:
        """Return the planes of a field, and how many are absent amid them; those get numbers from ``following`` on."""
        found: dict[tuple[int, int, int], SitePlane] = {}
        deepest: dict[int, tuple[int, int]] = {}
        for number, plane, tag in tile.planes:
            if plane.channel not in self._channel:
                continue
            place = (plane.timepoint - self.first_time, self._channel[plane.channel], plane.z - self.first_z)
            if place in found:
                raise InvalidDataError(
                    f"{path} holds a plane twice: scene {plane.scene}, tile {plane.tile}, time point "
                    f"{plane.timepoint}, channel {plane.channel}, z {plane.z}",
                    hint="Save it anew in ZEN.",
                )
            height = tag.z_um if self.has_heights else self._height(place[2])
            moment = tag.acquired_at if self.has_times else self._moment(place[0])
            found[place] = SitePlane(*place, page=number, z_um=height, acquired_at=moment)
            times, depth = deepest.get(place[1], (0, 0))
            deepest[place[1]] = (max(times, place[0] + 1), max(depth, place[2] + 1))
        if sum(times * depth for times, depth in deepest.values()) > _MOST_PROMISED * len(found) + 1000:
            raise InvalidDataError(f"{path}: scene {tile.scene} lacks nearly all of its planes; the file is damaged")
        absent = [
            (t, c, z) for c, (times, depth) in deepest.items() for t in range(times) for z in range(depth)
            if (t, c, z) not in found
        ]  # fmt: skip
        for k, place in enumerate(absent):
            height = None if self.has_heights else self._height(place[2])
            found[place] = SitePlane(*place, page=following + k, z_um=height, acquired_at=None)
        return tuple(found[place] for place in sorted(found)), len(absent)

    def _height(self, z: int) -> float | None:
        """Return how far a plane of a stack was planned above the first."""
        step = self._document.z_step_um
        return z * step if self._is_stack and step is not None else None

    def _moment(self, timepoint: int) -> datetime | None:
        """Return when a time point was planned."""
        start, offsets = self._document.t_start, self._document.offsets_s
        if start is None or timepoint >= len(offsets):
            return None
        return start + timedelta(seconds=offsets[timepoint])


def positions_of(
    tiles: Sequence[Tile], scenes: Mapping[int, CziScene], size: tuple[float, float], file: str
) -> list[tuple[float | None, float | None, str]]:
    """Return where each field lies, µm in image direction, and from where: as :class:`.single_files.Site` has it."""
    members: dict[int, list[Tile]] = {}
    for tile in tiles:
        members.setdefault(tile.scene, []).append(tile)
    stage = {number: _stage(scenes.get(number), found) for number, found in members.items()}
    frame = {number: _frame(found) for number, found in members.items()}
    both = [(frame[n], stage[n]) for n in members]
    signs = [_sign([(f[axis], s[axis]) for f, s in both if s is not None]) for axis in (0, 1)]
    all_on_stage = all(place is not None for place in stage.values())
    positions: list[tuple[float | None, float | None, str]] = []
    for tile in tiles:
        if not all(size):
            positions.append((None, None, STAGE))
            continue
        scene, on_stage = scenes.get(tile.scene), stage[tile.scene]
        centre = scene.well_centre_um if scene is not None else None
        if on_stage is None or (centre is None and not all_on_stage):
            # The frame of pixels is one for all scenes of the file, and another in every file.
            x, y = (tile.middle[axis] * size[axis] for axis in (0, 1))
            positions.append((x, y, f"the frame of {file}"))
            continue
        from_x, from_y = centre or (0.0, 0.0)
        middle = frame[tile.scene]
        x = signs[0] * (on_stage[0] - from_x) + (tile.middle[0] - middle[0]) * size[0]
        y = signs[1] * (on_stage[1] - from_y) + (tile.middle[1] - middle[1]) * size[1]
        positions.append((x, y, WELL if centre else STAGE))
    return positions


def _stage(scene: CziScene | None, tiles: Sequence[Tile]) -> tuple[float, float] | None:
    """Return the middle of a scene on the stage: as it was planned, else the middle of where its tiles were taken."""
    if scene is not None and scene.centre_um is not None:
        return scene.centre_um
    taken = [(tag.x_um, tag.y_um) for tile in tiles for _, _, tag in tile.planes[:1]]
    xs, ys = [x for x, _ in taken if x is not None], [y for _, y in taken if y is not None]
    if len(xs) != len(tiles) or len(ys) != len(tiles):
        return None
    return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2


def _frame(tiles: Sequence[Tile]) -> tuple[float, float]:
    """Return the middle of a scene in the frame of pixels."""
    xs, ys = zip(*(tile.middle for tile in tiles), strict=True)
    return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2


def _sign(pairs: Sequence[tuple[float, float]]) -> int:
    """Return 1 where the stage counts as the pixels do, as it mostly does, -1 where it counts the other way."""
    if len(pairs) < 2:
        return 1
    pixels, places = (sum(axis) / len(pairs) for axis in zip(*pairs, strict=True))
    return -1 if sum((pixel - pixels) * (place - places) for pixel, place in pairs) < 0 else 1
