"""Fixtures for tests of a whole stack, which is each module's own `stack`."""

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from emulator.process import Stack


@pytest.fixture
def client(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> storage.Client:
    """Of the stack's Cloud Storage; Google's other clients find the stack too."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", stack.http)
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", stack.grpc)
    return storage.Client(project="local-project", credentials=AnonymousCredentials())
