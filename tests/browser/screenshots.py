"""The pictures of the demo in docs/images, from the output of `make demo`.

python -m tests.browser.screenshots demo-out
"""

import io
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.browser.chromium import chromium_page
from wsipipe.export.report.pictures import draw_nuclei
from wsipipe.export.rows import LabelledCells
from wsipipe.gan.checkpoint import load
from wsipipe.io.output import OutputFolder
from wsipipe.io.store import CellStore
from wsipipe.progress import Quiet
from wsipipe.records import Box
from wsipipe.tables import class_names
from wsipipe.viewing import serve

IMAGES = Path(__file__).parents[2] / "docs" / "images"
OUTLINED = Box(1480, 1120, 420, 300)
"""Part of the demo's slide with nuclei of all four kinds."""
ENLARGED, EXAMPLES = 2, 14


def main() -> None:
    """Write demo-overlay.jpg and demo-classes.jpg, then report.jpg, viewer.jpg and viewer-close.jpg."""
    out = OutputFolder(Path(sys.argv[1]))
    draw(out)
    with tempfile.TemporaryDirectory() as folder, chromium_page(Path(folder)) as (page, said):
        page.goto((out.finished()[0].path / "report.html").resolve().as_uri())
        page.wait_for_timeout(300)
        _save(page, "report.jpg", {"x": 0, "y": 0, "width": 1440, "height": 2100})
        with serve(out.path, [], 0, Quiet()) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            page.goto(server.url)
            page.wait_for_selector("#gallery img")
            page.wait_for_timeout(1500)
            _save(page, "viewer.jpg")
            page.select_option("#gallery-order", "2")
            page.wait_for_timeout(500)
            page.click("#gallery button >> nth=9")
            page.wait_for_selector("#cell dl")
            page.wait_for_timeout(1500)
            page.click("#zoom-out")
            page.wait_for_timeout(1500)
            _save(page, "viewer-close.jpg")
            server.shutdown()
        assert not said, said


def draw(out: OutputFolder) -> None:
    """Outlines of nuclei over a part of the slide; the surest patches of every class, a row a class."""
    folder, model = out.finished()[0], load(out.model)
    store = CellStore(folder.store)
    labels, cells = store.labels(model.hash), store.rows(0, len(store))
    with Image.open(out.path / f"{folder.slide_id}.tiff") as slide:
        view = slide.crop((OUTLINED.x, OUTLINED.y, OUTLINED.right, OUTLINED.bottom)).convert("RGB")
    labelled = LabelledCells(cells, labels.classes, labels.confidence)
    colors = [c.color for c in class_names(out, model)]
    drawn = draw_nuclei(np.asarray(view), labelled, colors, 1.0, (OUTLINED.x, OUTLINED.y))
    _write(Image.fromarray(_enlarged(drawn)), "demo-overlay.jpg")
    rows = []
    for index in range(len(colors)):
        own = np.flatnonzero(labels.classes == index)
        surest = own[np.argsort(-labels.confidence[own], kind="stable")[:EXAMPLES]]
        rows.append(np.concatenate(list(cells.patches[surest]), axis=1))
    _write(Image.fromarray(_enlarged(np.concatenate(rows))), "demo-classes.jpg")


def _enlarged(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC), np.uint8)


def _save(page: Any, name: str, clip: dict[str, int] | None = None) -> None:
    _write(Image.open(io.BytesIO(page.screenshot(full_page=clip is not None, clip=clip))), name)


def _write(picture: Image.Image, name: str) -> None:
    picture.convert("RGB").save(IMAGES / name, quality=82, optimize=True, progressive=True)


if __name__ == "__main__":
    main()
