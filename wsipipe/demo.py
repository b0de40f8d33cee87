"""The demo: a drawn slide of known truth through the whole pipeline, and how much of the truth came out."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from wsipipe.atomic import atomic_write
from wsipipe.cohort.evaluate import cluster_scores, detection_scores, match_points
from wsipipe.config import Settings
from wsipipe.errors import StoreError
from wsipipe.gan.checkpoint import load
from wsipipe.image.synthetic import KINDS, SyntheticSlide, make_slide
from wsipipe.io.output import OutputFolder
from wsipipe.io.pyramid_writer import write_pyramid
from wsipipe.io.store import CellStore
from wsipipe.pipeline import run
from wsipipe.progress import Reporter
from wsipipe.records import Cells

DEMO_MPP = 0.5
"""Resolution of the demo slide."""

_MATCH_UM = 5.0
"""A found nucleus within this distance of a true one is that one."""


def run_demo(width_px: int, height_px: int, settings: Settings, report: Reporter) -> str:
    """Draw a slide with known nuclei, run everything on it, and say how much of the truth was found.

    The networks are trained on it: the model that ships knows real tissue, not drawn one.
    """
    settings = dataclasses.replace(settings, train=True)
    out = OutputFolder(settings.out)
    out.make()
    path = out.path / f"demo-{width_px}x{height_px}-{settings.seed}.tiff"
    truth = make_slide(width_px, height_px, DEMO_MPP, settings.seed)
    if not path.is_file():
        write_pyramid(path, truth.rgb, DEMO_MPP)
        report.say(f"drew {path.name}: {width_px} x {height_px} px, {len(truth.kind)} nuclei of {len(KINDS)} kinds")
    if run([path], settings, report):
        raise StoreError("the demo slide failed", "see the line above, and `wsipipe doctor`", out.path.name)
    store, model = CellStore(out.slide(path.stem).store), load(out.model)
    cells = store.rows(0, len(store), patches=False)
    with atomic_write(out.path / "truth.csv") as file:
        file.write("x_px,y_px,kind\n")
        file.writelines(
            f"{x:.2f},{y:.2f},{KINDS[kind]}\n" for x, y, kind in zip(truth.x_px, truth.y_px, truth.kind, strict=True)
        )
    return _verdict(truth, cells, store.labels(model.hash).classes)


def _verdict(truth: SyntheticSlide, cells: Cells, classes: NDArray[np.uint8]) -> str:
    """How many of the drawn nuclei were found, and how pure their classes are."""
    places = np.column_stack([cells.x_px, cells.y_px])
    found, true = match_points(places, np.column_stack([truth.x_px, truth.y_px]), _MATCH_UM / DEMO_MPP)
    nuclei = detection_scores(len(found), len(cells), len(truth.kind))
    score = cluster_scores(truth.kind[true], classes[found])
    lines = [
        (
            f"nuclei: {nuclei.matched} of {len(truth.kind)} found (recall {nuclei.recall:.3f}, "
            f"precision {nuclei.precision:.3f}, F1 {nuclei.f1:.3f})"
        ),
        (
            f"classes: purity {score.purity:.3f}, entropy {score.entropy:.3f} bits, AMI {score.ami:.3f}, "
            f"ARI {score.ari:.3f} against {len(KINDS)} drawn kinds"
        ),
    ]
    k = int(classes.max(initial=0)) + 1
    table = np.zeros((len(KINDS), k), np.int64)
    np.add.at(table, (truth.kind[true], classes[found]), 1)
    width = max(map(len, KINDS))
    lines.append(f"{'drawn kind':{width}}  drawn " + "".join(f"{f'c{i}':>7}" for i in range(k)))
    for i, kind in enumerate(KINDS):
        lines.append(f"{kind:{width}}  {int((truth.kind == i).sum()):5d} " + "".join(f"{n:7d}" for n in table[i]))
    return "\n".join(lines)
