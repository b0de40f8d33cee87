"""How the value of a stage's parameter is limited; the loader reads it from the field's metadata."""

from dataclasses import field
from typing import Any


def number(default: float, low: float, high: float) -> Any:
    """A number from `low` to `high`."""
    return field(default=default, metadata={"low": low, "high": high})


def vector(*default: float) -> Any:
    """Three numbers that say a direction."""
    return field(default=default, metadata={"vector": True})


def choice(default: str, *others: str) -> Any:
    """One of some words."""
    return field(default=default, metadata={"choices": (default, *others)})
