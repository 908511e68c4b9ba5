"""One synthetic field of view: cells with known outlines, seen through a microscope that is not perfect.

Shapes first, light second. A nucleus and its cell are star-shaped outlines around one centre, ``R(θ) = r (1
+ a₂ cos(2θ + φ₂) + a₃ cos(3θ + φ₃))``; a pixel belongs to the cell in whose outline it lies deepest, so
that neighbours share a border and no pixel has two owners. Every stain is then a function of how deep a
pixel lies in its nucleus and its cell, seen through vignetting and shot and read noise. The label images
are the truth, because the light was made from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.special import ndtri

Float = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]

Pattern = Literal["nucleus", "endoplasmic", "nucleoli", "rim", "mitochondria", "brightfield"]

#: Width in pixels of the ramp between inside and outside, the blur of the optics.
_EDGE = 2.5
#: How far outside its outline (as a multiple of the radius) a nucleus or cell can still cast light.
_REACH = 1.3
#: Illumination falls off with the square of the distance from the middle; these are Harmony's polynomial
#: terms of degree 0 and 2, over coordinates that run from -0.5 to 0.5 (see :mod:`.harmony_files`).
VIGNETTING = (1.06, -0.55)
#: Grey level of the camera in the dark, and its read noise, both in counts.
CAMERA_OFFSET = 110.0
READ_NOISE = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CellShapes:
    """Outlines of all cells of one field.

    ``nuclei`` and ``cells`` are label images (y, x): the same number in both for the same cell, 0 outside.
    ``nucleus_depth`` and ``cell_depth`` (y, x) are 0 at the centre, 1 on the outline, and grow outside;
    ``nucleus_owner`` and ``cell_owner`` say whose depth that is, a little beyond the outline too.
    ``nucleus_cover`` and ``cell_cover`` are 1 inside and 0 outside with the ramp that the optics leave
    between.
    """

    nuclei: Labels
    cells: Labels
    nucleus_depth: Float
    cell_depth: Float
    nucleus_owner: Labels
    cell_owner: Labels
    nucleus_cover: Float
    cell_cover: Float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """What goes wrong with the light of one field, in the stains of these ``roles`` or, without any, in all.

    ``blur_px`` is the standard deviation of the blur of a field out of focus; ``gain`` multiplies the light (a large
    one saturates the camera, a small one is a lamp that fails); ``tilt`` is the share by which the light grows from
    the middle to the right edge and falls to the left.
    """

    blur_px: float = 0.0
    gain: float = 1.0
    tilt: float = 0.0
    roles: tuple[str, ...] = ()


def spoil(photons: Float, defect: Defect) -> Float:
    """Light (y, x) of a stain with a defect."""
    if defect.blur_px:
        photons = ndimage.gaussian_filter(photons, defect.blur_px, mode="nearest")
    slope = np.linspace(-1, 1, photons.shape[1], dtype=np.float32) * np.float32(defect.tilt)
    spoilt: Float = photons * (np.float32(defect.gain) * (1 + slope))
    return spoilt


def draw_shapes(
    rng: np.random.Generator,
    *,
    size: int,
    spacing: float,
    nucleus_radius: float,
    cell_radius: float,
    keep: float,
    touching: float,
) -> CellShapes:
    """Place cells and draw their outlines.

    Parameters
    ----------
    rng
        Source of all chance.
    size
        Height and width of the field in pixels.
    spacing
        Mean distance between neighbouring cells in pixels.
    nucleus_radius, cell_radius
        Mean radii in pixels.
    keep
        Share of places that hold a cell, 0 to 1.
    touching
        Share of cells moved towards a neighbour until the two nuclei touch, 0 to 1.
    """
    centres = _places(rng, size, spacing, keep)
    count = len(centres)
    # The area, not the radius, is what a phenotype scales; its spread is about that of a cultured line (CV
    # 0.2).
    growth = (1 + 0.10 * _normal(rng, count)).clip(0.7, 1.35)
    nucleus_r = (nucleus_radius * growth).astype(np.float32)
    cell_r = (cell_radius * growth * rng.normal(1.0, 0.08, count).clip(0.8, 1.2)).astype(np.float32)
    centres = _make_touch(rng, centres, nucleus_r, touching)
    nucleus_wobble = _wobble(rng, count, 0.10, 0.04)
    cell_wobble = _wobble(rng, count, 0.22, 0.10)

    shape = (size, size)
    far = np.float32(9.0)
    nucleus_depth, cell_depth = np.full(shape, far, np.float32), np.full(shape, far, np.float32)
    nucleus_owner, cell_owner = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    for label, (cy, cx) in enumerate(centres, start=1):
        i = label - 1
        reach = float(max(cell_r[i] * 1.35, nucleus_r[i] * 1.2)) * _REACH
        y0, y1 = max(0, int(cy - reach)), min(size, int(cy + reach) + 2)
        x0, x1 = max(0, int(cx - reach)), min(size, int(cx + reach) + 2)
        if y0 >= y1 or x0 >= x1:
            continue
        window = (slice(y0, y1), slice(x0, x1))
        dy = (np.arange(y0, y1, dtype=np.float32) - np.float32(cy))[:, None]
        dx = (np.arange(x0, x1, dtype=np.float32) - np.float32(cx))[None, :]
        distance = np.sqrt(dy * dy + dx * dx)
        direction = (dx + 1j * dy) / np.maximum(distance, np.float32(1e-3))
        second = direction * direction
        third = second * direction
        for radius, wobble, depth, owner in (
            (cell_r[i], cell_wobble[i], cell_depth, cell_owner),
            (nucleus_r[i], nucleus_wobble[i], nucleus_depth, nucleus_owner),
        ):
            outline = radius * (1 + (wobble[0] * second).real + (wobble[1] * third).real)
            u = distance / outline
            deeper = (u < depth[window]) & (u < _REACH)
            depth[window][deeper] = u[deeper]
            owner[window][deeper] = label
    nuclei = np.where(nucleus_depth < 1, nucleus_owner, 0)
    cells = np.where(cell_depth < 1, cell_owner, 0)
    # A cell always holds its own nucleus, also where a neighbour reaches in.
    inside = nuclei > 0
    cells[inside] = nuclei[inside]
    return CellShapes(
        nuclei=nuclei,
        cells=cells,
        nucleus_depth=nucleus_depth,
        cell_depth=cell_depth,
        nucleus_owner=nucleus_owner,
        cell_owner=np.where(inside, nuclei, cell_owner),
        nucleus_cover=_cover(nucleus_depth, nucleus_owner, nucleus_r),
        cell_cover=_cover(cell_depth, cell_owner, cell_r),
        count=count,
    )


def light(
    rng: np.random.Generator, shapes: CellShapes, pattern: Pattern, *, brightness: float, background: float
) -> Float:
    """Light that one stain sends to the camera, without noise: counts above the camera's offset, (y, x).

    ``brightness`` is the peak of a mean cell and ``background`` what the medium adds everywhere, both in
    counts.
    """
    size = shapes.nuclei.shape[0]
    spread = rng.lognormal(0.0, 0.15, shapes.count + 1).astype(np.float32)
    spread[0] = 0
    in_nucleus, in_cell = shapes.nucleus_cover, shapes.cell_cover
    fine, coarse = _texture(rng, size, 1.2), _texture(rng, size, 3.5)
    depth = shapes.cell_depth
    if pattern == "nucleus":
        signal = in_nucleus * spread[shapes.nucleus_owner] * (0.8 + 0.12 * coarse)
    elif pattern == "endoplasmic":
        signal = in_cell * (1 - 0.55 * in_nucleus) * spread[shapes.cell_owner]
        signal *= np.clip(1.1 - 0.75 * depth, 0.15, None) + 0.08 * fine
    elif pattern == "nucleoli":
        blobs = np.clip(coarse - 0.9, 0, 1.2)
        signal = spread[shapes.cell_owner] * (in_cell * (0.45 - 0.2 * depth).clip(0.1) + in_nucleus * blobs)
    elif pattern == "rim":
        ring = np.exp(-np.square((depth - 0.92) / 0.14))
        signal = in_cell * spread[shapes.cell_owner] * (0.25 + 0.65 * ring + 0.06 * fine)
    elif pattern == "mitochondria":
        threads = np.clip(0.35 + 0.5 * fine, 0, 2)
        signal = in_cell * (1 - 0.9 * in_nucleus) * spread[shapes.cell_owner] * threads * (1.05 - 0.5 * depth).clip(0)
    else:  # brightfield: phase shifts at outlines over a bright ground, no stain at all
        signal = 1 + 0.05 * fine * in_cell
        signal += 0.25 * np.exp(-np.square((depth - 1.03) / 0.06)) - 0.2 * np.exp(-np.square((depth - 0.93) / 0.06))
        signal -= 0.12 * np.exp(-np.square((shapes.nucleus_depth - 1.0) / 0.1))
    photons: Float = np.clip(signal * np.float32(brightness) + np.float32(background), 0, None).astype(np.float32)
    return photons


def expose(rng: np.random.Generator, photons: Float, out: npt.NDArray[np.uint16]) -> None:
    """Camera image of ``photons`` (y, x), written to ``out``: vignetting, shot noise, read noise, 16 bits.

    Shot noise is Poisson in its normal limit (mean = variance), which no pixel here is dark enough to tell
    apart and which costs a third.
    """
    signal = photons * vignetting(photons.shape[0])
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    noise *= np.sqrt(signal + np.float32(READ_NOISE**2))
    signal += noise
    signal += np.float32(CAMERA_OFFSET + 0.5)
    np.clip(signal, 0, 65535, out=signal)
    out[...] = signal.astype(np.uint16)


@lru_cache(maxsize=4)
def vignetting(size: int) -> Float:
    """Relative illumination (y, x), the polynomial :data:`VIGNETTING` that the index states too."""
    axis = (np.arange(size, dtype=np.float32) - (size - 1) / 2) / size
    fall: npt.NDArray[np.float64] = VIGNETTING[0] + VIGNETTING[1] * (axis[:, None] ** 2 + axis[None, :] ** 2)
    return fall.astype(np.float32)


def _places(rng: np.random.Generator, size: int, spacing: float, keep: float) -> npt.NDArray[np.float64]:
    """Centres (n, 2) as y, x on a jittered hexagonal grid that overlaps the border: some cells are cut."""
    step_y = spacing * np.sqrt(3) / 2
    rows, columns = np.arange(-1, size / step_y + 1), np.arange(-1, size / spacing + 1)
    y, x = np.meshgrid(rows * step_y, columns * spacing, indexing="ij")
    x = x + (np.arange(len(rows)) % 2)[:, None] * spacing / 2
    centres = np.stack([y.ravel(), x.ravel()], axis=1) + rng.uniform(0, spacing, 2)
    centres += rng.uniform(-0.22, 0.22, centres.shape) * spacing
    chosen = centres[rng.random(len(centres)) < keep]
    margin = spacing / 2
    return chosen[((chosen > -margin) & (chosen < size + margin)).all(axis=1)]


def _make_touch(
    rng: np.random.Generator, centres: npt.NDArray[np.float64], radius: Float, share: float
) -> npt.NDArray[np.float64]:
    """Move a share of the cells next to their nearest neighbour, as daughter cells lie; the others stay."""
    moved = centres.copy()
    count = round(share * len(centres))
    if len(centres) < 3 or count == 0:
        return moved
    free = np.ones(len(centres), bool)
    for i in rng.permutation(len(centres))[:count]:
        away = np.square(centres - centres[i]).sum(axis=1)
        away[i] = np.inf
        j = int(away.argmin())
        if not (free[i] and free[j]):
            continue
        towards = centres[i] - centres[j]
        gap = 1.02 * (radius[i] + radius[j])
        moved[i] = centres[j] + towards * (gap / np.sqrt(away[j]))
        free[[i, j]] = False
    return moved


def _normal(rng: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
    """Draw ``count`` normal numbers, one from each of as many equally likely strata, in random order.

    The sizes in a field are as different as they should be, and their mean is that asked for: the truth of a small
    plate is not blurred by its own chance.
    """
    drawn: npt.NDArray[np.float64] = ndtri((rng.permutation(count) + rng.random(count)) / count)
    return drawn


def _wobble(rng: np.random.Generator, count: int, second: float, third: float) -> npt.NDArray[np.complex64]:
    """Complex amplitudes (count, 2) of the second and third harmonic of each outline."""
    size = np.abs(rng.normal(0, 1, (count, 2))).clip(0, 2) * np.array([second, third]) * 0.7
    turned: npt.NDArray[np.complex128] = size * np.exp(2j * np.pi * rng.random((count, 2)))
    return turned.astype(np.complex64)


def _cover(depth: Float, owner: Labels, radius: Float) -> Float:
    """1 inside, 0 outside, a ramp of :data:`_EDGE` pixels with its half on the outline: (y, x)."""
    steepness = np.concatenate([[np.float32(0)], radius / np.float32(_EDGE)]).astype(np.float32)
    cover: Float = np.clip(np.float32(0.5) + (1 - depth) * steepness[owner], 0, 1)
    cover[owner == 0] = 0
    return cover


def _texture(rng: np.random.Generator, size: int, grain: float) -> Float:
    """Smooth noise of mean 0 and deviation 1, (y, x): one shared sheet, rolled to a random place."""
    sheet = _sheet(size, grain)
    shift = rng.integers(0, size, 2)
    return np.roll(sheet, (int(shift[0]), int(shift[1])), axis=(0, 1))


@lru_cache(maxsize=8)
def _sheet(size: int, grain: float) -> Float:
    noise = np.random.default_rng(size).standard_normal((size, size), dtype=np.float32)
    smooth: Float = ndimage.gaussian_filter(noise, grain, mode="wrap")
    smooth -= smooth.mean()
    smooth /= smooth.std()
    return smooth
