"""Compiled loops."""

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

    def njit(**options: bool) -> Callable[..., Any]:
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


def test_plain_arrays_can_be_written_to() -> None:
    locked = np.arange(12).reshape(3, 4)
    locked.setflags(write=False)
    for array in (locked, np.arange(12).reshape(3, 4)[:, ::2]):
        result = module.plain(array)
        assert result.flags["C_CONTIGUOUS"]
        assert result.flags["WRITEABLE"]
        assert (result == array).all()
