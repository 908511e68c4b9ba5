"""Principal axes of centred numbers, with signs that do not depend on the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def principal_axes(centred: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Decompose centred numbers (n, features) by SVD, as far as they have rank.

    The rank is that of ``numpy.linalg.matrix_rank``: singular values above ``max(n, features) · eps`` of the largest.
    Each axis points to where its largest loading is positive.

    Returns
    -------
    tuple
        Axes of shape (features, rank), orthonormal; singular values of shape (rank,), largest first.
    """
    # With more rows than features, the triangle of a QR decomposition has the same axes and is much smaller.
    tall = centred.shape[0] > centred.shape[1]
    _, singular, rows = np.linalg.svd(np.linalg.qr(centred, mode="r") if tall else centred, full_matrices=False)
    tolerance = singular[0] * max(centred.shape) * np.finfo(np.float64).eps
    rank = int((singular > tolerance).sum())
    axes = rows[:rank].T
    largest = np.argmax(np.abs(axes), axis=0) if rank else np.zeros(0, np.int64)
    signs = np.where(axes[largest, np.arange(rank)] < 0, -1.0, 1.0)
    return np.ascontiguousarray(axes * signs), singular[:rank]


def component_names(count: int) -> tuple[str, ...]:
    """Name components ``PC_001``, ``PC_002``, ..."""
    width = max(3, len(str(count)))
    return tuple(f"PC_{number:0{width}}" for number in range(1, count + 1))
