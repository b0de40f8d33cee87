"""What a batch would do, before it does it: slides, resolution, tissue, time, memory and disk."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wsipipe.batch.check import CohortSlide, Failures, check_cohort
from wsipipe.batch.tally import tallied
from wsipipe.config import Settings
from wsipipe.errors import SlideError, UsageError
from wsipipe.given import check_nuclei, read_given
from wsipipe.io.cohort_table import read_cohort
from wsipipe.io.output import OutputFolder
from wsipipe.io.slide import open_slide
from wsipipe.parallel import Fleet, cpu_count
from wsipipe.planning import plan_slide
from wsipipe.progress import Reporter
from wsipipe.slides import MPX_PER_S, check_recipes
from wsipipe.units import clock, counted

S_PER_SLIDE = 0.4
"""Of a worker, for a slide whatever its size: opening, planning, store, tables and page (docs/benchmarks.md)."""

CELLS_PER_MM2 = 5000
"""In the tissue of an H&E section, to judge time and disk by."""

CELLS_PER_S = 9000
"""That one worker labels and writes to the tables a second."""

KB_PER_CELL = 4.4
"""Of disk: patch, measurements and outline in the store, rows of the CSV and GeoJSON."""

MB_PER_WORKER = 600
"""Of memory, with the tiles of the default recipe."""

MB_PER_SLIDE = 0.7
"""Of disk, for a slide without cells: overview, page, log."""


@dataclass(frozen=True)
class SlidePlanned:
    """What one slide will take."""

    text: str
    mpx: float
    tissue_mm2: float

    @property
    def cells(self) -> float:
        """Expected cells."""
        return self.tissue_mm2 * CELLS_PER_MM2

    @property
    def seconds(self) -> float:
        """Of one worker."""
        return self.mpx / MPX_PER_S + self.cells / CELLS_PER_S + S_PER_SLIDE

    @property
    def disk_mb(self) -> float:
        """Of the output folder."""
        return self.cells * KB_PER_CELL / 1024 + MB_PER_SLIDE


def describe_cohort(source: Path, settings: Settings, report: Reporter) -> tuple[str, int]:
    """The plan of a cohort as text, and the exit code: 1 when some slides cannot be done. Writes nothing."""
    out = OutputFolder(settings.out)
    cohort = read_cohort(source, settings.out.absolute())
    check_nuclei(settings, len(cohort.entries))
    for sentence in cohort.repeated:
        report.warn(sentence)
    with Fleet(settings.workers, settings.scheduler) as fleet:
        slides, failures = check_cohort(cohort.entries, out, settings, fleet, report)
        check_recipes(out, settings, {slide.slide_id for slide in slides})
        plans = _plan_all(slides, settings, fleet, report, failures)
    lines = [plan.text for _, plan in sorted(plans.items())]
    return "\n".join([*lines, _total(list(plans.values()), len(failures), settings)]), 1 if failures else 0


def plan_task(settings: Settings, slide: CohortSlide, share: int) -> SlidePlanned | SlideError:  # noqa: ARG001
    """Look one slide over, in a worker process."""
    chosen = slide.settings(settings)
    try:
        with open_slide(slide.path, slide_id=slide.slide_id, mpp=chosen.mpp, mpp_source=chosen.mpp_source) as opened:
            given = read_given(settings, opened.info)
            plan = plan_slide(opened, slide.path, settings, None if given is None else given.places)
    except SlideError as error:
        return error
    except UsageError as error:
        return SlideError(error.what, error.remedy, error.subject)
    mpx = sum(tile.core.width * tile.core.height for tile in plan.tiles) / 1e6
    info = plan.task.info
    text = (
        f"{slide.slide_id}: {info.width_px} x {info.height_px} px at {info.mpp:.4g} um/px ({info.mpp_source}), "
        f"read at {plan.task.grid.mpp:.4g} um/px, {plan.tissue_mm2:.2f} mm2 of tissue in "
        f"{counted(len(plan.tiles), 'tile')} ({mpx:.1f} Mpx)"
    )
    planned = SlidePlanned(text, mpx, plan.tissue_mm2)
    cost = f"about {clock(max(1, planned.seconds))} on one worker, {planned.disk_mb:.0f} MB"
    return replace(planned, text=f"{text}, {cost}")


def _plan_all(
    slides: Sequence[CohortSlide], settings: Settings, fleet: Fleet, report: Reporter, failures: Failures
) -> dict[str, SlidePlanned]:
    plans = {}
    with tallied("plan", len(slides), report) as tally:
        for slide, planned in fleet.each(plan_task, settings, slides, tally.tick):
            if isinstance(planned, SlideError):
                failures[slide.slide_id] = (Path(slide.given), planned)
                report.fail(str(planned.of(slide.slide_id)))
            else:
                plans[slide.slide_id] = planned
            tally.ended(failed=isinstance(planned, SlideError))
    return plans


def _total(plans: Sequence[SlidePlanned], failed: int, settings: Settings) -> str:
    """All slides together, in one line."""
    if not plans:
        return f"no slide can be done, {failed} cannot"
    workers = settings.workers or cpu_count()
    seconds = sum(plan.seconds for plan in plans) / workers
    training = "" if settings.model else ", and the training of one model"
    return (
        f"{counted(len(plans), 'slide')}, {failed} that cannot be done; "
        f"{sum(plan.tissue_mm2 for plan in plans):.2f} mm2 of tissue, {sum(plan.mpx for plan in plans):.0f} Mpx, "
        f"some {sum(plan.cells for plan in plans):,.0f} cells: about {clock(max(1, seconds))} on "
        f"{counted(workers, 'worker')}{training}, {workers * MB_PER_WORKER / 1024:.1f} GB of memory, "
        f"{sum(plan.disk_mb for plan in plans) / 1024:.2f} GB of disk"
    )
