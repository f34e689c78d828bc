"""What requests and answers look like on the wire, checked as they are decoded."""

import base64
import binascii
import re
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gpu_service.checkpoints.registry import Entry
from gpu_service.shards.lines import Format

from .errors import InstanceError, InvalidRequest, MalformedRequest, RequestError, TooLarge

GENERATION = re.compile(r"[0-9]{1,19}")
MAX_TOP = 1000
DEFAULT_TOP = 5
KINDS = {"text": "text-classification", "image": "image-classification"}
NAMES = {task: kind for kind, task in KINDS.items()}


def _documented(**schema: Any) -> Meta:
    """What the OpenAPI document says of a value that is checked elsewhere, so as to fail with a code of its own."""
    return Meta(extra_json_schema=schema)


ADDRESS = {"type": "string", "pattern": "^gs://[^/]+/.+"}
IMAGE = {
    "type": "object",
    "required": ["b64"],
    "properties": {"b64": {"type": "string", "minLength": 1, "contentEncoding": "base64"}},
}
FAILURE = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        }
    },
}
PREDICTION = {
    "type": "object",
    "required": ["label", "score", "scores"],
    "properties": {
        "label": {"type": "string"},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "scores": {"type": "object", "additionalProperties": {"type": "number"}},
        "truncated": {"const": True},
    },
}
TOP_K = {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_TOP, "default": DEFAULT_TOP}
INSTANCE = "{text}, {image: {b64}}, {uri, generation?} or a text; one that is none of these fails alone."

Parameters = Annotated[dict[str, Any], _documented(properties={"top_k": TOP_K})]


class Predict(msgspec.Struct):
    """Body of /predict; the short form has `text`, `image` or `uri` in place of `instances`."""

    instances: Annotated[list[Any], Meta(min_length=1), _documented(items={"description": INSTANCE})] | None = None
    model: str | None = None
    version: str | int | None = None
    parameters: Parameters | None = None
    text: Annotated[Any, _documented(type="string", minLength=1)] = UNSET
    image: Annotated[Any, _documented(**IMAGE)] = UNSET
    uri: Annotated[Any, _documented(**ADDRESS)] = UNSET


class Shard(msgspec.Struct):
    """Body of /predict-shard; `offset` is the first record's index, `format` that of the output."""

    input: Annotated[str, _documented(**ADDRESS)]
    output: Annotated[str, _documented(**ADDRESS)]
    offset: Annotated[int, Meta(ge=0)] = 0
    format: Format = "jsonl"
    model: str | None = None
    version: str | int | None = None
    parameters: Parameters | None = None


class Tensor(msgspec.Struct):
    """An input of the Open Inference Protocol; only BYTES are read here."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any]


class Infer(msgspec.Struct):
    """Body of /v2/models/{name}/infer."""

    inputs: Annotated[list[Tensor], _documented(minItems=1, maxItems=1)]
    id: str | None = None
    parameters: Parameters | None = None


class Modelled(msgspec.Struct):
    """Which model answered."""

    name: str
    version: str
    task: str
    source: str
    revision: str | None


class Timing(msgspec.Struct):
    """`gpu_seconds` is the request's share of its batches' time on the device, whichever that is."""

    queue_ms: float
    inference_ms: float
    gpu_seconds: float


class Inferred(msgspec.Struct, omit_defaults=True):
    """Of /v2/models/{name}/infer: tensors of label, score and all scores of each instance."""

    model_name: str
    model_version: str
    outputs: list[Tensor]
    id: str | UnsetType = UNSET


class Answer(msgspec.Struct, omit_defaults=True):
    """Of /predict; `revision` is the service's own, the last three are for the short form."""

    predictions: Annotated[list[dict[str, Any]], _documented(items={"anyOf": [PREDICTION, FAILURE]})]
    model: Modelled
    device: str
    timing: Timing
    revision: str
    prediction: list[float] | UnsetType = UNSET
    confidence: float | UnsetType = UNSET
    device_used: str | UnsetType = UNSET


class Summary(msgspec.Struct):
    """What the metadata of a shard's output says of it."""

    records: int
    failed: dict[str, int]
    model: Modelled
    device: str
    gpu_seconds: float
    inference_ms: float
    revision: str


class ShardAnswer(msgspec.Struct):
    """Of /predict-shard; `failed` counts by code. What was finished before is answered as it was then."""

    output: str
    records: int
    succeeded: int
    failed: dict[str, int]
    model: Modelled
    device: str
    timing: Timing
    revision: str


encode = msgspec.json.Encoder().encode
_predict = msgspec.json.Decoder(Predict)
_shard = msgspec.json.Decoder(Shard)
_infer = msgspec.json.Decoder(Infer)


def predict(body: bytes, limit: int) -> tuple[Predict, bool]:
    """The request and whether it has the short form.

    Raises:
        MalformedRequest: it has not the contract's shape.
        TooLarge: it has more than `limit` instances.
    """
    request: Predict = _decoded(_predict, body)
    short = [{kind: value} for kind in ("text", "image", "uri") if (value := getattr(request, kind)) is not UNSET]
    if (request.instances is None) == (not short) or len(short) > 1:
        raise MalformedRequest("The body must have either instances, a list, or one of text, image and uri.")
    if request.instances is None:
        request.instances = short
    if len(request.instances) > limit:
        raise TooLarge(f"A request holds at most {limit} instances.", "too_many_instances")
    return request, bool(short)


def shard(body: bytes) -> Shard:
    """Raises MalformedRequest."""
    request: Shard = _decoded(_shard, body)
    return request


def infer(body: bytes, limit: int) -> tuple[Infer, list[Any]]:
    """The request and its instances: the one input named text or image, in BYTES.

    Raises:
        MalformedRequest, TooLarge
    """
    request: Infer = _decoded(_infer, body)
    if len(request.inputs) != 1 or request.inputs[0].datatype != "BYTES":
        raise MalformedRequest("There must be one input, of the datatype BYTES.")
    tensor = request.inputs[0]
    count = 1
    for side in tensor.shape:
        count *= side
    if not tensor.data or len(tensor.data) != count:
        raise MalformedRequest("The shape and the data of the input don't match, or it is empty.")
    if len(tensor.data) > limit:
        raise TooLarge(f"A request holds at most {limit} instances.", "too_many_instances")
    if tensor.name == "image":
        return request, [{"image": {"b64": value}} for value in tensor.data]
    return request, [{"text": value} for value in tensor.data]


def inferred(request: Infer, name: str, version: str, predictions: list[dict[str, Any]]) -> Inferred:
    """The answer to an infer request."""
    columns = {
        "label": ("BYTES", [prediction["label"] for prediction in predictions]),
        "score": ("FP32", [prediction["score"] for prediction in predictions]),
        "scores": ("BYTES", [encode(prediction["scores"]).decode() for prediction in predictions]),
    }
    outputs = [Tensor(column, datatype, [len(data)], data) for column, (datatype, data) in columns.items()]
    return Inferred(name, version, outputs, UNSET if request.id is None else request.id)


def metadata(entry: Entry, kind: str) -> dict[str, Any]:
    """A model's metadata in the Open Inference Protocol."""
    return {
        "name": entry.name,
        "versions": [entry.version],
        "platform": "pytorch",
        "inputs": [{"name": kind, "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "score", "datatype": "FP32", "shape": [-1]},
            {"name": "scores", "datatype": "BYTES", "shape": [-1]},
        ],
    }


def top(parameters: Parameters | None) -> int:
    """How many labels are wanted; parameters of others are left alone.

    Raises:
        InvalidRequest: top_k is no whole number from 1 to 1000.
    """
    value = (parameters or {}).get("top_k")
    if value is None:
        return DEFAULT_TOP
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_TOP:
        raise InvalidRequest(f"top_k must be a whole number from 1 to {MAX_TOP}.", "invalid_parameters")
    return value


class Address(msgspec.Struct, frozen=True):
    """An object; without a generation the one that is live."""

    uri: str
    generation: int | None = None


def instance(value: object) -> tuple[str, Any]:
    """The kind of an instance (text, image or uri) and what it holds, unchecked but for an Address.

    Raises:
        InstanceError: `invalid_instance` or `invalid_base64`.
    """
    if isinstance(value, str):
        return "text", value
    if isinstance(value, InstanceError):
        raise value
    if isinstance(value, dict):
        if "text" in value:
            return "text", value["text"]
        if "image" in value:
            return "image", value["image"]
        if isinstance(value.get("uri"), str):
            return "uri", Address(value["uri"], _generation(value.get("generation")))
    raise InstanceError('An instance is {"text": …}, {"image": {"b64": …}} or {"uri": "gs://…"}.')


def _generation(value: object) -> int | None:
    """A whole number, or its digits, as Cloud Storage writes it."""
    if value is None:
        return None
    digits = value if isinstance(value, str) else str(value)
    if isinstance(value, bool) or not GENERATION.fullmatch(digits):
        raise InstanceError("generation must be the number of an object's generation.")
    return int(digits)


def image_bytes(value: object) -> bytes:
    """Raises InstanceError: `invalid_instance` or `invalid_base64`."""
    encoded = value.get("b64") if isinstance(value, dict) else None
    if not isinstance(encoded, str):
        raise InstanceError('image must be {"b64": "…"}.')
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InstanceError("The image is not valid base64.", "invalid_base64") from error


def _decoded(decoder: "msgspec.json.Decoder[Any]", body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise _malformed(error) from error


def _malformed(error: Exception) -> RequestError:
    return MalformedRequest(f"The body is not what this route takes: {str(error)[:300]}")
