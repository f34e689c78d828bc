from pathlib import Path

import pytest

from emulator.stack import loader
from emulator.stack.model import Stack, StackError

LOCAL = Path(__file__).resolve().parents[3] / "deploy" / "local" / "stack.yaml"


def load(folder: Path, text: str) -> Stack:
    file = folder / "stack.yaml"
    file.write_text(text)
    return loader.load(file)


def test_the_local_stack_is_right() -> None:
    local = loader.load(LOCAL)
    assert local.root == LOCAL.parents[2]
    for service in local.services:
        assert service.function is None or service.function.startswith("functions/")
    buried = {trigger.dead_letter_topic for trigger in local.triggers if trigger.dead_letter_topic}
    assert all(trigger.dead_letter_topic for trigger in local.triggers if trigger.topic not in buried)


def test_defaults_are_the_services_own(tmp_path: Path) -> None:
    trigger = "{event: google.cloud.pubsub.topic.v1.messagePublished, topic: t, service: s}"
    made = load(tmp_path, f"topics: [t]\nservices: {{s: {{command: [x]}}}}\ntriggers: {{a: {trigger}}}")
    (only,) = made.triggers
    assert (only.backoff.min, only.backoff.max, only.max_delivery_attempts) == (10, 600, 5)
    assert (made.http_port, made.grpc_port) == (9010, 9011)
    assert made.root == tmp_path


def test_empty_file_is_an_empty_stack(tmp_path: Path) -> None:
    assert load(tmp_path, "").services == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "not YAML"),
        ("[]", "must be a mapping"),
        ("service: {}", "service: unknown; there is project"),
        ("ports: {http: many}", "ports.http: must be a number from 0 to 65535"),
        ("ports: {http: true}", "ports.http: must be a number"),
        ("buckets: [a]", "buckets: must be a mapping from names"),
        ("buckets: {a: {lifecycle: 7}}", "buckets.a.lifecycle: unknown"),
        ("topics: a", "topics: must be a list"),
        ("env: {A: 1}", "env.A: must be a string"),
        ("subscriptions: {a: {topic: t}}", "subscriptions.a: there is no topic 't'"),
        ("services: {a: {port: 1}}", "services.a: give either a function"),
        ("services: {a: {command: [x], function: f}}", "services.a: give either a function"),
        ("services: {A_b: {command: [x]}}", "services.A_b: a service's name is"),
        ("services: {a: {command: []}}", "services.a.command: must not be empty"),
        ("services: {a: {function: main.py}}", "services.a.target: must be a string"),
        ("services: {a: {function: m.py, target: t, signature: grpc}}", "services.a.signature: must be http"),
        ("services: {a: {command: [x], invokers: me}}", "services.a.invokers: must be a list"),
        ("workflows: {a: {source: x, service_account: 1}}", "workflows.a.service_account: must be a string"),
        ("triggers: {a: {event: x, service: s}}", "triggers.a.event: unknown; there is google.cloud.storage"),
        (
            "services: {s: {command: [x]}}\n"
            "triggers: {a: {event: google.cloud.storage.object.v1.finalized, service: s, bucket: b}}",
            "triggers.a: there is no bucket 'b'",
        ),
        (
            "buckets: {b: {}}\ntriggers: {a: {event: google.cloud.storage.object.v1.finalized, service: s, bucket: b}}",
            "triggers.a: there is no service 's'",
        ),
        (
            "triggers: {a: {event: google.cloud.storage.object.v1.finalized, service: s, topic: t}}",
            "triggers.a.topic: google.cloud.storage.object.v1.finalized takes a bucket",
        ),
        (
            "triggers: {a: {event: google.cloud.storage.object.v1.deleted, service: s, bucket: b,"
            " max_delivery_attempts: 3}}",
            "triggers.a.max_delivery_attempts: must be a number from 5 to 100",
        ),
        (
            "triggers: {a: {event: google.cloud.storage.object.v1.finalized, bucket: b}}",
            "triggers.a.service: must be a string",
        ),
        (
            "services: {s: {command: [x]}}\n"
            "triggers: {a: {event: google.cloud.storage.object.v1.finalized, service: s, bucket: b,"
            " backoff: {min: 20, max: 10}}}",
            "triggers.a.backoff: min must not exceed max",
        ),
        ("workflows: {a: {env: {A: b}}}", "workflows.a.source: must be a string"),
        ("examples: []", "examples: must be a string"),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(StackError) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/stack.yaml: ")
    assert problem in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"nowhere.yaml: No such file"):
        loader.load(tmp_path / "nowhere.yaml")
