"""Fitted parameters in the lake: rows of ``profile_fits``, and which version of them a run has.

A version is a set of parameters, one :class:`Fit` for each step and unit (a plate, a study, all). Two runs that learn
the same have the same version; a run that learns something else for a unit that a version has makes the next one. So
plates and studies that come later join the version that is there, as long as nothing in it changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...errors import NotFoundError
from ...schemas.tables import arrow_schema
from ...wording import listed
from .operator import Fitted, Flag

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...store.registry import ProfileSet
    from ...store.root import LakeRoot

TABLE = "profile_fits"
#: What identifies a row of the table.
KEY = ("profile_set_hash", "fit_version", "step", "unit")
#: The unit of a step that is fitted on all plates of a run.
ALL = "*"
_SHOWN = 10

#: (position of the step, unit)
Place = tuple[int, str]


def unit_of(scope: str, study_id: str, plate_id: str) -> str:
    """Return the unit that a plate belongs to: ``study/plate``, ``study`` or ``*``."""
    return {"plate": f"{study_id}/{plate_id}", "study": study_id}.get(scope, ALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What one step has learned from one unit.

    Attributes
    ----------
    step
        Position of the step in the recipe, from 0.
    unit
        See :func:`unit_of`; ``study_id`` and ``plate_id`` are those of the unit, None where it has several.
    learned_from
        Wells that it learned from, as ``plate/well``.
    run_id
        The run that fitted it; empty for one that is not stored yet.
    """

    step: int
    unit: str
    study_id: str | None
    plate_id: str | None
    operator: str
    settings: Mapping[str, Any]
    fitted: Fitted = field(repr=False)
    learned_from: tuple[str, ...] = field(repr=False)
    run_id: str = ""

    @property
    def place(self) -> Place:
        """Step and unit."""
        return self.step, self.unit

    def same_as(self, other: Fit) -> bool:
        """Whether another one holds the same parameters, to the bit, learned from the same wells."""
        one, two = self.fitted, other.fitted
        return (
            one.features == two.features
            and one.outputs == two.outputs
            and one.flags == two.flags
            and self.learned_from == other.learned_from
            and one.arrays.keys() == two.arrays.keys()
            and all(np.array_equal(one.arrays[name], two.arrays[name], equal_nan=True) for name in one.arrays)
        )


def stored_versions(root: LakeRoot, profile_set: ProfileSet) -> dict[int, set[Place]]:
    """Return version → the places that it has parameters for, of one profile set."""
    where = {"profile_set_hash": profile_set.hash}
    rows = root.tables.read(TABLE, columns=["fit_version", "step", "unit"], where=where).to_pylist()
    found: dict[int, set[Place]] = {}
    for row in rows:
        found.setdefault(row["fit_version"], set()).add((row["step"], row["unit"]))
    return found


def newest_version(
    root: LakeRoot, profile_set: ProfileSet, versions: Mapping[int, set[Place]], *studies: Sequence[str]
) -> int:
    """Return the newest version that the rows of some studies were made with, or else that was fitted on them.

    What was fitted on all plates of a run says nothing of whose plates they were; the rows do.

    Parameters
    ----------
    versions
        What :func:`stored_versions` returns.
    studies
        Groups of studies, the first of which that has a version decides; the newest of all where none has.
    """
    for group in studies:
        where = {"study_id": list(group)}
        rows = root.tables.read(profile_set.table("well"), columns=["fit_version"], where=where) if group else None
        there: set[Any] = set() if rows is None else set(rows["fit_version"].to_pylist())
        named = there & versions.keys()
        units = {v for v, places in versions.items() if any(unit.partition("/")[0] in group for _, unit in places)}
        if named or units:
            return max(named or units)
    return max(versions, default=1)


def read_fits(root: LakeRoot, profile_set: ProfileSet, version: int) -> dict[Place, Fit]:
    """Return the parameters of one version.

    Raises
    ------
    NotFoundError
        The profile set has no such version; says which there are.
    """
    where = {"profile_set_hash": profile_set.hash, "fit_version": version}
    rows = root.tables.read(TABLE, where=where)
    if not rows.num_rows:
        there = sorted(stored_versions(root, profile_set))
        raise NotFoundError(
            f"profile set {profile_set.label} has no fitted parameters of version {version}",
            hint=f"there are {listed(there, _SHOWN)}" if there else "it was made without fitting anything",
        )
    arrays = rows["arrays"].combine_chunks()
    plain = rows.drop_columns(["arrays"]).to_pylist()
    fits = [_fit(row, _arrays(arrays[number])) for number, row in enumerate(plain)]
    return {one.place: one for one in sorted(fits, key=lambda one: one.place)}


def choose_version(root: LakeRoot, profile_set: ProfileSet, fits: Mapping[Place, Fit]) -> tuple[int, list[Fit]]:
    """Return the version that holds some parameters, and those of them that are not stored yet.

    That is the newest version none of whose parameters differ from these, else the next one.
    """
    versions = stored_versions(root, profile_set)
    for version in sorted(versions, reverse=True):
        stored = read_fits(root, profile_set, version) if versions[version] & fits.keys() else {}
        if all(one.same_as(stored[place]) for place, one in fits.items() if place in stored):
            return version, [one for place, one in fits.items() if place not in stored]
    return 1 + max(versions, default=0), list(fits.values())


def fit_rows(fits: Sequence[Fit], profile_set: ProfileSet, version: int, run_id: str) -> pa.Table:
    """Return parameters as rows of the table ``profile_fits``."""
    schema = arrow_schema(TABLE)
    plain = [
        {
            "profile_set": profile_set.label,
            "profile_set_hash": profile_set.hash,
            "fit_version": version,
            "step": one.step,
            "unit": one.unit,
            "study_id": one.study_id,
            "plate_id": one.plate_id,
            "operator": one.operator,
            "settings": json.dumps(one.settings, sort_keys=True, ensure_ascii=False),
            "features": list(one.fitted.features),
            "outputs": list(one.fitted.outputs),
            "flags": [{"feature": f.feature, "reason": f.reason, "detail": f.detail} for f in one.fitted.flags],
            "controls": list(one.learned_from),
            "run_id": run_id,
        }
        for one in fits
    ]
    rows = pa.Table.from_pylist(plain, schema=pa.schema([one for one in schema if one.name != "arrays"]))
    arrays = _as_arrow([one.fitted.arrays for one in fits], schema.field("arrays").type)
    return rows.append_column(schema.field("arrays"), arrays).select(schema.names).cast(schema)


def _fit(row: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> Fit:
    return Fit(
        step=row["step"],
        unit=row["unit"],
        study_id=row["study_id"],
        plate_id=row["plate_id"],
        operator=row["operator"],
        settings=json.loads(row["settings"]),
        fitted=Fitted(
            features=tuple(row["features"] or ()),
            outputs=tuple(row["outputs"] or ()),
            arrays=arrays,
            flags=tuple(Flag(feature=f["feature"], reason=f["reason"], detail=f["detail"]) for f in row["flags"] or ()),
        ),
        learned_from=tuple(row["controls"] or ()),
        run_id=row["run_id"],
    )


def _arrays(stored: Any) -> dict[str, NDArray[np.float64]]:
    """Return the arrays of one row by name, NaN where no value is stored."""
    found: dict[str, NDArray[np.float64]] = {}
    inside = stored.values
    if inside is None:
        return found
    for number, name in enumerate(inside.field("name").to_pylist()):
        shape = inside.field("shape")[number].as_py()
        values = inside.field("values")[number].values
        flat = np.zeros(0) if values is None else values.to_numpy(zero_copy_only=False)
        found[name] = np.array(flat, dtype=np.float64).reshape(shape)
    return found


def _as_arrow(rows: Iterable[Mapping[str, NDArray[np.float64]]], kind: Any) -> Any:
    """Put arrays into Arrow's nested lists, without a Python object per value; NaN becomes NULL."""
    rows = list(rows)
    named = [(name, np.asarray(row[name], dtype=np.float64)) for row in rows for name in row]
    flat = np.concatenate([np.zeros(0), *(array.ravel() for _, array in named)])
    item = kind.value_type
    values = pa.ListArray.from_arrays(
        pa.array(np.cumsum([0, *(array.size for _, array in named)]), pa.int32()),
        pa.array(flat, pa.float64(), mask=np.isnan(flat)),
        type=item.field("values").type,
    )
    columns = [
        pa.array([name for name, _ in named], item.field("name").type),
        pa.array([list(array.shape) for _, array in named], item.field("shape").type),
        values,
    ]
    inside = pa.StructArray.from_arrays(columns, fields=[item.field(one) for one in ("name", "shape", "values")])
    ends = np.cumsum([0, *(len(row) for row in rows)])
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), inside, type=kind)
