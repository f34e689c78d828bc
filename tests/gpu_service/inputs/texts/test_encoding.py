"""The service decodes texts in Cloud Storage by the same rules as the functions decode uploads."""

import codecs
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_service.inputs.texts import charsets, encoding
from pipeline.errors import RejectedError
from pipeline.formats import charsets as of_uploads
from pipeline.formats import media_types, text

PLAIN, FRENCH, RUSSIAN, JAPANESE = (
    "a good film, not dull",
    "a film that is too long – très long, déjà vu",
    "Очень хороший фильм, и совсем не скучный. " * 5,
    "とても良い映画です。退屈ではありません。" * 5,
)
CENTRAL_AND_TURKISH = {
    "Czech": ("Příliš žluťoučký kůň úpěl ďábelské ódy. ", ("cp1250", "iso8859_2")),
    "Turkish": ("Çok güzel bir film, hiç sıkıcı değil, şahane. ", ("cp1254",)),
    "Hungarian": ("Nagyon jó film, egyáltalán nem unalmas, gyönyörűen fényképezték. ", ("cp1250",)),
}
WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
NOISE = random.Random(7).randbytes(500)

CASES: dict[str, bytes] = {
    "empty": b"",
    "white space": b" \r\n\t",
    "one letter": b"a",
    "UTF-8": (FRENCH + JAPANESE).encode(),
    "emoji": "a good film 🎬".encode(),
    **{f"{name} mark alone": mark for name, mark in vars(codecs).items() if name.startswith("BOM_")},
    **{f"{codec} with a mark": f"\ufeff{FRENCH}".encode(codec) for codec in ("utf-8", *WIDE)},
    **{f"{codec} without a mark": PLAIN.encode(codec) for codec in WIDE},
    **{f"French in {codec} without a mark": FRENCH.encode(codec) for codec in WIDE},
    **{f"Japanese in {codec} without a mark": JAPANESE.encode(codec) for codec in WIDE},
    **{f"emoji in {codec}": "film 🎬 film".encode(codec) for codec in WIDE},
    **{f"white space in {codec}": "  \n".encode(codec) for codec in WIDE},
    **{f"{codec}, last byte missing": PLAIN.encode(codec)[:-1] for codec in WIDE},
    **{f"{codec} with a mark, last byte missing": f"\ufeff{PLAIN}".encode(codec)[:-1] for codec in ("utf-8", *WIDE)},
    "a lone surrogate in UTF-16": (PLAIN * 9).encode("utf-16-le") + b"\x00\xd8",
    "cp1252": FRENCH.encode("cp1252"),
    "cp1252 quotes": b"\x93a good film\x94 \x96 10 \x80",
    "Latin-1": "très long, déjà vu".encode("latin-1"),
    "bytes that cp1252 lacks": b"a good film \x81 \x8d \x8f",
    "C1 controls in Latin-1": b"a good film\x85 not dull\x9f",
    "C1 controls in UTF-8": "a good film\x85 not dull\x9f".encode(),
    "UTF-8 cut off": "a good film, très".encode()[:-2],
    "UTF-8 with a stray byte": "très long ".encode() + b"\xe9" + " à côté".encode(),
    "an overlong form": b"a good film \xc0\xaf",
    "a surrogate in UTF-8": b"a good film \xed\xa0\x80",
    "KOI8-R": RUSSIAN.encode("koi8-r"),
    "cp1251": RUSSIAN.encode("cp1251"),
    "a Russian word in KOI8-R": "хорошо".encode("koi8-r"),
    "Shift JIS": JAPANESE.encode("shift_jis"),
    "EUC-JP": JAPANESE.encode("euc_jp"),
    "GB 18030": "这部电影很好看，一点也不无聊。".encode("gb18030") * 5,
    "Greek": "Πολύ καλή ταινία, καθόλου βαρετή. ".encode("iso8859_7") * 5,
    **{
        f"{language} in {codec}": (words * 5).encode(codec)
        for language, (words, codecs_of) in CENTRAL_AND_TURKISH.items()
        for codec in codecs_of
    },
    "ISO-2022-JP": JAPANESE.encode("iso2022_jp"),
    "ISO-2022-KR": "좋은 영화입니다.".encode("iso2022_kr"),
    "EBCDIC": PLAIN.encode("cp500"),
    "zero bytes": b"\0" * 40,
    "one zero byte": b"a good film\0 and not dull",
    "zero-terminated": b"a good film\0",
    **{f"a zero byte at {at} of a short text": b"a film"[:at] + b"\0" + b"a film"[at:] for at in range(7)},
    "a zero byte in a short text in UTF-8": "Crème\0brûlée".encode(),
    "Chinese and English in UTF-16": "你好 world".encode("utf-16-le"),
    "zero bytes at both places": b"a\0b\0\0c\0d" * 9,
    "one control character": b"a good film \x07" + b"and not dull " * 9,
    "control characters": b"\x01\x02\x03 good",
    "escape sequences": b"\x1b[1mgood\x1b[0m film",
    "the last control character": b"good\x7f\x7f film",
    "non-characters": "good \uffff\ufffe film".encode(),
    "noise": NOISE,
    "noise without zeros": NOISE.replace(b"\0", b"\1"),
    "the high half": bytes(range(128, 256)),
    "every byte": bytes(range(256)),
    "PNG": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x08",
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
    "a character across the sample's end": b"a" * (text.SAMPLE_BYTES - 1) + FRENCH.encode(),
    "UTF-16 beyond the sample": PLAIN.encode("utf-16-le") * 4000,
    "UTF-16 with an odd end beyond the sample": PLAIN.encode("utf-16-le") * 4000 + b"a",
    "another encoding after the sample": b"a" * text.SAMPLE_BYTES + FRENCH.encode("cp1252"),
    "a zero byte after the sample": b"a" * text.SAMPLE_BYTES + b"\0",
    "controls after the sample": b"a" * text.SAMPLE_BYTES + b"\x01" * 2000,
}

DECLARED = {
    "one that decodes": ("Příliš žluťoučký kůň".encode("iso8859_2"), "iso-8859-2"),
    "one that does not": ("Příliš žluťoučký kůň".encode("iso8859_2"), "utf-8"),
    "none of text": (FRENCH.encode(), "rot13"),
    "unknown": (FRENCH.encode(), "x-user-defined"),
    "another than the mark's": (codecs.BOM_UTF8 + FRENCH.encode(), "cp1252"),
    "Latin-1, as browsers read it": (b"a good film \x80 5", "iso-8859-1"),
    "UTF-16 without a mark": (RUSSIAN.encode("utf-16-le"), "utf-16le"),
    "in quotes": (FRENCH.encode("cp1252"), '"windows-1252"'),
}


def upload(data: bytes, charset: str | None = None) -> str | None:
    try:
        return text.decode(data, charset)
    except RejectedError:
        return None


def test_the_rules_of_guessing_are_the_same():
    """Two deployables that import nothing of each other have a copy each."""
    assert Path(charsets.__file__).read_text() == Path(of_uploads.__file__).read_text()


@pytest.mark.parametrize("name", DECLARED)
def test_a_declared_charset_is_read_as_that_of_an_upload(name: str):
    data, charset = DECLARED[name]
    content_type = f"text/plain; charset={charset}"
    assert encoding.decode(data, content_type) == upload(data, media_types.charset(content_type))


@pytest.mark.parametrize("name", CASES)
def test_the_service_decodes_as_uploads_are_decoded(name: str):
    assert encoding.decode(CASES[name]) == upload(CASES[name])


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", *WIDE])
def test_it_reads_what_was_written(codec: str):
    assert encoding.decode(FRENCH.encode(codec)) == FRENCH


@pytest.mark.parametrize(
    "name",
    [
        "one zero byte",
        "a zero byte at 3 of a short text",
        "noise",
        "control characters",
        "PNG",
        "UTF-16 with an odd end beyond the sample",
    ],
)
def test_binary_content_is_not_text(name: str):
    assert encoding.decode(CASES[name]) is None


PARTS = st.sampled_from(
    [b"\0", b"a", b" ", b"\xe9", b"\xc3\xa9", b"\x81", b"\x01", b"\xff", b"\xfe", b"\xd8", b"good", b"a\0", b"\0b"]
)
anything = st.one_of(st.binary(max_size=60), st.lists(PARTS, max_size=40).map(b"".join))


@given(data=anything)
@settings(max_examples=300, deadline=None, database=None, derandomize=True)
def test_any_bytes_are_decoded_alike(data: bytes):
    assert encoding.decode(data) == upload(data)
