"""One process at a time: a lock on an open file, which the system drops when its holder dies."""

import fcntl
import time
from typing import IO, Any

PATIENCE_S = 2.0
"""A process that was killed holds its locks until the system has taken it apart, which takes a moment on a busy one."""
_PAUSE_S = 0.05


def take(file: IO[Any], patience_s: float = PATIENCE_S) -> None:
    """Lock an open file, until it is closed.

    Raises
    ------
    BlockingIOError
        If another process still holds it after `patience_s` seconds.
    OSError
        If the file system has no locks.
    """
    until = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise
            time.sleep(_PAUSE_S)
        else:
            return
