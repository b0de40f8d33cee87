"""Progress as events: the pipeline reports, the command line draws. Knows no terminal."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Stage(Protocol):
    """One running stage."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Report `amount` more units as done; `note` is a short text such as the number of cells so far."""


class Reporter(Protocol):
    """Takes what a run has to tell."""

    def say(self, text: str) -> None:
        """Report one line of information."""

    def warn(self, text: str) -> None:
        """Report one line that the user should look at."""

    def again(self, text: str) -> None:
        """Report that a slide which was finished is done again, and why."""

    def fail(self, text: str) -> None:
        """Report one slide's error, in the form of the contract."""

    def stage(self, name: str, total: int, unit: str) -> AbstractContextManager[Stage]:
        """Begin a stage of `total` units; it ends with the context."""


class Quiet:
    """Reports nothing: for library use and tests."""

    def say(self, text: str) -> None:
        """Drop the line."""

    def warn(self, text: str) -> None:
        """Drop the line."""

    def again(self, text: str) -> None:
        """Drop the line."""

    def fail(self, text: str) -> None:
        """Drop the line."""

    def stage(self, name: str, total: int, unit: str) -> AbstractContextManager[Stage]:  # noqa: ARG002
        """Begin a stage that nobody watches."""
        return nullcontext(_QuietStage())


class _QuietStage:
    def advance(self, amount: int = 1, note: str = "") -> None:
        pass
