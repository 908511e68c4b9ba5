"""The names that a question may use: the lake's tables, and views of what is current in each study.

``wells``, ``plates`` and so on are tables; ``"features/<name>/<hash8>/<object set>"`` is one feature table and
``"profiles/<name>/<hash8>/<level>"`` one table of profiles. ``nuclei``, ``cells`` and every other object set is a view:
for each study the rows of its current feature set, joined to the well that each object lies in and to its image's
pixel size, without the objects of excluded wells. ``profiles`` (of wells), ``field_profiles`` and
``treatment_profiles`` are the like for each study's current profile set.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import QueryError
from ..schemas.tables import TABLES
from ..wording import nearest
from .library import library
from .moment import Moment

if TYPE_CHECKING:
    import pyarrow as pa

    from ..store.registry import DefinedSet

#: How table names of features and of profiles start.
FEATURES = "features/"
PROFILES = "profiles/"
#: View of profiles → the level of its rows.
PROFILE_VIEWS = {"profiles": "well", "field_profiles": "field", "treatment_profiles": "treatment"}
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
PROFILE_SET = "profile_set"
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
class SetView:
    """The current features of one object set, or the current profiles of one level, across studies.

    Attributes
    ----------
    kind, part
        ``features`` and the object set, or ``profiles`` and the level.
    members
        Table → the studies whose current set it holds.
    labels
        Table → ``name@version`` of its set.
    sets
        Study → ``name@version`` of its current set.
    """

    name: str
    kind: str
    part: str
    schema: pa.Schema
    members: dict[str, frozenset[str]]
    labels: dict[str, str]
    sets: dict[str, str]

    @property
    def label_column(self) -> str:
        """The column that says by which set a row was made."""
        return FEATURE_SET if self.kind == "features" else PROFILE_SET

    @property
    def well_columns(self) -> tuple[str, ...]:
        """What is taken from ``wells``; treatments have what they need of it in their own table."""
        return () if self.part == "treatment" and self.kind == "profiles" else WELL_COLUMNS

    @property
    def pixel_columns(self) -> tuple[str, ...]:
        """What is taken from ``images``."""
        return PIXEL_COLUMNS if self.kind == "features" else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedRelation:
    """A table of somebody else's, at the version that a question reads."""

    name: str
    url: str
    version: int | None
    schema: pa.Schema


Relation = TableRelation | SetView | AttachedRelation


def library_views() -> list[str]:
    """Return the views that are defined in SQL over the others."""
    return [one.name for one in library().values() if one.kind == "view" and one.is_public]


class Relations:
    """Finds relations by name, ignoring case, at one moment of a lake."""

    def __init__(self, moment: Moment) -> None:
        self.moment = moment
        self._sets: dict[str, list[DefinedSet]] = {}
        self._chosen: dict[tuple[str, str, str], str] | None = None

    def find(self, name: str) -> Relation | None:
        """Return the relation of a name, None where there is none."""
        lowered = name.lower()
        if lowered in TABLES:
            return TableRelation(lowered, self.moment.schema(lowered))
        if lowered.startswith((FEATURES, PROFILES)):
            for table in self.set_tables():
                if table.lower() == lowered:
                    return TableRelation(table, self.moment.schema(table))
            return None
        for object_set in self.object_sets():
            if object_set.lower() == lowered:
                return self._view(object_set, "features", object_set)
        if lowered in PROFILE_VIEWS:
            return self._view(lowered, "profiles", PROFILE_VIEWS[lowered])
        return self._attached(name)

    def get(self, name: str) -> Relation:
        """Return the relation of a name.

        Raises
        ------
        QueryError
            There is none; says what was probably meant. Or it means two: a table was attached by the name of an object
            set that came later.
        """
        found = self.find(name)
        if found is not None:
            self._check_is_one(found)
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

    def _check_is_one(self, found: Relation) -> None:
        if isinstance(found, SetView):
            for row in self.moment.rows("attached_tables"):
                if row["name"].lower() == found.name.lower():
                    raise QueryError(
                        f"{found.name!r} means two: the view of this lake, and what is attached from {row['url']}",
                        hint=f"attach it by another name: `cytolake catalog detach {row['name']}`, then "
                        f"`cytolake catalog attach {row['url']} --name NAME`",
                    )

    def names(self) -> list[str]:
        """Return every name: tables, views, tables of features and profiles."""
        attached = [row["name"] for row in self.moment.rows("attached_tables")]
        return [*TABLES, *self.object_sets(), *PROFILE_VIEWS, *library_views(), *attached, *self.set_tables()]

    def set_tables(self) -> list[str]:
        """Return the names of all tables of features and of profiles, sorted."""
        return [name for name in self.moment.root.tables.names() if name.startswith((FEATURES, PROFILES))]

    def object_sets(self) -> list[str]:
        """Return the names of all object sets that have been registered, sorted."""
        found = {part for one in self._registered("features") for part in one.parts}
        return sorted(name for name in found if name.lower() not in {*TABLES, *PROFILE_VIEWS, *library_views()})

    def current(self, kind: str, part: str) -> dict[str, DefinedSet]:
        """Return, for an object set or a level, study → the set that its view shows.

        The rule is that of :mod:`..store.current`, at this moment of the lake.
        """
        from ..store.current import shown

        if self._chosen is None:
            rows = self.moment.rows("current_sets")
            self._chosen = {(row["kind"], row["part"], row["study_id"]): row["hash"] for row in rows}
        return shown(self._registered(kind), part, self.moment.newest_runs, self._chosen)

    def _registered(self, kind: str) -> list[DefinedSet]:
        if kind not in self._sets:
            self._sets[kind] = self.moment.registered(kind)
        return self._sets[kind]

    def _attached(self, name: str) -> AttachedRelation | None:
        from .foreign import find_attached

        return find_attached(self.moment, name)

    def _view(self, name: str, kind: str, part: str) -> SetView:
        import pyarrow as pa

        members: dict[str, set[str]] = {}
        labels = {}
        current = self.current(kind, part)
        for study, one in current.items():
            members.setdefault(one.table(part), set()).add(study)
            labels[one.table(part)] = one.label
        view = SetView(
            name,
            kind,
            part,
            pa.schema([]),
            {table: frozenset(studies) for table, studies in members.items()},
            labels,
            {study: one.label for study, one in current.items()},
        )
        wells, images = self.moment.schema("wells"), self.moment.schema("images")
        identity = self.moment.identity(kind, part)
        fields = {field.name: field for field in identity if field.name != "run_id"}
        fields.update((column, wells.field(column)) for column in view.well_columns)
        fields[view.label_column] = pa.field(view.label_column, pa.string())
        fields.update((column, images.field(column)) for column in view.pixel_columns)
        fields["run_id"] = identity.field("run_id")
        for table in members:
            for field in self.moment.schema(table):
                fields.setdefault(field.name, field)
        return replace(view, schema=pa.schema(list(fields.values())))
