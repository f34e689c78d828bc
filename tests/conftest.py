"""The order of the tests."""

from pathlib import Path

import pytest


@pytest.hookimpl(trylast=True)  # after the tests were shuffled
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts files that take longest first, so that no worker is left with one of them at the end."""
    ranks = {mark: rank for rank, mark in enumerate(("rehearsal", "gcloud", "stack"))}

    def rank(item: pytest.Item) -> int:
        return min((ranks[mark.name] for mark in item.iter_markers() if mark.name in ranks), default=len(ranks))

    of_file: dict[Path, int] = {}
    for item in items:
        of_file[item.path] = min(rank(item), of_file.get(item.path, len(ranks)))
    items.sort(key=lambda item: of_file[item.path])
