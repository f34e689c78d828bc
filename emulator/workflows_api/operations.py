"""The services google.longrunning.Operations and google.cloud.location.Locations."""

from google.cloud.location import locations_pb2
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from emulator.googleapi import paging
from emulator.googleapi.errors import NotFoundError
from emulator.googleapi.messages import Json
from emulator.googleapi.methods import json_method
from emulator.workflows_api import names
from emulator.workflows_api.store import Store

_LOCATION = "projects/*/locations/*"
_OPERATION = f"{_LOCATION}/operations/*"


class Operations:
    """The operations that the management API has stored, each of them done."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @json_method(
        f"GET /v1/{{name={_OPERATION}}}",
        operations_pb2.GetOperationRequest,
        operations_pb2.Operation,
        needs="workflows.operations.get",
    )
    def get(self, name: str) -> Json:
        """An operation.

        Raises:
            NotFoundError: the operation does not exist.
        """
        operation = self._store.operation(name)
        if operation is None:
            raise NotFoundError(f"Resource '{name}' was not found")
        return operation

    @json_method(
        f"GET /v1/{{name={_LOCATION}}}/operations",
        operations_pb2.ListOperationsRequest,
        operations_pb2.ListOperationsResponse,
        needs="workflows.operations.list",
    )
    def page(self, name: str, *, page_size: str | int = 0, page_token: str = "") -> Json:
        """A page of a location's operations, newest first."""
        size = paging.page_size(page_size, default=100, largest=1000)
        operations = self._store.operations(names.location(name))
        return paging.listing("operations", *paging.page(operations, size, page_token, name))

    @json_method(
        f"DELETE /v1/{{name={_OPERATION}}}",
        operations_pb2.DeleteOperationRequest,
        vars(empty_pb2)["Empty"],
        needs="workflows.operations.cancel",
    )
    def delete(self, name: str) -> Json:
        """Delete the record of an operation.

        Raises:
            NotFoundError: the operation does not exist.
        """
        self.get(name)
        self._store.delete_operation(name)
        return {}


class Locations:
    """Every location exists; `location_id` is the one that the list shows."""

    def __init__(self, location_id: str) -> None:
        self._location_id = location_id

    @json_method(
        f"GET /v1/{{name={_LOCATION}}}",
        locations_pb2.GetLocationRequest,
        locations_pb2.Location,
        needs="workflows.locations.get",
    )
    def get(self, name: str) -> Json:
        """A location."""
        location_id = names.last(names.location(name))
        return {"name": name, "locationId": location_id, "labels": {"cloud.googleapis.com/region": location_id}}

    @json_method(
        "GET /v1/{name=projects/*}/locations",
        locations_pb2.ListLocationsRequest,
        locations_pb2.ListLocationsResponse,
        needs="workflows.locations.list",
    )
    def page(self, name: str) -> Json:
        """The locations of a project."""
        return {"locations": [self.get(f"{name}/locations/{self._location_id}")]}
