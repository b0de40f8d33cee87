"""Where the parts of a TIFF lie, found without any library, so that they can be damaged on purpose."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_MOST_DIRECTORIES = 64


@dataclass(frozen=True)
class Entry:
    """One tag of a directory.

    Attributes
    ----------
    at : int
        Offset of the entry: tag (2 bytes), type (2), count (4, BigTIFF 8), value or its offset (4, 8).
    tag, kind, count : int
    value_at : int
        Offset of the first value, inside the entry when it fits.
    """

    at: int
    tag: int
    kind: int
    count: int
    value_at: int


@dataclass(frozen=True)
class Layout:
    """All directories of a file; `links` are the offsets of the pointers from one directory to the next."""

    order: str
    big: bool
    entries: tuple[Entry, ...]
    directories: tuple[int, ...]
    links: tuple[int, ...]

    @property
    def word(self) -> str:
        """Format of counts and offsets."""
        return self.order + ("Q" if self.big else "I")

    def put_count(self, data: bytearray, entry: Entry, count: int) -> None:
        """State another count."""
        struct.pack_into(self.word, data, entry.at + 4, count % (1 << (64 if self.big else 32)))

    def put_value(self, data: bytearray, entry: Entry, index: int, value: int) -> None:
        """State another value, as far as the type can hold it."""
        size = _SIZES.get(entry.kind, 4)
        at = entry.value_at + index * size
        if at + size <= len(data):
            data[at : at + size] = (value % (1 << (8 * size))).to_bytes(size, "little" if self.order == "<" else "big")

    def named(self, *tags: int) -> list[Entry]:
        """Entries with one of these tags."""
        return [entry for entry in self.entries if entry.tag in tags]


def parse(data: bytes) -> Layout | None:
    """The layout, or None for what is no TIFF."""
    if data[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return None
    order, big = ("<" if data[:1] == b"I" else ">"), b"+" in data[2:4]
    link = 8 if big else 4
    entries: list[Entry] = []
    directories: list[int] = []
    links: list[int] = []
    while link + (8 if big else 4) <= len(data) and len(directories) < _MOST_DIRECTORIES:
        links.append(link)
        (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, link)
        head, size = (8, 20) if big else (2, 12)
        if not at or at in directories or at + head > len(data):
            break
        directories.append(at)
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, at)
        if at + head + count * size > len(data):
            break
        entries += _entries(data, at + head, count, order, big)
        link = at + head + count * size
    return Layout(order, big, tuple(entries), tuple(directories), tuple(links))


def _entries(data: bytes, at: int, count: int, order: str, big: bool) -> Iterator[Entry]:
    size, word, room = (20, "Q", 8) if big else (12, "I", 4)
    for place in range(at, at + count * size, size):
        tag, kind, number = struct.unpack_from(f"{order}HH{word}", data, place)
        value_at = place + 4 + struct.calcsize(word)
        if _SIZES.get(kind, 1) * number > room:
            (value_at,) = struct.unpack_from(order + word, data, value_at)
        yield Entry(place, tag, kind, number, value_at)
