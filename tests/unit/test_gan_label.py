"""Labels: right, and the same whatever the threads, the batches and the kind of array."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wsipipe.config import GanConfig
from wsipipe.errors import ModelError
from wsipipe.gan import asking
from wsipipe.gan import label as module
from wsipipe.gan.asking import CPU_BATCH, arithmetic
from wsipipe.gan.augment import to_unit
from wsipipe.gan.checkpoint import Model, merge_states
from wsipipe.gan.label import label, weigh
from wsipipe.gan.nets import Critic, Generator
from wsipipe.gan.standardize import standardize_trunk
from wsipipe.records import DESCRIPTION

COUNT = 3 * CPU_BATCH + 5


@pytest.fixture(scope="module")
def patches() -> np.ndarray:
    rng = np.random.default_rng(0)
    base = rng.integers(60, 255, (COUNT, 1, 1, 3))
    return np.clip(base + rng.integers(-40, 40, (COUNT, 16, 16, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def model(patches: np.ndarray) -> Model:
    config = GanConfig(channels=24, noise_dim=3, classes=4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        critic = Critic(config)
        standardize_trunk(critic, to_unit(torch.from_numpy(patches)))
        return Model(config, 16, 0.5, merge_states(Generator(config, 16), critic), {})


@pytest.fixture(params=["float32", "bfloat16"])
def number(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every format, whatever this machine is fastest at."""
    monkeypatch.setattr(asking, "fast_dtype", lambda *_, **__: getattr(torch, request.param))
    return str(request.param)


def test_class_and_confidence_are_those_of_q(model: Model, patches: np.ndarray, number: str) -> None:
    assert arithmetic(model, "cpu") == number
    classes, confidence = label(model, patches, device="cpu", threads=1)
    assert (classes.dtype, confidence.dtype) == (np.uint8, np.float32)
    with torch.no_grad():
        probability = model.critic().log_classes(to_unit(torch.from_numpy(patches))).exp().numpy()
    np.testing.assert_allclose(confidence, probability.max(1), rtol=1e-5 if number == "float32" else 0.01)
    np.testing.assert_array_equal(classes, probability.argmax(1), "close decisions are made in float32")
    assert len(np.unique(classes)) > 1


@pytest.fixture(scope="module")
def weighing(model: Model) -> Model:
    """A model whose Q also weighs descriptions."""
    random = torch.Generator().manual_seed(3)
    heads = {"weight": torch.randn(4, len(DESCRIPTION), generator=random), "bias": torch.randn(4, generator=random)}
    tensors = {**model.tensors, **{f"critic.described.{name}": tensor for name, tensor in heads.items()}}
    tensors["critic.sharpness"] = torch.tensor(0.6)
    return dataclasses.replace(model, config=dataclasses.replace(model.config, describe=True), tensors=tensors)


def test_descriptions_count_as_much_as_patches(model: Model, weighing: Model, patches: np.ndarray, number: str) -> None:
    described = np.random.default_rng(2).normal(size=(COUNT, len(DESCRIPTION)))
    classes, confidence = label(weighing, patches, device="cpu", threads=2, described=described)
    with torch.no_grad():
        seen = model.critic().log_classes(to_unit(torch.from_numpy(patches))).exp().double().numpy()
    weight, bias = (weighing.tensors[f"critic.described.{name}"].double().numpy() for name in ("weight", "bias"))
    logits = described @ weight.T + bias
    known = np.exp(logits - logits.max(1, keepdims=True))
    both = (seen * known / known.sum(1, keepdims=True)) ** (0.6 / 2)
    wanted = both / both.sum(1, keepdims=True)
    agree = {"float32": 1.0, "bfloat16": 0.98}[number]
    assert (classes == wanted.argmax(1)).mean() >= agree, "close decisions are those of the patch alone"
    np.testing.assert_allclose(confidence, wanted.max(1), rtol=1e-4 if number == "float32" else 0.02)
    some = slice(3, 90)
    again = label(weighing, patches[some], device="cpu", threads=1, described=described[some])
    np.testing.assert_array_equal(again[1], confidence[some])
    alone = label(weighing, patches, device="cpu", threads=1)
    np.testing.assert_array_equal(alone[1], label(model, patches, device="cpu", threads=1)[1])
    with pytest.raises(ValueError, match="descriptions for"):
        label(weighing, patches, device="cpu", threads=1, described=described[:5])


@pytest.mark.parametrize("k", [2, 5, 9, 64])
def test_weighing_looks_at_each_cell_by_itself(weighing: Model, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(k)
    heads = {
        name: torch.from_numpy(rng.normal(size=(k, *rest)))
        for name, rest in (("weight", (len(DESCRIPTION),)), ("bias", ()))
    }
    tensors = {f"critic.described.{name}": tensor.float() for name, tensor in heads.items()}
    tensors["critic.sharpness"] = torch.tensor(1.0)
    model = dataclasses.replace(weighing, tensors=tensors)
    seen, described = (
        np.log(rng.dirichlet(np.ones(k), 200)).astype(np.float32),
        rng.normal(size=(200, len(DESCRIPTION))),
    )
    for about in (None, described):
        whole = weigh(model, seen, about)
        classes, confidence = whole.classes, whole.confidence
        for rows in (slice(0, 1), slice(5, 8), slice(11, 150)):
            part = weigh(model, seen[rows], None if about is None else about[rows])
            np.testing.assert_array_equal(part.classes, classes[rows])
            np.testing.assert_array_equal(part.confidence, confidence[rows])
        with monkeypatch.context() as patched:
            patched.setattr(module, "WEIGHED_ROWS", 33)
            parted = weigh(model, seen, about)
            np.testing.assert_array_equal(parted.confidence, confidence)
            np.testing.assert_allclose(parted.profile, whole.profile, rtol=1e-12)
        assert (confidence > 1 / k).all()
        assert (confidence <= 1).all()
        cells = np.array(
            [weigh(model, seen[i : i + 1], None if about is None else about[i : i + 1]).expected for i in range(200)]
        )
        np.testing.assert_allclose(whole.expected, cells.mean(axis=0), rtol=1e-12)
        assert whole.expected.sum() == pytest.approx(1.0, abs=1e-6)
        columns = np.zeros((200, 0)) if about is None else about
        np.testing.assert_allclose(whole.profile, cells.T @ columns / cells.sum(axis=0)[:, None], rtol=1e-9)
    assert weigh(model, seen[:0], described[:0]).profile.shape == (k, len(DESCRIPTION))


def test_sharpness_changes_how_sure_q_is_and_no_class(weighing: Model) -> None:
    rng = np.random.default_rng(1)
    seen, about = np.log(rng.dirichlet(np.ones(4), 200)).astype(np.float32), rng.normal(size=(200, len(DESCRIPTION)))
    found = [
        weigh(
            dataclasses.replace(weighing, tensors={**weighing.tensors, "critic.sharpness": torch.tensor(s)}),
            seen,
            about,
        )
        for s in (1.0, 0.3, 0.02)
    ]
    for sure, less in itertools.pairwise(found):
        np.testing.assert_array_equal(less.classes, sure.classes)
        assert (less.confidence < sure.confidence).all()
        assert np.ptp(less.expected) < np.ptp(sure.expected)


@pytest.mark.usefixtures("number")
def test_same_bits_for_any_threads_order_and_number(model: Model, patches: np.ndarray) -> None:
    classes, confidence = label(model, patches, device="cpu", threads=1)
    for threads in (2, 5):
        again = label(model, patches, device="cpu", threads=threads)
        np.testing.assert_array_equal(again[0], classes)
        np.testing.assert_array_equal(again[1], confidence)
    order = np.random.default_rng(1).permutation(COUNT)
    np.testing.assert_array_equal(label(model, patches[order], device="cpu", threads=2)[1], confidence[order])
    for rows in (slice(0, 1), slice(7, 100), slice(COUNT - 1, COUNT)):
        np.testing.assert_array_equal(label(model, patches[rows], device="cpu", threads=2)[1], confidence[rows])


def test_pytorchs_own_threads_do_not_matter_and_come_back(model: Model, patches: np.ndarray) -> None:
    before = torch.get_num_threads()
    answers = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            answers.append(label(model, patches, device="cpu", threads=2)[1])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*answers)


def test_zarr_arrays_are_read_in_slices(
    model: Model, patches: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLICE", 2 * CPU_BATCH)
    zarr = pytest.importorskip("zarr")  # networks are tested where only they are, too
    stored = zarr.create_array(tmp_path / "p.zarr", shape=patches.shape, chunks=(50, 16, 16, 3), dtype="u1")
    stored[:] = patches
    seen: list[tuple[int, int]] = []
    found = label(model, stored, device="cpu", threads=2, progress=lambda done, total: seen.append((done, total)))
    np.testing.assert_array_equal(found[1], label(model, patches, device="cpu", threads=1)[1])
    assert seen == [(2 * CPU_BATCH, COUNT), (COUNT, COUNT)]


class Counting:
    """Patches that are made when read, and count how many are asked for at once."""

    def __init__(self, patches: np.ndarray, repeats: int) -> None:
        self.patches, self.shape, self.dtype = patches, (len(patches) * repeats, *patches.shape[1:]), patches.dtype
        self.largest = 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Any:
        index = np.arange(*rows.indices(len(self)))
        self.largest = max(self.largest, len(index))
        return self.patches[index % len(self.patches)]


def test_memory_is_bounded_by_slices(model: Model, patches: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE", CPU_BATCH)
    many = Counting(patches, 5)
    _, confidence = label(model, many, device="cpu", threads=2)
    assert many.largest == CPU_BATCH
    np.testing.assert_array_equal(confidence, np.tile(confidence[:COUNT], 5))


def test_read_only_patches_and_no_patches(model: Model, patches: np.ndarray) -> None:
    frozen = patches[:10].copy()
    frozen.flags.writeable = False
    assert len(label(model, frozen, device="cpu", threads=1)[0]) == 10
    classes, confidence = label(model, patches[:0], device="cpu", threads=2)
    assert (classes.shape, confidence.shape) == ((0,), (0,))


@pytest.mark.parametrize("wrong", [np.zeros((2, 32, 32, 3), np.uint8), np.zeros((2, 16, 16, 3), np.float32)])
def test_other_patches_are_refused(model: Model, wrong: np.ndarray) -> None:
    with pytest.raises(ModelError, match=r"takes uint8 patches of \(16, 16, 3\)"):
        label(model, wrong, device="cpu", threads=1)


def test_an_error_in_a_thread_comes_out(model: Model, patches: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        message = "broken"
        raise RuntimeError(message)

    monkeypatch.setattr(asking, "_answer", fail)
    with pytest.raises(RuntimeError, match="broken"):
        label(model, patches, device="cpu", threads=2)


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu(model: Model, patches: np.ndarray) -> None:
    cpu, cuda = (label(model, patches, device=device, threads=1) for device in ("cpu", "cuda"))
    assert (cpu[0] == cuda[0]).mean() > 0.995
    np.testing.assert_allclose(cpu[1], cuda[1], atol=0.01)


def test_close_decisions_are_made_in_float32(
    model: Model, patches: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "fast_dtype", lambda *_, **__: torch.float32)
    exact = label(model, patches, device="cpu", threads=1)[1]
    monkeypatch.setattr(asking, "fast_dtype", lambda *_, **__: torch.bfloat16)
    monkeypatch.setattr(module, "SLICE", CPU_BATCH)
    some = label(model, patches, device="cpu", threads=2)[1] == exact
    monkeypatch.setattr(module, "CLOSE", -1.0)
    assert (label(model, patches, device="cpu", threads=2)[1] == exact).sum() < some.sum() < len(patches)
    monkeypatch.setattr(module, "CLOSE", 2.0)
    np.testing.assert_array_equal(label(model, patches, device="cpu", threads=2)[1], exact)
