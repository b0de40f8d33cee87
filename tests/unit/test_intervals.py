"""Intervals of proportions: they hold what they promise where cells cluster, and a naive one does not."""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta

from wsipipe.cohort import intervals
from wsipipe.cohort.intervals import BLOCK_SIDES_UM, proportion_intervals
from wsipipe.cohort.proportions import ProportionsRow
from wsipipe.export.tables import proportions_csv
from wsipipe.io.verdict_files import read_proportions


def clustered(seed: int, share: float = 0.3, blocks: int = 12, per_block: int = 40) -> tuple[np.ndarray, ...]:
    """Cells on a field of blocks of 500 um, each with its own share of class 1 around the true one."""
    rng = np.random.default_rng(seed)
    own = rng.beta(4 * share, 4 * (1 - share), blocks * blocks)
    place = np.repeat(np.arange(blocks * blocks), per_block)
    x = (place % blocks) * 500 + rng.uniform(0, 500, len(place))
    y = (place // blocks) * 500 + rng.uniform(0, 500, len(place))
    return x, y, (rng.uniform(size=len(place)) < own[place]).astype(np.uint8)


def test_coverage_where_cells_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "DRAWS", 400)
    covered = naive = 0
    for seed in range(150):
        x, y, labels = clustered(seed)
        low, high = proportion_intervals(x, y, labels, 2)
        covered += low[1] <= 0.3 <= high[1]
        m, n = int(labels.sum()), len(labels)
        naive += beta.ppf(0.025, m, n - m + 1) <= 0.3 <= beta.ppf(0.975, m + 1, n - m)
    assert 0.88 < covered / 150 <= 1
    assert naive / 150 < 0.75, "independent cells would promise too much"


def test_the_share_lies_inside_and_order_does_not_matter() -> None:
    x, y, labels = clustered(0, blocks=4)
    low, high = proportion_intervals(x, y, labels, 3)
    share = np.bincount(labels, minlength=3) / len(labels)
    assert low[0] < share[0] < high[0]
    assert low[1] < share[1] < high[1]
    assert low[2] == 0
    assert high[2] == pytest.approx(1 - 0.025 ** (1 / len(labels)))
    turned = np.random.default_rng(0).permutation(len(labels))
    assert proportion_intervals(x[turned], y[turned], labels[turned], 3) == (low, high)


def test_small_pictures_get_small_blocks() -> None:
    rng = np.random.default_rng(0)
    x, y, labels = rng.uniform(0, 200, 300), rng.uniform(0, 200, 300), rng.integers(0, 2, 300).astype(np.uint8)
    low, high = proportion_intervals(x, y, labels, 2)
    assert 0 < low[0] < 0.5 < high[0] < 1
    assert BLOCK_SIDES_UM[-1] * 6 < 200


@pytest.mark.parametrize("n", [0, 1, 5])
def test_nothing_is_known_of_one_block(n: int) -> None:
    assert proportion_intervals(np.full(n, 3.0), np.full(n, 4.0), np.zeros(n, np.uint8), 2) == ((), ())


def test_columns_of_proportions_csv_come_last_and_only_when_asked_for(tmp_path: Path) -> None:
    rows = [
        ProportionsRow("a", (1, 3), 1.0, (), "m", low=(0.1, 0.5), high=(0.5, 0.9)),
        ProportionsRow("b", (2, 0), 1.0, ("few_cells",), "m"),
    ]
    path = tmp_path / "proportions.csv"
    proportions_csv(path, rows, ["c0", "c1"], intervals=True)
    with path.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert list(found[0])[-5:] == ["model", "lo_c0", "lo_c1", "hi_c0", "hi_c1"]
    assert [float(found[0][name]) for name in ("lo_c0", "lo_c1", "hi_c0", "hi_c1")] == [0.1, 0.5, 0.5, 0.9]
    assert [found[1][name] for name in ("lo_c0", "hi_c1")] == ["", ""]
    assert read_proportions(path).counts.tolist() == [[1, 3], [2, 0]]
    proportions_csv(path, rows, ["c0", "c1"])
    assert "lo_" not in path.read_text()
