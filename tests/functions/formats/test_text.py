"""Text decoding: encodings round-trip, and content that is not text is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RejectedError
from pipeline.formats import text

MARKED = ["utf-8", "utf-8-sig", "utf-16", "utf-32"]
WORDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Z"]), min_size=1)


@pytest.mark.parametrize("encoding", MARKED)
@given(content=WORDS)
def test_unicode_is_read_exactly(encoding: str, content: str) -> None:
    if encoding == "utf-8" and content.startswith("\ufeff"):
        content = content.lstrip("\ufeff") + "."
    assert text.decode(content.encode(encoding)) == content


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("Hello world, this is plain.", "utf-16-le"),
        ("Hello world, this is plain.", "utf-16-be"),
        ("Hello world, this is plain.", "utf-32-le"),
        ("Hello world, this is plain.", "utf-32-be"),
        ("Das schöne Café über München", "latin-1"),
        ("“Quotes” – €5", "cp1252"),
        ("Zażółć gęślą jaźń, proszę bardzo i dziękuję uprzejmie", "utf-16-le"),
        ("Отличный фильм, мне очень понравилось его смотреть.", "cp1251"),
        ("これは日本語のテキストです。とても良い映画でした。", "shift_jis"),
    ],
)
def test_encodings_without_a_mark_are_recognised(content: str, encoding: str) -> None:
    assert text.decode(content.encode(encoding)) == content


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 64,
        bytes(range(256)),
        b"\xff\xfe\x00",
        b"\xff\xfe\x00\xd8\x00\x00",
        b"text\x00text\x00, and text",
        b"\x01\x02\x03\x04\x05\x06\x07\x08" * 9,
        b"good beginning " * 6000 + b"\xff\xfe\xfd",
    ],
)
def test_content_that_is_not_text_is_refused(data: bytes) -> None:
    with pytest.raises(RejectedError) as caught:
        text.decode(data)
    assert caught.value.code == "undecodable"


@pytest.mark.parametrize("content", ["a film", "very good!", "Crème brûlée", "good film, not dull", "a,b\n1,2\n3,4\n"])
def test_a_stray_zero_byte_does_not_make_a_short_text_utf_16(content: str) -> None:
    data = content.encode()
    for position in range(len(data) + 1):
        with pytest.raises(RejectedError, match="zero bytes"):
            text.decode(data[:position] + b"\0" + data[position:])


@pytest.mark.parametrize("content", ["a", "OK", "film", "你好 world", "ok 👍 ok", "Хорошо", "1\n"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_short_text_in_wide_characters_needs_no_mark(encoding: str, content: str) -> None:
    if content == "Хорошо" and encoding.startswith("utf-16"):
        content += ", очень"
    assert text.decode(content.encode(encoding)) == content


@pytest.mark.parametrize("encoding", MARKED)
def test_a_character_cut_at_the_end_of_the_head_is_dropped(encoding: str) -> None:
    data = ("日本語" * 10).encode(encoding)
    for cut in range(1, 8):
        assert ("日本語" * 10).startswith(text.decode_head(data[:-cut], whole=False))


@given(st.binary(max_size=400))
def test_any_bytes_are_text_or_refused(data: bytes) -> None:
    try:
        text.decode(data)
        code = "decoded"
    except RejectedError as error:
        code = error.code
    assert code in ("decoded", "undecodable")


ROWS = "".join(f"{n};Köln\n" for n in range(20_000))


@pytest.mark.parametrize("rows", [ROWS, ROWS.replace("ö", "o")], ids=["UTF-8", "ASCII"])
def test_a_stray_byte_behind_the_first_64_kb_is_read_where_one_row_may_be_bad(rows: str) -> None:
    data = rows.encode() + b"20000;K\xf6ln\n"
    assert text.decode(data, strict=False) == rows + "20000;Köln\n"


def test_many_characters_in_utf8_outweigh_stray_bytes() -> None:
    assert text.decode(b"K\xf6ln, " + "Köln ".encode() * 3) == "Köln, " + "Köln " * 3
    assert not text._is_mostly_utf8("Grüße ".encode("latin-1") * 3 + b"K\xc3\xb6ln")


@pytest.mark.parametrize(
    ("content", "codec"),
    [
        ("Отличный фильм, мне очень понравилось его смотреть вечером. ", "cp1251"),
        ("とても良い映画でした。友達にも勧めたいと思います。", "shift_jis"),
        ("这部电影非常好看，我想推荐给所有的朋友们。", "gb18030"),
        ("이 영화는 정말 재미있어서 친구들에게 추천하고 싶습니다. ", "euc_kr"),
    ],
)
def test_other_encodings_are_not_taken_for_utf8_with_stray_bytes(content: str, codec: str) -> None:
    assert not text._is_mostly_utf8((content * 3).encode(codec))


def test_a_zero_byte_among_many_others_is_a_character() -> None:
    assert text.decode(b"A plain text. " * 20 + b"\0") == "A plain text. " * 20 + "\0"
