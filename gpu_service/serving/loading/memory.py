"""Measures the memory that models take, and how much of it there is for them."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor

from gpu_service.checkpoints.device import Device

SHARE = 0.5  # of what is free; the rest holds a model that is loading, activations and requests
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
LEAVES = (str, bytes, int, float, complex, type(None), type, ModuleType, torch.dtype, torch.device)


class Peak:
    """The most memory of a GPU that was in use at a time beyond what was in use before."""

    size = 0


@contextmanager
def peak(device: Device) -> Iterator[Peak]:
    """Measures until the end of the block; on a CPU the size stays 0."""
    measured = Peak()
    if not device.is_cuda:
        yield measured
        return
    torch.cuda.reset_peak_memory_stats(device.handle)
    before = torch.cuda.memory_allocated(device.handle)
    yield measured
    measured.size = max(0, torch.cuda.max_memory_allocated(device.handle) - before)


def tensor_bytes(root: object) -> int:
    """Of all tensors that an object holds, also in closures; those that share memory count once."""
    reached, storages = {id(root)}, dict[int, int]()
    waiting: list[Any] = [root]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Tensor):
            storage = item.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
            continue
        for part in _parts(item):
            if not isinstance(part, LEAVES) and id(part) not in reached:
                reached.add(id(part))
                waiting.append(part)
    return sum(storages.values())


def _parts(item: Any) -> Iterable[Any]:
    """What an object refers to."""
    if isinstance(item, dict):
        return list(item.values())
    if isinstance(item, list | tuple | set | frozenset):
        return item
    if isinstance(item, FunctionType):
        return item.__closure__ or ()
    if isinstance(item, CellType):
        return (item.cell_contents,)
    if isinstance(item, MethodType):
        return (item.__self__, item.__func__)
    if isinstance(item, partial):
        return (item.func, item.args, item.keywords)
    slots = [name for kind in type(item).__mro__ for name in _names(getattr(kind, "__slots__", ()))]
    return [*getattr(item, "__dict__", {}).values(), *(getattr(item, name, None) for name in slots)]


def _names(slots: str | Iterable[str]) -> Iterable[str]:
    return (slots,) if isinstance(slots, str) else slots


def budget(device: Device) -> int:
    """The bytes for models where the deployment sets none: half of what is free on their device now."""
    if device.is_cuda:
        free: int = torch.cuda.mem_get_info(device.handle)[0]
    else:
        free = max(0, _limit() - _resident())
    return int(SHARE * free)


def _limit() -> int:
    """The memory that the process may use: its control group's, at most the machine's."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in LIMITS:
        if path.is_file() and (text := path.read_text().strip()).isdecimal():
            limits.append(int(text))
    return min(limits)


def _resident() -> int:
    """The memory that the process uses; 0 where the system does not say."""
    path = Path("/proc/self/statm")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if path.is_file() else 0
