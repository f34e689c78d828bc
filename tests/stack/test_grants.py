"""The grants of the local stack, those of a deployment: all together suffice, and without any one something fails."""

import contextlib
import csv
import io
import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud import pubsub_v1, storage
from openpyxl.workbook.workbook import Workbook

from emulator.iam.roles import ROLES
from emulator.identity import grants, policy
from emulator.process import Stack
from emulator.stack import loader
from emulator.stack.model import Grant, Iam
from emulator.storage import Store
from tests.functions.notify.receiver import SECRET, Receiver, receiving, status

ROOT = Path(__file__).parents[2]
LOCAL = ROOT / "deploy" / "local" / "stack.yaml"
MODELS = ROOT / "gpu_service"
THRESHOLD = 20  # records, above which a batch runs as the job
CUT_JOB_BYTES = 5000  # above which a batch is cut by a job
ATTEMPTS = 5
REPLAYED = 5001  # documents: more than a replay leaves to one message
ENDPOINTS = {"NOTIFICATIONS": "endpoints.yaml"}
DESCRIBED = loader.load(LOCAL, ENDPOINTS)
IAM = DESCRIBED.iam or Iam()
GRANTS, PERMISSIONS = IAM.grants, {**ROLES, **IAM.roles}
ON_ENDPOINT = {
    "name": "remote",
    "task": "text-classification",
    "source": "remote",
    "engine": "vertex",
    "endpoint": "projects/local-project/locations/us-central1/endpoints/remote",
}

pytestmark = [pytest.mark.stack, pytest.mark.release, pytest.mark.timeout(300)]


@dataclass
class Pipeline:
    """The running stack, and everything that a user or Google sends it; inputs have names of their own each time."""

    stack: Stack
    objects: storage.Client
    messages: pubsub_v1.PublisherClient
    sent: dict[str, str] = field(default_factory=dict)  # each upload, and the status that it should have

    def upload(
        self, suffix: str, content: bytes, media_type: str, status: str = "succeeded", model: str | None = None
    ) -> None:
        name = f"{len(self.sent)}{suffix}"
        blob = self.objects.bucket("local-input").blob(name)
        blob.metadata = {"model": model} if model else None
        blob.upload_from_string(content, media_type)
        self.sent[name] = status

    def publish(self, body: object, topic: str = "messages") -> None:
        self.messages.publish(f"projects/local-project/topics/{topic}", json.dumps(body).encode()).result(10)

    def text(self) -> None:
        self.upload(".txt", b"A wonderful film, and a dull one.", "text/plain")

    def text_for_an_endpoint(self) -> None:
        """The endpoint does not exist, which only a caller with the permission learns."""
        self.upload(".txt", b"A wonderful film.", "text/plain", "failed", ON_ENDPOINT["name"])

    def image(self) -> None:
        self.upload(".jpg", (ROOT / "samples/images/two-rotated-by-camera.jpg").read_bytes(), "image/jpeg")

    def series(self) -> None:
        self.upload(".csv", (ROOT / "samples/series/daily-sales.csv").read_bytes(), "text/csv")

    def series_in_a_workbook(self) -> None:
        workbook = Workbook()
        with (ROOT / "samples/series/daily-sales.csv").open(newline="") as lines:
            for row in csv.reader(lines):
                workbook.active.append(row)
        content = io.BytesIO()
        workbook.save(content)
        self.upload(".xlsx", content.getvalue(), "application/octet-stream")

    def table(self, rows: int = 3) -> None:
        lines = ["id,review", *(f"{number},What a dull film number {number} is." for number in range(rows))]
        self.upload(".csv", "\n".join(lines).encode(), "text/csv")

    def large_table(self) -> None:
        self.table(2 * THRESHOLD)

    def very_large_table(self) -> None:
        self.table(200)

    def many_images(self) -> None:
        line = json.dumps({"uri": "gs://local-input/pictures/one.jpg"})
        self.upload(".jsonl", "\n".join([line] * 2 * THRESHOLD).encode(), "application/jsonl")

    def invalid_upload(self) -> None:
        self.upload(".txt", b"", "text/plain", "rejected")

    def undeliverable_upload(self) -> None:
        with self.undelivered("on-upload"):
            self.upload(".txt", b"A film that nobody hears of.", "text/plain", "failed")

    def undeliverable_message(self) -> None:
        with self.undelivered("on-message"):
            self.message()

    def undeliverable_order(self) -> None:
        with self.undelivered("promote"):
            self.look_at_candidates()

    def message(self) -> None:
        self.publish({"instances": [{"text": "A wonderful film."}]})

    def invalid_message(self) -> None:
        self.publish({"nonsense": 1})

    def sweep(self) -> None:
        self.publish({"sweep": {"prefix": "pictures/"}})

    def replay(self) -> None:
        self.publish({"replay": {"prefix": "of-another-schema/", "limit": None}})

    def collect(self) -> None:
        self.publish({"collect": {}})

    def look_at_candidates(self) -> None:
        self.publish({"promote": {}}, "promotions")

    def dead_upload(self) -> None:
        blob = self.objects.bucket("local-input").blob("pictures/one.jpg")
        blob.reload()
        self.publish(
            {"bucket": blob.bucket.name, "name": blob.name, "generation": str(blob.generation)}, "dead-letters"
        )

    def dead_message(self) -> None:
        self.publish({"instances": [{"text": f"Undeliverable {time.time_ns()}"}]}, "dead-letters")

    def restarted_models(self) -> None:
        self.restart("gpu-service")

    def text_for_a_new_instance(self) -> None:
        self.restart("on-upload")
        self.text()

    def message_for_a_new_instance(self) -> None:
        self.restart("on-message")
        self.message()

    def dead_message_for_a_new_instance(self) -> None:
        self.restart("on-dead-letter")
        self.dead_message()

    def table_for_a_new_instance(self) -> None:
        self.restart("preprocess")
        self.table()

    def restart(self, service: str) -> None:
        """Kill a service, which the emulator then starts anew."""
        for process in psutil.Process(self.stack.pid).children():
            with contextlib.suppress(psutil.Error):  # it may have ended
                if process.environ().get("K_SERVICE") == service:
                    os.killpg(process.pid, signal.SIGKILL)

    @contextlib.contextmanager
    def undelivered(self, service: str) -> Iterator[None]:
        """Refuse the calls to a service until the delivery attempts of what is sent in the block are used up."""
        after = self.log.stat().st_size
        with self.without(Grant("events", INVOKER, f"service/{service}")):
            yield
            until(lambda: f'"attempt": {ATTEMPTS}' in self.log.read_text()[after:], "the last delivery attempt")

    @contextlib.contextmanager
    def without(self, grant: Grant) -> Iterator[None]:
        """Take a grant away through the emulator's API until the end of the block."""
        resource = grants.resource_name(DESCRIBED, grant.resource)
        member = f"serviceAccount:{policy.email(DESCRIBED, grant.member)}"
        bindings = self.policy(resource)
        left = [each for each in bindings if (each["role"], each["members"]) != (grant.role, [member])]
        assert len(left) == len(bindings) - 1
        self.set_policy(resource, left)
        try:
            yield
        finally:
            self.set_policy(resource, bindings)

    def policy(self, resource: str) -> list[dict[str, Any]]:
        verb = "POST" if resource.count("/") == 1 or "/serviceAccounts/" in resource else "GET"
        answer = httpx.request(verb, _policy_url(self.stack, resource, "get"), headers={"Content-Length": "0"})
        bindings: list[dict[str, Any]] = answer.raise_for_status().json()["bindings"]
        return bindings

    def set_policy(self, resource: str, bindings: list[dict[str, Any]]) -> None:
        in_storage = resource.startswith("projects/_/")
        body = {"bindings": bindings} if in_storage else {"policy": {"bindings": bindings}}
        url = _policy_url(self.stack, resource, "set")
        httpx.request("PUT" if in_storage else "POST", url, json=body).raise_for_status()

    @property
    def log(self) -> Path:
        return self.stack.data / "logs" / "emulator.log"


def _policy_url(stack: Stack, resource: str, verb: str) -> str:
    if resource.startswith("projects/_/"):
        return f"{stack.http}/storage/v1/b/{resource.rpartition('/')[2]}/iam"
    version = "v2" if "/locations/" in resource else "v1"
    return f"{stack.http}/{version}/{resource}:{verb}IamPolicy"


VIEWER, USER = "roles/storage.objectViewer", "roles/storage.objectUser"
INVOKER = "roles/run.invoker"
NEEDED_BY: dict[tuple[str, str, str], Callable[[Pipeline], None]] = {
    ("workflow", "projects/local-project/roles/vertexPredict", "project"): Pipeline.text_for_an_endpoint,
    ("promote", "projects/local-project/roles/vertexRegistry", "project"): Pipeline.look_at_candidates,
    ("on-upload", VIEWER, "bucket/local-input"): Pipeline.text,
    ("on-upload", USER, "bucket/local-work"): Pipeline.text,
    ("on-upload", USER, "bucket/local-output"): Pipeline.invalid_upload,
    ("on-upload", "roles/workflows.invoker", "project"): Pipeline.text,
    ("on-upload", VIEWER, "bucket/local-models"): Pipeline.text_for_a_new_instance,
    ("on-message", VIEWER, "bucket/local-input"): Pipeline.sweep,
    ("on-message", USER, "bucket/local-work"): Pipeline.message,
    ("on-message", USER, "bucket/local-output"): Pipeline.invalid_message,
    ("on-message", "roles/workflows.invoker", "project"): Pipeline.message,
    ("on-message", "roles/pubsub.publisher", "topic/messages"): Pipeline.replay,
    ("on-message", "roles/pubsub.subscriber", "subscription/uploads"): Pipeline.collect,
    ("on-message", VIEWER, "bucket/local-models"): Pipeline.message_for_a_new_instance,
    ("on-dead-letter", VIEWER, "bucket/local-input"): Pipeline.dead_upload,
    ("on-dead-letter", USER, "bucket/local-work"): Pipeline.dead_message,
    ("on-dead-letter", USER, "bucket/local-output"): Pipeline.dead_message,
    ("on-dead-letter", VIEWER, "bucket/local-models"): Pipeline.dead_message_for_a_new_instance,
    ("promote", VIEWER, "bucket/local-output"): Pipeline.look_at_candidates,
    ("promote", USER, "bucket/local-models"): Pipeline.look_at_candidates,
    ("notify", "roles/storage.objectCreator", "bucket/local-output"): Pipeline.invalid_upload,
    ("notify", "roles/pubsub.publisher", "topic/notification-retries"): Pipeline.invalid_upload,
    ("notify", "roles/pubsub.publisher", "topic/notifications"): Pipeline.invalid_upload,
    ("preprocess", VIEWER, "bucket/local-input"): Pipeline.table,
    ("preprocess", USER, "bucket/local-work"): Pipeline.table,
    ("preprocess", VIEWER, "bucket/local-models"): Pipeline.table_for_a_new_instance,
    ("forecast", VIEWER, "bucket/local-input"): Pipeline.series,
    ("forecast", VIEWER, "bucket/local-work"): Pipeline.series_in_a_workbook,
    ("postprocess", USER, "bucket/local-work"): Pipeline.text,
    ("postprocess", USER, "bucket/local-output"): Pipeline.text,
    ("gpu-service", VIEWER, "bucket/local-input"): Pipeline.image,
    ("gpu-service", USER, "bucket/local-work"): Pipeline.table,
    ("gpu-service", VIEWER, "bucket/local-models"): Pipeline.restarted_models,
    ("gpu-job", VIEWER, "bucket/local-input"): Pipeline.many_images,
    ("gpu-job", USER, "bucket/local-work"): Pipeline.large_table,
    ("gpu-job", VIEWER, "bucket/local-models"): Pipeline.large_table,
    ("cut-job", VIEWER, "bucket/local-input"): Pipeline.very_large_table,
    ("cut-job", USER, "bucket/local-work"): Pipeline.very_large_table,
    ("cut-job", VIEWER, "bucket/local-models"): Pipeline.very_large_table,
    ("workflow", INVOKER, "service/preprocess"): Pipeline.table,
    ("workflow", INVOKER, "service/forecast"): Pipeline.series,
    ("workflow", INVOKER, "service/postprocess"): Pipeline.text,
    ("workflow", INVOKER, "service/gpu-service"): Pipeline.text,
    ("workflow", "roles/run.jobsExecutorWithOverrides", "job/gpu-job"): Pipeline.large_table,
    ("workflow", "roles/run.viewer", "job/gpu-job"): Pipeline.large_table,
    ("workflow", "roles/run.jobsExecutorWithOverrides", "job/cut-job"): Pipeline.very_large_table,
    ("workflow", "roles/run.viewer", "job/cut-job"): Pipeline.very_large_table,
    ("workflow", "roles/logging.logWriter", "project"): Pipeline.text,
    ("events", INVOKER, "service/on-upload"): Pipeline.text,
    ("events", INVOKER, "service/on-message"): Pipeline.message,
    ("events", INVOKER, "service/on-dead-letter"): Pipeline.dead_message,
    ("events", INVOKER, "service/promote"): Pipeline.look_at_candidates,
    ("events", INVOKER, "service/notify"): Pipeline.invalid_upload,
    ("events", "roles/eventarc.eventReceiver", "project"): Pipeline.text,
    ("agent/storage", "roles/pubsub.publisher", "project"): Pipeline.text,
    ("agent/pubsub", "roles/iam.serviceAccountOpenIdTokenCreator", "account/events"): Pipeline.text,
    ("agent/pubsub", "roles/pubsub.publisher", "topic/dead-letters"): Pipeline.undeliverable_message,
    ("agent/pubsub", "roles/pubsub.subscriber", "trigger/on-message"): Pipeline.undeliverable_message,
    ("agent/pubsub", "roles/pubsub.subscriber", "trigger/promote"): Pipeline.undeliverable_order,
    ("agent/pubsub", "roles/pubsub.subscriber", "trigger/on-upload"): Pipeline.undeliverable_upload,
}

RESTARTING = (
    Pipeline.restarted_models,
    Pipeline.text_for_a_new_instance,
    Pipeline.message_for_a_new_instance,
    Pipeline.dead_message_for_a_new_instance,
    Pipeline.table_for_a_new_instance,
)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    folder = tmp_path_factory.mktemp("grants")
    content: dict[str, Any] = yaml.safe_load(LOCAL.read_text())
    content["root"] = str(ROOT)
    content["env"] |= {"PROFILE": "starter", "RECORDS_PER_SHARD": "10", "MODELS_CACHE": str(folder / "cache")}
    content["workflows"]["inference"]["env"] |= {"JOB_THRESHOLD_RECORDS": str(THRESHOLD), "JOB_TASKS": "1"}
    content["services"]["preprocess"]["env"]["CUT_JOB_BYTES"] = str(CUT_JOB_BYTES)
    for name in ("on-upload", "on-message", "promote"):
        content["triggers"][name] |= {"max_delivery_attempts": ATTEMPTS, "backoff": {"min": 0.1, "max": 0.5}}
    models = ["--models=gs://local-models/models.json", "--profile=starter"]
    for part in (content["services"]["gpu-service"], content["jobs"]["gpu-job"]):
        part["command"] = [
            *(word for word in part["command"] if not word.startswith(("--models", "--profile"))),
            *models,
        ]
    (folder / "stack.yaml").write_text(yaml.safe_dump(content))
    (folder / "state").mkdir()
    fill(Store(folder / "state" / "storage"))
    with (
        receiving() as receiver,
        Stack(folder / "state", stack=folder / "stack.yaml") as stack,
        pytest.MonkeyPatch.context() as environment,
    ):
        receiver.answer = status(410)
        (folder / "endpoints.yaml").write_text(json.dumps({"endpoints": endpoints(receiver)}))
        environment.setenv("NOTIFICATIONS", str(folder / "endpoints.yaml"))
        stack.start()
        environment.setenv("STORAGE_EMULATOR_HOST", stack.http)
        environment.setenv("PUBSUB_EMULATOR_HOST", stack.grpc)
        client = storage.Client(project="local-project", credentials=AnonymousCredentials())
        running = Pipeline(stack, client, pubsub_v1.PublisherClient())
        yield running


def endpoints(receiver: Receiver) -> list[dict[str, Any]]:
    """One that wants no notifications, so that they are kept; one that cannot be reached; and a topic."""
    return [
        {"name": "unwilling", "url": receiver.url, "secrets": [SECRET]},
        {"name": "unreachable", "url": "http://127.0.0.1:1/", "secrets": [SECRET]},
        {"name": "topic", "topic": "projects/local-project/topics/notifications"},
    ]


def fill(store: Store) -> None:
    """Puts models, an image, and documents for a replay into the buckets, before the emulator starts."""
    for bucket in ("local-models", "local-input", "local-output"):
        store.buckets.create(bucket)
    profiles = json.loads((MODELS / "models.json").read_text())
    profiles["starter"].append(ON_ENDPOINT)
    store.objects.create("local-models", "models.json", json.dumps(profiles).encode())
    for path in sorted((MODELS / "models").rglob("*.*")):
        store.objects.create("local-models", path.relative_to(MODELS).as_posix(), path.read_bytes())
    image = (ROOT / "samples/images/two-rotated-by-camera.jpg").read_bytes()
    store.objects.create("local-input", "pictures/one.jpg", image, {"contentType": "image/jpeg"})
    experiment = {"stable": "1", "candidate": "2", "share": 0.5, "mode": "split", "experiment": "e"}
    store.objects.create("local-models", "traffic.json", json.dumps({"unserved": experiment}).encode())
    for number in range(REPLAYED):
        store.objects.create("local-output", f"failed/of-another-schema/{number}.json", b"{}")
    store.close()


def test_every_grant_has_an_input_that_needs_it() -> None:
    assert [(each.member, each.role, each.resource) for each in GRANTS] == list(NEEDED_BY)


def test_all_grants_together_suffice(pipeline: Pipeline) -> None:
    before, earlier = pipeline.log.stat().st_size, dict(pipeline.sent)
    for act in dict.fromkeys(NEEDED_BY.values()):
        if act not in RESTARTING:
            act(pipeline)
    expected = {name: status for name, status in pipeline.sent.items() if name not in earlier}
    until(lambda: len(statuses(pipeline, expected)) == len(expected), "a document of each upload", timeout_s=120)
    assert statuses(pipeline, expected) == expected
    for folder in ("results", "rejected", "failed"):
        until(lambda: any_object(pipeline, f"{folder}/messages/"), f"a message in {folder}/")  # noqa: B023
    refusals = [(each["account"], each["permission"]) for each in pipeline.stack.refusals(before)]
    undelivered = policy.email(DESCRIBED, "events"), "run.routes.invoke"
    assert set(refusals) <= {undelivered}


@pytest.mark.parametrize("grant", GRANTS, ids=lambda grant: f"{grant.member} {grant.role} {grant.resource}")
def test_without_a_grant_something_fails_and_names_it(pipeline: Pipeline, grant: Grant) -> None:
    account = policy.email(DESCRIBED, grant.member)
    resource = grants.resource_name(DESCRIBED, grant.resource)
    after = pipeline.log.stat().st_size

    def refused() -> list[dict[str, Any]]:
        return [
            each
            for each in pipeline.stack.refusals(after)
            if each["account"] == account
            and each["permission"] in PERMISSIONS[grant.role]
            and each["resource"].startswith(resource)
        ]

    with pipeline.without(grant):
        NEEDED_BY[grant.member, grant.role, grant.resource](pipeline)
        until(refused, f"a refusal of {account}")
    entry = refused()[0]
    assert entry["permission"] in ROLES[entry["role"]]
    words = ("permission denied", f"account={account}", f"permission={entry['permission']}", f"role={entry['role']}")
    lines = pipeline.stack.log.read_text().splitlines()
    assert any(all(word in line for word in words) for line in lines), "the terminal says it too"


def statuses(pipeline: Pipeline, names: Iterable[str]) -> dict[str, str]:
    """The status of each upload that has a document."""
    blobs = {name: pipeline.objects.bucket("local-output").get_blob(f"latest/{name}.json") for name in names}
    return {name: json.loads(blob.download_as_bytes())["status"] for name, blob in blobs.items() if blob}


def any_object(pipeline: Pipeline, prefix: str) -> bool:
    return any(True for _ in pipeline.objects.list_blobs("local-output", prefix=prefix, max_results=1))


def until(condition: Callable[[], object], what: str, timeout_s: float = 60) -> None:
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up, f"not within {timeout_s} s: {what}"
        time.sleep(0.05)
