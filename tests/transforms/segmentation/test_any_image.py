"""Whatever the pixels are, methods give well-formed labels and no warning."""

from __future__ import annotations

import numpy as np
from cytolake.transforms.segmentation.cells import cells_from_nuclei
from cytolake.transforms.segmentation.local_threshold import segment_nuclei
from cytolake.transforms.segmentation.otsu import segment_otsu
from cytolake.transforms.segmentation.scale import typical_diameter
from hypothesis import given, settings
from hypothesis import strategies as st

_PIXELS = {
    "bytes": lambda rng, shape: rng.integers(0, 256, shape).astype(np.uint8),
    "negative": lambda rng, shape: rng.normal(0, 1, shape),
    "nearly flat": lambda rng, shape: 1000 + rng.normal(0, 1e-5, shape),
    "squares": lambda rng, shape: np.kron(rng.integers(0, 900, (9, 9)), np.ones((8, 8)))[: shape[0], : shape[1]],
    "sparks": lambda rng, shape: (rng.random(shape) < 0.02).astype(np.uint16) * 60000,
}


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(sorted(_PIXELS)),
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    pixel_size=st.floats(0.02, 20),
    seed=st.integers(0, 99),
)
def test_labels_are_well_formed(kind: str, shape: tuple[int, int], pixel_size: float, seed: int) -> None:
    image = _PIXELS[kind](np.random.default_rng(seed), shape)
    for method in (segment_nuclei, segment_otsu):
        nuclei = method(image, pixel_size_um=pixel_size)
        assert (nuclei.shape, nuclei.dtype) == (shape, np.int32)
        assert set(np.unique(nuclei)) | {0} == set(range(nuclei.max() + 1))
        cells = cells_from_nuclei(image, nuclei, pixel_size_um=pixel_size)
        assert np.array_equal(cells[nuclei > 0], nuclei[nuclei > 0])
        assert set(np.unique(cells)) | {0} == set(np.unique(nuclei)) | {0}
    assert 3 <= typical_diameter(image) < np.inf
