"""The names that a question may use: the lake's tables, and one view of current features per object set.

``wells``, ``plates`` and so on are tables; ``"features/<name>/<hash8>/<object set>"`` is one feature table; ``nuclei``,
``cells`` and every other object set is a view: for each study the rows of its current feature set, joined to the
well that each object lies in and to its image's pixel size, without the objects of excluded wells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import QueryError
from ..schemas.tables import TABLES, class_schema
from ..wording import nearest
from .moment import Moment

if TYPE_CHECKING:
    import pyarrow as pa

    from ..store.registry import FeatureSet

#: How table names of features start.
FEATURES = "features/"
#: What the views take from ``wells``, behind the identity of the object.
WELL_COLUMNS = (
    "perturbation",
    "compound",
    "concentration_um",
    "gene",
    "control_type",
    "replicate",
    "excluded",
)
#: What the views take from ``images``: areas in pixels become µm² by it.
PIXEL_COLUMNS = ("pixel_size_x_um", "pixel_size_y_um")
#: The column of a view that says by which definition a row was made: ``name@version``.
FEATURE_SET = "feature_set"
#: The columns by which an object finds its image.
IMAGE_KEY = ("study_id", "plate_id", "acquisition_id", "well_id", "field_id")
#: The columns by which an object finds its well.
WELL_KEY = ("study_id", "plate_id", "well_id")
#: Object sets that the shipped recipes make; named in hints before any of them exists.
_USUAL_OBJECT_SETS = ("nuclei", "cells", "cytoplasm")


@dataclass(frozen=True, slots=True)
class TableRelation:
    """One Delta table under its own name."""

    name: str
    schema: pa.Schema


@dataclass(frozen=True, slots=True)
class ObjectView:
    """The current features of one object set across studies.

    Attributes
    ----------
    members
        Feature table → the studies whose current feature set it holds.
    labels
        Feature table → ``name@version`` of its feature set.
    feature_sets
        Study → ``name@version`` of its current feature set.
    """

    name: str
    schema: pa.Schema
    members: dict[str, frozenset[str]]
    labels: dict[str, str]
    feature_sets: dict[str, str]


Relation = TableRelation | ObjectView


class Relations:
    """Finds relations by name, ignoring case, at one moment of a lake."""

    def __init__(self, moment: Moment) -> None:
        self.moment = moment
        self._sets: list[FeatureSet] | None = None

    def find(self, name: str) -> Relation | None:
        """Return the relation of a name, None where there is none."""
        lowered = name.lower()
        if lowered in TABLES:
            return TableRelation(lowered, self.moment.schema(lowered))
        if lowered.startswith(FEATURES):
            for table in self.feature_tables():
                if table.lower() == lowered:
                    return TableRelation(table, self.moment.schema(table))
            return None
        for object_set in self.object_sets():
            if object_set.lower() == lowered:
                return self._view(object_set)
        return None

    def get(self, name: str) -> Relation:
        """Return the relation of a name.

        Raises
        ------
        QueryError
            There is none; says what was probably meant.
        """
        found = self.find(name)
        if found is not None:
            return found
        if name.lower() in _USUAL_OBJECT_SETS:
            raise QueryError(
                f"there is no table {name!r} yet: no plate has features of that object set",
                hint="compute them with `cytolake transform`",
            )
        guess = nearest(name, self.names())
        raise QueryError(
            f"there is no table {name!r}",
            hint=f"did you mean {guess!r}?" if guess else "list tables with `cytolake catalog tables`",
        )

    def names(self) -> list[str]:
        """Return every name: tables, views, feature tables."""
        return [*TABLES, *self.object_sets(), *self.feature_tables()]

    def feature_tables(self) -> list[str]:
        """Return the names of all feature tables, sorted."""
        return [name for name in self.moment.root.tables.names() if name.startswith(FEATURES)]

    def object_sets(self) -> list[str]:
        """Return the names of all object sets that have been registered, sorted."""
        found = {name for one in self._registered() for name in one.object_sets}
        return sorted(name for name in found if name.lower() not in TABLES)

    def current(self, object_set: str) -> dict[str, FeatureSet]:
        """Return, for an object set, study → the feature set that its view shows.

        That is the one whose rows of that study the newest run wrote, so that a recipe that is run once more is shown
        again; run identifiers sort by time, and the log has their bounds. It is one feature set per study: two would
        show every object twice.
        """
        shown: dict[str, tuple[str, FeatureSet]] = {}
        for one in self._registered():  # oldest first: among equals the one that was registered last
            if object_set not in one.object_sets:
                continue
            for study, run in self.moment.newest(one.table(object_set), "study_id", "run_id").items():
                if study not in shown or run >= shown[study][0]:
                    shown[study] = (run, one)
        return {study: one for study, (_, one) in shown.items()}

    def _registered(self) -> list[FeatureSet]:
        if self._sets is None:
            self._sets = self.moment.feature_sets()
        return self._sets

    def _view(self, object_set: str) -> ObjectView:
        import pyarrow as pa

        members: dict[str, set[str]] = {}
        labels = {}
        current = self.current(object_set)
        for study, one in current.items():
            members.setdefault(one.table(object_set), set()).add(study)
            labels[one.table(object_set)] = one.label
        wells, images = self.moment.schema("wells"), self.moment.schema("images")
        identity = class_schema("ObjectRow")
        fields = {field.name: field for field in identity if field.name != "run_id"}
        fields.update((name, wells.field(name)) for name in WELL_COLUMNS)
        fields[FEATURE_SET] = pa.field(FEATURE_SET, pa.string())
        fields.update((name, images.field(name)) for name in PIXEL_COLUMNS)
        fields["run_id"] = identity.field("run_id")
        for table in members:
            for field in self.moment.schema(table):
                fields.setdefault(field.name, field)
        return ObjectView(
            object_set,
            pa.schema(list(fields.values())),
            {table: frozenset(studies) for table, studies in members.items()},
            labels,
            {study: one.label for study, one in current.items()},
        )
