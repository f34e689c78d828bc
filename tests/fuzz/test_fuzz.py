"""Functions answer arbitrary input with a status for bad input and JSON: no 5xx and no crash.

FUZZ_EXAMPLES (50) is the number of inputs to each test; no test may make the process grow by GROWTH_MB.
"""

import base64
import gzip
import io
import json
import os
import resource
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import functions_framework
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gpu_service.errors import InstanceError
from gpu_service.inputs.images import decoding
from messaging import pubsub
from pipeline import storage
from pipeline.errors import REASONS, RejectedError
from pipeline.formats import json_text
from pipeline.inputs import recognition
from pipeline.jobs import quotas
from pipeline.jobs.executions import client
from pipeline.kinds import KINDS
from pipeline.tabular import sniffer
from tests.functions.cloud import Cloud, serving_executions, serving_storage
from tests.functions.conftest import ROOT, event

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "50"))
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
EVENT_FUNCTIONS = ("on_upload", "on_message", "on_dead_letter")
HTTP_FUNCTIONS = ("preprocess", "postprocess")
GROWTH_MB = 200
FINE = {200, 400, 405, 413, 415, 422}

words = st.sampled_from(
    ["", "a", "instances", "text", "image", "b64", "id", "inputs", "sweep", "replay", "bucket", "name", "generation"]
)
texts = words | st.text(max_size=40)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5), max_leaves=25
)
documents = st.binary(max_size=300) | values.map(lambda value: json.dumps(value).encode())


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Cloud, dict[str, FlaskClient]]]:
    """All functions, with a shared object store."""
    with serving_storage() as (host, faulty), serving_executions() as (grpc_host, executions):
        patch = pytest.MonkeyPatch()
        cloud = Cloud(host, faulty, grpc_host, executions)
        for name, value in cloud.env.items():
            patch.setenv(name, value)
        caches = (storage.client, client, pubsub.publisher, pubsub.subscriber, quotas.of)
        for cache in caches:
            cache.cache_clear()
        names = (*EVENT_FUNCTIONS, *HTTP_FUNCTIONS)
        apps = {n: functions_framework.create_app(n, str(ROOT / "functions" / n / "main.py")) for n in names}
        yield cloud, {name: app.test_client() for name, app in apps.items()}
        patch.undo()
        for cache in caches:
            cache.cache_clear()


Served = tuple[Cloud, dict[str, FlaskClient]]


@pytest.fixture(autouse=True)
def memory() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1000 * GROWTH_MB


def check(answer: Any) -> None:
    assert answer.status_code in FINE, answer.text
    if answer.status_code != 200:
        assert set(answer.get_json()) == {"error"}
        assert "Traceback" not in answer.text


def outcome(call: Callable[[], Any]) -> Any:
    """The result of a call, or the code of its rejection."""
    try:
        return call()
    except RejectedError as error:
        return error.code


def plain(text: str) -> str:
    """The text as a valid header value."""
    return text.encode("ascii", "replace").decode().replace("\n", " ").replace("\r", " ").replace("\0", " ")


@pytest.mark.parametrize("name", EVENT_FUNCTIONS)
@fuzzed
@given(
    headers=st.dictionaries(
        st.sampled_from(
            ["ce-id", "ce-source", "ce-type", "ce-specversion", "ce-time", "ce-subject", "ce-x", "traceparent"]
        ),
        texts.map(plain),
    ),
    body=documents,
    content_type=st.sampled_from(["application/json", "application/cloudevents+json", "text/plain", "", "a/b; c=d"]),
)
def test_any_request(served: Served, name: str, headers: dict[str, str], body: bytes, content_type: str) -> None:
    check(served[1][name].post("/", headers=headers, data=body, content_type=content_type))


@pytest.mark.parametrize("name", EVENT_FUNCTIONS)
@fuzzed
@given(body=values)
def test_any_structured_event(served: Served, name: str, body: Any) -> None:
    data = {"id": "1", "source": "s", "specversion": "1.0", "type": "t"} | (
        body if isinstance(body, dict) else {"data": body}
    )
    check(served[1][name].post("/", data=json.dumps(data), content_type="application/cloudevents+json"))


@fuzzed
@given(
    changes=st.dictionaries(
        st.sampled_from(["bucket", "name", "generation", "size", "contentType", "metadata", "id"]), values, max_size=4
    ),
    ours=st.booleans(),
)
def test_any_object_event(served: Served, changes: dict[str, Any], ours: bool) -> None:
    cloud, functions = served
    recorded = event("object_finalized")
    body = recorded["body"] | ({"bucket": cloud.input.name} if ours else {}) | changes
    for name in ("on_upload",):
        check(functions[name].post("/", headers=recorded["headers"], data=json.dumps(body)))


@pytest.mark.parametrize("name", ["on_message", "on_dead_letter"])
@fuzzed
@given(
    data=documents,
    number=st.integers(0, 10**12),
    attributes=st.dictionaries(
        st.sampled_from(
            ["eventType", "bucketId", "objectId", "objectGeneration", "payloadFormat", "pipeline-hops", "a"]
        )
        | texts,
        texts,
        max_size=4,
    ),
    encoded=st.booleans(),
)
def test_any_message(
    served: Served, name: str, data: bytes, number: int, attributes: dict[str, str], encoded: bool
) -> None:
    text = base64.b64encode(data).decode() if encoded else data.decode("latin-1")
    message = {"data": text, "messageId": str(number), "attributes": attributes}
    body = json.dumps({"message": message, "deliveryAttempt": 2})
    check(served[1][name].post("/", headers=event("message_published")["headers"], data=body))


orders = st.fixed_dictionaries(
    {},
    optional={
        "instances": st.lists(st.fixed_dictionaries({}, optional={"text": texts, "image": values}), max_size=4)
        | values,
        "model": values,
        "version": values,
        "parameters": st.dictionaries(st.sampled_from(["top_k", "horizon", "text_column"]) | texts, scalars) | values,
        "id": texts,
        "inputs": st.lists(texts.map("gs://b/".__add__), max_size=3) | values,
        "sweep": st.dictionaries(st.sampled_from(["prefix", "limit", "after", "part"]), scalars),
        "replay": st.dictionaries(st.sampled_from(["prefix", "code", "since", "until", "limit", "after"]), scalars),
    },
)


@fuzzed
@given(order=orders, number=st.integers(0, 10**12))
def test_any_order(served: Served, order: Any, number: int) -> None:
    message = {"data": base64.b64encode(json.dumps(order).encode()).decode(), "messageId": str(number)}
    headers = event("message_published")["headers"]
    check(served[1]["on_message"].post("/", headers=headers, data=json.dumps({"message": message})))


@pytest.mark.parametrize("name", HTTP_FUNCTIONS)
@fuzzed
@given(body=documents)
def test_any_body(served: Served, name: str, body: bytes) -> None:
    check(served[1][name].post("/", data=body, content_type="application/json"))


@pytest.mark.parametrize("name", HTTP_FUNCTIONS)
@fuzzed
@given(
    changes=st.dictionaries(
        st.sampled_from(
            ["job", "document", "event_id", "received_at", "input", "kind", "model", "parameters", "trace", "hops"]
        ),
        values,
        max_size=3,
    ),
    outcome=st.dictionaries(
        st.sampled_from(["prediction", "batch", "progress", "error", "lineage"]), values, max_size=3
    ),
)
def test_any_argument(served: Served, name: str, changes: dict[str, Any], outcome: dict[str, Any]) -> None:
    cloud, functions = served
    source = {"bucket": cloud.input.name, "name": "gone", "generation": "1", "size": 1, "content_type": None}
    argument = {"job": "f" * 32, "document": "gone/1", "event_id": "1", "received_at": "2026-01-01T00:00:00Z"}
    argument |= {"input": source, "kind": "text", "model": None, "parameters": {}, "trace": None} | changes
    body = argument if name == "preprocess" else {"argument": argument, "lineage": {}} | outcome
    answer = functions[name].post("/", data=json.dumps(body), content_type="application/json")
    check(answer)


# --- contents --------------------------------------------------------------------------------------

csv_texts = st.text(alphabet='a1.,;"\n\r\t |\0é-/:gs', max_size=400)
NAMES = st.sampled_from(["a", "a.txt", "a.csv", "a.json", "a.jsonl", "a.png", "a.zip"])


@fuzzed
@given(content=documents | csv_texts.map(str.encode) | st.text().map(lambda t: t.encode("utf-16")), name=NAMES)
def test_any_content_has_a_kind_or_a_reason(content: bytes, name: str) -> None:
    result = outcome(lambda: recognition.sniff(content, whole=True, name=name, content_type=None))
    assert result in {*KINDS, *REASONS}


@fuzzed
@given(
    content=documents | csv_texts.map(str.encode) | st.text().map(lambda t: t.encode("utf-16")),
    kind=st.sampled_from(["table", "records", "manifest"]),
    packed=st.booleans(),
    cut=st.integers(0, 3),
)
def test_any_content_is_cut_into_records_or_refused(
    served: Served, content: bytes, kind: str, packed: bool, cut: int
) -> None:
    cloud, functions = served
    name = uuid.uuid4().hex
    data = gzip.compress(content)[: -cut or None] if packed else content
    blob = cloud.upload(name, data)
    source = {"bucket": cloud.input.name, "name": name, "generation": str(blob.generation), "size": len(data)}
    argument = {"job": name, "document": f"{name}/1", "event_id": "1", "received_at": "2026-01-01T00:00:00Z"}
    body = argument | {"input": source, "kind": kind, "model": None, "parameters": {}, "trace": None}
    answer = functions["preprocess"].post("/", json=body)
    check(answer)
    if answer.status_code == 200:
        batch = answer.get_json()
        shards = [cloud.work.blob(f"shards/{name}/{n}.jsonl").download_as_bytes() for n in range(batch["shards"])]
        records = [json.loads(line) for shard in shards for line in shard.splitlines()]
        assert len(records) == batch["records"] > 0
    else:
        assert answer.get_json()["error"]["code"] in REASONS


@fuzzed
@given(text=csv_texts, complete=st.booleans())
def test_any_text_is_a_table_or_none(text: str, complete: bool) -> None:
    result = outcome(lambda: sniffer.sniff(text, complete).choice().kind)
    assert result in (None, "table", "timeseries", "invalid_csv")


@fuzzed
@given(text=st.text(alphabet='{}[]:,"\\\n instances1e-', max_size=300), whole=st.booleans())
def test_any_json_has_a_shape_or_none(text: str, whole: bool) -> None:
    assert json_text.shape(text, whole=whole) in (None, "manifest", "records", "other", "broken")


SOUND = {"HEIF": (ROOT / "tests/gpu_service/inputs/images/turned.heic").read_bytes()}  # which Pillow cannot write here
for form in {*decoding.FORMATS} - {"HEIF"}:
    buffer = io.BytesIO()
    Image.effect_noise((24, 24), 90).convert("RGB").save(buffer, form)
    SOUND[form] = buffer.getvalue()


@fuzzed
@given(
    form=st.sampled_from(decoding.FORMATS),
    damage=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=20),
    cut=st.integers(0, 400),
    tail=st.binary(max_size=40),
)
def test_any_damaged_image_is_decoded_or_refused(
    form: str, damage: list[tuple[int, int]], cut: int, tail: bytes
) -> None:
    data = bytearray(SOUND[form])
    for place, value in damage:
        data[place % len(data)] = value
    try:
        with decoding.decoded(bytes(data[: len(data) - cut]) + tail, "RGB", 32) as image:
            result: object = image.mode == "RGB"
    except InstanceError as error:
        result = error.code
    assert result in (True, "truncated_image", "corrupt_image", "decompression_bomb")
