"""`wsipipe export`: the cells of an output in the form another program reads."""

from pathlib import Path

import click

from wsipipe.cli.console import Console
from wsipipe.cli.options import OUT_ARGUMENT


@click.command("export")
@OUT_ARGUMENT
@click.option("--to", "kind", required=True, type=click.Choice(["csv", "geojson", "masks"]), help="Form of the export.")
@click.option("-o", "--out", "folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Write <slide_id>.<ext> there [default: beside each store].")  # fmt: skip
@click.option("--debug", is_flag=True, help="Print tracebacks.")
def command(out: Path, kind: str, folder: Path | None, debug: bool) -> int:  # noqa: ARG001
    """Write the cells of every slide of OUT as csv, geojson or masks (16-bit instance PNG in level-0 pixels)."""
    from wsipipe import pipeline  # noqa: PLC0415 - heavy

    return pipeline.export(out, kind, folder, Console())
