"""The reference of macros and views, ``docs/reference/macros.md``, made from the library itself.

``python -m cytolake.catalog.reference`` prints the page; a test compares it with the one that is there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from .library import Definition, library

COMMAND = "python -m cytolake.catalog.reference > docs/reference/macros.md"
#: File of definitions → what it is about; the others stand behind these under their own names.
_GROUPS = {
    "views": "Wells, treatments, features",
    "harmonise": "Perturbations across studies",
    "distributions": "Distributions",
    "effects": "Effects",
    "meta": "Meta-analysis",
    "similarity": "Similarity",
    "activity": "Activity",
}
_INTRODUCTION = f"""\
<!-- Made from catalog/macros/*.sql; do not edit, run `{COMMAND}`. -->

# Macros and views

What SQL can say in a lake beyond DuckDB. `cytolake catalog macros` lists it, `cytolake catalog macros NAME` shows one.

- A **view** is used by its name: `FROM controls`.
- A **table** macro is used in FROM. A parameter that stands for rows takes the name of a table, of a view, or of a
  common table expression of your question: `FROM well_profiles(nuclei)`.
- A **scalar** macro is an expression of one row; an **aggregate** macro is one of many rows, used with GROUP BY.
- Parameters with `:=` have a default, and are given by name: `well_profiles(nuclei, statistic := 'mean')`.
"""


def reference() -> str:
    """Return the page as Markdown."""
    shown = [one for one in library().values() if one.is_public]
    groups = list(dict.fromkeys([*_GROUPS, *(one.group for one in shown)]))
    parts = [_INTRODUCTION]
    for group in groups:
        own = [one for one in shown if one.group == group]
        if own:
            parts.append(f"## {_GROUPS.get(group, group.capitalize())}\n")
            parts.extend("\n".join(_entry(one)) for one in own)
    return "\n".join(parts)


def _entry(one: Definition) -> Iterator[str]:
    yield f"### `{one.signature}`\n"
    yield f"*{one.kind}*  {one.about}\n"
    if one.columns:
        yield "| column | is |\n|---|---|"
        yield from (f"| `{name}` | {meaning} |" for name, meaning in one.columns.items())
        yield ""
    if one.source:
        yield f"Source: {one.source}\n"
    if one.example:
        yield f"```sql\n{one.example}\n```\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
