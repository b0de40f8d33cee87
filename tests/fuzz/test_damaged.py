"""Damaged slides give a result or one line, in bounded time and memory; the long version is marked slow."""

import random
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.damage import KINDS, Damage
from tests.fuzz.harness import fuzz
from tests.fuzz.seeds import find_seeds, written
from tests.synth import tiny_slide


def _check(tmp_path: Path, count: int, seed: int) -> None:
    try:
        seeds = find_seeds()
    except FileNotFoundError:
        seeds = written(np.ascontiguousarray(tiny_slide().rgb[:384, :384]))
    ended = list(fuzz(seeds, count, seed, tmp_path))
    assert len(ended) == count
    assert [one for one in ended if one.ended not in ("result", "error")] == []
    assert {one.ended for one in ended} == {"result", "error"}


def test_some_damaged_slides(tmp_path: Path) -> None:
    _check(tmp_path, 60, seed=0)


@pytest.mark.slow
def test_two_thousand_damaged_slides(tmp_path: Path) -> None:
    _check(tmp_path, 2000, seed=3)


@pytest.mark.parametrize("damage", KINDS, ids=[getattr(kind, "__name__", "") for kind in KINDS])
def test_every_kind_changes_a_file(damage: Damage) -> None:
    sound = written(np.ascontiguousarray(tiny_slide().rgb[:128, :128]))[0].data
    changed = [bytes(damage(bytearray(sound), random.Random(i))) != sound for i in range(6)]
    assert any(changed)
