"""The critic in whole numbers of 8 bits: near the one that was trained, and silent where it cannot be."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from wsipipe.config import GanConfig
from wsipipe.gan import asking, device, int8
from wsipipe.gan import label as labelling
from wsipipe.gan.asking import WIDE_CPU_BATCH, arithmetic
from wsipipe.gan.augment import to_unit
from wsipipe.gan.checkpoint import Model, merge_states
from wsipipe.gan.embed import embed
from wsipipe.gan.folded import WIDE, folded
from wsipipe.gan.int8 import quantized, rounded
from wsipipe.gan.label import label
from wsipipe.gan.nets import Critic, Generator
from wsipipe.gan.standardize import standardize_trunk

COUNT = 3 * WIDE_CPU_BATCH + 5
VNNI = {"avx512_vnni": True, "avx512_bf16": True, "amx_bf16": False}

pytestmark = pytest.mark.skipif(not device.is_int8_known(), reason="this PyTorch has no convolutions of bytes")


@pytest.fixture(scope="module")
def patches() -> np.ndarray:
    """Smooth blobs, as cells are: neighbouring pixels are alike."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(20, 255, (COUNT, 3, 5, 5)))
    fine = torch.nn.functional.interpolate(coarse, size=(16, 16), mode="bicubic")
    noisy = fine.permute(0, 2, 3, 1).numpy() + rng.normal(0, 4, (COUNT, 16, 16, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def model(patches: np.ndarray) -> Model:
    """Wide, its values as large as in training, and G's drawings as bright as the patches."""
    config = GanConfig(channels=WIDE, noise_dim=3, classes=4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        critic = Critic(config)
        standardize_trunk(critic, to_unit(torch.from_numpy(patches)))
        generator = Generator(config, 16)
        generator.to_rgb.weight.data *= 3.0
        with torch.no_grad():  # classes that differ
            features = critic.features(to_unit(torch.from_numpy(patches)))
            weight = torch.randn(4, features.shape[1]) / features.std(0).clamp_min(0.1) / 4
            critic.q_head.weight.data, critic.q_head.bias.data = weight, -weight @ features.mean(0)
        return Model(config, 16, 0.5, merge_states(generator, critic), {})


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    """Networks that another test's processor has made."""
    asking._network.cache_clear()


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that multiplies bytes, whatever this one does."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: VNNI, raising=False)


def exact_answers(model: Model, patches: np.ndarray) -> Tensor:
    with torch.no_grad():
        return folded(model.critic()).log_classes(to_unit(torch.from_numpy(patches))).exp()


def test_answers_are_near_those_of_float32(model: Model, patches: np.ndarray) -> None:
    seen = to_unit(torch.from_numpy(patches))
    answers, wanted = quantized(model.critic(), seen).log_classes(seen).exp(), exact_answers(model, patches)
    assert answers.dtype == torch.float32
    assert (answers - wanted).square().mean().sqrt() < 0.03
    assert wanted.std(0).min() > 0.05, "the answers differ from patch to patch"
    assert (answers.argmax(1) == wanted.argmax(1)).float().mean() > 0.9


@pytest.mark.parametrize("side", [16, 24])
def test_every_block_is_the_trained_one(side: int) -> None:
    """Borders, pooling, shortcuts: with weights that 8 bits hold exactly, what is left are the roundings of values."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        critic = Critic(GanConfig(channels=8, classes=3)).requires_grad_(requires_grad=False)
        patches = torch.randint(0, 256, (6, side, side, 3), dtype=torch.uint8)
    for block in critic.trunk:
        for conv in (block.conv1, block.conv2):
            conv.weight.data = rounded(conv.weight / conv.weight.abs().max() * 126) / 126 * 0.2
            conv.weight.data[:, 0, 1, 1] = 0.2
    seen = to_unit(patches)
    found, wanted = quantized(critic, seen).trunk(seen), critic.trunk(seen)
    assert found.shape == wanted.shape
    within = (found - wanted).abs().amax((0, 1))
    assert within.max() < 0.02 * wanted.abs().max()
    assert within[0].max() < 3 * within[1:-1].max(), "the border is no worse than the middle"


def test_rounding_keeps_the_sum_of_every_kernel() -> None:
    weights = torch.randn(20, 7, 3, 3, generator=torch.Generator().manual_seed(0)) * 30
    whole = rounded(weights)
    assert torch.equal(whole, whole.round())
    assert (whole - weights).abs().max() <= 1.0
    assert (whole - weights).sum((2, 3)).abs().max() <= 0.5 + 1e-4
    assert torch.equal(rounded(whole), whole)
    assert ((weights.round() - weights).sum((2, 3)).abs() > 0.5).any(), "plain rounding does not"


def test_means_of_four_go_to_the_nearest_and_halves_to_even() -> None:
    maps = torch.randint(0, 256, (2, 16, 6, 6), dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    found = int8._mean_of_four(16).relu(maps, int8._WHOLE)
    wanted = torch.nn.functional.avg_pool2d(maps.double(), 2, stride=1, padding=1).round()
    assert torch.equal(found.double(), wanted)


def test_a_patch_whose_values_do_not_fit_gets_no_answer(model: Model, patches: np.ndarray) -> None:
    seen = to_unit(torch.from_numpy(patches))
    grey = seen[:3] * 0.02
    answers = quantized(model.critic(), grey).log_classes(torch.cat((grey, seen)))
    assert answers[:3].isfinite().all()
    lost = answers[3:].isnan()
    assert lost.any()
    assert torch.equal(lost.any(1), lost.all(1))


@pytest.mark.usefixtures("whole")
def test_a_patch_that_got_no_answer_is_asked_about_in_float32(
    model: Model, patches: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "HEADROOM", 1e-3)
    monkeypatch.setattr(labelling, "CLOSE", -1.0)
    classes, confidence = label(model, patches, device="cpu", threads=2)
    wanted = exact_answers(model, patches).max(1)
    np.testing.assert_array_equal(classes, wanted.indices.numpy())
    np.testing.assert_allclose(confidence, wanted.values.numpy(), rtol=1e-5)
    features = np.concatenate(list(embed(model, patches, device="cpu", threads=1)))
    with torch.no_grad():
        plain = model.critic().features(to_unit(torch.from_numpy(patches)))
    np.testing.assert_allclose(features, plain.numpy(), atol=1e-4)


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize("close", [-1.0, 0.1])
def test_same_bits_for_any_threads_order_and_number(
    model: Model, patches: np.ndarray, close: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelling, "CLOSE", close)
    assert arithmetic(model, "cpu") == "int8"
    confidence = label(model, patches, device="cpu", threads=1)[1]
    wanted = exact_answers(model, patches).max(1).values.numpy()
    assert (confidence != wanted).any()
    np.testing.assert_allclose(confidence, wanted, atol=0.1)
    order = np.random.default_rng(1).permutation(COUNT)
    asking._network.cache_clear()  # as in another process
    np.testing.assert_array_equal(label(model, patches[order], device="cpu", threads=2)[1], confidence[order])
    for rows, threads in itertools.product((slice(0, 1), slice(7, 30), slice(COUNT - 1, COUNT)), (1, 3)):
        found = label(model, patches[rows], device="cpu", threads=threads)[1]
        np.testing.assert_array_equal(found, confidence[rows])


@pytest.mark.usefixtures("whole")
def test_the_network_is_made_once_a_model(model: Model, patches: np.ndarray) -> None:
    state = torch.get_rng_state()
    for _ in range(3):
        label(model, patches[:5], device="cpu", threads=1)
    assert asking._network.cache_info().misses == 2, "the fast and the exact one"
    assert torch.equal(torch.get_rng_state(), state)
    kept = {name: tensor.clone() for name, tensor in model.critic().state_dict().items()}
    assert all(torch.equal(tensor, kept[name]) for name, tensor in model.critic().state_dict().items())


@pytest.mark.parametrize(
    ("abilities", "wide", "number"),
    [
        (VNNI, True, torch.int8),
        (VNNI, False, torch.bfloat16),
        ({"avx512_vnni": True}, True, torch.int8),
        ({"avx512_vnni": True, "amx_bf16": True}, True, torch.bfloat16),
        ({"avx512_bf16": True}, True, torch.bfloat16),
        ({}, True, torch.float32),
    ],
)
def test_only_where_the_processor_multiplies_bytes_and_for_wide_networks(
    abilities: dict[str, bool], wide: bool, number: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities, raising=False)
    assert device.fast_dtype("cpu", wide=wide) == number


@pytest.mark.usefixtures("whole")
def test_a_pytorch_with_other_operations(model: Model, patches: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "INT8_ARGUMENTS", "x y")
    assert not device.is_int8_known()
    assert arithmetic(model, "cpu") == "bfloat16"
    assert len(label(model, patches[:5], device="cpu", threads=1)[0]) == 5
    monkeypatch.setattr(torch.ops, "onednn", object())
    assert not device.is_int8_known()


@pytest.mark.usefixtures("whole")
def test_networks_of_other_widths_stay_as_they_were(model: Model) -> None:
    for channels, number in ((24, "bfloat16"), (96, "bfloat16"), (128, "int8")):
        other = dataclasses.replace(model, config=dataclasses.replace(model.config, channels=channels))
        assert arithmetic(other, "cpu") == number
