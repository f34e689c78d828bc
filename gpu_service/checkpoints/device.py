"""Chooses the device and the number format that the models run on."""

from dataclasses import dataclass
from typing import Any

import torch

from gpu_service.errors import StartError

DTYPES: dict[str, Any] = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class Device:
    """`name` is what answers say: "cpu", or "cuda:0 NVIDIA L4"."""

    handle: torch.device
    dtype: torch.dtype
    name: str

    @property
    def is_cuda(self) -> bool:
        return self.handle.type == "cuda"


def choose(wanted: str = "auto", dtype: str = "auto", *, required: bool = False) -> Device:
    """Finds the device; a GPU counts only when something can be computed on it.

    Raises:
        StartError: a GPU was asked for or is required, and there is no usable one.
    """
    if dtype not in ("auto", *DTYPES):
        raise StartError(f"DTYPE must be auto, {', '.join(DTYPES)}, not {dtype!r}.")
    reason = _unusable() if wanted != "cpu" else "the device is set to cpu"
    if reason is None:
        index = torch.device(wanted).index or 0 if wanted != "auto" else 0
        chosen = DTYPES.get(dtype) or _fastest(index)
        torch.backends.cuda.matmul.allow_tf32 = True
        return Device(torch.device("cuda", index), chosen, f"cuda:{index} {torch.cuda.get_device_name(index)}")
    if required or wanted.startswith("cuda"):
        raise StartError(f"A GPU is required and none is usable: {reason}.")
    return Device(torch.device("cpu"), DTYPES.get(dtype, torch.float32), "cpu")


def _unusable() -> str | None:
    """Why there is no usable GPU; None when there is one."""
    if not torch.backends.cuda.is_built():
        return f"PyTorch {torch.__version__} is built without CUDA"
    if not torch.cuda.is_available():
        return f"PyTorch {torch.__version__} (CUDA {torch.version.cuda}) finds no GPU or no driver recent enough"
    try:
        torch.ones(8, device="cuda").sum().item()
    except RuntimeError as error:
        return f"computing on it fails: {str(error).splitlines()[0]}"
    return None


def _fastest(index: int) -> torch.dtype:
    """float16 is three bits more precise than bfloat16 and as fast; what it overflows on, the parity check finds."""
    return torch.float16 if torch.cuda.get_device_capability(index) >= (7, 0) else torch.float32
