"""obstore and polars, which use object_store: the XML API."""

from datetime import UTC, datetime

import obstore
import polars as pl
import pytest
from obstore.exceptions import AlreadyExistsError, NotModifiedError, PreconditionError
from obstore.store import GCSStore

BUCKET = "clients"


@pytest.fixture
def store():
    return GCSStore(BUCKET, prefix="obstore")


def names(store, *arguments, **options):
    return [entry["path"] for batch in obstore.list(store, *arguments, **options) for entry in batch]


def test_an_object(store):
    written = obstore.put(store, "a/b ü.txt", b"hello", attributes={"Content-Type": "text/plain", "key": "value"})
    read = obstore.get(store, "a/b ü.txt")
    assert (bytes(read.bytes()), read.attributes["key"], read.meta["e_tag"]) == (b"hello", "value", written["e_tag"])
    assert bytes(obstore.get_range(store, "a/b ü.txt", start=1, end=3)) == b"el"
    with pytest.raises(FileNotFoundError):
        obstore.head(store, "none")


def test_a_multipart_upload(store):
    obstore.put(store, "big", b"q" * (12 << 20), use_multipart=True)
    assert obstore.head(store, "big")["size"] == 12 << 20


def test_listing(store):
    for number in range(1005):
        obstore.put(store, f"many/{number:04d}", b"")
    assert len(names(store, "many/")) == 1005
    assert names(store, "many/", offset="many/1002") == ["many/1003", "many/1004"]
    assert "many" in obstore.list_with_delimiter(store)["common_prefixes"]
    obstore.delete(store, names(store, "many/"))
    assert names(store, "many/") == []


def test_copy_and_rename(store):
    obstore.put(store, "source", b"x")
    obstore.copy(store, "source", "copy")
    with pytest.raises(AlreadyExistsError):
        obstore.copy(store, "source", "copy", overwrite=False)
    with pytest.raises(AlreadyExistsError):
        obstore.put(store, "copy", b"y", mode="create")
    obstore.rename(store, "copy", "renamed")
    assert bytes(obstore.get(store, "renamed").bytes()) == b"x"


def test_conditions(store):
    tag = obstore.put(store, "tagged", b"x")["e_tag"]
    assert bytes(obstore.get(store, "tagged", options={"if_match": tag}).bytes()) == b"x"
    with pytest.raises(NotModifiedError):
        obstore.get(store, "tagged", options={"if_none_match": tag})
    with pytest.raises(PreconditionError):
        obstore.get(store, "tagged", options={"if_unmodified_since": datetime(2001, 1, 1, tzinfo=UTC)})


@pytest.mark.parametrize("suffix", ["parquet", "csv", "ndjson"])
def test_polars(suffix):
    frame, path = pl.DataFrame({"a": [1, 2]}), f"gs://{BUCKET}/polars.{suffix}"
    sink = {"parquet": pl.LazyFrame.sink_parquet, "csv": pl.LazyFrame.sink_csv, "ndjson": pl.LazyFrame.sink_ndjson}
    scan = {"parquet": pl.scan_parquet, "csv": pl.scan_csv, "ndjson": pl.scan_ndjson}
    sink[suffix](frame.lazy(), path, credential_provider=None)
    assert scan[suffix](f"gs://{BUCKET}/polar*.{suffix}", credential_provider=None).collect().equals(frame)
