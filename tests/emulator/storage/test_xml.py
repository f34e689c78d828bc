"""Requests of the XML API as object_store sends them, which obstore and polars use."""

from urllib.parse import quote
from xml.etree import ElementTree

import httpx
import pytest
from google.cloud import storage

from emulator.storage import Store

NAMES = ["a b.txt", "a/1", "a/2/x", "a/2/y", "b/<&>", "ü"]


@pytest.fixture(autouse=True)
def objects(bucket: storage.Bucket, store: Store) -> None:
    for name in NAMES:
        store.objects.create("bucket-1", name, name.encode())


def listing(http: httpx.Client, **parameters: str) -> ElementTree.Element:
    answer = http.get("/bucket-1", params={"list-type": "2", **parameters})
    assert answer.status_code == 200, answer.text
    return ElementTree.fromstring(answer.text)


def keys(page: ElementTree.Element) -> list[str | None]:
    return [element.text for element in page.iterfind("{*}Contents/{*}Key")]


def prefixes(page: ElementTree.Element) -> list[str | None]:
    return [element.text for element in page.iterfind("{*}CommonPrefixes/{*}Prefix")]


@pytest.mark.parametrize(
    ("parameters", "expected", "folders"),
    [
        ({}, NAMES, []),
        ({"delimiter": "/"}, ["a b.txt", "ü"], ["a/", "b/"]),
        ({"prefix": "a/", "delimiter": "/"}, ["a/1"], ["a/2/"]),
        ({"start-after": "a/2/x"}, ["a/2/y", "b/<&>", "ü"], []),
        ({"list-type": "1", "marker": "a/2/x"}, ["a/2/y", "b/<&>", "ü"], []),
        ({"list-type": "1", "marker": "a/", "delimiter": "/"}, ["ü"], ["b/"]),
        ({"prefix": "none"}, [], []),
    ],
)
def test_listing(http: httpx.Client, parameters: dict[str, str], expected: list[str], folders: list[str]) -> None:
    page = listing(http, **parameters)
    assert (keys(page), prefixes(page), page.findtext("{*}IsTruncated")) == (expected, folders, "false")


@pytest.mark.parametrize(
    ("version", "last", "first"), [("2", "NextContinuationToken", "continuation-token"), ("1", "NextMarker", "marker")]
)
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_pages_together_are_the_whole_listing(
    http: httpx.Client, version: str, last: str, first: str, delimiter: str
) -> None:
    parameters = {"list-type": version, "max-keys": "1", "delimiter": delimiter}
    names: list[str | None] = []
    while True:
        page = listing(http, **parameters)
        names += keys(page) + prefixes(page)
        if page.findtext("{*}IsTruncated") == "false":
            break
        parameters[first] = page.findtext(f"{{*}}{last}", "")
    assert names == (["a b.txt", "a/", "b/", "ü"] if delimiter else NAMES)


def test_an_entry_describes_its_object(http: httpx.Client, store: Store) -> None:
    stored = store.objects.get("bucket-1", "a/1")
    entry = listing(http, prefix="a/1").find("{*}Contents")
    assert entry is not None
    head = http.head("/bucket-1/a/1")
    assert entry.findtext("{*}ETag") == head.headers["etag"] == f'"{stored.content_etag}"'
    assert (entry.findtext("{*}Size"), entry.findtext("{*}Generation")) == ("3", head.headers["x-goog-generation"])
    assert entry.findtext("{*}LastModified") == stored.fields["updated"]


def copy(http: httpx.Client, source: str, **headers: str) -> httpx.Response:
    return http.put("/bucket-1/copy", headers={"x-goog-copy-source": source, **headers})


def test_a_copy_keeps_or_replaces_the_metadata(http: httpx.Client, store: Store) -> None:
    http.put("/bucket-1/source", content=b"x", headers={"content-type": "text/x", "x-goog-meta-a": "b"})
    answer = copy(http, "/bucket-1/source")
    assert (answer.status_code, "<CopyObjectResult" in answer.text) == (200, True)
    copied = store.objects.get("bucket-1", "copy")
    assert (copied.fields["metadata"], copied.fields["contentType"]) == ({"a": "b"}, "text/x")
    replacing = {"x-goog-metadata-directive": "REPLACE", "content-type": "text/y"}
    assert copy(http, "/bucket-1/source", **replacing).status_code == 200
    replaced = store.objects.get("bucket-1", "copy")
    assert ("metadata" in replaced.fields, replaced.fields["contentType"]) == (False, "text/y")


@pytest.mark.parametrize("name", NAMES)
def test_the_source_of_a_copy_is_percent_encoded(http: httpx.Client, store: Store, name: str) -> None:
    assert copy(http, "bucket-1/" + quote(name)).status_code == 200
    assert store.objects.read("bucket-1", "copy") == name.encode()


def test_a_copy_has_preconditions_of_its_own_and_of_its_source(http: httpx.Client, store: Store) -> None:
    generation = store.objects.get("bucket-1", "a/1").generation
    new, old = {"x-goog-if-generation-match": "0"}, {"x-goog-copy-source-if-generation-match": "1"}
    assert copy(http, "/bucket-1/a/1", **old).status_code == 412
    assert copy(http, "/bucket-1/a/1", **new, **{"x-goog-copy-source-generation": str(generation)}).status_code == 200
    assert copy(http, "/bucket-1/a/1", **new).status_code == 412
    assert copy(http, "/bucket-1/none").status_code == 404


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("if-match", "{tag}", 200),
        ("if-match", "*", 200),
        ("if-match", '"other"', 412),
        ("if-none-match", "{tag}", 304),
        ("if-none-match", '"other"', 200),
        ("if-modified-since", "Tue, 01 Jan 2999 00:00:00 GMT", 304),
        ("if-modified-since", "Mon, 01 Jan 2001 00:00:00 GMT", 200),
        ("if-unmodified-since", "Mon, 01 Jan 2001 00:00:00 GMT", 412),
        ("if-unmodified-since", "Tue, 01 Jan 2999 00:00:00 GMT", 200),
        ("if-modified-since", "yesterday", 200),
    ],
)
def test_conditions_of_a_read(http: httpx.Client, header: str, value: str, status: int) -> None:
    tag = http.head("/bucket-1/a/1").headers["etag"]
    assert http.get("/bucket-1/a/1", headers={header: value.format(tag=tag)}).status_code == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/bucket-1/a/1?acl"),
        ("GET", "/bucket-1/a/1?tagging"),
        ("PUT", "/bucket-1/a/1?compose"),
        ("GET", "/bucket-1?lifecycle"),
        ("GET", "/bucket-1?uploads"),
        ("POST", "/bucket-1?delete"),
        ("PUT", "/bucket-2"),
    ],
)
def test_what_is_not_emulated_is_refused_without_effect(
    http: httpx.Client, store: Store, method: str, path: str
) -> None:
    refused = http.request(method, path, content=b"<X/>" if method != "GET" else None)
    assert (refused.status_code, "<Code>NotImplemented</Code>" in refused.text) == (501, True)
    assert store.objects.read("bucket-1", "a/1") == b"a/1"
