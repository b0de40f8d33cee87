"""`wsipipe segment`: up to the cell store."""

from pathlib import Path
from typing import Any

import click

from wsipipe.cli.console import Console
from wsipipe.cli.options import SLIDES, options, settings
from wsipipe.turns import Turns


@click.command("segment", short_help="Find the nuclei of every SLIDE and store their patches.")
@SLIDES
@options("out", "recipe", "mpp", "nuclei", "regions", "workers", "scheduler", "overwrite", "dry_run", "debug")
@click.pass_obj
def command(turns: Turns, /, slides: tuple[Path, ...], dry_run: bool, **chosen: Any) -> int:
    """Find the nuclei of every SLIDE and store them with their patches."""
    from wsipipe.slides import describe, segment  # noqa: PLC0415 - heavy

    if dry_run:
        click.echo(describe(slides, settings(**chosen)))
        return 0
    return segment(slides, settings(**chosen), Console(), turns)
