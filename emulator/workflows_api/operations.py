"""Long-running operations and locations: what clients poll, and where they may deploy."""

from emulator.googleapi import paging
from emulator.googleapi.errors import NotFoundError
from emulator.workflows_api import names, validation
from emulator.workflows_api.resources import Json
from emulator.workflows_api.store import Store


class Operations:
    """Reads the operations that the management API has written; each is done when it is written."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, name: str) -> Json:
        """One operation.

        Raises:
            NotFoundError: no such operation.
        """
        operation = self._store.operation(name)
        if operation is None:
            raise NotFoundError(f"Resource '{name}' was not found")
        return operation

    def page(self, location: str, *, page_size: str | int = 0, page_token: str = "") -> Json:
        """A page of the operations of a location, newest first."""
        names.location(location)
        size = validation.page_size(page_size, default=100, largest=1000)
        cursor = paging.unseal(page_token, location)
        operations = self._store.operations(location)
        answer: Json = {"operations": operations[cursor.skip : cursor.skip + size]}
        if cursor.skip + size < len(operations):
            answer["nextPageToken"] = paging.seal(paging.Cursor(cursor.skip + size), location)
        return answer

    def delete(self, name: str) -> Json:
        """Forget an operation.

        Raises:
            NotFoundError: no such operation.
        """
        self.get(name)
        self._store.delete_operation(name)
        return {}


def location(project: str, location_id: str) -> Json:
    """A Location resource; every location exists here."""
    return {
        "name": f"projects/{project}/locations/{location_id}",
        "locationId": location_id,
        "labels": {"cloud.googleapis.com/region": location_id},
    }
