"""The light of a plate's images, found once before its fields are processed, by a worker.

What is estimated is kept with the plate, so that the next run, and everybody who looks at the plate, finds it there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..store.images.plate import open_plate
from .illumination.plates import PlateLight, profiles_for

if TYPE_CHECKING:
    from distributed import Client

    from ..store.storage import Storage
    from .work import PlateWork


def find_light(client: Client, storage: Storage, work: PlateWork) -> dict[int, PlateLight]:
    """Give the profiles of every acquisition of a plate; empty where the recipe corrects nothing.

    Raises
    ------
    StorageError
        An estimate could not be kept with the plate.
    """
    settings = work.recipe.illumination
    if settings is None or settings.is_off:
        return {}
    found = {number: client.submit(_light, storage, work, number, pure=False) for number in work.bound}
    return {number: future.result() for number, future in found.items()}


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
