"""Guesses the encoding of a text that is not in Unicode, and reads the names of encodings."""

import codecs
import re

RARE = (  # that no one writes today and that fit nearly any text: mainframes, and pages that others have replaced
    *("iso8859-3", "iso8859-4", "iso8859-10", "iso8859-13", "iso8859-14", "iso8859-16", "hp-roman8", "cp1006"),
    *("cp037", "cp273", "cp424", "cp500", "cp875", "cp1026", "cp1140", "cp437", "cp720", "cp737", "cp775", "cp856"),
    *("cp857", "cp858", "cp860", "cp861", "cp862", "cp863", "cp864", "cp865", "cp869", "cp1125", "koi8-t", "kz1048"),
    *("ptcp154", "mac-greek", "mac-iceland", "mac-latin2", "mac-turkish"),
)
NOT_LATIN = (
    *("big5hkscs", "cp855", "cp866", "cp874", "cp932", "cp949", "cp1006", "cp1251", "cp1253", "cp1255", "cp1256"),
    *("euc_jis_2004", "euc_kr", "gb18030", "iso8859-5", "iso8859-6", "iso8859-7", "iso8859-8", "johab", "koi8-r"),
    *("koi8-u", "mac-cyrillic", "shift_jis_2004", "tis-620"),
)
WIDER = {  # what browsers read instead: it has the same letters, and more
    **dict.fromkeys(("shift_jis", "shift_jis_2004", "shift_jisx0213"), "cp932"),
    **dict.fromkeys(("euc_jis_2004", "euc_jisx0213"), "euc_jp"),
    **dict.fromkeys(("gb2312", "gbk"), "gb18030"),
    "euc_kr": "cp949",
    "big5": "big5hkscs",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
}
ESCAPES = re.compile(rb"\x1b\$(?:[@B]|\([@BCDOPQ]|\)C)|\x1b\([IJ]")
ESCAPED = ("iso2022_jp", "iso2022_kr", "iso2022_jp_2", "iso2022_jp_2004", "iso2022_jp_ext")
NO_TEXT = ("idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape")
SURE = 0.15  # the detector's confidence above which no other is asked about a text in a script of its own
ALPHABETS = ("ëç", "ñ", "àçèéíïòóúü")  # accented letters of Albanian, Basque, Catalan, which the detector mistakes
ENOUGH = 5  # accented letters to tell those by
MIXED = 0.6  # share of ASCII letters in words with others too, above which those are accented letters
MIXED_WORD = re.compile(rb"[A-Za-z]*[\x80-\xff][A-Za-z\x80-\xff]*")
ACCENTED = 0.6  # share of the letters of accented words that no language in Latin letters has
HIGH_WORD = re.compile(rb"[^\s<>\"']*[\x80-\xff][^\s<>\"']*")
WORD = re.compile(r"[^\W\d_]*[^\W\d_\x00-\x7f][^\W\d_]*")  # with a letter that ASCII lacks
LONG = 4
MARKS = "’‘–—…«»“”„·°"
SYMBOL = re.compile(rf"(?<=[^\W\d_])[^\w\s\x00-\x7f´ºª{MARKS}](?=[^\W\d_])|[^\w\s\x00-\x7f{MARKS}]{{2}}|[\x80-\x9f]")
CONTROLS = re.compile(r"[\x80-\x84\x86-\x9f]")  # which no text has; Windows has letters there
WINDOWS = ("cp1250", "cp1252", "cp1254")
SYMBOLS = 0.2  # for each word, above which they are letters of another encoding


def guess(sample: bytes) -> str | None:
    """The codec for a sample that is not UTF-8, UTF-16 or UTF-32; None if it is not text.

    One detector is right about nearly all texts. Where its answer reads badly, or it doubts an answer in a script of
    its own, another is asked, and then the first about the words alone, since markup around them misleads it.
    """
    if any(_is_alphabet(sample, letters) for letters in ALPHABETS):
        return "cp1252"
    codec, confidence = _detected(sample)
    if codec is None:
        return None
    reads_badly = _reads_badly(sample, codec)
    if reads_badly or (confidence < SURE and not _is_latin(sample, codec)):
        other, is_coherent = _second_opinion(sample)
        if other and (reads_badly or is_coherent) and not _is_latin(sample, other):
            return _wider(sample, other)
    if reads_badly:
        other, _ = _detected(b" ".join(HIGH_WORD.findall(sample)))
        if other and not _reads_badly(sample, other):
            return _wider(sample, other)
        for windows in WINDOWS:  # whose letters are control characters elsewhere
            if not _reads_badly(sample, windows):
                return windows
    return _wider(sample, codec)


def escaped(sample: bytes) -> tuple[str, ...]:
    """The codecs to try for a sample in ISO-2022, which is ASCII that escape sequences give another meaning."""
    return ESCAPED if ESCAPES.search(sample) else ()


def declared(name: str | None) -> str | None:
    """The codec that a declared charset, such as `windows-1250`, names; None for what is no encoding of text."""
    try:
        info = codecs.lookup(name or "")
    except (LookupError, ValueError):
        return None
    return info.name if info._is_text_encoding and info.name not in NO_TEXT else None


def readings(codec: str) -> tuple[str, ...]:
    """The codecs to try for a declared one."""
    return (WIDER[codec], codec) if codec in WIDER else (codec,)


def _detected(sample: bytes) -> tuple[str | None, float]:
    from chardet import detect

    words = b"".join(word for word in MIXED_WORD.findall(sample) if len(word) >= LONG)
    has_latin_letters = sum(byte < 0x80 for byte in words) > MIXED * len(words)
    excluded = (*RARE, *NOT_LATIN) if has_latin_letters else RARE
    found = detect(sample, exclude_encodings=excluded, compat_names=False, prefer_superset=False)
    return found["encoding"], found["confidence"]


def _second_opinion(sample: bytes) -> tuple[str | None, bool]:
    """Another detector's answer, and whether the text is coherent in a language that it knows."""
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    return (None, False) if best is None else (best.encoding, best.coherence > 0)


def _wider(sample: bytes, codec: str) -> str:
    try:
        sample.decode(WIDER[codec])
    except (KeyError, UnicodeError):
        return codec
    return WIDER[codec]


def _is_alphabet(sample: bytes, letters: str) -> bool:
    """Whether the sample in cp1252 has enough letters that ASCII lacks, few for its length, and all among `letters`."""
    text = sample.decode("cp1252", "replace").lower()
    accented = [char for char in text if ord(char) > 127 and char not in MARKS]
    return ENOUGH <= len(accented) <= 0.2 * len(text) and set(accented) <= set(letters)


def _is_latin(sample: bytes, codec: str) -> bool:
    letters = [char for char in sample.decode(codec, "ignore") if ord(char) > 127 and char.isalpha()]
    latin = sum(ord(char) < 0x250 or 0x1E00 <= ord(char) < 0x1F00 for char in letters)
    return latin >= 0.5 * len(letters)


def _reads_badly(sample: bytes, codec: str) -> bool:
    """Whether the text shows that the codec is wrong: words mostly of accents or with symbols, or cases exchanged."""
    text = sample.decode(codec, "ignore")
    words: list[str] = WORD.findall(text)
    longer = [word for word in words if len(word) >= LONG]
    if _is_latin(sample, codec):
        letters = "".join(longer)
        accents = sum(not letter.isascii() for letter in letters)
        if CONTROLS.search(text):
            return True
        return accents > ACCENTED * len(letters) or len(SYMBOL.findall(text)) > SYMBOLS * max(1, len(words))
    exchanged = sum(word[0].islower() and word[1:].isupper() for word in longer)
    return exchanged > sum(word[0].isupper() and word[1:].islower() for word in longer)
