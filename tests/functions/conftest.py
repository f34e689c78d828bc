"""Fixtures of the functions' tests: the emulated cloud, functions as the framework serves them, recorded events."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import functions_framework
import jsonschema
import pytest
from flask.testing import FlaskClient
from google.cloud import storage

from messaging import pubsub
from notifying import pubsub as notifying_pubsub
from pipeline import logs
from pipeline import storage as pipeline_storage
from pipeline.jobs import executions as workflow_executions
from pipeline.jobs import quotas
from pipeline.routing import choice, regions
from tests.functions.cloud import Cloud, Executions, Faulty, serving_executions, serving_storage
from tests.functions.models_bucket import ModelsBucket

os.environ["OPENPYXL_DEFUSEDXML"] = "False"  # as preprocess does, before the tests write workbooks

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "functions" / "pipeline" / "schemas"
EVENTS = ROOT / "tests" / "events"

Function = Callable[[str], FlaskClient]
Logged = Callable[[], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def storage_server() -> Iterator[tuple[str, Faulty]]:
    with serving_storage() as served:
        yield served


@pytest.fixture(scope="session")
def executions_server() -> Iterator[tuple[str, Executions]]:
    with serving_executions() as served:
        yield served


@pytest.fixture
def cloud(
    storage_server: tuple[str, Faulty], executions_server: tuple[str, Executions], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cloud]:
    host, faulty = storage_server
    grpc_host, executions = executions_server
    executions.__init__()  # type: ignore[misc]
    faulty.faults.clear()
    cloud = Cloud(host, faulty, grpc_host, executions)
    for name, value in cloud.env.items():
        monkeypatch.setenv(name, value)
    _forget_clients()
    faulty.requests.clear()
    yield cloud
    faulty.faults.clear()
    _forget_clients()


def _forget_clients() -> None:
    pipeline_storage.client.cache_clear()
    workflow_executions.client.cache_clear()
    pubsub.publisher.cache_clear()
    pubsub.subscriber.cache_clear()
    notifying_pubsub.publisher.cache_clear()
    quotas.of.cache_clear()
    quotas.of_tenant.cache_clear()
    choice._files.cache_clear()
    regions._watched.cache_clear()


@pytest.fixture
def bucket(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> ModelsBucket:
    """The models bucket, empty."""
    bucket = cloud.client.create_bucket(f"models-{cloud.input.name}")
    monkeypatch.setenv("MODELS_BUCKET", bucket.name)
    return ModelsBucket(bucket)


@pytest.fixture
def function(cloud: Cloud) -> Function:
    """A function by its name, as functions-framework serves it."""

    def serve(name: str) -> FlaskClient:
        client: FlaskClient = functions_framework.create_app(
            name, str(ROOT / "functions" / name / "main.py")
        ).test_client()
        return client

    return serve


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Logged:
    """The pipeline's log lines since the last call, as Cloud Logging reads them from stdout.

    pytest's own `caplog` misses them once a function was loaded: the pipeline then logs to stdout alone.
    """
    logs.setup()
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture(scope="session")
def validate() -> Callable[[dict[str, Any]], None]:
    """Validates a document against its own schema."""
    validators = {
        name: jsonschema.Draft202012Validator(
            json.loads((SCHEMAS / f"{name}.schema.json").read_text()), format_checker=jsonschema.FormatChecker()
        )
        for name in ("result", "rejected", "failed", "status", "shadow", "labels")
    }

    def check(document: dict[str, Any]) -> None:
        validators[document["schema"].removesuffix("/v1")].validate(document)

    return check


@pytest.fixture
def check_documents(cloud: Cloud, validate: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Validates all documents that a test has left."""
    yield
    for document in cloud.documents("results", "rejected", "failed", "latest", "shadow").values():
        validate(document)


def event(name: str) -> dict[str, Any]:
    """A recorded event: `{"headers": …, "body": …}`."""
    recorded: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return recorded


def finalized(blob: storage.Blob, event_id: str = "1", **changes: Any) -> dict[str, Any]:
    """The arguments of a POST that announces an object; a change to None leaves a field out."""
    recorded = event("object_finalized")
    data = recorded["body"] | {
        "bucket": blob.bucket.name,
        "name": blob.name,
        "generation": str(blob.generation),
        "size": str(blob.size),
        "contentType": blob.content_type,
        "metadata": blob.metadata or {},
        "timeCreated": blob.time_created.isoformat() if blob.time_created else None,
    }
    data = {key: value for key, value in (data | changes).items() if value is not None}
    headers = recorded["headers"] | {
        "ce-id": event_id,
        "ce-source": f"//storage.googleapis.com/projects/_/buckets/{blob.bucket.name}",
        "ce-subject": f"objects/{blob.name}".encode("ascii", "replace").decode(),
    }
    return {"headers": headers, "json": data}


def published(
    data: bytes | str | None, message_id: str = "1001", attributes: dict[str, str] | None = None
) -> dict[str, Any]:
    """The arguments of a POST that delivers a message; a str is sent unchanged in place of base64."""
    import base64

    recorded = event("message_published")
    message = recorded["body"]["message"] | {"messageId": message_id, "message_id": message_id}
    message["attributes"] = attributes or {}
    if data is None:
        del message["data"]
    else:
        message["data"] = data if isinstance(data, str) else base64.b64encode(data).decode()
    return {"headers": recorded["headers"] | {"ce-id": message_id}, "json": recorded["body"] | {"message": message}}
