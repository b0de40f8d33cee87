"""Nuclei that the user brings: found for a slide, points turned into outlines, outlines dealt out to tiles."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsipipe.config import Settings
from wsipipe.errors import SlideError, UsageError
from wsipipe.image.claims import CLAIM_UM, Claims, settle_claims
from wsipipe.image.outlines import disc, middle, trace_labels
from wsipipe.image.patches import view_halo_px
from wsipipe.image.tiling import plan_tiles
from wsipipe.io.nuclei_files import find_nuclei_file, nuclei_digest, read_nuclei
from wsipipe.parallel import Mapper
from wsipipe.planning import SlidePlan
from wsipipe.progress import Reporter
from wsipipe.records import Rings, SlideInfo, Tile
from wsipipe.tiles import GivenTile, PointsTile, claim_tile
from wsipipe.units import um_to_px

DISC_UM = 4.0
"""Radius of the disc that stands for a point without an object."""


@dataclass(frozen=True)
class Given:
    """The nuclei given for one slide.

    Attributes
    ----------
    outlines : tuple of Rings
        Outlined ones.
    points : float64, (n, 2)
        Marked ones, level-0 x and y.
    """

    outlines: tuple[Rings, ...]
    points: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.outlines) + len(self.points)

    @property
    def places(self) -> NDArray[np.float64]:
        """Where they are, outlined ones first; float64 (n, 2) level-0 x and y."""
        return np.concatenate([np.array([middle(r) for r in self.outlines]).reshape(-1, 2), self.points])

    def warnings(self, info: SlideInfo) -> tuple[str, ...]:
        """What looks wrong about them, one sentence each."""
        places = self.places
        outside = int(((places < 0) | (places >= (info.width_px, info.height_px))).any(axis=1).sum())
        return (f"{outside} of {len(self)} given nuclei lie outside the slide and are put at its edge",) * (outside > 0)


def check_nuclei(settings: Settings, n_slides: int) -> None:
    """Refuse uses of `--nuclei` that cannot be meant.

    Raises
    ------
    UsageError
        For one file with several slides, or a file in the output folder, whose contents are replaced.
    """
    if settings.nuclei is None:
        return
    subject = f"--nuclei {settings.nuclei.name}"
    if n_slides > 1 and not settings.nuclei.is_dir():
        raise UsageError(f"one file for {n_slides} slides", "give a folder with a file for each", subject)
    if settings.nuclei.resolve().is_relative_to(settings.out.resolve()):
        raise UsageError("lies in the output folder", "name another -o folder", subject)


def given_digest(settings: Settings, slide_id: str) -> str:
    """What names the contents of the slide's nuclei file; "" without `--nuclei`.

    Raises
    ------
    UsageError
        If the one file given cannot be read.
    SlideError
        If the folder given has no readable file for the slide.
    """
    if settings.nuclei is None:
        return ""
    path = find_nuclei_file(settings.nuclei, slide_id)
    with _one_of_a_folder(settings.nuclei):
        return nuclei_digest(path)


def read_given(settings: Settings, info: SlideInfo) -> Given | None:
    """The nuclei given for a slide; None without `--nuclei`. Raises as `given_digest` does."""
    if settings.nuclei is None:
        return None
    path = find_nuclei_file(settings.nuclei, info.slide_id)
    with _one_of_a_folder(settings.nuclei):
        found = read_nuclei(path, info)
    painted = () if found.mask is None else tuple(trace_labels(found.mask))
    return Given((*painted, *found.outlines), found.points)


def outline_all(given: Given, plan: SlidePlan, pool: Mapper, report: Reporter) -> tuple[Rings, ...]:
    """An outline for every given nucleus: its own, or for a point the segmented object it takes, else a disc."""
    if not len(given.points):
        return given.outlines
    task, points = plan.task, given.points
    mpp = task.grid.mpp / task.grid.downsample
    reach_um = task.recipe.nuclei.max_extent_um + CLAIM_UM
    dealt = _deal(points / task.grid.downsample, math.ceil(um_to_px(reach_um, task.grid.mpp)) + 2, plan)
    halo = view_halo_px(task.grid.mpp, task.recipe.nuclei, task.recipe.patches)
    tiles = [tile for tile in _all_tiles(plan, halo) if tile.index in dealt]
    items = (PointsTile(tile, points[dealt[tile.index]], dealt[tile.index]) for tile in tiles)
    parts = []
    with report.stage("objects at points", len(tiles), "tiles") as stage:
        for _, claims in pool.ordered_map(claim_tile, task, items):
            parts.append(claims)
            stage.advance(1)
    claims = Claims.concatenate(parts)
    taken = settle_claims(points, claims)
    radius = um_to_px(DISC_UM, mpp)
    at_points = [
        (claims.outlines[thing],) if thing >= 0 else disc(x, y, radius)
        for thing, (x, y) in zip(taken, points.tolist(), strict=True)
    ]
    report.say(f"{task.info.slide_id}: {int((taken >= 0).sum())} of {len(points)} points took a segmented object")
    return (*given.outlines, *at_points)


def deal_outlines(outlines: tuple[Rings, ...], plan: SlidePlan) -> dict[int, GivenTile]:
    """By index, every tile that holds tissue or the middle of an outline, each outline in exactly one."""
    places = np.array([middle(rings) for rings in outlines]).reshape(-1, 2) / plan.task.grid.downsample
    dealt = _deal(places, 0, plan)
    wanted = {tile.index for tile in plan.tiles} | dealt.keys()
    return {
        tile.index: GivenTile(tile, tuple(outlines[i] for i in dealt.get(tile.index, ())))
        for tile in _all_tiles(plan, 0)
        if tile.index in wanted
    }


def _all_tiles(plan: SlidePlan, halo_px: int) -> Iterator[Tile]:
    grid = plan.task.grid
    yield from plan_tiles(grid.width_px, grid.height_px, plan.task.recipe.tiling.tile_px, halo_px)


def _deal(places: NDArray[np.float64], reach_px: int, plan: SlidePlan) -> dict[int, NDArray[np.int64]]:
    """By index of the tile, the places (x, y on the grid) in its core or within `reach_px` of it, in their order.

    A place beyond the grid counts as on its edge.
    """
    grid, side = plan.task.grid, plan.task.recipe.tiling.tile_px
    size = np.array([grid.width_px, grid.height_px])
    on_grid = np.clip(places, 0, size - 1)
    first, last = (np.clip(on_grid + d, 0, size - 1).astype(np.int64) // side for d in (-reach_px, reach_px))
    columns = -(-grid.width_px // side)
    tiles, index = [], []
    for down in range(int((last - first)[:, 1].max(initial=0)) + 1):
        for right in range(int((last - first)[:, 0].max(initial=0)) + 1):
            reached = np.flatnonzero((first + (right, down) <= last).all(axis=1))
            tiles.append((first[reached, 1] + down) * columns + first[reached, 0] + right)
            index.append(reached)
    tile, place = np.concatenate(tiles), np.concatenate(index)
    order = np.lexsort((place, tile))
    starts = np.flatnonzero(np.diff(tile[order], prepend=-1))
    return {int(tile[part[0]]): place[part].astype(np.int64) for part in np.split(order, starts[1:]) if len(part)}


@contextmanager
def _one_of_a_folder(given: Path) -> Iterator[None]:
    """With a folder, what is wrong with one of its files concerns that slide only."""
    try:
        yield
    except UsageError as error:
        if not given.is_dir():
            raise
        raise SlideError(f"{error.subject}: {error.what}", error.remedy) from error
