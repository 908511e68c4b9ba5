"""Where transform work runs: addresses that lead nowhere are told, not waited for."""

from __future__ import annotations

import pytest
from cytolake.errors import ConfigurationError, UsageError
from cytolake.transforms import cluster


@pytest.mark.parametrize("address", ["", "host", "http://host:8786", "tcp://host", "tcp://host:port", "a::://"])
def test_what_is_no_address_is_refused_at_once(address: str) -> None:
    with pytest.raises(UsageError, match="no address of a Dask scheduler"), cluster.connect(scheduler=address):
        pytest.fail("connected")


def test_workers_of_our_own_and_of_a_scheduler_are_not_mixed() -> None:
    for given in ({"workers": 0}, {"workers": 1, "scheduler": "tcp://127.0.0.1:8786"}):
        with pytest.raises(UsageError), cluster.connect(**given):  # type: ignore[arg-type]
            pytest.fail("connected")


def test_nobody_at_the_address_and_a_scheduler_without_workers_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 1)
    quiet = {"dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    with LocalCluster(n_workers=0, host="127.0.0.1", protocol="tcp", **quiet) as empty:
        address = empty.scheduler_address
        with (
            pytest.raises(ConfigurationError, match=f"{address} has no workers"),
            cluster.connect(scheduler=address),
        ):
            pytest.fail("connected")
    with pytest.raises(ConfigurationError, match="no Dask scheduler answers"), cluster.connect(scheduler=address):
        pytest.fail("connected")
