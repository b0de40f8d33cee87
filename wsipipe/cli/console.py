"""Draws progress: a bar per stage on a terminal, plain lines when redirected."""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import click

from wsipipe.progress import Stage
from wsipipe.units import clock

_LINE_EVERY_S = 10.0
_DRAW_EVERY_S = 0.1
_BAR_WIDTH = 24


class Console:
    """Reports on stderr; what a command answers goes to stdout."""

    def say(self, text: str) -> None:
        """Print a line."""
        click.echo(text, err=True)

    def warn(self, text: str) -> None:
        """Print a line that stands out."""
        click.echo(f"warning: {text}", err=True)

    def again(self, text: str) -> None:
        """Print that a slide is done again, and why."""
        self.warn(text)

    def fail(self, text: str) -> None:
        """Print a slide's error."""
        click.echo(f"error: {text}", err=True)

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Stage]:
        """Draw a stage until it ends, well or not."""
        drawing = _Drawing(name, total, unit, live=sys.stderr.isatty())
        try:
            yield drawing
        finally:
            drawing.end()


@dataclass
class _Drawing:
    name: str
    total: int
    unit: str
    live: bool
    done: int = 0
    note: str = ""
    begun: float = field(default_factory=time.monotonic)
    drawn: float = field(default_factory=time.monotonic)
    skipped: int = 0

    def advance(self, amount: int = 1, note: str = "") -> None:
        now = time.monotonic()
        if self.done == 0 and now - self.begun < _DRAW_EVERY_S:
            self.skipped = amount  # was there before: not part of the rate
        self.done += amount
        self.note = note or self.note
        if now - self.drawn >= (_DRAW_EVERY_S if self.live else _LINE_EVERY_S):
            self.drawn = now
            self._draw()

    def end(self) -> None:
        if not self.total:
            return  # there was nothing to do, and nothing was drawn
        seconds = time.monotonic() - self.begun
        text = f"{self.name}: {self.done} of {self.total} {self.unit} in {clock(seconds)}"
        click.echo(("\r\x1b[K" if self.live else "") + text + (f", {self.note}" if self.note else ""), err=True)

    def _draw(self) -> None:
        seconds = max(1e-3, time.monotonic() - self.begun)
        rate = (self.done - self.skipped) / seconds
        left = clock((self.total - self.done) / rate) if rate > 0 else "?"
        share = self.done / max(1, self.total)
        facts = f"{self.done}/{self.total} {self.unit}, {rate:.1f}/s, {left} left"
        if self.note:
            facts += f", {self.note}"
        if self.live:
            filled = round(share * _BAR_WIDTH)
            width = shutil.get_terminal_size()[0]
            bar = "#" * filled + "-" * (_BAR_WIDTH - filled)
            click.echo(f"\r\x1b[K{self.name} [{bar}] {facts}"[: width + 4], nl=False, err=True)
        else:
            click.echo(f"{self.name}: {facts}", err=True)
