"""The order of the stages, top to bottom: slides -> stores -> one model -> labels -> tables.

The functions without an underscore are the commands. They return the exit code of the contract: 0 all done, 1 some
slides failed and the rest is complete; a wrong call raises.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from wsipipe.config import Settings
from wsipipe.errors import SlideError, StoreError, UnreadableSlideError, UsageError, WsipipeError
from wsipipe.gan.checkpoint import Model, load, save
from wsipipe.given import check_nuclei, read_given
from wsipipe.io.output import OutputFolder, SlideFolder, name_slides, record_failures
from wsipipe.io.slide import fingerprint, open_slide
from wsipipe.io.store import CellStore
from wsipipe.labelling import GIVEN, choose_model, keep_model, label_store, load_model, train_model
from wsipipe.parallel import Pool
from wsipipe.planning import plan_slide
from wsipipe.progress import Reporter
from wsipipe.segmenting import check_recipe, segment_slide
from wsipipe.tables import EXPORTS, class_names, write_export, write_proportions, write_tables

_MPX_PER_S = 5.0
"""Working megapixels that one worker segments a second, for the plan of a dry run (docs/benchmarks.md)."""


def run(slides: Sequence[Path], settings: Settings, report: Reporter) -> int:
    """Do everything, for each slide: cells, one model, labels, tables."""
    out = OutputFolder(settings.out)
    done, code = _segment_all(slides, settings, out, report)
    if done:
        model = choose_model(out, done, settings, report)
        _label_all(out, model, settings, report)
    return code


def segment(slides: Sequence[Path], settings: Settings, report: Reporter) -> int:
    """Find and store the cells of each slide."""
    _, code = _segment_all(slides, settings, OutputFolder(settings.out), report)
    return code


def train(outs: Sequence[Path], model_out: Path, settings: Settings, report: Reporter) -> int:
    """Train one model on the stored cells of some outputs."""
    if model_out.exists() and not settings.overwrite:
        raise UsageError("exists already", "name another file or add --overwrite", f"--model-out {model_out.name}")
    stores = [store for out in outs for _, store in _stores(OutputFolder(out))]
    save(train_model(stores, settings, report), model_out)
    report.say(f"wrote {model_out.name}")
    return 0


def label(settings: Settings, report: Reporter) -> int:
    """Label every slide of an output with another model, then rebuild its tables.

    Labels lie in the stores under the model's hash, so the old ones stay whole until all new ones are there.
    """
    out = OutputFolder(settings.out)
    model = load_model(settings.model or "default")
    for _, store in _stores(out):
        label_store(store, model, settings, report)
    model = keep_model(out, model, GIVEN)
    return _label_all(out, model, settings, report)


def proportions(settings: Settings, report: Reporter) -> int:
    """Rebuild the tables of an output from its stores and labels."""
    out = OutputFolder(settings.out)
    model = load(out.model) if out.model.is_file() else None
    for folder, store in _stores(out):
        if model is not None:
            store.labels(model.hash)  # says which slide is to be labelled first
        folder.note(tables=None)
    return _label_all(out, model, settings, report)


def export(out_path: Path, kind: str, folder: Path | None, report: Reporter) -> int:
    """Write the cells of every slide of an output in another form, beside its store or in one folder."""
    out = OutputFolder(out_path)
    model = load(out.model) if out.model.is_file() else None
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    for slide, store in _stores(out):
        target = (
            slide.path / EXPORTS[kind] if folder is None else folder / f"{slide.slide_id}{Path(EXPORTS[kind]).suffix}"
        )
        write_export(kind, target, store, model, class_names(out, model))
        report.say(f"{slide.slide_id}: {target.name}")
    return 0


def describe(slides: Sequence[Path], settings: Settings) -> str:
    """What a run would do, as text: resolution, tissue, tiles, expected time and disk of every slide."""
    lines = []
    for path in slides:
        try:
            with open_slide(path, mpp=settings.mpp) as slide:
                given = read_given(settings, slide.info)
                plan = plan_slide(slide, path, settings, None if given is None else given.places)
        except SlideError as error:
            lines.append(f"{path.stem}: cannot be done: {error}")
            continue
        grid, mpx = plan.task.grid, sum(t.core.width * t.core.height for t in plan.tiles) / 1e6
        lines.append(
            f"{slide.info.slide_id}: {slide.info.width_px} x {slide.info.height_px} px at {slide.info.mpp:.4g} um/px "
            f"({slide.info.reader}), level {grid.level} read at {grid.mpp:.4g} um/px, {plan.tissue_mm2:.2f} mm2 of "
            f"tissue in {len(plan.tiles)} tiles ({mpx:.0f} Mpx), about {max(1, round(mpx / _MPX_PER_S))} s on one "
            f"worker, {max(1, round(plan.tissue_mm2 * 15))} MB"
        )
    return "\n".join(lines)


def _segment_all(
    slides: Sequence[Path], settings: Settings, out: OutputFolder, report: Reporter
) -> tuple[list[SlideFolder], int]:
    """Segment the slides one after another; one that fails is recorded and never stops the rest."""
    check_nuclei(settings, len(set(slides)))
    failed: dict[str, tuple[Path, SlideError]] = {}
    readable: dict[Path, str] = {}
    for path in dict.fromkeys(slides):
        try:
            readable[path] = fingerprint(path)
        except OSError as error:
            what = f"cannot be read ({error.strerror or error})"
            failed[path.stem] = (path, UnreadableSlideError(what, "check the path and its permissions"))
    names = dict(zip(name_slides(readable, readable.values(), out), readable, strict=True))
    _check_recipes(out, set(names) if settings.overwrite else set(), settings)
    out.make()
    done = []
    with Pool(settings.workers, settings.scheduler) as pool:
        for slide_id, path in names.items():
            failure = _segment_one(path, out.slide(slide_id), settings, pool, report)
            if failure is None:
                done.append(out.slide(slide_id))
            else:
                failed[slide_id] = (path, failure)
    for slide_id, (_, failure) in failed.items():
        report.fail(str(failure.of(slide_id)))
    record_failures(out, failed, [folder.slide_id for folder in done])
    return done, 1 if failed else 0


def _segment_one(
    path: Path, folder: SlideFolder, settings: Settings, pool: Pool, report: Reporter
) -> SlideError | None:
    """Segment one slide; its error when it fails, which is noted in its run.json."""
    try:
        if settings.overwrite:
            folder.clear()
        segment_slide(path, folder, settings, pool, report)
    except SlideError as error:
        failure = error
    except WsipipeError:
        raise
    except Exception as error:
        if settings.debug:
            raise
        # whatever one slide does to a library, the others must go on
        what = f"unexpected {type(error).__name__}: {error}"
        failure = SlideError(what, "run it with --debug and report what it prints")
    else:
        return None
    if folder.facts():
        folder.note(state="failed", error=str(failure))
    return failure


def _label_all(out: OutputFolder, model: Model | None, settings: Settings, report: Reporter) -> int:
    """Label what is not labelled yet, and bring every table up to date."""
    for folder, store in _stores(out):
        if model is not None:
            label_store(store, model, settings, report)
        write_tables(out, folder, store, model)
    write_proportions(out, model)
    report.say(f"{settings.out}: proportions.csv, and per slide cells.csv, cells.geojson and report.html")
    return 0


def _stores(out: OutputFolder) -> Iterator[tuple[SlideFolder, CellStore]]:
    """Every finished slide of an output, by slide_id.

    Raises
    ------
    StoreError
        If there is none.
    """
    finished = out.finished()
    if not finished:
        raise StoreError(
            "holds no finished slide", "run `wsipipe segment` or `wsipipe run` into it first", out.path.name
        )
    for folder in finished:
        yield folder, CellStore(folder.store)


def _check_recipes(out: OutputFolder, started_again: set[str], settings: Settings) -> None:
    """One output has one recipe: compare with every slide that is there and is not started again."""
    for folder in out.slides():
        if folder.slide_id not in started_again:
            check_recipe(folder, settings)
