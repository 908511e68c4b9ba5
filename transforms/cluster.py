"""Where transform work runs: a Dask scheduler somebody names, or workers of our own on this machine.

Own workers are started as commands (``python -m dask spec``), not by multiprocessing: a script without
``if __name__ == "__main__"`` can then call :meth:`Lake.transform`, and workers end by themselves when the process that
started them is killed, because the scheduler lives in that process.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError, UsageError
from ..store.machine import available_cores

if TYPE_CHECKING:
    from distributed import Client, Future

#: Dask tells the life of its workers on stderr, and shows the traceback of whatever a task raises, which we raise anew.
_QUIET = logging.CRITICAL
#: Fields for which a worker process is worth its start, which takes seconds.
_WORTH_A_WORKER = 12
_CONNECT_SECONDS = 30
#: Seconds without a result after which we look whether there is still a worker.
_PATIENCE = 30

#: Workers that may die on a task before it is given back: whose fault it is comes out where the task is alone.
_ALLOWED_DEATHS = 1

#: Dask starts an HTTP server even without its dashboard, on 0.0.0.0:8787 unless told otherwise.
_LOCAL_PORT = "127.0.0.1:0"


@contextmanager
def connect(*, workers: int | None = None, scheduler: str | None = None, fields: int | None = None) -> Iterator[Client]:
    """Give a Dask client, and end what was started for it.

    Parameters
    ----------
    workers
        Worker processes on this machine, one thread each; where None one per core, but no more than there are
        ``fields`` for. One worker runs as a thread of this process, which starts at once. Not used together with
        ``scheduler``.
    scheduler
        Address of a running scheduler (``tcp://host:8786``); its workers need cytolake installed and the lake
        reachable under the same address.
    fields
        How many fields there are to process; many where None.

    Raises
    ------
    UsageError
        ``workers`` is not positive, both are given, or ``scheduler`` is no address.
    ConfigurationError
        Nobody answers at ``scheduler``, or it has no workers; or workers died on a task whose loss is not provided for.
    """
    from distributed import KilledWorker

    try:
        with _connect(workers, scheduler, fields) as client:
            yield client
    except KilledWorker as error:
        raise ConfigurationError(
            f"worker processes died one after the other, perhaps for want of memory: {error}",
            hint="Run the same command again, with fewer --workers where memory is short.",
        ) from error


@contextmanager
def _connect(workers: int | None, scheduler: str | None, fields: int | None) -> Iterator[Client]:
    from distributed import Client
    from distributed.comm import get_address_host_port

    if workers is not None and workers < 1:
        raise UsageError(f"{workers} workers cannot do any work", hint="Give --workers 1 or more.")
    if scheduler is not None:
        if workers is not None:
            raise UsageError(
                "a scheduler brings its own workers", hint="Give either --workers or --scheduler, not both."
            )
        try:
            get_address_host_port(scheduler, strict=False)
        except ValueError as error:
            raise UsageError(
                f"{scheduler!r} is no address of a Dask scheduler: {error}", hint="Give one like tcp://HOST:8786."
            ) from error
        try:
            client = Client(scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"no Dask scheduler answers at {scheduler}: {error}",
                hint="Start one with `dask scheduler`, or leave --scheduler out.",
            ) from error
        with client:
            try:
                client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
            except TimeoutError as error:
                raise ConfigurationError(
                    f"the Dask scheduler at {scheduler} has no workers",
                    hint=f"Start some with `dask worker {scheduler}`, where cytolake is installed.",
                ) from error
            yield client
        return
    count = workers if workers is not None else available_cores()
    if workers is None and fields is not None:
        count = max(1, min(count, fields // _WORTH_A_WORKER))
    with _local_cluster(count) as cluster, Client(cluster, set_as_default=False) as client:
        wait_for_workers(client, count)
        yield client


def wait_for_workers(client: Client, count: int) -> None:
    """Wait a while for all workers; one that is late, or dies while it starts, keeps nobody from working.

    Raises
    ------
    ConfigurationError
        Not one has come.
    """
    for wanted, seconds in ((count, _CONNECT_SECONDS), (1, _CONNECT_SECONDS * 4)):
        try:
            client.wait_for_workers(wanted, timeout=seconds)
        except TimeoutError:
            continue
        return
    raise ConfigurationError(
        f"no worker process has come up within {_CONNECT_SECONDS * 5} seconds",
        hint="Look whether the machine is overloaded or short of memory, and try --workers 1, which starts none.",
    )


def finished(client: Client, futures: Sequence[Future]) -> list[Future]:
    """Wait until some tasks have ended, well or badly, and give those; no longer than there are workers to do them.

    Raises
    ------
    ConfigurationError
        No worker is left and none comes, or the scheduler was restarted.
    """
    from distributed import CancelledError, wait

    while True:
        try:
            with client.as_current():
                return list(wait(futures, timeout=_PATIENCE, return_when="FIRST_COMPLETED").done)
        except TimeoutError:
            wait_for_workers(client, 1)
        except CancelledError as error:
            raise ConfigurationError(
                "the Dask scheduler has forgotten the work under way; was it restarted?",
                hint="Run the same command again: it goes on with what is done.",
            ) from error


def memory_per_worker(count: int) -> int:
    """Bytes that one of ``count`` workers on this machine may hold: its share of what the machine gives us."""
    from distributed.system import MEMORY_LIMIT

    return int(MEMORY_LIMIT / max(count, available_cores()))


@contextmanager
def _local_cluster(count: int) -> Iterator[Any]:
    from distributed import LocalCluster, Scheduler, SpecCluster
    from distributed.deploy.subprocess import SubprocessWorker

    # On a busy machine Dask warns of a slow disk; nobody can do anything about it, and nothing is kept there.
    warnings.filterwarnings("ignore", message="Creating scratch directories")
    if count == 1:
        cluster: Any = LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            memory_limit=0,
            dashboard_address=_LOCAL_PORT,
            worker_dashboard_address=_LOCAL_PORT,
            silence_logs=_QUIET,
        )
    else:
        worker = {
            "cls": SubprocessWorker,
            "options": {
                # A nanny starts its worker again when it dies, and ends it when it outgrows its share of memory.
                "worker_class": "distributed.Nanny",
                "worker_kwargs": {
                    "host": "127.0.0.1",
                    "nthreads": 1,
                    "memory_limit": memory_per_worker(count),
                    "dashboard": False,
                    "dashboard_address": _LOCAL_PORT,
                    "silence_logs": _QUIET,
                },
            },
        }
        scheduler = {
            "cls": Scheduler,
            "options": {
                "host": "127.0.0.1",
                "port": 0,
                "dashboard": False,
                "dashboard_address": _LOCAL_PORT,
                "allowed_failures": _ALLOWED_DEATHS,
            },
        }
        cluster = SpecCluster(
            scheduler=scheduler,
            workers=dict.fromkeys(range(count), worker),
            name="cytolake",
            silence_logs=_QUIET,
        )
    with cluster:
        yield cluster
