"""`wsipipe classes`: what the classes of an output are, and their names."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wsipipe.cli.console import Console
from wsipipe.cli.options import OUT_ARGUMENT
from wsipipe.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsipipe.cohort.profiles import ClassProfile
    from wsipipe.export.classes import CellClass
    from wsipipe.gan.class_number import Suggestion

_COLUMNS = {"area_um2": "area um2", "eccentricity": "eccentricity", "solidity": "solidity", "h_od_mean": "H OD",
            "e_od_mean": "E OD", "confidence": "confidence"}  # fmt: skip


@click.command("classes", short_help="List, name and colour the classes of OUT.")
@OUT_ARGUMENT
@click.option("--name", "names", multiple=True, metavar="CLASS=NAME",
              help="Name a class, such as c2=lymphocyte; may be given several times.")  # fmt: skip
@click.option("--color", "colors", multiple=True, metavar="CLASS=#RRGGBB",
              help="Colour a class, such as c2=#AA4499; may be given several times.")  # fmt: skip
@click.option("--suggest", is_flag=True,
              help="Say how many classes the cells support, no label seen (-k of train): strength is how alike those "
              "are that two halves of the cells give (halves), and nuclei, patches and neighbours alone (views); 1 is "
              "the same, 0 chance. Takes a minute or two.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of --suggest.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--debug", is_flag=True, help="Print tracebacks.")
def command(
    out: Path,
    names: tuple[str, ...],
    colors: tuple[str, ...],
    suggest: bool,
    seed: int,
    as_json: bool,
    debug: bool,  # noqa: ARG001
) -> int:
    """List the classes of OUT side by side, name them, or say how many there should be.

    Names show in every table and report of OUT.

    Medians over all cells of all slides. Names may hold letters, digits, _ and -. CLASS is a name as it is now, or
    c0, c1 ... by number.
    """
    from wsipipe import pipeline  # noqa: PLC0415 - heavy

    if suggest:
        if names or colors:
            raise UsageError("goes with neither --name nor --color", "give it alone", "--suggest")
        click.echo(_suggestion(pipeline.suggest_classes(out, seed), as_json=as_json))
        return 0
    if names or colors:
        now = pipeline.class_list(out)
        pipeline.name_classes(out, _chosen(names, now, "--name"), _chosen(colors, now, "--color"), Console())
    classes, profiles = pipeline.look_at_classes(out)
    click.echo(_json(classes, profiles) if as_json else _table(classes, profiles))
    return 0


def _chosen(pairs: "Sequence[str]", classes: "Sequence[CellClass]", option: str) -> dict[int, str]:
    """What was said after =, by class index."""
    from wsipipe.export.classes import class_index  # noqa: PLC0415 - heavy

    chosen: dict[int, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError("has no =", f"write it like {option} c0=...", f"{option} {pair}")
        index = class_index(classes, name)
        if index in chosen:
            raise UsageError(f"class {name} is given twice", "say it once", f"{option} {pair}")
        chosen[index] = value
    return chosen


def _suggestion(found: "Suggestion", *, as_json: bool) -> str:
    if as_json:
        supports = {
            str(k): {"strength": round(s.strength, 4), "halves": round(s.halves, 4), "views": round(s.views, 4)}
            for k, s in found.supports.items()
        }
        return json.dumps({"suggested": found.number, "kinds_show": found.kinds_show, "supports": supports})
    lines = [
        "classes  strength  halves  views",
        *(f"{k:7}  {s.strength:8.2f}  {s.halves:6.2f}  {s.views:5.2f}" for k, s in found.supports.items()),
    ]
    said = f"suggested: {found.number}, the strongest (-k {found.number})"
    if not found.kinds_show:
        said += (
            "\nbut these cells show no kinds clearer than chance would: the views agree no better than on cells that"
            " are only more or less of something; look at the classes before you trust them"
        )
    return "\n".join([*lines, said])


def _table(classes: "Sequence[CellClass]", profiles: "Sequence[ClassProfile]") -> str:
    head = ["index", "name", "color", "cells", "share", *_COLUMNS.values()]
    lines = [head]
    for i, (c, profile) in enumerate(zip(classes, profiles, strict=True)):
        medians = [_number(profile.quartiles[name][1]) for name in _COLUMNS]
        lines.append([str(i), c.name, c.hex, str(profile.cells), f"{profile.share:.1%}", *medians])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in lines)


def _json(classes: "Sequence[CellClass]", profiles: "Sequence[ClassProfile]") -> str:
    rows = [
        {
            "index": i,
            "name": c.name,
            "color": c.hex,
            "cells": profile.cells,
            "share": profile.share,
            "quartiles": {name: _plain(values) for name, values in profile.quartiles.items()},
            "neighbours": dict(zip([other.name for other in classes], _plain(profile.neighbours), strict=True)),
        }
        for i, (c, profile) in enumerate(zip(classes, profiles, strict=True))
    ]
    return json.dumps(rows, allow_nan=False)


def _plain(values: "Sequence[float]") -> list[Any]:
    """JSON knows no NaN."""
    return [None if math.isnan(value) else value for value in values]


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"
