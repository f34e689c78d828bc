"""Chooses the device and the number format that the models run on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_service.errors import StartError

DTYPES: dict[str, Any] = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class Device:
    """`name` is for responses: "cpu", or "cuda:0 NVIDIA L4"."""

    handle: torch.device
    dtype: torch.dtype
    name: str

    @property
    def is_cuda(self) -> bool:
        return self.handle.type == "cuda"

    def send(self, array: NDArray[Any]) -> Tensor:
        """The array on the device; a GPU copies it while the caller goes on."""
        tensor = torch.from_numpy(array)
        return tensor.pin_memory().to(self.handle, non_blocking=True) if self.is_cuda else tensor


def choose(requested: str = "auto", dtype: str = "auto", *, required: bool = False) -> Device:
    """Finds the device; a GPU is usable only when a computation on it succeeds.

    Raises:
        StartError: a GPU is requested or required, and none is usable.
    """
    if dtype not in ("auto", *DTYPES):
        raise StartError(f"DTYPE must be auto, {', '.join(DTYPES)}, not {dtype!r}.")
    index = torch.device(requested).index or 0 if requested.startswith("cuda") else 0
    reason = _unusable(index) if requested != "cpu" else "the device is set to cpu"
    if reason is None:
        chosen = DTYPES.get(dtype) or _default_dtype(index)
        torch.backends.cuda.matmul.allow_tf32 = True
        return Device(torch.device("cuda", index), chosen, f"cuda:{index} {torch.cuda.get_device_name(index)}")
    if required or requested.startswith("cuda"):
        raise StartError(f"A GPU is required, but none is usable: {reason}.")
    return Device(torch.device("cpu"), DTYPES.get(dtype, torch.float32), "cpu")


@contextmanager
def full_precision() -> Iterator[None]:
    """Multiplies float32 matrices without TF32, whose rounding is as coarse as float16's."""
    previous = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(previous)


def _unusable(index: int) -> str | None:
    """Why the GPU is not usable; None if it is."""
    if not torch.backends.cuda.is_built():
        return f"PyTorch {torch.__version__} is built without CUDA"
    if not torch.cuda.is_available():
        return f"PyTorch {torch.__version__} (CUDA {torch.version.cuda}) finds no GPU, or its driver is too old"
    try:
        torch.ones(8, device=f"cuda:{index}").sum().item()
    except (RuntimeError, AssertionError) as error:  # AssertionError: there is no GPU of this index
        return f"computing on it fails: {str(error).splitlines()[0]}"
    return None


def _default_dtype(index: int) -> torch.dtype:
    """float16 is as fast as bfloat16 and three bits more precise; overflows show in the comparison with float32."""
    return torch.float16 if torch.cuda.get_device_capability(index) >= (7, 0) else torch.float32
