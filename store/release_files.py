"""Is a release still whole? Which of the files that it needs are there, and what to say where some are not.

Only :mod:`.maintenance` knows what releases need. Whoever cleans a Delta table with other tools may take files away
from under one; that is found here, before a question fails half-way.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import CytolakeError, StorageError
from ..wording import listed
from .datafiles import table_path
from .releases import Release, find_release, releases
from .scan import file_paths

if TYPE_CHECKING:
    from .root import LakeRoot
    from .storage import Storage

_ASK_ONE_BY_ONE = 20  # more files than this are looked for by listing their folder, on an object store


def list_releases(root: LakeRoot, *, check: bool = False) -> list[dict[str, Any]]:
    """Return what there is to say of each release, oldest first.

    With ``check`` each that can be asked has ``ok`` and ``problems``, as :func:`check_release` gives them.
    """
    listing = []
    for one in releases(root):
        said = one.to_json()
        if check and not one.withdrawn:
            said |= check_release(root, one)
        listing.append(said)
    return listing


def show_release(root: LakeRoot, name: str) -> dict[str, Any]:
    """Describe one release, withdrawn or not.

    Returns
    -------
    dict
        What :func:`create_release` returns, and ``pins`` (each ``table``, ``version``, ``rows``, ``files``),
        ``accepted_quality`` (why refused features were released, None where none were) and ``refused`` (which); of one
        that can be asked also ``ok`` and ``problems``, as :func:`check_release` gives them.

    Raises
    ------
    NotFoundError
        There is no such release.
    """
    one = find_release(root, name, withdrawn=True)
    parameters: dict[str, Any] = {}
    for run in root.tables.read("runs", columns=["parameters"], where={"verb": "release create"}).to_pylist():
        asked = json.loads(run["parameters"] or "{}")
        if asked.get("name") == name:
            parameters = asked
    shown = one.to_json() | {
        "pins": [
            {"table": table, "version": pin.version, "rows": pin.rows, "files": pin.files}
            for table, pin in one.pins.items()
        ],
        "accepted_quality": parameters.get("accept_quality"),
        "refused": parameters.get("refused", []),
    }
    return shown if one.withdrawn else shown | check_release(root, one)


def check_release(root: LakeRoot, release: str | Release) -> dict[str, Any]:
    """Say whether everything that a release needs is there: the log of each table, and each file.

    Returns
    -------
    dict
        ``release``, ``ok``, and ``problems``: of each table that is not whole ``table``, ``version``, ``files`` (how
        many it needs), ``missing`` (how many of them are not there, None where the log does not say any more) and
        ``message``.
    """
    one = find_release(root, release) if isinstance(release, str) else release
    problems: list[dict[str, Any]] = []
    for table, pin in one.pins.items():
        said = {"table": table, "version": pin.version, "files": pin.files}
        try:
            paths = file_paths(root.tables.open(table, version=pin.version))
        except CytolakeError as error:
            problems.append({**said, "missing": None, "message": f"version {pin.version} is lost: {error.message}"})
            continue
        lost = absent_files(root.storage, table, paths)
        if lost:
            problems.append({**said, "missing": len(lost), "message": _lost(table, pin.version, lost, len(paths))})
    return {"release": one.name, "ok": not problems, "problems": problems}


def absent_files(storage: Storage, table: str, paths: Collection[str]) -> list[str]:
    """Return which data files of a table, named by their paths in its folder, are not there."""
    folder = table_path(table)
    if storage.is_local or len(paths) <= _ASK_ONE_BY_ONE:
        return sorted(path for path in paths if not storage.exists(f"{folder}/{path}"))
    there = set(storage.list(folder))
    return sorted(path for path in paths if f"{folder}/{path}" not in there)


def incomplete(what: str, table: str, version: int, lost: Sequence[str], files: int) -> StorageError:
    """Return the error for a version of a table that was asked and whose files are not all there.

    ``what`` is ``release 'spring'`` or the like; ``files`` is how many were looked for.
    """
    return StorageError(
        f"{what} cannot be answered: {_lost(table, version, lost, files)}",
        hint="`cytolake maintain` keeps what releases need and what there was in the last week; ask a release that "
        "`cytolake release list --check` finds whole, or restore the files from a backup",
    )


def _lost(table: str, version: int, lost: Sequence[str], files: int) -> str:
    return f"{len(lost)} of {files} files of table {table}, version {version}, are gone ({listed(lost, 1)})"
