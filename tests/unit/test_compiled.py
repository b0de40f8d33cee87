"""Compiled loops."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest

from wsipipe.image import compiled as module


def double(x: int) -> int:
    return 2 * x


def test_without_a_folder_to_write_to_the_code_is_compiled_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    real = numba.njit

    def njit(*function: Callable[..., Any], **options: bool) -> Callable[..., Any]:
        if function:  # numba's own, which it loads on the first call
            return real(*function)
        asked.append(options)
        if options.get("cache"):
            msg = "cannot cache function 'double': no locator available"
            raise RuntimeError(msg)
        return real(**options)

    monkeypatch.setattr(numba, "njit", njit)
    assert module.compiled(double)(21) == 42
    assert [options.get("cache", False) for options in asked] == [True, False]


def test_the_folder_for_machine_code_is_set_for_our_functions_only() -> None:
    before = numba.config.CACHE_DIR
    assert module.compiled(double)(2) == 4
    assert before == numba.config.CACHE_DIR


def test_the_linear_algebra_that_no_loop_uses_is_not_loaded_and_stays_usable() -> None:
    program = """
import sys
import numpy as np
from wsipipe.image.focus import block_energies
from wsipipe.records import Box
box = Box(0, 0, 64, 64)
block_energies(np.zeros((64, 64, 3), np.uint8), box, box, 0.5)
print("scipy.linalg" in sys.modules)
import scipy.linalg
print(float(scipy.linalg.det(np.eye(2))))
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "1.0"]


def test_plain_arrays_can_be_written_to() -> None:
    locked = np.arange(12).reshape(3, 4)
    locked.setflags(write=False)
    for array in (locked, np.arange(12).reshape(3, 4)[:, ::2]):
        result = module.plain(array)
        assert result.flags["C_CONTIGUOUS"]
        assert result.flags["WRITEABLE"]
        assert (result == array).all()
