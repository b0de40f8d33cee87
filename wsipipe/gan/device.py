"""Where networks run."""

import torch

from wsipipe.errors import UsageError


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
