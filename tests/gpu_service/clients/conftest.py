"""A running service for real clients."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="module")
def served(serve_long: Callable[..., Any], store: str) -> Any:
    server = serve_long(INPUT_BUCKET="input", WORK_BUCKET="work", STORAGE_EMULATOR_HOST=store)
    server.wait_until_ready()
    return server
