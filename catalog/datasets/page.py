"""The card for people: a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...wording import listed

_SHOWN = 12
_CLASSES = 40


def page_of(card: Mapping[str, Any]) -> str:
    """Return the page of a card."""
    parts = [
        f"# {card['name']}",
        card["description"] or "",
        _what(card),
        "## Splits",
        _splits(card),
        *(part for name, label in card["labels"].items() for part in _label(name, label, card)),
        "## Leakage",
        _leakage(card),
        "## Missing values",
        _missing(card),
        "## Studies and terms of use",
        _studies(card),
        "## What it was made from",
        _pins(card),
        "## How to load it",
        _load(card),
        "## How to cite it",
        _cite(card),
    ]
    if card["warnings"]:
        parts[3:3] = ["## Warnings", "\n".join(f"- {one}" for one in card["warnings"])]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(_cell(one) for one in row)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value).replace("|", "\\|").replace("\n", " ")


def _what(card: Mapping[str, Any]) -> str:
    rows = sum(one["rows"] for one in card["splits"].values())
    features = card["features"]
    return (
        f"{rows:,} rows of level *{card['level']}* from `{card['source']}`, {len(features['names']):,} features "
        f"({features['dtype']}), of the lake {card['lake']} as of {card['as_of']}.\n\n"
        f"Logical hash: `{card['sha256']}`"
    )


def _splits(card: Mapping[str, Any]) -> str:
    told = [one for one in ("study", "plate", "compound", "gene", "donor", "cell_line") if _has(card, one)]
    header = ("split", "rows", f"groups by {card['split']['by']}", *(_words(one) for one in told))
    rows = [
        (name, one["rows"], one["groups"], *(one[what]["count"] for what in told))
        for name, one in card["splits"].items()
    ]
    parts = [_table(header, rows)]
    for what in ("study", "cell_line", "donor", "plate"):
        if what in told:
            lines = [
                f"- {name}: {listed(one[what]['values'], _SHOWN)}"
                for name, one in card["splits"].items()
                if one[what]["values"]
            ]
            if lines:
                parts.append(f"{_words(what).capitalize()}:\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def _has(card: Mapping[str, Any], what: str) -> bool:
    return any(one.get(what, {}).get("count") for one in card["splits"].values())


def _words(what: str) -> str:
    return {"study": "studies", "cell_line": "cell lines"}.get(what, f"{what}s")


def _label(name: str, label: Mapping[str, Any], card: Mapping[str, Any]) -> list[str]:
    parts = [f"## Label `{name}`"]
    if "vocabulary" in label:
        when = f"as of {label['as_of']}" if label["as_of"] else "as of the version of the table"
        conflicts = label["conflicts"]
        parts.append(
            f"Labels of the vocabulary `{label['vocabulary']}` given to each {label['level']}, {when}; "
            f"where annotators disagree: {conflicts['rule']} ({conflicts['rows']:,} rows)."
        )
    splits = list(card["splits"])
    if "classes" not in label:
        rows = [(split, *(label["rows"][split].get(one) for one in ("rows", "min", "mean", "max"))) for split in splits]
        return [*parts, _table(("split", "rows", "smallest", "mean", "largest"), rows)]
    known = list(dict.fromkeys(one for split in splits for one in label["rows"][split]))
    known.sort(key=lambda one: -sum(label["rows"][split].get(one, 0) for split in splits))
    rows = [(one, *(label["rows"][split].get(one, 0) for split in splits)) for one in known[:_CLASSES]]
    parts.append(_table(("class", *splits), rows))
    if len(known) > _CLASSES:
        parts.append(f"... and {len(known) - _CLASSES:,} more, which `card.json` lists.")
    return parts


def _leakage(card: Mapping[str, Any]) -> str:
    leakage = card["leakage"]
    lines = [f"No group by {card['split']['by']} lies in two splits."]
    found = leakage["found"]
    apart = [one for one in leakage["checked"] if one not in found]
    lines.append(f"Kept apart: {listed(apart, 12)}." if apart else "Nothing else is kept apart.")
    if found:
        rows = [
            (name, one["values"], listed([example["value"] for example in one["examples"]], 5))
            for name, one in found.items()
        ]
        lines.append("The same value lies in more than one split:\n\n" + _table(("of", "values", "such as"), rows))
    lines += [f"{one}." for one in leakage["fitted_across"]]
    return "\n\n".join(lines)


def _missing(card: Mapping[str, Any]) -> str:
    missing = card["missing"]
    said = f"{missing['share']:.2%} of all values; {missing['features_with_any']:,} features lack some."
    worst = missing["worst_features"]
    parts = [said]
    if worst:
        parts.append(_table(("feature", "missing"), [(one["feature"], f"{one['share']:.1%}") for one in worst]))
    if missing["worst_plates"]:
        rows = [(one["plate"], f"{one['share']:.1%}") for one in missing["worst_plates"]]
        parts.append(_table(("plate", "missing"), rows))
    if card["features"]["left_out"]:
        parts.append(f"Left out, because no row has a value: {listed(card['features']['left_out'], _SHOWN)}.")
    return "\n\n".join(parts)


def _studies(card: Mapping[str, Any]) -> str:
    rows = [
        (
            one["study_id"],
            one["title"],
            one["licence"] or "not stated",
            ", ".join(one["data_use"] or ()) or "none stated",
            one["access_level"] or "not stated",
            one["consent_reference"],
        )
        for one in card["studies"]
    ]
    return _table(("study", "title", "licence", "data use (DUO)", "access", "consent"), rows)


def _pins(card: Mapping[str, Any]) -> str:
    parts = [
        _table(
            ("table", "version", "rows"), [(n, str(v), card["table_rows"].get(n)) for n, v in card["versions"].items()]
        )
    ]
    if card["sets"]:
        parts.append(_table(("set", "hash"), [(one["label"], f"`{one['hash']}`") for one in card["sets"]]))
    if card["made_by"]:
        parts.append(f"Rows were made by {listed(card['made_by'], _SHOWN)}.")
    software = ", ".join(f"{name} {version}" for name, version in card["software"].items())
    parts.append(f"The data set was made by {software}.")
    return "\n\n".join(parts)


def _load(card: Mapping[str, Any]) -> str:
    first = next(iter(card["splits"]))
    label = next(iter(card["labels"]), None)
    if card["format"] == "anndata":
        code = f'import anndata\n\n{_word(first)} = anndata.read_h5ad("{first}.h5ad")\nX = {_word(first)}.X'
        code += f'\ny = {_word(first)}.obs["{label}"]' if label else ""
    elif card["format"] == "numpy":
        y = "y.npy" if len(card["labels"]) == 1 else f"y-{label}.npy"
        code = f'import numpy as np\n\nX = np.load("{first}/X.npy", mmap_mode="r")'
        code += f'\ny = np.load("{first}/{y}")' if label else ""
        code += (
            "\n\n`features.json` names the columns of X, `labels.json` the codes of y, `rows.parquet` says which rows"
        )
        body, _, more = code.partition("\n\n`features")
        return f"```python\n{body}\n```\n\n`features{more} these are."
    else:
        path = first if f"{first}/part-00000.parquet" in {one["path"] for one in card["files"]} else f"{first}.parquet"
        code = (
            f'import json\n\nimport pandas as pd\n\nfeatures = json.load(open("card.json"))["features"]["names"]\n'
            f'{_word(first)} = pd.read_parquet("{path}")\nX = {_word(first)}[features].to_numpy()'
        )
        code += f'\ny = {_word(first)}["{label}"]' if label else ""
    return f"```python\n{code}\n```"


def _word(name: str) -> str:
    return name if name.isidentifier() else "rows"


def _cite(card: Mapping[str, Any]) -> str:
    lines = [f"{card['name']}, data set of the lake {card['lake']} as of {card['as_of']}, sha256:{card['sha256']}."]
    dois = [
        f"- {one['study_id']}: https://doi.org/{one['publication_doi']}"
        for one in card["studies"]
        if one["publication_doi"]
    ]
    return "\n\n".join([lines[0], "\n".join(dois)] if dois else lines)
