from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.stack import loader
from emulator.stack.model import Bucket, Grant, Iam, Stack, StackError, is_wanted
from emulator.stack.problems import problems
from emulator.storage.errors import InvalidError
from emulator.storage.names import check_bucket_name

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
    orders = {"promotions"}  # which follow each other every ten minutes
    inputs = [trigger for trigger in local.triggers if trigger.topic not in dead_letter_topics | orders]
    assert all(trigger.dead_letter_topic for trigger in inputs)


def test_defaults_are_those_of_google_cloud(tmp_path: Path) -> None:
    trigger = "{event: google.cloud.pubsub.topic.v1.messagePublished, topic: news, service: s}"
    made = load(tmp_path, f"topics: [news]\nservices: {{s: {{command: [x]}}}}\ntriggers: {{a: {trigger}}}")
    (only,) = made.triggers
    assert (only.backoff.min, only.backoff.max, only.max_delivery_attempts) == (10, 600, 5)
    assert (made.ports.http, made.ports.grpc) == (9010, 9011)
    assert made.root == tmp_path


@pytest.mark.parametrize("text", ["", "ports:\ntopics:\nservices:\nenv:"])
def test_empty_file_and_empty_sections_are_an_empty_stack(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == Stack(path=tmp_path / "stack.yaml", root=tmp_path)


def test_bucket_needs_no_keys(tmp_path: Path) -> None:
    assert load(tmp_path, "buckets: {first: , second: {}}").buckets == (Bucket("first"), Bucket("second"))


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
    assert load(tmp_path, "topics: [news]").iam is None


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
        (
            "notifications: {n: {bucket: b, topic: t}}",
            "notifications.n.bucket: there is no bucket 'b'; add it to buckets",
        ),
        ("buckets: {a: {lifecycle: 7}}", "buckets.a.lifecycle: unknown key; did you mean 'lifecycle_days'?"),
        ("topics: a", "topics: must be a list"),
        ("env: {A: 1}", "env.A: must be a string (quote numbers"),
        ("env: {A: 2024-01-01}", "env.A: must be a string"),
        ("env: {1: a}", "env.1: must be a string"),
        ("subscriptions: {all: {topic: news}}", "subscriptions.all.topic: there is no topic 'news'; add it to topics"),
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
            "buckets: {bin: {}}\n"
            "triggers: {a: {event: google.cloud.storage.object.v1.finalized, service: s, bucket: bin}}",
            "triggers.a.service: there is no service 's'; add it to services",
        ),
        (
            "triggers: {a: {event: google.cloud.storage.object.v1.finalized, service: s, topic: news}}",
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
        ("project: Mine", "project: not a valid project; use lower-case letters"),
        ("buckets: {Upper: {}}", "buckets.Upper: not a valid bucket name; use 3 to 63 lower-case letters"),
        ("buckets: {goog-x: {}}", "buckets.goog-x: not a valid bucket name"),
        ("buckets: {1.2.3.4: {}}", "buckets.1.2.3.4: not a valid bucket name"),
        ("topics: [a b]", "topics[0]: not a valid name; use 3 to 255 letters"),
        ("topics: [google-x]", "topics[0]: not a valid name"),
        ("subscriptions: {a/b: {topic: t}}", "subscriptions.a/b: not a valid name"),
        ("triggers: {a/b: {event: x, service: y}}", "triggers.a/b: not a valid name"),
        ("workflows: {w-: {source: x}}", "workflows.w-: not a valid name; use letters, digits, hyphens"),
        ("schedules: {a: {schedule: '* * * *', topic: new, message: m}}", "schedules.a.schedule: not a cron schedule"),
        (
            "schedules: {a: {schedule: '* * * * *', topic: new, message: m}}",
            "schedules.a.topic: there is no topic 'new'",
        ),
        (
            "topics: [new]\nschedules: {a: {schedule: '* * * * *', topic: new, message: m, time_zone: Berlin}}",
            "schedules.a.time_zone: there is no time zone 'Berlin'; write a name such as Europe/Berlin",
        ),
    ],
)
def test_a_mistake_is_reported_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(StackError) as caught:
        load(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/stack.yaml: ")
    assert problem in str(caught.value)


@given(st.text("ago0l1e.-_A", min_size=1, max_size=8) | st.sampled_from(["1.2.3.4", "a" * 63, "a" * 64, "google"]))
def test_bucket_names_are_those_that_the_store_accepts(name: str) -> None:
    try:
        check_bucket_name(name)
        valid = True
    except InvalidError:
        valid = False
    assert (not problems({"buckets": {name: {}}})) == valid


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


OPTIONAL = """
buckets: {a-bucket: {}}
topics: [news]
services: {s: {command: [x], when: "{env.OPTION:}"}, always: {command: [x], when: "{env.OPTION:yes}"}}
triggers: {t: {event: google.cloud.pubsub.topic.v1.messagePublished, topic: news, service: s, when: "{env.OPTION:}"}}
notifications: {n: {bucket: a-bucket, topic: news, prefix: results/, when: "{env.OPTION:}"}}
iam:
  grants:
    - {member: events, role: roles/run.invoker, resource: service/s}
    - {member: s, role: roles/pubsub.publisher, resource: topic/news}
"""


def test_entries_that_an_empty_variable_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPTION", raising=False)
    without = load(tmp_path, OPTIONAL)
    assert [service.name for service in without.services] == ["always"]
    assert (without.triggers, [grant.resource for grant in without.iam.grants]) == ((), ["topic/news"])
    assert not is_wanted(without.notifications[0])
    monkeypatch.setenv("OPTION", "file.yaml")
    complete = load(tmp_path, OPTIONAL)
    assert [service.name for service in complete.services] == ["s", "always"]
    assert len(complete.triggers) == 1
    assert len(complete.iam.grants) == 2
    assert is_wanted(complete.notifications[0])
