"""The order of the stages, top to bottom: slides -> stores -> one model -> labels -> tables.

The functions without an underscore are the commands. They return the exit code of the contract: 0 all done, 1 some
slides failed and the rest is complete; a wrong call raises.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

from wsipipe.batch.label import LabelWork, label_cohort
from wsipipe.batch.record import left_in, made_by, renew_page, told_tables, write_cohort, write_page
from wsipipe.batch.segment import Work, absolute, segment_cohort, start_cohort
from wsipipe.cohort.profiles import ClassProfile
from wsipipe.config import ProportionsConfig, Recipe, Settings, load_recipe
from wsipipe.errors import DamagedStoreError, UsageError
from wsipipe.export.classes import CellClass, renamed, write_classes
from wsipipe.exporting import Exported, ExportOptions, write_export
from wsipipe.gan.checkpoint import Model, load, save
from wsipipe.gan.class_number import Suggestion
from wsipipe.gan.device import pick_device
from wsipipe.given import check_nuclei
from wsipipe.io.cohort_table import read_cohort
from wsipipe.io.output import OutputFolder
from wsipipe.labelling import (
    GIVEN,
    TRAINED,
    choose_model,
    keep_model,
    label_store,
    load_model,
    model_beforehand,
    suggest_number,
    train_model,
)
from wsipipe.parallel import Fleet
from wsipipe.profiles import class_profiles
from wsipipe.progress import Reporter
from wsipipe.seeing import ModelInFile, WhileStored
from wsipipe.slides import check_recipes, segment_all
from wsipipe.stored import model_of, stores_of
from wsipipe.tables import class_names, has_intervals, write_proportions, write_report, write_rows, write_tables
from wsipipe.training_report import write_training_page
from wsipipe.turns import Turns
from wsipipe.units import counted


def run(slides: Sequence[Path], settings: Settings, report: Reporter, turns: Turns | None = None) -> int:
    """Do everything, for each slide: cells, one model, labels, tables; `turns` as in `segment_all`."""
    out = OutputFolder(settings.out)
    check_recipes(out, settings)
    known = _known(out, settings, shipped=True)
    labelling = None if known is None else functools.partial(WhileStored, known)
    done, code = segment_all(slides, settings, report, turns, labelling)
    found: set[str] = set()
    while done:
        try:
            model = choose_model(out, done, settings, report, shipped=True)
            _label_all(out, model, settings, report)
            break
        except DamagedStoreError as error:  # found on reading, and noted there; a disk may damage it again
            if error.subject in found or error.subject not in {folder.slide_id for folder in done}:
                raise
            found.add(error.subject)
            report.warn(f"{error.subject}: {error.what}; what is damaged is made anew")
            done, code = segment_all(slides, dataclasses.replace(settings, overwrite=False), report, turns, labelling)
    return code


def batch(source: Path, settings: Settings, report: Reporter) -> int:
    """Do everything for the slides of a folder or CSV, each in a worker process; one model for all."""
    settings = absolute(settings)
    out = OutputFolder(settings.out)
    cohort = read_cohort(source, settings.out)
    check_nuclei(settings, len(cohort.entries))
    check_recipes(out, settings)
    known = _known(out, settings, shipped=False)
    out.make()
    with out.locked() as token, Fleet(settings.workers, settings.scheduler) as fleet:
        file = out.given_model if settings.model else out.model  # where the workers of every host find it
        work = Work(settings, token, None if known is None else ModelInFile(file, known.hash))
        slides, failures = start_cohort(cohort, work, fleet, report)
        if known is not None and settings.model:
            save(known, file)
        done = segment_cohort(slides, work, fleet, report, failures.add)
        out.given_model.unlink(missing_ok=True)
        model = choose_model(out, done, settings, report, shipped=False) if done else None
        classes = class_names(out, model, report)
        label_work = LabelWork(work, model.hash if model else "")
        given = {slide.slide_id: slide.given for slide in slides}
        labelled = label_cohort(out.finished() if done else [], label_work, fleet, report, failures.add, given)
    if labelled:
        write_rows(out, model, [one.row for one in labelled])
    _show_training(out, model)
    write_cohort(out, slides)
    write_page(out, labelled, slides, failures.all, classes, made_by(settings, model))
    told = f"{counted(len(done), 'slide')} done, {len(failures.all)} failed"
    report.say(f"{source.name}: {told}; see {left_in(out)} in {out.path.name}")
    return 1 if failures.all else 0


def train(outs: Sequence[Path], model_out: Path, settings: Settings, report: Reporter) -> int:
    """Train one model on the stored cells of some outputs."""
    if model_out.exists() and not settings.overwrite:
        raise UsageError("exists already", "name another file or add --overwrite", f"--model-out {model_out.name}")
    stores = [store for out in outs for _, store in stores_of(OutputFolder(out))]
    state = model_out.with_name(f".{model_out.name}.training")
    model = train_model(stores, settings, report, state)
    save(model, model_out)
    state.unlink(missing_ok=True)
    page = model_out.with_suffix(".html")
    write_training_page(page, model, model_out.stem)
    report.say(f"wrote {model_out.name}, and {page.name}, which shows how it was trained")
    return 0


def label(settings: Settings, report: Reporter) -> int:
    """Label every slide of an output with another model, then rebuild its tables.

    Labels lie in the stores under the model's hash, so the old ones stay whole until all new ones are there.
    """
    out = OutputFolder(settings.out)
    model = load_model(settings.model or "default")
    for _, store in stores_of(out):
        label_store(store, model, settings, report)
    model = keep_model(out, model, GIVEN, report)
    return _label_all(out, model, settings, report)


def proportions(settings: Settings, report: Reporter) -> int:
    """Rebuild the tables of an output from its stores and labels; labels of an older wsipipe are made again."""
    out = OutputFolder(settings.out)
    model = load(out.model) if out.model.is_file() else None
    for folder, store in stores_of(out):
        if model is not None and not store.has_older_labels(model.hash):
            store.labels(model.hash)  # says which slide is to be labelled first
        folder.note(tables=None)
    return _label_all(out, model, settings, report)


def name_classes(
    out_path: Path, names: Mapping[int, str], colors: Mapping[int, str], report: Reporter
) -> tuple[CellClass, ...]:
    """Name and colour classes of an output, and bring every table that shows them up to date.

    Parameters
    ----------
    out_path : Path
        The output folder.
    names, colors : mapping of int to str
        New name, and new colour as `#RRGGBB`, of a class index; what is not mentioned stays.
    report : Reporter

    Returns
    -------
    tuple of CellClass
        All classes as they are now.

    Raises
    ------
    UsageError
        If a name or colour is not allowed (nothing is changed then), or the output has no model.
    """
    out = OutputFolder(out_path)
    model = model_of(out)
    classes = renamed(class_names(out, model), names, colors)
    write_classes(out.classes, classes)
    tables = Recipe(proportions=ProportionsConfig(intervals=has_intervals(out)))
    _label_all(out, model, Settings(out=out_path, recipe=tables), report)
    return classes


def class_list(out_path: Path) -> tuple[CellClass, ...]:
    """Names and colours of the classes of an output.

    Raises
    ------
    UsageError
        If the output has no model.
    """
    out = OutputFolder(out_path)
    return class_names(out, model_of(out))


def look_at_classes(out_path: Path) -> tuple[tuple[CellClass, ...], tuple[ClassProfile, ...]]:
    """Names and colours of the classes of an output, and what their cells have in common over all its slides.

    Raises
    ------
    UsageError
        If the output has no model.
    StoreError
        If a slide is not labelled.
    """
    out = OutputFolder(out_path)
    model = model_of(out)
    stores = [store for _, store in stores_of(out)]
    return class_names(out, model), class_profiles(stores, model.hash, model.config.classes)


def suggest_classes(out_path: Path, seed: int) -> Suggestion:
    """How many classes to ask for, and what speaks for each number; no label is seen and nothing written.

    Raises
    ------
    TrainingError
        If there are too few cells.
    """
    stores = [store for _, store in stores_of(OutputFolder(out_path))]
    return suggest_number(stores, load_recipe("default").gan, seed)


def export(out_path: Path, kind: str, options: ExportOptions, report: Reporter) -> int:
    """Write the cells of every slide of an output in another form, beside its store or in one folder."""
    out = OutputFolder(out_path)
    model = load(out.model) if out.model.is_file() else None
    unknown = sorted(set(options.only) - {folder.slide_id for folder in out.finished()})
    if unknown:
        raise UsageError(f"is no finished slide of {out.path.name}", "name one of its folders", f"--only {unknown[0]}")
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
    for folder, store in stores_of(out):
        if options.only and folder.slide_id not in options.only:
            continue
        for path in write_export(kind, Exported(folder, store, model, class_names(out, model), options)):
            report.say(f"{folder.slide_id}: {path.name}")
    return 0


def report(out_path: Path, report: Reporter) -> int:
    """Rebuild the page of every slide of an output, and that of its cohort."""
    out = OutputFolder(out_path)
    model = load(out.model) if out.model.is_file() else None
    for slide, store in stores_of(out):
        write_report(slide.tables[2], store, slide.facts(), model, class_names(out, model))
        report.say(f"{slide.slide_id}: report.html")
    renew_page(out, model, class_names(out, model, report))
    return 0


def _known(out: OutputFolder, settings: Settings, *, shipped: bool) -> Model | None:
    """The model that is known before any cell is, if it has as many classes as were asked for; None to train one."""
    known = model_beforehand(out, settings, shipped=shipped)
    if known is None or not settings.scheduler:
        pick_device(settings.device)  # before hours of work; on a cluster that labels only, the workers have it
    if known is not None and settings.classes not in {None, known.config.classes}:
        which, remedy = "the model in the output folder", "leave -k out, or name another -o folder"
        if settings.model:
            which, remedy = f"--model {settings.model}", "leave one of them out"
        raise UsageError(f"{which} has {known.config.classes} classes", remedy, f"-k {settings.classes}")
    return known


def _label_all(out: OutputFolder, model: Model | None, settings: Settings, report: Reporter) -> int:
    """Label what is not labelled yet, and bring every table up to date; one process at a time."""
    with out.writing(report.say):
        done = []  # another run may finish a slide meanwhile, and will add it
        for folder, store in stores_of(out):
            if model is not None:
                label_store(store, model, settings, report)
            write_tables(out, folder, store, model)
            done.append(folder)
        _show_training(out, model)
        write_proportions(out, model, done, settings.recipe.proportions.intervals)
        renew_page(out, model, class_names(out, model, report))
    report.say(told_tables(out, model))
    return 0


def _show_training(out: OutputFolder, model: Model | None) -> None:
    """The page of the model's training, where that was done here."""
    if model is not None and model.facts.get("origin") == TRAINED:
        write_training_page(out.training_page, model, out.path.resolve().name, class_names(out, model))
