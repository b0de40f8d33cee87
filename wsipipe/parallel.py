"""Ordered, bounded map over tiles: one Dask client, in this process or on a running cluster (the only Dask)."""

import math
import os
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

from wsipipe.errors import UsageError

_CONNECT_S = 20
"""How long a scheduler may take to answer."""

_NOWHERE = "127.0.0.1:0"
"""Where those listen: on this machine only, at a free port."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def cpu_count() -> int:
    """CPUs this process may use: affinity, cgroup quota and SLURM_CPUS_PER_TASK all count; at least 1."""
    counts = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if slurm.isdigit():
        counts.append(int(slurm))
    quota = _cgroup_quota(Path("/sys/fs/cgroup"))
    if quota is not None:
        counts.append(quota)
    return max(1, min(counts))


def _cgroup_quota(root: Path) -> int | None:
    """Whole CPUs that the cgroup (v2, else v1) grants, rounded up; None without a limit."""
    try:
        if (root / "cpu.max").is_file():
            quota, period = (root / "cpu.max").read_text().split()
        else:
            quota = (root / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text().strip()
        limit = float(quota) / float(period)
    except (OSError, ValueError):
        return None  # no such file, or the word "max"
    return math.ceil(limit) if limit > 0 else None


class Pool:
    """A Dask client with a bounded window of tasks. Use as a context manager.

    Parameters
    ----------
    workers : int or None
        Threads of the in-process client; all usable CPUs when None. Tiles release the interpreter lock while they
        read, filter and label, so threads are enough and share one copy of everything.
    scheduler : str or None
        Address of a running Dask scheduler to use instead.

    Raises
    ------
    UsageError
        If the scheduler cannot be reached or has no workers.
    """

    def __init__(self, workers: int | None = None, scheduler: str | None = None) -> None:
        self._scheduler = scheduler
        self._workers = workers or cpu_count()
        self._client: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
            if self._scheduler is None:  # its threads have nothing left to do
                PerThread.close_all()

    def ordered_map(
        self, function: Callable[..., Result], shared: object, items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield (item, function(shared, item)) in the order of `items`.

        At most two tasks per thread (plus two) are submitted and unconsumed at any time, so that memory does not
        grow with the number of items. `function` must be importable on the workers; a task whose worker dies is
        run again elsewhere by the scheduler.
        """
        client = self._connect()
        window: deque[tuple[Item, Any]] = deque()
        limit = 2 + 2 * max(1, sum(client.nthreads().values()))
        try:
            for item in items:
                window.append((item, client.submit(function, shared, item, pure=False)))
                if len(window) >= limit:
                    yield self._take(window)
            while window:
                yield self._take(window)
        finally:
            for _, future in window:
                if self._client is not None:  # a pool that ended has cancelled everything already
                    future.cancel()

    @staticmethod
    def _take(window: "deque[tuple[Item, Any]]") -> tuple[Item, Any]:
        item, future = window.popleft()
        result = future.result()
        future.release()
        return item, result

    def _connect(self) -> Any:
        if self._client is None:
            self._client = _cluster(self._scheduler) if self._scheduler else _in_process(self._workers)
        return self._client


def _in_process(threads: int) -> Any:
    import dask  # noqa: PLC0415 - half a second that commands without tiles should not wait for
    from distributed import Client  # noqa: PLC0415

    settings = {
        "distributed.worker.memory.target": False,  # one process holds everything: nothing to spill to
        "distributed.worker.memory.spill": False,
        "distributed.scheduler.http.routes": [],  # Dask opens web servers that nobody asked for
        "distributed.worker.http.routes": [],
    }
    with dask.config.set(settings), warnings.catch_warnings():
        # without any network Dask warns that it found no address for itself; in one process it needs none
        warnings.filterwarnings("ignore", "Couldn't detect a suitable IP", RuntimeWarning)
        return Client(
            processes=False,
            n_workers=1,
            threads_per_worker=threads,
            dashboard_address=_NOWHERE,
            worker_dashboard_address=_NOWHERE,
            memory_limit=0,
            set_as_default=False,
        )


def _cluster(address: str) -> Any:
    from distributed import Client  # noqa: PLC0415

    try:
        client = Client(address, timeout=_CONNECT_S, set_as_default=False)
        client.wait_for_workers(1, timeout=60)
    except (OSError, ValueError, TimeoutError) as error:
        raise UsageError(
            f"no Dask workers to be had there ({error})",
            "start `dask scheduler` and `dask worker ADDRESS`, or leave the option out",
            f"--scheduler {address}",
        ) from error
    return client


class PerThread:
    """One open object per thread, such as a slide: the last one is kept for the thread's next task.

    Parameters
    ----------
    make : callable
        Opens the object of a key.
    """

    _all: ClassVar[list["PerThread"]] = []

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make
        self._open: dict[int, tuple[Any, Any]] = {}
        self._busy: set[int] = set()
        self._all.append(self)

    @contextmanager
    def use(self, key: object) -> Iterator[Any]:
        """The object of `key`; another one that this thread had is closed, and so is this one after an error."""
        thread = threading.get_ident()
        self._busy.add(thread)
        try:
            if thread in self._open and self._open[thread][0] != key:
                self._close(thread)
            if thread not in self._open:
                self._open[thread] = (key, self._make(key))
            yield self._open[thread][1]
        except BaseException:
            if thread in self._open:
                self._close(thread)
            raise
        finally:
            self._busy.discard(thread)

    def _close(self, thread: int) -> None:
        _, opened = self._open.pop(thread)
        opened.close()

    def close_idle(self) -> None:
        """Close what idle threads left open; a thread still at work keeps its own."""
        for thread in set(self._open) - self._busy:
            self._close(thread)

    @classmethod
    def close_all(cls) -> None:
        """Close what idle threads left open, of every kind."""
        for kept in cls._all:
            kept.close_idle()
