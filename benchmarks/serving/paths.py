"""The benchmark's folders: environments and models in `.peers/`, results in `benchmarks/results/`."""

from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PEERS = ROOT / ".peers"  # git-ignored; holds a `.gitignore` of its own too
MODELS = PEERS / "models"
LOGS = PEERS / "logs"
RESULTS = ROOT / "benchmarks" / "results"
