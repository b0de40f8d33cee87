"""Ordered, bounded map over the tiles of a slide."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from wsipipe.errors import WorkerDiedError
from wsipipe.parallel.clients import cluster, in_process
from wsipipe.parallel.cpus import cpu_count
from wsipipe.parallel.handles import PerThread

DIED = (
    "the process that worked on it died: its reader crashed, or memory ran out",
    "see what `wsipipe info` says of the file; use fewer --workers or a smaller tiling.tile_px to save memory",
)
"""What happened, and what to do about it."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Mapper(Protocol):
    """Whatever spreads tiles: a `Pool`, or what a slide's worker has in its place."""

    @property
    def threads(self) -> int:
        """Threads of this very process that may be kept busy."""
        ...

    def ordered_map(
        self, function: Callable[..., Result], shared: object, items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield (item, function(shared, item)) in the order of `items`."""


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

    @property
    def threads(self) -> int:
        """Threads of this very process that may be kept busy."""
        return self._workers

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
        if self._client is None:
            self._client = cluster(self._scheduler) if self._scheduler else in_process(self._workers)
        threads = max(1, sum(self._client.nthreads().values()))
        yield from _ordered(lambda: self._client, threads, function, shared, items)


class Serial:
    """Tiles one after another in the thread that asks for them: what a slide's worker process does."""

    threads = 1

    def ordered_map(
        self, function: Callable[..., Result], shared: object, items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield (item, function(shared, item)) in the order of `items`."""
        for item in items:
            yield item, function(shared, item)


class Spread:
    """Tiles of a slide from inside its own Dask task to all workers of that cluster."""

    threads = 1

    def __init__(self, client: Any, share: int) -> None:
        self._client = client
        self._share = share

    def ordered_map(
        self, function: Callable[..., Result], shared: object, items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield (item, function(shared, item)) in the order of `items`; at most two a worker of the share at once."""
        yield from _ordered(lambda: self._client, self._share, function, shared, items)


@contextmanager
def pool_in_task(share: int) -> Iterator[Mapper]:
    """What a slide's own Dask task spreads its tiles with; handles that its tiles left open are closed at the end.

    Parameters
    ----------
    share : int
        Workers that this slide may keep busy; with 1 its tiles stay in its own process.
    """
    try:
        if share == 1:
            yield Serial()
        else:
            from distributed import worker_client  # noqa: PLC0415

            with worker_client() as client:  # gives this task's place to the tiles
                yield Spread(client, share)
    finally:
        PerThread.close_own()


def _ordered(
    client_now: Callable[[], Any],
    threads: int,
    function: Callable[..., Result],
    shared: object,
    items: Iterable[Item],
) -> Iterator[tuple[Item, Result]]:
    client = client_now()
    window: deque[tuple[Item, Any]] = deque()
    try:
        for item in items:
            window.append((item, client.submit(function, shared, item, pure=False, priority=1)))
            if len(window) >= 2 + 2 * threads:
                yield _take(window)
        while window:
            yield _take(window)
    finally:
        for _, future in window:
            if client_now() is not None:  # a pool that ended has cancelled everything already
                future.cancel()


def _take(window: "deque[tuple[Item, Any]]") -> tuple[Item, Any]:
    item, future = window.popleft()
    from distributed import KilledWorker  # noqa: PLC0415

    try:
        result = future.result()
    except KilledWorker as error:
        raise WorkerDiedError(*DIED) from error
    future.release()
    return item, result
