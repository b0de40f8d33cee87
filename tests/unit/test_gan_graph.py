"""Steps recorded once and replayed: the same training, bit by bit, and nothing in them that a GPU could not record."""

import dataclasses
import gc
import os
import signal
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.tape import Listener, Tape, tensors
from wsipipe.config import GanConfig, load_recipe
from wsipipe.gan import train as module
from wsipipe.gan.checkpoint import Model
from wsipipe.gan.device import fixed_arithmetic, training_arithmetic
from wsipipe.gan.graph import WARM_UP, CudaRecorder, recorder_for
from wsipipe.gan.inputs import placed
from wsipipe.gan.lessons import Lessons
from wsipipe.gan.mixture import Described
from wsipipe.gan.optimizers import laid_out
from wsipipe.gan.parts import Workers, workers
from wsipipe.gan.resume import _state
from wsipipe.gan.train import TIMED_STEPS, estimate_seconds, train
from wsipipe.gan.trainer import Trainer
from wsipipe.records import DESCRIPTION

STEPS = 8
RECIPES = ("default", "ship", "paper", "toy")
CONFIGS = {
    name: dataclasses.replace(
        load_recipe(name).gan, channels=8, batch=4, real_batch=8, steps=STEPS, start="random",
        checks=4 if load_recipe(name).gan.checks else 0,
    )
    for name in RECIPES
}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with fixed_arithmetic(1):
        yield


def cells(count: int = 60) -> torch.Tensor:
    rng = np.random.default_rng(0)
    ground, noise = rng.integers(60, 255, (count, 1, 1, 3)), rng.integers(-40, 40, (count, 16, 16, 3))
    return torch.from_numpy(np.clip(ground + noise, 0, 255).astype(np.uint8))


def lessons(config: GanConfig, count: int = 60) -> Lessons:
    random = torch.Generator().manual_seed(0)
    k, d = config.classes, len(DESCRIPTION)
    classes = torch.rand(count, k, generator=random).softmax(1)
    values, weight = (torch.randn(rows, d, generator=random) for rows in (count, k))
    return Lessons(values, classes, weight, torch.zeros(k))


def trainer(config: GanConfig, recorder: object = None) -> Trainer:
    return Trainer(cells(), config, 3, Workers("cpu", None), lessons(config), None, recorder)


def stepped(config: GanConfig, steps: int, *, taped: bool) -> tuple[Trainer, Tape]:
    found: list[Trainer] = []
    tape = Tape(lambda: _state(found[0]))
    found.append(trainer(config, tape if taped else None))
    for _ in range(steps):
        found[0].step()
    return found[0], tape


@pytest.mark.parametrize("recipe", RECIPES)
def test_replayed_steps_are_the_eager_ones(recipe: str) -> None:
    config = CONFIGS[recipe]
    eager, _ = stepped(config, STEPS, taped=False)
    replayed, tape = stepped(config, STEPS, taped=True)
    assert tape.calls == ["warm up"] * WARM_UP + ["record"] + ["replay"] * (STEPS - WARM_UP)
    wanted, found = _state(eager), _state(replayed)
    assert wanted.keys() == found.keys()
    assert [name for name in wanted if not torch.equal(wanted[name], found[name])] == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_nothing_in_a_step_makes_the_host_wait(recipe: str) -> None:
    working = trainer(CONFIGS[recipe])
    working.step()
    with Listener() as listener:
        working.on_device()
    assert len(listener.operations) > 1000
    assert {str(operation.function) for operation in listener.operations if operation.waits} == set()


def test_what_makes_the_host_wait_is_known() -> None:
    rows = torch.tensor([3, 1, 2])
    with Listener() as listener:
        rows[rows > 1], rows.sum().item(), torch.tensor([1.0]), torch.where(rows > 1), rows.unique()
        F.one_hot(rows, 4)
        assert bool(rows[0])
    assert sum(operation.waits for operation in listener.operations) >= 7
    with Listener() as listener:
        rows[rows - 1], torch.where(rows > 1, rows, 0)
    assert not any(operation.waits for operation in listener.operations)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_tensor_of_a_step_is_on_the_device(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On PyTorch's device without numbers: an operation on a tensor of the host, or one that gives such, is seen."""
    monkeypatch.setattr(torch, "Generator", HostGenerator)
    monkeypatch.setattr(torch.optim.Adam, "step", adam_accepts)
    config = CONFIGS[recipe]
    working = Trainer(cells().to("meta"), config, 3, Workers("meta", None), lessons(config))
    working.on_device()  # the first also makes what is kept
    with Listener() as listener:
        working.on_device()
    elsewhere = {
        str(operation.function)
        for operation in listener.operations
        if any(t.device.type != "meta" for t in tensors((operation.args, operation.kwargs, operation.given)))
    }
    assert elsewhere == set()
    sides = [max(o.args[1].shape[2:]) for o in listener.operations if o.function is torch.ops.aten.convolution.default]
    assert max(sides) <= 4, "a GPU has no fast convolution with a kernel as large as a map"


class AnyGenerator(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, REAL_GENERATOR)


REAL_GENERATOR = torch.Generator


class HostGenerator(metaclass=AnyGenerator):
    """Random numbers for a device that has none."""

    def __new__(cls, device: object = "cpu") -> torch.Generator:
        return REAL_GENERATOR()


def adam_accepts(optimizer: torch.optim.Adam) -> None:
    """Fused Adam on a GPU wants gradients of its parameters' strides and a float32 rate, all on one device."""
    for group in optimizer.param_groups:
        assert group["lr"].dtype == torch.float32
        assert group["lr"].device.type == "meta"
        for parameter in group["params"]:
            assert parameter.grad is None or parameter.grad.stride() == parameter.stride()
            assert parameter.device.type == "meta"
            assert parameter.dim() < 4 or parameter.is_contiguous(memory_format=torch.channels_last)


class Again:
    """A recorder that keeps the work itself, or refuses."""

    def __init__(self, refusal: str = "") -> None:
        self.calls, self.refusal = list[str](), refusal

    def warm_up(self, work: Callable[[], None]) -> None:
        self.calls.append("warm up")
        work()

    def record(self, work: Callable[[], None], generators: Sequence[torch.Generator]) -> None:
        self.calls.append("record")
        if self.refusal:
            try:
                raise RuntimeError(self.refusal)
            finally:
                raise RuntimeError("and ending it failed as well")
        self.work = work

    def replay(self) -> None:
        self.calls.append("replay")
        self.work()


def trained(
    recorder: Again | CudaRecorder | None,
    recipe: str = "default",
    file: Path | None = None,
    stop_after: int = 0,
    *,
    device: str = "cpu",
    steps: int = STEPS,
) -> Model:
    """Train through the front door; None leaves the recorder to it."""

    def progress(step: int, total: int, losses: dict[str, float]) -> None:
        if step == stop_after and losses:
            os.kill(os.getpid(), signal.SIGINT)

    patches, config = cells().numpy(), dataclasses.replace(CONFIGS[recipe], steps=steps)
    about = Described(patches.reshape(60, -1)[:, : len(DESCRIPTION)].astype(float), np.full((60, 2), -1))
    chosen = module.recorder_for if recorder is None else lambda _: recorder
    with mock.patch.object(module, "recorder_for", chosen):
        return train(
            patches, config, seed=1, device=device, patch_mpp=0.5, described=about, progress=progress, resume=file
        )


@pytest.fixture
def _plain_interrupts() -> Iterator[None]:
    """The browser driver of other tests leaves a handler of its own."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_plain_interrupts")
@pytest.mark.parametrize("recipe", ["default", "paper"])
def test_a_recorded_training_stopped_and_resumed_is_the_eager_one(recipe: str, tmp_path: Path) -> None:
    wanted, file = trained(None, recipe), tmp_path / "state"
    recorders = [Again(), Again(), Again()]
    for recorder, step in zip(recorders, (2, 7), strict=False):  # while it warms up; after some replays
        with pytest.raises(KeyboardInterrupt):
            trained(recorder, recipe, file, stop_after=step)
    found = trained(recorders[2], recipe, file)
    steps = [recorder.calls.count("warm up") + recorder.calls.count("replay") for recorder in recorders]
    assert steps == [2, 5, 1], "every step is done once"
    assert [recorder.calls.count("record") for recorder in recorders] == [0, 1, 0]
    assert found.hash == wanted.hash
    assert found.facts == trained(Again(), recipe).facts == {**wanted.facts, "graph": True}
    assert not wanted.facts["graph"]


def test_what_will_not_record_is_trained_anew_without_and_says_so() -> None:
    wanted, recorder = trained(None), Again("operation not permitted\nwhen a stream is capturing")
    found = trained(recorder)
    assert recorder.calls == ["warm up"] * WARM_UP + ["record"]
    assert found.hash == wanted.hash
    said = "trained kernel by kernel, not as a CUDA graph, which takes longer: operation not permitted"
    assert found.facts["warnings"] == [said, *wanted.facts["warnings"]]
    assert found.facts["arithmetic"] == "float32"


def test_ctrl_c_while_it_records_is_no_refusal() -> None:
    class Pressed(Again):
        def record(self, work: Callable[[], None], generators: Sequence[torch.Generator]) -> None:
            try:
                raise KeyboardInterrupt
            finally:
                raise RuntimeError("the capture was not ended")

    with pytest.raises(KeyboardInterrupt):
        trained(Pressed(), "toy")


def test_cells_that_are_too_many_for_a_gpu_stay_where_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On disk, where they are because memory is too small for them."""
    patches = np.lib.format.open_memmap(tmp_path / "cells.npy", "w+", np.uint8, (10, 8, 8, 3))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (2 * patches.nbytes, 100))
    assert placed(patches, "cuda").data_ptr() == patches.ctypes.data
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (2 * patches.nbytes + 2, 100))
    assert placed(patches, "meta").device.type == "meta"


class FakeCuda:
    """What a recorder asks of `torch.cuda`, in order; streams are called "main" and "side"."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.main, self.side = self._stream("main"), self._stream("side")
        self.graph = mock.Mock()
        self.graph.register_generator_state = lambda generator: self.asked.append(f"register {generator}")
        self.graph.replay = lambda: self.asked.append("launch")
        answers = {
            "Stream": lambda: self.side, "CUDAGraph": lambda: self.graph, "current_stream": lambda: self.main,
            "stream": lambda stream: self._within(f"on {stream.name}"),
            "graph": lambda graph, stream: self._within(f"capture on {stream.name}"),
        }  # fmt: skip
        for name, answer in answers.items():
            monkeypatch.setattr(torch.cuda, name, answer)

    def _stream(self, name: str) -> mock.Mock:
        stream = mock.Mock(wait_stream=lambda other: self.asked.append(f"{name} waits for {other.name}"))
        stream.name = name
        return stream

    @contextmanager
    def _within(self, what: str) -> Iterator[None]:
        self.asked.append(what)
        yield
        self.asked.append(f"end {what}")


def test_streams_wait_for_one_another_and_generators_are_registered_first(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda(monkeypatch)
    recorder = CudaRecorder()

    def work() -> None:
        cuda.asked.append("work")
        warnings.warn("This instance was constructed with capturable=True or some", stacklevel=1)

    recorder.warm_up(work)
    assert cuda.asked == ["side waits for main", "on side", "work", "end on side", "main waits for side"]
    cuda.asked.clear()
    recorder.record(lambda: cuda.asked.append("work"), ["a", "b"])  # type: ignore[list-item]
    recorder.replay()
    assert cuda.asked == [
        "register a", "register b", "on main", "capture on side", "work", "end capture on side", "end on main",
        "launch",
    ]  # fmt: skip


def test_only_cells_on_a_gpu_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeCuda(monkeypatch)
    assert recorder_for(cells()) is None
    assert isinstance(recorder_for(mock.Mock(is_cuda=True)), CudaRecorder)


def test_cells_that_stay_on_the_host_are_said_to_be_slow() -> None:
    assert "more than half of the GPU's free memory" in module._slower("", fits=False)[0]
    assert module._slower("", fits=True) == []


def test_time_is_that_of_replayed_steps() -> None:
    recorder = Again()
    with mock.patch.object(module, "recorder_for", return_value=recorder):
        assert estimate_seconds(CONFIGS["toy"], 16, "cpu") > 0
    assert recorder.calls.count("replay") == 1 + TIMED_STEPS


def test_a_trainer_goes_at_once_when_it_is_done_with() -> None:
    """Its graph holds memory of a GPU, so none of it may wait for the garbage collector."""
    gc.disable()
    try:
        working = trainer(CONFIGS["toy"])
        working.step()
        gone = weakref.ref(working)
        del working
        assert gone() is None
    finally:
        gc.enable()


def test_gradients_lie_in_memory_as_their_parameters() -> None:
    like = torch.zeros(4, 6, 1, 1).to(memory_format=torch.channels_last)
    tensor = torch.arange(24.0).reshape(4, 6, 1, 1).transpose(0, 1).contiguous().transpose(0, 1)
    laid = laid_out(tensor, like)
    assert laid.stride() == like.stride() != tensor.stride()
    assert torch.equal(laid, tensor)
    assert laid_out(laid, like) is laid


@pytest.mark.parametrize("tf32", [False, True])
def test_tf32_is_set_and_given_back(tf32: bool) -> None:
    def now() -> tuple[bool, bool]:
        return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32

    before = now()
    with fixed_arithmetic(1, tf32=tf32):
        assert now() == (tf32, tf32)
    assert now() == before
    assert training_arithmetic("cpu") == "float32"


def test_old_names_of_settings_are_not_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def warn(_: bool) -> None:
        warnings.warn("Please use the new API settings to control TF32 behavior, such as this", stacklevel=1)

    monkeypatch.setattr(torch._C, "_set_cublas_allow_tf32", warn)
    with fixed_arithmetic(1):
        assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.gpu
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_graph_trains_as_kernels_one_by_one(recipe: str) -> None:
    """Bit by bit: a graph launches the same kernels, whose sums are in a fixed order, with the same random numbers."""
    config = dataclasses.replace(CONFIGS[recipe], steps=40)
    found = []
    with workers("cuda") as threads:
        for recorder in (None, CudaRecorder()):
            working = Trainer(cells().cuda(), config, 3, threads, lessons(config), None, recorder)
            for _ in range(config.steps):
                working.step()
            found.append(_state(working))
    assert [name for name in found[0] if not torch.equal(found[0][name], found[1][name])] == []


def both_terms(working: Trainer, *, tf32: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Of D's loss on the same cells, and all gradients of their sum, in one row."""
    working.random.manual_seed(1)
    working.pick.manual_seed(1)
    with fixed_arithmetic(1, tf32=tf32):
        real, (fake, _) = working._real(16), working._fake()
        mix = torch.linspace(0.0, 1.0, len(fake), device=fake.device)
        terms = working._critic_gradients(real[: len(fake)], fake.detach(), mix, weight=1.0)
    return torch.stack(terms[:2]).cpu(), torch.cat([gradient.flatten() for gradient in terms[2:]]).cpu()


@pytest.mark.gpu
@pytest.mark.parametrize("recipe", ["default", "paper"])
def test_losses_in_tf32_are_those_of_float32(recipe: str) -> None:
    """With the same weights: after a few steps two trainings drift apart whose sums are rounded differently."""
    config = dataclasses.replace(CONFIGS[recipe], channels=24, batch=16)
    with workers("cuda") as threads:
        working = Trainer(cells().cuda(), config, 3, threads, lessons(config))
        (wanted, wanted_gradient), (found, gradient) = (both_terms(working, tf32=tf32) for tf32 in (False, True))
    torch.testing.assert_close(found, wanted, rtol=0.02, atol=0.01)
    assert (gradient - wanted_gradient).norm() < 0.1 * wanted_gradient.norm(), "0.03 where 10 bits are emulated"


@pytest.mark.gpu
@pytest.mark.parametrize("recipe", ["default", "paper"])
def test_both_terms_on_a_gpu_are_those_on_a_cpu(recipe: str) -> None:
    config = dataclasses.replace(CONFIGS[recipe], channels=24, batch=16)
    patches = torch.rand(2, 16, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0
    mix = torch.linspace(0.0, 1.0, 16)
    weights, found = trainer(config).critic.state_dict(), []
    for device in ("cpu", "cuda"):
        with workers(device) as threads, fixed_arithmetic(1):
            working = Trainer(cells().to(device), config, 3, threads, lessons(config))
            working.critic.load_state_dict(weights)  # they are scaled on cells that each device picks its own way
            terms = working._critic_gradients(*patches.to(device), mix.to(device), weight=1.0)
            found.append(torch.cat([term.flatten().cpu() for term in terms]))
    torch.testing.assert_close(found[1], found[0], rtol=1e-3, atol=1e-3 * float(found[0].abs().max()))


@pytest.mark.gpu
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.usefixtures("_plain_interrupts")
def test_a_graph_repeats_and_resumes(recipe: str, tmp_path: Path) -> None:
    wanted, file = trained(None, recipe, device="cuda", steps=20), tmp_path / "state"
    assert wanted.facts["graph"]
    assert trained(None, recipe, device="cuda", steps=20).hash == wanted.hash
    for step in (2, 11):
        with pytest.raises(KeyboardInterrupt):
            trained(None, recipe, file, step, device="cuda", steps=20)
    assert trained(None, recipe, file, device="cuda", steps=20).hash == wanted.hash


class Waiting(CudaRecorder):
    """Records work that waits for the GPU, which no graph can hold."""

    def record(self, work: Callable[[], None], generators: Sequence[torch.Generator]) -> None:
        super().record(lambda: (work(), torch.cuda.synchronize()), generators)


@pytest.mark.gpu
def test_training_goes_on_after_a_capture_that_failed() -> None:
    found = trained(Waiting(), "toy", device="cuda")
    assert "not as a CUDA graph" in found.facts["warnings"][0]
    assert not found.facts["graph"]
    assert found.hash == trained(None, "toy", device="cuda").hash
