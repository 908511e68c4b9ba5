"""Which plates of the study a sheet means: by identifier, barcode, name, or the beginning of a folder's name."""

from __future__ import annotations

from collections.abc import Sequence

from ...schemas.identifiers import slug
from ...wording import did_you_mean, listed
from .result import PlateFormat

_SHOWN = 5


class PlateFinder:
    """The plates of a study, to be found by whatever a sheet calls them."""

    def __init__(self, plates: Sequence[PlateFormat]) -> None:
        self.plates = tuple(plates)
        self._found: dict[str, tuple[PlateFormat, ...]] = {}

    def find(self, name: str) -> tuple[PlateFormat, ...]:
        """Return the plates of a name, none where the study has none.

        An identifier goes before a barcode and a barcode before a name. A barcode that is only the beginning of names,
        up to a sign that is neither letter nor digit (``BR00117035`` of ``BR00117035__2021-05-02``), means every plate
        that begins so: one plate may have several measurements.
        """
        if name not in self._found:
            self._found[name] = self._look(name) if name else ()
        return self._found[name]

    def _look(self, name: str) -> tuple[PlateFormat, ...]:
        for known in (
            [p for p in self.plates if p.plate_id == name],
            [p for p in self.plates if p.barcode == name],
            [p for p in self.plates if name == p.name or p.plate_id == slug(name)],
            [p for p in self.plates if any(_begins(full, name) for full in (p.plate_id, p.name, p.barcode))],
        ):
            if known:
                return tuple(known)
        return ()

    def unknown(self, name: str, *, near: bool = True) -> str:
        """Say that the study has no plate of a name, and which it may be."""
        if not name:
            return "the plate is empty"
        known = [n for p in self.plates for n in (p.plate_id, p.barcode) if n] if near else []
        others = f"; its plates are {listed([p.plate_id for p in self.plates], _SHOWN)}" if known else ""
        return f"the study has no plate {name!r}{did_you_mean(name, known) or others}"


def _begins(full: str | None, name: str) -> bool:
    return full is not None and full.startswith(name) and len(full) > len(name) and not full[len(name)].isalnum()
