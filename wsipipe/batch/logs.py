"""A log per slide: what a run would print, with the time of day."""

import ctypes
import faulthandler
import gc
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psutil

from wsipipe.io.output import SlideFolder
from wsipipe.progress import Stage
from wsipipe.units import clock


class SlideLog:
    """Writes what a slide's work has to tell to its `log.txt`."""

    def __init__(self, folder: SlideFolder) -> None:
        self._folder = folder
        self.done_again = ""
        """Why a slide that was finished is done again; "" when it is not."""

    def say(self, text: str) -> None:
        """Add a line."""
        self._folder.path.mkdir(parents=True, exist_ok=True)  # a slide that is done again loses its folder
        with self._folder.log.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}Z {text}\n")

    def warn(self, text: str) -> None:
        """Add a line that stands out."""
        self.say(f"warning: {text}")

    def again(self, text: str) -> None:
        """Add that the slide is done again, and why."""
        self.done_again = text
        self.warn(text)

    def fail(self, text: str) -> None:
        """Add the slide's error."""
        self.say(f"error: {text}")

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Stage]:
        """Add a line when the stage ends, well or not."""
        counted = _Counted()
        begun = time.monotonic()
        try:
            yield counted
        finally:
            note = f", {counted.note}" if counted.note else ""
            self.say(f"{name}: {counted.done} of {total} {unit} in {clock(time.monotonic() - begun)}{note}")


class _Counted:
    def __init__(self) -> None:
        self.done = 0
        self.note = ""

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.done += amount
        self.note = note or self.note


def _give_back() -> None:
    """Return what the slide left to the system: otherwise a process grows by some 0.1 MB a slide."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)


def _peak_mb() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak >> (20 if sys.platform == "darwin" else 10)


@contextmanager
def logged(folder: SlideFolder) -> Iterator[SlideLog]:
    """A slide's log; if the process crashes meanwhile, it says where (Python's fault handler).

    The last line is the time that the work took, the memory that the process holds and its open files.
    """
    log = SlideLog(folder)
    process = psutil.Process()
    log.say(f"process {process.pid}")
    begun = time.monotonic()
    with folder.log.open("a", encoding="utf-8") as crash:
        faulthandler.enable(crash)
        try:
            yield log
        finally:
            faulthandler.disable()
            _give_back()
            log.say(
                f"{time.monotonic() - begun:.2f} s; the process holds {process.memory_info().rss >> 20} MB, "
                f"{process.num_fds()} open files; at its most {_peak_mb()} MB"
            )
