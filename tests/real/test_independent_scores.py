"""Our scores are those of the independent scorer that comes with the real data."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.calls import must_succeed, wsipipe
from wsipipe.cohort.evaluate import cluster_scores, detection_scores, match_points


def write_points(path: Path, xy: np.ndarray, classes: np.ndarray) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("x", "y", "class"), *zip(*xy.T.tolist(), classes.tolist(), strict=True)])


def independent(scorer: Path, truth: Path, found: Path) -> dict[str, float]:
    command = [sys.executable, scorer, "classes", truth, found]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_classes_score_the_same(real_file: Callable[[str], Path], tmp_path: Path) -> None:
    scorer = real_file("../tools/score.py")
    rng = np.random.default_rng(0)
    truth, found, marked, given = tmp_path / "truth", tmp_path / "found", [], []
    truth.mkdir()
    found.mkdir()
    counts = np.zeros(3, int)
    for name in ("a.csv", "b.csv"):
        true_xy = rng.uniform(0, 300, (250, 2)).round(2)
        true_class = rng.choice(["lymphocyte", "tumour", "stroma", "unclassified"], 250, p=[0.5, 0.3, 0.15, 0.05])
        found_xy = np.concatenate([true_xy + rng.normal(0, 3, true_xy.shape), rng.uniform(0, 300, (40, 2))]).round(2)
        guess = np.unique(true_class, return_inverse=True)[1]
        found_class = np.where(rng.random(290) < 0.6, np.append(guess, np.zeros(40, int)), rng.integers(0, 5, 290))
        write_points(truth / name, true_xy, true_class)
        write_points(found / name, found_xy, np.char.add("c", found_class.astype(str)))
        known = true_class != "unclassified"
        i, j = match_points(found_xy, true_xy[known], 6.0)
        marked.append(true_class[known][j])
        given.append(found_class[i])
        counts += len(i), len(found_xy), known.sum()
    wanted = independent(scorer, truth, found)
    ours = vars(detection_scores(*counts.tolist())) | vars(
        cluster_scores(np.concatenate(marked), np.concatenate(given))
    )
    assert ours.keys() == wanted.keys()
    assert ours == pytest.approx(wanted, abs=6e-5)


def test_evaluate_classes_scores_the_same_on_real_cells(
    real_file: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through the commands: a toy model on the given nuclei of one CoNSeP tile, tables out, both scorers."""
    scorer, image, points = (
        real_file(name) for name in ("../tools/score.py", "consep/images/train_10.png", "consep/points")
    )
    masks, out = real_file("consep/masks"), tmp_path / "out"
    must_succeed("run", image, "--nuclei", masks, "--mpp", "0.25", "--recipe", "toy", "-o", out, "--workers", "1")
    must_succeed("export", out, "--to", "csv", "-o", tmp_path / "found")
    code, text, err = wsipipe(capsys, "evaluate", "classes", out, "--truth", points, "--json")
    assert code == 0, err
    ours = json.loads(text)
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "train_10.csv").write_bytes((points / "train_10.csv").read_bytes())
    wanted = independent(scorer, tmp_path / "truth", tmp_path / "found")
    baselines = ours.pop("baselines")
    assert ours == pytest.approx(wanted, abs=6e-5)
    assert ours["matched"] == ours["n"] > 500
    assert [scores["n"] for scores in baselines.values()] == [ours["n"]] * 3
    assert max(scores["ami"] for scores in baselines.values()) > 0.1
