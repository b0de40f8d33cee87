"""Slides that a worker keeps open from one tile to the next."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar


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

    def close_mine(self) -> None:
        """Close what this thread left open."""
        if threading.get_ident() in self._open:
            self._close(threading.get_ident())

    @classmethod
    def close_own(cls) -> None:
        """Close what this thread left open, of every kind."""
        for kept in cls._all:
            kept.close_mine()

    @classmethod
    def close_all(cls) -> None:
        """Close what idle threads left open, of every kind."""
        for kept in cls._all:
            kept.close_idle()
