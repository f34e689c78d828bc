"""The order of the tests."""

import pytest


@pytest.hookimpl(trylast=True)  # after the tests were shuffled
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts files that start whole systems first, so that no worker is left with one of them at the end."""
    long = {item.path for item in items if item.get_closest_marker("stack") or item.get_closest_marker("gcloud")}
    items.sort(key=lambda item: item.path not in long)
