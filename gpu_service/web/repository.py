"""The Open Inference Protocol's model repository: the models of models.json, and requests to load and unload them."""

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from gpu_service.errors import MalformedRequest
from gpu_service.web import protocol

if TYPE_CHECKING:  # it imports torch
    from gpu_service.serving.catalog import EntryStatus


class IndexRequest(msgspec.Struct):
    """Body of /v2/repository/index, which may be empty; `ready`: only models that are loaded."""

    ready: bool = False


class IndexedModel(msgspec.Struct):
    """An entry of the response of /v2/repository/index."""

    name: str
    version: str
    state: Literal["READY", "LOADING", "UNAVAILABLE"]
    reason: str


class LoadRequest(msgspec.Struct):
    """Body of /v2/repository/models/{name}/load and unload, which may be empty."""

    parameters: dict[str, Any] | None = None


class Done(msgspec.Struct):
    """Response of /v2/repository/models/{name}/load and unload."""


_index = msgspec.json.Decoder(IndexRequest)
_load = msgspec.json.Decoder(LoadRequest)


def index_request(body: bytes) -> bool:
    """Whether only models that are loaded are asked for. Raises MalformedRequest."""
    request: IndexRequest = protocol.decode(_index, body or b"{}")
    return request.ready


def load_request(body: bytes, *, may_have_parameters: bool) -> None:
    """Checks a request to load or unload. Its parameters to unload have no effect.

    Raises:
        MalformedRequest: it is not of the documented shape, or brings a configuration or files, as Triton's may.
    """
    request: LoadRequest = protocol.decode(_load, body or b"{}")
    if request.parameters and not may_have_parameters:
        raise MalformedRequest("A model is loaded as models.json describes it; send no parameters.")


def indexed(status: "EntryStatus") -> IndexedModel:
    """A model that is not loaded is unavailable, though a request for it would load it."""
    states: dict[str, Literal["READY", "LOADING"]] = {"loaded": "READY", "loading": "LOADING"}
    reason = status.error or ("unloaded" if status.state == "unloaded" else "")
    return IndexedModel(status.entry.name, status.entry.version, states.get(status.state, "UNAVAILABLE"), reason)
