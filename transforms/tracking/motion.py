"""How objects move and grow along their tracks.

The names that CellProfiler has too (module TrackObjects) mean what they mean there, in pixels, with two differences: a
track begins anew at a division, where CellProfiler counts on from the ancestor, so that a lifetime is a cell's and the
jump of a division is no migration; and what the first object of a track has none of is NaN, not 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_HOUR_S = 3600.0


def motion_features(
    timepoint: IntArray,
    positions: FloatArray,
    area: FloatArray,
    *,
    before: IntArray,
    pixel_size_um: float,
    time_interval_s: float | None,
) -> dict[str, FloatArray]:
    """Measure motion and growth.

    Parameters
    ----------
    timepoint : int64 (n,)
        Ascending.
    positions : float64 (n, 2)
        y, x in pixels, drift taken off.
    area : float64 (n,)
        In any unit.
    before : int64 (n,)
        Row of the object of the same track before each; -1 at the first.
    pixel_size_um
        Side of a pixel.
    time_interval_s
        Time between time points; None where unknown.

    Returns
    -------
    dict
        Column of the ``tracks`` table to float64 (n,); what a column means is in the schema.
    """
    n = len(timepoint)
    follows = before >= 0
    step = np.full((n, 2), np.nan)
    step[follows] = positions[follows] - positions[before[follows]]
    distance = np.hypot(step[:, 0], step[:, 1])
    origin, path = np.arange(n), np.zeros(n)
    is_last = np.ones(n, np.bool_)
    for row in np.flatnonzero(follows):
        previous = before[row]
        origin[row] = origin[previous]
        path[row] = path[previous] + distance[row]
        is_last[previous] = False
    lifetime = timepoint - timepoint[origin] + 1.0
    moved = positions - positions[origin]
    displacement = np.hypot(moved[:, 0], moved[:, 1])
    frames = np.full(n, np.nan)
    frames[follows] = timepoint[follows] - timepoint[before[follows]]
    growth = np.full(n, np.nan)
    growth[follows] = area[follows] / area[before[follows]]
    seconds = frames * (time_interval_s if time_interval_s else np.nan)
    return {
        "TrackObjects_TrajectoryX": step[:, 1],
        "TrackObjects_TrajectoryY": step[:, 0],
        "TrackObjects_DistanceTraveled": distance,
        "TrackObjects_Displacement": displacement,
        "TrackObjects_IntegratedDistance": path,
        "TrackObjects_Linearity": np.divide(displacement, path, out=np.full(n, np.nan), where=path > 0),
        "TrackObjects_Lifetime": lifetime,
        "TrackObjects_FinalAge": np.where(is_last, lifetime, np.nan),
        "TrackObjects_Speed": distance * pixel_size_um / seconds,
        "TrackObjects_AreaGrowth": growth,
        "TrackObjects_AreaGrowthRate": np.log(growth) / seconds * _HOUR_S,
    }
