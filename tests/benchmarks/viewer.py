"""How fast the viewer is with many cells: an output of made-up cells, its page in headless Chromium.

python -m tests.benchmarks.viewer [cells]
"""

import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from tests.browser.chromium import chromium_page
from tests.browser.outputs import made_up_output
from wsipipe.progress import Quiet
from wsipipe.viewing import serve

_PAN = """async () => {
  const canvas = document.getElementById("cells"), draws = [], frames = [];
  let last = performance.now();
  for (let i = 0; i < 40; i++) {
    document.getElementById(i % 8 < 4 ? "zoom-in" : "zoom-out").click();
    for (let k = 0; k < 3; k++) {
      await new Promise(requestAnimationFrame);
      const now = performance.now();
      draws.push(Number(canvas.dataset.ms)); frames.push(now - last); last = now;
    }
  }
  return [draws, frames];
}"""


def main() -> None:
    """Print times of loading and drawing."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        out = made_up_output(Path(folder), n, side_px=60_000)
        with serve(out, [], 0, Quiet()) as server, chromium_page(Path(folder) / "profile") as (page, said):
            threading.Thread(target=server.serve_forever, daemon=True).start()
            begun = time.monotonic()
            page.goto(server.url)
            page.wait_for_selector("body[data-ready]", timeout=60_000)
            print(f"{n:,} cells: page ready after {time.monotonic() - begun:.2f} s")
            page.wait_for_selector("#cells:not([data-cells='0'])[data-cells]")
            print("whole slide:", page.evaluate("({...document.getElementById('cells').dataset})"))
            draws, frames = page.evaluate(_PAN)
            print(f"while zooming: drawing {np.median(draws):.1f} ms (worst {max(draws):.1f}), "
                  f"frame {np.median(frames):.1f} ms (95 %: {np.quantile(frames, 0.95):.1f})")  # fmt: skip
            page.evaluate("document.querySelector('#gallery button').click()")
            page.wait_for_selector("#cells[data-mode=outlines]", timeout=20_000)
            print("close up:", page.evaluate("({...document.getElementById('cells').dataset})"))
            server.shutdown()
            assert not said, said


if __name__ == "__main__":
    main()
