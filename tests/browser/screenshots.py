"""The pictures in docs/images of a finished output, such as that of `make demo`.

python -m tests.browser.screenshots demo-out
"""

import io
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from PIL import Image

from tests.browser.chromium import chromium_page
from wsipipe.io.output import OutputFolder
from wsipipe.progress import Quiet
from wsipipe.viewing import serve

IMAGES = Path(__file__).parents[2] / "docs" / "images"


def main() -> None:
    """Write report.jpg, viewer.jpg and viewer-close.jpg."""
    out = OutputFolder(Path(sys.argv[1]))
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


def _save(page: Any, name: str, clip: dict[str, int] | None = None) -> None:
    picture = Image.open(io.BytesIO(page.screenshot(full_page=clip is not None, clip=clip)))
    picture.convert("RGB").save(IMAGES / name, quality=82, optimize=True, progressive=True)


if __name__ == "__main__":
    main()
