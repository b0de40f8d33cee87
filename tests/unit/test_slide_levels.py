"""Which level and scale serve a wanted resolution."""

import pytest

from wsipipe.errors import ResolutionError
from wsipipe.io.levels import true_levels
from wsipipe.io.pyramid import fitting_recipe, make_grid, overview_grid
from wsipipe.records import Level


def pyramid(*downsamples: float, width: int = 8000, height: int = 4000) -> tuple[Level, ...]:
    return tuple(Level(int(width / d), int(height / d), d) for d in downsamples)


@pytest.mark.parametrize(
    ("slide_mpp", "downsamples", "wanted", "level", "scale", "mpp"),
    [
        (0.25, (1, 4, 16), 0.25, 0, 1.0, 0.25),
        (0.25, (1, 4, 16), 0.5, 0, 2.0, 0.5),
        (0.2525, (1, 2, 4), 0.5, 1, 1.0, 0.505),
        (0.256, (1, 2, 4), 0.5, 0, 0.5 / 0.256, 0.5),  # 2.4 % off: resampled
        (0.2275, (1, 2, 4), 0.5, 1, 0.5 / 0.455, 0.5),
        (0.6, (1, 2), 0.5, 0, 0.5 / 0.6, 0.5),
        (0.5, (1, 4), 0.4, 0, 0.8, 0.4),
        (0.1, (1,), 0.3, 0, 3.0, 0.3),  # 0.3 / 0.1 is not 3 in floating point
        (0.51, (1, 2), 0.5, 0, 1.0, 0.51),
    ],
)
def test_level_and_scale(
    slide_mpp: float, downsamples: tuple[float, ...], wanted: float, level: int, scale: float, mpp: float
) -> None:
    grid = make_grid(pyramid(*downsamples), slide_mpp, wanted)
    assert (grid.level, grid.scale) == (level, pytest.approx(scale))
    assert grid.mpp == pytest.approx(mpp, rel=1e-12)
    assert grid.level_downsample == downsamples[level]
    assert grid.width_px == int(int(8000 / downsamples[level]) / grid.scale + 1e-6)
    assert (grid.scale == 1) == (scale == 1)


def test_levels_out_of_proportion_are_passed_over() -> None:
    levels = (Level(8000, 100, 1), Level(1000, 12, 8), Level(500, 7, 16))
    assert make_grid(levels, 0.5, 4.0).level == 0
    assert make_grid(levels, 0.5, 8.0).level == 0


def test_levels_padded_to_whole_tiles_are_passed_over() -> None:
    """Philips' DICOM: their ratios are not what they were reduced by, and places would drift by hundreds of pixels."""
    sizes = [(39936, 30720), (20480, 15360), (10240, 8192)]
    levels = true_levels(sizes, [(39936 / w + 30720 / h) / 2 for w, h in sizes])
    assert make_grid(levels, 0.25, 0.5) == make_grid(levels[:1], 0.25, 0.5)
    assert overview_grid(levels, 0.25, 8.0, 10**9).level == 0


@pytest.mark.parametrize(
    ("slide_mpp", "wanted", "remedy"),
    [
        (0.5, 0.25, "--recipe default"),
        (0.33, 0.25, "--recipe default"),
        (0.7, 0.5, "no packed recipe"),
        (10, 0.5, "no pac"),
    ],
)
def test_slides_too_coarse_are_refused_with_the_recipe_to_use(slide_mpp: float, wanted: float, remedy: str) -> None:
    with pytest.raises(ResolutionError, match="too coarse") as caught:
        make_grid(pyramid(1, 2), slide_mpp, wanted)
    assert remedy in caught.value.remedy


def test_up_to_a_quarter_coarser_is_upsampled() -> None:
    assert make_grid(pyramid(1), 0.625, 0.5).scale == pytest.approx(0.8)
    with pytest.raises(ResolutionError):
        make_grid(pyramid(1), 0.626, 0.5)


@pytest.mark.parametrize(
    ("mpp", "name"), [(0.25, "he-40x"), (0.5, "default"), (0.6, "default"), (0.8, None), (0.17, "he-40x")]
)
def test_fitting_recipe(mpp: float, name: str | None) -> None:
    assert fitting_recipe(mpp) == name


def test_overview_grid_never_refuses_and_never_upsamples() -> None:
    assert overview_grid(pyramid(1), 29.0, 8.0, 10**9).scale == 1
    assert overview_grid(pyramid(1), 9.0, 8.0, 10**9).scale == 1
    assert overview_grid(pyramid(1, 4, 16), 0.25, 8.0, 10**9).level == 2
    small = overview_grid(pyramid(1, 4, 16), 0.25, 1.0, 10_000)
    assert small.width_px * small.height_px <= 10_000
