"""Where transform work runs: addresses that lead nowhere are told, not waited for."""

from __future__ import annotations

import time
from types import SimpleNamespace

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


def test_a_task_that_nobody_is_left_to_do_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_PATIENCE", 0.05)
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 0.05)
    with cluster.connect(workers=1) as client:
        done = client.submit(sum, [1, 2], pure=False)
        assert [future.result() for future in cluster.finished(client, [done])] == [3]
        (worker,) = client.cluster.workers.values()
        client.sync(worker.close)
        with pytest.raises(ConfigurationError, match="no worker process has come up"):
            cluster.finished(client, [client.submit(sum, [1, 2], pure=False)])


def test_a_scheduler_that_was_restarted_is_told() -> None:
    with cluster.connect(workers=1) as client:
        slow = client.submit(time.sleep, 0.2, pure=False)
        slow.cancel(force=True)
        with pytest.raises(ConfigurationError, match="forgotten the work under way"):
            cluster.finished(client, [slow])


def test_workers_that_die_on_what_cannot_be_left_out_are_told() -> None:
    from distributed import KilledWorker

    with pytest.raises(ConfigurationError, match="want of memory"), cluster.connect(workers=1):
        raise KilledWorker("merge", SimpleNamespace(address="tcp://127.0.0.1:1"), 1)  # type: ignore[arg-type]
