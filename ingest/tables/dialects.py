"""Which dialects there are, and which one some files are written in."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points

from ...errors import InvalidDataError, UsageError
from ...wording import did_you_mean, listed
from .contract import Dialect, Evidence
from .look import FoundFile

#: Module of this package → names of the dialects in it.
_MODULES = ("cellprofiler", "joined", "deepprofiler", "incarta", "harmony", "idr", "wide")
#: Dialects that take any table, and are asked only when somebody names them.
_ON_REQUEST = ("wide",)
#: Other packages offer dialects under this group of entry points.
ENTRY_POINTS = "cytolake.dialects"
_SHOWN = 8
_COLUMNS = 4


@lru_cache(maxsize=1)
def dialects() -> dict[str, Dialect]:
    """Return every dialect by name, ours first."""
    found: dict[str, Dialect] = {}
    for module in _MODULES:
        for one in import_module(f"{__package__}.{module}").DIALECTS:
            found[one.name] = one
    for point in entry_points(group=ENTRY_POINTS):
        loaded = point.load()
        one = loaded() if isinstance(loaded, type) else loaded
        found.setdefault(one.name, one)
    return found


def choose(files: Sequence[FoundFile], wanted: str | None) -> tuple[Dialect, Evidence]:
    """Return the dialect of some files: the one that is wanted, or the only one that knows them.

    Raises
    ------
    UsageError
        There is no dialect of the wanted name.
    InvalidDataError
        No dialect knows the files, or several do; says what was looked at.
    """
    known = dialects()
    if wanted is not None:
        if wanted not in known:
            raise UsageError(
                f"there is no dialect {wanted!r}{did_you_mean(wanted, known)}",
                hint=f"Dialects are {', '.join(known)}.",
            )
        evidence = known[wanted].detect(files)
        if evidence is None:
            raise InvalidDataError(
                f"these files are not written in the dialect {wanted}: {_looked_at(files)}",
                hint=f"{wanted}: {known[wanted].description}",
            )
        return known[wanted], evidence
    asked = [one for name, one in known.items() if name not in _ON_REQUEST]
    claims = [(one, evidence) for one in asked if (evidence := one.detect(files)) is not None]
    if not claims:
        raise InvalidDataError(
            f"no dialect knows these files: {_looked_at(files)}",
            hint=f"Name one with --dialect ({', '.join(known)}), or describe the columns in a --mapping file; "
            "--dialect wide prints one to fill in.",
        )
    if len(claims) > 1:
        said = "; ".join(f"{one.name} ({evidence.text})" for one, evidence in claims)
        raise InvalidDataError(
            f"several dialects know these files: {said}",
            hint=f"Name one with --dialect {claims[0][0].name}, or import the files one by one.",
        )
    return claims[0]


def _looked_at(files: Sequence[FoundFile]) -> str:
    return listed([_about(file) for file in files], _SHOWN, between="; ")


def _about(file: FoundFile) -> str:
    if file.kind == "other":
        return f"{file.name} (no table: neither text, Parquet nor SQLite)"
    if file.kind == "sqlite":
        return f"{file.name} (SQLite)"
    shown = listed([column[:40] for column in file.columns], _COLUMNS)
    return f"{file.name} ({'Parquet' if file.kind == 'parquet' else 'text'} with the columns {shown})"
