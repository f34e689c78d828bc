"""The multipart parser finds the same parts however the body is split into blocks."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.storage.api.multipart_bodies import Headers, MultipartParser
from emulator.storage.errors import InvalidError


def parse(body: bytes, cuts: list[int]) -> list[tuple[dict[str, str], bytes]]:
    parser = MultipartParser(b"frontier")
    parts: list[tuple[dict[str, str], bytes]] = []
    edges = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    for start, end in pairwise(edges):
        for piece in parser.feed(body[start:end]):
            if isinstance(piece, Headers):
                parts.append((piece.values, b""))
            else:
                parts[-1] = (parts[-1][0], parts[-1][1] + piece)
    parser.close()
    return parts


contents = st.lists(st.sampled_from([b"-", b"--", b"\r", b"\n", b"--fron", b"tier", b"x" * 50]), max_size=12).map(
    b"".join
)


@given(contents, contents, st.sampled_from([b"\r\n", b"\n"]), st.lists(st.integers(0, 500), max_size=6))
def test_parts_do_not_depend_on_the_blocks(first: bytes, second: bytes, newline: bytes, cuts: list[int]) -> None:
    if b"\n--frontier" in b"\n" + first or b"\n--frontier" in b"\n" + second:
        return
    lines = [b"--frontier", b"A: 1", b"B:2", b"", first, b"--frontier", b"", second, b"--frontier--", b"after"]
    assert parse(newline.join(lines), cuts) == [({"a": "1", "b": "2"}, first), ({}, second)]


@pytest.mark.parametrize(
    "body", [b"", b"--frontier\r\n\r\nx", b"--other--", b"--frontier\r\nno colon\r\n\r\nx\r\n--frontier--"]
)
def test_a_malformed_body_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidError):
        parse(body, [])


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
@pytest.mark.parametrize("fold", [b" ", b"\t", b"   "])
def test_a_folded_header_is_one_header(newline: bytes, fold: bytes) -> None:
    media_type = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    lines = [b"--frontier", b"Content-Type:", fold + media_type, b"Other: a;", fold + b"b", b"", b"x", b"--frontier--"]
    assert parse(newline.join(lines), [7, 30]) == [({"content-type": media_type.decode(), "other": "a; b"}, b"x")]
