"""Notifications that endpoints did not take: how they are listed, and what sending them again publishes."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from event_inference.errors import UnreachableError
from event_inference.targets import Target
from tests.event_inference.conftest import Emulated, Ended

JOB = "0123456789abcdef0123456789abcdef"
TOPIC = "notification-retries"

Invoke = Callable[..., Ended]


def keep(laptop: Emulated, endpoint: str, generation: int) -> dict[str, Any]:
    """Writes a record as the pipeline does."""
    data = {"job": JOB, "status": "failed", "kind": "text", "document": f"gs://out/failed/a.txt/{generation}.json"}
    record = {
        "schema": "undelivered/v1",
        "endpoint": endpoint,
        "id": f"{JOB}.{generation}",
        "body": json.dumps({"type": "document.failed", "timestamp": "2026-01-31T12:00:00Z", "data": data}),
        "error": {"code": "http_500", "message": "The receiver answered 500."},
        "first_attempt_at": "2026-01-28T12:00:00.000Z",
        "given_up_at": "2026-01-31T12:00:00.000Z",
    }
    laptop.write(f"undelivered/{endpoint}/{record['id']}.json", json.dumps(record))
    return record


@pytest.fixture
def env(laptop: Emulated) -> dict[str, str]:
    """The variables by which the command finds the emulator."""
    return {
        "STORAGE_EMULATOR_HOST": f"http://{laptop.http}",
        "PUBSUB_EMULATOR_HOST": laptop.grpc,
        "WORKFLOWS_EMULATOR_HOST": laptop.grpc,
    }


def test_they_are_listed_by_endpoint(laptop: Emulated, invoke: Invoke, env: dict[str, str]) -> None:
    for endpoint, generation in (("crm", 1), ("crm", 2), ("erp", 1)):
        keep(laptop, endpoint, generation)
    listed = invoke("notifications", "list", env=env)
    assert listed.status == 0
    assert len(listed.out.splitlines()) == 4
    assert "gs://out/failed/a.txt/1.json" in listed.out
    (only,) = invoke("notifications", "list", "--endpoint", "erp", "--json", env=env).json
    assert (only["endpoint"], only["id"], only["code"]) == ("erp", f"{JOB}.1", "http_500")
    assert [each.id for each in laptop.client.undelivered("crm")] == [f"{JOB}.1", f"{JOB}.2"]


def test_sending_again_publishes_them_with_their_ids_and_forgets_them(
    laptop: Emulated, invoke: Invoke, env: dict[str, str]
) -> None:
    record = keep(laptop, "crm", 1)
    keep(laptop, "erp", 1)
    counted = invoke("notifications", "replay", "--endpoint", "crm", "--dry-run", env=env)
    assert counted.out.splitlines()[-1] == "1 notification would be sent again"
    assert laptop.orders(TOPIC) == []
    assert invoke("notifications", "replay", "--endpoint", "crm", env=env).out == "1 notification sent again\n"
    (message,) = laptop.orders(TOPIC)
    assert message.pop("since") > record["given_up_at"]
    assert message == {key: record[key] for key in ("endpoint", "id", "body")}
    assert [each.endpoint for each in laptop.client.undelivered()] == ["erp"]


def test_what_is_sent_again_is_chosen_on_purpose(laptop: Emulated, invoke: Invoke, env: dict[str, str]) -> None:
    keep(laptop, "crm", 1)
    refused = invoke("notifications", "replay", env=env)
    assert (refused.status, "add --all" in refused.err) == (2, True)
    unknown = invoke("notifications", "replay", f"{JOB}.7", env=env)
    assert (unknown.status, f"no undelivered notification {JOB}.7" in unknown.err) == (2, True)
    assert invoke("notifications", "replay", f"{JOB}.1", "--json", env=env).json[0]["order"]["endpoint"] == "crm"


def test_one_that_was_sent_again_meanwhile_is_not_an_error(laptop: Emulated) -> None:
    keep(laptop, "crm", 1)
    (found,) = laptop.client.undelivered()
    for _ in range(2):
        laptop.client.send_again(found)
    assert len(laptop.orders(TOPIC)) == 2


def test_one_that_cannot_be_published_stays_listed(laptop: Emulated) -> None:
    keep(laptop, "crm", 1)
    (found,) = laptop.client.undelivered()
    topic = laptop.client.target.notification_retries_path
    laptop.client.connection.publisher.delete_topic(topic=topic)
    with pytest.raises(UnreachableError):
        laptop.client.send_again(found)
    assert list(laptop.client.undelivered()) == [found]


def test_in_a_cloud_the_topic_has_the_prefix_of_the_deployment() -> None:
    target = Target.cloud(origin="test", project="my-project", service_prefix="eu")
    assert target.notification_retries_path == "projects/my-project/topics/eu-notification-retries"
