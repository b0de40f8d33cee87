"""What a batch leaves in OUT beside the slides' own folders: failures, what the table said, the cohort page."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wsipipe.atomic import atomic_write
from wsipipe.batch.check import CohortSlide, Failures
from wsipipe.batch.label import Labelled, labelled_slide
from wsipipe.cohort.outliers import angles, outliers
from wsipipe.config import Settings
from wsipipe.csvtext import csv_field, csv_text
from wsipipe.errors import SlideError
from wsipipe.export.classes import CellClass
from wsipipe.export.report.cohort_page import CohortReport, CohortRow, cohort_page
from wsipipe.gan.checkpoint import Model
from wsipipe.io.output import OutputFolder
from wsipipe.io.store import CellStore
from wsipipe.stored import stored_recipe
from wsipipe.versions import versions


def write_cohort(out: OutputFolder, slides: Sequence[CohortSlide]) -> None:
    """cohort.csv: label and patient of each slide by slide_id, as `wsipipe classify --labels` takes them."""
    said = [name for name in ("label", "patient") if any(getattr(slide, name) for slide in slides)]
    if not said:
        out.cohort.unlink(missing_ok=True)
        return
    with atomic_write(out.cohort) as file:
        file.write(",".join(("slide_id", *said)) + "\n")
        for slide in slides:
            file.write(",".join(csv_field(getattr(slide, name)) for name in ("slide_id", *said)) + "\n")


def write_page(
    out: OutputFolder,
    labelled: Sequence[Labelled],
    slides: Sequence[CohortSlide],
    failures: Failures,
    classes: Sequence[CellClass],
    made: Sequence[tuple[str, str]],
) -> None:
    """report.html of the cohort."""
    said = {slide.slide_id: slide for slide in slides}
    unusual = _unusual(labelled, classes)
    rows = []
    for one, odd in zip(labelled, unusual, strict=True):
        row, slide = one.row, said.get(one.row.slide_id)
        rows.append(
            CohortRow(
                slide_id=row.slide_id,
                n_cells=row.n_cells,
                tissue_mm2=row.tissue_mm2,
                p=row.p,
                notes=(*(flag.replace("_", " ") for flag in row.flags), *one.warnings),
                unusual=odd,
                label=slide.label if slide else "",
                patient=slide.patient if slide else "",
                thumbnail=one.thumbnail,
            )
        )
    failed = [(slide_id, error.what, error.remedy) for slide_id, (_, error) in sorted(failures.items())]
    page = cohort_page(CohortReport(out.path.name, rows, classes, failed, made))
    with atomic_write(out.report) as file:
        file.write(page)


def renew_page(out: OutputFolder, model: Model | None, classes: Sequence[CellClass]) -> None:
    """report.html of the cohort again, from what is in OUT; nothing to do where no batch has made one."""
    folders = out.finished()
    if not out.report.is_file() or not folders:
        return
    stores = [CellStore(folder.store) for folder in folders]
    recipe = stored_recipe(stores[0])
    labelled = [labelled_slide(store, model, recipe.proportions.intervals) for store in stores]
    said = [
        CohortSlide(row["slide_id"], Path(), "", None, row.get("label", ""), row.get("patient", ""))
        for row in _rows(out.cohort)
    ]
    failures: Failures = {
        row["slide_id"]: (Path(row["path"]), SlideError(row["reason"], row["remedy"])) for row in _rows(out.failures)
    }
    write_page(out, labelled, said, failures, classes, made_by(Settings(out=out.path, recipe=recipe), model))


def left_in(out: OutputFolder) -> str:
    """The files of a cohort that people open first, of those that are there."""
    files = (out.report, out.proportions, out.expected, out.profiles, out.failures)
    return ", ".join(path.name for path in files if path.is_file())


def told_tables(out: OutputFolder, model: Model | None) -> str:
    """What a command says of the tables that it wrote."""
    each = "per slide cells.csv, cells.geojson and report.html"
    if model is None and any(len(CellStore(folder.store)) for folder in out.finished()):
        return f"{out.path.name}: {each}; no proportions, as there is no model here: run `wsipipe label`"
    return f"{out.path.name}: {left_in(out)}, and {each}"


def _rows(table: Path) -> list[dict[str, str]]:
    """Rows of one of OUT's own tables; none where it is absent."""
    if not table.is_file():
        return []
    with table.open(encoding="utf-8", newline="") as file:
        return [{name: csv_text(value or "") for name, value in row.items()} for row in csv.DictReader(file)]


def made_by(settings: Settings, model: Model | None) -> list[tuple[str, str]]:
    """Which recipe, model and versions, in words."""
    origin = str(model.facts.get("origin", "")) if model else ""
    return [
        ("Recipe", settings.recipe.name),
        ("Model", f"{model.hash}, {origin}" if model else "none"),
        ("Versions", ", ".join(f"{name} {number}" for name, number in versions().items())),
    ]


def _unusual(labelled: Sequence[Labelled], classes: Sequence[CellClass]) -> list[tuple[str, ...]]:
    """In what each slide is unlike the others: density, and shares of the classes."""
    rows = [one.row for one in labelled]
    columns = {"nuclei per mm²": np.array([r.n_cells / r.tissue_mm2 if r.tissue_mm2 > 0 else np.nan for r in rows])}
    compared = {"nuclei per mm²": np.sqrt(columns["nuclei per mm²"])}
    for i, cell_class in enumerate(classes):
        shares = np.array([r.p[i] if r.p else np.nan for r in rows])
        columns[cell_class.name], compared[cell_class.name] = 100 * shares, angles(shares)
    return outliers(columns, compared, dict.fromkeys((c.name for c in classes), " %"))
