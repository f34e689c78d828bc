"""Runs the parity cases and writes docs/checkpoints.md: python -m tests.gpu_service.parity.table [module …]."""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import transformers

from tests.gpu_service.parity.cases import Case, modules

PAGE = Path(__file__).parents[3] / "docs" / "checkpoints.md"
HEAD = """# Checkpoints

Which checkpoints the GPU service serves, and how: **packed** in its own code, or as **fallback** through
transformers' Auto classes. Either way the scores are those of transformers' own pipeline (within 1e-3 in float32, for
inputs alone and in mixed batches), and the boxes of objects, within a pixel. Anything else is **refused** with the
sentence below, at the start or, if the model [loads later](models.md#when-models-load), in the log and in `/models`.

`python -m tests.gpu_service.parity.table` runs every row and writes this page; with the name of a module, its rows
only. The rows are the cases in `tests/gpu_service/parity/`; add yours there.

| architecture | variant | served |
|---|---|---|
"""


def row(case: Case, outcome: str) -> str:
    served = f"refused: {outcome}" if case.is_refused else outcome
    return f"| {case.architecture} | {case.variant} | {served.replace('|', chr(92) + '|')} |"


def run(names: Sequence[str]) -> Iterator[str]:
    """The rows; those of modules that are not named are kept. Exits at a case with another outcome than expected."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    kept = {line.rpartition(" | ")[0]: line for line in (PAGE.read_text().splitlines() if names else ())}
    for module in modules():
        is_kept = names and module.__name__.rpartition(".")[2] not in names
        for case in module.CASES:
            if is_kept:
                yield kept[f"| {case.architecture} | {case.variant}"]
                continue
            with tempfile.TemporaryDirectory() as folder:
                outcome = module.outcome(case, Path(folder)).replace(folder, "…")
            if not case.fits(outcome):
                sys.exit(f"{case.name}: expected {case.expect}, but {outcome}")
            yield row(case, outcome)


def main() -> None:
    rows = "\n".join(run(sys.argv[1:]))
    PAGE.write_text(f"{HEAD}{rows}\n")


if __name__ == "__main__":
    main()
