"""classes.toml: names and colours of the classes of one model. Naming a class changes no number anywhere."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from wsipipe.atomic import atomic_write
from wsipipe.errors import UsageError

# fmt: off
PALETTE = (
    "E69F00", "56B4E9", "009E73", "F0E442", "0072B2", "D55E00", "CC79A7", "0000FF", "96FFA5", "781E0F",
    "6969FF", "78004B", "87FFE1", "3C1EA5", "E1004B", "5AF0FF", "D2A55A", "870078", "6996FF", "B4FF78",
    "5AD296", "3C693C", "2D3CE1", "A53C00", "3C5AC3", "A53C78", "1EC3D2", "5AD2B4", "87FFC3", "690087",
    "B4D24B", "963C5A", "87A569", "00E178", "D2693C", "3C4BD2", "A5695A", "9687C3", "0000D2", "A569D2",
    "4B3C2D", "B42DA5", "78D2FF", "87D2D2", "A52D87", "F0783C", "963C1E", "009696", "87A596", "1E3C69",
    "F0C300", "5A2DFF", "FFC387", "96A5FF", "692DA5", "6978F0", "966978", "2D2DC3", "3C5AFF", "006996",
    "4B692D", "00FFF0", "4BA5B4", "E1871E",
)
# fmt: on
"""Colours of the class indices, as RRGGBB.

The first seven are those of Okabe and Ito (Color Universal Design, 2008), black left out. Each further one is the
colour farthest from all before it, and from the pinks and purples of H&E, in CIELAB as seen with normal vision,
protanopia and deuteranopia (simulated after Machado, Oliveira and Fernandes, IEEE TVCG 2009), whichever is least.
"""

ALIKE = 9.0
"""Colours closer than this in CIELAB are taken for one; of PALETTE the closest two are 9.6 apart."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_COLOR = re.compile(r"#[0-9A-Fa-f]{6}")

RESERVED = ("cells",)
"""Names that no class can have: proportions.csv has a column n_cells already."""

_HEAD = """\
# Names and colours of the cell classes, in the order of their index (the commonest in training first).
# Rename them here (letters, digits, _ and -; each name once), then run `wsipipe proportions` on this folder, or say
# `wsipipe classes OUT --name c0=NAME`.
"""


@dataclass(frozen=True)
class CellClass:
    """Name of a class, `[A-Za-z0-9_-]+`, and its RGB colour, each 0 to 255."""

    name: str
    color: tuple[int, int, int]

    @property
    def hex(self) -> str:
        """The colour as `#RRGGBB`."""
        return "#{:02X}{:02X}{:02X}".format(*self.color)


def default_classes(k: int) -> tuple[CellClass, ...]:
    """Classes c0 to c(k-1) in the colours of PALETTE, k at most 64."""
    return tuple(CellClass(f"c{i}", _rgb(PALETTE[i])) for i in range(k))


def renamed(
    classes: Sequence[CellClass], names: Mapping[int, str], colors: Mapping[int, str] | None = None
) -> tuple[CellClass, ...]:
    """The classes with other names and colours; those that are not mentioned stay as they are.

    Parameters
    ----------
    classes : sequence of CellClass
    names : mapping of int to str
        New name of a class index.
    colors : mapping of int to str, optional
        New colour of a class index, as `#RRGGBB`.

    Raises
    ------
    UsageError
        Naming every fault: no such class, a name or colour not allowed, a name used twice.
    """
    colors = colors or {}
    faults = [f"there is no class {i}" for i in sorted({*names, *colors}) if not 0 <= i < len(classes)]
    faults += [_color_fault(i, color) for i, color in colors.items() if not _COLOR.fullmatch(color)]
    all_names = [names.get(i, c.name) for i, c in enumerate(classes)]
    faults += _name_faults(all_names)
    if faults:
        raise UsageError("; ".join(faults), "choose other names or colours")
    all_colors = [_rgb(colors[i][1:]) if i in colors else c.color for i, c in enumerate(classes)]
    return tuple(map(CellClass, all_names, all_colors))


def class_index(classes: Sequence[CellClass], name: str) -> int:
    """Index of the class of that name, or of its number (`c2`) when no class is called so.

    Raises
    ------
    UsageError
        If there is none.
    """
    names = [c.name for c in classes]
    if name in names:
        return names.index(name)
    numbers = [c.name for c in default_classes(len(classes))]
    if name in numbers:
        return numbers.index(name)
    raise UsageError(f"no class {name!r}", f"the classes are {', '.join(names)}")


def alike(classes: Sequence[CellClass]) -> str:
    """The classes whose colours nobody can tell from that of an earlier one, as `c3 like c0, ...`; "" when none are.

    By the distance in CIELAB (CIE 1976), as seen with normal vision.
    """
    if not classes:
        return ""
    lab = cv2.cvtColor(np.array([[c.color for c in classes]], np.float32) / 255, cv2.COLOR_RGB2Lab)[0]
    near = np.tril(np.linalg.norm(lab[:, None] - lab, axis=2) < ALIKE, -1)
    pairs = [(c, classes[int(row.argmax())]) for c, row in zip(classes, near, strict=True) if row.any()]
    return ", ".join(f"{one.name} like {other.name}" for one, other in pairs)


def write_classes(path: Path, classes: Sequence[CellClass]) -> None:
    """Write classes.toml, whole or not at all.

    Raises
    ------
    UsageError
        A name is not allowed, or used twice.
    """
    faults = _name_faults([c.name for c in classes])
    if faults:
        raise UsageError("; ".join(faults), "choose other names", path.name)
    tables = [f'\n[[class]]\nname = "{c.name}"\ncolor = "{c.hex}"\n' for c in classes]
    with atomic_write(path) as file:
        file.write(_HEAD + "".join(tables))


def read_classes(path: Path, k: int) -> tuple[CellClass, ...]:
    """Names and colours of the k classes, as people may have edited them; a colour may be left out.

    Raises
    ------
    UsageError
        Naming every fault: not TOML, another number of classes, unknown keys, names or colours not allowed.
    """
    try:
        data = tomllib.loads(path.read_text("utf-8-sig"))  # editors on Windows begin files with a mark
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"not a TOML file ({error})", "correct the file or delete it", str(path)) from error
    tables = data.get("class")
    if data.keys() != {"class"} or not isinstance(tables, list) or len(tables) != k:
        raise UsageError(f"it must hold {k} [[class]] tables and nothing else", "correct the file", str(path))
    faults = [fault for i, table in enumerate(tables) for fault in _table_faults(i, table)]
    faults = faults or _name_faults([table["name"] for table in tables])
    if faults:
        raise UsageError("; ".join(faults), "correct the file", str(path))
    defaults = default_classes(k)
    return tuple(
        CellClass(table["name"], _rgb(table.get("color", default.hex)[1:]))
        for table, default in zip(tables, defaults, strict=True)
    )


def names_given(path: Path, k: int) -> str:
    """Which of the k classes have a name of their own, as `c0 tumour, c2 lymphocyte`; "" without the file."""
    if not path.is_file():
        return ""
    try:
        named = read_classes(path, k)
    except UsageError:  # of so many classes
        return ""
    pairs = zip(default_classes(k), named, strict=True)
    return ", ".join(f"{usual.name} {own.name}" for usual, own in pairs if own.name != usual.name)


def _table_faults(index: int, table: Any) -> list[str]:
    if not isinstance(table, dict) or not isinstance(table.get("name"), str):
        return [f"class {index} has no name"]
    faults = [f"class {index} has an unknown key {key}" for key in table if key not in ("name", "color")]
    color = table.get("color", "#000000")
    if not isinstance(color, str) or not _COLOR.fullmatch(color):
        faults.append(_color_fault(index, color))
    return faults


def _color_fault(index: int, color: object) -> str:
    return f'the color of class {index} must be like "#E69F00", not {color!r}'


def _name_faults(names: Sequence[str]) -> list[str]:
    faults = [
        f"{name!r} may hold only letters from a to z, digits, _ and -" for name in names if not _NAME.fullmatch(name)
    ]
    faults += [
        f"{name!r} cannot name a class: proportions.csv has a column n_{name}" for name in RESERVED if name in names
    ]
    return faults + [f"{name!r} is used twice" for name in sorted({n for n in names if names.count(n) > 1})]


def _rgb(digits: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue
