"""What the numbers of a plate amount to, in sentences: problems by field, effects of place, separation of controls."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

from ...schemas.identifiers import parse_well
from ...store.images.ngff import row_name
from ...wording import listed
from .data import Flag, PlateQuality, Series

#: How a flag is said of a field.
WORDS = {
    "Unmeasured": "could not be measured",
    "Missing": "lacks planes",
    "Blurred": "is blurred",
    "Saturated": "is saturated",
    "Uneven": "is unevenly lit",
    "Dim": "is dim",
    "Bright": "is bright",
    "Empty": "is empty",
    "Debris": "is full of debris",
    "Clumped": "is clumped",
}
#: A flag that so large a share of the plate's fields has is said once.
_PLATE_SHARE = 0.5
#: An effect of place is worth a sentence when it is as large and as unlikely as that.
_EFFECT, _CHANCE = 0.15, 1e-3
#: Fewer wells on one side are not compared.
_FEWEST = 4
#: Wells or time points that a sentence lists.
_LISTED = 12
#: Typical unevenness from which on illumination should be corrected.
_UNEVEN = 0.3

#: (row, column), from 1.
_At = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that somebody should look at.

    ``field_id`` is None where it is all of a well, ``well_id`` too where it is most of the plate. ``first`` is the flag
    of the field that shows it.
    """

    kind: str
    well_id: str | None
    field_id: int | None
    names: tuple[str, ...]
    sentence: str
    first: Flag


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Wells of some place against the others: ratio of the medians, and how likely chance alone makes it.

    ``place`` is ``edge``, ``row C`` or ``column 3``; ``chance`` is the p-value of a two-sided Mann-Whitney test.
    """

    series: Series
    place: str
    inside: int
    outside: int
    ratio: float
    chance: float

    @property
    def matters(self) -> bool:
        """Whether it is large and unlikely enough to be mentioned."""
        return abs(self.ratio - 1) > _EFFECT and self.chance < _CHANCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Separation:
    """How far positive and negative controls lie apart, in one series: Z′ (Zhang, Chung & Oldenburg 1999)."""

    series: Series
    z_prime: float
    positive: int
    negative: int


def problems(plate: PlateQuality) -> tuple[list[Problem], list[str]]:
    """Give the problems of a plate, worst first, and notes on what is as it should be.

    A flag that all fields of a well have is one problem of the well; one that half the fields of the plate have, of
    the same channel or object set, is one of the plate. A well that the plate map calls empty may be.
    """
    notes: list[str] = []
    expected = {well for well, control in plate.controls.items() if control == "empty"}
    empty = sorted({flag.well_id for flag in plate.flags if flag.kind == "Empty"} & expected, key=parse_well)
    if empty:
        notes.append(f"{_wells(empty)} empty, as the plate map says.")
    flags = [flag for flag in plate.flags if not (flag.kind == "Empty" and flag.well_id in expected)]
    found: list[Problem] = []
    for kind in WORDS:
        own = [flag for flag in flags if flag.kind == kind]
        everywhere = _everywhere(plate, own)
        found += everywhere
        widespread = {name for problem in everywhere for name in problem.names}
        found += _of_fields(plate, kind, [flag for flag in own if flag.name not in widespread])
    for one in plate.of("Unevenness"):
        typical = median(one.fields.values())
        if typical > _UNEVEN:
            notes.append(
                f"The light of {one.name} is uneven on all of the plate (typical unevenness {typical:.2f}): correct "
                f"the illumination before intensities are compared (`cytolake illumination`, then [illumination] in a "
                f"recipe)."
            )
    return found, notes


def effects(plate: PlateQuality) -> list[Effect]:
    """Compare edge with inner wells, and each row and column with the others, in counts and mean intensities.

    Only wells with objects are compared where objects are counted, and only places of at least four wells with at
    least four outside. The chance of a row or column is multiplied by how many there are (Bonferroni).
    """
    found: list[Effect] = []
    for series in plate.of("Count", "MeanIntensity"):
        wells = {parse_well(well): value for well, value in series.wells().items() if value > 0}
        edge = {(row, column) for row, column in wells if row in (1, plate.n_rows) or column in (1, plate.n_columns)}
        found += _compared(series, wells, "edge", edge)
        for axis, name, letter in ((0, "row", row_name), (1, "column", str)):
            places = sorted({at[axis] for at in wells})
            for place in places:
                there = {at for at in wells if at[axis] == place}
                found += _compared(series, wells, f"{name} {letter(place)}", there, trials=len(places))
    return found


def separations(plate: PlateQuality) -> list[Separation]:
    """Give Z′ of every count and mean intensity for which there are two wells of both controls or more.

    Z′ = 1 - 3 (s₊ + s₋) / abs(m₊ - m₋), of the means and standard deviations of the wells.
    """
    found = []
    for series in plate.of("Count", "MeanIntensity"):
        wells = series.wells()
        positive = [value for well, value in wells.items() if plate.controls.get(well) == "positive"]
        negative = [value for well, value in wells.items() if plate.controls.get(well, "").startswith("negative")]
        if len(positive) < 2 or len(negative) < 2 or fmean(positive) == fmean(negative):
            continue
        away = abs(fmean(positive) - fmean(negative))
        z_prime = 1 - 3 * (stdev(positive) + stdev(negative)) / away
        found.append(Separation(series=series, z_prime=z_prime, positive=len(positive), negative=len(negative)))
    return found


def effect_sentences(found: Sequence[Effect]) -> list[str]:
    """Say which effects of place matter."""
    return [
        f"{one.series.title}: {one.place} wells have {one.ratio:.2f} times the median of the others "
        f"({one.inside} against {one.outside} wells, p = {one.chance:.1g})."
        for one in found
        if one.matters
    ]


def _everywhere(plate: PlateQuality, flags: Sequence[Flag]) -> list[Problem]:
    found = []
    for name in dict.fromkeys(flag.name for flag in flags):
        own = [flag for flag in flags if flag.name == name]
        fields = {(flag.well_id, flag.field_id) for flag in own}
        if len(fields) > 1 and len(fields) >= _PLATE_SHARE * len(plate.fields):
            words = WORDS[own[0].kind]
            found.append(
                Problem(
                    kind=own[0].kind,
                    well_id=None,
                    field_id=None,
                    names=(name,),
                    sentence=f"{name} {words} in {len(fields)} of {len(plate.fields)} fields; first, "
                    f"{own[0].well_id} field {own[0].field_id}: {own[0].reason}.",
                    first=own[0],
                )
            )
    return found


def _of_fields(plate: PlateQuality, kind: str, flags: Sequence[Flag]) -> list[Problem]:
    by_well: dict[str, dict[int, list[Flag]]] = {}
    for flag in flags:
        by_well.setdefault(flag.well_id, {}).setdefault(flag.field_id, []).append(flag)
    found = []
    for well_id in sorted(by_well, key=parse_well):
        own = by_well[well_id]
        fields = plate.fields_of_wells.get(well_id, [])
        groups: list[tuple[int | None, list[Flag]]] = (
            [(None, [flag for group in own.values() for flag in group])]
            if len(own) == len(fields) and len(fields) > 1
            else [(field_id, group) for field_id, group in sorted(own.items())]
        )
        for field_id, group in groups:
            where = f"Well {well_id}" if field_id is None else f"{well_id} field {field_id}"
            names = tuple(dict.fromkeys(flag.name for flag in group))
            times = sorted({flag.timepoint for flag in group})
            when = f" at time point {listed(times, _LISTED)}" if times != [0] else ""
            found.append(
                Problem(
                    kind=kind,
                    well_id=well_id,
                    field_id=field_id,
                    names=names,
                    sentence=f"{where} {WORDS[kind]}{when} ({', '.join(names)}): {group[0].reason}.",
                    first=group[0],
                )
            )
    return found


def _compared(
    series: Series, wells: Mapping[_At, float], place: str, there: Collection[_At], trials: int = 1
) -> list[Effect]:
    inside = [value for at, value in wells.items() if at in there]
    outside = [value for at, value in wells.items() if at not in there]
    if min(len(inside), len(outside)) < _FEWEST or not median(outside):
        return []
    from scipy.stats import mannwhitneyu

    chance = float(mannwhitneyu(inside, outside, alternative="two-sided", method="asymptotic").pvalue)
    # NaN where all values are the same.
    chance = 1.0 if math.isnan(chance) else min(1.0, trials * chance)
    ratio = median(inside) / median(outside)
    return [Effect(series=series, place=place, inside=len(inside), outside=len(outside), ratio=ratio, chance=chance)]


def _wells(names: Sequence[str]) -> str:
    return f"Well {names[0]} is" if len(names) == 1 else f"Wells {listed(names, _LISTED)} are"
