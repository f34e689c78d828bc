"""Fixtures of the tests of notifications."""

from collections.abc import Iterator

import pytest

from tests.functions.notify.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as served:
        yield served
