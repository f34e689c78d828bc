"""Recognition by content: a table of formats, names and content types with the expected kind or rejection."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable

import pytest
from PIL import Image

from pipeline.errors import REASONS, RejectedError
from pipeline.formats import media_types
from pipeline.inputs import recognition
from pipeline.inputs.objects import HEAD_BYTES
from pipeline.inputs.parameters import kinds
from pipeline.tabular.request import Request

PROSE = "The acting, at first, seemed dull.\nThen, all at once, it was wonderful, and I laughed.\n"
SERIES = "date,sales\n" + "".join(f"2024-01-{day:02},{day * 3}\n" for day in range(1, 29))
REVIEWS = "id,review\n" + "".join(f'{n},"I liked it, mostly, for reason {n}."\n' for n in range(20))
MANIFEST = json.dumps({"id": "m", "inputs": ["gs://b/a.txt"]})
INSTANCES = json.dumps({"instances": [{"text": "a"}, {"text": "b"}]})
LINES = '{"text": "a"}\n{"text": "b"}\n'


def image(form: str, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (9, 7)).save(buffer, form, **options)
    return buffer.getvalue()


def archive(content: str = "hello", *, name: str = "a.txt", encrypted: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr(name, content)
    data = bytearray(buffer.getvalue())
    data[6] |= encrypted
    return bytes(data)


def rows(delimiter: str) -> str:
    return "Datum;Umsatz\n".replace(";", delimiter) + "".join(
        f"{day:02}.03.2024{delimiter}{day},5\n" for day in range(1, 29)
    )


CASES: list[tuple[str, bytes | str, str | None, str]] = [
    # name, content, content type, kind or rejection code
    ("a.txt", PROSE, "text/plain", "text"),
    ("a.txt", "Great!", None, "text"),
    ("a", PROSE, None, "text"),
    ("a.md", "# Title\n\n| a | b |\n|---|---|\n| 1 | 2 |\n", "text/markdown", "text"),
    ("a.txt", PROSE.encode("utf-16"), None, "text"),
    ("a.txt", PROSE.encode("utf-16-le"), None, "text"),
    ("a.txt", PROSE.encode("utf-32"), None, "text"),
    ("a.txt", PROSE.encode("utf-8-sig"), None, "text"),
    ("a.txt", "Schöne Grüße aus Köln, es war großartig.".encode("latin-1"), None, "text"),
    ("a.txt", "“Smart” – and it’s fine…".encode("cp1252"), None, "text"),
    ("a.txt", "Отличный фильм, мне очень понравилось его смотреть вечером.".encode("cp1251"), None, "text"),
    ("a.txt", "とても良い映画でした。友達にも勧めたいと思います。".encode("shift_jis"), None, "text"),
    ("a.txt", "BMW makes cars. MZ, PK and GIF are letters, too.", None, "text"),
    ("a.txt", "{sigh} what a film", None, "text"),
    ("a.txt", "[spoiler] he dies\n[/spoiler] really", None, "text"),
    ("a.txt", "2024", None, "text"),
    ("a.txt", "x" * 100_000, None, "text"),
    ("a.txt", "Grüße " * 20_000, None, "text"),
    ("a.txt", "Great movie review, loved it\nGood story, bad acting\n", None, "text"),
    ("a.txt", "Dear John,\nI write, as promised, to say,\nthat all is well,\n", None, "text"),
    ("a.PNG", image("PNG", "RGBA"), "image/png", "image"),
    ("a.JPG", image("JPEG"), "image/jpeg", "image"),
    ("a.jpeg", image("JPEG", "CMYK"), None, "image"),
    ("photo", image("JPEG"), "application/octet-stream", "image"),
    ("a.jpg", image("PNG"), "image/jpeg", "image"),
    ("a.png", image("PNG", "I;16"), "text/plain", "image"),
    ("a.webp", image("WEBP"), None, "image"),
    ("a.gif", image("GIF", "P"), None, "image"),
    ("a.bmp", image("BMP"), None, "image"),
    ("a.tiff", image("TIFF"), None, "image"),
    ("a.tif", image("TIFF", "I;16"), None, "image"),
    ("a.csv", SERIES, "text/csv", "timeseries"),
    ("a.csv", rows(";"), "text/csv", "timeseries"),
    ("a.csv", rows(";"), "application/vnd.ms-excel", "timeseries"),
    ("a.tsv", rows("\t"), "text/tab-separated-values", "timeseries"),
    ("a.csv", SERIES.replace("\n", "\r\n").encode("utf-16"), None, "timeseries"),
    ("a.txt", SERIES, "text/plain", "timeseries"),
    ("series", SERIES, None, "timeseries"),
    ("a.csv", REVIEWS, "text/csv", "table"),
    ("a.csv", "text\nI liked it a lot\nI did not\n", "text/csv", "table"),
    ("a.csv", "id,uri\n1,gs://b/a.png\n2,gs://b/b.png\n", "text/csv", "table"),
    ("a.csv", REVIEWS * 100, "text/csv", "table"),
    ("a.jsonl", LINES, None, "records"),
    ("a.ndjson", LINES, "application/x-ndjson", "records"),
    ("a.json", LINES, "application/json", "records"),
    ("a", LINES, None, "records"),
    ("a.jsonl", LINES * 10_000, None, "records"),
    ("a.jsonl", '{"text": "a"}\nnot json\n{"text": "b"}\n', None, "records"),
    ("a.jsonl", "\ufeff" + LINES, None, "records"),
    ("a.json", INSTANCES, "application/json", "records"),
    ("a.jsonl", '{"text": "a single line"}\n', None, "records"),
    ("a.json", '{"text": "a single line"}', "application/x-ndjson", "records"),
    ("a.jsonl", "[1, 2]\n", None, "unknown_kind"),
    ("a.json", json.dumps({"instances": [{"text": "a" * 50}] * 5000}), None, "records"),
    ("a.json", json.dumps({"instances": [{"text": "a" * 50}] * 5000}, indent=2), None, "records"),
    ("a.json", json.dumps({"note": {"instances": 1}, "instances": [{"text": "a"}]}), None, "records"),
    ("a.json", MANIFEST, None, "manifest"),
    ("order", MANIFEST, "text/plain", "manifest"),
    ("a.json", json.dumps({"inputs": ["gs://b/" + "a" * 90] * 900, "id": "m"}), None, "manifest"),
    ("a.txt", "", None, "empty"),
    ("a.png", b"", "image/png", "empty"),
    ("a.txt", " \n\t ", None, "empty"),
    ("a.txt", b"\xef\xbb\xbf", None, "empty"),
    ("a.csv", "date,value\n", "text/csv", "empty"),
    ("a.txt", image("PNG"), None, "content_mismatch"),
    ("a.csv", image("PNG"), None, "content_mismatch"),
    ("a", image("PNG"), "text/csv", "content_mismatch"),
    ("a", image("PNG"), "text/plain", "content_mismatch"),
    ("a", image("PNG"), "application/pdf", "content_mismatch"),
    ("a.png", PROSE, None, "content_mismatch"),
    ("a.png", bytes(range(256)) * 4, None, "content_mismatch"),
    ("a.pdf", PROSE, None, "content_mismatch"),
    ("a", PROSE, "image/png", "content_mismatch"),
    ("a", PROSE, "video/mp4", "content_mismatch"),
    ("a.json", PROSE, None, "content_mismatch"),
    ("a.jsonl", PROSE, None, "content_mismatch"),
    ("a.csv", INSTANCES, None, "content_mismatch"),
    ("a.csv", "Once upon a time.\nThere was a film.\nThe end of it.\n", None, "table"),  # of one column
    ("a.txt", archive(), None, "content_mismatch"),
    ("a.png", archive(), None, "content_mismatch"),
    ("a.json", '{"instances": [', None, "invalid_json"),
    ("a.json", '{"a": NaN}', None, "invalid_json"),
    ("a.json", '{"a": ' + "1" * 5000 + "}", None, "invalid_json"),
    ("a.json", "[" * 50_000, None, "invalid_json"),
    ("a.json", "{'instances': []}", None, "invalid_json"),
    ("a.json", '{"text": "a"}', None, "unknown_kind"),
    ("a.txt", '{"text": "a"}', None, "unknown_kind"),
    ("a.json", "[1, 2]", None, "unknown_kind"),
    ("a.json", json.dumps({"rows": ["a" * 50] * 5000}), None, "unknown_kind"),
    ("a.json", json.dumps({"instances": 7}), None, "unknown_kind"),
    ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", None, "image"),
    ("a.jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image/jpeg", "image"),
    ("a.heif", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "image/heif", "image"),
    ("a.avif", b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "image/avif", "image"),
    ("a.avifs", b"\0\0\0\x18ftypavis\0\0\0\0msf1avis", None, "image"),
    ("a.png", image("PNG", save_all=True, append_images=[Image.new("RGB", (9, 7), "red")]), "image/png", "image"),
    ("a.tif", b"II+\0\x08\0\0\0" + bytes(60), "image/tiff", "image"),
    ("a.dib", b"\x28" + bytes(60), None, "unsupported_format"),
    ("a.tga", bytes(range(256)), "image/x-tga", "unsupported_format"),
    ("a.ppm", "P3\n# made by hand\n1 1\n255\n1 2 3\n", None, "unsupported_format"),
    ("a.jp2", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(20), "image/jp2", "unsupported_format"),
    ("a.jxl", b"\xff\x0a" + bytes(20), "image/jxl", "unsupported_format"),
    ("a.docx", archive(name="word/document.xml"), None, "unsupported_format"),
    ("a.pptx", archive(name="ppt/presentation.xml"), None, "unsupported_format"),
    ("a.ods", archive("application/vnd.oasis.opendocument.spreadsheet", name="mimetype"), None, "unsupported_format"),
    ("a.txt", archive(name="word/document.xml"), "text/plain", "content_mismatch"),
    ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "application/vnd.ms-excel", "unsupported_format"),
    ("a.eml", "From: a@example.org\nSubject: A film\n\nIt was good.\n", None, "unsupported_format"),
    ("a", "From: a@example.org\nSubject: A film\n\nIt was good.\n", "message/rfc822", "unsupported_format"),
    ("a.avro", b"Obj\x01" + bytes(20), None, "unsupported_format"),
    ("a.txt", "PAR1 was the first of them, and ORC the second.", None, "text"),
    ("a.txt", "ORC: a film about them", None, "text"),
    ("a.psd", b"8BPS\0\x01" + bytes(20), None, "unsupported_format"),
    ("a.zip", archive(), None, "unsupported_format"),
    ("a", archive(), None, "unsupported_format"),
    ("a.gz", gzip.compress(PROSE.encode()), None, "unsupported_format"),
    ("a.pdf", b"%PDF-1.7\n1 0 obj\n", "application/pdf", "unsupported_format"),
    ("a.svg", '<svg xmlns="http://www.w3.org/2000/svg"></svg>', "image/svg+xml", "unknown_kind"),
    ("a.html", "<!DOCTYPE html><p>hi</p>", "text/html", "unknown_kind"),
    ("a.bin", bytes(range(256)) * 4, None, "unknown_kind"),
    ("a", b"\x00\x01\x02\x03" * 100, "application/octet-stream", "unknown_kind"),
    ("a.txt", bytes(range(256)) * 4, None, "undecodable"),
    ("a.txt", b"hello\x00world, this is text with a NUL", None, "undecodable"),
    ("a.csv", b"\x00" * 500, None, "undecodable"),
    ("a.zip", archive(encrypted=True), None, "encrypted"),
    ("a.txt", archive(encrypted=True), None, "encrypted"),
    ("a.pdf", b"%PDF-1.7\ntrailer << /Encrypt 5 0 R >>", None, "encrypted"),
    ("a.asc", "-----BEGIN PGP MESSAGE-----\n\nhQEM\n", None, "encrypted"),
    ("a.enc", b"Salted__" + bytes(range(40)), None, "encrypted"),
    (
        "a.xlsx",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 99 + "EncryptedPackage".encode("utf-16-le"),
        None,
        "encrypted",
    ),
    ("a.csv", "a,b\n1,2\n3,4\n", None, "no_usable_column"),
    ("a.csv", "date,mood\n1 januember 2024,good\n2 januember 2024,bad\n", None, "unreadable_dates"),
    (
        "a.csv",
        "created_at\nthe first day of the year\nthe second day of the year\n",
        None,
        "unreadable_dates",
    ),
    ("a.csv", "Date,n\n45292,1.5\n45294,2.5\n45295,2\n", None, "timeseries"),  # a spreadsheet's: refused later
    ("a.csv", "rownames,time,value\n1,1949,112\n2,1949.08333333333,118\n3,1949.16666666667,132\n", None, "timeseries"),
    ("a.csv", "date\n1 mars 2024\n2 mars 2024\n", None, "no_usable_column"),
    ("a.csv", "when,n\n2024-01-01 20:05 IST,1\n2024-01-02 20:05 IST,2\n", None, "no_usable_column"),
    ("a.csv", "date,n\n1 januember 2024,1\n2 januember 2024,2\n", None, "timeseries"),  # forecast refuses its dates
    ("a.csv", "Date;Umsatz\n1 août 2024;1,5\n2 août 2024;2,5\n", None, "timeseries"),
    ("a.csv", "date,text\n1 januember 2024,I liked it a lot\n2 januember 2024,I did not\n", None, "table"),
    ("a.csv", "year,month,value\n2023,11,1.5\n2023,12,2.5\n2024,1,2\n", None, "timeseries"),
    ("a.csv", "date,time,value\n2024-01-01,08:00,1.5\n2024-01-01,09:00,2.5\n", None, "timeseries"),
    ("a.csv", "a," * 3000 + "\n" + "1," * 3000 + "\n", None, "invalid_csv"),
]


def outcome(name: str, content: bytes | str, content_type: str | None) -> str:
    data = content.encode() if isinstance(content, str) else content
    try:
        return recognition.sniff(data[:HEAD_BYTES], whole=len(data) <= HEAD_BYTES, name=name, content_type=content_type)
    except RejectedError as error:
        return error.code


@pytest.mark.parametrize(
    ("name", "content", "content_type", "expected"),
    CASES,
    ids=[f"{n}-{case[0]}-{case[3]}" for n, case in enumerate(CASES)],
)
def test_the_kind_or_the_reason(name: str, content: bytes | str, content_type: str | None, expected: str) -> None:
    assert outcome(name, content, content_type) == expected


def test_every_expectation_is_a_kind_or_a_registered_reason() -> None:
    from pipeline.kinds import KINDS

    assert {case[3] for case in CASES} <= {*KINDS, *REASONS}


XLSX = archive(name="xl/workbook.xml")
PARQUET = b"PAR1\x15\x04" + bytes(30)


@pytest.mark.parametrize(
    ("name", "content", "said", "found", "action"),
    [
        ("a.xlsx", REVIEWS, "The name ends in .xlsx", "CSV", "Send it with a name that ends in .csv."),
        ("a.parquet", rows(";"), "The name ends in .parquet", "CSV", "Send it with a name that ends in .csv."),
        ("a.xlsx", LINES, "The name ends in .xlsx", "JSON lines", "Send it with a name that ends in .jsonl."),
        ("a.csv", INSTANCES, "The name ends in .csv", "JSON", "Send it with a name that ends in .json."),
        ("a.jsonl", REVIEWS, "The name ends in .jsonl", "CSV", "Send it with a name that ends in .csv."),
        ("a.docx", PROSE, "The name ends in .docx", "text", "Send it with a name that ends in .txt."),
        ("a.xls", "<html><p>hi</html>", "The name ends in .xls", "markup", "Open it, and save what it shows as"),
        ("a.csv", XLSX, "The name ends in .csv", "an Excel workbook", "Send it with a name that ends in .xlsx."),
        ("a.csv", PARQUET, "The name ends in .csv", "a Parquet file", "Send it with a name that ends in .parquet."),
        ("a.txt", archive(name="word/d.xml"), "The name ends in .txt", "a Word document", "Send its text as a .txt"),
        ("a.json", image("PNG"), "The name ends in .json", "a picture (image/png)", "Send it with a name that ends in"),
    ],
)
def test_a_mismatch_says_what_it_is_and_what_to_do(
    name: str, content: bytes | str, said: str, found: str, action: str
) -> None:
    data = content.encode() if isinstance(content, str) else content
    with pytest.raises(RejectedError) as caught:
        recognition.sniff(data, whole=True, name=name, content_type=None)
    assert caught.value.code == "content_mismatch"
    assert caught.value.message.startswith(f"{said}, but the content is {found}. {action}")


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("a.xlsx", "The content type is text/csv, but", ". Send it with the content type of its format, or none."),
        ("a.csv", "The name ends in .csv and the content type is text/csv, but", ", or none."),
    ],
)
def test_a_mismatch_names_what_is_contradicted(name: str, start: str, end: str) -> None:
    with pytest.raises(RejectedError) as caught:
        recognition.sniff(XLSX, whole=True, name=name, content_type="text/csv")
    assert caught.value.message.startswith(start)
    assert caught.value.message.endswith(end)


def row(label: str, cells: int) -> str:
    return ",".join([label, *(str(len(label) * cell % 97 + cell / 2) for cell in range(cells))]) + "\n"


ACROSS = {
    "the World Bank": (
        '"Data Source","Indicators",\n\n"Country Name","Country Code","Indicator Name","1960","1961","1962",\n'
        + "".join(f'"Country {n}","C{n}","Population, total","{n}","{n * 7}","",\n' for n in range(30)),
        "1960, 1961, 1962",
    ),
    "its DataBank": (
        "Country Name,Series Name,1990 [YR1990],2000 [YR2000],2015 [YR2015]\n"
        + "".join(f'Country {n},"Growth (annual %)",{n},{n}.5,..\n' for n in range(30)),
        "1990 [YR1990], 2000 [YR2000], 2015 [YR2015]",
    ),
    "days": (
        "Province/State,Country/Region,Lat,Long,1/22/20,1/23/20,1/24/20,1/25/20\n"
        + "".join(row(f",Country {n}", 6) for n in range(30)),
        "1/22/20, 1/23/20, 1/24/20, …",
    ),
    "months": ("Store,Jan 2023,Feb 2023,Mar 2023\n" + row("A", 3) + row("Bc", 3), "Jan 2023, Feb 2023, Mar 2023"),
    "years beside months": ("Month,2021,2022,2023\nJan,1,2,3\nFeb,2,3,4\nMar,4,5,6\n", "2021, 2022, 2023"),
    "quarters below years": (
        "Region,2023,,2024,\n,Q1,Q2,Q1,Q2\n" + row("A", 4) + row("B", 4),
        "2023 Q1, 2023 Q2, 2024 Q1, …",
    ),
    "two rows": ("date,2024-01-01,2024-01-02,2024-01-03\nsales,5,6,7\n", "2024-01-01, 2024-01-02, 2024-01-03"),
}


@pytest.mark.parametrize("name", ACROSS)
def test_a_series_across_a_table_is_refused_with_advice(name: str) -> None:
    text, listed = ACROSS[name]
    with pytest.raises(RejectedError) as caught:
        recognition.sniff(text.encode(), whole=True, name="a.csv", content_type=None)
    assert caught.value.code == "no_usable_column"
    assert caught.value.message.startswith(f"The columns {listed} are dates. Send one series with a row for each date")


@pytest.mark.parametrize(
    ("text", "parameters", "kind"),
    [
        (
            "note,2021,2022\nIt was a quiet year for us,1,2\nIt was a loud year for us,2,3\n",
            {"text_column": "note"},
            "table",
        ),
        ("comment,2021,2022\nIt was a quiet year,1,2\nIt was a loud year,2,3\n", {}, "table"),
        ("date,2021,2022,2023\n2024-01-01,1,2,3\n2024-01-02,2,3,5\n", {"value_column": "2022"}, "timeseries"),
        ("date,sales,2022,2023\n2024-01-01,1,2,3\n2024-01-02,2,3,5\n", {}, "timeseries"),
    ],
)
def test_columns_of_years_may_stand_beside_the_input(text: str, parameters: dict[str, str], kind: str) -> None:
    request = Request.of(parameters, kinds(None, parameters))
    assert recognition.sniff(text.encode(), whole=True, name="a.csv", content_type=None, request=request) == kind


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_an_image_cut_anywhere_is_an_image_or_rejected(form: str) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((32, 32), 90).convert("RGB").save(buffer, form)
    data = buffer.getvalue()
    for end in range(48, len(data), 61):
        assert outcome("a.bin", data[:end], None) in {"image", *REASONS}


@pytest.mark.parametrize(
    "make", [lambda n: b"{" * n, lambda n: b'"' * n, lambda n: b"a," * n, lambda n: b'"a\n' * n, lambda n: b"\xff" * n]
)
def test_hostile_heads_are_recognised_in_bounded_time(make: Callable[[int], bytes]) -> None:
    for name in ("a", "a.csv", "a.json", "a.txt"):
        assert outcome(name, make(40_000), None) in {*media_types.FAMILIES, "table", "timeseries", *REASONS}


@pytest.mark.parametrize(
    ("content", "name", "action"),
    [
        (b"%PDF-1.7\n1 0 obj\n", "a PDF", ".txt"),
        (archive(), "an archive", "one by one"),
        (archive(name="word/document.xml"), "a Word document", ".txt"),
        (
            archive("application/vnd.oasis.opendocument.spreadsheet", name="mimetype"),
            "an OpenDocument spreadsheet",
            ".xlsx",
        ),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99) + "Workbook".encode("utf-16-le") + bytes(9), "Excel", ".csv"),
        (b"8BPS\0\x01" + bytes(20), "a Photoshop document", "PNG"),
        (b"ID3\x03" + bytes(20), "audio/mpeg", "transcript"),
        (b"wOFF\0\x01\0\0" + bytes(20), "font-woff", "tables"),
    ],
)
def test_a_refusal_names_the_format_and_what_to_send_instead(content: bytes, name: str, action: str) -> None:
    with pytest.raises(RejectedError) as caught:
        recognition.sniff(content, whole=True, name="upload", content_type=None)
    assert caught.value.code == "unsupported_format"
    assert name in caught.value.message
    assert action in caught.value.message
