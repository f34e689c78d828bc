"""Recognises binary formats and encryption by the first bytes."""

import re

import filetype

IMAGES = frozenset(
    f"image/{name}" for name in ("jpeg", "png", "apng", "webp", "gif", "bmp", "tiff", "avif", "heic", "heif")
)
MARKS = (  # that filetype does not know, or not in each variant
    (re.compile(rb"....ftypavi[fs]", re.DOTALL), "image/avif"),
    (re.compile(rb"....ftyp(?:he[iv][cxms]|mif1|msf1)", re.DOTALL), "image/heic"),
    (re.compile(rb"II\+\0|MM\0\+"), "image/tiff"),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "image/jxl"),
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), "image/jpx"),
    (re.compile(rb"\x89HDF"), "application/x-hdf5"),
)
PARQUET = b"PAR1"
PARQUET_TYPE = "application/vnd.apache.parquet"
LETTERS = (  # signatures of letters, after which only a binary format goes on as these do
    (re.compile(rb"PAR1[^ -~]"), PARQUET_TYPE),
    (re.compile(rb"Obj\x01"), "application/avro"),
    (re.compile(rb"ARROW1\0"), "application/vnd.apache.arrow.file"),
    (re.compile(rb"ORC[^ -~]"), "application/x-orc"),
)
OPENXML = "application/vnd.openxmlformats-officedocument"
XLSX = f"{OPENXML}.spreadsheetml.sheet"
WORKBOOKS = frozenset((XLSX, PARQUET_TYPE))
ARCHIVED = (  # what the names of a zip archive's first files tell of it
    (b"xl/workbook.bin", "application/vnd.ms-excel.sheet.binary.macroenabled.12"),
    (b"xl/", XLSX),
    (b"word/", f"{OPENXML}.wordprocessingml.document"),
    (b"ppt/", f"{OPENXML}.presentationml.presentation"),
)
ENTRY = re.compile(rb"PK\x03\x04.{22}(?P<length>.{2}).{2}", re.DOTALL)
OLE = (
    ("WordDocument", "application/msword"),
    ("Workbook", "application/vnd.ms-excel"),
    ("Book", "application/vnd.ms-excel"),
    ("__substg1.0_", "application/vnd.ms-outlook"),
    ("PowerPoint Document", "application/vnd.ms-powerpoint"),
)
TEXTUAL = ((b"%PDF-", "application/pdf"), (b"{\\rtf", "application/rtf"))
ENCRYPTED = (b"-----BEGIN PGP MESSAGE-----", b"age-encryption.org/v1", b"Salted__", b"$ANSIBLE_VAULT;")
OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
PREAMBLE = 64


def recognise(head: bytes) -> str | None:
    """The media type by the content's signature; None for text and unknown formats."""
    for mark, media_type in TEXTUAL:
        if head.startswith(mark):
            return media_type
    for pattern, media_type in LETTERS:
        if pattern.match(head):
            return media_type
    if head.startswith(OFFICE):
        streams = (media_type for name, media_type in OLE if name.encode("utf-16-le") + b"\0\0" in head)
        return next(streams, "application/x-ole-storage")
    if head.startswith(b"PK\x03\x04"):
        return _archived(head)
    # Some signatures are two letters (BM, MZ) that words begin with too, but only binary content has control bytes.
    if not CONTROLS.search(head[:PREAMBLE]):
        return None
    for pattern, media_type in MARKS:
        if pattern.match(head):
            return media_type
    return filetype.guess_mime(head)  # type: ignore[no-untyped-call, no-any-return]


def _archived(head: bytes) -> str:
    """The media type of a zip archive by the files at its beginning."""
    names = [
        head[entry.end() : entry.end() + int.from_bytes(entry["length"], "little")] for entry in ENTRY.finditer(head)
    ]
    if names[:1] == [b"mimetype"]:  # OpenDocument and e-books; the name is followed by the content
        start = head.index(b"mimetype") + len(b"mimetype")
        return re.match(rb"[a-z0-9./+-]*", head[start : start + 99])[0].decode()  # type: ignore[index]
    for prefix, media_type in ARCHIVED:
        if any(name.startswith(prefix) for name in names):
            return media_type
    return "application/zip"


def is_encrypted(head: bytes) -> bool:
    """Whether the first 64 KB show that the content is encrypted."""
    if head.startswith(ENCRYPTED):
        return True
    if head.startswith(b"PK\x03\x04"):
        return len(head) > 6 and bool(head[6] & 1)
    if head.startswith(b"%PDF-"):
        return b"/Encrypt" in head
    return head.startswith(OFFICE) and "EncryptedPackage".encode("utf-16-le") in head
