"""The store's HTTP front: the JSON API, uploads, downloads, the XML API's object requests, and batches."""

from emulator.storage.api.application import app

__all__ = ["app"]
