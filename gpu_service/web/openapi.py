"""The OpenAPI document of the routes, built from the structs that decode and encode their bodies."""

from typing import Any

import msgspec

from gpu_service import __version__
from gpu_service.serving.predictions import Failure
from gpu_service.settings import Settings
from gpu_service.shards.shard import URI, ShardResponse
from gpu_service.tasks.predictions import PREDICTIONS
from gpu_service.web.open_inference import (
    Done,
    IndexedModel,
    IndexRequest,
    InferRequest,
    InferResponse,
    Live,
    LoadRequest,
    ModelMetadata,
    OpenInferenceFailure,
    Ready,
    ServerMetadata,
)
from gpu_service.web.protocol import (
    IMAGE,
    ModelList,
    ModelNames,
    ModelReady,
    ModelStatus,
    PredictRequest,
    PredictResponse,
    ShardRequest,
    Status,
)

Schema = dict[str, Any]
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
    ModelNames,
    ModelReady,
    ModelStatus,
    OpenInferenceFailure,
    ServerMetadata,
    IndexRequest,
    IndexedModel,
    LoadRequest,
    Done,
    Live,
    Ready,
    Status,
)
LICENSE = {"name": "Apache License 2.0", "identifier": "Apache-2.0"}
SHORT_FORMS = {"text": "TextRequest", "image": "ImageRequest", "uri": "UriRequest"}
FAILURES = {
    "429": "The queue is full; Retry-After says when to try again.",
    "4XX": "The request is at fault.",
    "5XX": "The service is at fault, or not ready.",
}


def document(settings: Settings) -> Schema:
    """As OpenAPI 3.1. Only constructs that code generators support: every array has items, every body a name."""
    _, schemas = msgspec.json.schema_components(STRUCTS, ref_template="#/components/schemas/{name}")
    _name_parameters(schemas)
    schemas |= _predict_requests(schemas, settings.max_instances)
    for schema in schemas.values():
        _complete(schema)
    return {
        "openapi": "3.1.0",
        "info": {"title": "GPU inference service", "version": __version__, "license": LICENSE},
        "paths": _service_paths(settings) | _v1_paths() | _v2_paths(),
        "components": {"schemas": schemas},
    }


def _service_paths(settings: Settings) -> Schema:
    health, ready = "Whether the process works.", "Whether requests are accepted: every model has run."
    shard = _post("predict_shard", "Predict on JSON lines in Cloud Storage.", ShardRequest, ShardResponse)
    paths: Schema = {
        "/predict": _predict("predict"),
        "/predict-shard": shard,
        "/": _get("alive", "Whether the process works, as KServe's first protocol has it.", Status),
        "/health": _get("health", health, Status),
        "/ready": _get("ready", ready, Status),
        "/metrics": _get("metrics", "Metrics for Prometheus.", None, media_type="text/plain"),
        "/models": _get("models", "The served models.", ModelList),
        "/openapi.json": _get("openapi", "This document.", None),
    }
    if settings.predict_route:
        paths[settings.predict_route] = _predict("vertex_predict")
    if settings.health_route:
        paths[settings.health_route] = _get("vertex_health", ready, Status)
    return paths


def _v1_paths() -> Schema:
    models, name, version = "/v1/models", "/v1/models/{name}", "/v1/models/{name}/versions/{version}"
    status = "Whether the model is ready, and its versions."
    return {
        models: _get("v1_models", "The names of the served models.", ModelNames),
        name: _get("v1_model_status", status, ModelStatus, "name"),
        version: _get("v1_version_status", status, ModelStatus, "name", "version"),
        f"{name}:predict": _predict("v1_predict", "name"),
        f"{version}:predict": _predict("v1_version_predict", "name", "version"),
    }


def _v2_paths() -> Schema:
    name, version = "/v2/models/{name}", "/v2/models/{name}/versions/{version}"
    infer = "Open Inference Protocol: one BYTES tensor named text or image; tensors may be binary data after the JSON."
    paths = {
        "/v2": _get("v2_server_metadata", "The server's metadata.", ServerMetadata),
        "/v2/health/live": _get("v2_live", "The same as /health.", Live),
        "/v2/health/ready": _get("v2_ready", "The same as /ready.", Ready),
        "/v2/models": _get("v2_models", "The names of the served models.", ModelNames),
        name: _get("v2_model_metadata", "The model's metadata.", ModelMetadata, "name"),
        f"{name}/ready": _get("v2_model_ready", "Whether the model is ready.", ModelReady, "name"),
        f"{name}/infer": _post("v2_infer", infer, InferRequest, InferResponse, "name"),
        version: _get("v2_version_metadata", "The version's metadata.", ModelMetadata, "name", "version"),
        f"{version}/ready": _get("v2_version_ready", "Whether the version is ready.", ModelReady, "name", "version"),
        f"{version}/infer": _post("v2_version_infer", infer, InferRequest, InferResponse, "name", "version"),
        **_repository_paths(),
    }
    for path in paths.values():
        for operation in ("get", "post"):
            if operation in path:
                path[operation]["responses"] |= _failures(OpenInferenceFailure)
    return paths


def _repository_paths() -> Schema:
    load = "Load a model of models.json; answers when it works."
    unload = "Remove a model from memory; the next request for it loads it again."
    index = _post("v2_repository_index", "The models of models.json, and which are loaded.", IndexRequest, None)
    listed = {"type": "array", "items": _reference(IndexedModel.__name__)}
    index["post"]["responses"]["200"] = _success(listed)
    paths = {
        "/v2/repository/index": index,
        "/v2/repository/models/{name}/load": _post("v2_load", load, LoadRequest, Done, "name"),
        "/v2/repository/models/{name}/unload": _post("v2_unload", unload, LoadRequest, Done, "name"),
    }
    for path in paths.values():
        path["post"]["requestBody"]["required"] = False
    return paths


def _name_parameters(schemas: Schema) -> None:
    """Names the `parameters` of requests, which most generators would name after each request."""
    names = {PredictRequest: "Parameters", ShardRequest: "Parameters", InferRequest: "InferParameters"}
    for struct, name in names.items():
        field = schemas[struct.__name__]["properties"]["parameters"]
        schemas[name], null = field["anyOf"]
        field["anyOf"] = [_reference(name), null]


def _predict_requests(schemas: Schema, max_instances: int) -> Schema:
    """A schema for each form of PredictRequest: instances, or one of the short form's fields."""
    whole = schemas[PredictRequest.__name__]
    fields = {name: whole["properties"][name] for name in ("model", "version", "parameters")}
    instances: Schema = {"type": "array", "items": _reference("Instance"), "minItems": 1, "maxItems": max_instances}
    forms = {"InstancesRequest": _object(instances=instances) | {"description": "Many instances."}}
    for name, title in SHORT_FORMS.items():
        content = _reference("Image") if name == "image" else whole["properties"][name]
        forms[title] = _object(**{name: content}) | {"description": "The short form."}
    forms["TextRequest"]["properties"]["text_pair"] = whole["properties"]["text_pair"]
    for form in forms.values():
        form["properties"] |= fields
    generation = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]{1,19}$"}]}
    uri = _object(uri=URI.extra_json_schema)
    uri["properties"]["generation"] = generation
    text = _object(text={"type": "string"})
    text["properties"]["text_pair"] = {"type": "string", "description": "The second text of a pair."}
    return forms | {
        PredictRequest.__name__: {
            "description": whole["description"],
            "oneOf": [_reference(name) for name in forms],
        },
        "Image": IMAGE,
        "TextInstance": text,
        "ImageInstance": _object(image=_reference("Image")),
        "UriInstance": uri,
        "Instance": {
            "description": "A text, an image or an object; any other value fails without the others.",
            "anyOf": [
                {"type": "string"},
                *(_reference(name) for name in ("TextInstance", "ImageInstance", "UriInstance")),
                {},
            ],
        },
    }


def _object(**properties: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _complete(schema: Any) -> None:
    """Adds the type of each enumeration, which generators need, and drops defaults that mean none and break a rule."""
    if isinstance(schema, list):
        for value in schema:
            _complete(value)
    elif isinstance(schema, dict):
        if "enum" in schema:
            schema.setdefault("type", "string")
        if "default" in schema and schema["default"] in (None, [], ()):
            del schema["default"]
        for value in schema.values():
            _complete(value)


def _predict(operation: str, *variables: str) -> Schema:
    summary = "Predict on instances of text or images."
    return _post(operation, summary, PredictRequest, PredictResponse, *variables)


def _post(operation: str, summary: str, request: Struct, response: Struct | None, *variables: str) -> Schema:
    return {
        **_parameters(variables),
        "post": {
            "operationId": operation,
            "summary": summary,
            "requestBody": {"required": True, "content": _content(_reference(request.__name__))},
            "responses": {
                "200": _success(_reference(response.__name__) if response else {"type": "object"}),
                **_failures(Failure),
            },
        },
    }


def _get(
    operation: str, summary: str, response: Struct | None, *variables: str, media_type: str = "application/json"
) -> Schema:
    plain = {"type": "object"} if media_type == "application/json" else {"type": "string"}
    success = _success(_reference(response.__name__) if response else plain, media_type)
    get = {"operationId": operation, "summary": summary, "responses": {"200": success, **_failures(Failure)}}
    return {**_parameters(variables), "get": get}


def _parameters(variables: tuple[str, ...]) -> Schema:
    schema = {"type": "string"}
    path = [{"name": name, "in": "path", "required": True, "schema": schema} for name in variables]
    return {"parameters": path} if path else {}


def _failures(struct: Struct) -> Schema:
    content = _content(_reference(struct.__name__))
    return {status: {"description": meaning, "content": content} for status, meaning in FAILURES.items()}


def _success(schema: Schema, media_type: str = "application/json") -> Schema:
    return {"description": "Success.", "content": _content(schema, media_type)}


def _content(schema: Schema, media_type: str = "application/json") -> Schema:
    return {media_type: {"schema": schema}}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
