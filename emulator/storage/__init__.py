"""An emulator of Cloud Storage: `Store` holds buckets and objects, `app` serves them over Google's APIs.

The modules of this folder are the foundation, except `store`, which puts everything together. The folders depend on one
another in this order: contents, objects, uploads, configuration, api.
"""

from emulator.storage.api import app
from emulator.storage.objects.generations import Source
from emulator.storage.outbox import Change
from emulator.storage.preconditions import Preconditions
from emulator.storage.resources import StoredObject
from emulator.storage.store import Store

__all__ = ["Change", "Preconditions", "Source", "Store", "StoredObject", "app"]
