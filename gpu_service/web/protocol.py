"""The request and response bodies, validated as they are decoded."""

import codecs
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gpu_service import parameters
from gpu_service.errors import MalformedRequest, ServiceError, TooLarge
from gpu_service.serving.predictions import Failure, Outcome, ServedModel, Timing
from gpu_service.shards.shard import URI, Shard
from gpu_service.tasks.predictions import PREDICTIONS, Classification, Embedding, Prediction

if TYPE_CHECKING:  # it imports torch
    from gpu_service.serving.catalog import EntryStatus


def _documented(**schema: Any) -> Meta:
    """JSON Schema for a value that is checked later, with an error code of its own."""
    return Meta(extra_json_schema=schema)


IMAGE = {
    "type": "object",
    "required": ["b64"],
    "properties": {"b64": {"type": "string", "minLength": 1, "contentEncoding": "base64"}},
}
INSTANCE = "{text, text_pair?}, {image: {b64}}, {uri, generation?} or a string; any other value fails alone."
ANSWERS: tuple[type[msgspec.Struct], ...] = (*PREDICTIONS, Failure)
PREDICTION = {"anyOf": [{"$ref": f"#/components/schemas/{each.__name__}"} for each in ANSWERS]}

ParameterValues = Annotated[dict[str, Any], _documented(properties=parameters.properties())]
Version = str | int


class PredictRequest(msgspec.Struct):
    """Body of /predict; the short form has `text`, `image` or `uri` instead of `instances`."""

    instances: Annotated[list[Any], Meta(min_length=1), _documented(items={"description": INSTANCE})] | None = None
    model: str | None = None
    version: Version | None = None
    parameters: ParameterValues | None = None
    text: Annotated[Any, _documented(type="string", minLength=1)] = None
    text_pair: Annotated[Any, _documented(type="string", minLength=1)] = None
    image: Annotated[Any, _documented(**IMAGE)] = None
    uri: Annotated[Any, URI] = None


class PredictResponse(msgspec.Struct, omit_defaults=True):
    """Response of /predict; the last three fields are for the short form.

    `parameters` are the values that shaped the predictions: the request's, else the model's or the deployment's.
    `revision` is the service's.
    """

    predictions: Annotated[list[Any], _documented(items=PREDICTION)]
    model: ServedModel
    parameters: dict[str, Any]
    device: str
    timing: Timing
    revision: str
    prediction: list[float] | UnsetType = UNSET
    confidence: float | UnsetType = UNSET
    device_used: str | UnsetType = UNSET


class ShardRequest(Shard):
    """Body of /predict-shard."""

    model: str | None = None
    version: Version | None = None
    parameters: ParameterValues | None = None


class ListedModel(ServedModel):
    """An entry of /models; `labels` is their number, and what only a model in memory has is null for others.

    `error`: why it could not be loaded.
    """

    default: bool
    state: Literal["loaded", "loading", "failed", "unloaded"]
    labels: int | None
    device: str | None
    compiled: bool
    bytes: int
    error: str | None


class ModelMemory(msgspec.Struct):
    """What the models in memory take, and how much they may."""

    bytes: int
    limit: int


class ModelList(msgspec.Struct):
    """Response of /models; `error`: why models.json is not served as it is now."""

    models: list[ListedModel]
    memory: ModelMemory
    error: str | None


class ModelNames(msgspec.Struct):
    """Response of /v1/models and /v2/models."""

    models: list[str]


class LoadStatus(msgspec.Struct):
    """Whether a load failed, in TensorFlow Serving's words."""

    error_code: str = "OK"
    error_message: str = ""


class VersionStatus(msgspec.Struct):
    """A version as TensorFlow Serving reports it."""

    version: str
    state: str = "AVAILABLE"
    status: LoadStatus = msgspec.field(default_factory=LoadStatus)


def version_status(status: "EntryStatus") -> VersionStatus:
    if status.state == "failed":
        return VersionStatus(status.entry.version, "END", LoadStatus("UNKNOWN", status.error or ""))
    return VersionStatus(status.entry.version, "LOADING" if status.state == "loading" else "AVAILABLE")


class ModelStatus(msgspec.Struct):
    """Response of /v1/models/{name}, as KServe and TensorFlow Serving have it."""

    name: str
    ready: bool
    model_version_status: list[VersionStatus]


class ModelReady(msgspec.Struct):
    """Response of /v2/models/{name}/ready."""

    name: str
    ready: bool = True


class Status(msgspec.Struct):
    """Response of /, /health and /ready."""

    status: str


MAX_VALUES = 100_000  # of a body; each takes up to 300 bytes when it is decoded
STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[{\[,]', re.DOTALL)

encode = msgspec.json.Encoder().encode
_predict = msgspec.json.Decoder(PredictRequest)
_shard = msgspec.json.Decoder(ShardRequest)


def predict_request(body: bytes, max_instances: int) -> tuple[PredictRequest, list[Any], bool]:
    """The request, its instances, and whether it has the short form.

    Raises:
        MalformedRequest: it does not have the documented shape.
        TooLarge: it has more than `max_instances`, or more values than MAX_VALUES.
    """
    request: PredictRequest = decode(_predict, body)
    kinds = [kind for kind in ("text", "image", "uri") if getattr(request, kind) is not None]
    short = [{kind: getattr(request, kind)} for kind in kinds]
    if (request.instances is None) == (not short) or len(short) > 1:
        raise MalformedRequest("The body must have either a list of instances, or one of text, image and uri.")
    if request.text_pair is not None:
        if request.text is None:
            raise MalformedRequest("text_pair requires text, the first of the two.")
        short[0]["text_pair"] = request.text_pair
    instances: list[Any] = short if request.instances is None else request.instances
    check_count(instances, max_instances)
    return request, instances, bool(short)


def predict_response(
    outcomes: Sequence[Outcome],
    model: ServedModel,
    parameters: Mapping[str, Any],
    device: str,
    timing: Timing,
    revision: str,
) -> PredictResponse:
    predictions = [outcome if isinstance(outcome, Prediction) else Failure.of(outcome) for outcome in outcomes]
    return PredictResponse(predictions, model, dict(parameters), device, timing, revision)


class Refusal(msgspec.Struct):
    """Response to a request of Vertex AI that was refused: an error in place of each prediction."""

    predictions: list[Failure]


def refusal(error: ServiceError, count: int) -> Refusal:
    """An answer with the same error for each of `count` instances."""
    return Refusal([Failure.of(error)] * count)


def add_short_form(response: PredictResponse) -> None:
    """Repeats what the only prediction says in the fields of the short form."""
    (prediction,) = response.predictions
    if isinstance(prediction, Classification):
        response.prediction = list(prediction.scores.values())
    elif isinstance(prediction, Embedding):
        response.prediction = prediction.embedding
    if prediction.confidence is not None:
        response.confidence = prediction.confidence
    response.device_used = response.device


def shard_request(body: bytes) -> ShardRequest:
    """Raises MalformedRequest or TooLarge."""
    request: ShardRequest = decode(_shard, body)
    return request


def check_count(instances: Sequence[Any], most: int) -> None:
    """Raises TooLarge."""
    if len(instances) > most:
        raise TooLarge(f"A request may have at most {most} instances.", "too_many_instances")


def decode(decoder: "msgspec.json.Decoder[Any]", body: bytes) -> Any:
    """A JSON body, which may begin with a byte order mark.

    Raises:
        MalformedRequest: it does not have the decoder's shape.
        TooLarge: it has more values than MAX_VALUES.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    _check_values(body)
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedRequest(f"The body does not have the documented shape: {str(error)[:300]}") from error


def _check_values(body: bytes) -> None:
    """Bounds the values by their opening brackets and commas, since 16 MiB of brackets decode to a gigabyte.

    Raises:
        TooLarge
    """
    if body.count(b"[") + body.count(b"{") + body.count(b",") <= MAX_VALUES:  # true of most bodies, and quick
        return
    values = 0
    for match in STRUCTURE.finditer(body):
        values += match[0] in (b"[", b"{", b",")
        if values > MAX_VALUES:
            raise TooLarge(f"The body may have at most {MAX_VALUES} values.")
