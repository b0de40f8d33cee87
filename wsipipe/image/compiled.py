"""Loops over pixels that numpy and OpenCV cannot express are compiled by numba, once per machine."""

import hashlib
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])


def _cache_folder() -> str:
    """Folder for machine code of exactly these sources.

    numba compares a function's own file only, so that a change of a function it calls would go unnoticed.
    """
    here = Path(__file__).parent
    sources = [path.read_bytes() for path in sorted(here.glob("*.py"))]
    digest = hashlib.sha256(b"".join(text for text in sources if b"compiled" in text)).hexdigest()
    return str(Path(numba.config.CACHE_DIR or here / "__pycache__") / f"numba-{digest[:16]}")


def _load_without_blas() -> None:
    """Have numba load its array functions while it does not see SciPy's linear algebra.

    Else it loads all of that on the first call of any compiled function, 0.1 s, to learn that matrix products can be
    had. None is compiled here; where SciPy is loaded already nothing is saved, and nothing done.
    """
    if "scipy.linalg" in sys.modules:
        return
    sys.modules["scipy.linalg"] = cast("Any", None)  # an import of it fails
    try:
        import_module("numba.np.arraymath")
    finally:
        del sys.modules["scipy.linalg"]


_load_without_blas()
_CACHE_FOLDER = _cache_folder()


def compiled(function: F) -> F:
    """Compile `function` on its first call, without the interpreter lock; machine code is kept on disk.

    Where no folder can be written (a read-only container without a home) the code is kept in memory only, which
    costs seconds a process and changes no result. Floating-point operations are never reordered (no fastmath).
    """
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = _CACHE_FOLDER
    try:
        made = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # numba found no folder to write to
        made = numba.njit(nogil=True, error_model="numpy")(function)
    finally:
        numba.config.CACHE_DIR = before
    return cast("F", made)


def compiled_part(function: F) -> F:
    """Compile `function` into the compiled ones that call it, for every pixel or object; it must not make arrays.

    Calls and the counting of references to arrays that come with them would cost more than the work itself.
    """
    return cast("F", numba.njit(nogil=True, error_model="numpy", forceinline=True, _nrt=False)(function))


def plain(array: NDArray[Any]) -> NDArray[Any]:
    """The same values as a contiguous, writeable array: one compiled version then serves every caller."""
    return np.require(array, requirements=["C", "W"])
