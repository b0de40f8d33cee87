"""The C library keeps what tiles free, where it can."""

import ctypes
import platform
import subprocess
import sys
from typing import Any

import pytest

from wsipipe.parallel import memory

FAULTS = """
import resource, sys
import numpy as np
from wsipipe.parallel.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    arrays = [np.full(3 << 20, i, np.uint8) for i in range(24)]  # below the size that numpy asks huge pages for
    del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc only")
def test_memory_that_was_freed_is_used_again_without_asking_the_system():
    faults = {
        how: int(subprocess.check_output([sys.executable, "-c", FAULTS, how], text=True)) for how in ("keep", "not")
    }
    once = 24 * (3 << 20) / 4096
    assert faults["keep"] < 2 * once < faults["not"]


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    class Other:
        """A library without mallopt."""

    def loaded(_: Any) -> Other:
        return Other()

    monkeypatch.setattr(ctypes, "CDLL", loaded)
    assert memory.keep_freed_memory() is False
