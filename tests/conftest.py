"""What holds for all tests."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that start whole systems come first, so that none of them is left to one worker at the end."""
    long = {item.path for item in items if item.get_closest_marker("stack") or item.get_closest_marker("gcloud")}
    items.sort(key=lambda item: item.path not in long)
