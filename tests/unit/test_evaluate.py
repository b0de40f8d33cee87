"""Scores agree with values worked out by hand, and with an independent implementation on larger cases."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsipipe.cohort.evaluate import (
    cluster_scores,
    detection_scores,
    mask_scores,
    match_points,
)

POINTS = arrays(np.float64, st.tuples(st.integers(0, 25), st.just(2)), elements=st.floats(0, 50))


def test_points_are_paired_one_to_one_within_the_radius() -> None:
    truth = np.array([[0.0, 0], [10, 0], [100, 100]])
    found = np.array([[0.0, 3], [1, 0], [10, 4], [104, 103]])
    i, j = match_points(found, truth, 4.0)
    assert len(i) == 2  # (0, 3) or (1, 0) has to go without; (104, 103) is 5 px away
    assert set(j.tolist()) == {0, 1}
    assert {2} <= set(i.tolist())
    i, j = match_points(found, truth, 5.0)
    assert set(j.tolist()) == {0, 1, 2}


def test_as_many_pairs_as_possible_rather_than_the_nearest_first() -> None:
    truth = np.array([[0.0, 0], [3, 0]])
    found = np.array([[1.4, 0], [-2.0, 0]])  # the first is near both; taking truth 0 would leave the second alone
    i, j = match_points(found, truth, 2.5)
    assert sorted(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 1), (1, 0)]


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_pair(n: int, m: int) -> None:
    i, j = match_points(np.zeros((n, 2)), np.zeros((m, 2)), 5.0)
    assert len(i) == len(j) == 0


def test_pairing_agrees_with_the_independent_scorer() -> None:
    k = np.arange(120)
    truth = np.stack([k * 37 % 101, k * 53 % 97], 1).astype(float)
    found = truth[:90] + np.stack([k[:90] % 9 - 4, k[:90] % 7 - 3], 1)
    i, j = match_points(truth, found, 4.0)
    assert len(i) == 86
    assert i[:10].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]
    assert j[:10].tolist() == [11, 1, 2, 3, 4, 5, 6, 18, 19, 10]
    assert (i.sum(), j.sum()) == (3879, 3934)
    assert detection_scores(len(i), 120, 90).f1 == pytest.approx(0.8190, abs=5e-5)


@given(POINTS, POINTS, st.floats(0.5, 20))
def test_a_pairing_is_symmetric_in_size_and_keeps_the_radius(a: np.ndarray, b: np.ndarray, radius: float) -> None:
    i, j = match_points(a, b, radius)
    assert len(set(i.tolist())) == len(i) == len(j) == len(set(j.tolist()))
    assert (np.hypot(*(a[i] - b[j]).T) <= radius * (1 + 1e-12)).all()
    assert len(match_points(b, a, radius)[0]) == len(i)


def test_detection_scores() -> None:
    scores = detection_scores(6, 8, 12)
    assert (scores.precision, scores.recall, scores.f1, scores.matched) == (0.75, 0.5, 0.6, 6)
    assert detection_scores(0, 0, 0).f1 == 0


def squares(*boxes: tuple[int, int, int, int, int]) -> np.ndarray:
    mask = np.zeros((20, 30), np.int32)
    for value, left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = value
    return mask


def test_mask_scores_by_hand() -> None:
    """Two true squares of 16 px; one is found with 12 of its pixels, the other missed; 8 px are found in vain."""
    truth = squares((1, 0, 0, 4, 4), (7, 10, 0, 14, 4))
    found = squares((500, 1, 0, 4, 4), (2, 20, 10, 24, 12))
    scores = mask_scores(truth, found)
    assert scores.aji == pytest.approx(12 / (16 + 16 + 8))
    assert (scores.dq, scores.sq) == (0.5, 0.75)
    assert scores.pq == 0.375
    assert scores.dice == pytest.approx(2 * 12 / (32 + 20))


def test_one_found_nucleus_may_serve_two_true_ones_in_aji() -> None:
    truth = squares((1, 0, 0, 4, 4), (2, 4, 0, 8, 4))
    found = squares((1, 0, 0, 8, 4))
    scores = mask_scores(truth, found)
    assert scores.aji == pytest.approx(32 / 64)
    assert scores.pq == 0  # IoU 0.5 is not above 0.5
    assert scores.dice == 1


def test_masks_agree_with_the_independent_scorer() -> None:
    y, x = np.mgrid[:96, :128]
    truth = np.where((x % 16 - 8) ** 2 + (y % 16 - 8) ** 2 < 36, (y // 16) * 8 + x // 16 + 1, 0)
    near = ((x + 2) % 16 - 8) ** 2 + ((y + 1) % 16 - 7) ** 2 < 30 + (x // 32) * 6
    found = np.where(near, ((y + 1) // 16) * 9 + (x + 2) // 16 + 1, 0)
    found[:20, :40] = 0
    scores = mask_scores(truth.astype(np.uint16), found.astype(np.int32))
    wanted = (0.5142, 0.5111, 0.9574, 0.5338, 0.6792)
    assert dataclasses.astuple(scores) == pytest.approx(wanted, abs=5e-5)


@pytest.mark.parametrize(("n_truth", "n_found"), [(0, 0), (0, 1), (1, 0)])
def test_empty_masks_score_nothing(n_truth: int, n_found: int) -> None:
    square = squares((3, 2, 2, 6, 6))
    assert dataclasses.astuple(mask_scores(square * n_truth, square * n_found)) == (0, 0, 0, 0, 0)


def test_masks_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(3, 2\)"):
        mask_scores(np.zeros((2, 3), int), np.zeros((3, 2), int))


@given(arrays(np.int32, (9, 11), elements=st.integers(0, 5)), st.permutations(range(1, 6)))
def test_a_mask_agrees_with_itself_whatever_its_numbers(mask: np.ndarray, names: list[int]) -> None:
    renamed = np.array([0, *names])[mask] * 1000
    wanted = (1, 1, 1, 1, 1) if mask.any() else (0, 0, 0, 0, 0)
    assert dataclasses.astuple(mask_scores(mask, renamed)) == wanted


def test_cluster_scores_by_hand() -> None:
    """Cluster 0 holds 3 a and 1 b, cluster 1 holds 2 b: purity 5/6, entropy 4/6 of H(1/4)."""
    scores = cluster_scores(list("aaabbb"), [0, 0, 0, 0, 1, 1])
    assert (scores.n, scores.clusters) == (6, 2)
    assert scores.purity == pytest.approx(5 / 6)
    h_quarter = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    assert scores.entropy == pytest.approx(4 / 6 * h_quarter)
    f_a, f_b = 2 * 3 / (4 + 3), 2 * 2 / (2 + 3)
    assert scores.f_score == pytest.approx((3 * f_a + 2 * f_b) / 5)


def test_clusters_agree_with_the_independent_scorer() -> None:
    i = np.arange(500)
    scores = cluster_scores((i * i * 7 + i // 3) % 5, np.where(i % 7 < 5, ((i * i * 7 + i // 3) % 5) % 4, (i * 3) % 6))
    wanted = (500, 4, 0.6960, 1.2543, 0.7507, 0.4869, 0.4015, 0.4915)
    assert dataclasses.astuple(scores) == pytest.approx(wanted, abs=5e-5)


def test_perfect_and_useless_clusters() -> None:
    truth = np.repeat([0, 1, 2, 3], 25)
    perfect = cluster_scores(truth, 7 - truth)
    assert (perfect.purity, perfect.entropy, perfect.f_score) == (1, 0, 1)
    assert perfect.ari == pytest.approx(1)
    one = cluster_scores(truth, np.zeros(100, int))
    assert (one.purity, one.entropy) == (0.25, 2)
    assert one.ari == pytest.approx(0)


@pytest.mark.parametrize(("n", "m"), [(0, 0), (3, 2)])
def test_classes_that_cannot_be_compared(n: int, m: int) -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        cluster_scores([0] * n, [0] * m)


@given(
    arrays(np.uint8, st.tuples(st.just(2), st.integers(1, 60)), elements=st.integers(0, 4)), st.permutations(range(5))
)
def test_names_of_clusters_do_not_matter(labels: np.ndarray, names: list[int]) -> None:
    truth, cluster = labels
    a, b = cluster_scores(truth, cluster), cluster_scores(truth, np.array(names)[cluster])
    assert dataclasses.astuple(a) == pytest.approx(dataclasses.astuple(b))
    assert 0 < a.purity <= 1
    assert 0 <= a.entropy <= np.log2(5) + 1e-9
    assert 0 < a.f_score <= 1
