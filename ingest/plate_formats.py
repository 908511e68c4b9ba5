"""Formats of plates, and the size of one whose export says half of it or nothing."""

from __future__ import annotations

from ..errors import InvalidDataError

#: Rows and columns, smallest first.
PLATE_FORMATS = ((1, 1), (1, 2), (2, 2), (2, 3), (2, 4), (3, 4), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48))


def complete_plate_size(
    told: tuple[int | None, int | None] | None, last: tuple[int, int], name: str, warnings: list[str]
) -> tuple[int, int]:
    """Return rows and columns of a plate, those of the smallest format that fits where they are not told.

    Parameters
    ----------
    told
        Rows and columns as the export says them, None (or 0) for what it does not say.
    last
        The last row and the last column that were imaged.
    name
        What to call the index, or the folder, in messages.
    warnings
        Gets what was told and what is taken.

    Raises
    ------
    InvalidDataError
        Half of the size is told, and no format has that and holds the wells.
    """
    rows, columns = told or (None, None)
    if rows and columns:
        return rows, columns
    fitting = (
        size for size in PLATE_FORMATS
        if size[0] >= last[0] and size[1] >= last[1] and rows in (None, 0, size[0]) and columns in (None, 0, size[1])
    )  # fmt: skip
    size = next(fitting, None)
    if not rows and not columns:
        size = size or PLATE_FORMATS[-1]
        warnings.append(
            f"the export does not say the size of the plate; {size[0]} × {size[1]} holds its wells (--plate-format "
            "overrules)"
        )
        return size
    half = f"{rows} rows and not how many columns" if rows else f"{columns} columns and not how many rows"
    if size is None:
        raise InvalidDataError(
            f"{name} says that the plate has {half}; no plate that is known has these and a well in row {last[0]}, "
            f"column {last[1]}",
            hint="Say which plate it was: --plate-format 8x12.",
        )
    warnings.append(f"the export says that the plate has {half}; {size[0]} × {size[1]} is taken, which holds its wells")
    return size
