"""Trained networks as one safetensors file: the tensors, and in its metadata the settings and facts of training."""

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from wsipipe.atomic import atomic_write
from wsipipe.config import GanConfig, parse_recipe
from wsipipe.errors import ModelError, RecipeError
from wsipipe.gan.nets import DOWNSCALING, Critic, Generator
from wsipipe.units import MPP_MAX, MPP_MIN

FORMAT_VERSION = 3
"""Of the file; raised when an older wsipipe could not read it rightly."""

METADATA_KEY = "wsipipe"
"""The one key of the file's metadata; its value is JSON (with several keys, safetensors orders them at random)."""

PATCH_PX_MAX = 256

Net = TypeVar("Net", bound=nn.Module)

ANOTHER_FILE = "give a .safetensors file that `wsipipe train` wrote"
AGAIN = "copy the file again, or train again"
OTHER_VERSION = "use the wsipipe version that wrote it, or train again"


@dataclass(frozen=True, eq=False)
class Model:
    """Generator and critic of one training.

    Attributes
    ----------
    config : GanConfig
        Settings of networks and training.
    patch_px : int
        Side of the patches, pixels.
    patch_mpp : float
        Microns per patch pixel.
    tensors : mapping of str to Tensor
        Parameters and buffers on the CPU; names begin with "generator." or "critic.".
    facts : dict
        Plain values about the training: shares of the classes, number of cells, seed, versions, curve, warnings.
    """

    config: GanConfig
    patch_px: int
    patch_mpp: float
    tensors: Mapping[str, Tensor]
    facts: dict[str, Any]

    @functools.cached_property
    def hash(self) -> str:
        """16 hex digits that name settings and tensors; `facts` do not enter.

        Settings at their default are left out, so that a setting added later changes no hash. (A default in
        GanConfig therefore never changes: recipes say what is wanted.)
        """
        digest = hashlib.sha256(_canonical_settings(self).encode())
        for name in sorted(self.tensors):
            array = np.ascontiguousarray(self.tensors[name].numpy())
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
        return digest.hexdigest()[:16]

    def generator(self, device: str = "cpu") -> Generator:
        """G, ready to draw patches (batch norm uses its running statistics)."""
        with torch.device("meta"):
            net = Generator(self.config, self.patch_px)
        return self._filled(net, "generator.", device)

    def critic(self, device: str = "cpu") -> Critic:
        """The trunk with both heads, ready to judge."""
        with torch.device("meta"):
            net = Critic(self.config)
        return self._filled(net, "critic.", device)

    def _filled(self, net: Net, prefix: str, device: str) -> Net:
        net.to_empty(device=device)
        net.load_state_dict(
            {name.removeprefix(prefix): t for name, t in self.tensors.items() if name.startswith(prefix)}
        )
        return net.eval()


def save(model: Model, path: Path | str) -> None:
    """Write `model`; the file appears whole or not at all.

    Raises
    ------
    OSError
        If the folder is missing or not writable, or the disk is full.
    """
    header = {
        "format_version": FORMAT_VERSION,
        "hash": model.hash,
        "config": dataclasses.asdict(model.config),
        "patch_px": model.patch_px,
        "patch_mpp": model.patch_mpp,
        "facts": model.facts,
    }
    text = json.dumps(header, sort_keys=True, allow_nan=False)
    tensors = {name: tensor.contiguous() for name, tensor in model.tensors.items()}
    with atomic_write(path, "wb") as file:
        file.write(safetensors.torch.save(tensors, {METADATA_KEY: text}))


def load(path: Path | str) -> Model:
    """Read a model, checking everything; no code in the file is ever run.

    Raises
    ------
    ModelError
        If the file is missing, no safetensors file, not of wsipipe, of another version of it, or damaged.
    """
    name = Path(path).name
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            header = _read_header(file.metadata(), name)
            config, patch_px, patch_mpp = _read_settings(header, name)
            wanted = state_shapes(config, patch_px)
            if _stored_shapes(file) != wanted:
                raise ModelError(
                    "made by another version of wsipipe (its tensors are not those of the networks it names)",
                    OTHER_VERSION,
                    name,
                )
            tensors = {key: file.get_tensor(key).clone() for key in wanted}
    except (safetensors.SafetensorError, OSError) as error:
        raise ModelError(f"not a readable safetensors file ({error})", ANOTHER_FILE, name) from error
    model = Model(config, patch_px, patch_mpp, tensors, header["facts"])
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise ModelError("its tensors hold values that are no finite numbers", AGAIN, name)
    if model.hash != header["hash"]:
        raise ModelError(f"damaged: its contents have hash {model.hash}, its header says {header['hash']}", AGAIN, name)
    return model


def state_shapes(config: GanConfig, patch_px: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a model with these settings."""
    with torch.device("meta"):
        generator, critic = Generator(config, patch_px), Critic(config)
    return {name: tuple(tensor.shape) for name, tensor in merge_states(generator, critic).items()}


def merge_states(generator: Generator, critic: Critic) -> dict[str, Tensor]:
    """Parameters and buffers of both networks under the names they have in a model."""
    nets: tuple[tuple[str, nn.Module], ...] = (("generator", generator), ("critic", critic))
    return {f"{prefix}.{name}": tensor.detach() for prefix, net in nets for name, tensor in net.state_dict().items()}


def _stored_shapes(file: Any) -> dict[str, tuple[int, ...]]:
    """Name and shape of the float32 tensors of an open file; of another type, their shape says so."""
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not iterable)
    return {name: tuple(s.get_shape()) if s.get_dtype() == "F32" else (s.get_dtype(),) for name, s in slices.items()}


def _canonical_settings(model: Model) -> str:
    default = dataclasses.asdict(GanConfig())
    config = {key: value for key, value in dataclasses.asdict(model.config).items() if value != default[key]}
    settings = {"config": config, "patch_px": model.patch_px, "patch_mpp": model.patch_mpp}
    return json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _read_header(metadata: dict[str, str] | None, name: str) -> dict[str, Any]:
    text = (metadata or {}).get(METADATA_KEY)
    if text is None:
        raise ModelError("a safetensors file, but not of wsipipe", ANOTHER_FILE, name)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"its header is not JSON ({error})", ANOTHER_FILE, name) from error
    if not isinstance(header, dict) or not isinstance(header.get("format_version"), int):
        raise ModelError("its header names no format version", ANOTHER_FILE, name)
    if header["format_version"] != FORMAT_VERSION:
        raise ModelError(
            f"format version {header['format_version']}, this wsipipe reads {FORMAT_VERSION}",
            OTHER_VERSION,
            name,
        )
    if not isinstance(header.get("facts"), dict) or not isinstance(header.get("hash"), str):
        raise ModelError("its header lacks facts or hash", ANOTHER_FILE, name)
    return header


def _read_settings(header: dict[str, Any], name: str) -> tuple[GanConfig, int, float]:
    try:
        config = parse_recipe({"gan": header.get("config")}, name).gan
    except RecipeError as error:
        raise ModelError(f"its settings are not known here ({error.what})", OTHER_VERSION, name) from error
    size, mpp = header.get("patch_px"), header.get("patch_mpp")
    if type(size) is not int or not DOWNSCALING <= size <= PATCH_PX_MAX or size % DOWNSCALING:
        raise ModelError(f"its patch size is {size!r}, not a multiple of 8 up to 256", ANOTHER_FILE, name)
    if not isinstance(mpp, int | float) or not math.isfinite(mpp) or not MPP_MIN <= mpp <= MPP_MAX:
        raise ModelError(f"its patch mpp is {mpp!r}, not between {MPP_MIN:g} and {MPP_MAX:g}", ANOTHER_FILE, name)
    return config, size, float(mpp)
