"""What the columns of a table of features are: what identifies a row, what is known of it, and what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from ..errors import InvalidDataError
from ..schemas.tables import arrow_schema, class_schema
from ..wording import listed
from .relations import FEATURE_SET, PIXEL_COLUMNS, PROFILE_SET

if TYPE_CHECKING:
    import pyarrow as pa

Layout = Literal["pycytominer", "plain"]
LAYOUTS: tuple[Layout, ...] = ("pycytominer", "plain")

#: Columns that identify a row, in the order in which rows and columns are handed out.
IDENTITY = (
    "study_id",
    "plate_id",
    "well_id",
    "acquisition_id",
    "field_id",
    "timepoint",
    "object_set",
    "object_id",
    "treatment",
)
#: What pycytominer, CytoTable and copairs call a column; every other one that is no feature is ``Metadata_<name>``.
METADATA_NAMES = {
    "study_id": "Metadata_Study",
    "plate_id": "Metadata_Plate",
    "well_id": "Metadata_Well",
    "field_id": "Metadata_Site",
    "acquisition_id": "Metadata_Acquisition",
    "timepoint": "Metadata_Timepoint",
    "object_id": "Metadata_ObjectNumber",
    "parent_id": "Metadata_Parent_ObjectNumber",
    "n_objects": "Metadata_Object_Count",
}
_PREFIX = "Metadata_"


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table by what they are, each in order."""

    identity: tuple[str, ...]
    annotation: tuple[str, ...]
    features: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All of them: identity, annotation, features."""
        return (*self.identity, *self.annotation, *self.features)

    def renamed(self, layout: Layout) -> dict[str, str]:
        """Return column → its name in a layout.

        Raises
        ------
        InvalidDataError
            Two columns would have one name.
        """
        if layout == "plain":
            return {name: name for name in self.names}
        found = {name: METADATA_NAMES.get(name, f"{_PREFIX}{name}") for name in (*self.identity, *self.annotation)}
        found |= {name: name for name in self.features}
        twice = sorted({name for name in found.values() if list(found.values()).count(name) > 1})
        if twice:
            raise InvalidDataError(
                f"two columns would be called {listed(twice, 5)}",
                hint="write them under their own names with --layout plain",
            )
        return found


def classify(schema: pa.Schema) -> Columns:
    """Sort columns: a feature is a number with a fraction that is none of the columns that every lake has."""
    import pyarrow as pa

    known = _known()
    features = [one.name for one in schema if pa.types.is_floating(one.type) and one.name not in known]
    identity = [name for name in IDENTITY if name in schema.names]
    rest = [name for name in schema.names if name not in {*features, *identity}]
    return Columns(tuple(identity), tuple(rest), tuple(features))


@cache
def _known() -> frozenset[str]:
    """Return the columns that identify and describe rows of features and profiles, in tables and in views."""
    declared = (class_schema(name) for name in ("ObjectRow", "ProfileRow", "TreatmentRow"))
    wells = arrow_schema("wells")
    return frozenset(
        {*IDENTITY, FEATURE_SET, PROFILE_SET, *PIXEL_COLUMNS, *wells.names, *(n for one in declared for n in one.names)}
    )


def compartments(features: Sequence[str]) -> list[str]:
    """Return what stands before the first underscore of features, as pycytominer wants its ``compartments``."""
    return sorted({name.partition("_")[0] for name in features if "_" in name})
