"""`wsipipe batch`: everything, for a cohort."""

from pathlib import Path
from typing import Any

import click

from wsipipe.cli.console import Console
from wsipipe.cli.options import Place, options, settings


@click.command("batch", short_help="The same for a cohort: a folder or CSV, one model for all.")
@click.argument("cohort", type=Place(path_type=Path), metavar="COHORT")
@options("out", "recipe", "mpp", "model", "classes", "nuclei", "regions", "device", "workers", "scheduler", "seed",
         "overwrite", "dry_run", "debug")  # fmt: skip
def command(cohort: Path, dry_run: bool, **chosen: Any) -> int:
    """Find, patch, class and count the cells of every slide of COHORT, with one model for all.

    COHORT is a folder (with all its subfolders) or a CSV. Of the CSV's columns path, wsi, filename, slide and
    slide_id the first that is there says where a slide lies, relative to the CSV, with or without its extension;
    mpp, magnification, label and patient (or case_id) are used when present. Slides run in worker processes; one that
    fails or dies never stops the others: it is listed in OUT/failures.csv. Run the same command again to do what is
    left. Without --model, one model is trained on cells drawn evenly from all slides.
    """
    if dry_run:
        from wsipipe.batch.plan import describe_cohort  # noqa: PLC0415 - heavy

        text, code = describe_cohort(cohort, settings(**chosen), Console())
        click.echo(text)
        return code
    from wsipipe import pipeline  # noqa: PLC0415 - heavy

    return pipeline.batch(cohort, settings(**chosen), Console())
