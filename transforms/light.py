"""The light of a plate's images, found once before its fields are processed, by a worker.

What is estimated is kept with the plate, so that the next run, and everybody who looks at the plate, finds it there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..store.images.plate import open_plate
from .illumination.plates import PlateLight, profiles_for

if TYPE_CHECKING:
    from distributed import Client, Future

    from ..store.storage import Storage
    from .work import PlateWork


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLight:
    """The light of every acquisition of a plate, here and with the worker that found it."""

    futures: Mapping[int, Future]
    found: Mapping[int, PlateLight]

    @property
    def warnings(self) -> list[str]:
        """What a reader of the report should know."""
        return [warning for one in self.found.values() for warning in one.warnings]

    def used(self) -> dict[int, list[dict[str, Any]]]:
        """Return what decides pixels, acquisition by acquisition, as JSON."""
        return {number: one.used() for number, one in self.found.items()}


def find_light(client: Client, storage: Storage, work: PlateWork) -> FoundLight:
    """Give the profiles of every acquisition of a plate; nothing where the recipe corrects nothing.

    Raises
    ------
    StorageError
        An estimate could not be kept with the plate.
    """
    settings = work.recipe.illumination
    wanted = () if settings is None or settings.is_off else work.bound
    futures = {number: client.submit(_light, storage, work, number, pure=False) for number in wanted}
    return FoundLight(futures=futures, found={number: future.result() for number, future in futures.items()})


def _light(storage: Storage, work: PlateWork, acquisition_id: int) -> PlateLight:
    settings = work.recipe.illumination
    assert settings is not None
    return profiles_for(
        open_plate(storage, work.plate["path"]),
        acquisition_id,
        settings,
        channels=work.channels[acquisition_id],
        fingerprint=work.plate["fingerprint"],
    )
