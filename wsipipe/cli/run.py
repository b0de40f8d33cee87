"""`wsipipe run`: everything, for each slide."""

from pathlib import Path
from typing import Any

import click

from wsipipe.cli.console import Console
from wsipipe.cli.options import SLIDES, options, settings
from wsipipe.turns import Turns


@click.command("run")
@SLIDES
@options("out", "recipe", "mpp", "model", "train", "classes", "nuclei", "regions", "device", "workers", "scheduler",
         "seed", "overwrite", "dry_run", "debug")  # fmt: skip
@click.pass_obj
def command(turns: Turns, /, slides: tuple[Path, ...], dry_run: bool, **chosen: Any) -> int:
    """Find, patch, class and count the cells of every SLIDE.

    SLIDE is any format that OpenSlide or tiffslide opens, or a PNG, JPEG or TIFF image with --mpp. Without --model,
    the model already in OUT is used, or the one that ships with wsipipe; --train fits one on these slides' cells.
    """
    if dry_run:
        from wsipipe.slides import describe  # noqa: PLC0415 - heavy

        click.echo(describe(slides, settings(**chosen)))
        return 0
    from wsipipe import pipeline  # noqa: PLC0415 - heavy

    return pipeline.run(slides, settings(**chosen), Console(), turns)
