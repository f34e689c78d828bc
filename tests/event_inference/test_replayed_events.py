"""The events that `einf events replay` sends, as the functions read them."""

import base64
import json
from pathlib import Path

import pytest
from cloudevents.http import CloudEvent, from_json

from event_inference import InputError, TargetError, names, replayed_events
from pipeline.inputs.events import Message
from pipeline.inputs.uploads import Upload
from tests.event_inference.conftest import Emulated

INSTANCES = {"instances": [{"text": "A delight."}]}


def received(event: replayed_events.CloudEvent) -> CloudEvent:
    """The event as it is sent, parsed as the functions' framework does."""
    parsed: CloudEvent = from_json(json.dumps(event))
    return parsed


@pytest.fixture
def message(laptop: Emulated) -> str:
    """The name of a message that the pipeline has kept."""
    topic = laptop.target.topic
    job = names.job_of_message(topic, "17")
    blob = laptop.client.connection.work.blob(f"messages/{job}.json")
    blob.metadata = {"document": f"messages/{topic}/id-17"}
    blob.upload_from_string(json.dumps(INSTANCES))
    return f"{topic}/17"


def test_the_event_of_an_upload(laptop: Emulated):
    sent = laptop.client.submit(b"x", name="texts/a.txt", metadata={"top_k": "1"})
    laptop.document("results", "texts/a.txt", sent.generation, lineage={"event_id": "first"})
    event = received(replayed_events.of_input(laptop.client, "texts/a.txt"))
    upload = Upload.parse(event.data)
    assert (event["id"], replayed_events.service({"type": event["type"]})) == ("first", "on-upload")
    assert (upload.name, upload.generation, upload.metadata["top_k"]) == ("texts/a.txt", sent.generation, "1")


@pytest.mark.parametrize("by_job", [False, True])
def test_the_event_of_a_message(laptop: Emulated, message: str, by_job: bool):
    name = names.job_of_message(*message.split("/")) if by_job else message
    event = received(replayed_events.of_input(laptop.client, name))
    parsed = Message.parse(event)
    assert (event["id"], replayed_events.service({"type": event["type"]})) == ("17", "on-message")
    assert (parsed.topic, parsed.id) == tuple(message.split("/"))
    assert json.loads(base64.b64decode(str(parsed.data))) == INSTANCES


@pytest.mark.parametrize("name", ["texts/none.txt", "messages/18"])
def test_what_is_gone_has_no_event(laptop: Emulated, name: str):
    with pytest.raises(InputError, match=f"{name} does not exist"):
        replayed_events.of_input(laptop.client, name)


@pytest.mark.parametrize(
    ("content", "reason"), [("{", "cannot be read as JSON"), ("[]", "lacks id, source, type"), ('{"id": 1}', "lacks")]
)
def test_a_file_that_is_no_event(tmp_path: Path, content: str, reason: str):
    (tmp_path / "event.json").write_text(content)
    with pytest.raises(InputError, match=reason):
        replayed_events.read(tmp_path / "event.json")


def test_the_service_must_exist(laptop: Emulated):
    event = {"id": "1", "source": "//x", "type": "org.example.made"}
    with pytest.raises(InputError, match="--to"):
        replayed_events.service(event)
    with pytest.raises(TargetError, match="no service on-upload"):
        replayed_events.send(laptop.target, event, "on-upload", 1)
