"""Cloud Storage, through the official client: who is allowed, who is refused, and in which words."""

import re

import httpx
import pytest
from google.api_core import exceptions

from emulator.server import Emulator
from tests.emulator.iam.conftest import Bucket
from tests.emulator.iam.stack import email


def refusal(account: str, permission: str, kind: str = "object") -> str:
    return (
        f"{email(account)} does not have {permission} access to the Google Cloud Storage {kind}."
        rf" Permission '{permission}' denied on resource \(or it may not exist\)."
    )


def test_a_viewer_reads_and_lists_but_writes_nothing(bucket: Bucket) -> None:
    viewed = bucket("viewer")
    assert viewed.blob("kept").download_as_bytes() == b"data"
    assert "kept" in [blob.name for blob in viewed.list_blobs()]
    with pytest.raises(exceptions.NotFound):
        viewed.blob("missing").download_as_bytes()
    with pytest.raises(exceptions.Forbidden, match=refusal("viewer", "storage.objects.create")):
        viewed.blob("new").upload_from_string("x")
    with pytest.raises(exceptions.Forbidden, match=refusal("viewer", "storage.objects.delete")):
        viewed.blob("kept").delete()
    with pytest.raises(exceptions.Forbidden, match=refusal("viewer", "storage.buckets.get", "bucket")):
        viewed.reload()


def test_a_creator_creates_but_replaces_and_reads_nothing(bucket: Bucket) -> None:
    created = bucket("creator")
    created.blob("created").upload_from_string("x")
    with pytest.raises(exceptions.Forbidden, match=refusal("creator", "storage.objects.delete")):
        created.blob("created").upload_from_string("y")
    with pytest.raises(exceptions.PreconditionFailed):
        created.blob("created").upload_from_string("y", if_generation_match=0)
    for name in ("created", "missing"):
        with pytest.raises(exceptions.Forbidden, match=re.escape("storage.objects.get")):
            created.blob(name).download_as_bytes()


def test_who_may_not_list_does_not_learn_what_is_missing(bucket: Bucket) -> None:
    gotten = bucket("getter")
    assert gotten.blob("kept").download_as_bytes() == b"data"
    with pytest.raises(exceptions.Forbidden, match=re.escape("storage.objects.list")):
        gotten.blob("missing").download_as_bytes()


def test_everyone_learns_that_a_bucket_is_missing(bucket: Bucket) -> None:
    with pytest.raises(exceptions.NotFound, match="bucket does not exist"):
        bucket("nobody", "no-such-bucket").blob("x").upload_from_string("x")


def test_a_grant_on_the_project_covers_every_bucket(bucket: Bucket) -> None:
    for name in ("files", "other"):
        bucket("user", name).blob("by-user").upload_from_string("x")
        bucket("user", name).blob("by-user").delete()


def test_a_condition_covers_a_prefix(bucket: Bucket) -> None:
    prefixed = bucket("prefixed")
    prefixed.blob("mine/a").upload_from_string("x")
    prefixed.blob("mine/a").upload_from_string("y")
    with pytest.raises(exceptions.Forbidden, match=re.escape("storage.objects.create")):
        prefixed.blob("yours/a").upload_from_string("x")
    with pytest.raises(exceptions.Forbidden, match=re.escape("storage.objects.get")):
        prefixed.copy_blob(bucket("prefixed").blob("kept"), prefixed, "mine/b")


def test_batches_and_resumable_uploads_are_no_way_around(bucket: Bucket) -> None:
    viewed = bucket("viewer")
    with pytest.raises(exceptions.Forbidden, match=re.escape("storage.objects.delete")), viewed.client.batch():
        viewed.blob("kept").delete()
    blob = viewed.blob("large")
    blob.chunk_size = 256 * 1024
    with pytest.raises(exceptions.Forbidden, match=re.escape("storage.objects.create")):
        blob.upload_from_string(b"x" * 600_000)


@pytest.mark.parametrize("account", ["creator", "viewer"])
def test_composing_needs_to_read_and_to_create(running: Emulator, bucket: Bucket, account: str) -> None:
    joined = bucket(account)
    missing = {"creator": "storage.objects.get", "viewer": "storage.objects.create"}[account]
    with pytest.raises(exceptions.Forbidden, match=missing):
        joined.blob("joined").compose([joined.blob("kept")])


def test_the_xml_api_refuses_in_xml(running: Emulator) -> None:
    answer = httpx.get(f"http://{running.accounts['nobody'].http}/files/kept")
    details = f"<Details>{email('nobody')} does not have storage.objects.get access to the Google Cloud Storage object."
    assert answer.status_code == 403
    assert f"<Code>AccessDenied</Code><Message>Access denied.</Message>{details}" in answer.text


def test_permissions_can_be_tried(bucket: Bucket) -> None:
    asked = ["storage.objects.get", "storage.objects.create"]
    assert bucket("viewer").test_iam_permissions(asked) == ["storage.objects.get"]


def test_the_body_of_a_refusal_is_googles(running: Emulator) -> None:
    answer = httpx.get(f"http://{running.accounts['nobody'].http}/storage/v1/b/files/o/kept")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["errors"][0]["reason"]) == (403, 403, "forbidden")
