"""Limits on the address space, as `ulimit -v` sets them, then the same command without: the output must be the same.

    python -m tests.faults.memory run --low 2100 --high 4000 --steps 10

Under each limit a command must end, with a result or with error lines and no traceback, and leave nothing under its
final name that differs from an undisturbed run.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.faults.killing import RECIPE, digests, slides
from tests.fuzz.seeds import ROOT

LONGEST_S = 300


def called(arguments: Sequence[str], megabytes: int | None) -> tuple[int, str]:
    """Exit code and what was said; -1 for a command that came to no end."""

    def limited() -> None:
        if megabytes is not None:
            resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    command = [sys.executable, "-m", "wsipipe.cli.main", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, preexec_fn=limited, timeout=LONGEST_S, check=False
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return -1, ""
    return done.returncode, done.stderr


def faults(arguments: Sequence[str], out: Path, megabytes: int, wanted: dict[str, str]) -> tuple[int, list[str]]:
    """Exit code under a limit, and all that is wrong then or after the command has run again without."""
    code, said = called(arguments, megabytes)
    wrong = ["came to no end"] if code == -1 else []
    if "Traceback" in said or (code > 0 and "error: " not in said) or code < 0:
        wrong.append(f"exit code {code}: {said[-1500:]}")
    stores = {str(path.parent.relative_to(out)) for path in out.glob("*/cells.zarr")}
    half = digests(out).items() - wanted.items() if out.is_dir() else set()
    wrong += [f"{name} differs" for name, _ in half if name.split("/")[0] in stores]
    again, said = called(arguments, None)
    if again or digests(out) != wanted:
        wrong.append(f"the rerun differs: {said[-1500:]}")
    return code, wrong


def trials(kind: str, limits: Sequence[int], folder: Path) -> Iterator[dict[str, object]]:
    """One limit after another."""
    paths = slides(folder / "slides")
    (folder / "small-tiles.toml").write_text(RECIPE)

    def arguments(out: Path) -> list[str]:
        what = [str(folder / "slides")] if kind == "batch" else list(map(str, paths))
        model = [] if kind == "segment" else ["--model", "default"]
        return [kind, *what, "-o", str(out), "--recipe", str(folder / "small-tiles.toml"), "--workers", "1", *model]

    code, said = called(arguments(folder / "peace"), None)
    if code:
        raise RuntimeError(said)
    wanted = digests(folder / "peace")
    for megabytes in limits:
        code, wrong = faults(arguments(folder / "out"), folder / "out", megabytes, wanted)
        shutil.rmtree(folder / "out", ignore_errors=True)
        yield {"megabytes": megabytes, "exit_code": code, "faults": wrong}


def main(arguments: Sequence[str] | None = None) -> int:
    """Try, and print what came of it; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("segment", "run", "batch"))
    parser.add_argument("--low", type=int, default=2100, help="MB")
    parser.add_argument("--high", type=int, default=4000, help="MB")
    parser.add_argument("--steps", type=int, default=10)
    chosen = parser.parse_args(arguments)
    span = chosen.high - chosen.low
    limits = [chosen.low + span * i // max(1, chosen.steps - 1) for i in range(chosen.steps)]
    with tempfile.TemporaryDirectory() as folder:
        done = []
        for trial in trials(chosen.kind, limits, Path(folder)):
            done.append(trial)
            print(json.dumps(trial), flush=True)
    wrong = sum(bool(trial["faults"]) for trial in done)
    ended = sum(trial["exit_code"] == 0 for trial in done)
    print(f"{chosen.kind}: {len(done)} limits, {ended} results, {wrong} with faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
