"""Which slide a process works on, as the process that watches it sees it; and which slides earlier attempts died of."""

import hashlib
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BYTES = 16
_NOBODY = bytes(_BYTES)
_RUNS = 255


class Turns:
    """Shared by a process and those that it forks; by itself, without anyone who watches, it changes nothing."""

    def __init__(self) -> None:
        self._now = mmap.mmap(-1, _BYTES + 1)  # seen by both sides of a fork: a slide, and the exit code
        self._now[_BYTES] = _RUNS
        self._deadly: set[bytes] = set()

    @contextmanager
    def of(self, path: Path) -> Iterator[None]:
        """While the context lasts, it is the turn of this slide; after a crash it stays so."""
        self._now[:_BYTES] = _key(path)
        try:
            yield
        finally:
            self._now[:_BYTES] = _NOBODY

    def end(self, code: int) -> None:
        """All is done and said: whatever the libraries still do to the process does not matter."""
        self._now[_BYTES] = code

    def ended(self) -> int | None:
        """The exit code, once all was done and said."""
        code = self._now[_BYTES]
        return None if code == _RUNS else code

    def is_deadly(self, path: Path) -> bool:
        """Whether an earlier attempt died during the turn of this slide."""
        return _key(path) in self._deadly

    def any_deadly(self) -> bool:
        """Whether an earlier attempt died of a slide."""
        return bool(self._deadly)

    def blame(self) -> bool:
        """Remember whose turn it was when the process died; False when it was nobody's."""
        now = self._now[:_BYTES]
        if now == _NOBODY:
            return False
        self._deadly.add(now)
        self._now[:_BYTES] = _NOBODY
        return True


def _key(path: Path) -> bytes:
    return hashlib.blake2b(str(path).encode("utf-8", "surrogateescape"), digest_size=_BYTES).digest()
