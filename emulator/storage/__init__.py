"""An emulated Cloud Storage: `Store` keeps buckets and objects, `app` serves them as Google's APIs do."""

from emulator.storage.api import app
from emulator.storage.objects.generations import Source
from emulator.storage.outbox import Change
from emulator.storage.preconditions import Preconditions
from emulator.storage.resources import StoredObject
from emulator.storage.store import Store

__all__ = ["Change", "Preconditions", "Source", "Store", "StoredObject", "app"]
