"""Runs all parity cases and writes docs/checkpoints.md: python -m tests.gpu_service.parity.table."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import transformers

from tests.gpu_service.parity.cases import Case, modules

PAGE = Path(__file__).parents[3] / "docs" / "checkpoints.md"
HEAD = """# Checkpoints

Which checkpoints the GPU service serves, and how: **packed** in its own code, or as **fallback** through transformers'
Auto classes. Either way the scores are those of transformers' own pipeline (within 1e-3 in float32, for inputs alone and
in mixed batches). Anything else is **refused** at the start, with the sentence below.

`python -m tests.gpu_service.parity.table` runs every row and writes this page. The rows are the cases in
`tests/gpu_service/parity/`; add yours there.

| architecture | variant | served |
|---|---|---|
"""


def row(case: Case, outcome: str) -> str:
    served = f"refused: {outcome}" if case.is_refused else outcome
    return f"| {case.architecture} | {case.variant} | {served.replace('|', chr(92) + '|')} |"


def run() -> Iterator[str]:
    """The rows. Raises SystemExit at a case with another outcome than expected."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for module in modules():
        for case in module.CASES:
            with tempfile.TemporaryDirectory() as folder:
                outcome = module.outcome(case, Path(folder)).replace(folder, "<folder>")
            if not case.fits(outcome):
                sys.exit(f"{case.name}: expected {case.expect}, but {outcome}")
            yield row(case, outcome)


def main() -> None:
    PAGE.write_text(HEAD + "\n".join(run()) + "\n")


if __name__ == "__main__":
    main()
