"""The mark on everything that the pipeline writes, by which it never takes its own output for an input."""

from collections.abc import Mapping

KEY = "pipeline-job"
HOPS = "pipeline-hops"
ATTEMPT = "pipeline-attempt"


def stamp(job: str, *, hops: int = 0, attempt: int = 0) -> dict[str, str]:
    """Metadata of an object written for a job.

    Args:
        hops: how many times what led to it went through a pipeline.
        attempt: how many attempts failed before this one.
    """
    counted = {name: str(count) for name, count in ((HOPS, hops), (ATTEMPT, attempt)) if count}
    return {KEY: job, **counted}


def is_stamped(metadata: Mapping[str, str]) -> bool:
    return KEY in metadata


def hops(metadata: Mapping[str, str]) -> int:
    return count(metadata, HOPS)


def count(metadata: Mapping[str, str], key: str) -> int:
    """A number kept in metadata; 0 when there is none that can be read."""
    text = metadata.get(key, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0
