"""`wsipipe classify`: verdicts per slide from its classes of cells."""

import json
from pathlib import Path

import click

from wsipipe.cli.console import Console
from wsipipe.cli.options import Place, new_file, new_folder, options
from wsipipe.errors import UsageError
from wsipipe.units import counted

_CLASSIFIERS = ("linear-svm", "rbf-svm", "logistic", "k-means")

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


def _no_folder(_context: click.Context, _parameter: click.Parameter, table: Path) -> Path:
    if table.is_dir():
        raise UsageError("is a folder", f"give the proportions.csv in it ({table / 'proportions.csv'})", table.name)
    return table


_PROPORTIONS = click.argument("proportions", type=click.Path(path_type=Path, exists=True), metavar="PROPORTIONS.csv",
                              callback=_no_folder)  # fmt: skip
_LABELS = click.option("--labels", required=True, type=_FILE, metavar="CSV",
                       help="Columns slide_id (extension or not), label, and patient where known.")  # fmt: skip
_FOLDER = click.option("-o", "--out", required=True, type=Place(path_type=Path, file_okay=False),
                       metavar="DIR", callback=new_folder, help="Folder to write into.")  # fmt: skip
_BY = click.option("--by", "judged_by", type=click.Choice(("profiles", "expected", "counted")), default=None,
                   help="What to judge by: cells of each class per mm2 and how they look (profiles.csv beside the "
                   "table), expected shares (expected.csv), or counted cells; unless said, profiles where they are "
                   "known, else shares: expected ones from 10 classes on.")  # fmt: skip
_KIND, _DEFAULT = click.Choice(_CLASSIFIERS), "linear-svm"


@click.group("classify", short_help="Judge slides by their classes of cells.")
def command() -> None:
    """Judge slides by their classes of cells: linear and RBF SVM, logistic regression, k-means.

    By how many cells of each class there are per mm2 of tissue and how they look, or by the proportions alone (--by).
    PROPORTIONS.csv is the one of an output; expected.csv and profiles.csv are read beside it.
    """


@command.command("cv")
@_PROPORTIONS
@_LABELS
@_FOLDER
@click.option("--classifier", type=_KIND, default=_DEFAULT, show_default=True,
              help="The one that is tested and explained; choose it before you see scores.")  # fmt: skip
@click.option("--folds", default=4, show_default=True, type=click.IntRange(2), help="Parts of the cohort.")
@click.option("--repeats", default=20, show_default=True, type=click.IntRange(1), help="Times they are dealt anew.")
@click.option("--permutations", default=200, show_default=True, type=click.IntRange(0),
              help="Of the labels, for the p-value; 0 for none.")  # fmt: skip
@_BY
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@options("seed", "debug")
def cv(
    proportions: Path,
    labels: Path,
    out: Path,
    classifier: str,
    folds: int,
    repeats: int,
    permutations: int,
    judged_by: str | None,
    as_json: bool,
    seed: int,
    debug: bool,  # noqa: ARG001
) -> int:
    """How well slides can be judged: nested, repeated cross-validation, patients kept together."""
    from wsipipe.verdict_pages import write_cv_page  # noqa: PLC0415 - heavy
    from wsipipe.verdicts import Plan, cross_validate_slides, write_cross_validation  # noqa: PLC0415 - heavy

    console = Console()
    plan = Plan(folds, repeats, permutations, classifier, seed, judged_by or "")
    found = cross_validate_slides(proportions, labels, plan, console)
    write_cross_validation(found, out)
    for line in write_cv_page(found, proportions, out / "classify.html"):
        console.warn(line)
    click.echo((out / "scores.json").read_text("utf-8") if as_json else _score_table(found.rows))
    if not as_json and found.p is not None:
        click.echo(f"permutation test, {classifier}: p = {found.p:.4f}")
    more = ", unmatched.csv" if found.slides.left_out else ""
    console.say(f"{out}: classify.html, scores.json, slides.csv{more}")
    return 0


@command.command("fit")
@_PROPORTIONS
@_LABELS
@_FOLDER
@click.option("--classifier", type=_KIND, default=_DEFAULT, show_default=True, help="The kind that is fitted.")
@_BY
@options("seed", "overwrite", "debug")
def fit(
    proportions: Path,
    labels: Path,
    out: Path,
    classifier: str,
    judged_by: str | None,
    seed: int,
    overwrite: bool,
    debug: bool,  # noqa: ARG001
) -> int:
    """Fit one classifier to all labelled slides and keep it, bound to the model behind the proportions."""
    from wsipipe.judging import fit as fit_slides  # noqa: PLC0415 - heavy
    from wsipipe.judging import write_classifier  # noqa: PLC0415 - heavy
    from wsipipe.verdict_pages import write_fit_page  # noqa: PLC0415 - heavy

    console = Console()
    fitted, table, slides = fit_slides(proportions, labels, classifier, seed, judged_by or "", console)
    path = write_classifier(fitted, slides, out, overwrite)
    write_fit_page(fitted, table, slides, proportions, out / "classifier.html")
    console.say(f"{path}: {classifier} on {len(slides.slide_ids)} slides; classifier.html says what drives it")
    return 0


@command.command("predict")
@_PROPORTIONS
@click.option("--classifier", required=True, type=_FILE, metavar="FILE", help="A classifier.json of `classify fit`.")
@click.option("-o", "--out", required=True, type=Place(path_type=Path, dir_okay=False), metavar="CSV",
              callback=new_file, help="Where to write the verdicts.")  # fmt: skip
@options("debug")
def predict(proportions: Path, classifier: Path, out: Path, debug: bool) -> int:  # noqa: ARG001
    """A verdict, probabilities and reasons for every slide."""
    from wsipipe.judging import predict as predict_slides  # noqa: PLC0415 - heavy

    console = Console()
    said = predict_slides(proportions, classifier, out, console)
    found: dict[str, int] = {}
    for _, verdict in said:
        found[verdict or "no verdict"] = found.get(verdict or "no verdict", 0) + 1
    counts = ", ".join(f"{name} {count}" for name, count in sorted(found.items()))
    console.say(f"{out}: {counted(len(said), 'slide')}: {counts}")
    return 0


def _score_table(rows: list[dict[str, object]]) -> str:
    """Scores lined up: the median over the repeats, and the 95 % interval over patients."""
    head = f"{'classifier':<12}{'precision':>11}{'recall':>8}{'F1':>7}  {'95 % interval':<16}"
    lines = [f"{head}{'balanced':>9}{'AUC':>7}{'Brier':>7}"]
    for row in rows:
        low, high = json.loads(json.dumps(row["f1_95"]))
        lines.append(
            f"{row['classifier']:<12}{row['precision']:>11.3f}{row['recall']:>8.3f}{row['f1']:>7.3f}"
            f"  {f'{low:.3f} to {high:.3f}':<16}{row['balanced_accuracy']:>9.3f}{row['auc']:>7.3f}{row['brier']:>7.3f}"
        )
    return "\n".join(lines)
