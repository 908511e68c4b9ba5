"""What is made from the wells of several plates, and is of none of them: treatments, curves of dose and response."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .registry import ProfileSet, profile_sets

if TYPE_CHECKING:
    from .root import LakeRoot

_CURVES = "dose_responses"


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """Rows of a study that wells of a plate have a share in.

    Attributes
    ----------
    set
        The profile set whose wells they are made from.
    alone
        Whether the study has wells of no other plate in it.
    table, where
        Where the rows are: column → value.
    """

    set: ProfileSet
    alone: bool
    table: str
    where: Mapping[str, str]


def made_of_plate(root: LakeRoot, study_id: str, plate_id: str) -> Iterator[Derived]:
    """Give the treatments and curves of profile sets that were made from the wells of a plate, among others."""
    study = {"study_id": study_id}
    for one in profile_sets(root):
        if not root.tables.exists(one.table("well")):
            continue
        wells = root.tables.read(one.table("well"), columns=["plate_id"], where=study)
        there = set(wells["plate_id"].to_pylist())
        if plate_id not in there:
            continue
        for name, where in ((one.table("treatment"), study), (_CURVES, study | {"profile_set_hash": one.hash})):
            if root.tables.exists(name) and root.tables.read(name, columns=["study_id"], where=where).num_rows:
                yield Derived(set=one, alone=there == {plate_id}, table=name, where=where)
