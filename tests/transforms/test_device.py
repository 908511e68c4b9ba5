from __future__ import annotations

import pickle
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from cytolake.errors import ConfigurationError, MissingExtraError, UsageError
from cytolake.transforms.device import get_device


class NoDriverError(RuntimeError):
    """What a CUDA runtime without a driver raises."""


@pytest.fixture
def without_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)


def pretend_cupy(monkeypatch, devices):
    """A module in CuPy's place that sees this many devices, None: whose runtime has no driver."""

    def count():
        if devices is None:
            raise NoDriverError("CUDA driver version is insufficient")
        return devices

    cupy = ModuleType("cupy")
    cupy.cuda = SimpleNamespace(runtime=SimpleNamespace(getDeviceCount=count, CUDARuntimeError=NoDriverError))
    cupy.asnumpy = np.asarray
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return cupy


def test_cpu_is_numpy():
    device = get_device("cpu")
    assert device.name == "cpu"
    assert device.xp is np
    array = np.arange(3)
    assert device.to_host(array) is array


@pytest.mark.usefixtures("without_cupy")
def test_cuda_without_cupy_names_the_extras():
    with pytest.raises(MissingExtraError) as caught:
        get_device("cuda")
    assert "cytolake[cuda12]" in str(caught.value)
    assert "cytolake[cuda13]" in str(caught.value)


@pytest.mark.usefixtures("without_cupy")
def test_auto_without_cupy_is_the_cpu():
    assert get_device("auto").name == "cpu"
    assert get_device().name == "cpu"


@pytest.mark.parametrize(("devices", "says"), [(None, "insufficient"), (0, "no CUDA device")])
def test_cupy_without_a_device(monkeypatch, devices, says):
    pretend_cupy(monkeypatch, devices)
    with pytest.raises(ConfigurationError, match=says) as caught:
        get_device("cuda")
    assert not isinstance(caught.value, MissingExtraError)
    assert get_device("auto").name == "cpu"


def test_cupy_with_a_device(monkeypatch):
    cupy = pretend_cupy(monkeypatch, 1)
    assert get_device("cuda").xp is cupy
    assert get_device("auto").name == "cuda"
    assert get_device("cuda").to_host([1, 2]).tolist() == [1, 2]


def test_unknown_name():
    with pytest.raises(UsageError, match="'gpu'"):
        get_device("gpu")


def test_a_device_travels_to_workers():
    assert pickle.loads(pickle.dumps(get_device("cpu"))) == get_device("cpu")
