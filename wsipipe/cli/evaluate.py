"""`wsipipe evaluate`: an output, or verdicts on slides, against ground truth."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from wsipipe.cli.console import Console
from wsipipe.cli.options import OUT_ARGUMENT, Function


def _truth(words: str) -> Callable[[Function], Function]:
    folder = click.Path(path_type=Path, exists=True, file_okay=False)
    return click.option("--truth", required=True, type=folder, help=words)


_JSON = click.option("--json", "as_json", is_flag=True, help="For machines.")
_DEBUG = click.option("--debug", is_flag=True, help="Print tracebacks.")


@click.group("evaluate")
def command() -> None:
    """Compare a finished output with ground truth."""


@command.command("nuclei")
@OUT_ARGUMENT
@_truth("Folder of <slide_id>.png (or .tif, .ome.zarr) instance masks, or of <slide_id>.csv points x,y in level-0 px.")
@click.option("--radius", default=10.0, show_default=True, type=click.FloatRange(0, min_open=True),
              help="Pixels within which a centre is found.")  # fmt: skip
@_JSON
@_DEBUG
def nuclei(out: Path, truth: Path, radius: float, as_json: bool, debug: bool) -> int:  # noqa: ARG001
    """AJI, PQ and Dice against masks; precision, recall and F1 against points."""
    from wsipipe.evaluation import evaluate_nuclei  # noqa: PLC0415 - heavy

    rows = evaluate_nuclei(out, truth, radius)
    click.echo(json.dumps(rows) if as_json else _table(rows))
    return 0


@command.command("classes")
@OUT_ARGUMENT
@_truth("Folder of <slide_id>.csv points x,y,class in level-0 px.")
@click.option("--radius", default=6.0, show_default=True, type=click.FloatRange(0, min_open=True),
              help="Pixels within which a cell is the marked one.")  # fmt: skip
@_JSON
@_DEBUG
def classes(out: Path, truth: Path, radius: float, as_json: bool, debug: bool) -> int:  # noqa: ARG001
    """Purity, entropy, F, AMI, ARI and NMI of the classes against marked ones, beside three methods without networks.

    The baselines are fitted on the very cells that are scored, with as many classes as the model has.
    """
    from wsipipe.evaluation import evaluate_classes  # noqa: PLC0415 - heavy

    row = evaluate_classes(out, truth, radius)
    click.echo(json.dumps(row) if as_json else _class_tables(row))
    return 0


@command.command("slides")
@click.argument("predictions", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="PREDICTIONS.csv")
@click.option("--labels", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="CSV",
              help="Columns slide_id (extension or not) and label.")  # fmt: skip
@_JSON
@_DEBUG
def slides(predictions: Path, labels: Path, as_json: bool, debug: bool) -> int:  # noqa: ARG001
    """Weighted precision, recall and F1, balanced accuracy, AUC and calibration of `classify predict`."""
    from wsipipe.judging import evaluate_slides  # noqa: PLC0415 - heavy

    found = evaluate_slides(predictions, labels, Console().warn)
    click.echo(json.dumps(found) if as_json else _slide_tables(found))
    return 0


def _slide_tables(found: dict[str, Any]) -> str:
    """The scores, then the confusion table with true labels in rows."""
    scores = {name: value for name, value in found.items() if name not in ("labels", "confusion")}
    rows = [
        {"true \\ verdict": label, **dict(zip(found["labels"], row, strict=True))}
        for label, row in zip(found["labels"], found["confusion"], strict=True)
    ]
    return _table([scores]) + "\n\n" + _table(rows)


def _class_tables(row: dict[str, Any]) -> str:
    """How many cells were found, then the scores of the model and of the baselines."""
    baselines = row["baselines"]
    scored = list(next(iter(baselines.values())))
    found = {name: value for name, value in row.items() if name not in (*scored, "baselines")}
    by = {"model": {name: row[name] for name in scored}, **baselines}
    return _table([found]) + "\n\n" + _table([{**scores, "classes by": name} for name, scores in by.items()])


def _table(rows: list[dict[str, Any]]) -> str:
    """Columns lined up, numbers with 4 decimals."""
    cells = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in cells)


def _text(value: Any) -> str:
    if value is None:  # it cannot be said, as the AUC of one label
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
