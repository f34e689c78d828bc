"""Listings: order, prefixes, offsets, globs, pages and versions."""

import pytest
from google.cloud import storage
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.storage import Store
from emulator.storage.errors import InvalidError
from emulator.storage.objects.globs import Glob
from emulator.storage.objects.listing import Query, successor

NAMES = ["a", "a/", "a/1", "a/2/x", "a/2/y", "b/1", "b-1", "c.txt", "d/e/f.txt", "ü", "🦊/x"]

LISTINGS = [
    ({}, sorted(NAMES, key=str.encode), []),
    ({"delimiter": "/"}, ["a", "b-1", "c.txt", "ü"], ["a/", "b/", "d/", "🦊/"]),
    ({"delimiter": "/", "include_trailing_delimiter": True},
     ["a", "a/", "b-1", "c.txt", "ü"], ["a/", "b/", "d/", "🦊/"]),
    ({"prefix": "a/", "delimiter": "/"}, ["a/", "a/1"], ["a/2/"]),
    ({"prefix": "a"}, ["a", "a/", "a/1", "a/2/x", "a/2/y"], []),
    ({"prefix": "🦊"}, ["🦊/x"], []),
    ({"prefix": "zz"}, [], []),
    ({"start_offset": "b", "end_offset": "c"}, ["b-1", "b/1"], []),
    ({"start_offset": "a/2", "delimiter": "/", "end_offset": "c.txt"}, ["b-1"], ["a/", "b/"]),
    ({"match_glob": "*"}, ["a", "b-1", "c.txt", "ü"], []),
    ({"match_glob": "**.txt"}, ["c.txt", "d/e/f.txt"], []),
    ({"match_glob": "a/?"}, ["a/1"], []),
    ({"match_glob": "{a,b}/1"}, ["a/1", "b/1"], []),
    ({"match_glob": "[bd]*"}, ["b-1"], []),
    ({"match_glob": "**/x", "delimiter": "/"}, [], ["a/", "🦊/"]),
    ({"match_glob": "**/c.txt"}, ["c.txt"], []),
    ({"match_glob": "**/*.txt"}, ["c.txt", "d/e/f.txt"], []),
    ({"match_glob": "a/**/{1,x}"}, ["a/1", "a/2/x"], []),
    ({"match_glob": "{**/f.txt,**/1}"}, ["a/1", "b/1", "d/e/f.txt"], []),
    ({"delimiter": "2"}, [n for n in sorted(NAMES, key=str.encode) if "2" not in n], ["a/2"]),
]  # fmt: skip


@pytest.mark.parametrize("page_size", [1, 2, 1000])
@pytest.mark.parametrize(("options", "names", "prefixes"), LISTINGS)
def test_listing(
    bucket: storage.Bucket,
    store: Store,
    options: dict[str, object],
    names: list[str],
    prefixes: list[str],
    page_size: int,
) -> None:
    for name in NAMES:
        store.objects.create("bucket-1", name, b"")
    iterator = bucket.list_blobs(page_size=page_size, **options)
    assert [blob.name for blob in iterator] == names
    assert sorted(iterator.prefixes) == prefixes


def test_versions_and_fields(bucket: storage.Bucket, store: Store) -> None:
    bucket.versioning_enabled = True
    bucket.patch()
    for _ in range(3):
        store.objects.create("bucket-1", "v", b"x", {"metadata": {"a": "b"}})
    for page_size in (1, 2, 10):
        blobs = list(bucket.list_blobs(versions=True, page_size=page_size))
        assert [blob.generation for blob in blobs] == sorted({blob.generation for blob in blobs})
        assert len(blobs) == 3
    (projected,) = bucket.list_blobs(fields="items(name,metadata/a),nextPageToken")
    assert projected._properties == {"name": "v", "metadata": {"a": "b"}}


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1, max_size=6).filter(
    lambda name: name not in {".", ".."}
)


@settings(max_examples=60, deadline=None)
@given(
    st.sets(names, max_size=25),
    st.text("a/🦊\U0010ffff", max_size=2),
    st.sampled_from(["", "/", "a"]),
    st.integers(1, 7),
)
def test_pages_together_are_the_whole_listing(found: set[str], prefix: str, delimiter: str, size: int) -> None:
    store = Store()
    try:
        store.buckets.create("bucket")
        for name in found:
            store.objects.create("bucket", name, b"")
        wanted = sorted((name for name in found if name.startswith(prefix)), key=str.encode)
        folded = {
            name: name[: name.index(delimiter, len(prefix)) + 1]
            if delimiter and delimiter in name[len(prefix) :]
            else None
            for name in wanted
        }
        listed: list[str] = []
        prefixes: list[str] = []
        token = None
        while True:
            page = store.objects.listing(
                "bucket", Query(prefix=prefix, delimiter=delimiter, max_results=size, page_token=token)
            )
            assert len(page.objects) + len(page.prefixes) <= size
            listed += [stored.name for stored in page.objects]
            prefixes += page.prefixes
            token = page.next_page_token
            if token is None:
                break
        assert listed == [name for name, common in folded.items() if common is None]
        assert prefixes == list(dict.fromkeys(common for common in folded.values() if common))
    finally:
        store.close()


@given(names, names)
def test_the_successor_follows_all_names_with_the_prefix(prefix: str, rest: str) -> None:
    following = successor(prefix)
    if following is None:
        assert set(prefix) == {"\U0010ffff"}
    else:
        assert (prefix + rest).encode() < following.encode()
        assert prefix.encode() < following.encode()


@pytest.mark.parametrize("pattern", ["[", "{a", "[]"])
def test_malformed_globs(pattern: str) -> None:
    with pytest.raises(InvalidError):
        Glob(pattern)


@given(st.text("ab*?[]{},!-\\/", max_size=12), names)
def test_any_glob_is_evaluated_or_refused(pattern: str, name: str) -> None:
    try:
        glob = Glob(pattern)
    except InvalidError:
        return
    assert glob.matches(name) in {True, False}
