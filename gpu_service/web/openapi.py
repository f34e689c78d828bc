"""The OpenAPI document of the routes, built from the structs that decode and encode their bodies."""

from typing import Any

import msgspec

from gpu_service import __version__
from gpu_service.serving.predictions import Failure
from gpu_service.settings import Settings
from gpu_service.shards.shard import ShardResponse
from gpu_service.tasks.predictions import PREDICTIONS
from gpu_service.web.protocol import (
    InferRequest,
    InferResponse,
    ModelList,
    ModelMetadata,
    PredictRequest,
    PredictResponse,
    ShardRequest,
)

Struct = type[msgspec.Struct]
STRUCTS: tuple[Struct, ...] = (
    PredictRequest,
    PredictResponse,
    *PREDICTIONS,
    Failure,
    ShardRequest,
    ShardResponse,
    InferRequest,
    InferResponse,
    ModelList,
    ModelMetadata,
)
NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}


def document(settings: Settings) -> dict[str, Any]:
    """As OpenAPI 3.1."""
    _, components = msgspec.json.schema_components(STRUCTS, ref_template="#/components/schemas/{name}")
    components[PredictRequest.__name__] |= _exactly_one_form(settings.max_instances)
    predict = _post("Predict on instances of text or images.", PredictRequest, PredictResponse)
    infer = _post("Open Inference Protocol: one BYTES tensor named text or image.", InferRequest, InferResponse)
    paths: dict[str, Any] = {
        "/predict": {"post": predict},
        "/predict-shard": {"post": _post("Predict on JSON lines in Cloud Storage.", ShardRequest, ShardResponse)},
        "/health": {"get": _get("Whether the process works.")},
        "/ready": {"get": _get("Whether requests are accepted: every model has run.")},
        "/metrics": {"get": _get("Metrics for Prometheus.", media_type="text/plain")},
        "/models": {"get": _get("The served models.", ModelList)},
        "/openapi.json": {"get": _get("This document.")},
        "/v1/models/{name}:predict": {"parameters": [NAME], "post": predict},
        "/v2": {"get": _get("The server's metadata.")},
        "/v2/health/live": {"get": _get("The same as /health.")},
        "/v2/health/ready": {"get": _get("The same as /ready.")},
        "/v2/models/{name}": {"parameters": [NAME], "get": _get("The model's metadata.", ModelMetadata)},
        "/v2/models/{name}/ready": {"parameters": [NAME], "get": _get("Whether the model is ready.")},
        "/v2/models/{name}/infer": {"parameters": [NAME], "post": infer},
    }
    if settings.predict_route:
        paths[settings.predict_route] = paths["/predict"]
    if settings.health_route:
        paths[settings.health_route] = paths["/ready"]
    return {
        "openapi": "3.1.0",
        "info": {"title": "GPU inference service", "version": __version__},
        "paths": paths,
        "components": {"schemas": components},
    }


def _exactly_one_form(max_instances: int) -> dict[str, Any]:
    """What a struct cannot express: either instances, or one of the short form's fields."""
    instances = {"required": ["instances"], "properties": {"instances": {"type": "array", "maxItems": max_instances}}}
    return {"oneOf": [instances, *({"required": [name]} for name in ("text", "image", "uri"))]}


def _post(summary: str, request: Struct, response: Struct) -> dict[str, Any]:
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ref(request)}}},
        "responses": {"200": _content("Success.", _ref(response)), **_failures()},
    }


def _get(summary: str, response: Struct | None = None, media_type: str = "application/json") -> dict[str, Any]:
    plain = {"type": "object"} if media_type == "application/json" else {"type": "string"}
    success = _content("Success.", plain if response is None else _ref(response), media_type)
    return {"summary": summary, "responses": {"200": success, **_failures()}}


def _failures() -> dict[str, Any]:
    meanings = {
        "429": "The queue is full; Retry-After says when to try again.",
        "4XX": "The request is at fault.",
        "5XX": "The service is at fault, or not ready.",
    }
    return {status: _content(meaning, _ref(Failure)) for status, meaning in meanings.items()}


def _content(description: str, schema: dict[str, Any], media_type: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _ref(struct: Struct) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{struct.__name__}"}
