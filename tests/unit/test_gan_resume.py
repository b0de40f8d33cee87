"""A training that was stopped anywhere gives the model of one that was not, bit by bit."""

import dataclasses
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from wsipipe.config import GanConfig, load_recipe
from wsipipe.gan import resume
from wsipipe.gan import train as module
from wsipipe.gan.mixture import Described
from wsipipe.gan.resume import SavedTraining, interrupt_between_steps, training_identity
from wsipipe.gan.train import train
from wsipipe.records import DESCRIPTION

STEPS = 6
SHIPPED = dataclasses.replace(load_recipe("toy").gan, channels=8, batch=4, real_batch=8, steps=STEPS, anneal=True)
PAPER = dataclasses.replace(load_recipe("paper").gan, channels=8, steps=STEPS, batch=4, critic_steps=2)
DEFAULT = dataclasses.replace(
    load_recipe("default").gan, channels=8, batch=4, real_batch=8, steps=STEPS, start="random", checks=3
)
CONFIGS = pytest.mark.parametrize("config", [SHIPPED, PAPER, DEFAULT], ids=["toy", "paper", "default"])


@pytest.fixture(autouse=True)
def _plain_interrupts() -> Iterator[None]:
    """The browser driver of other tests leaves a handler of its own."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def patches() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.clip(rng.integers(60, 255, (60, 1, 1, 3)) + rng.integers(-40, 40, (60, 16, 16, 3)), 0, 255).astype("u1")


def trained(patches: np.ndarray, config: GanConfig, file: Path | None = None, stop_after: int = 0, seed: int = 0):
    def progress(step: int, steps: int, losses: dict[str, float]) -> None:
        if step == stop_after and losses:
            os.kill(os.getpid(), signal.SIGINT)

    values = patches.reshape(len(patches), -1)[:, : len(DESCRIPTION)].astype(float)
    about = Described(values, np.full((len(patches), 2), -1)) if config.describe else None
    return train(
        patches, config, seed=seed, device="cpu", patch_mpp=0.5, described=about, progress=progress, resume=file
    )


@CONFIGS
def test_stopped_twice_and_the_same_model(patches: np.ndarray, config: GanConfig, tmp_path: Path) -> None:
    wanted = trained(patches, config)
    file = tmp_path / "state"
    for step in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            trained(patches, config, file, stop_after=step)
        assert file.is_file()
    found = trained(patches, config, file)
    assert found.hash == wanted.hash
    assert found.facts == wanted.facts
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_killed_training_goes_on_from_its_last_state(
    patches: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAVE_EVERY_S", -1.0)  # after every step
    file, done = tmp_path / "state", []

    def die(self: SavedTraining, *arguments: object) -> None:
        save(self, *arguments)
        done.append(1)
        if len(done) == 3:
            raise RuntimeError("killed")

    save = SavedTraining.save
    monkeypatch.setattr(SavedTraining, "save", die)
    with pytest.raises(RuntimeError, match="killed"):
        trained(patches, SHIPPED, file)
    monkeypatch.setattr(SavedTraining, "save", save)
    steps = []
    step = module.Trainer.step
    monkeypatch.setattr(module.Trainer, "step", lambda self: (steps.append(1), step(self))[1])
    assert trained(patches, SHIPPED, file).hash == trained(patches, SHIPPED).hash
    assert len(steps) == STEPS - 3 + STEPS


def test_a_finished_training_is_not_done_again(patches: np.ndarray, tmp_path: Path) -> None:
    file = tmp_path / "state"
    first = trained(patches, SHIPPED, file)
    assert trained(patches, SHIPPED, file).hash == first.hash
    SavedTraining(file, {}).remove()
    assert not file.exists()


def test_the_state_of_another_training_is_not_taken(patches: np.ndarray, tmp_path: Path) -> None:
    file = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        trained(patches, SHIPPED, file, stop_after=3)
    others = patches.copy()
    others[7, 3, 3] ^= 1
    for cells, seed in ((others, 0), (patches, 1)):
        kept = file.read_bytes()
        assert trained(cells, SHIPPED, file, seed=seed).hash == trained(cells, SHIPPED, seed=seed).hash
        file.write_bytes(kept)
    file.write_bytes(kept[: len(kept) // 2])
    assert trained(patches, SHIPPED, file).hash == trained(patches, SHIPPED).hash


def test_what_a_training_depends_on(patches: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = training_identity(patches, SHIPPED, 0, "cpu")
    assert identity == training_identity(patches.copy(), SHIPPED, 0, "cpu")
    measured = np.arange(480.0).reshape(60, 8)
    taught = training_identity(patches, SHIPPED, 0, "cpu", measured)
    assert identity["cells"] != taught["cells"] != training_identity(patches, SHIPPED, 0, "cpu", measured + 1)["cells"]
    assert training_identity(patches, SHIPPED, 0, "cpu", start="abc") != identity
    monkeypatch.setattr(resume, "_DIGEST_ROWS", 10)
    assert training_identity(patches, SHIPPED, 0, "cpu")["cells"] != identity["cells"]
    assert (
        training_identity(patches[:59], PAPER, 0, "cpu")["cells"]
        != training_identity(patches, PAPER, 0, "cpu")["cells"]
    )


def test_a_second_interrupt_stops_at_once() -> None:
    with interrupt_between_steps() as interrupted:
        assert not interrupted()
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_leave_signals_alone() -> None:
    seen = []

    def work() -> None:
        with interrupt_between_steps() as interrupted:
            seen.append((interrupted(), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, signal.default_int_handler)]
    assert torch.get_num_threads() >= 1
