"""How much smaller the levels of a pyramid really are, which their rounded sizes hide."""

from collections.abc import Iterable

from wsipipe.records import Level


def true_levels(sizes: Iterable[tuple[int, int]], stated: Iterable[float]) -> tuple[Level, ...]:
    """Levels with the downsample that they were made with.

    Where a file does not state it, OpenSlide and tiffslide take the mean of the ratios of both sizes. Half of 1003 rows
    is 501, so that 2 becomes 2.001, and what lies 40 000 columns from the left comes out 20 columns further.

    Parameters
    ----------
    sizes : iterable of (int, int)
        Width and height of each level, finest first.
    stated : iterable of float
        Downsample of each as the reader has it.

    Returns
    -------
    tuple of Level
        With the whole number nearest to `stated` where both sizes are level 0's by it, to a pixel; else, of a
        mean of both ratios, the one of the longer side, which rounding spoils least; else `stated`.
    """
    sizes = list(sizes)
    return tuple(
        Level(width, height, _downsample(sizes[0], (width, height), one))
        for (width, height), one in zip(sizes, stated, strict=True)
    )


def _downsample(whole: tuple[int, int], size: tuple[int, int], stated: float) -> float:
    near = max(1, round(stated))
    if all(abs(base - near * side) <= near for base, side in zip(whole, size, strict=True)):
        return float(near)
    ratios = [base / side for base, side in zip(whole, size, strict=True)]
    if abs(sum(ratios) / 2 / stated - 1) > 1e-9:
        return stated
    return ratios[0] if whole[0] >= whole[1] else ratios[1]
