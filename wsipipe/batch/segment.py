"""Segment the slides of a cohort, each in a worker process. Knows no networks but through `Work.labelling`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wsipipe.batch.check import CohortSlide, FailureRecord, Failures, check_cohort, check_workers
from wsipipe.batch.logs import SlideLog, logged
from wsipipe.batch.tally import tallied
from wsipipe.config import Settings
from wsipipe.errors import SlideError, WorkerDiedError, WsipipeError
from wsipipe.io.cohort_table import Cohort
from wsipipe.io.output import OutputFolder, SlideFolder
from wsipipe.io.store import CellStore
from wsipipe.labeller import Labelling
from wsipipe.parallel import Fleet, cpu_count, pool_in_task
from wsipipe.progress import Reporter
from wsipipe.slides import check_recipes, segment_one, slide_failure


@dataclass(frozen=True)
class Work:
    """What every slide's task is told: all paths absolute, and the token of the batch in OUT's lock."""

    settings: Settings
    token: str
    labelling: Labelling | None = None
    """Labels cells while they are stored, where the model is known beforehand."""

    def out(self) -> OutputFolder:
        """The output folder.

        Raises
        ------
        SlideError
            If this host does not see the one that the batch works on.
        """
        out = OutputFolder(self.settings.out)
        if out.token() != self.token:
            raise SlideError(
                "its worker does not see the output folder, or another batch took it over",
                "name a folder that all hosts share, then run the same command again",
            )
        return out


@dataclass(frozen=True)
class Outcome:
    """What a slide's task gives back: its cells, or its error; and why it was done again, if it was."""

    cells: int
    failure: SlideError | None
    again: str = ""


def absolute(settings: Settings) -> Settings:
    """The settings with every path absolute: workers have other working folders."""
    return replace(
        settings,
        out=settings.out.absolute(),
        regions=settings.regions and settings.regions.absolute(),
        nuclei=settings.nuclei and settings.nuclei.absolute(),
    )


def start_cohort(cohort: Cohort, work: Work, fleet: Fleet, report: Reporter) -> tuple[list[CohortSlide], FailureRecord]:
    """Check the workers, every slide and the recipe of what is there, before anything is segmented."""
    out = work.out()
    for sentence in cohort.repeated:
        report.warn(sentence)
    if work.settings.scheduler:
        check_workers(fleet, out, work.token, cohort.entries)
    slides, found = check_cohort(cohort.entries, out, work.settings, fleet, report)
    check_recipes(out, work.settings, {slide.slide_id for slide in slides})
    failures = FailureRecord(out)
    failures.add(found)
    return slides, failures


def segment_cohort(
    slides: Sequence[CohortSlide],
    work: Work,
    fleet: Fleet,
    report: Reporter,
    failed: Callable[[Failures], None],
) -> list[SlideFolder]:
    """Segment every slide; `failed` is told of each failure as it happens. Returns the finished ones, by slide_id."""
    done = []
    with tallied("segment", len(slides), report) as tally:
        for slide, outcome in fleet.each(segment_task, work, slides, tally.tick):
            failure = outcome if isinstance(outcome, WorkerDiedError) else outcome.failure
            if failure is None:
                done.append(SlideFolder(work.settings.out / slide.slide_id))
            else:
                _record(work, slide, failure)
                report.fail(str(failure.of(slide.slide_id)))
                failed({slide.slide_id: (Path(slide.given), failure)})
            cells, again = (outcome.cells, outcome.again) if isinstance(outcome, Outcome) else (0, "")
            if again:
                report.again(again)
            tally.ended(failed=failure is not None, cells=cells, again=bool(again))
    return sorted(done, key=lambda folder: folder.slide_id)


def segment_task(work: Work, slide: CohortSlide, share: int) -> Outcome:
    """Segment one slide, in a worker process that may keep `share` workers busy."""
    settings = slide.settings(work.settings)
    cells, again = 0, ""
    try:
        folder = work.out().slide(slide.slide_id)
        if settings.overwrite:
            folder.clear()  # before its log begins
        with logged(folder) as log, pool_in_task(share) as pool:
            settings = replace(settings, overwrite=False, workers=min(share, cpu_count()))
            failure = segment_one(slide.path, folder, settings, pool, log, work.labelling)
            again = log.done_again
            if failure is not None:
                log.fail(str(failure))
        if failure is None:
            cells = len(CellStore(folder.store))
    except Exception as error:  # noqa: BLE001 - whatever stops one slide, the others must go on
        failure = any_error(error, debug=settings.debug)
    if isinstance(failure, WorkerDiedError):
        raise failure  # one of its tiles took a worker with it: the fleet tries the slide alone
    return Outcome(cells, failure, again)


def any_error(error: Exception, *, debug: bool) -> SlideError:
    """In a batch, whatever stops a slide is this slide's failure; with `debug` what nobody expected is raised."""
    if debug and not isinstance(error, WsipipeError):
        raise error
    return slide_failure(error)


def _record(work: Work, slide: CohortSlide, failure: SlideError) -> None:
    """A process that died could not say so itself."""
    if isinstance(failure, WorkerDiedError):
        folder = OutputFolder(work.settings.out).slide(slide.slide_id)
        SlideLog(folder).fail(str(failure))
        if folder.facts():
            folder.note(state="failed", error=str(failure))
