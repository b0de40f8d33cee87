"""Slides over worker processes: one that dies costs its own slide and no other."""

import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

from wsipipe.errors import UsageError, WorkerDiedError
from wsipipe.parallel import clients
from wsipipe.parallel.cpus import cpu_count
from wsipipe.parallel.pool import DIED, submitted, unwrapped

_TICK_S = 1.0
"""How often progress is reported while nothing ends."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Fleet:
    """Worker processes, of this machine or of a cluster. Use as a context manager.

    Parameters
    ----------
    workers : int or None
        Processes on this machine; one for each usable CPU when None.
    scheduler : str or None
        Address of a running Dask scheduler to use instead.

    Raises
    ------
    UsageError
        If the scheduler cannot be reached, or has no workers for a minute.
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
        if self._client is None:
            return
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            clients.stop_processes(self._client)
            return
        local = self._client.cluster
        self._client.close()
        if local is not None:
            local.close()
        self._client = None

    def each(
        self,
        function: Callable[..., Result],
        shared: object,
        items: Iterable[Item],
        tick: Callable[[int], None],
    ) -> Iterator[tuple[Item, Result | WorkerDiedError]]:
        """Yield (item, function(shared, item, share)) as they end; no more are on their way than there are workers.

        `share` is the number of workers that the item may keep busy with tiles of its own: more than one when fewer
        items are left than workers. An item whose process dies is set aside; when all others are done, such items run
        once more, one at a time and each in one process, so that the one that kills its process is known: it gets a
        `WorkerDiedError` in place of a result.

        Parameters
        ----------
        function : callable
            Importable on the workers; raises what is to stop everything.
        shared : object
            The same for every item; small, as it is sent with each.
        items : iterable
            What to do, at least in this order of starting.
        tick : callable
            Called with the number of running items, every second or so.
        """
        client = self._connect()
        suspects: list[Item] = []
        waiting = deque(items)
        for item, result in self._rush(client, function, shared, waiting, tick):
            if isinstance(result, WorkerDiedError):
                suspects.append(item)
            else:
                yield item, result
        for suspect in suspects:
            yield from self._rush(client, function, shared, deque([suspect]), tick, share=1)

    def everywhere(self, function: Callable[..., Result], *arguments: object) -> dict[str, Result]:
        """The result of `function(*arguments)` on one worker of every host, by the worker's address."""
        client = self._connect()
        hosts = {facts["host"]: address for address, facts in client.scheduler_info(n_workers=-1)["workers"].items()}
        found: dict[str, Result] = client.run(function, *arguments, workers=sorted(hosts.values()))
        return found

    def _rush(
        self,
        client: Any,
        function: Callable[..., Result],
        shared: object,
        waiting: "deque[Item]",
        tick: Callable[[int], None],
        share: int | None = None,
    ) -> Iterator[tuple[Item, Result | WorkerDiedError]]:
        from distributed import KilledWorker  # noqa: PLC0415

        ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        running: dict[Any, Item] = {}
        try:
            while waiting or running:
                slots = self._slots(client)
                while waiting and len(running) < slots:
                    item = waiting.popleft()
                    busy = share or max(1, slots // (len(waiting) + len(running) + 1))
                    future = submitted(client, function, shared, item, busy)
                    running[future] = item
                    future.add_done_callback(ended.put)
                future = _next(ended)
                tick(len(running))
                if future is None:
                    continue
                item = running.pop(future)
                try:
                    result: Result | WorkerDiedError = unwrapped(future.result())
                except (KilledWorker, WorkerDiedError):
                    result = WorkerDiedError(*DIED)
                yield item, result
        finally:
            for future in running:
                future.cancel()

    def _slots(self, client: Any) -> int:
        """Threads of all workers; waits for one while there is none."""
        deadline = time.monotonic() + clients.WORKERS_S
        while not (slots := int(sum(client.nthreads().values()))):
            if time.monotonic() > deadline:
                remedy = "start `dask worker ADDRESS`" if self._scheduler else "free memory or use fewer --workers"
                raise UsageError(
                    f"no worker for {clients.WORKERS_S} s",
                    f"{remedy} and run the same command again: it continues",
                    f"--scheduler {self._scheduler}" if self._scheduler else "worker processes",
                )
            time.sleep(0.2)
        return slots

    def _connect(self) -> Any:
        if self._client is None:
            self._client = clients.cluster(self._scheduler) if self._scheduler else clients.processes(self._workers)
        return self._client


def _next(ended: "queue.SimpleQueue[Any]") -> Any:
    try:
        return ended.get(timeout=_TICK_S)
    except queue.Empty:
        return None
