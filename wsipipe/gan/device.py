"""Where networks run, and with how many threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from wsipipe.errors import UsageError

BFLOAT16_CPUS = ("avx512_bf16", "amx_bf16", "bf16")
"""Abilities of x86 and ARM processors that multiply bfloat16, as PyTorch names them."""


def pick_device(wanted: str) -> str:
    """The device to use, "cpu" or "cuda", for what was asked: "auto", "cpu" or "cuda".

    Raises
    ------
    UsageError
        If "cuda" is asked for and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device is usable here", "leave the option out or say cpu", "--device cuda")
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def describe_device() -> str:
    """PyTorch's version and what it computes on."""
    device = pick_device("auto")
    name = torch.cuda.get_device_name() if device == "cuda" else "no CUDA device, networks run on the CPU"
    return f"torch {torch.__version__}, {name}"


def fast_dtype(device: str) -> torch.dtype:
    """bfloat16 where the hardware multiplies it (not where it is emulated), else float32.

    Older PyTorch says nothing of a CPU's abilities; it is float32 then.
    """
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    abilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return torch.bfloat16 if any(abilities.get(name) for name in BFLOAT16_CPUS) else torch.float32


@contextmanager
def fixed_arithmetic(threads: int) -> Iterator[None]:
    """Within the block, sums are formed in one order: PyTorch uses `threads` threads, cuDNN its repeatable kernels.

    How many threads share a sum decides in which order it is added up, hence its last bits. PyTorch's default is the
    number of cores that this process may use, which differs between a laptop on battery, a container and a cluster
    job; so the number is fixed here, and what the caller had is restored afterwards. The setting is the process's:
    do not run other PyTorch work at the same time.
    """
    before = torch.get_num_threads(), torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    _set_arithmetic(threads, deterministic=True, benchmark=False)
    try:
        yield
    finally:
        _set_arithmetic(before[0], deterministic=before[1], benchmark=before[2])


def _set_arithmetic(threads: int, *, deterministic: bool, benchmark: bool) -> None:
    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = deterministic, benchmark
