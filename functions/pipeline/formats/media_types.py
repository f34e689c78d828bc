"""The family of formats that an object's name and content type promise."""

from collections.abc import Collection
from email.message import Message
from typing import NamedTuple

FAMILIES = {  # by the name's extension
    "image": "jpg jpeg jpe jfif png apng webp gif bmp tif tiff heic heif hif avif",
    "picture": "dib psd ico cur tga pcx ppm pgm pbm pnm xpm xbm jp2 j2k jpf jpx jxl eps cr2 cr3 nef arw dng raf svgz",
    "text": "txt text md markdown rst log",
    "csv": "csv tsv tab",
    "json": "json jsonl ndjson",
    "mail": "eml mbox",
    "other": "pdf zip gz bz2 xz 7z rar tar doc docx xls xlsx ppt pptx odt ods xlsm mp3 mp4 wav avi mov exe dll so "
    "parquet parq avro",
}
EXTENSIONS = {extension: family for family, extensions in FAMILIES.items() for extension in extensions.split()}
CONTENT_TYPES = {
    "text/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/csv": "csv",
    "application/json": "json",
    "application/jsonl": "json",
    "application/x-ndjson": "json",
    "application/ndjson": "json",
    "application/jsonlines": "json",
    "message/rfc822": "mail",
    "application/mbox": "mail",
    "application/pdf": "other",
    "application/zip": "other",
    "application/gzip": "other",
}
LINE_TYPES = ("application/jsonl", "application/x-ndjson", "application/ndjson", "application/jsonlines")


class Promise(NamedTuple):
    """What an object's name and content type say of its content.

    Args:
        by_name, by_type: the families of formats that they promise; generic ones promise none.
    """

    by_name: str | None
    by_type: str | None
    extension: str
    media_type: str

    @property
    def families(self) -> frozenset[str]:
        return frozenset(family for family in (self.by_name, self.by_type) if family)

    def words(self, contradicted: Collection[str]) -> str:
        """The part of a sentence that says what promises one of the families."""
        name = f"the name ends in .{self.extension}" if self.by_name in contradicted else ""
        media_type = f"the content type is {self.media_type:.80}" if self.by_type in contradicted else ""
        sentence = " and ".join(filter(None, (name, media_type)))
        return sentence[:1].upper() + sentence[1:]


def families(name: str, content_type: str | None) -> frozenset[str]:
    return promise(name, content_type).families


def promise(name: str, content_type: str | None) -> Promise:
    extension = name.rpartition("/")[2].lower().rpartition(".")[2]
    media_type = (content_type or "").partition(";")[0].strip().lower()
    by_name = EXTENSIONS.get(extension)
    by_type = CONTENT_TYPES.get(media_type)
    if media_type.startswith(("image/", "audio/", "video/")) and media_type != "image/svg+xml":
        by_type = "image" if media_type.startswith("image/") else "other"
    if media_type.startswith("text/") and by_type is None and by_name is None:
        by_type = "text"  # clients send text/plain for anything, so the name has precedence
    return Promise(by_name, by_type, extension, media_type)


def charset(content_type: str | None) -> str | None:
    """The charset that a content type declares, as in `text/csv; charset=windows-1250`."""
    parameters = Message()
    parameters["Content-Type"] = content_type or ""
    return parameters.get_content_charset()


def lines(name: str, content_type: str | None) -> bool:
    """Whether the name or the content type promises JSON lines."""
    return name.lower().endswith((".jsonl", ".ndjson")) or (content_type or "").lower().startswith(LINE_TYPES)
