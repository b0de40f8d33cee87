"""Ordered, bounded map over the tiles of a slide."""

import secrets
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from wsipipe.errors import WorkerDiedError
from wsipipe.parallel.clients import cluster
from wsipipe.parallel.cpus import cpu_count
from wsipipe.parallel.handles import PerThread
from wsipipe.parallel.memory import keep_freed_memory

DIED = (
    "the process that worked on it died: its reader crashed, or memory ran out",
    "see what `wsipipe info` says of the file; use fewer --workers or a smaller tiling.tile_px to save memory",
)
"""What happened, and what to do about it."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Raised:
    """What a task raised, as its result."""

    error: Exception


def submitted(client: Any, function: Callable[..., Result], *arguments: object, priority: int = 0) -> Any:
    """The future of `function(*arguments)` on some worker; what it raises is in its result (`unwrapped`)."""
    key = f"{function.__name__}-{secrets.token_hex(8)}"  # Dask learns from the name how long such tasks take
    return client.submit(_quietly, function, *arguments, pure=False, key=key, priority=priority)


def unwrapped(result: Result | Raised) -> Result:
    """The result of a task that was `submitted`; what it raised is raised."""
    if isinstance(result, Raised):
        raise result.error
    return result


def _quietly(function: Callable[..., Result], *arguments: Any) -> Result | Raised:
    """`function(*arguments)`; its error as a result, for Dask would print it on the worker.

    What a library says may quote a slide's metadata, and its traceback tells folders. With --debug it is shown.
    """
    try:
        return function(*arguments)
    except Exception as error:  # noqa: BLE001 - raised again by whoever waits for the task
        error.add_note(f"on a worker:\n{traceback.format_exc()}")
        return Raised(error)


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
    """Threads of this process, or a running cluster, with a bounded window of tasks. Use as a context manager.

    Parameters
    ----------
    workers : int or None
        Threads; all usable CPUs when None. Tiles release the interpreter lock while they read, filter and label, so
        threads are enough and share one copy of everything.
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
        self._executor: ThreadPoolExecutor | None = None
        self._client: Any = None

    @property
    def threads(self) -> int:
        """Threads of this very process that may be kept busy."""
        return self._workers

    def __enter__(self) -> Self:
        if self._scheduler is None:
            keep_freed_memory()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=kind is None, cancel_futures=True)  # who was stopped should not wait for tiles
            PerThread.close_all()
        if self._client is not None:
            self._client.close()
        self._executor = self._client = None

    def ordered_map(
        self, function: Callable[..., Result], shared: object, items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield (item, function(shared, item)) in the order of `items`.

        At most two tasks per thread (plus two) are submitted and unconsumed at any time, so that memory does not
        grow with the number of items. `function` must be importable on the workers; a task whose worker dies is
        run again elsewhere by the scheduler.
        """
        if self._scheduler is None:
            self._executor = self._executor or ThreadPoolExecutor(self._workers, "tile")
            submit = partial(self._executor.submit, function, shared)
            yield from _ordered(submit, Future.result, Future.cancel, self._workers, items)
        else:
            self._client = self._client or cluster(self._scheduler)
            threads = max(1, sum(self._client.nthreads().values()))
            yield from _on_client(lambda: self._client, threads, function, shared, items)


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
        yield from _on_client(lambda: self._client, self._share, function, shared, items)


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


def _on_client(
    client_now: Callable[[], Any],
    threads: int,
    function: Callable[..., Result],
    shared: object,
    items: Iterable[Item],
) -> Iterator[tuple[Item, Result]]:
    from distributed import KilledWorker  # noqa: PLC0415 - half a second that only clusters should wait for

    submit = partial(submitted, client_now(), function, shared, priority=1)

    def take(future: Any) -> Any:
        try:
            result = unwrapped(future.result())
        except KilledWorker as error:
            raise WorkerDiedError(*DIED) from error
        finally:
            future.release()
        return result

    def drop(future: Any) -> None:
        if client_now() is not None:  # a pool that ended has cancelled everything already
            future.cancel()

    yield from _ordered(submit, take, drop, threads, items)


def _ordered(
    submit: Callable[[Item], Any],
    take: Callable[[Any], Result],
    drop: Callable[[Any], object],
    threads: int,
    items: Iterable[Item],
) -> Iterator[tuple[Item, Result]]:
    """Results in the order of `items`; those in the window when it ends early are dropped."""
    window: deque[tuple[Item, Any]] = deque()
    try:
        for item in items:
            window.append((item, submit(item)))
            if len(window) >= 2 + 2 * threads:
                first, future = window.popleft()
                yield first, take(future)
        while window:
            first, future = window.popleft()
            yield first, take(future)
    finally:
        for _, future in window:
            drop(future)
