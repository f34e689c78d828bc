"""The OpenAPI document of what is served, built from the structs that decode and encode it."""

from typing import Any

import msgspec

from gpu_service import __version__, protocol
from gpu_service.settings import Settings

STRUCTS = (protocol.Predict, protocol.Answer, protocol.Shard, protocol.ShardAnswer, protocol.Infer, protocol.Inferred)
NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}


def document(settings: Settings) -> dict[str, Any]:
    """As OpenAPI 3.1."""
    _, components = msgspec.json.schema_components(STRUCTS, ref_template="#/components/schemas/{name}")
    components["Predict"] |= _either(settings.max_instances)
    predict = _post("Predict on instances of text or images.", "Predict", "Answer")
    paths: dict[str, Any] = {
        "/predict": {"post": predict},
        "/predict-shard": {"post": _post("Predict on JSON lines in Cloud Storage.", "Shard", "ShardAnswer")},
        "/health": {"get": _get("Whether the process works.")},
        "/ready": {"get": _get("Whether requests are taken: every model has run.")},
        "/metrics": {"get": _get("Metrics for Prometheus.", "text/plain")},
        "/models": {"get": _get("The served models.")},
        "/openapi.json": {"get": _get("This document.")},
        "/v1/models/{name}:predict": {"parameters": [NAME], "post": predict},
        "/v2": {"get": _get("The server's metadata.")},
        "/v2/health/live": {"get": _get("As /health.")},
        "/v2/health/ready": {"get": _get("As /ready.")},
        "/v2/models/{name}": {"parameters": [NAME], "get": _get("The model's metadata.")},
        "/v2/models/{name}/ready": {"parameters": [NAME], "get": _get("Whether the model is ready.")},
        "/v2/models/{name}/infer": {
            "parameters": [NAME],
            "post": _post("Open Inference Protocol: one BYTES tensor named text or image.", "Infer", "Inferred"),
        },
    }
    if settings.predict_route:
        paths[settings.predict_route] = paths["/predict"]
    if settings.health_route:
        paths[settings.health_route] = paths["/ready"]
    return {
        "openapi": "3.1.0",
        "info": {"title": "GPU inference service", "version": __version__},
        "paths": paths,
        "components": {"schemas": {**components, "Error": protocol.FAILURE}},
    }


def _either(most: int) -> dict[str, Any]:
    """What a struct cannot say: one of the forms, and no two."""
    listed = {"required": ["instances"], "properties": {"instances": {"type": "array", "maxItems": most}}}
    return {"oneOf": [listed, *({"required": [name]} for name in ("text", "image", "uri"))]}


def _post(summary: str, body: str, answer: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ref(body)}}},
        "responses": {"200": _content("The answer.", "application/json", _ref(answer)), **_failures()},
    }


def _get(summary: str, media: str = "application/json") -> dict[str, Any]:
    schema = {"type": "object"} if media == "application/json" else {"type": "string"}
    return {"summary": summary, "responses": {"200": _content("As asked.", media, schema), **_failures()}}


def _failures() -> dict[str, Any]:
    meanings = {"429": "The queue is full; Retry-After says when to come again."}
    return {
        **{status: _content(meaning, "application/json", _ref("Error")) for status, meaning in meanings.items()},
        "4XX": _content("The request is at fault.", "application/json", _ref("Error")),
        "5XX": _content("The service is at fault, or not ready.", "application/json", _ref("Error")),
    }


def _content(description: str, media: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {media: {"schema": schema}}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
