"""A whole stack of toy services under the real command: start, readiness, crashes, restarts, shutdown."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import pubsub_v1, storage

from tests.emulator.toy_stack import ROOT, Toy, gone


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    made = Toy(tmp_path)
    yield made
    made.close()


def upload(addresses: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch) -> storage.Blob:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{addresses['http']}")
    client = storage.Client(project="local-project", credentials=AnonymousCredentials())
    blob = client.bucket("toy-input").blob(name)
    blob.upload_from_string("hello", "text/plain")
    return blob


def publish(addresses: dict[str, Any], data: bytes, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", addresses["grpc"])
    publisher = pubsub_v1.PublisherClient()
    return str(publisher.publish("projects/local-project/topics/messages", data).result())


def bearer(addresses: dict[str, Any], service: str) -> dict[str, str]:
    path = "computeMetadata/v1/instance/service-accounts/default/identity"
    url = f"http://{addresses['http']}/{path}?audience={addresses['services'][service]}"
    return {"Authorization": f"Bearer {httpx.get(url, headers={'Metadata-Flavor': 'Google'}).text}"}


def test_events_reach_a_function_and_every_process_ends_with_the_command(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = toy.up()
    blob = upload(addresses, "a folder/hello.txt", monkeypatch)
    message_id = publish(addresses, b"hi", monkeypatch)
    toy.until(lambda: len(toy.seen) == 2)
    uploaded = next(event for event in toy.seen if event["type"].endswith("finalized"))
    assert (uploaded["data"]["name"], uploaded["data"]["generation"]) == ("a folder/hello.txt", str(blob.generation))
    message = next(event for event in toy.seen if event["type"].endswith("messagePublished"))
    assert message["id"] == message["data"]["message"]["messageId"] == message_id

    processes = toy.processes()
    assert len(processes) >= 5  # gunicorn and its worker, the plain service and its child, the reaper
    assert toy.signal(signal.SIGINT) == 0
    assert gone(processes)
    assert not (toy.data / "addresses.json").exists()
    assert "WARNING" not in toy.said.replace("plain is up", "")


def test_service_gets_its_environment(toy: Toy) -> None:
    addresses = toy.up("--memory")
    env = httpx.get(addresses["services"]["plain"], headers=bearer(addresses, "plain")).json()
    assert env["API"] == f"http://{addresses['http']}"
    assert env["PEER"] == addresses["services"]["plain"]
    assert env["PORT"] not in env["PEER"], "the process listens on a port of its own"
    assert (env["K_SERVICE"], env["K_REVISION"]) == ("plain", "plain-local")
    assert env["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert "plain     plain is up port=" in toy.said


@pytest.mark.parametrize("option", ["--verbose", pytest.param("--no-iam", marks=pytest.mark.release)])
def test_with_iam_a_service_has_its_accounts_addresses_and_none_of_the_developers(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    toy.stack.write_text(toy.stack.read_text() + "iam: {}\n")
    addresses = toy.up("--memory", option)
    env = httpx.get(addresses["services"]["plain"], headers=bearer(addresses, "plain")).json()
    enforced = option != "--no-iam"
    assert env["API"] == f"http://{addresses['accounts']['plain']['http']}"
    assert (addresses["http"] in env["API"]) != enforced
    assert ("PUBSUB_EMULATOR_HOST" in env, "GCE_METADATA_HOST" in env) == (not enforced, not enforced)
    listing = httpx.get(f"{env['API']}/storage/v1/b/toy-input/o")
    assert listing.status_code == (403 if enforced else 200)
    if enforced:
        assert "emulator  permission denied account=plain@local-project.iam.gserviceaccount.com" in toy.said
        assert "permission=storage.objects.list role=roles/storage.objectViewer" in toy.said


def test_killed_emulator_leaves_no_process_behind(toy: Toy) -> None:
    toy.up()
    processes = toy.processes()
    toy.signal(signal.SIGKILL)
    toy.until(lambda: gone(processes))


@pytest.mark.release
def test_undelivered_events_survive_a_kill(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    (toy.folder / "fail").touch()
    addresses = toy.up()
    upload(addresses, "hello.txt", monkeypatch)
    toy.until(lambda: toy.seen)
    processes = toy.processes()
    toy.signal(signal.SIGKILL)
    toy.until(lambda: gone(processes))
    (toy.folder / "fail").unlink()
    attempts = len(toy.seen)
    assert toy.up()["services"] == addresses["services"], "the free ports of the previous run are used again"
    toy.until(lambda: len(toy.seen) > attempts)
    assert {event["id"] for event in toy.seen} == {toy.seen[0]["id"]}


@pytest.mark.release
def test_acknowledged_publish_survives_a_kill(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", toy.up()["grpc"])
    publisher = pubsub_v1.PublisherClient()
    futures = [publisher.publish("projects/local-project/topics/dead-letters", b"%d" % n) for n in range(300)]
    published = {future.result() for future in futures}
    toy.signal(signal.SIGKILL)
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", toy.up()["grpc"])
    with pubsub_v1.SubscriberClient() as subscriber:
        name = "projects/local-project/subscriptions/dead-letters"
        pulled = subscriber.pull(subscription=name, max_messages=1000).received_messages
    assert {item.message.message_id for item in pulled} == published


def test_crashed_service_is_restarted_and_no_event_is_lost(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = toy.up()
    toy.service("functions-framework", "gunicorn: master").kill()  # gunicorn renames itself if setproctitle is there
    toy.until(lambda: "restarting" in toy.said)
    publish(addresses, b"meanwhile", monkeypatch)
    toy.until(lambda: toy.seen)
    assert "toy       it was ended by SIGKILL; restarting in 0.5 s" in toy.said
    assert toy.seen[0]["data"]["deliveryAttempt"] == 1, "the event waited for the service without using up an attempt"


def test_killed_service_answers_503_until_it_has_restarted(toy: Toy) -> None:
    addresses = toy.up("--memory")
    url, headers = addresses["services"]["plain"], bearer(addresses, "plain")
    assert httpx.get(url).status_code == 403
    os.killpg(toy.service("plain.py").pid, signal.SIGKILL)
    statuses = [httpx.get(url, headers=headers).status_code]
    toy.until(lambda: statuses.append(httpx.get(url, headers=headers).status_code) or statuses[-1] == 200)
    assert set(statuses) == {503, 200}


def test_failing_message_ends_in_the_dead_letter_subscription(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    (toy.folder / "fail").touch()
    addresses = toy.up()
    publish(addresses, b"poison", monkeypatch)
    subscriber = pubsub_v1.SubscriberClient()
    name = "projects/local-project/subscriptions/dead-letters"
    (dead,) = subscriber.pull(subscription=name, max_messages=1).received_messages
    assert dead.message.data == b"poison"
    assert dead.message.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"
    assert [event["data"]["deliveryAttempt"] for event in toy.seen] == [1, 2, 3, 4, 5]
    assert "toy       ValueError: as the test requires" in toy.said
    subscriber.close()


@pytest.mark.parametrize(
    ("program", "output"),
    [
        ("raise SystemExit('no licence found')", "no licence found"),
        ("import json\njson.loads('{')", "JSONDecodeError"),
    ],
)
def test_service_that_cannot_start_ends_the_command_with_its_output(toy: Toy, program: str, output: str) -> None:
    (toy.folder / "plain.py").write_text(program)
    toy.run("--free-ports").until(lambda: toy.ended)
    assert toy.process
    assert toy.process.returncode == 1
    assert "emulator: plain could not start: it ended with status 1" in toy.said
    assert output in toy.said
    assert not (toy.data / "addresses.json").exists()


@pytest.mark.release
def test_service_that_never_becomes_ready_ends_the_command(toy: Toy) -> None:
    toy.stack.write_text(toy.stack.read_text().replace("ready_timeout_s: 30", "ready_timeout_s: 1"))
    (toy.folder / "plain.py").write_text("import time; time.sleep(600)")
    toy.run("--free-ports").until(lambda: toy.ended)
    assert "plain could not start: it was not ready after 1 s" in toy.said


def test_invalid_workflow_ends_the_command_and_names_the_file(toy: Toy) -> None:
    (toy.folder / "flow.yaml").write_text("main: {steps: [{a: {cal: sys.log}}]}")
    with toy.stack.open("a") as stack:
        stack.write("workflows: {flow: {source: flow.yaml}}\n")
    toy.run("--free-ports").until(lambda: toy.ended)
    assert toy.process
    assert toy.process.returncode == 1
    assert "workflow flow" in toy.said
    assert "flow.yaml" in toy.said
    assert "Traceback" not in toy.said


@pytest.mark.parametrize("which", ["--http-port", "--grpc-port"])
def test_taken_port_is_reported_with_the_option_to_change_it(toy: Toy, which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        toy.run("--free-ports", which, str(port)).until(lambda: toy.ended)
    assert f"port {port}" in toy.said
    assert which in toy.said
    assert "Traceback" not in toy.said


@pytest.mark.release
def test_second_emulator_on_the_same_folder_is_refused(toy: Toy) -> None:
    toy.up()
    command = [sys.executable, "-m", "emulator", "--stack", str(toy.stack), "--data", str(toy.data), "--free-ports"]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert f"another emulator uses {toy.data}" in second.stderr
    assert (toy.data / "addresses.json").exists()


@pytest.mark.release
def test_interrupted_start_leaves_no_process_behind(toy: Toy) -> None:
    (toy.folder / "plain.py").write_text("import time; time.sleep(600)")
    toy.run("--free-ports")
    toy.until(lambda: "toy       ready" in toy.said)
    processes = toy.processes()
    assert toy.signal(signal.SIGTERM) == 0
    assert gone(processes)


@pytest.mark.release
def test_env_prints_export_lines_while_an_emulator_is_running(toy: Toy) -> None:
    addresses = toy.up()
    command = [sys.executable, "-m", "emulator", "env", "--data", str(toy.data)]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"export STORAGE_EMULATOR_HOST=http://{addresses['http']}\n" in shown
    assert f"export PUBSUB_EMULATOR_HOST={addresses['grpc']}\n" in shown
    toy.close()
    after = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (after.returncode, after.stdout) == (1, "")
    assert "no emulator is running" in after.stderr
