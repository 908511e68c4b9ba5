"""Feature tables of the Image Data Resource: one row per well, with Plate, Well, and what was done to it.

Studies publish ``*_features.txt``, ``*-processed.txt`` and bulk annotation CSVs; what they have in common is Plate and
Well, columns of annotation in words that the IDR uses, and numbers. Features are often those of Columbus, whose names
are read as :mod:`.harmony` reads them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa

from ...wording import listed
from .columns import first_named
from .contract import Batch, Evidence, Options, SourceTable
from .flat import not_numbers, raw_table, sort_columns, source_table, tool_names
from .look import FoundFile
from .names import inferred
from .raw import RawTable

#: Identity → what studies call it, without case.
_IDENTITY: Mapping[str, tuple[str, ...]] = {
    "plate": ("plate", "plate name", "plate_name", "plate id", "plate_id"),
    "well": ("well", "well name", "well_name", "well position"),
    "n_objects": ("number of cells selected", "number of cells", "number of nuclei", "cell count"),
}
#: Words of the IDR's templates (https://idr.openmicroscopy.org) that no other table of wells has.
_ANNOTATION = re.compile(
    r"genes?|gene (symbol|identifier|name)s?.*|gene annotation.*|plate_well|well number|.*characteristics \[.*|sirna.*"
    r"|term source.*|has phenotype|phenotype.*|compound (name|smiles|.*identifier.*|moa.*)|control type|reagent.*"
    r"|analysis gene annotation build|experimental condition.*|antibody.*|orf.*|quality control.*|channels|comments?",
    re.IGNORECASE,
)
#: Numbers that are about the well and no features.
_NUMBERED = re.compile(
    r"row|column|.*\b(identifier|number|replicate|batch|build|accession|dose|concentration.*|passage)"
    r"|number of analyzed fields",
    re.IGNORECASE,
)
_GENE = re.compile(r"genes?|gene (symbol|name)s?", re.IGNORECASE)


class Idr:
    """Tables of wells as studies in the Image Data Resource publish them."""

    name = "idr"
    description = "Image Data Resource: text with Plate, Well, words such as Gene Symbol or Has Phenotype, and numbers"

    def detect(self, files: Sequence[FoundFile]) -> Evidence | None:
        """Know tables with Plate, Well, at least one word of the IDR's templates, and at least one feature."""
        known = [file for file in files if _is_idr(file)]
        if not known:
            return None
        return Evidence(
            text=f"{listed([file.name for file in known], 3)}: Plate, Well, and annotation as in the IDR",
            files=tuple(file.path for file in known),
        )

    def tables(self, files: Sequence[FoundFile], options: Options) -> list[SourceTable]:
        """Describe one table for each file."""
        return [_table(file, options) for file in files if _is_idr(file)]


def _is_idr(file: FoundFile) -> bool:
    if file.kind != "text":
        return False
    low = {name.strip().casefold(): name for name in file.columns}
    located = {"plate", "well"} <= first_named(_IDENTITY, low).keys()
    if not located or "imagenumber" in low or any(name.startswith("metadata_") for name in low):
        return False
    return any(_ANNOTATION.fullmatch(name) for name in low) and _has_features(file)


def _has_features(file: FoundFile) -> bool:
    """Whether the first rows have a number in a column that is no annotation."""
    assert file.text is not None
    header, *rows = file.text.rows
    wanted = [
        at for at, name in enumerate(header) if not _is_about_well(name) and name.strip().casefold() not in _TAKEN
    ]
    return any(_is_number(row[at]) for row in rows for at in wanted if at < len(row))


_TAKEN = {name for key in ("plate", "well") for name in _IDENTITY[key]}


def _is_about_well(name: str) -> bool:
    plain = " ".join(name.split())
    return bool(_ANNOTATION.fullmatch(plain) or _NUMBERED.fullmatch(plain))


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _table(file: FoundFile, options: Options) -> SourceTable:
    raw = raw_table(file)
    low = {name.casefold(): name for name in raw.columns}
    identity = first_named(_IDENTITY, low)
    place = [low[name] for name in ("row", "column") if name in low]  # the well says it, too
    taken = {*identity.values(), *place}
    about = [name for name in raw.columns if _is_about_well(name) and name not in taken]
    second = [low[name] for name in _IDENTITY["well"] if name in low and low[name] != identity["well"]]
    beside = [*second, *place]
    layout = sort_columns(
        raw,
        identity,
        metadata=about,
        texts=[name for name in beside if name not in raw.numbers],
        others=[name for name in beside if name in raw.numbers],
        text_is_metadata=True,
    )
    names, roles = tool_names("idr", layout.features, None, options)
    said = [*inferred(roles, options.roles), *not_numbers("idr", raw, layout, None)]
    again = _wells_told_twice(raw, identity)
    if again:
        said.append(f"{raw.name}: {len(again)} wells have several rows, which are put together: {_named(again)}")
    table = source_table(raw, layout, level="well", names=names, warnings=said, metadata_value=_said_once)
    return replace(table, batches=partial(_put_together, table.batches, again)) if again else table


def _named(wells: Iterable[tuple[str, str]]) -> str:
    return listed([f"{plate} {well}" for plate, well in sorted(wells)], 5)


def _wells_told_twice(raw: RawTable, identity: Mapping[str, str]) -> set[tuple[str, str]]:
    """Return plate and well of what has several rows: a study may tell each phenotype of a well in its own."""
    count: Counter[tuple[str, str]] = Counter()
    for rows in raw.read([], [identity["plate"], identity["well"]]):
        count.update(zip(*(rows[identity[one]].to_pylist() for one in ("plate", "well")), strict=True))
    return {key for key, times in count.items() if times > 1}


def _put_together(batches: Callable[[], Iterator[Batch]], again: set[tuple[str, str]]) -> Iterator[Batch]:
    """Yield rows, those of one well as one where they do not contradict each other; others are left to be refused."""
    held: dict[tuple[str, str], list[tuple[dict[str, Any], ...]]] = {}
    last: Batch | None = None
    for batch in batches():
        keys = list(zip(batch.identity["plate"].to_pylist(), batch.identity["well"].to_pylist(), strict=True))
        alone = pa.array([key not in again for key in keys])
        for at, key in enumerate(keys):
            if key in again:
                parts = (batch.identity, batch.features, batch.metadata)
                held.setdefault(key, []).append(tuple(part.slice(at, 1).to_pylist()[0] for part in parts))
        yield Batch(*(part.filter(alone) for part in (batch.identity, batch.features, batch.metadata)))
        last = batch
    if last is None:
        return
    rows = [row for several in held.values() for row in (_merged(several) or several)]
    schemas = (last.identity.schema, last.features.schema, last.metadata.schema)
    yield Batch(*(pa.Table.from_pylist([row[k] for row in rows], schema=schema) for k, schema in enumerate(schemas)))


def _merged(rows: Sequence[tuple[dict[str, Any], ...]]) -> list[tuple[dict[str, Any], ...]]:
    """Return several rows as one; nothing where two of them have different features."""
    parts: list[dict[str, Any]] = [dict(part) for part in rows[0]]
    for row in rows[1:]:
        for k, part in enumerate(row):
            for name, value in part.items():
                known = parts[k].get(name)
                if known is None or known != known:  # NULL or NaN
                    parts[k][name] = value
                elif k == 1 and value is not None and value == value and value != known:
                    return []
    return [tuple(parts)]


def _said_once(column: str, values: Any) -> Any:
    """Return the names of genes once where a cell repeats them: ``ECT2/ECT2`` is ``ECT2``, ``A/B`` stays."""
    if not _GENE.fullmatch(" ".join(column.split())):
        return values
    known: dict[str | None, str | None] = {None: None}
    for text in values.unique().to_pylist():
        if text is not None:
            parts = [part.strip() for part in text.split("/")]
            known[text] = parts[0] if len(set(parts)) == 1 else text
    return pa.chunked_array([pa.array([known[text] for text in values.to_pylist()], pa.string())])


DIALECTS = (Idr(),)
