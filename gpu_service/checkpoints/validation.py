"""Checks a models.json as a start of the service would: python -m gpu_service.checkpoints.validation FILE."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gpu_service.checkpoints import models_file, registry
from gpu_service.errors import ServiceError


def check(models: Path | str, profile: str | None) -> list[str]:
    """What is wrong with the profiles of a file, or with one of them."""
    problems = []
    for name in [profile] if profile else models_file.names(models):
        try:
            registry.load(models, name)
        except ServiceError as error:
            problems.append(error.message)
    return problems


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what is wrong, or what is served; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m gpu_service.checkpoints.validation")
    parser.add_argument("file", help="path or gs:// URI of a models.json")
    parser.add_argument("--profile", help="check only this one")
    options = parser.parse_args(arguments)
    models = options.file if options.file.startswith("gs://") else Path(options.file)
    try:
        problems = check(models, options.profile)
    except ServiceError as error:
        problems = [error.message]
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"{options.file} is valid")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
