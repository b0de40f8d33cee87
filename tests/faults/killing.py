"""SIGKILL at random moments of a command, then the same command again: the output must be that of one left in peace.

    python -m tests.faults.killing run --moments 40
    python -m tests.faults.killing batch --moments 40

Each trial is a fork of this process, which has imported everything and started nothing, so that many fit in a few
minutes. In every other trial the whole process group is killed, as when the power goes, else the process alone that a
user would have started: the one that does the work, and its worker processes, then have to notice by themselves.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.seeds import data_root
from tests.slides import write_svs
from wsipipe import pipeline  # noqa: F401 - imported once, before the forks
from wsipipe.cli import batch, run  # noqa: F401
from wsipipe.cli.main import main as wsipipe
from wsipipe.image.synthetic import make_slide
from wsipipe.labelling import SHIPPED

REAL = (
    "slides_derived/MoNuSeg_TCGA-21-5784_pyramid_0.2527mpp.tif",
    "slides_derived/MoNuSeg_TCGA-AR-A1AK_pyramid_0.2468mpp.ome.tif",
)
RECIPE = "[tiling]\ntile_px = 128\n[gan]\nsteps = 12\nchannels = 8\n"


@dataclass(frozen=True)
class Trial:
    """One kill: when, what was there then, and what was wrong after the same command had run again."""

    after_s: float
    group: bool
    stores: int
    tables: int
    faults: tuple[str, ...]


def slides(folder: Path) -> list[Path]:
    """Two real slides, or drawn ones where the real files are absent."""
    found = [data_root() / name for name in REAL if (data_root() / name).is_file()]
    folder.mkdir()
    if found:
        return [Path(shutil.copy(path, folder)) for path in found]
    drawn = (make_slide(700, 500, 0.5, seed).rgb for seed in (1, 2))
    return [write_svs(folder / f"drawn-{i}.svs", [rgb], 0.5) for i, rgb in enumerate(drawn)]


def digests(out: Path) -> dict[str, str]:
    """By name, what must not differ: the tables, and every byte of the stores."""
    wanted = ("proportions.csv", "expected.csv", "profiles.csv", "cells.csv", "cells.geojson")
    found = [path for path in sorted(out.rglob("*")) if path.name in wanted or "cells.zarr" in path.parts]
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found if p.is_file()}


def started(arguments: Sequence[str], log: Path) -> int:
    """Process id of a fork that runs a command in a session of its own."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["wsipipe", *arguments]
    try:
        wsipipe()
    except SystemExit as stopped:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(stopped.code or 0))
    finally:
        os._exit(70)


def finished(arguments: Sequence[str], log: Path) -> int:
    """Exit code of a command left in peace."""
    return os.waitstatus_to_exitcode(os.waitpid(started(arguments, log), 0)[1])


def trials(kind: str, moments: int, seed: int, folder: Path) -> Iterator[Trial]:
    """Kill, run again and compare, so many times; the moments are spread over the time that one run takes."""
    paths = slides(folder / "slides")
    (folder / "small-tiles.toml").write_text(RECIPE)
    model = shutil.copy(SHIPPED, folder)

    def arguments(out: Path) -> list[str]:
        what = [str(folder / "slides")] if kind == "batch" else list(map(str, paths))
        options = ["--recipe", str(folder / "small-tiles.toml"), "--model", str(model), "--workers", "1"]
        return [kind, *what, "-o", str(out), *options]

    log = folder / "log.txt"
    begun = time.monotonic()
    if finished(arguments(folder / "peace"), log):
        raise RuntimeError(log.read_text())
    lasts = time.monotonic() - begun
    wanted = digests(folder / "peace")
    rng = random.Random(seed)
    for index in range(moments):
        out, group = folder / "killed", index % 2 == 1
        after = lasts * (index + rng.random()) / moments
        log.unlink()
        child = started(arguments(out), log)
        time.sleep(after)
        (os.killpg if group else os.kill)(child, signal.SIGKILL)
        os.waitpid(child, 0)
        there = (len(list(out.glob("*/cells.zarr"))), len(list(out.glob("*/cells.csv"))))
        faults = tuple(_again(arguments(out), out, log, wanted))
        shutil.rmtree(out)
        yield Trial(after, group, *there, faults)


def _again(arguments: Sequence[str], out: Path, log: Path, wanted: dict[str, str]) -> Iterator[str]:
    """What is wrong after the command has run to its end."""
    code = finished(arguments, log)
    if code:
        yield f"exit code {code}: {log.read_text()[-2000:]}"
    found = digests(out)
    yield from (
        f"{name} differs" for name in sorted(wanted.keys() | found.keys()) if wanted.get(name) != found.get(name)
    )
    yield from (f"{path.name} is left" for path in out.rglob("*") if path.name.endswith((".part", ".partial")))


def main(arguments: Sequence[str] | None = None) -> int:
    """Try, and print what came of it; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("run", "batch"))
    parser.add_argument("--moments", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        done = []
        for trial in trials(chosen.kind, chosen.moments, chosen.seed, Path(folder)):
            done.append(trial)
            print(json.dumps(vars(trial)), flush=True)
    wrong = sum(bool(trial.faults) for trial in done)
    print(f"{chosen.kind}: killed at {len(done)} moments, {wrong} reruns differed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
