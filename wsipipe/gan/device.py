"""Where networks run, and with how many threads."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

from wsipipe.errors import UsageError

BFLOAT16_CPUS = ("avx512_bf16", "amx_bf16", "bf16")
"""Abilities of x86 and ARM processors that multiply bfloat16, as PyTorch names them."""

INT8_CPU, AMX = "avx512_vnni", "amx_bf16"
INT8_ARGUMENTS = (
    "qx x_scale x_zero_point qw w_scale w_zero_point qaccum bias stride padding dilation groups output_scale "
    "output_zero_point output_dtype accum_scale accum_zero_point binary_attr alpha unary_attr unary_scalars "
    "unary_algorithm"
)


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


def fast_dtype(device: str, *, wide: bool = False) -> torch.dtype:
    """bfloat16 where the hardware multiplies it (not where it is emulated), else float32; int8 for `wide` networks.

    int8 on CPUs with AVX-512's products of bytes, unless they have AMX, which does bfloat16 fast enough. Older PyTorch
    says nothing of a CPU's abilities; it is float32 then.
    """
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    abilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    if wide and abilities.get(INT8_CPU) and not abilities.get(AMX) and is_int8_known():
        return torch.int8
    return torch.bfloat16 if any(abilities.get(name) for name in BFLOAT16_CPUS) else torch.float32


def is_int8_known() -> bool:
    """Whether this PyTorch has oneDNN's convolutions of bytes in the form that `int8` uses.

    They are there for PyTorch's compiler, and their arguments were in another order once.
    """
    form = getattr(getattr(torch.ops.onednn, "qconv2d_pointwise", None), "binary", None)
    if form is None or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    arguments = form._schema.arguments  # noqa: SLF001 - they are told nowhere else
    return [argument.name for argument in arguments] == INT8_ARGUMENTS.split()


def training_arithmetic(device: str) -> str:
    """Number format that products are computed in while training on a device: "tf32" or "float32".

    TF32 is what GPUs since Ampere multiply float32 in when they may: 10 bits of mantissa, summed in float32.
    """
    return "tf32" if device == "cuda" and torch.cuda.get_device_capability() >= (8, 0) else "float32"


@contextmanager
def fixed_arithmetic(threads: int, *, tf32: bool = False) -> Iterator[None]:
    """Within the block, sums are formed in one order: PyTorch uses `threads` threads, cuDNN its repeatable kernels.

    How many threads share a sum decides in which order it is added up, hence its last bits. PyTorch's default is the
    number of cores that this process may use, which differs between a laptop on battery, a container and a cluster
    job; so the number is fixed here, and what the caller had is restored afterwards. So is whether a GPU may multiply
    in TF32. The settings are the process's: do not run other PyTorch work at the same time.
    """
    before = _arithmetic()
    _set_arithmetic(_Arithmetic(threads, deterministic=True, benchmark=False, conv_tf32=tf32, matmul_tf32=tf32))
    try:
        yield
    finally:
        _set_arithmetic(before)


@contextmanager
def _of_old_names() -> Iterator[None]:
    """PyTorch 2.9 and a few after it warn of the names of these settings that all versions have."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Please use the new API settings to control TF32")
        yield


class _Arithmetic(NamedTuple):
    threads: int
    deterministic: bool
    benchmark: bool
    conv_tf32: bool
    matmul_tf32: bool


@_of_old_names()
def _arithmetic() -> _Arithmetic:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    return _Arithmetic(
        torch.get_num_threads(), cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32
    )


@_of_old_names()
def _set_arithmetic(wanted: _Arithmetic) -> None:
    torch.set_num_threads(wanted.threads)
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    cudnn.deterministic, cudnn.benchmark = wanted.deterministic, wanted.benchmark
    cudnn.allow_tf32, matmul.allow_tf32 = wanted.conv_tf32, wanted.matmul_tf32
