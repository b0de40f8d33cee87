"""Damaged slides, one after another, through worker processes with limits on time and memory.

    python -m tests.fuzz.harness --count 2000 --seed 1 --keep FOLDER

prints how they ended; the files of faults, hangs and crashes are kept in FOLDER.
"""

import argparse
import collections
import itertools
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from tests.fuzz.damage import KINDS
from tests.fuzz.seeds import Seed, find_seeds

MEMORY_MB, TIME_S = 4096, 30.0


@dataclass(frozen=True)
class Ended:
    """One damaged slide: "result", "error", or what must not be: "fault", "hang", "crash"."""

    name: str
    kind: str
    ended: str
    said: str
    seconds: float


class Workers:
    """One worker process at a time, started again when a slide killed it."""

    def __init__(self, memory_mb: int = MEMORY_MB, time_s: float = TIME_S) -> None:
        self._memory_mb, self._time_s = memory_mb, time_s
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def work(self, path: Path, mpp: float | None, out: Path) -> tuple[str, str]:
        """How a slide ended, and what was said of it."""
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"path": str(path), "mpp": mpp, "out": str(out)}).encode() + b"\n")
        process.stdin.flush()
        if not self._answers(process):
            self._end()
            return "hang", f"no answer for {self._time_s:g} s of processor time"
        line = process.stdout.readline()
        if line.startswith(b"{"):
            answer: dict[str, Any] = json.loads(line)
            return answer["ended"], answer["said"]
        code = process.wait()
        self._end()
        return "crash", signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def _answers(self, process: "subprocess.Popen[bytes]") -> bool:
        """Whether it says something before its processor time is up; on a busy machine that takes a while longer."""
        watched = psutil.Process(process.pid)
        begun, until = _processor_s(watched), time.monotonic() + 10 * self._time_s
        while not select.select([process.stdout], [], [], 0.5)[0]:
            if time.monotonic() > until or _processor_s(watched) - begun > self._time_s:
                return False
        return True

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.worker", str(self._memory_mb)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=Path(__file__).parents[2],
                env=environment,
            )
            assert self._process.stdout is not None
            if not self._process.stdout.readline():
                raise RuntimeError("the worker does not start")
        return self._process

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.communicate()
        self._process = None


def _processor_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def fuzz(seeds: Sequence[Seed], count: int, seed: int, folder: Path, keep: Path | None = None) -> Iterator[Ended]:
    """Damage and segment `count` slides: every kind of damage on every seed in turn; the same for one `seed`."""
    pairs = list(itertools.product(KINDS, seeds))
    random.Random(seed).shuffle(pairs)
    with Workers() as workers:
        for index, (damage, sound) in enumerate(itertools.islice(itertools.cycle(pairs), count)):
            rng = random.Random(f"{seed} {index}")
            data = bytes(damage(bytearray(sound.data), rng))
            path = folder / f"{index:05}{sound.suffix}"
            path.write_bytes(data)
            begun = time.monotonic()
            ended, said = workers.work(path, sound.mpp, folder / "out")
            kind = getattr(damage, "__name__", "")
            if keep is not None and ended not in ("result", "error"):
                (keep / f"{index:05}-{ended}-{kind}-{sound.name}").write_bytes(data)
            path.unlink()
            yield Ended(f"{index:05} {sound.name}", kind, ended, said, time.monotonic() - begun)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fuzz, and print the tally."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    chosen = parser.parse_args(arguments)
    if chosen.keep:
        chosen.keep.mkdir(parents=True, exist_ok=True)
    tally: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for one in fuzz(find_seeds(), chosen.count, chosen.seed, Path(folder), chosen.keep):
            tally[one.kind][one.ended] += 1
            slowest = max(slowest, one.seconds)
            if one.ended not in ("result", "error"):
                print(f"{one.ended}: {one.name}, {one.kind}, {one.seconds:.1f} s: {one.said}", flush=True)
    columns = ("result", "error", "fault", "hang", "crash")
    print(f"{'damage':24}" + "".join(f"{column:>8}" for column in columns))
    for kind in (*sorted(tally), "all"):
        counts = tally[kind] if kind != "all" else sum(tally.values(), collections.Counter())
        print(f"{kind:24}" + "".join(f"{counts[column]:8}" for column in columns))
    print(f"slowest {slowest:.1f} s")


if __name__ == "__main__":
    main()
