"""Slides of one colour, grey, transparent, with one nucleus or none: a defined result, and every number finite."""

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.slides import write_image
from wsipipe.config import Settings
from wsipipe.image.synthetic import make_slide
from wsipipe.io.output import OutputFolder
from wsipipe.io.store import CellStore
from wsipipe.parallel import pool_in_task
from wsipipe.progress import Quiet
from wsipipe.slides import segment_one

SIDE = 400
PINK, PURPLE = (235, 190, 210), (90, 50, 140)


def flat(*color: int) -> NDArray[np.uint8]:
    return np.full((SIDE, SIDE, 3), color, np.uint8)


def tissue(nuclei: int) -> NDArray[np.uint8]:
    """Pink with a little grain, and some purple discs of 8 um."""
    rng = np.random.default_rng(0)
    rgb = np.clip(flat(*PINK) + rng.integers(-6, 7, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    for i in range(nuclei):
        cv2.circle(rgb, (200 + 40 * i, 200), 8, PURPLE, -1)
    return rgb


def half_transparent() -> NDArray[np.uint8]:
    rgb = make_slide(SIDE, SIDE, 0.5, seed=3).rgb
    alpha = np.full((SIDE, SIDE, 1), 255, np.uint8)
    alpha[:, : SIDE // 2] = 0
    return np.concatenate([rgb, alpha], 2)


CASES: dict[str, tuple[NDArray[np.uint8], str | tuple[int, int]]] = {
    "black": (flat(0, 0, 0), "dark"),
    "white": (flat(255, 255, 255), "the slide is empty"),
    "grey": (flat(128, 128, 128), ""),
    "saturated": (flat(255, 0, 0), ""),
    "no-nucleus": (tissue(0), (0, 3)),
    "one-nucleus": (tissue(1), (1, 4)),
    "grey-tissue": (np.repeat(cv2.cvtColor(tissue(3), cv2.COLOR_RGB2GRAY)[..., None], 3, 2), ""),
    "rgba": (half_transparent(), (5, 500)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_result_or_a_reason(name: str, tmp_path: Path) -> None:
    pixels, wanted = CASES[name]
    path = write_image(tmp_path / f"{name}.png", pixels)
    settings = Settings(out=tmp_path / "out", mpp=0.5, debug=True)
    folder = OutputFolder(settings.out).slide(name)
    with pool_in_task(1) as pool:
        failure = segment_one(path, folder, settings, pool, Quiet())
    if failure is not None:
        assert isinstance(wanted, str), failure
        assert wanted in str(failure)
        return
    store = CellStore(folder.store)
    cells = store.rows(0, len(store))
    if isinstance(wanted, tuple):
        assert wanted[0] <= len(cells) <= wanted[1]
    for field in dataclasses.fields(cells):
        assert np.isfinite(getattr(cells, field.name)).all(), field.name
    assert (cells.area_um2 > 0).all()
    json.dumps(store.attributes, allow_nan=False)
    json.dumps(folder.facts(), allow_nan=False)
