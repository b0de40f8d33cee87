"""`wsipipe demo`: a generated slide with known truth, whole pipeline."""

from pathlib import Path
from typing import Any

import click

from wsipipe.cli.console import Console
from wsipipe.cli.options import Place, options, settings


@click.command("demo", short_help="Draw a slide with known nuclei, run everything on it.")
@click.option("-o", "--out", default="demo-out", show_default=True, type=Place(path_type=Path, file_okay=False),
              help="Output folder; a second run on it continues.")  # fmt: skip
@click.option("--width", default=4096, show_default=True, type=click.IntRange(512, 32_768), help="Pixels.")
@click.option("--height", default=3072, show_default=True, type=click.IntRange(512, 32_768), help="Pixels.")
@options("recipe", "classes", "device", "workers", "scheduler", "seed", "overwrite", "debug")
def command(width: int, height: int, **chosen: Any) -> int:
    """Draw an H&E slide with known nuclei, run everything on it, and say how much of the truth was found."""
    from wsipipe.demo import run_demo  # noqa: PLC0415 - heavy

    score = run_demo(width, height, settings(**chosen), Console())
    click.echo(score)
    return 0
