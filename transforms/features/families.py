"""The registry of feature families, and what measures one object set of one field with the families that are asked for.

Kernels are loaded, and compiled, only for the families asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from ...wording import did_you_mean
from . import (
    basic_columns,
    correlation_columns,
    granularity_columns,
    neighbors_columns,
    radial_columns,
    relations_columns,
    texture_columns,
    zernike_columns,
)
from .dictionary import FeatureColumn
from .family import Family, FamilyColumns, FieldObjects, FieldPixels, FloatArray, Use, default_full_scale

if TYPE_CHECKING:
    from ..device import Device
    from .label_index import LabelIndex

#: Every family, by name.
FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        one.name: one
        for one in (
            *basic_columns.FAMILIES,
            zernike_columns.FAMILY,
            texture_columns.FAMILY,
            radial_columns.FAMILY,
            granularity_columns.FAMILY,
            correlation_columns.FAMILY,
            neighbors_columns.FAMILY,
            relations_columns.FAMILY,
        )
    }
)

#: Families to compute with their default settings: their names, for all channels with a role, or each name with the
#: roles that it measures (None: all; of no effect where a family measures no channel).
Families = Sequence[str] | Mapping[str, Sequence[str] | None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured of one object set, and the order of its columns.

    Attributes
    ----------
    uses
        Each family with what is asked of it.
    columns
        All columns, in the order of CellProfiler's tables: by name.
    order : intp (k,)
        Column ``i`` is number ``order[i]`` of what the families give one after the other.
    """

    uses: Mapping[str, Use]
    columns: Sequence[FeatureColumn]
    order: NDArray[np.intp]


def plan(uses: Mapping[str, Use], families: Mapping[str, FamilyColumns] = FAMILIES) -> Plan:
    """List and sort the columns of some families, without computing them.

    Raises
    ------
    UsageError
        Two columns have the same name.
    """
    columns: list[FeatureColumn] = []
    for name, use in uses.items():
        columns += families[name].columns(use)
    names = [column.name for column in columns]
    order = sorted(range(len(names)), key=names.__getitem__)
    for one, other in pairwise(order):
        if names[one] == names[other]:
            raise UsageError(f"two features have the name {names[one]}")
    return Plan(uses=uses, columns=[columns[k] for k in order], order=np.array(order, dtype=np.intp))


def family(name: str) -> Family:
    """Give the family of that name.

    Raises
    ------
    UsageError
        There is none.
    """
    if name not in FAMILIES:
        raise UsageError(
            f"unknown feature family {name!r}{did_you_mean(name, FAMILIES)}", hint=f"Families: {', '.join(FAMILIES)}."
        )
    return FAMILIES[name]


def measure(
    pixels: FieldPixels,
    object_set: str,
    wanted: Plan,
    *,
    device: Device | None = None,
    seconds: dict[str, float] | None = None,
) -> FloatArray:
    """Measure every object of one object set in one field.

    Parameters
    ----------
    pixels
        The field and its objects.
    object_set
        Which of its sets.
    wanted
        What to measure.
    device
        Where to compute; None: the CPU. Families without a CUDA implementation run on the CPU anyway.
    seconds
        Family to wall seconds, to which those of this call are added.

    Returns
    -------
    values : float64 (n, k)
        One row per object in the order of ``index.object_ids``, one column for each of ``wanted.columns``; NaN where
        a feature is undefined, for the reason that its column's definition gives.
    """
    objects = FieldObjects(pixels, object_set)
    n = len(objects.index)
    together = np.empty((n, len(wanted.columns)))
    at = 0
    for name, use in wanted.uses.items():
        started = perf_counter()
        one = family(name)
        on_cuda = device is not None and device.name == "cuda"
        values = (one.cuda if on_cuda and one.cuda is not None else one.measure)(objects, use)
        together[:, at : at + values.shape[1]] = values
        at += values.shape[1]
        if seconds is not None:
            seconds[name] = seconds.get(name, 0.0) + perf_counter() - started
    if at != len(wanted.columns):
        raise RuntimeError(f"families promised {len(wanted.columns)} columns and gave {at}")
    return np.take(together, wanted.order, axis=1)


def columns_of(families: Families, object_set: str, roles: Sequence[str | None]) -> Sequence[FeatureColumn]:
    """List the columns that :func:`compute` makes, without computing them.

    Parameters
    ----------
    families
        Families to compute.
    object_set
        Name of the object set, in lower case (``nuclei``).
    roles
        Role of each channel of the field; None where it has none, and is not measured.

    Returns
    -------
    sequence of FeatureColumn
        In the order of CellProfiler's tables: by column name, whatever the order of families and channels.

    Raises
    ------
    UsageError
        A family is unknown, asks for a role that no channel has, or two channels have the same role: their columns
        would have the same names.
    """
    return _default_plan(families, object_set, roles).columns


def compute(
    families: Families,
    object_set: str,
    index: LabelIndex,
    image: NDArray[Any] | None,
    roles: Sequence[str | None],
    *,
    present: Sequence[bool] | NDArray[np.bool_] | None = None,
    full_scale: float | None = None,
    device: Device | None = None,
) -> tuple[Sequence[FeatureColumn], FloatArray]:
    """Measure one object set of one field with the families' default settings.

    Parameters
    ----------
    families
        Families to compute.
    object_set
        Name of the object set, in lower case (``nuclei``).
    index
        Its objects.
    image : uint8, uint16 or float32 (c, y, x)
        The field. None is enough where no family measures channels.
    roles
        Role of each channel of the image; None where it has none, and is not measured.
    present : bool (c,)
        False for channels that the field lacks (their pixels mean nothing): their features are NaN. None: all there.
    full_scale
        Grey value that becomes intensity 1.0. None: as CellProfiler, 255 or 65535 by the image's type, and 1.0 for
        float images.
    device
        As :func:`measure`.

    Returns
    -------
    columns : sequence of FeatureColumn
        As :func:`columns_of`.
    values : float64 (n, k)
        As :func:`measure`.

    Raises
    ------
    UsageError
        As :func:`columns_of`; or image, labels, roles and ``present`` do not fit together, or the image's type is
        none of the three.
    """
    wanted = _default_plan(families, object_set, roles)
    scale = (1.0 if image is None else default_full_scale(image.dtype)) if full_scale is None else full_scale
    pixels = FieldPixels(
        image=image,
        present=np.ones(len(roles), np.bool_) if present is None else np.asarray(present, dtype=np.bool_),
        roles=tuple(roles),
        full_scale=scale,
        sets={object_set: index},
    )
    return wanted.columns, measure(pixels, object_set, wanted, device=device)


def _default_plan(families: Families, object_set: str, roles: Sequence[str | None]) -> Plan:
    """Plan with default settings: the families asked for, each with the roles that it measures."""
    named = [role for role in roles if role is not None]
    for role in named:
        if named.count(role) > 1:
            raise UsageError(f"two channels have the role {role}, so that their features would share their names")
    asked = families if isinstance(families, Mapping) else dict.fromkeys(families)
    uses: dict[str, Use] = {}
    for name, wanted in asked.items():
        one = family(name)
        for role in wanted or ():
            if one.channels != "none" and role not in named:
                raise UsageError(f"{name} asks for the role {role}, the channels have {', '.join(named) or 'none'}")
        chosen = () if one.channels == "none" else tuple(role for role in named if wanted is None or role in wanted)
        uses[name] = Use(
            object_set=object_set,
            roles=chosen,
            pairs=tuple(combinations(sorted(chosen), 2)) if one.channels == "pairs" else (),
            parameters={key: parameter.default for key, parameter in one.parameters.items()},
        )
    return plan(uses)
