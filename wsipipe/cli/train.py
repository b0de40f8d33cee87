"""`wsipipe train`: G, D and Q on the cells of one or more outputs."""

from pathlib import Path
from typing import Any

import click

from wsipipe.cli.console import Console
from wsipipe.cli.options import FOLDER, Place, new_file, options, settings


@click.command("train")
@click.argument("outs", nargs=-1, required=True, type=FOLDER, metavar="OUT...")
@click.option("--model-out", required=True, type=Place(path_type=Path, dir_okay=False), metavar="FILE",
              callback=new_file, help="Where to write the model (.safetensors).")  # fmt: skip
@options("recipe", "classes", "device", "seed", "overwrite", "debug")
def command(outs: tuple[Path, ...], model_out: Path, **chosen: Any) -> int:
    """Train one model on the stored cells of every OUT."""
    from wsipipe import pipeline  # noqa: PLC0415 - heavy

    return pipeline.train(outs, model_out, settings(out=outs[0], **chosen), Console())
