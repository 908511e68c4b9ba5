"""From objects to wells: one row per well, or per field, with a mean or median of every feature of its objects.

A plate of a million objects with a thousand features is larger than memory should be, so a table is read some columns
at a time, and objects are put into groups once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from .matrix import ProfileMatrix

if TYPE_CHECKING:
    import pyarrow as pa

    from ...store.scan import Scan

Method = Literal["mean", "median"]
Level = Literal["well", "field"]


def aggregate_plate(
    scans: Mapping[str, Scan],
    *,
    method: Method = "median",
    by: Level = "well",
    counts: bool = True,
    min_objects: int = 1,
    expected: pa.Table | None = None,
    warnings: list[str] | None = None,
) -> ProfileMatrix:
    """Make rows of wells, or of fields, from the objects of one plate.

    Parameters
    ----------
    scans
        Object set → the rows of the plate in its table of features (filtered by study and plate). Features are the
        columns of 32- or 64-bit floats that a file of the plate holds.
    method
        What becomes of a feature: the mean or the median over the objects of the group that have it. NULL, NaN and
        infinite values count as missing; a group without any value has NaN.
    by
        ``well``: one row per acquisition, well and time point. ``field``: per field of these too.
    counts
        Whether the number of objects of each set becomes a feature, ``Nuclei_Count`` for ``nuclei``, before the others
        of the set.
    min_objects
        Groups with fewer objects of a set have NaN in its features; their count stays.
    expected
        Rows that there shall be, with objects or without: ``study_id``, ``plate_id``, ``acquisition_id``, ``well_id``,
        ``timepoint``, and ``field_id`` by field; other columns are not looked at. Groups that are not there but have
        objects are added.
    warnings
        Where sentences for the user are appended: groups with few objects, infinite values.

    Returns
    -------
    ProfileMatrix
        ``rows`` are the columns of ``ProfileRow`` without ``fit_version`` and ``run_id``, sorted by acquisition, time
        point, row and column of the well, field; ``n_objects`` is the number of objects of the first set; ``field_id``
        is NULL by well.

    Raises
    ------
    InvalidDataError
        The rows are of several plates, a row lacks its well, or two object sets have a feature of the same name.
    """
    raise NotImplementedError


def aggregate_rows(
    matrix: ProfileMatrix, *, method: Method = "median", summed: Sequence[str] = (), warnings: list[str] | None = None
) -> ProfileMatrix:
    """Make rows of wells from rows of fields, of one plate or several.

    Parameters
    ----------
    matrix
        Rows with the columns of ``ProfileRow``.
    method
        As in :func:`aggregate_plate`; ``n_objects`` is summed.
    summed
        Features that are summed, such as the counts of objects; NaN where a field has none.
    """
    raise NotImplementedError
