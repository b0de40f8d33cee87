"""How memory that was freed is kept for the next tile."""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Names of glibc's settings in its malloc.h."""

KEPT_BYTES, OWN_MAPPING_BYTES = 512 << 20, 32 << 20
"""Free memory beyond this goes back to the system; arrays beyond this are mapped on their own (glibc takes no more)."""


def keep_freed_memory() -> bool:
    """Have glibc keep what tiles free; True where the C library can.

    Every tile makes and frees the same arrays. Given back to the system and asked for again they cost a fault for
    every page, and while one thread's pages are unmapped the others are interrupted: a twentieth of the CPU time of two
    threads. One arena for all threads needs less memory than one each, too.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return False
    settings = ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, OWN_MAPPING_BYTES), (_TRIM_THRESHOLD, KEPT_BYTES))
    return all(bool(mallopt(ctypes.c_int(name), ctypes.c_int(value))) for name, value in settings)
