"""Buckets and objects through the official client."""

import datetime
import gzip
import io
import os
from pathlib import Path

import httpx
import pytest
from google.api_core import exceptions
from google.cloud import storage
from google.cloud.storage import transfer_manager

MIB = 1 << 20


@pytest.mark.parametrize(
    "name",
    ["plain", "a/b/c.txt", "a b", "#?&=%+", "%2F", "ünïcode/✓", "//double//", "/leading", "trailing/", "o/b/o", "..a",
     "compose", "x/rewriteTo/b/y/o/z", "\u0001", "🦊" * 256],
)  # fmt: skip
def test_any_valid_name_works(bucket: storage.Bucket, name: str) -> None:
    bucket.blob(name).upload_from_string(b"content", content_type="text/x-test")
    assert [blob.name for blob in bucket.list_blobs()] == [name]
    fetched = bucket.get_blob(name)
    assert (fetched.name, fetched.size, fetched.content_type) == (name, 7, "text/x-test")
    assert bucket.blob(name).download_as_bytes() == fetched.download_as_bytes() == b"content"
    bucket.copy_blob(fetched, bucket, "copy")
    fetched.delete()
    assert not bucket.blob(name).exists()


@pytest.mark.parametrize("name", ["", ".", "..", "a\nb", "a\rb", "x" * 1025, "ü" * 513])
def test_a_forbidden_name_is_refused(bucket: storage.Bucket, name: str) -> None:
    with pytest.raises((exceptions.BadRequest, ValueError)):
        bucket.blob(name).upload_from_string(b"")
    assert list(bucket.list_blobs()) == []


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, 9 * MIB + 5])
@pytest.mark.parametrize("chunk", [None, 256 * 1024, MIB])
def test_uploads_of_every_size_come_back(bucket: storage.Bucket, size: int, chunk: int | None) -> None:
    data = os.urandom(size)
    blob = bucket.blob("data", chunk_size=chunk)
    blob.upload_from_file(io.BytesIO(data), size=None if chunk else size, checksum="md5")
    assert blob.size == size
    assert bucket.blob("data").download_as_bytes(checksum="crc32c") == data


def test_an_upload_of_unknown_size_streams(bucket: storage.Bucket) -> None:
    with bucket.blob("stream").open("wb", chunk_size=256 * 1024) as file:
        for part in range(700):
            file.write(bytes([part % 256]) * 1000)
    with bucket.blob("stream").open("rb") as file:
        assert file.read(1001) == b"\x00" * 1000 + b"\x01"
        file.seek(699_000)
        assert file.read() == bytes([699 % 256]) * 1000


def test_a_range_of_an_object(bucket: storage.Bucket) -> None:
    blob = bucket.blob("letters")
    blob.upload_from_string("abcdefghij")
    assert blob.download_as_bytes(start=2, end=4) == b"cde"
    assert blob.download_as_bytes(start=7) == b"hij"
    assert blob.download_as_bytes(start=-3) == b"hij"
    with pytest.raises(exceptions.RequestRangeNotSatisfiable):
        blob.download_as_bytes(start=10)


def test_fields_are_kept_patched_and_replaced(bucket: storage.Bucket) -> None:
    blob = bucket.blob("described")
    blob.metadata = {"a": "1", "b": "2"}
    blob.cache_control, blob.content_disposition, blob.content_language = "no-store", "attachment", "de"
    blob.custom_time = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    blob.storage_class = "NEARLINE"
    blob.upload_from_string("x", content_type="text/plain")
    first = bucket.get_blob("described")
    assert (first.metadata, first.cache_control, first.content_language) == ({"a": "1", "b": "2"}, "no-store", "de")
    assert (first.storage_class, first.custom_time, first.metageneration) == ("NEARLINE", blob.custom_time, 1)
    first.metadata = {"a": None, "c": "3"}
    first.content_language = None
    first.patch()
    second = bucket.get_blob("described")
    assert (second.metadata, second.content_language) == ({"b": "2", "c": "3"}, None)
    assert (second.metageneration, second.generation) == (2, first.generation)
    assert second.etag != blob.etag
    assert second.updated > second.time_created
    second.update_storage_class("STANDARD")
    assert bucket.get_blob("described").storage_class == "STANDARD"


def test_conditions_hold_for_every_operation(bucket: storage.Bucket) -> None:
    blob = bucket.blob("guarded")
    blob.upload_from_string("one", if_generation_match=0)
    wrong = blob.generation + 1
    refused = [
        lambda: blob.upload_from_string("two", if_generation_match=0),
        lambda: blob.upload_from_string("two", if_generation_match=wrong),
        lambda: blob.upload_from_string("two", if_metageneration_match=9),
        lambda: blob.upload_from_string("two", if_generation_not_match=blob.generation),
        lambda: blob.delete(if_generation_match=wrong),
        lambda: blob.delete(if_metageneration_not_match=1),
        lambda: blob.patch(if_metageneration_match=2),
        lambda: blob.reload(if_generation_match=wrong),
        lambda: blob.download_as_bytes(if_generation_match=wrong),
        lambda: blob.download_as_bytes(if_metageneration_match=2),
        lambda: blob.compose([blob], if_generation_match=0),
        lambda: bucket.blob("joined").compose([blob], if_source_generation_match=[wrong]),
        lambda: bucket.copy_blob(blob, bucket, "copy", if_source_generation_match=wrong),
        lambda: bucket.copy_blob(blob, bucket, "guarded", if_generation_match=0),
        lambda: bucket.blob("copy").rewrite(blob, if_source_metageneration_match=2),
        lambda: blob.rewrite(blob, if_generation_match=0),
        lambda: bucket.move_blob(blob, "copy", if_source_generation_match=wrong),
        lambda: _resumable(blob, if_generation_match=0),
    ]
    for number, operation in enumerate(refused):
        with pytest.raises(exceptions.PreconditionFailed):
            pytest.fail(f"operation {number} returned {operation()!r}")
    assert bucket.blob("guarded").download_as_bytes() == b"one"
    assert [each.name for each in bucket.list_blobs()] == ["guarded"]
    blob.upload_from_string("two", if_generation_match=blob.generation)
    assert bucket.blob("guarded").download_as_bytes() == b"two"


def _resumable(blob: storage.Blob, **conditions: int) -> None:
    chunked = blob.bucket.blob(blob.name, chunk_size=256 * 1024)
    chunked.upload_from_file(io.BytesIO(b"r" * 300_000), **conditions)


def test_a_read_of_a_known_generation_is_not_modified(bucket: storage.Bucket) -> None:
    blob = bucket.blob("known")
    blob.upload_from_string("x")
    for read in (blob.reload, blob.download_as_bytes):
        with pytest.raises(exceptions.NotModified):
            read(if_generation_not_match=blob.generation)
        with pytest.raises(exceptions.NotModified):
            read(if_etag_not_match=blob.etag)


@pytest.mark.parametrize("known", [{"md5_hash": "AAAAAAAAAAAAAAAAAAAAAA=="}, {"crc32c": "AAAAAA=="}])
@pytest.mark.parametrize("chunk", [None, 256 * 1024])
def test_a_wrong_checksum_is_refused(bucket: storage.Bucket, known: dict[str, str], chunk: int | None) -> None:
    blob = bucket.blob("corrupt", chunk_size=chunk)
    for field, value in known.items():
        setattr(blob, field, value)
    with pytest.raises(exceptions.BadRequest, match="doesn't match calculated"):
        blob.upload_from_file(io.BytesIO(b"data" * 100_000), size=None if chunk else 400_000, checksum=None)
    assert not bucket.blob("corrupt").exists()


def test_versions_are_kept_read_and_restored(bucket: storage.Bucket) -> None:
    bucket.versioning_enabled = True
    bucket.patch()
    blob = bucket.blob("v")
    generations = []
    for text in ("one", "two"):
        blob.upload_from_string(text)
        generations.append(blob.generation)
    bucket.blob("v").delete()
    assert list(bucket.list_blobs()) == []
    assert [each.generation for each in bucket.list_blobs(versions=True)] == generations
    old = bucket.blob("v", generation=generations[0])
    assert old.download_as_bytes() == b"one"
    assert bucket.get_blob("v", generation=generations[1]).time_deleted is not None
    bucket.copy_blob(old, bucket, "v", source_generation=generations[0])
    assert bucket.blob("v").download_as_bytes() == b"one"
    bucket.blob("v", generation=generations[0]).delete()
    with pytest.raises(exceptions.NotFound):
        old.download_as_bytes()
    assert bucket.blob("v").download_as_bytes() == b"one"


def test_composition_joins_and_counts(bucket: storage.Bucket) -> None:
    parts = [bucket.blob(f"part-{number}") for number in range(32)]
    for number, part in enumerate(parts):
        part.upload_from_string(f"{number},", content_type="text/csv")
    whole = bucket.blob("whole")
    whole.compose(parts)
    assert (whole.component_count, whole.md5_hash, whole.content_type) == (32, None, "text/csv")
    assert whole.download_as_text() == "".join(f"{number}," for number in range(32))
    whole.compose([whole, parts[0]])
    assert whole.component_count == 33
    copied = bucket.copy_blob(whole, bucket, "copied")
    assert (copied.component_count, copied.crc32c, copied.md5_hash) == (33, whole.crc32c, None)
    with pytest.raises(exceptions.BadRequest):
        bucket.blob("more").compose([*parts, parts[0]])
    with pytest.raises(exceptions.NotFound):
        bucket.blob("more").compose([bucket.blob("absent")])


def test_gzip_is_decompressed_for_clients_that_do_not_accept_it(bucket: storage.Bucket, http: httpx.Client) -> None:
    blob = bucket.blob("zipped")
    blob.content_encoding = "gzip"
    blob.upload_from_string(gzip.compress(b"plain " * 1000), content_type="text/plain")
    assert blob.download_as_bytes() == b"plain " * 1000
    assert gzip.decompress(blob.download_as_bytes(raw_download=True)) == b"plain " * 1000
    path = "/storage/v1/b/bucket-1/o/zipped?alt=media"
    decompressed = http.get(path, headers={"accept-encoding": "identity"})
    assert decompressed.content == b"plain " * 1000
    assert "content-encoding" not in decompressed.headers
    assert decompressed.headers["x-goog-stored-content-encoding"] == "gzip"
    assert http.get(path, headers={"accept-encoding": "gzip"}).headers["content-encoding"] == "gzip"
    blob.cache_control = "no-transform"
    blob.patch()
    assert http.get(path, headers={"accept-encoding": "identity"}).headers["content-encoding"] == "gzip"


def test_parallel_transfers(bucket: storage.Bucket, tmp_path: Path) -> None:
    data = os.urandom(5 * MIB + 17)
    source = tmp_path / "source"
    source.write_bytes(data)
    whole = bucket.blob("folder/whole")
    transfer_manager.upload_chunks_concurrently(
        str(source), whole, chunk_size=MIB, worker_type=transfer_manager.THREAD, max_workers=4
    )
    whole.reload()
    assert whole.size == len(data)
    target = tmp_path / "target"
    transfer_manager.download_chunks_concurrently(
        whole, str(target), chunk_size=MIB, worker_type=transfer_manager.THREAD, max_workers=4
    )
    assert target.read_bytes() == data
    names = [f"{number}.txt" for number in range(20)]
    for name in names:
        (tmp_path / name).write_text(name)
    results = transfer_manager.upload_many_from_filenames(
        bucket, names, source_directory=str(tmp_path), worker_type=transfer_manager.THREAD
    )
    assert results == [None] * 20
    assert {blob.name for blob in bucket.list_blobs(match_glob="*.txt")} == set(names)


def test_batches(bucket: storage.Bucket, client: storage.Client) -> None:
    for number in range(5):
        bucket.blob(str(number)).upload_from_string("x")
    with client.batch():
        for number in range(4):
            bucket.blob(str(number)).delete()
    assert [blob.name for blob in bucket.list_blobs()] == ["4"]
    batch = client.batch(raise_exception=False)
    with batch:
        bucket.blob("absent").delete()
        bucket.blob("4").delete()
    assert [response.status_code for response in batch._responses] == [404, 204]
    assert list(bucket.list_blobs()) == []


def test_holds_and_retention_forbid_deletion(bucket: storage.Bucket) -> None:
    blob = bucket.blob("held")
    blob.upload_from_string("x")
    blob.temporary_hold = True
    blob.patch()
    for operation in (blob.delete, lambda: bucket.blob("held").upload_from_string("y")):
        with pytest.raises(exceptions.Forbidden):
            operation()
    blob.temporary_hold = False
    blob.patch()
    bucket.retention_period = 3600
    bucket.patch()
    with pytest.raises(exceptions.Forbidden):
        blob.delete()
    bucket.retention_period = None
    bucket.patch()
    blob.delete()


def test_a_locked_retention_policy_can_only_be_extended(bucket: storage.Bucket, http: httpx.Client) -> None:
    path = "/storage/v1/b/bucket-1/lockRetentionPolicy?ifMetagenerationMatch=1"
    assert http.post(path).status_code == 400  # there is no policy
    bucket.retention_period = 3600
    bucket.patch()
    effective = bucket.retention_policy_effective_time
    assert (effective is not None, bucket.retention_policy_locked) == (True, None)
    bucket.lock_retention_policy()
    assert (bucket.retention_policy_locked, bucket.retention_policy_effective_time) == (True, effective)
    for period in (None, 0, 60):
        bucket.retention_period = period
        for save in (bucket.patch, bucket.update):
            with pytest.raises(exceptions.Forbidden, match="locked retention policy"):
                save()
        bucket.reload()
    bucket.retention_period = 7200
    bucket.patch()
    assert (bucket.retention_period, bucket.retention_policy_locked) == (7200, True)


def test_a_retained_object_cannot_be_deleted(bucket: storage.Bucket) -> None:
    blob = bucket.blob("retained")
    blob.upload_from_string("x")
    blob.retention.mode = "Unlocked"
    blob.retention.retain_until_time = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    blob.patch(override_unlocked_retention=True)
    with pytest.raises(exceptions.Forbidden):
        blob.delete()


def test_what_a_patch_empties_is_gone(bucket: storage.Bucket) -> None:
    bucket.add_lifecycle_delete_rule(age=3)
    bucket.cors = [{"origin": ["*"]}]
    bucket.labels = {"a": "b"}
    bucket.patch()
    assert len(list(bucket.lifecycle_rules)) == 1
    bucket.clear_lifecycle_rules()
    bucket.cors = []
    bucket.labels = {}
    bucket.patch()
    assert {"lifecycle", "cors", "labels"}.isdisjoint(bucket._properties)


def test_customer_supplied_keys_are_refused(bucket: storage.Bucket, http: httpx.Client) -> None:
    secret = bucket.blob("secret", encryption_key=b"k" * 32)
    for operation in (lambda: secret.upload_from_string("x"), secret.download_as_bytes, secret.reload):
        with pytest.raises(exceptions.MethodNotImplemented, match="keys are not emulated"):
            operation()
    assert list(bucket.list_blobs()) == []
    refused = http.put("/bucket-1/secret", content=b"x", headers={"x-goog-encryption-algorithm": "AES256"})
    assert (refused.status_code, "<Code>NotImplemented</Code>" in refused.text) == (501, True)


def test_notifications_are_created_listed_and_deleted(bucket: storage.Bucket) -> None:
    notification = bucket.notification(
        topic_name="uploads", payload_format="JSON_API_V1", event_types=["OBJECT_FINALIZE"], blob_name_prefix="in/"
    )
    notification.create()
    (listed,) = bucket.list_notifications()
    assert (listed.topic_name, listed.event_types, listed.blob_name_prefix) == ("uploads", ["OBJECT_FINALIZE"], "in/")
    assert bucket.get_notification(notification.notification_id).payload_format == "JSON_API_V1"
    notification.delete()
    assert list(bucket.list_notifications()) == []
    with pytest.raises(exceptions.NotFound):
        bucket.get_notification(notification.notification_id)


def test_policies_are_stored(bucket: storage.Bucket) -> None:
    policy = bucket.get_iam_policy(requested_policy_version=3)
    policy.bindings.append({"role": "roles/storage.objectViewer", "members": {"allUsers"}})
    bucket.set_iam_policy(policy)
    kept = bucket.get_iam_policy()
    assert kept["roles/storage.objectViewer"] == {"allUsers"}
    assert bucket.test_iam_permissions(["storage.objects.get"]) == ["storage.objects.get"]
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.set_iam_policy(policy)


def test_buckets(client: storage.Client) -> None:
    for name in ("alpha", "beta", "gamma"):
        client.create_bucket(name, location="europe-west4")
    assert [bucket.name for bucket in client.list_buckets(page_size=2)] == ["alpha", "beta", "gamma"]
    assert [bucket.name for bucket in client.list_buckets(prefix="b")] == ["beta"]
    assert list(client.list_buckets(project="other")) == []
    beta = client.get_bucket("beta")
    assert (beta.location, beta.location_type) == ("EUROPE-WEST4", "region")
    beta.labels = {"team": "ml"}
    beta.add_lifecycle_delete_rule(age=7)
    beta.patch()
    again = client.get_bucket("beta")
    assert (again.labels, again.metageneration) == ({"team": "ml"}, 2)
    assert [rule["condition"] for rule in again.lifecycle_rules] == [{"age": 7}]
    with pytest.raises(exceptions.Conflict):
        client.create_bucket("alpha")
    beta.blob("x").upload_from_string("x")
    with pytest.raises(exceptions.Conflict):
        beta.delete()
    beta.blob("x").delete()
    beta.delete()
    assert client.lookup_bucket("beta") is None
    with pytest.raises(exceptions.NotFound):
        client.bucket("beta").blob("x").upload_from_string("x")


def test_generations_increase_and_links_work(bucket: storage.Bucket, http: httpx.Client) -> None:
    generations = []
    for number in range(5):
        blob = bucket.blob("same")
        blob.upload_from_string(str(number))
        generations.append(blob.generation)
    assert generations == sorted(set(generations))
    assert http.get(blob.self_link).json()["generation"] == str(generations[-1])
    assert http.get(blob.media_link).content == b"4"
    assert blob.id == f"bucket-1/same/{generations[-1]}"
