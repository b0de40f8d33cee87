"""Whole columns of numbers as text at once: the same bytes as one by one, a hundred times sooner.

A column is a uint8 matrix, one row of characters per value, padded with NUL; `join` puts columns side by side and
drops the padding.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Text = NDArray[np.uint8]


def fixed(values: NDArray[np.float32] | NDArray[np.float64], decimals: int) -> Text:
    """Numbers with a fixed count of decimals, as `f"{v:.2f}"` writes them.

    Parameters
    ----------
    values : float32 or float64, (n,)
        Finite, below 1e12 in size.
    decimals : int
        At least 1. The float64 product with 10 ** decimals is rounded half to even; there is no "-0.00".

    Returns
    -------
    uint8, (n, width)

    Raises
    ------
    ValueError
        A value is not finite or too large: something upstream is wrong, and must not become an empty field.
    """
    exact = np.asarray(values, np.float64)
    if not (np.abs(exact) < 1e12).all():
        msg = "a number is not finite or beyond 1e12"
        raise ValueError(msg)
    scaled = np.rint(exact * 10.0**decimals).astype(np.int64)
    digits = _digits(np.abs(scaled), decimals + 1)
    point = np.full((len(scaled), 1), ord("."), np.uint8)
    sign = np.where(scaled < 0, ord("-"), 0).astype(np.uint8)[:, None]
    return np.concatenate([sign, digits[:, :-decimals], point, digits[:, -decimals:]], axis=1)


def whole(values: NDArray[np.int64]) -> Text:
    """Whole numbers that are not negative, (n,), as uint8, (n, width)."""
    return _digits(np.asarray(values, np.int64), 1)


def words(texts: Sequence[bytes], index: NDArray[np.uint8]) -> Text:
    """One of a few texts per row: `texts[index[i]]`, as uint8, (n, width)."""
    return np.array(texts, np.bytes_).view(np.uint8).reshape(len(texts), -1)[index]


def constant(text: bytes, n: int) -> Text:
    """The same text in each of n rows."""
    return np.broadcast_to(np.frombuffer(text, np.uint8), (n, len(text)))


def join(columns: Sequence[Text]) -> tuple[bytes, NDArray[np.int64]]:
    """The rows of all columns side by side, without padding, and where each row ends in the bytes."""
    table = np.concatenate(columns, axis=1)
    used = table != 0
    return table[used].tobytes(), np.cumsum(used.sum(axis=1), dtype=np.int64)


def _digits(values: NDArray[np.int64], at_least: int) -> Text:
    """Decimal digits, with leading zeros up to `at_least` of them."""
    width = max(at_least, len(str(int(values.max(initial=0)))))
    text = np.empty((len(values), width), np.uint8)
    rest = values
    for place in range(width - 1, -1, -1):
        quotient = rest // 10
        digit = (rest - quotient * 10 + ord("0")).astype(np.uint8)
        if place < width - at_least:
            digit[rest == 0] = 0
        text[:, place] = digit
        rest = quotient
    return text
