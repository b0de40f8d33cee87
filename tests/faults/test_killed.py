"""Killed at any moment and run again, a command gives the bytes of one left in peace; the long versions are slow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _killed(kind: str, moments: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.faults.killing", kind, "--moments", str(moments)],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{kind}: killed at {moments} moments, 0 reruns differed" in ended.stdout


def test_run_killed_at_a_few_moments() -> None:
    _killed("run", 3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["run", "batch"])
def test_killed_at_forty_moments(kind: str) -> None:
    _killed(kind, 40)
