"""The file of endpoints: what is refused, what a mistake says, and that a bad new version changes nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from notifying.endpoints import REFRESH_SECONDS, Endpoint, Endpoints, parse
from notifying.notification import Notification
from pipeline.errors import ConfigurationError
from tests.functions.conftest import Logged
from tests.functions.notify.receiver import OLDER, SECRET

URL = "https://hooks.example.com/predictions"
WEBHOOK = {"name": "crm", "url": URL, "secrets": [SECRET]}


def read(*entries: Any, **options: Any) -> dict[str, Endpoint]:
    return parse(json.dumps({"endpoints": entries}).encode(), **options)


def test_a_file_in_yaml_has_webhooks_and_topics_with_filters() -> None:
    text = f"""
endpoints:
  - name: crm
    url: {URL}
    secrets: [{SECRET}, {OLDER}]
    status: [rejected, failed]
    kind: text
    prefix: orders/
  - {{name: warehouse, topic: projects/my-project/topics/inference-notifications}}
"""
    endpoints = parse(text.encode())
    assert endpoints == {
        "crm": Endpoint(
            "crm",
            url=URL,
            secrets=(SECRET, OLDER),
            statuses=frozenset({"rejected", "failed"}),
            kinds=frozenset({"text"}),
            prefix="orders/",
        ),
        "warehouse": Endpoint("warehouse", topic="projects/my-project/topics/inference-notifications"),
    }
    assert SECRET not in repr(endpoints)
    assert parse(b"endpoints: []") == {}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": "CRM"}, "needs a name"),
        ({"name": "../x"}, "needs a name"),
        ({"name": None}, "needs a name"),
        ({"uri": URL}, "unknown fields: uri"),
        ({"url": ""}, "either a url or a topic"),
        ({"topic": "projects/p1/topics/abc"}, "either a url or a topic"),
        ({"url": "http://hooks.example.com/"}, "must begin with https://"),
        ({"url": "ftp://hooks.example.com/"}, "must begin with https://"),
        ({"url": "https:///path"}, "must begin with https://"),
        ({"url": "https://me:word@hooks.example.com/"}, "neither credentials"),
        ({"url": "https://hooks.example.com/#part"}, "nor a fragment"),
        ({"url": "https://hooks.example.com:x/"}, "cannot be read"),
        ({"url": "https://[::1/"}, "cannot be read"),
        ({"url": "https://hooks.example.com/a b"}, "ASCII without spaces"),
        ({"url": "https://hooks.example.com/\r\nX-Header: 1"}, "ASCII without spaces"),
        ({"url": "https://hooks.example.com\\@10.0.0.1/"}, "ASCII without spaces"),
        ({"url": "https://bücher.example/"}, "ASCII without spaces"),
        ({"url": 7}, "must be a text"),
        ({"secrets": []}, "needs 1 to 4 secrets"),
        ({"secrets": None}, "needs 1 to 4 secrets"),
        ({"secrets": [SECRET] * 5}, "needs 1 to 4 secrets"),
        ({"secrets": ["c2hvcnQ="]}, "needs 1 to 4 secrets"),
        ({"secrets": ["whsec_c2hvcnQ="]}, "24 to 64 random bytes"),
        ({"secrets": ["whsec_!!!"]}, "needs 1 to 4 secrets"),
        ({"secrets": [7]}, "needs 1 to 4 secrets"),
        ({"status": ["done"]}, "status of crm cannot be done"),
        ({"kind": ["texts"]}, "kind of crm cannot be texts"),
        ({"status": {"failed": True}}, "must be a text, or a list"),
        ({"kind": [1]}, "must be a text, or a list"),
        ({"prefix": ["a"]}, "must be a text"),
    ],
)
def test_a_mistake_is_named_without_secrets_or_urls(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as raised:
        read({**WEBHOOK, **changes})
    assert "whsec_M" not in str(raised.value)
    assert "hooks.example.com" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"endpoints",
        b"{}",
        b"endpoints: {}",
        b"endpoints: []\nurl: x",
        b"endpoints: [",
        b"\xff\xfe\x00",
        b"a: 2026-02-31",
    ],
)
def test_a_file_of_another_form_is_refused(text: bytes) -> None:
    with pytest.raises(ConfigurationError):
        parse(text)


def test_a_broken_line_is_not_quoted() -> None:
    with pytest.raises(ConfigurationError, match="not YAML in line 2") as raised:
        parse(f"endpoints:\n  - {{secrets: [{SECRET}, url: {URL}: :".encode())
    assert "whsec" not in str(raised.value)


def test_names_are_unique_and_endpoints_limited() -> None:
    with pytest.raises(ConfigurationError, match="Two endpoints have the name crm"):
        read(WEBHOOK, WEBHOOK)
    with pytest.raises(ConfigurationError, match="at most 20"):
        read(*({**WEBHOOK, "name": f"n{number}"} for number in range(21)))


def test_a_topic_needs_a_resource_name_and_no_secrets() -> None:
    with pytest.raises(ConfigurationError, match="resource name"):
        read({"name": "a", "topic": "notifications"})
    with pytest.raises(ConfigurationError, match="needs no secrets"):
        read({"name": "a", "topic": "projects/my-project/topics/abc", "secrets": [SECRET]})


def test_http_is_possible_on_the_laptop_alone() -> None:
    entry = {**WEBHOOK, "url": "http://localhost:9100/hook"}
    assert read(entry, allow_http=True)["crm"].url == "http://localhost:9100/hook"
    with pytest.raises(ConfigurationError):
        read(entry)


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({}, True),
        ({"status": "failed"}, True),
        ({"status": ["succeeded", "failed"]}, True),
        ({"status": "succeeded"}, False),
        ({"kind": "text"}, True),
        ({"kind": "image"}, False),
        ({"prefix": "orders/"}, True),
        ({"prefix": "orders/2"}, False),
        ({"prefix": "results/"}, False),
        ({"prefix": "orders/", "kind": "text", "status": "rejected"}, False),
    ],
)
def test_filters_must_all_match(filters: dict[str, Any], wanted: bool) -> None:
    notification = Notification("i", "j", "failed", "text", "orders/1.txt/7", "{}")
    assert read({**WEBHOOK, **filters})["crm"].wants(notification) is wanted


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_new_version_is_read_in_time_and_a_bad_one_changes_nothing(tmp_path: Path, logged: Logged) -> None:
    file, clock = tmp_path / "endpoints.yaml", Clock()
    endpoints = Endpoints(file, allow_http=False, clock=clock)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        endpoints.current()
    file.write_text(json.dumps({"endpoints": [WEBHOOK]}))
    assert list(endpoints.current()) == ["crm"]
    file.write_text(json.dumps({"endpoints": [{**WEBHOOK, "name": "erp"}]}))
    assert list(endpoints.current()) == ["crm"]
    clock.now += REFRESH_SECONDS
    assert list(endpoints.current()) == ["erp"]
    for change in (lambda: file.write_text("endpoints: nothing"), file.unlink):
        change()
        clock.now += REFRESH_SECONDS
        assert list(endpoints.current()) == ["erp"]
        (line,) = logged()
        assert (line["severity"], line["message"]) == ("ERROR", "endpoints unreadable")
