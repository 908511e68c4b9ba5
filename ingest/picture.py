"""``inspect --picture``: an export for the eye. Its plate, one well as the stage saw it, the light of its channels.

Everything but the pixels in the mosaic comes from metadata. Pixels are those of one plane per field, where the files
are there and few enough to be read in passing; a file that cannot be read leaves its field plain.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import CytolakeError, NotFoundError
from ..schemas.identifiers import format_well, parse_well, well_blocks
from ..wording import listed
from .export import AcquisitionInfo, PlateExport
from .illumination import channel_profile
from .sources import open_source

#: The mosaic is drawn without pixels where that would be more of them.
_MOST_PIXELS = 2**28
#: Pixels of a field are kept at about this size while the others are read.
_KEPT_SIDE = 640
_PROFILE_SIDE = 96
_LONGEST_NOTE = 160
#: Wells that a hint names.
_NEAR, _MOST_BLOCKS = 5, 8


def draw(exports: Sequence[PlateExport], *, well: str | None = None, acquisition: int | None = None) -> bytes:
    """Draw the plates of an export: wells with data and fields per well, one well's fields by stage position.

    Parameters
    ----------
    exports
        The plates.
    well
        The well whose fields to show; the first of those with the most fields when None.
    acquisition
        The acquisition whose fields to show; that with the most of them when None.

    Returns
    -------
    bytes
        A PNG, the plates below one another.

    Raises
    ------
    InvalidDataError
        ``well`` is no name of a well.
    NotFoundError
        No plate has images of that well, or of that acquisition.
    """
    well_id = None if well is None else format_well(*parse_well(well))
    visits = {visit for export in exports for visit in _fields_of_wells(export)}
    _check_number(acquisition, {number for _, number in visits})
    wells = {one for one, number in visits if acquisition in (None, number)}
    if well_id is not None and well_id not in wells:
        in_it = "" if acquisition is None else f" in acquisition {acquisition}"
        raise NotFoundError(f"the export has no image of well {well_id}{in_it}", hint=_near(well_id, wells))
    return _below_one_another([picture for export in exports for picture in _pictures(export, well_id, acquisition)])


def _check_number(acquisition: int | None, known: Collection[int]) -> None:
    if acquisition is not None and acquisition not in known:
        numbers = ", ".join(str(one) for one in sorted(known))
        raise NotFoundError(f"the export has no acquisition {acquisition}", hint=f"It has {numbers}.")


def _near(well_id: str, wells: Collection[str]) -> str:
    """Return which wells there are, those around the one that is not first."""
    row, column = parse_well(well_id)

    def distance(well: str) -> int:
        return max(abs(parse_well(well)[0] - row), abs(parse_well(well)[1] - column))

    near = sorted(wells, key=lambda well: (distance(well), parse_well(well)))[:_NEAR]
    return f"The nearest are {', '.join(near)}; in all {listed(well_blocks(wells), _MOST_BLOCKS)}."


def _fields_of_wells(export: PlateExport) -> Counter[tuple[str, int]]:
    """Count the fields of each well in each acquisition."""
    return Counter(zip(*(export.fields[name].to_pylist() for name in ("well_id", "acquisition_id")), strict=True))


def _below_one_another(pictures: Sequence[bytes]) -> bytes:
    from PIL import Image

    images = [Image.open(io.BytesIO(picture)) for picture in pictures]
    sheet = Image.new("RGB", (max(i.width for i in images), sum(i.height for i in images)), "white")
    top = 0
    for image in images:
        sheet.paste(image, (0, top))
        top += image.height
    out = io.BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()


def _pictures(export: PlateExport, well_id: str | None, acquisition: int | None) -> list[bytes]:
    from ..store.images.picture import plate_picture

    missing = export.planes.filter(pc.is_null(export.planes["size"]))
    plate = plate_picture(
        export.n_rows,
        export.n_columns,
        # A field that several acquisitions went to is one field.
        fields=_per_well(export.fields.group_by(["well_id", "field_id"]).aggregate([])),
        missing=_per_well(missing),
        title=f"{export.plate_id} ({export.vendor} {export.format_version})",
        notes=_missing_by_acquisition(export, missing),
    )
    return [plate, *_mosaic(export, well_id, acquisition), *_light(export)]


def _missing_by_acquisition(export: PlateExport, missing: pa.Table) -> list[str]:
    """Say which of several acquisitions lack planes, as one cross stands for all of them."""
    if len(export.acquisitions) < 2:
        return []
    counts = missing.group_by("acquisition_id", use_threads=False).aggregate(
        [("well_id", "count"), ("well_id", "count_distinct")]
    )
    return [
        f"acquisition {number}: {planes:,} planes missing in {wells} well{'s' if wells > 1 else ''}"
        for number, planes, wells in zip(
            *(counts[name].to_pylist() for name in ("acquisition_id", "well_id_count", "well_id_count_distinct")),
            strict=True,
        )
    ]


def _per_well(table: pa.Table) -> Counter[str]:
    wells: list[Any] = table["well_id"].to_pylist()
    return Counter(wells)


def _mosaic(export: PlateExport, well_id: str | None, acquisition_id: int | None) -> list[bytes]:
    """Draw the fields of one well in one acquisition, where None that with the most of them."""
    from ..store.images.mosaic import Tile, well_picture

    counts = _fields_of_wells(export)
    own = [key for key in counts if well_id in (None, key[0]) and acquisition_id in (None, key[1])]
    if not own:
        return []
    shown, number = min(own, key=lambda key: (-counts[key], parse_well(key[0]), key[1]))
    acquisition = next(a for a in export.acquisitions if a.acquisition_id == number)
    is_shown = (pc.field("well_id") == shown) & (pc.field("acquisition_id") == number)
    fields, planes = export.fields.filter(is_shown).to_pylist(), export.planes.filter(is_shown)
    promised: list[Any] = planes["field_id"].to_pylist()
    missing: list[Any] = planes.filter(pc.is_null(planes["size"]))["field_id"].to_pylist()
    n_promised, n_missing = Counter(promised), Counter(missing)
    channel, pixels = _pixels(export, acquisition, planes)
    tiles = [
        Tile(
            field_id=f["field_id"],
            x_um=f["x_um"],
            y_um=f["y_um"],
            planes=n_promised[f["field_id"]],
            missing=n_missing[f["field_id"]],
            pixels=pixels.get(f["field_id"]),
        )
        for f in fields
    ]
    of = f" of acquisition {number}" if len(export.acquisitions) > 1 else ""
    count = f"{len(fields)} field{'s' if len(fields) != 1 else ''}{of}"
    size = acquisition.width * acquisition.pixel_size_x_um, acquisition.height * acquisition.pixel_size_y_um
    return [well_picture(tiles, field_um=size, title=", ".join([shown, count, *([channel] if pixels else [])]))]


def _pixels(
    export: PlateExport, acquisition: AcquisitionInfo, planes: pa.Table
) -> tuple[str, dict[int, npt.NDArray[Any]]]:
    """Read one plane of each field: the first channel that has files, the first time point, the middle of a stack."""
    from ..store.images.mosaic import shrink

    there = planes.filter(pc.is_valid(planes["size"]))
    if not there.num_rows:
        return "", {}
    first: int = pc.min(there["channel_index"]).as_py()
    of_field: dict[int, list[dict[str, Any]]] = {}
    for plane in there.filter(pc.field("channel_index") == first).sort_by("z").to_pylist():
        of_field.setdefault(plane["field_id"], []).append(plane)
    chosen: dict[int, dict[str, Any]] = {}
    for field_id, own in of_field.items():
        earliest = min(plane["timepoint"] for plane in own)
        stack = [plane for plane in own if plane["timepoint"] == earliest]
        chosen[field_id] = stack[len(stack) // 2]
    name = next(
        c.name for c in export.channels if (c.acquisition_id, c.channel_index) == (acquisition.acquisition_id, first)
    )
    if len(chosen) * acquisition.height * acquisition.width > _MOST_PIXELS:
        return name, {}
    side = max(2, min(_KEPT_SIDE, 4 * _KEPT_SIDE // round(len(chosen) ** 0.5)))
    scale = min(1.0, side / max(acquisition.height, acquisition.width))
    shape = (max(1, round(acquisition.height * scale)), max(1, round(acquisition.width * scale)))
    found: dict[int, npt.NDArray[Any]] = {}
    by_file: dict[str, list[tuple[int, int]]] = {}
    for field_id, plane in chosen.items():
        by_file.setdefault(plane["file"], []).append((field_id, plane["page"]))
    for file, own_planes in by_file.items():
        # That a file cannot be read is for the ingest to say; here its fields stay plain.
        with suppress(CytolakeError), closing(open_source(Path(export.root) / file)) as source:
            for field_id, page in own_planes:
                pixels = np.empty((acquisition.height, acquisition.width), source.plane_format(page)[1])
                source.read_plane(page, pixels)
                found[field_id] = shrink(pixels, shape)
    return name, found


def _light(export: PlateExport) -> list[bytes]:
    """Draw the illumination profiles of the channels that have any; why one cannot be drawn stands below."""
    from ..store.images.mosaic import profiles_picture

    profiles: dict[str, npt.NDArray[Any]] = {}
    undrawn: dict[str, str] = {}
    sizes = {a.acquisition_id: (a.height, a.width) for a in export.acquisitions}
    for channel in export.channels:
        if channel.flatfield is None or channel.name in profiles or channel.name in undrawn:
            continue
        height, width = sizes[channel.acquisition_id]
        scale = _PROFILE_SIDE / max(height, width)
        shape = (max(1, round(height * scale)), max(1, round(width * scale)))
        try:
            profile = channel_profile(channel.flatfield, shape, folder=export.root)
        except CytolakeError as error:
            undrawn[channel.name] = error.message
            continue
        if np.ptp(profile) > 0:
            profiles[channel.name] = profile
    if not profiles and not undrawn:
        return []
    notes = [f"not drawn: {name}: {why}"[:_LONGEST_NOTE] for name, why in undrawn.items()]
    return [profiles_picture(profiles, title="Illumination, as the microscope measured it", notes=notes)]
