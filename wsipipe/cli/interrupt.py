"""Ctrl-C ends the program within seconds, with one line, wherever it was."""

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
from types import FrameType

import click

INTERRUPTED = 130
"""Exit code."""

_PATIENCE_S = 3.0
"""Longer than tidying up takes: libraries swallow the interrupt in callbacks, and hang on threads that go on."""


class Interrupt:
    """What happens on Ctrl-C: KeyboardInterrupt once, and the end of the process when that does not lead to it."""

    def __init__(self) -> None:
        self._pressed = False

    def listen(self) -> None:
        """Take Ctrl-C over from Python, unless the process was told to ignore it."""
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._press)

    def _press(self, number: int, frame: FrameType | None) -> None:
        if self._pressed:
            return
        self._pressed = True
        logging.disable(logging.CRITICAL)  # of what breaks while everything ends nobody wants to read
        sys.unraisablehook = lambda _: None
        last = threading.Timer(_PATIENCE_S, leave)
        last.daemon = True
        last.start()
        signal.default_int_handler(number, frame)


def leave() -> None:
    """Say that it was stopped, and end at once: threads in the middle of a tile would hold up an orderly exit."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    for process in multiprocessing.active_children():
        process.kill()  # before they find that this one is gone, and say so
    click.echo("error: stopped: what is finished is kept: run the same command again to continue", err=True)
    flush()
    os._exit(INTERRUPTED)


def flush() -> None:
    """Write out what was said, if anybody listens: a stream may be closed, or its reader gone."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            if stream is not None:
                stream.flush()
