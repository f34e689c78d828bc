"""The Open Inference Protocol (KServe's second, Triton's): requests, responses and metadata, in JSON and binary."""

import base64
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gpu_service import parameters
from gpu_service.checkpoints.registry import Entry
from gpu_service.errors import InstanceError, MalformedRequest, ServiceError
from gpu_service.inputs.instances import Kind
from gpu_service.tasks.predictions import Prediction
from gpu_service.web import protocol, tensors

if TYPE_CHECKING:  # it imports torch
    from gpu_service.serving.catalog import EntryStatus

HEADER_LENGTH = "inference-header-content-length"  # bytes of JSON before the binary data
BINARY = b"application/octet-stream"
EXTENSIONS = ["binary_tensor_data", "model_repository"]
# What clients of the protocol add to `parameters`. A model without sequences ignores all but the first.
PROTOCOL_PARAMETERS = frozenset(
    ("binary_data_output", "sequence_id", "sequence_start", "sequence_end", "priority", "timeout")
)
TENSORS: dict[str, Kind] = {"text": "text", "image": "image"}  # inputs by name; any other is what the model reads
BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")

PARAMETERS = {**parameters.properties(), "binary_data_output": {"type": "boolean", "default": False}}
ELEMENT = {"anyOf": [{"type": name} for name in ("string", "number", "boolean")]}


class InputTensor(msgspec.Struct):
    """An input, which must be BYTES; without `data`, its `binary_data_size` bytes follow the JSON."""

    name: str
    datatype: str
    shape: list[Annotated[int, Meta(ge=0)]]
    data: Annotated[list[Any] | UnsetType, Meta(extra_json_schema={"items": {}})] = UNSET
    parameters: dict[str, Any] | None = None


class RequestedOutput(msgspec.Struct):
    """An output to return; its parameter `binary_data` chooses the form."""

    name: str
    parameters: dict[str, Any] | None = None


class InferRequest(msgspec.Struct):
    """Body of /v2/models/{name}/infer; without `outputs`, all are returned."""

    inputs: Annotated[list[InputTensor], Meta(extra_json_schema={"minItems": 1, "maxItems": 1})]
    outputs: list[RequestedOutput] | None = None
    id: str | None = None
    parameters: Annotated[dict[str, Any], Meta(extra_json_schema={"properties": PARAMETERS})] | None = None


class OutputTensor(msgspec.Struct, omit_defaults=True):
    """A field of the predictions; instead of `data`, `binary_data_size` bytes may follow the JSON."""

    name: str
    datatype: str
    shape: list[int]
    data: Annotated[list[Any] | UnsetType, Meta(extra_json_schema={"items": ELEMENT})] = UNSET
    parameters: dict[str, int] | UnsetType = UNSET


class InferResponse(msgspec.Struct, omit_defaults=True):
    """Response of /v2/models/{name}/infer: a tensor for each requested output, in the order of the request."""

    model_name: str
    model_version: str
    outputs: list[OutputTensor]
    id: str | UnsetType = UNSET


class TensorMetadata(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(msgspec.Struct):
    """Response of /v2/models/{name}."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(msgspec.Struct):
    """Response of /v2."""

    name: str
    version: str
    extensions: list[str]


class Live(msgspec.Struct):
    """Response of /v2/health/live."""

    live: bool


class Ready(msgspec.Struct):
    """Response of /v2/health/ready."""

    ready: bool


class OpenInferenceFailure(msgspec.Struct):
    """The protocol's errors are a text."""

    error: str


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


@dataclass(frozen=True)
class Inference:
    """A request, its instances and prediction parameters, and for each requested output whether it is binary."""

    request: InferRequest
    instances: list[Any]
    parameters: dict[str, Any]
    outputs: Mapping[str, bool]


_decoder = msgspec.json.Decoder(InferRequest)
_index = msgspec.json.Decoder(IndexRequest)
_load = msgspec.json.Decoder(LoadRequest)


def infer_request(
    body: bytes, header_length: str | None, kind: Kind, declared: Collection[str], max_instances: int
) -> Inference:
    """Reads a body whose first `header_length` bytes are JSON, or all without it.

    The model reads `kind`, and its outputs are those `declared`.

    Raises:
        MalformedRequest: it does not have the documented shape, or requests what is not supported.
        TooLarge: it has more than `max_instances`, or more values than MAX_VALUES.
        InstanceError: a text is not UTF-8.
    """
    size = _json_size(header_length, len(body))
    request: InferRequest = protocol.decode(_decoder, body[:size])
    values = request.parameters or {}
    elements = _elements(request, body[size:], max_instances)
    protocol.check_count(elements, max_instances)
    if (name := request.inputs[0].name) in TENSORS:
        kind = TENSORS[name]
    instances = [_instance(index, element, kind) for index, element in enumerate(elements)]
    chosen = {name: value for name, value in values.items() if name not in PROTOCOL_PARAMETERS}
    is_binary = _flag(values, "binary_data_output", default=False)
    return Inference(request, instances, chosen, _requested(request, declared, is_binary))


def infer_response(
    inference: Inference, entry: Entry, declared: Mapping[str, str], predictions: Sequence[Prediction]
) -> tuple[bytes, int | None]:
    """The body, and how many of its bytes are JSON when binary data follow."""
    outputs: list[OutputTensor] = []
    binaries: list[bytes] = []
    for name, is_binary in inference.outputs.items():
        shape, data = tensors.column(name, declared[name], predictions)
        tensor = OutputTensor(name, declared[name], shape)
        if is_binary:
            binaries.append(tensors.pack(declared[name], data))
            tensor.parameters = {"binary_data_size": len(binaries[-1])}
        else:
            tensor.data = data
        outputs.append(tensor)
    identifier = UNSET if inference.request.id is None else inference.request.id
    body = protocol.encode(InferResponse(entry.name, entry.version, outputs, identifier))
    return (body + b"".join(binaries), len(body)) if binaries else (body, None)


def model_metadata(entry: Entry, versions: list[str], kind: Kind, prediction: type[Prediction]) -> ModelMetadata:
    outputs = [
        TensorMetadata(name, datatype, [-1, -1] if name in prediction.vectors else [-1])
        for name, datatype in prediction.outputs.items()
    ]
    return ModelMetadata(entry.name, versions, "pytorch", [TensorMetadata(kind, "BYTES", [-1])], outputs)


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


def failure(error: ServiceError) -> OpenInferenceFailure:
    return OpenInferenceFailure(error.message)


def _json_size(header_length: str | None, size: int) -> int:
    if header_length is None:
        return size
    if not (header_length.isdecimal() and len(header_length) < 18 and int(header_length) <= size):
        raise MalformedRequest("Inference-Header-Content-Length must be the number of bytes of JSON in the body.")
    return int(header_length)


def _elements(request: InferRequest, binary: bytes, most: int) -> list[Any]:
    """The elements of the one input: of any type from JSON, bytes from binary data."""
    if len(request.inputs) != 1 or request.inputs[0].datatype != "BYTES":
        raise MalformedRequest("The request must have one input, with the datatype BYTES.")
    tensor = request.inputs[0]
    options = tensor.parameters or {}
    if "shared_memory_region" in options:
        raise MalformedRequest("Shared memory is not supported; send the input's data.")
    size = options.get("binary_data_size")
    if (size is None) == (tensor.data is UNSET):
        raise MalformedRequest("The input must have either data or the parameter binary_data_size.")
    if (size or 0) != len(binary):
        raise MalformedRequest("binary_data_size must be the number of bytes after the JSON.")
    elements = tensors.unpack_bytes(binary, most) if size is not None else tensors.flat(tensor.data)
    if len(elements) <= most and (not elements or len(elements) != math.prod(tensor.shape)):
        raise MalformedRequest("The input must have data, with as many elements as its shape says.")
    return elements


def _instance(index: int, element: Any, kind: Kind) -> dict[str, Any]:
    """An image in binary data may be its file or, as in JSON, base64."""
    if kind == "image":
        if isinstance(element, bytes):
            element = (element if BASE64.fullmatch(element) else base64.b64encode(element)).decode()
        return {"image": {"b64": element}}
    if isinstance(element, bytes):
        try:
            element = element.decode()
        except UnicodeDecodeError as error:
            raise InstanceError("The text is not UTF-8.", "invalid_text").of_instance(index) from error
    return {"text": element}


def _requested(request: InferRequest, declared: Collection[str], is_binary: bool) -> dict[str, bool]:
    """The names of the outputs to return, and whether each is binary."""
    if not request.outputs:
        return dict.fromkeys(declared, is_binary)
    requested: dict[str, bool] = {}
    for output in request.outputs:
        if output.name not in declared:
            raise MalformedRequest(f"There is no output {output.name!r:.100}; choose of {', '.join(declared)}.")
        options: Mapping[str, Any] = output.parameters or {}
        if options.get("classification"):
            raise MalformedRequest("Classification is not supported; request the output without it.")
        if "shared_memory_region" in options:
            raise MalformedRequest("Shared memory is not supported; outputs are in the response.")
        requested[output.name] = _flag(options, "binary_data", default=is_binary)
    return requested


def _flag(values: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = values.get(name, default)
    if not isinstance(value, bool):
        raise MalformedRequest(f"The parameter {name} must be true or false.")
    return value
