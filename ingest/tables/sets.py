"""The feature set and the profile set that an import fills, and which plates have rows in them already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from ...errors import AlreadyExistsError
from ...schemas.identifiers import check_id
from ...schemas.tables import class_schema
from ...store.current import newest_runs
from ...store.registry import FeatureSet, ProfileSet, Registration, register, register_profiles
from ...store.scan import live_files
from ...store.tables import bare
from .contract import SourceTable

if TYPE_CHECKING:
    from ...store.root import LakeRoot

_ROWS = {"object": "ObjectRow", "field": "ProfileRow", "well": "ProfileRow", "treatment": "TreatmentRow"}
_LEVELS = ("field", "well", "treatment")


class Sets:
    """Where the tables of an import go.

    Parameters
    ----------
    mapping, pipeline
        SHA-256 of the files that say what the columns mean and how they were made.
    tables
        All tables of the import: their objects and levels are part of the definitions.
    existing
        ``error``, ``skip`` or ``replace``.
    """

    def __init__(
        self,
        root: LakeRoot,
        *,
        study_id: str,
        dialect: str,
        name: str,
        mapping: str | None,
        pipeline: str | None,
        precision: str,
        tables: Sequence[SourceTable],
        existing: Literal["error", "skip", "replace"],
        run_id: str,
    ) -> None:
        self._root = root
        self._study_id = study_id
        self._run_id = run_id
        self._precision = precision
        self._there: dict[str, set[str | None]] = {}
        self.existing = existing
        #: Plates of which a table has rows and keeps them, None for treatments, in the order in which they came.
        self._left: dict[str, None] = {}
        name = check_id(name, "feature set")
        imported: dict[str, Any] = {"dialect": dialect, "name": name, "mapping": mapping, "pipeline": pipeline}
        objects = list(dict.fromkeys(table.object_set for table in tables if table.object_set is not None))
        levels = [level for level in _LEVELS if any(table.level == level for table in tables)]
        self.features: Registration[FeatureSet] | None = None
        self.profiles: Registration[ProfileSet] | None = None
        if objects:
            # 64-bit features are another table: a column has one type.
            how = imported if precision == "float32" else imported | {"precision": precision}
            definition: dict[str, Any] = {"imported": how, "objects": {one: {} for one in objects}}
            self.features = register(root, name, definition, recipe_text=None, run_id=run_id)
        if levels:
            definition = {"imported": imported, "levels": levels}
            self.profiles = register_profiles(root, name, definition, levels=levels, recipe_text=None, run_id=run_id)

    @property
    def feature_label(self) -> str | None:
        """Label of the feature set, where objects are imported."""
        return self.features.set.label if self.features else None

    @property
    def profile_label(self) -> str | None:
        """Label of the profile set, where fields, wells or treatments are imported."""
        return self.profiles.set.label if self.profiles else None

    def other_studies(self) -> list[str]:
        """Return the other studies whose rows are in the same sets: made alike, as far as anybody has said."""
        found: set[str] = set()
        for registration in (self.features, self.profiles):
            if registration is not None and not registration.is_new:
                for part in registration.set.parts:
                    found |= set(newest_runs(self._root, registration.set.table(part)))
        return sorted(found - {self._study_id})

    @property
    def skipped(self) -> list[str]:
        """What was left as it is, as ``table: plate``."""
        return list(self._left)

    def hash_of(self, table: SourceTable) -> str:
        """Return the hash of the set that a table goes into."""
        one = self.features if table.level == "object" else self.profiles
        assert one is not None
        return one.set.hash

    def table_of(self, table: SourceTable) -> str:
        """Return the name of the lake's table that a table goes into."""
        if table.object_set is not None:
            assert self.features is not None
            return self.features.set.table(table.object_set)
        assert self.profiles is not None
        return self.profiles.set.table(table.level)

    def value_type(self, table: SourceTable) -> pa.DataType:
        """Return the type of a table's features: profiles are always 64 bits."""
        return pa.float32() if table.level == "object" and self._precision == "float32" else pa.float64()

    def leaves_out(self, target: str, plate_id: str | None) -> bool:
        """Whether rows of a plate (None: treatments) are to be left out because the table has some already.

        Raises
        ------
        AlreadyExistsError
            It has some, and nobody said what to do then.
        """
        if plate_id not in self._plates_in(target) or self.existing == "replace":
            return False
        what = f"plate {plate_id}" if plate_id is not None else "treatments"
        if self.existing == "error":
            raise AlreadyExistsError(
                f"{what} of study {self._study_id} has rows in {target} already; nothing was imported",
                hint="Use --existing skip or --existing replace, or give the import another --name. Files of one plate "
                "are imported together: name all of them.",
            )
        self._left[f"{target}: {what}"] = None
        return True

    def _plates_in(self, target: str) -> set[str | None]:
        if target not in self._there:
            self._there[target] = _plates_in(self._root, target, self._study_id)
        return self._there[target]

    def complete(self, table: SourceTable, rows: pa.Table, values: pa.Table) -> pa.Table:
        """Return rows as they are stored: identity and features."""
        identity = bare(class_schema(_ROWS[table.level]))
        constant = {"study_id": self._study_id, "run_id": self._run_id}
        columns: list[Any] = []
        for one in identity:
            if one.name in constant:
                columns.append(pa.repeat(pa.scalar(constant[one.name]), values.num_rows))
            elif one.name in rows.column_names:
                columns.append(rows[one.name].cast(one.type))
            else:
                columns.append(pa.nulls(values.num_rows, one.type))
        return pa.table([*columns, *values.columns], schema=pa.schema([*identity, *values.schema]))


def _plates_in(root: LakeRoot, target: str, study_id: str) -> set[str | None]:
    """Return the plates of which a table has rows of a study; {None} for a table of treatments that has some.

    Most files hold one plate, which the log tells; only of others the column is read.
    """
    if not root.tables.exists(target):
        return set()
    delta = root.tables.open(target)
    files = [file for file in live_files(delta) if file.partition_values.get("study_id") == study_id]
    if "plate_id" not in root.tables.schema(target).names:
        return {None} if files else set()
    bounds = [file.stats.get("plate_id") for file in files]
    if all(entry is not None and entry[0] == entry[1] and entry[2] == 0 for entry in bounds):
        return {entry[0] for entry in bounds if entry is not None}
    rows = root.tables.read(target, columns=["plate_id"], where={"study_id": study_id})
    return set(rows["plate_id"].unique().to_pylist())
