"""A lock is waited for as long as a killed process may take to vanish, and no longer."""

import fcntl
import threading
import time
from pathlib import Path

import pytest

from wsipipe.io.lock import take


def test_a_lock_that_is_let_go_soon_is_taken(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as held, (tmp_path / "lock").open("w") as wanted:
        take(held)
        threading.Timer(0.2, lambda: fcntl.flock(held, fcntl.LOCK_UN)).start()
        take(wanted, 30.0)
        with pytest.raises(BlockingIOError):
            take(held, 0.0)


def test_one_that_is_kept_is_given_up(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as held, (tmp_path / "lock").open("w") as wanted:
        take(held)
        begun = time.monotonic()
        with pytest.raises(BlockingIOError):
            take(wanted, 0.3)
        assert time.monotonic() - begun >= 0.3
