"""`wsipipe proportions`: rebuild the tables of an output."""

import dataclasses
from typing import Any

import click

from wsipipe.cli.console import Console
from wsipipe.cli.options import OUT_ARGUMENT, options, settings
from wsipipe.config import ProportionsConfig


@click.command("proportions", short_help="Rebuild the tables and reports of OUT.")
@OUT_ARGUMENT
@click.option("--intervals", is_flag=True, help="Add the 95 % interval of each proportion: lo_ and hi_ columns.")
@options("debug")
def command(intervals: bool, **chosen: Any) -> int:
    """Rebuild proportions.csv, the tables beside it, cells.csv, cells.geojson and the reports of OUT from its stores.

    Labels of an older wsipipe are made again.
    """
    from wsipipe import pipeline  # noqa: PLC0415 - heavy

    plain = settings(**chosen)
    recipe = dataclasses.replace(plain.recipe, proportions=ProportionsConfig(intervals=intervals))
    return pipeline.proportions(dataclasses.replace(plain, recipe=recipe), Console())
