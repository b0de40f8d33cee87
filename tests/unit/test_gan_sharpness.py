"""How sure Q may be is found from its two opinions alone."""

import numpy as np
import pytest

from wsipipe.gan.opinions import log_softmax
from wsipipe.gan.sharpness import LEAST, sharpness

N, K = 20_000, 5


def opinions(power: float) -> tuple[np.ndarray, np.ndarray]:
    """Patches' classes drawn by the descriptions' probabilities to a power, and those log-probabilities."""
    rng = np.random.default_rng(0)
    known = log_softmax(rng.normal(size=(N, K)) * 4.0)
    p = np.exp(log_softmax(power * known))
    classes = (p.cumsum(1) > rng.uniform(size=(N, 1))).argmax(1)
    return known, log_softmax(3.0 * np.eye(K)[classes])


@pytest.mark.parametrize("power", [0.1, 0.25, 0.7])
def test_the_power_that_was_drawn_with_is_found(power: float) -> None:
    assert sharpness(*opinions(power)) == pytest.approx(power, rel=0.05)


def test_it_stays_within_its_bounds() -> None:
    assert sharpness(*opinions(3.0)) == pytest.approx(1.0, abs=1e-6)
    known, seen = opinions(0.5)
    unrelated = sharpness(known, np.random.default_rng(1).permutation(seen))
    assert unrelated == pytest.approx(LEAST, abs=1e-6)


def test_how_sure_the_patches_are_does_not_matter() -> None:
    known, seen = opinions(0.4)
    assert sharpness(known, seen) == sharpness(known, log_softmax(0.1 * seen))
