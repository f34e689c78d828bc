"""Encodings are guessed right in each group of languages, for short texts and long ones."""

import json
from pathlib import Path

import pytest

from pipeline.formats import charsets, media_types, text

TEXTS: dict[str, str] = json.loads(Path(__file__).with_name("languages.json").read_text())
WESTERN = (
    *("German", "French", "Spanish", "Portuguese", "Italian", "Dutch", "Swedish", "Danish", "Finnish", "Icelandic"),
    *("Catalan", "Albanian"),
)
CODECS = {
    **dict.fromkeys(WESTERN, ("cp1252",)),
    **dict.fromkeys(("Czech", "Slovak", "Polish", "Hungarian", "Croatian", "Slovenian"), ("cp1250", "iso8859_2")),
    "Romanian": ("cp1250", "iso8859_2"),
    "Turkish": ("cp1254", "iso8859_9"),
    "Lithuanian": ("cp1257",),
    "Latvian": ("cp1257",),
    "Russian": ("cp1251", "koi8_r", "iso8859_5", "cp866", "mac_cyrillic"),
    "Ukrainian": ("cp1251", "koi8_u"),
    "Bulgarian": ("cp1251", "iso8859_5"),
    "Greek": ("cp1253", "iso8859_7"),
    "Hebrew": ("cp1255",),
    "Arabic": ("cp1256", "iso8859_6"),
    "Thai": ("cp874",),
    "Japanese": ("cp932", "euc_jp", "iso2022_jp"),
    "Korean": ("cp949", "iso2022_kr"),
    "Chinese": ("gb18030",),
    "Taiwanese": ("big5",),
}
CASES = [(language, codec) for language, codecs in CODECS.items() for codec in codecs]


@pytest.mark.parametrize(("language", "codec"), CASES)
@pytest.mark.parametrize("form", ["{}", "{0}\n{0}\n{0}\n", "id,text\n1,{0}\n2,{0}\n", "<p class='a'>{}</p>"])
def test_texts_of_each_language_are_read(language: str, codec: str, form: str):
    content = form.format(TEXTS[language])
    data = content.encode(codec, "ignore")
    assert text.decode(data) == data.decode(codec)


@pytest.mark.parametrize(("language", "codec"), CASES)
def test_the_sample_may_end_within_a_character(language: str, codec: str):
    data = f"{TEXTS[language]}\n".encode(codec, "ignore") * 3
    for cut in range(1, 4):
        assert text.encoding(data[:-cut], whole=False) == text.encoding(data)


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be", "iso2022_jp"])
def test_what_the_bytes_show_is_no_guess(codec: str):
    assert not text.encoding("日本語 English".encode(codec)).is_guess


def test_a_legacy_encoding_is_a_guess():
    assert text.encoding(TEXTS["Czech"].encode("cp1250")) == ("cp1250", True)


def test_a_reading_with_control_characters_is_never_right() -> None:
    rows = "".join(f"Příšerný žluťoučký kůň {number}; šťastný konec\n" for number in range(10))
    assert text.encoding(f"text;konec\n{rows}".encode("cp1250")) == ("cp1250", True)


@pytest.mark.parametrize("name", ["windows-1250", "cp1250", "WINDOWS-1250", "x-mac-roman", "macintosh"])
def test_a_declared_charset_that_decodes_is_honoured(name: str):
    codec = charsets.declared(name)
    data = "Žluťoučký kůň".encode("cp1250")
    expected = ("cp1250", False) if codec == "cp1250" else (codec, False) if codec else text.encoding(data)
    assert text.encoding(data, name) == expected


@pytest.mark.parametrize("name", ["utf-8", "ascii", "utf-16", "no such charset", "rot13", "idna", "zip", "", None])
def test_a_declared_charset_that_does_not_decode_is_not(name: str | None):
    data = f"{TEXTS['Polish']}!".encode("cp1250")
    assert text.encoding(data, name) == ("cp1250", True)


def test_a_byte_order_mark_precedes_the_declared_charset():
    assert text.decode("\ufeffžluťoučký".encode(), "windows-1250") == "žluťoučký"


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("text/csv; charset=windows-1250", "windows-1250"),
        ('text/csv; header=present; charset="ISO-8859-2"', "iso-8859-2"),
        ("text/csv;charset=utf-8", "utf-8"),
        ("text/csv", None),
        ("", None),
        (None, None),
        ("charset", None),
        ("; charset=", ""),
    ],
)
def test_the_charset_of_a_content_type(content_type: str | None, charset: str | None):
    assert (media_types.charset(content_type) or "") == (charset or "")
