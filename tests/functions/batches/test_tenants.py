"""Tenants: one beyond its share of the hour waits for those that are not, and gets its documents all the same."""

from datetime import UTC, datetime

import pytest

from messaging import runs
from pipeline import tenants
from pipeline.settings import Settings
from pipeline.waiting import Note
from tests.functions.batches.test_microbatches import Collect, announce, collect, run, statuses, subscribed
from tests.functions.batches.test_waiting import HOUR, claim, notes, swept, upload
from tests.functions.cloud import Cloud
from tests.functions.conftest import Function

__all__ = ["collect", "subscribed"]  # fixtures

pytestmark = pytest.mark.usefixtures("check_documents")


@pytest.fixture
def told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENANTS", "folder")
    monkeypatch.setenv("MAX_EXECUTIONS_PER_HOUR", "200")
    monkeypatch.setenv("TENANT_SHARE", "0.02")


def names(cloud: Cloud) -> list[str]:
    """The inputs with executions of their own."""
    return [argument["input"]["name"] for argument in cloud.executions.arguments if argument["kind"] == "text"]


def beyond(cloud: Cloud) -> list[str]:
    return [name for name in notes(cloud) if name.startswith("waiting/~")]


def conclude_all(cloud: Cloud, function: Function) -> None:
    for execution in cloud.executions.created:
        run(cloud, function, execution)


def test_tenants_are_not_told_apart_by_default(
    cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_EXECUTIONS_PER_HOUR", "200")
    for number in range(6):
        upload(cloud, function, f"a/{number}.txt")
    assert (len(names(cloud)), notes(cloud)) == (6, [])
    assert [blob.name.count("/") for blob in cloud.client.list_blobs(cloud.work, prefix="quotas/")] == [1]


@pytest.mark.usefixtures("told_apart")
def test_beyond_its_share_a_tenant_waits_for_a_collection_and_no_other_does(
    cloud: Cloud, function: Function, collect: Collect
) -> None:
    blobs = [upload(cloud, function, f"flood/{number}.txt") for number in range(7)]
    upload(cloud, function, "other/a.txt")
    upload(cloud, function, "root.txt")
    assert names(cloud) == [*(f"flood/{number}.txt" for number in range(4)), "other/a.txt", "root.txt"]
    assert len(beyond(cloud)) == len(notes(cloud)) == 3
    assert claim(cloud, blobs[6])["state"] == "waiting"
    assert collect()["executions"] == 1
    assert notes(cloud) == []
    conclude_all(cloud, function)
    assert list(statuses(cloud).values()) == ["succeeded"] * 9


@pytest.mark.usefixtures("told_apart")
def test_a_single_input_beyond_a_share_is_started_by_a_collection(
    cloud: Cloud, function: Function, collect: Collect
) -> None:
    for number in range(5):
        upload(cloud, function, f"flood/{number}.txt")
    assert collect()["executions"] == 1
    assert (len(names(cloud)), notes(cloud)) == (5, [])


@pytest.mark.usefixtures("told_apart")
def test_inputs_beyond_a_share_are_found_although_others_are_not_due(
    cloud: Cloud, function: Function, collect: Collect
) -> None:
    upload(cloud, function, "other/a.txt", **HOUR)
    for number in range(6):
        upload(cloud, function, f"flood/{number}.txt")
    assert (len(notes(cloud)), len(beyond(cloud))) == (3, 2)
    assert collect()["executions"] == 1
    assert notes(cloud) == []


@pytest.mark.usefixtures("told_apart")
def test_metadata_name_tenants(cloud: Cloud, function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENANTS", "team")
    for number in range(5):
        upload(cloud, function, f"{number}.txt", team="red")
        upload(cloud, function, f"{number}.md", team="blue")
    assert (len(names(cloud)), len(beyond(cloud))) == (8, 2)


@pytest.mark.usefixtures("told_apart", "subscribed")
def test_notifications_beyond_a_share_are_started_after_the_others(
    cloud: Cloud, function: Function, collect: Collect
) -> None:
    for number in range(7):
        announce(cloud, cloud.upload(f"flood/{number}.txt", "I liked it."))
    announce(cloud, cloud.upload("other/a.txt", "I liked it."))
    assert collect()["executions"] == 1
    assert len(beyond(cloud)) == 3
    assert not cloud.executions.uploads.leased
    assert collect()["executions"] == 1
    conclude_all(cloud, function)
    assert list(statuses(cloud).values()) == ["succeeded"] * 8


@pytest.mark.usefixtures("told_apart")
def test_a_sweep_leaves_them_to_the_collections(
    cloud: Cloud, function: Function, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAIM_LEASE_SECONDS", "0")
    for number in range(6):
        upload(cloud, function, f"flood/{number}.txt")
    assert swept(function, capsys)["waiting"] == 2


def test_tenants_take_turns_beyond_their_shares() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    within = [Note("0", now, "g", "a")]
    flood = [Note(f"a{number}", now, "g", "a", is_beyond_share=True) for number in range(3)]
    others = [Note(f"b{number}", now, "g", "b", is_beyond_share=True) for number in range(2)]
    ((*planned,),) = runs.plan([*within, *flood, *others], now)
    assert [note.job for note in planned] == ["0", "a0", "b0", "a1", "b1", "a2"]


def test_a_share_is_a_part_of_the_cap() -> None:
    settings = Settings("in", "work", "out", max_executions_per_hour=10_000)
    assert tenants.share(settings) == 1000
    assert tenants.share(Settings("in", "work", "out", max_executions_per_hour=3)) == 1
    assert tenants.share(Settings("in", "work", "out")) == 0
