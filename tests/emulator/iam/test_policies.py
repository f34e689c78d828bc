"""Policies as the APIs show and change them at run time, and after a restart."""

import asyncio
import logging
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.api_core import exceptions

from emulator.server import Emulator
from tests.emulator.iam.conftest import Bucket
from tests.emulator.iam.stack import JOB, SUBSCRIPTION, TOPIC, email, stack


def bindings(running: Emulator, path: str, verb: str = "GET") -> list[dict[str, Any]]:
    answer = httpx.request(verb, f"http://{running.http}{path}", headers={"Content-Length": "0"})
    bindings: list[dict[str, Any]] = answer.json().get("bindings", [])
    return bindings


@pytest.mark.parametrize(
    ("verb", "path", "role", "member"),
    [
        ("GET", "/storage/v1/b/files/iam", "roles/storage.objectViewer", "viewer"),
        ("POST", "/v1/projects/p:getIamPolicy", "roles/workflows.invoker", "starter"),
        ("GET", f"/v1/{TOPIC}:getIamPolicy", "roles/pubsub.publisher", "publisher"),
        ("GET", f"/v1/{SUBSCRIPTION}:getIamPolicy", "roles/pubsub.subscriber", "subscriber"),
        ("GET", f"/v2/{JOB}:getIamPolicy", "roles/run.jobsExecutor", "starter"),
        (
            "GET",
            "/v2/projects/p/locations/us-central1/services/viewer:getIamPolicy",
            "roles/run.invoker",
            "runner",
        ),
    ],
)
def test_every_policy_shows_the_stacks_grants(running: Emulator, verb: str, path: str, role: str, member: str) -> None:
    expected = {"role": role, "members": [f"serviceAccount:{email(member)}"]}
    assert expected in bindings(running, path, verb)


def test_a_binding_that_is_taken_away_is_missed_at_once(
    running: Emulator, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    developer = httpx.Client(base_url=f"http://{running.http}")
    policy = developer.get("/storage/v1/b/files/iam").json()
    left = [each for each in policy["bindings"] if email("viewer") not in str(each["members"])]
    developer.put("/storage/v1/b/files/iam", json={"bindings": left})
    with caplog.at_level(logging.WARNING), pytest.raises(exceptions.Forbidden, match=re.escape("storage.objects.get")):
        bucket("viewer").blob("kept").download_as_bytes()
    roles = {
        (each["account"], each["permission"]): each["role"] for each in map(vars, caplog.records) if "role" in each
    }
    assert roles[email("viewer"), "storage.objects.get"] == "roles/storage.objectViewer"
    developer.put("/storage/v1/b/files/iam", json={"bindings": policy["bindings"]})
    assert bucket("viewer").blob("kept").download_as_bytes() == b"data"


def test_nobody_grants_themselves_anything(running: Emulator) -> None:
    port = running.accounts["user"].http
    for path in ("/storage/v1/b/files/iam", "/v1/projects/p:setIamPolicy", f"/v2/{JOB}:setIamPolicy"):
        verb = "PUT" if path.startswith("/storage") else "POST"
        assert httpx.request(verb, f"http://{port}{path}", json={"policy": {}}).status_code == 403


def test_a_start_restores_the_stacks_policies_and_keeps_those_of_other_buckets(tmp_path: Path) -> None:
    async def check() -> None:
        described, data = stack(tmp_path), tmp_path / "data"
        urls = dict.fromkeys((service.name for service in described.services), "http://127.0.0.1:1")
        owned = [{"role": "roles/storage.objectViewer", "members": ["allUsers"]}]
        async with Emulator(described, data, services=urls) as emulator:
            emulator.storage.buckets.create("extra")
            emulator.storage.policies.set("extra", {"bindings": owned})
            emulator.storage.policies.set("files", {"bindings": []})
        async with Emulator(described, data, services=urls) as emulator:
            async with httpx.AsyncClient(base_url=f"http://{emulator.accounts['viewer'].http}") as http:
                listings = [await http.get(f"/storage/v1/b/{name}/o") for name in ("files", "extra", "other")]
            assert [listing.status_code for listing in listings] == [200, 200, 403]

    asyncio.run(check())


def test_a_bucket_or_topic_with_a_deleted_ones_name_has_none_of_its_grants(running: Emulator) -> None:
    viewer = {"bindings": [{"role": "roles/storage.objectViewer", "members": ["allUsers"]}]}
    publisher = {"policy": {"bindings": [{"role": "roles/pubsub.publisher", "members": ["allUsers"]}]}}
    message, topic = {"messages": [{"data": "aGk="}]}, "/v1/projects/p/topics/passing"
    with (
        httpx.Client(base_url=f"http://{running.http}") as owner,
        httpx.Client(base_url=f"http://{running.accounts['nobody'].http}") as nobody,
    ):
        for granted in (200, 403):
            owner.post("/storage/v1/b?project=p", json={"name": "passing"})
            owner.put(topic)
            if granted == 200:
                owner.put("/storage/v1/b/passing/iam", json=viewer)
                owner.post(f"{topic}:setIamPolicy", json=publisher)
            assert nobody.get("/storage/v1/b/passing/o").status_code == granted
            assert nobody.post(f"{topic}:publish", json=message).status_code == granted
            owner.delete("/storage/v1/b/passing")
            owner.delete(topic)
