"""The HTTP API of the store: the JSON API, uploads, downloads, object requests of the XML API, and batches."""

from emulator.storage.api.application import app

__all__ = ["app"]
