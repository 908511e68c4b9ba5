"""Whether a data set is what its card says: every file, and the logical hash over what Parquet and NumPy files hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...errors import NotFoundError
from .fingerprint import ColumnHash, canonical, logical_hash
from .folder import CARD, PAGE, file_hash, read_card

_ROWS = 4096


def check_dataset(folder: Path) -> dict[str, Any]:
    """Hold a data set against its card.

    Returns
    -------
    dict
        ``status`` (``ok`` or ``damaged``), ``path``, ``name``, ``sha256``, ``files`` (how many), ``faults``
        (sentences), ``content`` (whether the logical hash was computed again from the values; of AnnData only the
        files are compared).

    Raises
    ------
    NotFoundError
        There is no data set.
    InvalidDataError
        Its card is none.
    """
    folder = Path(folder)
    if not (folder / CARD).is_file():
        raise NotFoundError(f"{folder} holds no data set: there is no {CARD}", hint="make one: cytolake dataset build")
    card = read_card(folder)
    faults = []
    known = {one["path"]: one for one in card["files"]}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for name, one in known.items():
        if name not in there:
            faults.append(f"{name} is gone")
        elif file_hash(folder / name) != one["sha256"]:
            faults.append(f"{name} was changed: its SHA-256 is not {one['sha256']}")
    faults += [f"{name} does not belong to it" for name in sorted(there - set(known) - {CARD, PAGE})]
    if logical_hash(card["splits"]) != card["sha256"]:
        faults.append(f"{CARD} was changed: the hashes of its columns do not make {card['sha256']}")
    content = not faults and card["format"] in {"parquet", "numpy"}
    if content:
        faults += _content(folder, card)
    return {
        "status": "damaged" if faults else "ok",
        "path": str(folder),
        "name": card["name"],
        "sha256": card["sha256"],
        "files": len(known),
        "faults": faults,
        "content": content,
    }


def _content(folder: Path, card: Mapping[str, Any]) -> list[str]:
    features = card["features"]["names"]
    faults = []
    for split, told in card["splits"].items():
        hashes = {name: ColumnHash() for name, *_ in told["columns"]}
        read = _parquet(folder, split) if card["format"] == "parquet" else _numpy(folder, split, features)
        for facts, block in read:
            names = facts.schema.names
            for name in names:
                if name not in set(features):
                    hashes[name].array(facts.column(name))
            for at, name in enumerate(features):
                values = block[at] if block is not None else facts.column(name).to_numpy(zero_copy_only=False)
                hashes[name].floats(np.ascontiguousarray(canonical(np.array(values))))
        wrong = [name for name, _, digest in told["columns"] if hashes[name].hexdigest() != digest]
        faults += [f"{split}: column {name} does not hold what the card says" for name in wrong]
    return faults


def _parquet(folder: Path, split: str) -> Iterator[tuple[pa.RecordBatch, None]]:
    single = folder / f"{split}.parquet"
    files: Sequence[Path] = [single] if single.exists() else sorted((folder / split).glob("part-*.parquet"))
    for path in files:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS):
                yield batch, None


def _numpy(folder: Path, split: str, features: Sequence[str]) -> Iterator[tuple[pa.RecordBatch, Any]]:
    values = np.load(folder / split / "X.npy", mmap_mode="r")
    at = 0
    with pq.ParquetFile(folder / split / "rows.parquet") as file:
        for batch in file.iter_batches(_ROWS):
            yield batch, np.ascontiguousarray(values[at : at + batch.num_rows].T)
            at += batch.num_rows
