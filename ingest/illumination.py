"""What a vendor says of a channel's light, in whatever form, as one profile.

``ChannelInfo.flatfield`` (and the column ``channels.flatfield``) is either Harmony's polynomial or
``{"kind": "image", "file": …}``, an image of an even sample that lies in the export. Both are kept as they are and
never applied on the way in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from ..errors import InvalidDataError, NotFoundError
from ..store.images.illumination import Profile, evaluate_harmony, evaluate_image
from ..store.root import LakeRoot
from .planes import safe_path
from .sources import open_source


def channel_profile(flatfield: Mapping[str, Any], shape: tuple[int, int], *, folder: Path | str | None) -> Profile:
    """Return the light of one channel, one value a pixel, 1 on average.

    Parameters
    ----------
    flatfield
        What is kept with the channel.
    shape
        Rows and columns of the pixels that it is for.
    folder
        The export, in which images of an even sample lie; a lake does not keep them.

    Returns
    -------
    ndarray
        float32, ``shape``.

    Raises
    ------
    NotFoundError
        The profile is an image and no folder is given.
    InvalidDataError
        The profile is no profile, or its image is smaller than ``shape``.
    SourceFileError
        Its image cannot be read, or lies outside the export.
    """
    if flatfield.get("kind") != "image":
        return evaluate_harmony(flatfield, shape)
    file = flatfield.get("file")
    if not isinstance(file, str):
        raise InvalidDataError("an illumination image without the name of its file")
    if folder is None:
        raise NotFoundError(
            f"the light of this channel is the image {file} of the export, which the lake does not keep",
            hint="Name the folder of the export.",
        )
    with closing(open_source(Path(folder) / safe_path(file, "the illumination of a channel"))) as source:
        size, dtype = source.plane_format()
        pixels = np.empty(size, dtype)
        source.read_plane(0, pixels)
    return evaluate_image(_of_size(pixels, shape, file))


def profiles_of_plate(
    root: LakeRoot, *, study_id: str, plate_id: str, acquisition_id: int = 1, folder: Path | str | None = None
) -> list[Profile | None]:
    """Return the light of each channel of a plate in the lake, in the order of its channels, None where none is known.

    Raises
    ------
    NotFoundError
        There is no such plate or acquisition; a profile is an image and no folder of the export is given.
    InvalidDataError, SourceFileError
        As :func:`channel_profile`.
    """
    where = {"study_id": study_id, "plate_id": plate_id}
    own = pc.field("acquisition_id") == acquisition_id
    sizes = root.tables.read("images", columns=["acquisition_id", "height", "width"], where=where).filter(own)
    if not sizes.num_rows:
        raise NotFoundError(
            f"study {study_id!r} has no plate {plate_id!r} with an acquisition {acquisition_id}",
            hint="`cytolake sql 'SELECT study_id, plate_id, acquisition_id FROM acquisitions'` lists them.",
        )
    shape = (sizes["height"][0].as_py(), sizes["width"][0].as_py())
    columns = ["acquisition_id", "channel_index", "flatfield"]
    channels = root.tables.read("channels", columns=columns, where=where).filter(own).sort_by("channel_index")
    return [
        channel_profile(json.loads(text), shape, folder=folder) if text else None
        for text in channels["flatfield"].to_pylist()
    ]


def _of_size(image: np.ndarray[Any, Any], shape: tuple[int, int], file: str) -> np.ndarray[Any, Any]:
    """Average blocks of the image where the pixels are of a binned camera or a coarser level."""
    from ..store.images.mosaic import shrink

    if image.shape == shape:
        return image
    if image.shape[0] < shape[0] or image.shape[1] < shape[1]:
        raise InvalidDataError(
            f"the illumination image {file} has {image.shape[0]} × {image.shape[1]} pixels, fewer than the "
            f"{shape[0]} × {shape[1]} of its channel"
        )
    return shrink(image, shape)
