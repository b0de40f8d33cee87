"""The slides of a run, one after another: named, checked, segmented; one that fails never stops the rest.

Knows no networks, so that `wsipipe segment` need not load PyTorch.
"""

import contextlib
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from wsipipe.config import Settings
from wsipipe.errors import (
    SlideError,
    UnreadableSlideError,
    WorkerDiedError,
    WsipipeError,
    lacks_memory,
    memory_that_lacks,
    told,
)
from wsipipe.given import check_nuclei, read_given
from wsipipe.io.file_names import id_fault, name_fault, no_name, shown
from wsipipe.io.output import OutputFolder, SlideFolder, name_slides, record_failures, told_apart
from wsipipe.io.slide import fingerprint, open_slide
from wsipipe.labeller import Labelling
from wsipipe.parallel import DIED, Mapper, Pool
from wsipipe.planning import plan_slide
from wsipipe.progress import Reporter
from wsipipe.segmenting import check_recipe, segment_slide
from wsipipe.turns import Turns
from wsipipe.units import counted

_ADDRESS = re.compile(r"[a-z][a-z0-9]+:/")
"""How an address on a network begins, as a path has it."""

MPX_PER_S = 10.0
"""Working megapixels that one worker segments a second, for the plan of a dry run (docs/benchmarks.md)."""


def segment(slides: Sequence[Path], settings: Settings, report: Reporter, turns: Turns | None = None) -> int:
    """Find and store the cells of each slide; `turns` as in `segment_all`."""
    return segment_all(slides, settings, report, turns)[1]


def segment_all(
    slides: Sequence[Path],
    settings: Settings,
    report: Reporter,
    turns: Turns | None = None,
    labelling: Labelling | None = None,
) -> tuple[list[SlideFolder], int]:
    """Segment the slides one after another; one that fails is recorded and never stops the rest.

    `turns` is told which slide is being worked on, and knows those that an earlier attempt died of. With `labelling`
    cells are labelled while they are stored.
    """
    turns = turns or Turns()
    check_nuclei(settings, len(set(slides)))
    out = OutputFolder(settings.out)
    failed: dict[str, tuple[Path, SlideError]] = {}
    names = _named(slides, out, failed)
    check_recipes(out, settings, started_again=set(names))
    out.make()
    if settings.overwrite and not turns.any_deadly():  # an attempt that follows a crash keeps what is finished
        for slide_id in names:
            out.slide(slide_id).clear()
    done = []
    with Pool(settings.workers, settings.scheduler) as pool:
        for slide_id, path in names.items():
            with turns.of(path):
                folder = out.slide(slide_id)
                if turns.is_deadly(path):
                    failure: SlideError | None = _died(folder)
                else:
                    failure = segment_one(path, folder, settings, pool, report, labelling)
            if failure is None:
                done.append(out.slide(slide_id))
            else:
                failed[slide_id] = (path, failure)
    for slide_id, (_, failure) in failed.items():
        report.fail(str(failure.of(slide_id)))
    if failed or out.failures.is_file():
        with out.writing(report.say):  # other runs into the folder have failures, too
            record_failures(out, failed, [folder.slide_id for folder in done])
    return done, 1 if failed else 0


def _named(slides: Sequence[Path], out: OutputFolder, failed: dict[str, tuple[Path, SlideError]]) -> dict[str, Path]:
    """The file of each slide_id; those that cannot be read or called so are added to `failed`."""
    readable: dict[Path, str] = {}
    faults: dict[Path, SlideError] = {}
    for path in dict.fromkeys(slides):
        fault: SlideError | None = name_fault(path)
        try:
            if fault is None:
                readable[path] = fingerprint(path)
        except OSError as error:
            fault = unreadable(error)
        if fault is not None:
            faults[path] = fault
    names = dict(zip(name_slides(readable, readable.values(), out), readable, strict=True))
    for slide_id in [name for name in names if id_fault(name)]:
        path = names.pop(slide_id)
        failed[told_apart("slide", path)] = (path, no_name(slide_id))
    for path, fault in faults.items():
        stem = shown(path).stem  # which another file may have, too
        failed[told_apart(stem, path) if stem in {*names, *failed} else stem] = (path, fault)
    return names


def unreadable(error: OSError) -> UnreadableSlideError:
    """What the system says of a file that cannot be read, as the slide's error."""
    if isinstance(error, IsADirectoryError):
        return UnreadableSlideError("is a folder", "name the slides in it, or give it to `wsipipe batch`")
    name = str(error.filename or "")
    if _ADDRESS.match(name):
        return UnreadableSlideError("is an address, no file", "copy the slide to a disk first")
    if isinstance(error, FileNotFoundError) and not {"*", "?"}.isdisjoint(name):
        return UnreadableSlideError("no file matches it", "check the folder and the ending")
    return UnreadableSlideError(f"cannot be read ({error.strerror or error})", "check the path and its permissions")


def _died(folder: SlideFolder) -> SlideError:
    """The error of a slide that the process died of already: it is not tried again."""
    failure = WorkerDiedError(*DIED)
    if folder.facts():
        folder.note(state="failed", error=str(failure))
    return failure


def segment_one(
    path: Path,
    folder: SlideFolder,
    settings: Settings,
    pool: Mapper,
    report: Reporter,
    labelling: Labelling | None = None,
) -> SlideError | None:
    """Segment one slide; its error when it fails, which is noted in its run.json."""
    try:
        segment_slide(path, folder, settings, pool, report, labelling)
    except SlideError as error:
        failure = error
    except WsipipeError:
        raise
    except Exception as error:
        if settings.debug:
            raise
        failure = slide_failure(error)  # whatever one slide does to a library, the others must go on
    else:
        return None
    with contextlib.suppress(OSError):  # a full disk holds no note either
        if folder.facts():
            folder.note(state="failed", error=str(failure))
    return failure


def slide_failure(error: Exception) -> SlideError:
    """What stopped a slide, as its own error."""
    if isinstance(error, SlideError):
        return error
    if isinstance(error, WsipipeError):
        return SlideError(error.what, error.remedy, error.subject)
    if lacks_memory(error):
        what, remedy = memory_that_lacks(error)
        return SlideError(what, f"{remedy}, then run it again")
    if isinstance(error, OSError) and error.strerror:
        where = f"{Path(error.filename).name}: " if isinstance(error.filename, str) else ""
        return SlideError(f"{where}{error.strerror}", "check the disk and its permissions, then run it again")
    return SlideError(f"unexpected {told(error)}", "run it with --debug and report what it prints")


def check_recipes(out: OutputFolder, settings: Settings, started_again: Collection[str] | None = None) -> None:
    """One output has one recipe: compare with every slide that is there.

    Parameters
    ----------
    started_again : collection of str, optional
        Slides that --overwrite will clear; all of them unless given.

    Raises
    ------
    OutputMismatchError
        Naming the first slide that was made with another recipe, and what differs.
    """
    for folder in out.slides():
        cleared = settings.overwrite and (started_again is None or folder.slide_id in started_again)
        if not cleared:
            check_recipe(folder, settings)


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
            f"({slide.info.reader}), level {grid.level} read at {grid.mpp:.4g} um/px, "
            f"{plan.tissue_mm2:.2f} mm2 of tissue in {counted(len(plan.tiles), 'tile')} ({mpx:.0f} Mpx), "
            f"about {max(1, round(mpx / MPX_PER_S))} s on one worker, {max(1, round(plan.tissue_mm2 * 15))} MB"
        )
    return "\n".join(lines)
