"""How far a field moved under the camera between its time points, from the image of one channel.

Each frame is registered to the one before it, to a twentieth of a pixel, by the peak of their cross-correlation
(scikit-image's ``phase_cross_correlation`` without phase normalisation: normalised, it locks onto what stands still in
the camera, dust and hot pixels, and misses the cells). Frames are reduced to the scale of nuclei beforehand, because
uneven light correlates with itself at no shift. Steps add up to the shift from the first frame.

Pixels are not resampled by it: interpolation would change intensities and textures, and objects are segmented in each
frame by itself. Positions are what the shift is taken off, where objects of different frames are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.signal.windows import tukey

if TYPE_CHECKING:
    from ..quality import QualityRow


FloatArray = npt.NDArray[np.float64]
_Spectrum = npt.NDArray[np.complex64]

#: Metrics in the ``quality`` table, in the order of :attr:`Drift.shifts`: pixels from the first time point.
DRIFT_METRICS = ("Drift_Y", "Drift_X")

#: Shifts are found to 1 / this of a pixel.
_UPSAMPLING = 20
#: Standard deviations in pixels of the Gaussians whose difference keeps what is as large as nuclei.
_FINE, _COARSE = 1.5, 16.0
#: Share of the frame's side over which it fades out at each border, so that its borders are no features.
_TAPER = 0.1
#: Correlation at the peak below which two frames have nothing in common, whatever their size.
_LEAST_CORRELATION = 0.1
#: The same in standard deviations of the correlation of frames that have as much structure and are not related: the
#: best of all shifts of such frames reaches 5 by chance. A tissue that flows by half the distance of its nuclei has 6,
#: a field of moving cells 35.
_LEAST_DEVIATIONS = 5.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Where the scene of each time point lies, relative to the first.

    Attributes
    ----------
    shifts : float64 (t, 2)
        y, x in pixels: what is at position p in frame 0 and stood still is at ``p + shifts[t]`` in frame t. Where it
        could not be told it is that of the frame before.
    reasons
        For each time point why its shift could not be told; None where it could.
    """

    shifts: FloatArray
    reasons: tuple[str | None, ...]

    def rows(self, timepoint: int, *, channel_index: int, channel_role: str | None) -> list[QualityRow]:
        """Give the ``quality`` rows of one time point: :data:`DRIFT_METRICS`, without a value where it is unknown."""
        reason = self.reasons[timepoint]
        return [
            {
                "channel_index": channel_index,
                "channel_role": channel_role,
                "object_set": None,
                "metric": metric,
                "value": None if reason else float(self.shifts[timepoint, axis]),
                "reason": reason,
            }
            for axis, metric in enumerate(DRIFT_METRICS)
        ]


class DriftEstimator:
    """Estimates drift frame by frame, holding two spectra whatever the number of time points.

    Parameters
    ----------
    max_step_px
        Longest shift from one frame to the next that is believed.

    Notes
    -----
    A frame that matches nothing (dark, out of focus, a jump beyond ``max_step_px``) keeps the shift of the frame
    before, with the reason, and does not break the chain: the next frame is compared with the last good one. Only if
    it does not match that either, and does match the frame before it, the scene has changed for good, and the chain
    goes on from there; the jump itself stays unknown.
    """

    def __init__(self, *, max_step_px: float) -> None:
        self._max_step_px = max_step_px
        self._shifts: list[FloatArray] = []
        self._reasons: list[str | None] = []
        # The frames to compare with, the better one first: spectrum and shift.
        self._references: list[tuple[_Spectrum, FloatArray]] = []

    def add(self, frame: npt.NDArray[Any] | None) -> None:
        """Take the next time point: real (y, x), None where the channel has no pixels."""
        held = self._shifts[-1] if self._shifts else np.zeros(2)
        spectrum, reason = _spectrum(frame)
        if spectrum is None:
            self._append(held, reason)
            return
        if not self._references:
            # Frames without anything before the first good one cannot be compared: it is the origin.
            self._references = [(spectrum, held)]
            self._append(held, None)
            return
        for reference, origin in self._references:
            step, reason = self._step(reference, spectrum)
            if step is not None:
                self._references = [(spectrum, origin + step)]
                self._append(origin + step, None)
                return
        self._references = [self._references[0], (spectrum, held)]
        self._append(held, reason)

    def drift(self) -> Drift:
        """Give the shifts of the frames so far."""
        shifts = np.array(self._shifts, dtype=np.float64).reshape(-1, 2)
        return Drift(shifts=shifts, reasons=tuple(self._reasons))

    def _append(self, shift: FloatArray, reason: str | None) -> None:
        self._shifts.append(shift)
        self._reasons.append(reason)

    def _step(self, reference: _Spectrum, spectrum: _Spectrum) -> tuple[FloatArray | None, str | None]:
        from skimage.registration import phase_cross_correlation

        if reference.shape != spectrum.shape:
            return None, f"the frame before has {reference.shape} pixels, this one {spectrum.shape}"
        found, _, _ = phase_cross_correlation(
            reference, spectrum, space="fourier", upsample_factor=_UPSAMPLING, normalization=None
        )
        # What scikit-image gives moves the second frame back onto the first.
        back = np.asarray(found, dtype=np.float64)
        correlation = _correlation(reference, spectrum, back)
        if correlation < max(_LEAST_CORRELATION, _LEAST_DEVIATIONS * _deviation(reference, spectrum)):
            return None, f"no shift makes it like an earlier frame (correlation {correlation:.2f})"
        length = float(np.hypot(*back))
        if length > self._max_step_px:
            return None, f"the best shift is {length:.1f} pixels in one step, more than {self._max_step_px:.1f}"
        # Adding 0 makes -0 plain.
        return 0.0 - back, None


def estimate_drift(frames: Iterable[npt.NDArray[Any] | None], *, max_step_px: float) -> Drift:
    """Estimate the drift over the frames of one channel; see :class:`DriftEstimator`."""
    estimator = DriftEstimator(max_step_px=max_step_px)
    for frame in frames:
        estimator.add(frame)
    return estimator.drift()


def no_drift(n_timepoints: int, reason: str | None = None) -> Drift:
    """Give the drift where none is looked for, or none can be for ``reason``."""
    return Drift(shifts=np.zeros((n_timepoints, 2)), reasons=(reason,) * n_timepoints)


def _spectrum(frame: npt.NDArray[Any] | None) -> tuple[_Spectrum | None, str | None]:
    """Give the band-passed spectrum of a frame, or why there is none."""
    if frame is None:
        return None, "no pixels of this channel at this time point"
    pixels = frame.astype(np.float32)
    if not np.isfinite(pixels).all():
        return None, "the image has values that are not finite"
    spread = float(pixels.std(dtype=np.float64))
    if spread <= 1e-6 * float(np.abs(pixels).max(initial=0)):  # what rounding leaves of a constant is no structure
        return None, "the image is constant"
    # Brightness plays no part, and single precision is enough for numbers around 1.
    pixels = (pixels - np.float32(pixels.mean(dtype=np.float64))) / np.float32(spread)
    window, band = _weights(frame.shape)
    spectrum: _Spectrum = fft.fft2(pixels * window)
    spectrum *= band
    return spectrum, None


@lru_cache(maxsize=2)
def _weights(shape: tuple[int, int]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Give the fading of a frame towards its borders, and the transfer function of the difference of Gaussians."""
    height, width = shape
    window = np.outer(tukey(height, 2 * _TAPER), tukey(width, 2 * _TAPER)).astype(np.float32)
    squared = fft.fftfreq(height)[:, None] ** 2 + fft.fftfreq(width)[None, :] ** 2
    band = np.exp(-2 * np.pi**2 * _FINE**2 * squared) - np.exp(-2 * np.pi**2 * _COARSE**2 * squared)
    window.setflags(write=False)
    band = band.astype(np.float32)
    band.setflags(write=False)
    return window, band


def _correlation(first: _Spectrum, second: _Spectrum, shift: Sequence[float] | FloatArray) -> float:
    """Correlate two band-passed frames, the second one moved by ``shift`` (y, x in pixels)."""
    height, width = first.shape
    product = first * second.conj()
    ramp_y = np.exp(2j * np.pi * fft.fftfreq(height) * shift[0])
    ramp_x = np.exp(2j * np.pi * fft.fftfreq(width) * shift[1])
    norm = float(np.linalg.norm(first)) * float(np.linalg.norm(second))
    return float((ramp_y @ product @ ramp_x).real) / norm


def _deviation(first: _Spectrum, second: _Spectrum) -> float:
    """Give the standard deviation of the correlation of two frames with these spectra and phases at random."""
    one, other = (spectrum.real**2 + spectrum.imag**2 for spectrum in (first, second))
    power = one.sum(dtype=np.float64) * other.sum(dtype=np.float64)
    return float(np.sqrt((one * other).sum(dtype=np.float64) / power))
