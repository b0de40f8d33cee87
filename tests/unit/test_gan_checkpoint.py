"""Model files: all comes back, nothing is run, and every wrong file is a clear error."""

import dataclasses
import json
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch

from wsipipe.config import GanConfig
from wsipipe.errors import ModelError
from wsipipe.gan.checkpoint import METADATA_KEY, Model, load, merge_states, save
from wsipipe.gan.draw import sample
from wsipipe.gan.nets import Critic, Generator

CONFIG = GanConfig(channels=4, noise_dim=3, classes=3, lambda_real=0.5)


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    tensors = merge_states(Generator(CONFIG, 16), Critic(CONFIG))
    return Model(CONFIG, 16, 0.5, tensors, {"shares": [0.5, 0.25, 0.25], "seed": 7, "warnings": []})


def rewritten(path: Path, **changes: object) -> Path:
    """The file with another header (None: left out)."""
    with safetensors.safe_open(str(path), framework="pt") as file:
        header = json.loads(file.metadata()[METADATA_KEY]) | changes
    header = {key: value for key, value in header.items() if value is not None}
    tensors = safetensors.torch.load_file(path)
    path.write_bytes(safetensors.torch.save(tensors, {METADATA_KEY: json.dumps(header)}))
    return path


def test_everything_comes_back(model: Model, tmp_path: Path) -> None:
    save(model, tmp_path / "model.safetensors")
    back = load(tmp_path / "model.safetensors")
    assert (back.config, back.patch_px, back.patch_mpp, back.facts) == (CONFIG, 16, 0.5, model.facts)
    assert back.hash == model.hash
    assert back.tensors.keys() == model.tensors.keys()
    assert all(torch.equal(back.tensors[name], model.tensors[name]) for name in model.tensors)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_the_file_is_the_same_byte_for_byte(model: Model, tmp_path: Path) -> None:
    for name in "ab":
        save(model, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_written_file_opens_with_plain_safetensors(model: Model, tmp_path: Path) -> None:
    save(model, tmp_path / "m")
    assert safetensors.torch.load_file(tmp_path / "m").keys() == model.tensors.keys()


def test_hash_names_settings_and_tensors_but_no_facts(model: Model) -> None:
    assert len(model.hash) == 16
    int(model.hash, 16)
    assert dataclasses.replace(model, facts={}).hash == model.hash
    assert dataclasses.replace(model, patch_mpp=0.25).hash != model.hash
    assert dataclasses.replace(model, config=dataclasses.replace(CONFIG, steps=9)).hash != model.hash
    name = "critic.q_head.bias"
    assert dataclasses.replace(model, tensors={**model.tensors, name: model.tensors[name] + 1e-3}).hash != model.hash


def test_a_setting_added_later_changes_no_hash() -> None:
    """The value is fixed here: a change would orphan the labels in every store."""
    config = GanConfig(channels=4, classes=2)
    tensors = {"critic.x": torch.arange(6, dtype=torch.float32).view(2, 3)}
    assert Model(config, 32, 0.5, tensors, {}).hash == "ce2abb209194a801"


def test_nothing_of_a_failed_write_stays(model: Model, tmp_path: Path) -> None:
    save(model, tmp_path / "m")
    before = (tmp_path / "m").read_bytes()
    broken = dataclasses.replace(model, facts={"loss": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        save(broken, tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"short",
        b"\xff" * 64,
        (1 << 40).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"{}",
        pickle.dumps({"critic": print}),
        b"PK\x03\x04" + bytes(100),
    ],
)
def test_foreign_bytes_are_refused(contents: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(contents)
    with pytest.raises(ModelError, match=r"model\.safetensors.*wsipipe train") as error:
        load(path)
    assert error.value.remedy


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ModelError, match="not a readable safetensors file"):
            load(path)


def test_truncated_and_altered_files_are_refused(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "m"
    save(model, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(ModelError, match="not a readable"):
        load(path)
    path.write_bytes(whole[:-3] + b"\x01\x02\x03")
    with pytest.raises(ModelError, match="damaged: its contents have hash"):
        load(path)
    path.write_bytes(whole[:-4] + b"\x00\x00\xc0\x7f")
    with pytest.raises(ModelError, match="no finite numbers"):
        load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 1}, "format version 1, this wsipipe reads 3"),
        ({"format_version": None}, "names no format version"),
        ({"facts": [1]}, "lacks facts"),
        ({"hash": None}, "lacks facts or hash"),
        ({"hash": "0" * 16}, "damaged"),
        ({"config": None}, "settings are not known"),
        ({"config": {"channels": 100_000}}, "gan.channels must be between"),
        ({"config": {"channels": 8, "noise_dim": 3, "classes": 3}}, "not those of the networks"),
        ({"config": {"colour": "red"}}, "unknown key gan.colour"),
        ({"patch_px": 20}, "patch size is 20"),
        ({"patch_px": 4096}, "patch size is 4096"),
        ({"patch_px": True}, "patch size is True"),
        ({"patch_px": 32}, "not those of the networks"),
        ({"patch_mpp": "0.5"}, "patch mpp is '0.5'"),
        ({"patch_mpp": 1e9}, "patch mpp is 1000000000"),
    ],
)
def test_wrong_headers_are_refused(changes: dict[str, object], message: str, model: Model, tmp_path: Path) -> None:
    save(model, tmp_path / "m")
    with pytest.raises(ModelError, match=message):
        load(rewritten(tmp_path / "m", **changes))


@pytest.mark.parametrize("text", ["not json", "[" * 100_000, "[]", "null", '{"format_version": "1"}'])
def test_hostile_metadata_are_refused(text: str, model: Model, tmp_path: Path) -> None:
    tensors = dict(model.tensors)
    (tmp_path / "m").write_bytes(safetensors.torch.save(tensors, {METADATA_KEY: text}))
    with pytest.raises(ModelError):
        load(tmp_path / "m")
    (tmp_path / "m").write_bytes(safetensors.torch.save(tensors))
    with pytest.raises(ModelError, match="not of wsipipe"):
        load(tmp_path / "m")


def test_extra_missing_and_retyped_tensors_are_refused(model: Model, tmp_path: Path) -> None:
    name = "critic.d_head.bias"
    without = {key: value for key, value in model.tensors.items() if key != name}
    for tensors in (without, {**model.tensors, "x": torch.zeros(1)}, {**without, name: torch.zeros(1).double()}):
        save(dataclasses.replace(model, tensors=tensors), tmp_path / "m")
        with pytest.raises(ModelError) as error:
            load(tmp_path / "m")
        assert str(error.value) == (
            "m: made by another version of wsipipe (its tensors are not those of the networks it names): "
            "use the wsipipe version that wrote it, or train again"
        )


def test_sample_draws_patches_of_a_class(model: Model) -> None:
    drawn = sample(model, 1, 5, seed=3)
    assert drawn.shape == (5, 16, 16, 3)
    assert drawn.dtype == "uint8"
    assert (drawn == sample(model, 1, 5, seed=3)).all()
    assert (drawn != sample(model, 2, 5, seed=3)).any()
    assert (drawn != sample(model, 1, 5, seed=4)).any()
    for cls in (-1, 3):
        with pytest.raises(ModelError, match="classes 0 to 2"):
            sample(model, cls, 1, seed=0)
