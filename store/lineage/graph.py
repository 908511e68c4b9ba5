"""The graph that lineage is: nodes with facts, and edges from what was made to what it was made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

#: What :meth:`Graph.result` gives: ``nodes`` and ``edges``, and what the caller adds.
Result = dict[str, Any]


@dataclass(slots=True)
class Graph:
    """Nodes by id, ``kind:name``, and edges; relations are those of PROV.

    ``was_derived_from``, ``was_generated_by``, ``used`` and ``part_of`` say how a thing came to be; ``had_member``
    leads from a release to what it pins, ``was_influenced_by`` from rows to what changed them and is not their
    source.
    """

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    edges: dict[tuple[str, str, str], None] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)

    def node(self, kind: str, name: str, **facts: Any) -> str:
        """Add a node, or facts to one that is there; return its id."""
        identifier = f"{kind}:{name}"
        known = self.nodes.setdefault(identifier, {"id": identifier, "kind": kind, "name": name})
        known.update({key: _plain(value) for key, value in facts.items() if value is not None})
        return identifier

    def edge(self, source: str, target: str, relation: str) -> None:
        """Say that ``source`` was made from, by or with ``target``."""
        self.edges[source, target, relation] = None

    def generated(self, node: str, run_id: str) -> str:
        """Say which run made a node; return the node."""
        self.edge(node, self.node("run", run_id), "was_generated_by")
        return node

    def note(self, text: str) -> None:
        """Say, once, what the graph leaves open."""
        self.notes[text] = None

    def result(self) -> Result:
        """Return plain values."""
        edges = [{"from": source, "to": target, "relation": relation} for source, target, relation in self.edges]
        notes = {"notes": list(self.notes)} if self.notes else {}
        return {"nodes": list(self.nodes.values()), "edges": edges, **notes}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
