import pytest

from emulator.googleapi import paging
from emulator.googleapi.errors import InvalidArgumentError


@pytest.mark.parametrize(("text", "size"), [(0, 10), ("", 10), ("7", 7), (99, 50)])
def test_page_size(text, size):
    assert paging.page_size(text, default=10, largest=50) == size


@pytest.mark.parametrize("text", ["-1", "many"])
def test_invalid_page_sizes_are_refused(text):
    with pytest.raises(InvalidArgumentError):
        paging.page_size(text, default=10, largest=50)


def test_pages_follow_each_other_to_the_end():
    items, token, pages = list(range(5)), "", []
    while not pages or token:
        page, token = paging.page(items, 2, token, "parent")
        pages.append(page)
    assert pages == [[0, 1], [2, 3], [4]]


def test_jump_starts_further_on_and_the_token_counts_from_there():
    page, token = paging.page(range(9), 2, "", "parent", jump=3)
    assert list(page) == [3, 4]
    assert list(paging.page(range(9), 2, token, "parent")[0]) == [5, 6]


@pytest.mark.parametrize("token", ["x", "bm8=", paging.seal(paging.Cursor(2), "another parent")])
def test_invalid_tokens_are_refused(token):
    with pytest.raises(InvalidArgumentError):
        paging.page([1, 2, 3], 2, token, "parent")
