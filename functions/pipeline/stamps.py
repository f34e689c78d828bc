"""The mark on everything that the pipeline writes, by which it never takes its own output for an input."""

from collections.abc import Mapping

KEY = "pipeline-job"


def stamp(job: str, **more: str) -> dict[str, str]:
    return {KEY: job, **more}


def is_stamped(metadata: Mapping[str, str]) -> bool:
    return KEY in metadata
