"""Every tile of the viewer on real slides, whichever reader opens them: the tiles of a level are the slide, whole."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.real.test_readers import SOUND
from wsipipe.export.viewer.deepzoom import TILE_PX
from wsipipe.io.slide import open_slide
from wsipipe.records import Box, Grid
from wsipipe.tilesource import StoredPicture, TileSource

PHOTOGRAPHS = [name for name, (_, width, _, _) in SOUND.items() if width > 200 and "boxes" not in name]


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_tiles_put_together_are_the_slide(real_file: Callable[[str], Path], name: str) -> None:
    path = real_file(name)
    with open_slide(path, mpp=0.5) as slide:
        info = slide.info
        finest = Grid(0.5, 0, 1.0, 1.0, info.width_px, info.height_px)
        pixels = slide.read(finest, Box(0, 0, info.width_px, info.height_px)).rgb
    source = TileSource(path, info, StoredPicture(np.zeros((1, 1, 3), np.uint8), 1e6))
    for level in (source.pyramid.levels - 1, source.pyramid.levels - 2):
        down = source.pyramid.downsample(level)
        height, width = info.height_px // down, info.width_px // down
        whole = np.zeros((-(-info.height_px // down), -(-info.width_px // down), 3), np.uint8)
        for row in range(-(-len(whole) // TILE_PX)):
            for column in range(-(-whole.shape[1] // TILE_PX)):
                data = np.frombuffer(source.tile(level, column, row), np.uint8)
                box = source.pyramid.tile(level, column, row)
                tile = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
                whole[box.y : box.bottom, box.x : box.right] = tile
        expected = cv2.resize(pixels[: height * down, : width * down], (width, height), interpolation=cv2.INTER_AREA)
        assert np.abs(whole[:height, :width].astype(int) - expected).mean() < 6
        moved = np.abs(whole[: height - 8, : width - 8].astype(int) - expected[8:, 8:]).mean()
        assert moved > np.abs(whole[:height, :width].astype(int) - expected).mean()
    source.close()
