"""Dask clients: worker processes of this machine, or a running cluster."""

import contextlib
import logging
import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import resource_tracker
from typing import Any

from wsipipe.errors import UsageError

CONNECT_S = 20
"""How long a scheduler may take to answer."""

WORKERS_S = 60
"""How long a cluster may be without any worker."""

_NOWHERE = "127.0.0.1:0"
"""Where those listen: on this machine only, at a free port."""

_SETTINGS = {
    "distributed.worker.profile.enabled": False,  # keeps what every thread did for an hour: 0.3 MB a second
    "distributed.worker.memory.target": False,  # what tasks hold cannot be spilled
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.scheduler.http.routes": [],  # Dask opens web servers that nobody asked for
    "distributed.worker.http.routes": [],
}


def processes(count: int) -> Any:
    """A client with `count` worker processes of one thread each; one that dies is started again.

    A task whose process dies fails at once: who runs it again, and when, is decided by the caller.
    """
    import dask  # noqa: PLC0415 - half a second that commands without such workers should not wait for
    from distributed import Client, LocalCluster  # noqa: PLC0415

    for name in ("distributed.scheduler", "distributed.nanny", "distributed.core", "distributed.worker"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # a death is reported once, by the pipeline

    def started() -> Any:
        return LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=_NOWHERE,
            worker_dashboard_address=_NOWHERE,
            memory_limit=0,
            preload=["wsipipe.parallel.settle"],
        )

    with dask.config.set({**_SETTINGS, "distributed.scheduler.allowed-failures": 0}), _no_network_needed():
        return Client(_deaf_to_ctrl_c(started), set_as_default=False)


def stop_processes(client: Any) -> None:
    """End all worker processes of this one at once, without a word of theirs: the user pressed Ctrl-C.

    What they were writing is not under its final name yet.
    """
    for nanny in client.cluster.workers.values() if client.cluster is not None else ():
        nanny.auto_restart = False
    for process in multiprocessing.active_children():
        process.kill()


def _deaf_to_ctrl_c(start: Callable[[], Any]) -> Any:
    """Start worker processes from a thread that blocks Ctrl-C, as they then do from their very first moment.

    A terminal sends it to every process, and an interpreter that is still importing would print where it was.
    """

    def block() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

    with _quiet_tracker():
        resource_tracker.ensure_running()  # it would unblock Ctrl-C in the thread that needs it first
    starter = ThreadPoolExecutor(1, "cluster", initializer=block)
    try:
        return starter.submit(start).result()
    finally:
        starter.shutdown(wait=False)


@contextlib.contextmanager
def _quiet_tracker() -> Iterator[None]:
    """Multiprocessing's tracker, a process, does not warn of what it tidies up after a process that left at once."""
    name = "PYTHONWARNINGS"
    before = os.environ.get(name)
    os.environ[name] = ",".join(filter(None, (before, "ignore:resource_tracker:UserWarning")))
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def cluster(address: str) -> Any:
    """A client of a running scheduler.

    Raises
    ------
    UsageError
        If it cannot be reached or has no workers.
    """
    from distributed import Client  # noqa: PLC0415

    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
        client.wait_for_workers(1, timeout=WORKERS_S)
    except (OSError, ValueError, TimeoutError) as error:
        raise UsageError(
            f"no Dask workers to be had there ({error})",
            "start `dask scheduler` and `dask worker ADDRESS`, or leave the option out",
            f"--scheduler {address}",
        ) from error
    return client


@contextlib.contextmanager
def _no_network_needed() -> Iterator[None]:
    with warnings.catch_warnings():
        # without any network Dask warns that it found no address for itself; on one machine it needs none
        warnings.filterwarnings("ignore", "Couldn't detect a suitable IP", RuntimeWarning)
        yield
