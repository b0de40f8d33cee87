"""Recipes from TOML, checked field by field, and what tells two of them apart."""

import dataclasses
import hashlib
import json
import math
import tomllib
import types
import typing
from pathlib import Path
from typing import Any

from wsipipe.config.recipe import Recipe
from wsipipe.errors import RecipeError, UsageError

Triple = tuple[float, float, float]

LEAST_SEPARATION = 0.1
"""Sine of the smallest angle between two given stain vectors, about 6 degrees."""


_KINDS = {float: "a number", int: "a whole number", bool: "true or false", str: "a text in quotes"}


def parse_recipe(data: dict[str, Any], source: str = "recipe") -> Recipe:
    """Build a recipe from nested plain values.

    Raises
    ------
    RecipeError
        Listing every unknown key, wrong type and value out of range at once.
    """
    faults: list[str] = []
    recipe = typing.cast("Recipe", _parse(Recipe, data, "", faults))
    if _sine(recipe.stain.stain_1, recipe.stain.stain_2) < LEAST_SEPARATION:
        faults.append("stain.stain_1 and stain.stain_2 are the same stain")
    if faults:
        raise RecipeError("; ".join(faults), "correct the recipe", source)
    return recipe


def load_recipe(name_or_file: str) -> Recipe:
    """Load a packed recipe by name, or a TOML file by path.

    Raises
    ------
    UsageError
        If there is no such recipe or file, or it is not TOML.
    RecipeError
        If its contents are not a recipe.
    """
    packed = packed_recipes()
    path = packed.get(name_or_file, Path(name_or_file))
    if not path.is_file():
        raise UsageError(
            f"no recipe of that name or path; packed ones: {', '.join(sorted(packed))}",
            "name one of them or a .toml file",
            f"--recipe {name_or_file}",
        )
    try:
        data = tomllib.loads(path.read_text("utf-8-sig"))  # editors on Windows begin files with a mark
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"not a TOML file ({error})", "correct the file", str(path)) from error
    return parse_recipe({"name": path.stem, **data}, path.name)


def packed_recipes() -> dict[str, Path]:
    """Name and file of every recipe that comes with the package."""
    package = Path(__file__).parents[1]
    folder = package / "pipelines"
    if not folder.is_dir():  # a source checkout keeps them beside the package
        folder = package.parent / "pipelines"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def config_hash(values: dict[str, Any]) -> str:
    """16 hex digits that name these plain values."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def differences(old: dict[str, Any], new: dict[str, Any], where: str = "") -> list[str]:
    """Sentences naming each value that differs between two nested dicts of plain values."""
    found = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{where}{key}.")
        elif a != b:
            found.append(f"{where}{key} was {a}, is {b}")
    return found


def _parse(cls: type, data: Any, where: str, faults: list[str]) -> Any:
    if not isinstance(data, dict):
        faults.append(f"{where.rstrip('.') or 'recipe'} must be a table, not {data!r}")
        return cls()
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}
    faults += [f"unknown key {where}{key}" for key in data if key not in fields]
    values: dict[str, Any] = {}
    for name, f in fields.items():
        if name not in data:
            continue
        if dataclasses.is_dataclass(hints[name]):
            values[name] = _parse(typing.cast("type", hints[name]), data[name], f"{where}{name}.", faults)
        elif "vector" in f.metadata:
            values[name] = _parse_vector(data[name], typing.cast("Triple", f.default), f"{where}{name}", faults)
        else:
            _check(data[name], hints[name], f.metadata, f"{where}{name}", faults)
            values[name] = float(data[name]) if hints[name] is float and _is_number(data[name]) else data[name]
    return cls(**values)


def _parse_vector(value: Any, default: Triple, where: str, faults: list[str]) -> Triple:
    fits = isinstance(value, list | tuple) and len(value) == 3 and all(map(_is_number, value))
    if fits and min(value) >= 0.0 and 0.01 <= max(value) <= 10.0:
        return (float(value[0]), float(value[1]), float(value[2]))
    faults.append(f"{where} must be three numbers from 0 to 10, one of them at least 0.01, not {value!r}")
    return default


def _sine(a: Triple, b: Triple) -> float:
    across = (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
    return math.hypot(*across) / (math.hypot(*a) * math.hypot(*b))


def _check(value: Any, hint: type, limits: types.MappingProxyType[Any, Any], where: str, faults: list[str]) -> None:
    fits = _is_number(value) if hint is float else type(value) is hint
    if not fits:
        faults.append(f"{where} must be {_KINDS.get(hint, hint.__name__)}, not {_as_toml(value)}")
    elif "choices" in limits and value not in limits["choices"]:
        faults.append(f"{where} must be one of {', '.join(limits['choices'])}, not {value!r}")
    elif "low" in limits and not limits["low"] <= value <= limits["high"]:
        faults.append(f"{where} must be between {limits['low']:.7g} and {limits['high']:.7g}, not {value!r}")


def _as_toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
