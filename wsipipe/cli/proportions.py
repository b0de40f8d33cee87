"""`wsipipe proportions`: rebuild the tables of an output."""

from typing import Any

import click

from wsipipe.cli.console import Console
from wsipipe.cli.options import OUT_ARGUMENT, options, settings


@click.command("proportions")
@OUT_ARGUMENT
@options("debug")
def command(**chosen: Any) -> int:
    """Rebuild cells.csv, cells.geojson, the reports and proportions.csv of OUT from its stores and labels."""
    from wsipipe import pipeline  # noqa: PLC0415 - heavy

    return pipeline.proportions(settings(**chosen), Console())
