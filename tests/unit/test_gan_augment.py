"""Random transforms of real patches."""

import numpy as np
import pytest
import torch

from wsipipe.gan import augment as module
from wsipipe.gan.augment import augment, to_unit

ONE = torch.randint(0, 256, (1, 6, 6, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def back(patches: torch.Tensor) -> np.ndarray:
    return patches.add(1.0).mul(127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def variants(kind: str, count: int) -> list[bytes]:
    changed = augment(ONE.expand(count, -1, -1, -1), kind, torch.Generator().manual_seed(1))
    return [patch.tobytes() for patch in back(changed)]


def test_unit_range_and_back() -> None:
    assert to_unit(torch.tensor([[[[0, 255, 51]]]], dtype=torch.uint8)).flatten().tolist() == pytest.approx(
        [-1, 1, -0.6]
    )
    np.testing.assert_array_equal(back(to_unit(ONE)), ONE.numpy())
    assert to_unit(ONE.expand(4, -1, -1, -1)).is_contiguous(memory_format=torch.channels_last)


def test_flips_are_the_four_flips_equally_often() -> None:
    image = ONE[0].numpy()
    wanted = {np.ascontiguousarray(image[::a, ::b]).tobytes() for a in (1, -1) for b in (1, -1)}
    found = variants("flips", 400)
    assert set(found) == wanted
    assert min(found.count(w) for w in wanted) > 60


def test_dihedral_without_jitter_is_all_eight_turns_and_flips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STAIN_JITTER", 0.0)
    image = ONE[0].numpy()
    wanted = {np.ascontiguousarray(np.rot90(image[:, ::flip], turn)).tobytes() for flip in (1, -1) for turn in range(4)}
    found = variants("dihedral", 800)
    assert set(found) == wanted
    assert min(found.count(w) for w in wanted) > 60


def test_stain_jitter_scales_each_stain_within_its_limit() -> None:
    """A patch of pure haematoxylin stays pure, and its optical density changes by at most the jitter."""
    stain = np.array(module.STAIN_RGB_OD[0]) / np.linalg.norm(module.STAIN_RGB_OD[0])
    grey = np.round(256.0 * np.exp(-0.8 * stain) - 1.0).astype(np.uint8)
    patches = torch.from_numpy(np.broadcast_to(grey, (200, 8, 8, 3)).copy())
    changed = augment(patches, "dihedral", torch.Generator().manual_seed(0))
    density = -torch.log((changed.add(1.0).mul(127.5) + 1.0) / 256.0)[:, :, 0, 0].numpy()
    amount = density @ stain
    np.testing.assert_allclose(density, np.outer(amount, stain), atol=0.02)
    assert amount.min() > 0.8 * (1 - module.STAIN_JITTER) - 0.01
    assert amount.max() < 0.8 * (1 + module.STAIN_JITTER) + 0.01
    assert amount.std() > 0.8 * module.STAIN_JITTER / 3


def test_results_stay_in_range_and_repeat_for_a_seed() -> None:
    patches = torch.randint(0, 256, (64, 8, 8, 3), dtype=torch.uint8)
    first, again, other = (augment(patches, "dihedral", torch.Generator().manual_seed(s)) for s in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.abs().max() <= 1.0
    assert first.shape == (64, 3, 8, 8)
