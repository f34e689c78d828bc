"""Creates an environment per peer in `.peers/`, with its own pinned packages over a shared torch and transformers.

    python -m benchmarks.serving.install [peer …]

A peer's environment sees the shared one through a .pth file, after its own packages, so that where a peer needs
another transformers it gets that. Where PyPI's torch would bring CUDA libraries, set PIP_EXTRA_INDEX_URL to PyTorch's
CPU wheels.
"""

import argparse
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.serving.paths import HERE, PEERS

REQUIREMENTS = HERE / "environments"
BASE = REQUIREMENTS / "base.txt"
TORCH = next(line for line in BASE.read_text().splitlines() if line.startswith("torch=="))  # the same for every peer


def main() -> None:
    names = sorted(path.stem for path in REQUIREMENTS.glob("*.txt") if path != BASE)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", default=names, metavar="peer", help=f"of {', '.join(names)} (default: all)")
    chosen = parser.parse_args().peers
    PEERS.mkdir(exist_ok=True)
    (PEERS / ".gitignore").write_text("*\n")
    if not install("base", BASE):
        sys.exit("torch and transformers do not install: no peer can run")
    failed = [name for name in chosen if not install(name, REQUIREMENTS / f"{name}.txt")]
    if failed:
        sys.exit(f"not installed; the benchmark will report them as missing: {', '.join(failed)}")


def install(name: str, requirements: Path) -> bool:
    """Creates the environment unless its requirements are unchanged; whether it exists."""
    home = PEERS / name
    done = home / "installed.txt"
    if done.exists() and done.read_text() == requirements.read_text():
        return True
    print(f"{name}: {requirements.read_text().splitlines()[-1]}", flush=True)
    venv.create(home, with_pip=name == "base", clear=True)
    if name != "base":
        (site_packages(name) / "shared.pth").write_text(f"{site_packages('base')}\n")
    pip = [str(python(name)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([*pip, TORCH, "-r", str(requirements)], check=False).returncode:
        return False
    done.write_text(requirements.read_text())
    return True


def python(name: str) -> Path:
    return PEERS / name / "bin" / "python"


def site_packages(name: str) -> Path:
    return next((PEERS / name / "lib").glob("python3*/site-packages"))


if __name__ == "__main__":
    main()
