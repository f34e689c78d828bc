from pathlib import Path

import pytest

from emulator.stack import loader
from emulator.stack.model import Bucket, Grant, Iam, Stack, StackError

LOCAL = Path(__file__).resolve().parents[3] / "deploy" / "local" / "stack.yaml"


def load(folder: Path, text: str) -> Stack:
    file = folder / "stack.yaml"
    file.write_text(text)
    return loader.load(file)


def test_the_local_stack_file_is_valid() -> None:
    local = loader.load(LOCAL)
    assert local.root == LOCAL.parents[2]
    for service in local.services:
        assert service.function is None or service.function.startswith("functions/")
    dead_letter_topics = {trigger.dead_letter_topic for trigger in local.triggers if trigger.dead_letter_topic}
    assert all(trigger.dead_letter_topic for trigger in local.triggers if trigger.topic not in dead_letter_topics)


def test_defaults_are_those_of_google_cloud(tmp_path: Path) -> None:
    trigger = "{event: google.cloud.pubsub.topic.v1.messagePublished, topic: t, service: s}"
    made = load(tmp_path, f"topics: [t]\nservices: {{s: {{command: [x]}}}}\ntriggers: {{a: {trigger}}}")
    (only,) = made.triggers
    assert (only.backoff.min, only.backoff.max, only.max_delivery_attempts) == (10, 600, 5)
    assert (made.ports.http, made.ports.grpc) == (9010, 9011)
    assert made.root == tmp_path


@pytest.mark.parametrize("text", ["", "ports:\ntopics:\nservices:\nenv:"])
def test_empty_file_and_empty_sections_are_an_empty_stack(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == Stack(path=tmp_path / "stack.yaml", root=tmp_path)


def test_bucket_needs_no_keys(tmp_path: Path) -> None:
    assert load(tmp_path, "buckets: {a: , b: {}}").buckets == (Bucket("a"), Bucket("b"))


def test_grants_come_from_the_section_and_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("- {member: b, role: roles/run.invoker, resource: project}")
    grants = "[{member: a, role: own, resource: project, condition: resource.name == 'x'}]"
    iam = load(tmp_path, f"iam: {{file: more.yaml, roles: {{own: [a.b.c]}}, grants: {grants}}}").iam
    assert iam == Iam(
        (Grant("a", "own", "project", "resource.name == 'x'"), Grant("b", "roles/run.invoker", "project")),
        {"own": ("a.b.c",)},
    )


def test_an_empty_section_enforces_that_nothing_is_granted(tmp_path: Path) -> None:
    assert load(tmp_path, "iam: {}").iam == Iam()
    assert load(tmp_path, "topics: [t]").iam is None


def test_a_file_of_grants_is_checked_like_the_section(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("- {member: b, rolle: roles/run.invoker, resource: project}")
    with pytest.raises(StackError, match=r"more\.yaml: \[0\]\.rolle: unknown key; did you mean 'role'"):
        load(tmp_path, "iam: {file: more.yaml}")
    with pytest.raises(StackError, match=r"none\.yaml: No such file"):
        load(tmp_path, "iam: {file: none.yaml}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("iam: {grants: [{member: a, role: roles/x, resource: project}]}", "list its permissions under iam.roles"),
        ("iam: {grants: [{member: a, role: roles/run.invoker, resource: bucket/b}]}", "there is no bucket 'b'"),
        ("iam: {grants: [{member: a, role: roles/run.invoker, resource: buckets/b}]}", "must be project, or bucket/"),
        ("iam: {grants: [{member: a, resource: project}]}", "iam.grants[0].role: missing, but required"),
        (
            "iam: {grants: [{member: a, role: roles/run.invoker, resource: project, condition: request.auth}]}",
            "the condition 'request.auth' is not supported",
        ),
        ("a: [", "not YAML"),
        ("[]", "must be a mapping"),
        ("service: {}", "service: unknown key; did you mean 'services'? Known keys: project, location"),
        ("x: {}", "x: unknown key; known keys: project, location"),
        ("ports: {http: many}", "ports.http: must be a whole number from 0 to 65535"),
        ("ports: {http: true}", "ports.http: must be a whole number"),
        ("buckets: [a]", "buckets: must be a mapping from names"),
        ("buckets: {a: {lifecycle: 7}}", "buckets.a.lifecycle: unknown key; did you mean 'lifecycle_days'?"),
        ("topics: a", "topics: must be a list"),
        ("env: {A: 1}", "env.A: must be a string (quote numbers"),
        ("env: {A: 2024-01-01}", "env.A: must be a string"),
        ("env: {1: a}", "env.1: must be a string"),
        ("subscriptions: {a: {topic: t}}", "subscriptions.a.topic: there is no topic 't'; add it to topics"),
        ("services: {a: {port: 1}}", "services.a: give either a function"),
        ("services: {a: {command: [x], function: f}}", "services.a: give either a function"),
        ("services: {A_b: {command: [x]}}", "services.A_b: not a valid name; use lower-case letters"),
        ("services: {a: {command: []}}", "services.a.command: must not be empty"),
        ("services: {a: {function: main.py}}", "services.a.target: missing, but required"),
        ("services: {a: {function: m.py, target: t, signature: grpc}}", "services.a.signature: must be one of http"),
        ("services: {a: {command: [x], invokers: me}}", "services.a.invokers: must be a list"),
        ("workflows: {a: {source: x, service_account: 1}}", "workflows.a.service_account: must be a string"),
        ("triggers: {a: {event: x, service: s}}", "triggers.a.event: must be one of google.cloud.storage"),
        (
            "services: {s: {command: [x]}}\n"
            "triggers: {a: {event: google.cloud.storage.object.v1.finalized, service: s, bucket: b}}",
            "triggers.a.bucket: there is no bucket 'b'; add it to buckets",
        ),
        (
            "buckets: {b: {}}\ntriggers: {a: {event: google.cloud.storage.object.v1.finalized, service: s, bucket: b}}",
            "triggers.a.service: there is no service 's'; add it to services",
        ),
        (
            "triggers: {a: {event: google.cloud.storage.object.v1.finalized, service: s, topic: t}}",
            "triggers.a.topic: a Cloud Storage event takes a bucket",
        ),
        (
            "triggers: {a: {event: google.cloud.storage.object.v1.deleted, service: s, bucket: b,"
            " max_delivery_attempts: 3}}",
            "triggers.a.max_delivery_attempts: must be a whole number from 5 to 100",
        ),
        (
            "triggers: {a: {event: google.cloud.storage.object.v1.finalized, bucket: b}}",
            "triggers.a.service: missing, but required",
        ),
        (
            "services: {s: {command: [x]}}\n"
            "triggers: {a: {event: google.cloud.storage.object.v1.finalized, service: s, bucket: b,"
            " backoff: {min: 20, max: 10}}}",
            "triggers.a.backoff: min must not exceed max",
        ),
        ("workflows: {a: {env: {A: b}}}", "workflows.a.source: missing, but required"),
        ("examples: []", "examples: must be a string"),
    ],
)
def test_a_mistake_is_reported_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(StackError) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/stack.yaml: ")
    assert problem in str(caught.value)


def test_all_mistakes_are_reported_together(tmp_path: Path) -> None:
    with pytest.raises(StackError) as caught:
        load(tmp_path, "topics: a\nenv: {A: 1}\nservices: {s: }")
    file = tmp_path / "stack.yaml"
    assert str(caught.value).splitlines() == [
        f"{file}: topics: must be a list",
        f"{file}: env.A: must be a string (quote numbers, true and false)",
        f"{file}: services.s: must be a mapping",
    ]


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"nowhere.yaml: No such file"):
        loader.load(tmp_path / "nowhere.yaml")
