"""openapi-python-client generates every route from the service's document, and each works."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from gpu_service.settings import Settings
from gpu_service.web import openapi

SETTINGS = Settings(predict_route="/vertex/predict", health_route="/vertex/health")
PREDICTIONS = ("predict", "v1_predict", "v1_version_predict")
NAMED = ("v1_model_status", "v1_predict", "v2_model_metadata", "v2_model_ready", "v2_infer", "v2_load", "v2_unload")
OF_VERSION = (
    "v1_version_status", "v1_version_predict", "v2_version_metadata", "v2_version_ready", "v2_version_infer",
)  # fmt: skip


def operations(document: Any) -> set[str]:
    return {
        operation["operationId"]
        for path in document["paths"].values()
        for method, operation in path.items()
        if method != "parameters"
    }


@pytest.fixture(scope="module")
def generated(served: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The package, generated without a warning."""
    folder: Path = tmp_path_factory.mktemp("generated")
    (folder / "openapi.json").write_bytes(served.http.get("/openapi.json").content)
    (folder / "config.yaml").write_text("post_hooks: []\n")
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning", "--meta", "none"]
    command += ["--path", "openapi.json", "--output-path", "service_client", "--config", "config.yaml"]
    done = subprocess.run(command, cwd=folder, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    assert "WARNING" not in done.stdout
    sys.path.insert(0, str(folder))
    package = importlib.import_module("service_client")
    importlib.import_module("service_client.models")  # which the package itself does not import
    yield package
    sys.path.remove(str(folder))


def call(generated: Any, served: Any, operation: str, *arguments: Any, **options: Any) -> Any:
    module = importlib.import_module(f"{generated.__name__}.api.default.{operation}")
    client = generated.Client(f"http://127.0.0.1:{served.port}", raise_on_unexpected_status=True)
    return module.sync_detailed(*arguments, client=client, **options)


def arguments(operation: str) -> tuple[str, ...]:
    return ("moods", "1") if operation in OF_VERSION else ("moods",) if operation in NAMED else ()


def test_the_document_is_valid():
    validate(openapi.document(Settings()))
    validate(openapi.document(SETTINGS))


def test_every_operation_has_a_name_of_its_own():
    document = openapi.document(SETTINGS)
    assert len(operations(document)) == len(document["paths"])


@pytest.mark.long
def test_every_route_is_generated(generated: Any, served: Any):
    folder = Path(generated.__file__).parent / "api" / "default"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert modules == operations(served.http.get("/openapi.json").json())


@pytest.mark.parametrize("operation", sorted(
    name for name in operations(openapi.document(Settings())) if "predict" not in name and "infer" not in name
))  # fmt: skip
def test_what_reads_is_answered(generated: Any, served: Any, operation: str):
    answer = call(generated, served, operation, *arguments(operation))
    assert answer.status_code == 200
    assert answer.parsed is not None


@pytest.mark.parametrize("operation", PREDICTIONS)
def test_predictions_have_types(generated: Any, served: Any, operation: str):
    models = generated.models
    instances = [models.TextInstance("a good film"), "dull", models.TextInstance("")]
    body = models.InstancesRequest(instances=instances, parameters=models.Parameters(top_k=1))
    answer = call(generated, served, operation, *arguments(operation), body=body).parsed
    assert isinstance(answer, models.PredictResponse)
    assert isinstance(answer.predictions[2], models.Failure)
    assert answer.predictions[2].error.code == "empty"
    assert answer.predictions[0].score == max(answer.predictions[0].scores.additional_properties.values())
    short = call(generated, served, operation, *arguments(operation), body=models.TextRequest(text="dull")).parsed
    assert short.predictions[0].label == answer.predictions[1].label
    assert short.confidence == short.predictions[0].score


@pytest.mark.parametrize("operation", ["v2_infer", "v2_version_infer"])
def test_tensors(generated: Any, served: Any, operation: str):
    models = generated.models
    tensor = models.InputTensor(name="text", datatype="BYTES", shape=[2], data=["good", "bad"])
    body = models.InferRequest(inputs=[tensor], outputs=[models.RequestedOutput("score")])
    answer = call(generated, served, operation, *arguments(operation), body=body).parsed
    assert isinstance(answer, models.InferResponse)
    assert [(output.name, output.shape, len(output.data)) for output in answer.outputs] == [("score", [2], 2)]


def test_shards(generated: Any, served: Any, gcs: Any):
    models = generated.models
    gcs.bucket("work").blob("shards/in.jsonl").upload_from_string('{"text": "good"}\n{"text": ""}\n')
    body = models.ShardRequest(input_="gs://work/shards/in.jsonl", output="gs://work/shards/out.jsonl")
    answer = call(generated, served, "predict_shard", body=body).parsed
    assert isinstance(answer, models.ShardResponse)
    assert (answer.records, answer.succeeded) == (2, 1)


def test_errors_have_types(generated: Any, served: Any):
    models = generated.models
    failure = call(generated, served, "v1_predict", "org/nobody", body=models.TextRequest(text="dull"))
    assert (failure.status_code, failure.parsed.error.code) == (404, "model_not_found")
    failure = call(generated, served, "v2_model_metadata", "org/nobody")
    assert failure.status_code == 404
    assert isinstance(failure.parsed, models.OpenInferenceFailure)
