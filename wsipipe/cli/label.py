"""`wsipipe label`: other labels for every slide of an output."""

from typing import Any

import click

from wsipipe.cli.console import Console
from wsipipe.cli.options import OUT_ARGUMENT, options, settings


@click.command("label", short_help="Label every slide of OUT with another model.")
@OUT_ARGUMENT
@click.option("--model", required=True, metavar="NAME|FILE", help="The model to label with.")
@options("device", "workers", "debug")
def command(**chosen: Any) -> int:
    """Label every slide of OUT with a model and rebuild its tables; nothing is segmented again."""
    from wsipipe import pipeline  # noqa: PLC0415 - heavy

    return pipeline.label(settings(**chosen), Console())
