"""Loops over pixels that numpy and OpenCV cannot express are compiled by numba, once per machine."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile `function` on its first call, without the interpreter lock; machine code is kept on disk.

    Where no folder can be written (a read-only container without a home) the code is kept in memory only, which
    costs seconds a process and changes no result. Floating-point operations are never reordered (no fastmath).
    """
    try:
        made = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba found no folder to write to
        made = numba.njit(nogil=True)(function)
    return cast("F", made)


def plain(array: NDArray[Any]) -> NDArray[Any]:
    """The same values as a contiguous, writeable array: one compiled version then serves every caller."""
    return np.require(array, requirements=["C", "W"])
