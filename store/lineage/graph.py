"""The graph that lineage is: nodes with facts, and edges from what was made to what it was made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(slots=True)
class Graph:
    """Nodes by id, and edges from what was made to what it was made from."""

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    edges: dict[tuple[str, str, str], None] = field(default_factory=dict)

    def node(self, kind: str, name: str, **facts: Any) -> str:
        identifier = f"{kind}:{name}"
        known = self.nodes.setdefault(identifier, {"id": identifier, "kind": kind, "name": name})
        known.update({key: _plain(value) for key, value in facts.items() if value is not None})
        return identifier

    def edge(self, source: str, target: str, relation: str) -> None:
        self.edges[source, target, relation] = None

    def result(self) -> dict[str, list[dict[str, Any]]]:
        edges = [{"from": source, "to": target, "relation": relation} for source, target, relation in self.edges]
        return {"nodes": list(self.nodes.values()), "edges": edges}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
