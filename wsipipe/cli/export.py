"""`wsipipe export`: the cells of an output in the form another program reads."""

from pathlib import Path
from typing import Any

import click

from wsipipe.cli.console import Console
from wsipipe.cli.options import OUT_ARGUMENT, Place, options

KINDS = ("csv", "parquet", "geojson", "anndata", "masks", "overlay")


def _regions(
    ctx: click.Context,  # noqa: ARG001 - as click calls it
    param: click.Parameter,
    values: tuple[str, ...],
) -> list[tuple[int, ...]]:
    """Left, top, width and height of every region."""
    regions: list[tuple[int, ...]] = []
    for value in values:
        try:
            region: tuple[int, ...] = tuple(int(part) for part in value.split(","))
        except ValueError:
            region = ()
        if len(region) != 4 or min(region[:2]) < 0 or min(region[2:]) < 1:
            message = f"{value!r} is not x,y,w,h: left, top, width and height in whole level-0 px."
            raise click.BadParameter(message, param=param)
        regions.append(region)
    return regions


@click.command("export", short_help="Write the cells of OUT in a form other programs read.")
@OUT_ARGUMENT
@click.option("--to", "kind", required=True, type=click.Choice(KINDS), help="Form of the export.")
@click.option("-o", "--out", "folder", type=Place(path_type=Path, file_okay=False), metavar="DIR",
              help="Write <slide_id>.<ext> there [default: beside each store].")  # fmt: skip
@click.option("--only", multiple=True, metavar="SLIDE_ID", help="This slide of OUT only; repeatable.")
@click.option("--region", "regions", multiple=True, callback=_regions, metavar="X,Y,W,H",
              help="Overlay: part of level 0 to show; repeatable.")  # fmt: skip
@click.option("--slides", multiple=True, type=click.Path(path_type=Path, exists=True), metavar="FILE|DIR",
              help="Overlay: where the slide files are; repeatable. OUT and the folder around it are searched "
              "too.")  # fmt: skip
@click.option("--gz", "compress", is_flag=True, help="GeoJSON: compressed, as .geojson.gz.")
@click.option("--embedding/--no-embedding", default=True, show_default=True,
              help="AnnData: with what the networks see; takes as long as labelling.")  # fmt: skip
@options("device", "workers", "debug")
def command(out: Path, kind: str, regions: list[tuple[int, ...]], debug: bool, **chosen: Any) -> int:  # noqa: ARG001
    """Write the cells of every slide of OUT in the form that another program reads.

    csv and parquet: the table. geojson: for QuPath, with the tissue in a second file. anndata: for scanpy and squidpy.
    masks: cell_id + 1 in level-0 pixels, as 16-bit PNG, or as OME-Zarr beyond 65 535 cells or 20 000 px a side.
    overlay: PNGs of regions at full resolution with the nuclei outlined.
    """
    from wsipipe.exporting import ExportOptions  # noqa: PLC0415 - heavy
    from wsipipe.pipeline import export  # noqa: PLC0415
    from wsipipe.records import Box  # noqa: PLC0415

    boxes = tuple(Box(*region) for region in regions)
    return export(out, kind, ExportOptions(regions=boxes, **chosen), Console())
