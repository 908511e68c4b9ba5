"""Is this machine fit for the work, and this lake fit to be worked on? Every failure says its repair."""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CytolakeError
from ..schemas.tables import SCHEMA_VERSION, TABLES, arrow_schema
from .machine import available_cores
from .storage import Check

if TYPE_CHECKING:
    import pyarrow as pa

    from .root import LakeRoot

_PYTHON = (3, 11, 7)
# Where commits that were decided wait; see commit.py.
_JOURNAL = "tables/_journal"
_OPEN_FILES = 1024
_FREE_BYTES = 2 * 10**9


def doctor(root: LakeRoot | None = None) -> dict[str, Any]:
    """Examine the machine and, where one is given, a lake.

    Returns
    -------
    dict
        ``checks``: a list of ``name``, ``ok``, ``detail``, ``repair`` (empty where nothing is to be done).
    """
    checks = list(check_machine())
    if root is not None:
        checks += check_lake(root)
    return {"checks": [check._asdict() for check in checks]}


def check_machine() -> Iterator[Check]:
    """Yield what a lake needs of Python, the libraries, and the machine."""
    found = sys.version_info[:3]
    yield Check("python", found >= _PYTHON, platform.python_version(), "" if found >= _PYTHON else "use Python 3.11.7+")
    yield from _libraries()
    yield Check("processor", True, f"{available_cores()} cores, {platform.machine()}", "")
    yield _open_files()
    yield _temporary_space()
    yield _gpu()


def _libraries() -> Iterator[Check]:
    """Yield one check for each library that cytolake requires, and one for the optional ones."""
    try:
        wanted = requires("cytolake") or []
    except PackageNotFoundError:
        yield Check("cytolake", False, "not installed as a package", "pip install cytolake")
        return
    yield Check("cytolake", True, version("cytolake"), "")
    missing: list[str] = []
    present: list[str] = []
    for requirement in wanted:
        text, _, marker = requirement.partition(";")
        name = text.split("[")[0].split(">")[0].split("=")[0].split("<")[0].split("~")[0].strip()
        try:
            installed = version(name)
        except PackageNotFoundError:
            if "extra" not in marker:
                missing.append(text.strip())
            continue
        if "extra" not in marker:
            present.append(f"{name} {installed}")
    detail = ", ".join(present) if not missing else f"missing: {', '.join(missing)}"
    yield Check("libraries", not missing, detail, "pip install --upgrade cytolake" if missing else "")
    for extra, names in (("frames", ("pandas", "polars")), ("cloud", ("obstore",))):
        absent = [name for name in names if find_spec(name) is None]
        text = f"not installed: {', '.join(absent)}; pip install 'cytolake[{extra}]'" if absent else ", ".join(names)
        yield Check(f"extra {extra}", True, text, "")


def _open_files() -> Check:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = soft == resource.RLIM_INFINITY or soft >= _OPEN_FILES
    return Check("open files", enough, f"{soft} at once", "" if enough else f"ulimit -n {min(hard, 65536)}")


def _temporary_space() -> Check:
    folder = Path(tempfile.gettempdir())
    free = shutil.disk_usage(folder).free
    enough = free >= _FREE_BYTES
    repair = "" if enough else "free some space there, or set TMPDIR to a larger disk: large questions spill to it"
    return Check("temporary space", enough, f"{free / 1e9:.1f} GB free in {folder}", repair)


def _gpu() -> Check:
    """Say what a GPU could do here; none is no failure, everything runs on the CPU too."""
    present = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    # find_spec does not import: CuPy takes seconds, and a broken driver would make it fail.
    if not present:
        return Check("gpu", True, "none; everything runs on the CPU", "")
    if find_spec("cupy") is None:
        return Check("gpu", True, "an NVIDIA driver is present, CuPy is not installed; the CPU is used", "")
    return Check("gpu", True, "an NVIDIA driver and CuPy are present", "")


def check_lake(root: LakeRoot) -> Iterator[Check]:
    """Yield whether a lake's storage does what it must, and whether its tables are in step with the schema."""
    yield Check("lake", True, f"{root.config.name!r} at {root.url}, format {root.config.format_version}", "")
    yield from root.storage.probe()
    if root.storage.is_local:
        free = shutil.disk_usage(root.url).free
        enough = free >= _FREE_BYTES
        yield Check("lake space", enough, f"{free / 1e9:.1f} GB free", "" if enough else "free some space on that disk")
    yield _schema(root)
    yield _journals(root)


def _schema(root: LakeRoot) -> Check:
    behind: list[str] = []
    count = 0
    for name in root.tables.names():
        if name not in TABLES:
            continue
        count += 1
        try:
            behind += [f"{name}.{column}" for column in different_columns(root, name)]
        except CytolakeError as error:
            behind.append(f"{name} ({error.message})")
    if not behind:
        return Check("schema", True, f"{count} tables in step with schema {SCHEMA_VERSION}", "")
    repair = "upgrade cytolake if the lake is newer; else run the verb that writes the table, which adds new columns"
    return Check("schema", False, f"not in step with schema {SCHEMA_VERSION}: {', '.join(behind[:10])}", repair)


def different_columns(root: LakeRoot, table: str) -> list[str]:
    """Return the declared columns that a table lacks or holds as another type."""
    there = root.tables.schema(table)
    return [field.name for field in arrow_schema(table) if not _alike(there, field)]


def _alike(there: pa.Schema, field: pa.Field[Any]) -> bool:
    from deltalake import Field

    if field.name not in there.names:
        return False
    mine, its = field.type, there.field(field.name).type
    return bool(mine == its) or Field.from_arrow(_bare(mine)) == Field.from_arrow(_bare(its))


def _bare(kind: pa.DataType) -> pa.Field[Any]:
    import pyarrow as pa

    return pa.field("x", kind)


def _journals(root: LakeRoot) -> Check:
    """Look for commits that were decided and not carried out; opening a lake carries them out, so none should be."""
    waiting = unfinished_commits(root)
    detail = f"{len(waiting)} unfinished" if waiting else "none unfinished"
    return Check("commits", not waiting, detail, "wait for who is writing, then open the lake again" if waiting else "")


def unfinished_commits(root: LakeRoot) -> list[str]:
    """Return the names of the journals of commits that are under way or were interrupted."""
    return [name for name in root.storage.children(_JOURNAL) if name.endswith(".json") and not name.startswith(".")]
