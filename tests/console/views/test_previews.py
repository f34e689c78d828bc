"""Previews show content without giving it a chance to act."""

import io

import pytest
from PIL import Image

from console.views import previews
from tests.console.conftest import Opened


def picture(form: str, mode: str = "RGB", size: tuple[int, int] = (1200, 600)) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size).save(out, form)
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [picture("PNG"), picture("PNG", "I;16"), picture("PNG", "RGBA"), picture("GIF", "P"), picture("JPEG", "CMYK"),
     picture("TIFF", "F")],
)  # fmt: skip
def test_an_image_is_encoded_anew_and_small(content: bytes) -> None:
    shown = previews.thumbnail(content)
    assert shown is not None
    opened = Image.open(io.BytesIO(shown))
    assert (opened.format, opened.width) == ("WEBP", 900)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg onload=alert(1)/>",
        b"<html>",
        picture("PNG")[:100],
        picture("PNG", "1", (20_000, 20_000)),
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_what_is_no_safe_image_has_no_preview(content: bytes) -> None:
    assert previews.thumbnail(content) is None


def test_an_image_is_served_in_a_sandbox(console: Opened) -> None:
    generation = console.upload("a.png", picture("PNG"), "text/html")
    answer = console.pages.get("/input/image", params={"name": "a.png", "generation": str(generation)})
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("é".encode(), "é"),
        ("é".encode("utf-16"), "é"),
        (b"\xe9", "é"),
        ("é".encode()[:1] + b"", "Ã"),
        (b"\x00\x01", None),
    ],
)
def test_text_is_decoded(content: bytes, text: str | None) -> None:
    assert previews.decoded(content) == text


def test_a_table_has_the_first_rows() -> None:
    shown = previews.table("a;b\n1;2\n3;4\n", whole=True)
    assert (shown.header, shown.rows, shown.note) == (["a", "b"], [["1", "2"], ["3", "4"]], "")
