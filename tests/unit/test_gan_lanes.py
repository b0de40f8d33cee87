"""Batches on a GPU, as far as a CPU can tell: what lies where, and who waits for what."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.tape import Listener, Operation, tensors
from wsipipe.config import GanConfig
from wsipipe.gan import asking
from wsipipe.gan import label as labelling
from wsipipe.gan.asking import CUDA_BATCH, EXACT_CUDA_BATCH
from wsipipe.gan.augment import to_unit
from wsipipe.gan.checkpoint import Model, merge_states
from wsipipe.gan.device import fixed_arithmetic
from wsipipe.gan.folded import folded
from wsipipe.gan.label import MOST_CUDA_READERS, READERS, label, readers
from wsipipe.gan.lanes import LANES, Ask, CudaStream, Lane, Lanes
from wsipipe.gan.nets import Critic, Generator, centre_window

SIDE, CLASSES, BATCH = 16, 4, 12
SIZES = (12, 5, 12, 1, 3, 12, 7, 12)


@pytest.fixture(scope="module")
def model() -> Model:
    config = GanConfig(channels=8, noise_dim=3, classes=CLASSES)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Model(config, SIDE, 0.5, merge_states(Generator(config, SIDE), Critic(config)), {})


@pytest.fixture(scope="module")
def critic(model: Model) -> Critic:
    return folded(model.critic())


@pytest.fixture(scope="module")
def parts() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (size, SIDE, SIDE, 3), dtype=np.uint8) for size in SIZES]


class LateStream:
    """A GPU that does nothing before it is waited for, then everything, with what then lies in the memory."""

    device = "cpu"

    def __init__(self, on_wait: Callable[[], None] = lambda: None) -> None:
        self.asked: list[str] = []
        self._memory: list[Tensor] = []
        self._operations: list[Operation] = []
        self._on_wait = on_wait

    def memory(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        self._memory.append(torch.full(tuple(shape), 99, dtype=dtype))
        return self._memory[-1]

    @contextmanager
    def within(self) -> Iterator[None]:
        assert self.asked[-1:] != ["begin"], "the batch before was not waited for"
        self.asked.append("begin")
        with Listener() as listener:
            yield
        self._operations = listener.operations
        for memory in self._memory:
            if memory.dtype == torch.float32:
                memory.fill_(float("nan"))  # what is read too early

    def wait(self) -> None:
        self._on_wait()
        for operation in self._operations:
            operation.again()
        self._operations = []
        self.asked.append("wait")


def lanes(streams: Sequence[LateStream]) -> Lanes:
    return Lanes([Lane(stream, BATCH, (SIDE, SIDE, 3), CLASSES) for stream in streams])


def plainly(critic: Critic, rows: np.ndarray, size: int = BATCH) -> np.ndarray:
    """As the CPU does it."""
    return asking._answer(critic.log_classes, rows, size)


def test_a_lane_answers_as_the_cpu_and_waits_once_a_batch(critic: Critic, parts: list[np.ndarray]) -> None:
    stream = LateStream()
    with fixed_arithmetic(1):
        lane = Lane(stream, BATCH, (SIDE, SIDE, 3), CLASSES)
        found = [lane.answer(critic.log_classes, part, BATCH) for part in parts]
        for part, answer in zip(parts, found, strict=True):
            np.testing.assert_array_equal(answer, plainly(critic, part))
            assert answer.dtype == np.float32
            assert answer.shape == (len(part), CLASSES)
    assert stream.asked == ["begin", "wait"] * len(parts)


def test_batches_are_filled_up_with_black_patches(parts: list[np.ndarray]) -> None:
    """Of any size that the buffers hold, whatever lay there before."""
    seen: list[np.ndarray] = []

    def log_classes(patches: Tensor) -> Tensor:
        seen.append(((patches + 1.0) * 127.5).round().permute(0, 2, 3, 1).byte().numpy())
        return patches.new_zeros(len(patches), CLASSES)

    lane = Lane(LateStream(), BATCH, (SIDE, SIDE, 3), CLASSES)
    for part, size in ((parts[0], BATCH), (parts[1], BATCH), (parts[3], 4)):
        lane.answer(log_classes, part, size)
        np.testing.assert_array_equal(seen[-1][: len(part)], part)
        assert seen[-1].shape[0] == size
        assert not seen[-1][len(part) :].any()


def test_lanes_are_under_way_together_and_never_mixed_up(critic: Critic, parts: list[np.ndarray]) -> None:
    both = threading.Barrier(LANES, timeout=20)
    streams = [LateStream(lambda: both.wait() and None) for _ in range(LANES)]  # each waits until the other began
    shared = lanes(streams)
    with fixed_arithmetic(1), ThreadPoolExecutor(LANES) as pool:
        found = list(pool.map(lambda part: shared.answer(critic.log_classes, part, BATCH), parts))
        for part, answer in zip(parts, found, strict=True):
            np.testing.assert_array_equal(answer, plainly(critic, part))
    assert [stream.asked for stream in streams] == [["begin", "wait"] * (len(parts) // LANES)] * LANES


def test_more_threads_than_lanes_take_turns(critic: Critic, parts: list[np.ndarray]) -> None:
    streams = [LateStream() for _ in range(LANES)]
    shared = lanes(streams)
    with fixed_arithmetic(1), ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda part: shared.answer(critic.log_classes, part, BATCH), parts))
        for part, answer in zip(parts, found, strict=True):
            np.testing.assert_array_equal(answer, plainly(critic, part))
    assert sum(len(stream.asked) for stream in streams) == 2 * len(parts)


def test_after_an_error_a_lane_is_waited_for_and_free(critic: Critic, parts: list[np.ndarray]) -> None:
    stream = LateStream()
    only = lanes([stream])
    with pytest.raises(RuntimeError, match="broken"):
        only.answer(mock.Mock(side_effect=RuntimeError("broken")), parts[0], BATCH)
    assert stream.asked == ["begin", "wait"]
    with fixed_arithmetic(1):
        np.testing.assert_array_equal(only.answer(critic.log_classes, parts[1], BATCH), plainly(critic, parts[1]))


def test_answers_outlive_the_batch_after(critic: Critic, parts: list[np.ndarray]) -> None:
    lane = Lane(LateStream(), BATCH, (SIDE, SIDE, 3), CLASSES)
    first = lane.answer(critic.log_classes, parts[0], BATCH)
    kept = first.copy()
    lane.answer(critic.log_classes, parts[2], BATCH)
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("channels", [24, 128])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_of_a_batch_makes_the_host_wait_or_lies_elsewhere(channels: int, dtype: torch.dtype) -> None:
    """On PyTorch's device without numbers: a tensor of the CPU's in between would be copied there batch by batch."""
    with torch.random.fork_rng():
        critic = folded(Critic(GanConfig(channels=channels)).to("meta"), dtype)
    patches = torch.zeros((3, 32, 32, 3), dtype=torch.uint8, device="meta")
    with torch.inference_mode(), Listener() as listener:
        critic.log_classes(to_unit(patches))
    assert [str(operation.function) for operation in listener.operations if operation.waits] == []
    there = [
        tensor.device.type
        for operation in listener.operations
        for tensor in tensors((operation.args, operation.kwargs, operation.given))
    ]
    assert set(there) == {"meta"}
    pooled = [o for o in listener.operations if o.function is torch.ops.aten.avg_pool2d.default]
    assert len(pooled) == 2, "of what goes into the shortcuts; no pass over the largest maps to save products"


def test_what_lanes_share_comes_by_a_copy_that_waits() -> None:
    """Computed by the lane that is first, it might not be there when another, which takes it from there, reads it."""
    centre_window.cache_clear()
    with Listener() as listener:
        centre_window(8, torch.device("meta"))
    there = [o for o in listener.operations if any(tensor.is_meta for tensor in o.given)]
    assert [operation.function for operation in there] == [torch.ops.aten._to_copy.default]
    assert not there[0].kwargs.get("non_blocking")


class FakeCuda:
    """What is asked of `torch.cuda`, in order; new streams are called 0, 1 and so on, the current one "main"."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self._count = 0
        self._main = mock.Mock()
        self._main.name = "main"
        monkeypatch.setattr(torch.cuda, "Stream", self._new)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda: self._main)
        monkeypatch.setattr(torch.cuda, "stream", self._within)

    def _new(self) -> mock.Mock:
        name, self._count = self._count, self._count + 1
        stream = mock.Mock(
            wait_stream=lambda other: self.asked.append(f"{name} waits for {other.name}"),
            synchronize=lambda: self.asked.append(f"wait for {name}"),
        )
        stream.name = name
        return stream

    @contextmanager
    def _within(self, stream: mock.Mock) -> Iterator[None]:
        self.asked.append(f"on {stream.name}")
        yield
        self.asked.append(f"end {stream.name}")


def test_streams_begin_after_the_weights_were_sent(
    monkeypatch: pytest.MonkeyPatch, critic: Critic, parts: list[np.ndarray]
) -> None:
    cuda, zeros = FakeCuda(monkeypatch), torch.zeros
    locked: list[bool] = []

    def memory(shape: tuple[int, ...], *, dtype: torch.dtype, pin_memory: bool) -> Tensor:
        locked.append(pin_memory)
        return zeros(shape, dtype=dtype)

    monkeypatch.setattr(torch, "zeros", memory)
    monkeypatch.setattr(CudaStream, "device", "cpu")
    shared = Lanes([Lane(CudaStream(), BATCH, (SIDE, SIDE, 3), CLASSES) for _ in range(2)])
    assert locked == [True] * 4
    with fixed_arithmetic(1):
        np.testing.assert_array_equal(shared.answer(critic.log_classes, parts[0], BATCH), plainly(critic, parts[0]))
        shared.answer(critic.log_classes, parts[1], BATCH)
    assert cuda.asked == [
        "0 waits for main", "1 waits for main", "on 0", "end 0", "wait for 0", "on 1", "end 1", "wait for 1",
    ]  # fmt: skip


def test_labels_by_lanes_are_those_of_the_cpu(
    monkeypatch: pytest.MonkeyPatch, model: Model, parts: list[np.ndarray]
) -> None:
    """The whole way that a GPU takes, its arithmetic the CPU's; close decisions come in a batch of their own size."""
    monkeypatch.setattr(asking, "fast_dtype", lambda *_, **__: torch.bfloat16)
    monkeypatch.setattr(asking, "cpu_batch", lambda _: BATCH)
    patches = np.concatenate(parts)
    wanted = label(model, patches, device="cpu", threads=1)
    sizes: list[tuple[torch.dtype, int]] = []
    answer = Lane.answer

    def noted(lane: Lane, ask: Ask, rows: np.ndarray, size: int) -> np.ndarray:
        sizes.append((next(ask.args[0].trunk[1].parameters()).dtype, size))
        return answer(lane, ask, rows, size)

    monkeypatch.setattr(Lane, "answer", noted)
    monkeypatch.setattr(asking, "CudaStream", LateStream)
    monkeypatch.setattr(asking, "CUDA_BATCH", BATCH)
    monkeypatch.setattr(asking, "EXACT_CUDA_BATCH", BATCH // 2)
    monkeypatch.setattr(labelling, "CLOSE", 2.0)  # all of them
    way = asking._way
    monkeypatch.setattr(asking, "_way", lambda model, _, *rest: way(model, "cuda", *rest))
    monkeypatch.setattr(labelling, "SLICE", 2 * BATCH + 1)
    exact = label(model, patches, device="cpu", threads=3)
    assert set(sizes) == {(torch.bfloat16, BATCH), (torch.float32, BATCH // 2)}
    np.testing.assert_allclose(exact[1], wanted[1], atol=0.02)
    monkeypatch.setattr(labelling, "CLOSE", -1.0)  # none
    fast = label(model, patches, device="cpu", threads=3)
    monkeypatch.setattr(asking, "_way", way)
    again = label(model, patches, device="cpu", threads=1)
    np.testing.assert_array_equal(fast[0], again[0])
    np.testing.assert_array_equal(fast[1], again[1])


def test_a_gpu_is_fed_by_more_readers() -> None:
    assert [readers("cpu", threads) for threads in (1, 2, 64)] == [READERS] * 3
    assert [readers("cuda", threads) for threads in (1, 5, 64)] == [READERS, 5, MOST_CUDA_READERS]


@pytest.mark.gpu
def test_on_a_gpu_an_answer_depends_on_its_patch_alone(model: Model) -> None:
    """Bit by bit: not on the lane, the place in the batch, the slice or what the batch is filled up with."""
    rng = np.random.default_rng(1)
    patches = rng.integers(0, 256, (3 * CUDA_BATCH + 5, SIDE, SIDE, 3), dtype=np.uint8)
    classes, confidence = label(model, patches, device="cuda", threads=1)
    order = rng.permutation(len(patches))
    for threads in (1, 8):
        again = label(model, patches[order], device="cuda", threads=threads)
        np.testing.assert_array_equal(again[0], classes[order])
        np.testing.assert_array_equal(again[1], confidence[order])
    few = slice(7, 7 + EXACT_CUDA_BATCH // 2)
    np.testing.assert_array_equal(label(model, patches[few], device="cuda", threads=2)[1], confidence[few])


@pytest.mark.gpu
def test_on_a_gpu_lanes_answer_as_one_stream(parts: list[np.ndarray]) -> None:
    """From the very first batches on: the window of the pooling is not there yet."""
    centre_window.cache_clear()
    with torch.random.fork_rng():
        critic = Critic(GanConfig(channels=24, classes=CLASSES, pooling="centre")).to("cuda")
    on_device = folded(critic)
    shared = Lanes([Lane(CudaStream(), BATCH, (SIDE, SIDE, 3), CLASSES) for _ in range(LANES)])
    with fixed_arithmetic(1), ThreadPoolExecutor(LANES) as pool:
        found = list(pool.map(lambda part: shared.answer(on_device.log_classes, part, BATCH), 20 * parts))
        for part, answer in zip(20 * parts, found, strict=True):
            filled = np.zeros((BATCH, SIDE, SIDE, 3), np.uint8)
            filled[: len(part)] = part
            with torch.inference_mode():
                wanted = on_device.log_classes(to_unit(torch.from_numpy(filled).cuda()))[: len(part)].cpu().numpy()
            np.testing.assert_array_equal(answer, wanted)
