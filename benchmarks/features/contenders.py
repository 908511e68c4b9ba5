"""How each tool measures one group of families of one field; every result is a table by our column names' parts.

A tool's table maps ``(object set, its name for the feature, channel, second channel)`` to the values of all objects, in
the order of their labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations, product
from typing import Any

import numpy as np
from cp_measure import set_accelerator
from cp_measure.bulk import get_core_measurements, get_correlation_measurements
from cp_measure.core.measurecolocalization import bisection_costes, get_correlation_overlap
from cp_measure.multimask.measureobjectneighbors import D_ADJACENT, D_EXPAND, D_WITHIN, measureobjectneighbors
from cytolake.transforms.features.dictionary import FeatureColumn
from cytolake.transforms.features.families import FAMILIES, Plan, measure, plan
from cytolake.transforms.features.family import FieldPixels, Use
from cytolake.transforms.features.label_index import LabelIndex, label_index
from numpy.typing import NDArray
from nyxus import Nyxus
from skimage.measure import regionprops_table

from benchmarks.features.fields import Field
from benchmarks.features.groups import CP_IMAGE, CP_MEASURE, CP_NUMBA, NYXUS, SCIKIT_IMAGE, Group

Key = tuple[str, str, str | None, str | None]
Table = dict[Key, NDArray[Any]]
OURS = "cytolake"

#: Both directions of a pair, by what cp_measure calls the first and the second.
_BOTH_WAYS = ("Correlation_K", "Correlation_Manders", "Correlation_RWC", "Correlation_Costes")
_NEIGHBORS = {"adjacent": (D_ADJACENT, 1), "expanded": (D_EXPAND, 1), "within 5": (D_WITHIN, 5)}


def plan_of(group: Group, object_set: str, roles: tuple[str, ...]) -> Plan:
    """Say what is measured of one object set, in every channel and pair of channels."""
    uses = {}
    for name, parameters in group.families.items():
        family = FAMILIES[name]
        uses[name] = Use(
            object_set=object_set,
            roles=() if family.channels == "none" else roles,
            pairs=tuple(combinations(sorted(roles), 2)) if family.channels == "pairs" else (),
            parameters={key: parameter.default for key, parameter in family.parameters.items()} | dict(parameters),
        )
    return plan(uses)


def indices(field: Field) -> dict[str, LabelIndex]:
    """Index the label images, what all families start from."""
    return {name: label_index(plane) for name, plane in field.labels.items()}


def with_cytolake(
    group: Group, field: Field, sets: Mapping[str, LabelIndex]
) -> dict[str, tuple[list[FeatureColumn], NDArray[np.float64]]]:
    """Measure with ours: columns and values of every object set."""
    pixels = FieldPixels(
        image=field.image,
        present=np.ones(len(field.roles), np.bool_),
        roles=field.roles,
        full_scale=field.full_scale,
        sets=sets,
    )
    found = {}
    for name in sets:
        wanted = plan_of(group, name, field.roles)
        found[name] = (list(wanted.columns), measure(pixels, name, wanted))
    return found


def with_cp_measure(group: Group, field: Field, accelerator: str | None) -> Table:
    """Measure with cp_measure, by its bulk interface where that has the measurement."""
    set_accelerator(accelerator)
    of_objects, of_pairs = get_core_measurements(), get_correlation_measurements()
    of_pairs["overlap"] = get_correlation_overlap
    table: Table = {}
    for (name, labels), asked in product(field.labels.items(), group.cp_measure):
        if asked in _NEIGHBORS:
            how, distance = _NEIGHBORS[asked]
            for key, values in measureobjectneighbors(labels, labels, how, distance).items():
                table[name, key, None, None] = np.asarray(values)
        elif asked in of_pairs:
            for first, second in combinations(sorted(range(len(field.roles)), key=field.roles.__getitem__), 2):
                if asked == "costes":
                    found = of_pairs[asked](field.image[first], field.image[second], labels)
                else:
                    found = of_pairs[asked](field.scaled[first], field.scaled[second], labels)
                _add_pair(table, found, name, field.roles[first], field.roles[second])
        elif asked in ("sizeshape", "feret", "zernike"):
            options = {"new_features": False} if asked == "sizeshape" else {}
            for key, values in of_objects[asked](labels, None, **options).items():
                table[name, key, None, None] = values
        else:
            options_of_calls = [{"scale": scale} for scale in group.scales] if asked == "texture" else [{}]
            for channel, options in product(range(len(field.roles)), options_of_calls):
                for key, values in of_objects[asked](labels, field.scaled[channel], **options).items():
                    table[name, key, field.roles[channel], None] = values
    return table


def _add_pair(table: Table, found: Mapping[str, Any], name: str, first: str, second: str) -> None:
    for key, values in found.items():
        stem, _, way = key.rpartition("_")
        if stem in _BOTH_WAYS:
            roles = (first, second) if way == "1" else (second, first)
            table[name, f"{stem}_1", *roles] = np.asarray(values)
        else:
            table[name, key, first, second] = np.asarray(values)


def costes_of_image(field: Field) -> Table:
    """Give Costes' coefficients by CellProfiler's definition, with thresholds that cp_measure finds for the image.

    cp_measure itself lets that search look at one object at a time; this compares its search, not its definition.
    """
    table: Table = {}
    for first, second in combinations(sorted(range(len(field.roles)), key=field.roles.__getitem__), 2):
        planes = field.scaled[first], field.scaled[second]
        cuts = bisection_costes(None, None, planes[0].ravel(), planes[1].ravel(), field.full_scale)
        above = (planes[0] > cuts[0]) & (planes[1] > cuts[1])
        for way, (plane, cut) in enumerate(zip(planes, cuts, strict=True)):
            roles = (field.roles[first], field.roles[second])[:: -1 if way else 1]
            for name, labels in field.labels.items():
                shared, own = (np.bincount(labels.ravel(), (plane * of).ravel())[1:] for of in (above, plane >= cut))
                table[name, "Correlation_Costes_1", *roles] = np.divide(
                    shared, own, out=np.full(len(own), np.nan), where=own > 0
                )
    return table


def with_scikit_image(group: Group, field: Field) -> Table:
    """Measure with ``regionprops`` the properties that our columns have there, and no others."""
    columns = plan_of(group, "x", field.roles).columns
    names = {(theirs, column.channel_role) for column in columns if (theirs := alias(column, SCIKIT_IMAGE))}
    properties = sorted({theirs.partition("-")[0] for theirs, _ in names})
    table: Table = {}
    for name, labels in field.labels.items():
        found = regionprops_table(labels, field.channels_last, properties=properties)
        for theirs, role in names:
            channel = "" if role is None else f"-{field.roles.index(role)}"
            table[name, theirs, role, None] = found[theirs + channel]
    return table


def nyxus_of(group: Group) -> list[Nyxus]:
    """Set Nyxus up, one thread, once for each scale."""
    made = []
    for scale in group.scales:
        nyxus = Nyxus(list(group.nyxus), n_feature_calc_threads=1, neighbor_distance=5)
        nyxus.set_metaparam("glcm/greydepth=256")
        nyxus.set_metaparam(f"glcm/offset={scale}")
        made.append(nyxus)
    return made


def with_nyxus(made: list[Nyxus], group: Group, field: Field) -> Table:
    """Measure with Nyxus, channel by channel; forms once."""
    table: Table = {}
    for nyxus, (name, labels) in product(made, field.labels.items()):
        for channel in range(len(field.roles)) if group.nyxus_channels else (0,):
            found = nyxus.featurize(field.image[channel], labels)
            role = field.roles[channel] if group.nyxus_channels else None
            for key in found.columns[4:]:
                table[name, key, role, None] = found[key].to_numpy()
    return table


def alias(column: FeatureColumn, peer: str) -> str | None:
    """Give what a tool calls one of our columns; None where it has none."""
    for one in column.aliases:
        tool, _, theirs = one.partition(":")
        if tool == peer or (tool, peer) == (CP_MEASURE, CP_IMAGE):
            return theirs
    if peer == CP_MEASURE and column.family == "Neighbors":  # the same name, without the object set
        return column.name.partition("_")[2]
    return None


def contenders_of(group: Group, field: Field, sets: Mapping[str, LabelIndex]) -> dict[str, Callable[[], Any]]:
    """Give every tool that has the group, as a call without arguments."""
    found: dict[str, Callable[[], Any]] = {
        OURS: lambda: with_cytolake(group, field, sets),
        CP_MEASURE: lambda: with_cp_measure(group, field, None),
    }
    if group.accelerated:
        found[CP_NUMBA] = lambda: with_cp_measure(group, field, "numba")
    if group.nyxus:
        made = nyxus_of(group)
        found[NYXUS] = lambda: with_nyxus(made, group, field)
    if group.scikit_image:
        found[SCIKIT_IMAGE] = lambda: with_scikit_image(group, field)
    return found
