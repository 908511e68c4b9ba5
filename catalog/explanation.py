"""Why a question opens the files that it opens, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .constraints import Constraint
from .planner import Plan
from .relations import IMAGE_KEY, WELL_KEY, AttachedRelation, Relation, SetView
from .semijoin import in_words

if TYPE_CHECKING:
    from ..store.root import LakeRoot
    from .result import TableScan
    from .statement import Statement

_COLUMNS = ("relation", "table", "version", "files_considered", "files_pruned", "files_opened")
FROM_LOG = "answered from the log"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What was known of a question's relations when its files were chosen.

    Attributes
    ----------
    relations
        What the question names, in lower case.
    from_log
        Whether the log alone answers it.
    """

    root: LakeRoot
    statement: Statement
    relations: Mapping[str, Relation]
    plan: Plan
    from_log: bool = False

    def of(self, scans: tuple[TableScan, ...]) -> dict[str, Any]:
        """Return ``scans``, each with ``because``, and ``macros``, the public definitions of the library in use."""
        return {
            "scans": [
                {name: getattr(scan, name) for name in _COLUMNS}
                | {"relation": self._relation(scan), "because": self._because(scan)}
                for scan in scans
            ],
            "macros": sorted(one.name for one in self.statement.definitions if one.is_public),
        }

    def _relation(self, scan: TableScan) -> str:
        """Return what reads a table: a view goes by its own name."""
        owner = self._owner(scan)
        return owner[1].name if owner is not None and scan.relation == scan.table else scan.relation

    def _because(self, scan: TableScan) -> str:
        if scan.version is None:
            return "nothing has been written to it"
        owner = self._owner(scan)
        if owner is None:
            return FROM_LOG if self.from_log else "nothing known"
        name, relation = owner
        chosen_by = self._chosen_by(scan, relation)
        known = in_words({column: bound for column, bound in self._constraint(name).items() if column in chosen_by})
        if self.from_log and scan.files_opened:
            return "which wells are excluded"
        if self.from_log:
            return f"{FROM_LOG}, {known}" if known else FROM_LOG
        return known or f"nothing known: {self._reason(name)}"

    def _constraint(self, name: str) -> Constraint:
        return {} if name in self.statement.opaque else self.plan.constraints.get(name, {})

    def _reason(self, name: str) -> str:
        if name in self.statement.opaque:
            return "a macro or a hidden view may read all of it"
        constraint = self._constraint(name)
        if constraint:
            return f"files cannot be chosen by {', '.join(constraint)}"
        return self.plan.reasons.get(name, "its uses have no condition in common")

    def _owner(self, scan: TableScan) -> tuple[str, Relation] | None:
        """Return the relation of the question for which a table is read."""
        for name, relation in self.relations.items():
            if scan.relation == relation.name or scan.relation.endswith(f" of {relation.name}"):
                return name, relation
        for name, relation in self.relations.items():
            if isinstance(relation, SetView) and scan.table in relation.members:
                return name, relation
        return None

    def _chosen_by(self, scan: TableScan, relation: Relation) -> set[str]:
        """Return the columns by which files of a table can be chosen, in lower case."""
        if scan.relation.startswith("wells of "):
            return set(WELL_KEY)
        if scan.relation.startswith("images of "):
            return set(IMAGE_KEY)
        if isinstance(relation, AttachedRelation):
            return {name.lower() for name in relation.schema.names}
        from ..store.datafiles import statistics_columns

        key = self.root.tables.key(scan.table)
        found = {name.lower() for name in statistics_columns(relation.schema, key=key)}
        # Conditions on what a view takes from wells say which plates.
        return found | set(relation.well_columns) if isinstance(relation, SetView) else found
