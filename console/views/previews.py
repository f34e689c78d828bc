"""What an input and its data look like, as far as can be shown without harm.

Images are decoded and encoded anew; everything else is shown as text or as the cells of a table, never as a page.
"""

import csv
import gzip
import io
import warnings
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageOps, UnidentifiedImageError
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from console.web import console as shared
from console.web.console import Console
from console.web.guard import PREVIEW_POLICY
from event_inference.access.clients import translated

if TYPE_CHECKING:
    from google.cloud.storage import Blob

_HEAD = 64 * 1024  # bytes of a text or a table
_MOST_IMAGE, _MOST_PIXELS, _EDGE = 32 << 20, 60_000_000, 900
_ROWS, _COLUMNS, _CELL = 30, 12, 160
_TEXT = 6_000  # characters
_SVG = "image/svg+xml"  # a program rather than a picture, so its text is shown
_NO_PICTURE = Path(__file__).parent.parent / "static" / "no-picture.svg"
_LONG = 1000  # bytes, above which a text was cut rather than written in an old encoding
_TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")


@dataclass(frozen=True, slots=True)
class Preview:
    """`form` is image, text, table, or nothing; `note` says what is missing."""

    form: str
    text: str = ""
    header: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    note: str = ""


def input_object(console: Console, name: str, document: str) -> "Blob | None":
    """The object of an input, of the generation in which its document's name ends; None if it is gone.

    Messages are kept in the work bucket, for as long as its objects live.
    """
    if document.startswith("messages/") and name.startswith("messages/"):
        kept: Blob | None = console.client.connection.work.get_blob(name)
        return kept
    generation = document.rpartition("/")[2]
    wanted = int(generation) if generation.isdecimal() else None
    found: Blob | None = console.client.connection.input.get_blob(name, generation=wanted)
    return found


def of_blob(blob: "Blob | None", kind: str | None) -> Preview:
    """The preview of an object; its picture, if it is one, is served by `image`."""
    if blob is None:
        return Preview("nothing", note="The input is not there any more.")
    media_type = blob.content_type or ""
    if kind == "image" or (kind is None and media_type.startswith("image/") and media_type != _SVG):
        return Preview("image")
    content = head(blob)
    if content is None:
        return Preview("nothing", note="The content is not text.")
    if kind in ("table", "timeseries") or blob.name.lower().endswith(_TABLES):
        return table(content, whole=(blob.size or 0) <= _HEAD)
    return Preview("text", text=content[:_TEXT], note="Only the beginning is shown." if len(content) > _TEXT else "")


def head(blob: "Blob", limit: int = _HEAD) -> str | None:
    """The beginning of an object as text, unpacked; None if it is not text."""
    size = blob.size or 0
    content = blob.download_as_bytes(start=0, end=min(size, limit) - 1, raw_download=True) if size else b""
    if content[:2] == b"\x1f\x8b":
        content = _unpacked(content, limit)
    return decoded(content)


def decoded(content: bytes) -> str | None:
    """Text in UTF-8 or UTF-16, or in an old encoding of the West; None if it is not text."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    if b"\x00" in content[:1024]:
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(content) > _LONG and error.reason == "unexpected end of data":  # a character was cut in two
            return content[: error.start].decode("utf-8-sig")
    return content.decode("cp1252", errors="replace")


def table(content: str, *, whole: bool) -> Preview:
    """The first rows of a CSV."""
    lines = content.splitlines()[: _ROWS + 2]
    if not whole and len(lines) > 1 and len(lines) < _ROWS + 2:
        lines = lines[:-1]  # the last one may be cut
    sample = "\n".join(lines)
    delimiter = max(",;\t|", key=lambda sign: sample.count(sign))
    read = [[cell[:_CELL] for cell in row[:_COLUMNS]] for row in csv.reader(io.StringIO(sample), delimiter=delimiter)]
    if not read:
        return Preview("nothing", note="The table is empty.")
    note = "Only the first rows are shown." if not whole or len(content.splitlines()) > len(lines) else ""
    return Preview("table", header=read[0], rows=read[1 : _ROWS + 1], note=note)


def image(request: Request) -> Response:
    """An image of the input bucket, decoded and encoded anew, in a sandbox."""
    console = shared.of(request)
    name, generation = request.query_params.get("name", ""), request.query_params.get("generation", "")
    with translated(console.client.target):
        blob = input_object(console, name, generation)
        content = blob.download_as_bytes() if blob is not None and (blob.size or 0) <= _MOST_IMAGE else b""
    picture = thumbnail(content)
    headers = {"content-security-policy": PREVIEW_POLICY, "cache-control": "private, max-age=600"}
    if picture is None:
        return FileResponse(_NO_PICTURE, media_type="image/svg+xml", headers=headers)
    return Response(picture, media_type="image/webp", headers=headers)


def thumbnail(content: bytes) -> bytes | None:
    """A small WebP of an image, turned as its camera says; None if it cannot be decoded safely."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(content))
            if opened.width * opened.height > _MOST_PIXELS:
                return None
            opened.draft("RGB", (_EDGE, _EDGE))
            picture = ImageOps.exif_transpose(opened)
            if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
                picture = picture.point(lambda value: value / 256).convert("L")
            picture = picture.convert("RGBA" if "A" in picture.mode or "transparency" in picture.info else "RGB")
            picture.thumbnail((_EDGE, _EDGE))
            out = io.BytesIO()
            picture.save(out, "WEBP", quality=85)
    except (UnidentifiedImageError, Image.DecompressionBombError, Image.DecompressionBombWarning, OSError, ValueError):
        return None
    except (SyntaxError, ArithmeticError, EOFError, zlib.error):  # of Pillow's readers on broken files
        return None
    return out.getvalue()


def _unpacked(content: bytes, limit: int) -> bytes:
    """The beginning of what a gzip stream unpacks to, however much that would be."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            return stream.read1(limit)
    except (OSError, EOFError, zlib.error):
        return b""
