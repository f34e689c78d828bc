"""What a caller may choose about predictions: the `parameters` of a request, a shard or a batch."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gpu_service.errors import InvalidRequest


class Parameters(msgspec.Struct, frozen=True):
    """`top_k` is how many labels a prediction lists, best first.

    `aggregation` is for token classification; `threshold`, the least score, for object detection; the last three are
    for zero-shot classification. A new parameter is a field here, applied by the models that support it.
    """

    top_k: Annotated[int, Meta(ge=1, le=1000)] = 5
    aggregation: Literal["none", "simple", "first", "average", "max"] = "simple"
    threshold: Annotated[float, Meta(ge=0, le=1)] | None = None
    labels: Annotated[list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(min_length=1, max_length=100)] = []
    multi_label: bool = False
    hypothesis_template: Annotated[str, Meta(max_length=1000, pattern=r"\{\}")] = "This example is {}."


DEFAULTS = Parameters()


def parse(values: Mapping[str, Any] | None) -> Parameters:
    """Unknown names are ignored, since the same parameters also reach other steps; null means the default.

    Raises:
        InvalidRequest: `invalid_parameters`.
    """
    if not values:
        return DEFAULTS
    try:
        return msgspec.convert({name: value for name, value in values.items() if value is not None}, Parameters)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The parameters are not valid: {error}.", "invalid_parameters") from error


def encode(parameters: Parameters) -> str:
    """All of them as JSON."""
    return msgspec.json.encode(parameters).decode()


def properties() -> dict[str, Any]:
    """The JSON Schema of each parameter."""
    _, components = msgspec.json.schema_components([Parameters])
    schemas = components[Parameters.__name__]["properties"]
    return {name: {"anyOf": [schema, {"type": "null"}]} for name, schema in schemas.items()}
