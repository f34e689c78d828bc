"""Recognises binary formats and encryption by the first bytes."""

import re

import filetype

IMAGES = frozenset(("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp", "image/tiff"))
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
    if head.startswith(OFFICE):
        return "application/x-ole-storage"
    # Some signatures are two letters (BM, MZ) that words begin with too, but only binary content has control bytes.
    if not CONTROLS.search(head[:PREAMBLE]):
        return None
    return filetype.guess_mime(head)  # type: ignore[no-untyped-call, no-any-return]


def is_encrypted(head: bytes) -> bool:
    """Whether the first 64 KB show that the content is encrypted."""
    if head.startswith(ENCRYPTED):
        return True
    if head.startswith(b"PK\x03\x04"):
        return len(head) > 6 and bool(head[6] & 1)
    if head.startswith(b"%PDF-"):
        return b"/Encrypt" in head
    return head.startswith(OFFICE) and "EncryptedPackage".encode("utf-16-le") in head
