"""Opens and segments the slides it is told on standard input, within limits, and says how each ended.

One process does many, so that imports are paid once; a slide that kills it costs the harness a new process.
"""

import json
import logging
import resource
import shutil
import sys
import traceback
import warnings
from pathlib import Path

from wsipipe.config import Settings, load_recipe
from wsipipe.errors import WsipipeError
from wsipipe.io.output import OutputFolder
from wsipipe.io.slide import probe
from wsipipe.io.store import CellStore
from wsipipe.parallel import pool_in_task
from wsipipe.progress import Quiet
from wsipipe.slides import segment_one


def work(path: Path, mpp: float | None, out: Path) -> tuple[str, str]:
    """How a slide ended, "result", "error" or "fault", and what was said."""
    settings = Settings(out=out, recipe=load_recipe("toy"), mpp=mpp, debug=True)
    try:
        with warnings.catch_warnings(action="ignore"):
            try:
                probe(path)
            except WsipipeError as error:
                _check_line(str(error))
            with pool_in_task(1) as pool:
                failure = segment_one(path, OutputFolder(out).slide("slide"), settings, pool, Quiet())
        if failure is None:
            return "result", f"{len(CellStore(out / 'slide' / 'cells.zarr'))} cells"
        _check_line(str(failure))
        return "error", str(failure)
    except Exception as error:  # noqa: BLE001 - what this looks for
        return "fault", f"{type(error).__name__}: {error}\n{traceback.format_exc()}"


def _check_line(text: str) -> None:
    if not text or "\n" in text or "Traceback" in text or len(text) > 2000:
        raise ValueError(f"not one line: {text!r}")


def main(memory_mb: int) -> None:
    """Answer each line of standard input with one of standard output until it ends."""
    logging.basicConfig(level=logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        case = json.loads(line)
        out = Path(case["out"])
        ended, said = work(Path(case["path"]), case["mpp"], out)
        shutil.rmtree(out, ignore_errors=True)
        sys.stdout.write(json.dumps({"ended": ended, "said": said}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
