"""Kinds of damage: each takes the bytes of a sound file and gives the bytes of a bad one, the same for one seed."""

import random
import struct
import zlib
from collections.abc import Callable

from tests.fuzz.tiff_layout import Layout, parse

Damage = Callable[[bytearray, random.Random], bytearray]

_WIDTH, _HEIGHT, _STRIP_ROWS, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 278, 322, 323
_OFFSETS, _COUNTS, _SUB_DIRECTORIES, _PLANES = (273, 324), (279, 325), 330, 284
_SIZES = (0, 1, 7, 16, 255, 4096, 65535, 65536, 100_000, 1 << 20, (1 << 31) - 1, (1 << 32) - 1)
_COUNT_LIES = (0, 1, 2, 3, 1000, 1 << 20, (1 << 31) - 1, (1 << 32) - 1)


def cut_anywhere(data: bytearray, rng: random.Random) -> bytearray:
    """End the file at any byte."""
    return data[: rng.randrange(len(data))]


def cut_in_the_head(data: bytearray, rng: random.Random) -> bytearray:
    """End the file within its first 4 KiB."""
    return data[: rng.randrange(min(len(data), 4096))]


def cut_the_last_bytes(data: bytearray, rng: random.Random) -> bytearray:
    """Lose up to 64 bytes at the end."""
    return data[: -rng.randint(1, min(64, len(data)))]


def cut_at_a_part(data: bytearray, rng: random.Random) -> bytearray:
    """End the file at, just before or just after a directory, an entry, a value or a tile."""
    layout = parse(data)
    if layout is None or not layout.entries:
        return cut_anywhere(data, rng)
    places = [
        *layout.directories,
        *layout.links,
        *(e.at for e in layout.entries),
        *(e.value_at for e in layout.entries),
    ]
    places += [
        value for entry in layout.named(*_OFFSETS) for value in _values(data, layout, entry.value_at, entry.count)
    ]
    return data[: max(0, min(len(data) - 1, rng.choice(places) + rng.randint(-2, 9)))]


def flip_bits(data: bytearray, rng: random.Random) -> bytearray:
    """Change one to 64 bits anywhere."""
    for _ in range(1 << rng.randrange(7)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def flip_bytes_of_the_head(data: bytearray, rng: random.Random) -> bytearray:
    """Change one to eight of the first 1024 bytes."""
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(min(1024, len(data)))] = rng.randrange(256)
    return data


def wipe_a_run(data: bytearray, rng: random.Random) -> bytearray:
    """Zeros, ones or noise over up to a tenth of the file."""
    length = rng.randint(1, max(2, len(data) // 10))
    at = rng.randrange(max(1, len(data) - length))
    kind = rng.randrange(3)
    data[at : at + length] = (bytes(length), b"\xff" * length, rng.randbytes(length))[kind]
    return data


def repeat_a_run(data: bytearray, rng: random.Random) -> bytearray:
    """Part of the file twice, so that all after it is out of place."""
    at = rng.randrange(len(data))
    return data[:at] + data[at : at + rng.randint(1, 4096)] + data[at:]


def swap_tags(data: bytearray, rng: random.Random) -> bytearray:
    """Exchange the values of two entries of a directory, or their tags."""
    layout = parse(data)
    if layout is None or len(layout.entries) < 2:
        return flip_bytes_of_the_head(data, rng)
    size = 20 if layout.big else 12
    begin, end = rng.choice(((0, 2), (2, size), (2, 4), (4, size)))
    one, other = (entry.at for entry in rng.sample(layout.entries, 2))
    data[one + begin : one + end], data[other + begin : other + end] = (
        data[other + begin : other + end],
        data[one + begin : one + end],
    )
    return data


def wrong_types(data: bytearray, rng: random.Random) -> bytearray:
    """State another type or another tag for an entry."""
    layout = parse(data)
    if layout is None or not layout.entries:
        return flip_bytes_of_the_head(data, rng)
    for entry in rng.sample(layout.entries, rng.randint(1, min(3, len(layout.entries)))):
        if rng.random() < 0.5:
            struct.pack_into(f"{layout.order}H", data, entry.at + 2, rng.choice((0, 2, 5, 7, 12, 13, 18, 99, 65535)))
        else:
            struct.pack_into(
                f"{layout.order}H", data, entry.at, rng.choice((0, 254, 256, 258, 259, 262, 277, 324, 347))
            )
    return data


def huge_sizes(data: bytearray, rng: random.Random) -> bytearray:
    """State other widths and heights of images, strips and tiles: zero, odd, or larger than any memory."""
    layout = parse(data)
    if layout is None:
        return _image_size(data, rng)
    tags = rng.sample((_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT, _STRIP_ROWS), rng.randint(1, 3))
    for entry in layout.named(*tags):
        if rng.random() < 0.7:
            layout.put_value(data, entry, 0, rng.choice(_SIZES))
    return data


def larger_than_memory(data: bytearray, rng: random.Random) -> bytearray:
    """Both sides of every image so large that its pixels fit nowhere."""
    layout = parse(data)
    if layout is None:
        return _image_size(data, rng, 1 << 20)
    side = rng.choice((200_000, 1 << 20, (1 << 31) - 1))
    for entry in layout.named(_WIDTH, _HEIGHT):
        layout.put_value(data, entry, 0, side)
    return data


def zero_size_tiles(data: bytearray, rng: random.Random) -> bytearray:
    """Tiles of no width, or of no bytes."""
    layout = parse(data)
    if layout is None:
        return _image_size(data, rng, 0)
    if rng.random() < 0.3:
        for entry in layout.named(_TILE_WIDTH, _TILE_HEIGHT, _STRIP_ROWS):
            layout.put_value(data, entry, 0, rng.choice((0, 1, 2)))
        return data
    for entry in layout.named(*_COUNTS):
        for index in range(min(entry.count, 4096)):
            if rng.random() < 0.5:
                layout.put_value(data, entry, index, 0)
    return data


def lying_tile_counts(data: bytearray, rng: random.Random) -> bytearray:
    """Tables of tiles with more or fewer entries than there are tiles."""
    layout = parse(data)
    if layout is None:
        return flip_bytes_of_the_head(data, rng)
    for entry in layout.named(*_OFFSETS, *_COUNTS):
        if rng.random() < 0.6:
            layout.put_count(data, entry, rng.choice((*_COUNT_LIES, entry.count - 1, entry.count + 1)))
    return data


def tiles_elsewhere(data: bytearray, rng: random.Random) -> bytearray:
    """Tiles that begin beyond the end, at the beginning, all at one place, or reach beyond the end."""
    layout = parse(data)
    if layout is None:
        return wipe_a_run(data, rng)
    value = rng.choice((0, 4, len(data) - 1, len(data), len(data) + 1, (1 << 31) - 1, (1 << 32) - 1, (1 << 64) - 1))
    for entry in layout.named(*rng.choice((_OFFSETS, _COUNTS))):
        for index in range(min(entry.count, 4096)):
            if rng.random() < 0.3:
                layout.put_value(data, entry, index, value)
    return data


def nested_directories(data: bytearray, rng: random.Random) -> bytearray:
    """Directories that lead back to themselves, to an earlier one, or into pixels."""
    layout = parse(data)
    if layout is None or not layout.directories:
        return flip_bits(data, rng)
    target = rng.choice((*layout.directories, 0, 8, len(data) - 3, len(data) + 1, rng.randrange(len(data))))
    if rng.random() < 0.5 or not layout.entries:
        struct.pack_into(layout.word, data, rng.choice(layout.links), target)
        return data
    entry = rng.choice(layout.entries)
    struct.pack_into(f"{layout.order}HH", data, entry.at, _SUB_DIRECTORIES, rng.choice((4, 13, 16, 18)))
    layout.put_count(data, entry, rng.choice((1, 2, 1 << 16)))
    struct.pack_into(layout.word, data, entry.at + (12 if layout.big else 8), target)
    return data


def other_coding(data: bytearray, rng: random.Random) -> bytearray:
    """State another compression, photometry, depth, number of samples or plane order than the pixels have."""
    layout = parse(data)
    if layout is None:
        return flip_bytes_of_the_head(data, rng)
    lies = {
        259: (0, 1, 2, 5, 6, 7, 8, 32773, 33003, 33005, 34712, 34933, 50000, 65535),
        262: (0, 1, 2, 3, 5, 6, 8, 32803),
        258: (0, 1, 4, 12, 16, 32, 64, 255),
        277: (0, 1, 2, 4, 5, 255, 65535),
        317: (0, 2, 3, 9),
        _PLANES: (0, 2, 3),
    }
    for tag in rng.sample(sorted(lies), rng.randint(1, 3)):
        for entry in layout.named(tag):
            layout.put_value(data, entry, 0, rng.choice(lies[tag]))
    return data


KINDS: tuple[Damage, ...] = (
    cut_anywhere,
    cut_in_the_head,
    cut_the_last_bytes,
    cut_at_a_part,
    flip_bits,
    flip_bytes_of_the_head,
    wipe_a_run,
    repeat_a_run,
    swap_tags,
    wrong_types,
    huge_sizes,
    larger_than_memory,
    zero_size_tiles,
    lying_tile_counts,
    tiles_elsewhere,
    nested_directories,
    other_coding,
)


def _values(data: bytearray, layout: Layout, at: int, count: int) -> list[int]:
    size = struct.calcsize(layout.word)
    count = min(count, max(0, len(data) - at) // size, 4096)
    return list(struct.unpack_from(f"{layout.word[0]}{count}{layout.word[1]}", data, at))


def _image_size(data: bytearray, rng: random.Random, side: int | None = None) -> bytearray:
    """The same lies for PNG and JPEG; other files get noise in their heads."""
    width, height = (side if side is not None else rng.choice(_SIZES) for _ in range(2))
    if data.startswith(b"\x89PNG"):
        struct.pack_into(">II", data, 16, width, height)
        struct.pack_into(">I", data, 29, zlib.crc32(bytes(data[12:29])))
        return data
    start = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) if data.startswith(b"\xff\xd8") else -1
    if start < 0 or start + 9 > len(data):
        return flip_bytes_of_the_head(data, rng)
    struct.pack_into(">HH", data, start + 5, height & 0xFFFF, width & 0xFFFF)
    return data
