"""Refuses content that its name or content type contradicts: what it is, and how to send it."""

from collections.abc import Collection

from pipeline.errors import RejectedError
from pipeline.formats import signatures, unsupported
from pipeline.formats.media_types import Promise

ENDINGS = {  # by what the content is, the name that it should have
    "text": "txt",
    "text without columns": "txt",
    "CSV": "csv",
    "JSON": "json",
    "JSON lines": "jsonl",
    "an Excel workbook": "xlsx",
    "a Parquet file": "parquet",
}
READ = {signatures.XLSX: "an Excel workbook", signatures.PARQUET_TYPE: "a Parquet file"}
MARKUP = "Open it, and save what it shows as .xlsx, .csv or .txt."


def of_text(promise: Promise, contradicted: Collection[str], content: str) -> RejectedError:
    """The refusal of a text, of which `content` says what it is."""
    action = MARKUP if content == "markup" else _renamed(promise, contradicted, ENDINGS.get(content))
    return _mismatch(promise, contradicted, content, action)


def of_binary(promise: Promise, contradicted: Collection[str], media_type: str) -> RejectedError:
    """The refusal of content with the signature of a media type."""
    if media_type in READ:
        content = READ[media_type]
        return _mismatch(promise, contradicted, content, _renamed(promise, contradicted, ENDINGS[content]))
    if media_type in signatures.IMAGES:
        ending = media_type.partition("/")[2]
        return _mismatch(promise, contradicted, f"a picture ({media_type})", _renamed(promise, contradicted, ending))
    return _mismatch(promise, contradicted, unsupported.name(media_type), unsupported.action(media_type))


def _renamed(promise: Promise, contradicted: Collection[str], ending: str | None) -> str:
    if ending is None:
        return "Send it with the name and content type of its format."
    name = f"with a name that ends in .{ending}" if promise.by_name in contradicted else ""
    media_type = "with the content type of its format, or none" if promise.by_type in contradicted else ""
    return f"Send it {' and '.join(filter(None, (name, media_type)))}."


def _mismatch(promise: Promise, contradicted: Collection[str], content: str, action: str) -> RejectedError:
    words = promise.words(contradicted)
    return RejectedError("content_mismatch", f"{words}, but the content is {content}. {action}")
