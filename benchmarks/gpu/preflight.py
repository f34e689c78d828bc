"""Says what the benchmark lacks on this machine before anything runs; imports nothing but the standard library."""

import importlib.util
import subprocess
import sys

REQUIRED = ("torch", "numpy", "safetensors", "tokenizers", "transformers", "msgspec", "PIL", "psutil")
OPTIONAL = {  # without these, single checks fail
    "charset_normalizer": "texts and shards",
    "prometheus_client": "the service",
    "uvicorn": "serving and shards",
    "uvloop": "serving and shards",
    "httptools": "serving and shards",
    "google.cloud.storage": "shards",
}
PROBE = """
import torch
if not torch.backends.cuda.is_built():
    print(f"PyTorch {torch.__version__} is built without CUDA: install a CUDA build of torch, or set PYTHON")
elif not torch.cuda.is_available():
    print(f"PyTorch {torch.__version__} (CUDA {torch.version.cuda}) finds no GPU, or no driver recent enough")
"""


def obstacles(device: str) -> list[str]:
    """Why the benchmark cannot run."""
    found = [f"{name} is not installed for {sys.executable}" for name in REQUIRED if not _is_installed(name)]
    if device != "cpu" and _is_installed("torch"):
        probe = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)
        reason = probe.stdout.strip() if probe.returncode == 0 else f"PyTorch cannot be imported: {probe.stderr[-500:]}"
        found += [reason] if reason else []
    return found


def gaps() -> list[str]:
    """Which packages are missing that only some checks need."""
    return [f"{name} is not installed, {use} will fail" for name, use in OPTIONAL.items() if not _is_installed(name)]


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # of a parent package
        return False
