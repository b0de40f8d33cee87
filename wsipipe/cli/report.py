"""`wsipipe report`: the pages of an output again."""

from pathlib import Path

import click

from wsipipe.cli.console import Console
from wsipipe.cli.options import OUT_ARGUMENT


@click.command("report", short_help="Rebuild the report pages of OUT.")
@OUT_ARGUMENT
@click.option("--debug", is_flag=True, help="Print tracebacks.")
def command(out: Path, debug: bool) -> int:  # noqa: ARG001
    """Rebuild report.html of every slide of OUT from its store, labels and class names."""
    from wsipipe import pipeline  # noqa: PLC0415 - heavy

    return pipeline.report(out, Console())
