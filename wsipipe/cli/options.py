"""Options that mean the same in every command, and how they become settings."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from wsipipe.config import Settings, load_recipe, parse_recipe
from wsipipe.csvtext import decimal
from wsipipe.errors import UsageError

Function = TypeVar("Function", bound=Callable[..., Any])


def _number(text: str) -> float:
    try:
        return decimal(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no number: write it like 0.25") from None


def new_file(_context: click.Context, parameter: click.Parameter, file: Path | None) -> Path | None:
    """Callback of an option that names a file to write: better told now than after an hour's work."""
    if file is not None and not (file.parent.is_dir() and os.access(file.parent, os.W_OK)):
        what = "its folder cannot be written to" if file.parent.is_dir() else "its folder does not exist"
        raise UsageError(what, "make it, or name another", f"{parameter.opts[0]} {file.name}")
    return file


def new_folder(_context: click.Context, parameter: click.Parameter, folder: Path | None) -> Path | None:
    """Callback of an option that names a folder to write into, which need not be there."""
    if folder is not None:
        nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
            raise UsageError("cannot be written to", "name another folder", f"{parameter.opts[0]} {folder.name}")
    return folder


class Place(click.Path):
    """A path; an empty one, as of a shell's variable that was never set, is not the folder one stands in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path of what was typed."""
        if value == "":
            self.fail("it is empty, as a variable of the shell that was never set", param, ctx)
        return super().convert(value, param, ctx)


SLIDES = click.argument("slides", nargs=-1, required=True, type=Place(path_type=Path), metavar="SLIDE...")
FOLDER = Place(path_type=Path, exists=True, file_okay=False)
OUT_ARGUMENT = click.argument("out", type=FOLDER, metavar="OUT")

_OPTIONS: dict[str, Callable[[Function], Function]] = {
    "out": click.option("-o", "--out", required=True, type=Place(path_type=Path, file_okay=False),
                        help="Output folder; a second run on it continues."),
    "recipe": click.option("--recipe", "recipe", default="default", metavar="NAME|FILE.toml", show_default=True,
                           help="Stage parameters: default, he-40x, h-dab, paper, toy, or a file."),
    "mpp": click.option("--mpp", type=_number, metavar="FLOAT",
                        help="True microns per pixel of level 0, over the metadata."),
    "classes": click.option("-k", "--classes", type=click.IntRange(2, 64),
                            help="Number of cell classes of a model that is trained."),
    "model": click.option("--model", metavar="NAME|FILE", help="Label with this model; `default` ships with wsipipe."),
    "train": click.option("--train", is_flag=True, help="Fit one model on all the given slides' cells first."),
    "regions": click.option("--regions", type=click.Path(path_type=Path, exists=True, dir_okay=False),
                            metavar="FILE.geojson", help="Analyse only inside these polygons."),
    "nuclei": click.option("--nuclei", type=click.Path(path_type=Path, exists=True), metavar="FILE|DIR",
                           help="Use these nuclei instead of segmenting: a mask of the size of level 0 (16-bit PNG, "
                           "TIFF), a CSV with x,y in level-0 px, or GeoJSON (in QuPath's frame unless its metadata "
                           "has an offset_px); in DIR, <slide_id>.png, .tif, .csv or .geojson. None is left out."),
    "device": click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto",
                           show_default=True, help="Where networks run."),
    "workers": click.option("--workers", type=click.IntRange(min=1), help="Parallel workers [default: usable CPUs]."),
    "scheduler": click.option("--scheduler", metavar="ADDRESS", help="Run tiles on this Dask cluster."),
    "seed": click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True,
                         help="Of every random draw."),
    "overwrite": click.option("--overwrite", is_flag=True, help="Start again instead of continuing."),
    "dry_run": click.option("--dry-run", is_flag=True, help="Print the plan and stop."),
    "debug": click.option("--debug", is_flag=True, help="Print tracebacks, and paths in the log."),
}  # fmt: skip


def options(*names: str) -> Callable[[Function], Function]:
    """Decorate a command with shared options, listed in its help in this order."""

    def decorate(function: Function) -> Function:
        for name in reversed(names):
            function = _OPTIONS[name](function)
        return function

    return decorate


def settings(*, recipe: str = "default", classes: int | None = None, **values: Any) -> Settings:
    """Settings from the options of a command."""
    chosen = load_recipe(recipe)
    if classes is not None:
        data = chosen.to_dict()
        chosen = parse_recipe({**data, "gan": {**data["gan"], "classes": classes}}, "--classes")
    return Settings(recipe=chosen, classes=classes, **values)
