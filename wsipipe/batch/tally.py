"""How far a cohort is: slides done, failed and running, cells so far."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from wsipipe.progress import Reporter, Stage


@dataclass
class Tally:
    """Counts what comes back from the workers, for one stage of the cohort."""

    stage: Stage
    failed: int = 0
    running: int = 0
    cells: int = 0
    again: int = 0

    def ended(self, *, failed: bool, cells: int = 0, again: bool = False) -> None:
        """One more slide came back; `again` when it was finished before, and had to be done again."""
        self.failed += failed
        self.again += again
        self.cells += cells
        self.running = max(0, self.running - 1)
        self.stage.advance(1, self._note())

    def tick(self, running: int) -> None:
        """So many slides are being worked on."""
        self.running = running
        self.stage.advance(0, self._note())

    def _note(self) -> str:
        cells = f", {self.cells:,} cells" if self.cells else ""
        again = f", {self.again} done again" if self.again else ""
        running = f", {self.running} running" if self.running else ""
        return f"{self.failed} failed{running}{again}{cells}"


@contextmanager
def tallied(name: str, total: int, report: Reporter) -> Iterator[Tally]:
    """A stage over the slides of a cohort."""
    with report.stage(name, total, "slides") as stage:
        yield Tally(stage)
