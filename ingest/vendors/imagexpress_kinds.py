"""Stacks, projections and single planes of one plate, told apart and never padded, with what is absent of each.

MetaXpress mixes them: a wave may be a stack, only its projection, or one plane. The database layout gives each its own
folder; an export has all waves in all Z folders and fills up with copies, whose headers give them away.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...errors import InvalidDataError
from ...wording import listed
from .imagexpress_headers import Image
from .imagexpress_htd import Htd
from .imagexpress_names import image_name

STACK, PROJECTION, PLANE = "stack", "projection", "plane"
KINDS = (STACK, PROJECTION, PLANE)
_MOST_PLANES = 10_000_000
_LIST_AT_MOST = 3

#: Row, column, site, wave, time point.
_Spot = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """One plane that there is or should be; ``image`` is ``None`` for one that is absent."""

    row: int
    column: int
    site: int
    wave: int
    timepoint: int
    z: int
    file: str
    image: Image | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """All planes of one way of recording depth, of the waves that were recorded so."""

    z_mode: str
    waves: tuple[int, ...]
    planes: tuple[Plane, ...]


def sort_kinds(images: Sequence[Image], htd: Htd | None, folder: str, plate: str, warnings: list[str]) -> list[Kind]:
    """Sort the images of one measurement by how depth was recorded, and add what is promised and absent.

    Parameters
    ----------
    images
        With their facts, thumbnails left out.
    htd
        What promises; without one, the images themselves: a plane that others of its wave, well and site have.
    folder
        The plate's folder, relative to the root, without a slash at its end.
    plate
        How the names of its files begin.
    warnings
        Gets what is odd.

    Raises
    ------
    InvalidDataError
        The HTD promises more planes than there can be.
    """
    found = _Found(images, warnings)
    numbers = _wave_numbers(found, htd, warnings)
    places = _Places(images, htd, folder, plate)
    kinds = []
    for z_mode in KINDS:
        waves = [w for w in numbers if _has(z_mode, w, found, htd)]
        planes = [plane for wave in waves for plane in _planes(z_mode, wave, found, htd, places, warnings)]
        if planes:
            kinds.append(Kind(z_mode=z_mode, waves=tuple(waves), planes=tuple(planes)))
    return kinds


class _Found:
    """The images that are there, by spot, copies left out."""

    def __init__(self, images: Sequence[Image], warnings: list[str]) -> None:
        self.has_steps = any(image.step is not None for image in images)
        self.projections: dict[_Spot, list[Image]] = {}
        self.planes: dict[_Spot, dict[int, list[Image]]] = {}
        #: Z steps in which a wave has files; waves that are copied into further ones.
        self.steps: dict[int, set[int]] = defaultdict(set)
        self.copied: set[int] = set()
        self.sites: dict[tuple[int, int], set[int]] = defaultdict(set)
        self.times: dict[int, set[int]] = defaultdict(set)
        spots: dict[_Spot, list[Image]] = defaultdict(list)
        for image in images:
            spots[image.name.row, image.name.column, image.site, image.wave, image.timepoint].append(image)
        n_copies = 0
        for spot, there in spots.items():
            row, column, site, wave, timepoint = spot
            self.sites[row, column].add(site)
            self.times[wave].add(timepoint)
            self.steps[wave].update(image.step for image in there if image.step)
            # A plane lies rather in a numbered step than in the folder of projections.
            planes = _distinct(sorted((i for i in there if not self._is_projection(i)), key=lambda i: i.step or 1e9))
            projections = _distinct(sorted((i for i in there if self._is_projection(i)), key=lambda i: i.step or 0))
            if len(planes) + len(projections) < len(there):
                n_copies += len(there) - len(planes) - len(projections)
                self.copied.add(wave)
            if projections:
                self.projections[spot] = projections
            for image in planes:
                self.planes.setdefault(spot, {}).setdefault((image.step or 1) - 1, []).append(image)
        #: Heights of each wave, and the most that one spot has of it.
        self.depth: dict[int, set[int]] = defaultdict(set)
        self.deepest: Counter[int] = Counter()
        for spot, by_z in self.planes.items():
            self.depth[spot[3]].update(by_z)
            self.deepest[spot[3]] = max(self.deepest[spot[3]], len(by_z))
        self.projected = {spot[3] for spot in self.projections}
        self.waves = {spot[3] for spot in spots}
        if n_copies:
            warnings.append(
                f"{n_copies} files repeat a projection or a single plane in further Z folders; each is taken once"
            )

    def _is_projection(self, image: Image) -> bool:
        if image.facts is not None and image.facts.identity is not None:
            return image.facts.projection is not None
        return self.has_steps and not image.step


def _distinct(images: Iterable[Image]) -> list[Image]:
    """Leave out copies of an image before; what cannot be compared is none."""
    kept: list[Image] = []
    seen: set[tuple[str, ...]] = set()
    for image in images:
        identity = image.facts.identity if image.facts is not None else None
        if identity is None or identity not in seen:
            kept.append(image)
        if identity is not None:
            seen.add(identity)
    return kept


def _wave_numbers(found: _Found, htd: Htd | None, warnings: list[str]) -> list[int]:
    if htd is None:
        return sorted(found.waves)
    promised = {wave.number: wave for wave in htd.waves if wave.is_collected}
    if not found.waves:
        return sorted(promised)
    # Whether such a wave was a stack, a plane or a projection nobody knows: no plane of it can be called missing.
    for number, wave in promised.items():
        if number not in found.waves:
            warnings.append(
                f"wave {number} ({wave.name}) is listed in the HTD and has not one file: it is left out, as if it had "
                "not been exported"
            )
    unlisted = sorted(found.waves - promised.keys())
    if unlisted:
        warnings.append(
            f"there are files of waves that the HTD does not list as collected: {listed(unlisted, _LIST_AT_MOST)}"
        )
    return sorted(found.waves)


def _has(z_mode: str, wave: int, found: _Found, htd: Htd | None) -> bool:
    """Tell whether a wave has planes of this kind."""
    if z_mode == PROJECTION:
        return wave in found.projected
    if wave not in found.depth and wave in found.waves:
        return False
    return (z_mode == STACK) == _is_stack(wave, found, htd)


def _is_stack(wave: int, found: _Found, htd: Htd | None) -> bool:
    """Tell whether the planes of a wave are a stack: several heights, or one left of the several that are promised."""
    if found.deepest[wave] > 1:
        return True
    if htd is None or htd.n_steps <= 1 or wave in found.copied:
        return False
    reached = max((len(steps) for other, steps in found.steps.items() if other != wave), default=0)
    return wave not in found.waves or reached <= len(found.steps[wave])


def _planes(
    z_mode: str, wave: int, found: _Found, htd: Htd | None, places: _Places, warnings: list[str]
) -> Iterable[Plane]:
    there: dict[_Spot, dict[int, list[Image]]]
    if z_mode == PROJECTION:
        there = {spot: {0: images} for spot, images in found.projections.items() if spot[3] == wave}
        heights = {0}
    elif z_mode == STACK:
        there = {spot: by_z for spot, by_z in found.planes.items() if spot[3] == wave}
        heights = found.depth[wave] | set(range(htd.n_steps if htd else 0))
    else:
        there = {spot: {0: next(iter(by_z.values()))} for spot, by_z in found.planes.items() if spot[3] == wave}
        heights = {0}
    for (row, column, site, _, timepoint), by_z in there.items():
        for z, images in by_z.items():
            for image in images:
                yield Plane(
                    row=row, column=column, site=site, wave=wave, timepoint=timepoint, z=z, file=image.file, image=image
                )
    wells = _promised_sites(found, htd)
    times = _promised_times(wave, found, htd, warnings)
    if sum(map(len, wells.values())) * len(times) * len(heights) > _MOST_PLANES:
        raise InvalidDataError(
            f"{places.folder or places.plate}: the HTD promises more than {_MOST_PLANES} planes of wave {wave}",
            hint="Copy the HTD file again from the export.",
        )
    used = Counter(image.step for by_z in there.values() for images in by_z.values() for image in images)
    usual = used.most_common(1)[0][0] if used else None
    for (row, column), sites in wells.items():
        for site in sites:
            for timepoint in times:
                has = there.get((row, column, site, wave, timepoint), {})
                for z in heights - has.keys():
                    step = z + 1 if z_mode == STACK else usual
                    file = places.path(row, column, site, wave, timepoint, step)
                    yield Plane(
                        row=row, column=column, site=site, wave=wave, timepoint=timepoint, z=z, file=file, image=None
                    )


def _promised_sites(found: _Found, htd: Htd | None) -> Mapping[tuple[int, int], Sequence[int]]:
    """Return the sites of each well that were to be imaged, by their numbers in file names."""
    if htd is None:
        return {well: sorted(sites) for well, sites in found.sites.items()}
    numbers = site_numbers(htd, {site for sites in found.sites.values() for site in sites})
    return {well: sorted(numbers) for well in htd.wells}


def site_numbers(htd: Htd, seen: set[int]) -> dict[int, tuple[int, int]]:
    """Return the number of each selected site and its row and column in the grid of sites.

    Sites are numbered in reading order of those that are selected; by their place in the whole grid where the files
    say so.
    """
    counted = dict(enumerate(htd.sites, start=1))
    placed = {(row - 1) * htd.n_site_columns + column: (row, column) for row, column in htd.sites}
    return placed if seen and not seen <= counted.keys() and seen <= placed.keys() else counted


def _promised_times(wave: int, found: _Found, htd: Htd | None, warnings: list[str]) -> Sequence[int]:
    if htd is None:
        return sorted(found.times[wave])
    others = {t for times in found.times.values() for t in times}
    if found.times[wave] == {0} and len(others) > 1 and htd.n_timepoints > 1:
        warning = f"wave {wave} was acquired at the first time point only"
        if warning not in warnings:
            warnings.append(warning)
        return [0]
    return range(htd.n_timepoints)


class _Places:
    """Where the files of a measurement lie, or would lie."""

    def __init__(self, images: Sequence[Image], htd: Htd | None, folder: str, plate: str) -> None:
        self.folder, self.plate = folder, plate
        self._folders = {(i.timepoint, i.step): i.file.rpartition("/")[0] for i in images}
        inner = [path[len(folder) :].lower() for path in self._folders.values()]
        self._timed = any("timepoint" in path for path in inner) or not images
        suffixes = Counter("." + i.file.rpartition(".")[2] for i in images)
        self._suffix = suffixes.most_common(1)[0][0] if suffixes else ".TIF"
        self._has_site = any(i.name.site is not None for i in images) if images else htd is not None and htd.has_sites
        self._has_wave = any(i.name.wave is not None for i in images) if images else htd is not None and htd.has_waves

    def path(self, row: int, column: int, site: int, wave: int, timepoint: int, step: int | None) -> str:
        folder = self._folders.get((timepoint, step))
        if folder is None:
            parts = [self.folder] if self.folder else []
            parts += [f"TimePoint_{timepoint + 1}"] if self._timed or timepoint else []
            parts += [f"ZStep_{step}"] if step is not None else []
            folder = "/".join(parts)
        name = image_name(
            self.plate, row, column, site if self._has_site else None, wave if self._has_wave else None, self._suffix
        )
        return f"{folder}/{name}" if folder else name
