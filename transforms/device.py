"""The seam between array code and the machine that runs it.

Array code takes its array module as an argument: NumPy on the CPU, CuPy on a CUDA device. :func:`get_device` is the
one place that decides which, and says what is missing where a device was asked for that this machine has not.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigurationError, MissingExtraError, UsageError


@dataclass(frozen=True, slots=True)
class Device:
    """Where arrays live: ``name`` is ``"cpu"`` or ``"cuda"``, ``xp`` the array module (``numpy`` or ``cupy``)."""

    name: Literal["cpu", "cuda"]
    xp: ModuleType

    def to_host(self, array: Any) -> NDArray[Any]:
        """Give the array as NumPy's, copied only where it is not already."""
        host: NDArray[Any] = self.xp.asnumpy(array) if self.name == "cuda" else np.asarray(array)
        return host

    def __reduce__(self) -> tuple[object, ...]:
        # A module does not pickle; a worker looks its own up.
        return (get_device, (self.name,))


def get_device(name: str = "auto") -> Device:
    """Find the device of that name.

    Parameters
    ----------
    name
        ``"cpu"``, ``"cuda"``, or ``"auto"``: CUDA where CuPy is installed and sees a device, otherwise the CPU.

    Raises
    ------
    MissingExtraError
        If ``"cuda"`` is asked for and CuPy is not installed.
    ConfigurationError
        If CuPy is installed and finds no usable CUDA device.
    UsageError
        If the name is none of the three.
    """
    if name == "cpu":
        return Device("cpu", np)
    if name == "cuda":
        return _cuda()
    if name == "auto":
        try:
            return _cuda()
        except ConfigurationError:  # MissingExtraError is one too
            return Device("cpu", np)
    raise UsageError(f"unknown device {name!r}", hint="Choose auto, cpu or cuda.")


def _cuda() -> Device:
    try:
        cupy = import_module("cupy")
    except ImportError as error:
        raise MissingExtraError(
            "the device cuda needs CuPy, which is not installed",
            hint="Install cytolake[cuda12] or cytolake[cuda13], the one of your CUDA driver, or use the device cpu.",
        ) from error
    try:
        found = int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise ConfigurationError(
            f"CuPy is installed but cannot reach a CUDA device: {error}",
            hint="Check that nvidia-smi lists a device, or use the device cpu.",
        ) from error
    if found == 0:
        raise ConfigurationError(
            "CuPy is installed but there is no CUDA device",
            hint="Check that nvidia-smi lists a device, or use the device cpu.",
        )
    return Device("cuda", cupy)
