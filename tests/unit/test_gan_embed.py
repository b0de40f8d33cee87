"""Embeddings: the features that Q's answers are made of, whatever the threads and batches."""

import numpy as np
import pytest
import torch

from wsipipe.config import GanConfig
from wsipipe.gan import embed as module
from wsipipe.gan.asking import CPU_BATCH
from wsipipe.gan.checkpoint import Model, merge_states
from wsipipe.gan.embed import embed
from wsipipe.gan.label import label
from wsipipe.gan.nets import Critic, Generator


@pytest.fixture(scope="module")
def model() -> Model:
    config = GanConfig(channels=12, noise_dim=3, classes=4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Model(config, 16, 0.5, merge_states(Generator(config, 16), Critic(config)), {})


@pytest.fixture(scope="module")
def patches() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (2 * CPU_BATCH + 5, 16, 16, 3)).astype(np.uint8)


def test_qs_head_on_the_embedding_gives_the_labels(model: Model, patches: np.ndarray) -> None:
    features = np.concatenate(list(embed(model, patches, device="cpu", threads=1)))
    assert (features.shape, features.dtype) == ((len(patches), 12), np.float32)
    classes, confidence = label(model, patches, device="cpu", threads=1)
    with torch.inference_mode():
        best = model.critic().log_classes_of(torch.from_numpy(features)).max(1)
    np.testing.assert_array_equal(best.indices.numpy(), classes)
    np.testing.assert_allclose(best.values.exp().numpy(), confidence, rtol=1e-3)  # close ones in float32


def test_threads_and_slices_change_nothing(model: Model, patches: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(embed(model, patches, device="cpu", threads=1)))
    monkeypatch.setattr(module, "SLICE", CPU_BATCH)
    parts = list(embed(model, patches, device="cpu", threads=3))
    assert len(parts) == 3
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert not list(embed(model, patches[:0], device="cpu", threads=1))
