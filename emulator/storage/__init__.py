"""An emulated Cloud Storage: `Store` keeps buckets and objects, `app` serves them as Google's APIs do."""

from emulator.storage.objects.generations import Source

from .api import app
from .outbox import Change
from .preconditions import Preconditions
from .resources import StoredObject
from .store import Store

__all__ = ["Change", "Preconditions", "Source", "Store", "StoredObject", "app"]
