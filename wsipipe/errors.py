"""Every error the pipeline raises on purpose: what happened, and what to do about it."""

import errno
import re
from typing import Self

_QUOTED = re.compile(r"b?'[^']*'|b?\"[^\"]*\"")
_FOLDERS = re.compile(r"(?:[A-Za-z]:)?[\\/](?:[^\\/\s'\":;,()]+[\\/])+")
_LONGEST = 300
_NO_MEMORY = (
    *("out of memory", "insufficient memory", "allocate memory", "unable to allocate", "bad_alloc"),
    *("failed to map segment", "start new thread", "could not create a primitive"),
)
"""How libraries put it that there is none left."""


class WsipipeError(Exception):
    """Base of all deliberate errors; prints as one line.

    Parameters
    ----------
    what : str
        What is wrong, with the value and the limit.
    remedy : str
        What the user can do.
    subject : str
        The slide, file or option concerned; a slide's errors get its slide_id from the pipeline.
    """

    exit_code = 1

    def __init__(self, what: str, remedy: str, subject: str = "") -> None:
        super().__init__(what, remedy, subject)
        self.what = _one_line(what)
        self.remedy = _one_line(remedy)
        self.subject = _one_line(subject)

    def of(self, subject: str) -> Self:
        """The same error, naming the slide or file it is about."""
        return type(self)(self.what, self.remedy, self.subject or subject)

    def __str__(self) -> str:
        return ": ".join(part for part in (self.subject, self.what, self.remedy) if part)


class UsageError(WsipipeError, ValueError):
    """The call cannot be carried out as given (exit code 2)."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe has unknown keys, wrong types or values out of range; all faults in one error."""


class OutputMismatchError(UsageError):
    """The output folder was made with another recipe or model."""


class SlideError(WsipipeError):
    """This slide cannot be processed; other slides can."""


class UnreadableSlideError(SlideError, OSError):
    """The file is missing, damaged, or of a format that no reader opens."""


class ResolutionError(SlideError, ValueError):
    """Microns per pixel are missing, implausible, or too coarse for the recipe."""


class NotBrightfieldError(SlideError):
    """The slide has a dark background, as fluorescence slides have."""


class NoTissueError(SlideError):
    """Nothing on the slide looks like stained tissue."""


class WorkerDiedError(SlideError):
    """A worker process died of this slide: its reader crashed, or memory ran out."""


class StoreError(WsipipeError):
    """A cell store is missing, unfinished, damaged, or of an unknown format version."""


class DamagedStoreError(StoreError):
    """A finished cell store has lost or changed a part; made anew, it is whole again."""


class ModelError(WsipipeError):
    """A model file cannot be loaded, or does not fit the store."""


class TrainingError(WsipipeError):
    """A model cannot be trained on what is there."""


def told(error: BaseException) -> str:
    """What a library says of a fault, in one line, without folders and without what it quotes from a file.

    Libraries quote the metadata that they cannot parse, and those hold names, dates and numbers of patients.
    """
    text = _one_line(_FOLDERS.sub("", _QUOTED.sub("...", str(error))))[:_LONGEST]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def lacks_memory(error: BaseException) -> bool:
    """Whether a fault means that memory ran out, whatever a library calls it."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    said = str(error).lower()
    return any(words in said for words in _NO_MEMORY)


def memory_that_lacks(error: BaseException) -> tuple[str, str]:
    """Which memory ran out, and what to do about it."""
    if "cuda" in str(error).lower():
        return "the GPU is out of memory", "free it, use fewer --workers, or say --device cpu"
    return "out of memory", "use fewer --workers or a smaller tiling.tile_px"


def _one_line(text: str) -> str:
    return " ".join(str(text).split())
