"""Decoding: every mode becomes upright RGB; bombs, damage and truncation are refused."""

import io
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gpu_service.errors import InstanceError
from gpu_service.inputs.images import decoding
from pipeline.formats import signatures

GREEN = (0, 128, 0)


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def decoded(data: bytes, least: int | None = None) -> Image.Image:
    with decoding.decoded(data, "RGB", least) as image:
        return image


def code_of(data: bytes) -> str:
    with pytest.raises(InstanceError) as caught:
        decoded(data)
    return caught.value.code


def header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds almost no data."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("mode", "form"),
    [
        ("RGB", "PNG"),
        ("RGBA", "PNG"),
        ("L", "PNG"),
        ("LA", "PNG"),
        ("P", "PNG"),
        ("1", "PNG"),
        ("I;16", "PNG"),
        ("CMYK", "JPEG"),
        ("L", "JPEG"),
        ("RGB", "JPEG"),
        ("RGB", "WEBP"),
        ("RGBA", "WEBP"),
        ("P", "GIF"),
        ("RGB", "BMP"),
        ("RGB", "TIFF"),
        ("F", "TIFF"),
        ("I", "TIFF"),
        ("CMYK", "TIFF"),
        ("YCbCr", "TIFF"),
        ("LAB", "TIFF"),
    ],
)
@pytest.mark.parametrize("size", [(8, 8), (1000, 400)])
def test_every_mode_becomes_rgb(mode: str, form: str, size: tuple[int, int]) -> None:
    result = decoded(encoded(Image.new(mode, size), form))
    assert (result.mode, result.size) == ("RGB", size)


def test_colours_stay_what_they_are() -> None:
    for mode, form in (("RGB", "PNG"), ("P", "PNG"), ("RGBA", "PNG"), ("CMYK", "JPEG"), ("RGB", "WEBP")):
        image = Image.new("RGB", (500, 500), GREEN)
        image = image.quantize(8) if mode == "P" else image.convert(mode)
        pixel = decoded(encoded(image, form)).getpixel((100, 100))
        assert pixel == pytest.approx(GREEN, abs=6), (mode, form)


def test_transparent_becomes_white() -> None:
    layer = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    layer.paste((0, 0, 0, 255), (0, 0, 10, 20))
    for image in (layer, layer.convert("LA")):
        result = decoded(encoded(image))
        assert result.getpixel((15, 5)) == (255, 255, 255)
        assert result.getpixel((5, 5)) == (0, 0, 0)
    palette = Image.new("P", (20, 20), 1)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    assert decoded(encoded(palette, transparency=1)).getpixel((5, 5)) == (255, 255, 255)


def test_sixteen_bits_keep_their_range() -> None:
    image = Image.new("I;16", (16, 16), 0x8000)
    image.paste(0xFFFF, (8, 0, 16, 16))
    for form in ("PNG", "TIFF"):
        result = decoded(encoded(image, form))
        assert result.getpixel((2, 2)) == pytest.approx((128, 128, 128), abs=1)
        assert result.getpixel((12, 2)) == (255, 255, 255)


def test_the_camera_s_rotation_is_applied() -> None:
    image = Image.new("RGB", (60, 20), "white")
    image.paste((255, 0, 0), (0, 0, 10, 20))  # red on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    result = decoded(encoded(image, "JPEG", exif=exif, quality=95))
    assert result.size == (20, 60)
    red, green, _ = result.getpixel((10, 3))  # type: ignore[misc]
    assert red > 200
    assert green < 60


def test_the_first_frame_of_an_animation_is_used() -> None:
    frames = [Image.new("RGB", (30, 30), colour) for colour in ("red", "blue", "green")]
    for form in ("GIF", "WEBP", "PNG"):
        data = encoded(frames[0], form, save_all=True, append_images=frames[1:])
        assert decoded(data).getpixel((15, 15)) == pytest.approx((255, 0, 0), abs=8)


@pytest.mark.parametrize(
    ("size", "least", "expected"),
    [
        ((4000, 2400), 600, (1000, 600)),
        ((4000, 2400), 601, (2000, 1200)),
        ((4000, 2400), 100, (500, 300)),
        ((4000, 2402), 100, (2000, 1201)),
        ((4001, 2401), 100, (4001, 2401)),
        ((4000, 2400), None, (4000, 2400)),
        ((2000, 1000), 100, (2000, 1000)),
    ],
)
def test_a_large_jpeg_may_be_reduced_to_whole_pixels(
    size: tuple[int, int], least: int | None, expected: tuple[int, int]
) -> None:
    assert decoded(encoded(Image.new("L", size), "JPEG"), least).size == expected


def test_one_channel_is_the_luminance() -> None:
    with decoding.decoded(encoded(Image.new("RGB", (8, 8), GREEN)), "L", None) as image:
        assert (image.mode, image.getpixel((4, 4))) == ("L", 75)


@pytest.mark.parametrize("size", [(10_000, 5_001), (50_000_001, 1), (100_000, 100_000), (2**31 - 1, 2**31 - 1)])
def test_too_many_pixels_are_refused_before_decoding(size: tuple[int, int]) -> None:
    assert code_of(header(*size)) == "decompression_bomb"


def with_chunk(kind: bytes, content: bytes) -> bytes:
    """A PNG with one more chunk after its header."""
    image = encoded(Image.new("RGB", (8, 8)))
    size, checksum = struct.pack(">I", len(content)), struct.pack(">I", zlib.crc32(kind + content))
    return image[:33] + size + kind + content + checksum + image[33:]


UNPACKS = b"a\0\0" + zlib.compress(bytes(200 << 20), 1)
HOSTILE = {
    "text in a PNG unpacks": (with_chunk(b"zTXt", UNPACKS), ("corrupt_image",)),
    "a profile in a PNG unpacks": (with_chunk(b"iCCP", UNPACKS), ("corrupt_image",)),
    "a PNG whose chunk is said to be huge": (
        encoded(Image.new("RGB", (8, 8)))[:33] + b"\x7f\xff\xff\xffIDAT",
        ("truncated_image", "corrupt_image"),
    ),
    "GIF and script": (b"GIF89a/*" + b"\0" * 60 + b"*/=1;alert(1)" * 99, ("corrupt_image",)),
    "a JPEG's first bytes": (encoded(Image.new("L", (99, 99)), "JPEG")[:60], ("truncated_image", "corrupt_image")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_images_are_refused(name: str) -> None:
    data, codes = HOSTILE[name]
    assert code_of(data) in codes


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "WEBP"])
def test_half_an_image_is_truncated(form: str) -> None:
    data = encoded(Image.effect_noise((90, 90), 80).convert("RGB"), form)
    assert code_of(data[: len(data) // 2]) == "truncated_image"


@pytest.mark.parametrize("data", [b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF\4\0\0\0WEBP"])
def test_content_that_is_not_an_image_is_refused(data: bytes) -> None:
    assert code_of(data) in ("corrupt_image", "truncated_image")


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"]), st.data())
def test_a_damaged_image_is_decoded_or_refused(form: str, data: st.DataObject) -> None:
    pixels = random.Random(0).randbytes(24 * 24 * 3)
    content = bytearray(encoded(Image.frombytes("RGB", (24, 24), pixels), form))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        code = decoded(bytes(content)).mode
    except InstanceError as error:
        code = error.code
    assert code in ("RGB", "corrupt_image", "truncated_image", "decompression_bomb")


def tiff(side: int, tile: int) -> bytes:
    """A square RGBA TIFF in a single tile of zeros, which may be larger than the image."""
    packed = zlib.compressobj(9)
    data = b"".join(packed.compress(bytes(4 * tile)) for _ in range(tile)) + packed.flush()
    short, long = 3, 4
    tags = [
        (256, short, 1, side), (257, short, 1, side), (258, short, 4, 158), (259, short, 1, 8), (262, short, 1, 2),
        (277, short, 1, 4), (284, short, 1, 1), (322, long, 1, tile), (323, long, 1, tile), (324, long, 1, 166),
        (325, long, 1, len(data)), (338, short, 1, 2),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + struct.pack("<4H", 8, 8, 8, 8) + data


def test_a_tile_larger_than_the_image_has_a_limit() -> None:
    assert decoded(tiff(64, 256)).size == (64, 64)
    assert code_of(tiff(64, 4096)) == "decompression_bomb"


def test_a_format_that_takes_more_memory_may_have_fewer_pixels() -> None:
    size = (7000, 3600)
    assert code_of(encoded(Image.new("L", size), "WEBP", method=0)) == "decompression_bomb"
    assert decoded(encoded(Image.new("L", size))).size == size


@pytest.mark.parametrize("size", [(1, 4_000_001), (4_000_001, 1)])
def test_a_side_has_a_limit(size: tuple[int, int]) -> None:
    assert code_of(encoded(Image.new("1", size))) == "decompression_bomb"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "L", "1", "CMYK", "I;16", "F", "I"])
@pytest.mark.parametrize("size", [(1111, 457), (450, 2001), (3000, 40), (1500, 1500)])
def test_the_boxes_of_an_image_leave_no_trace(
    mode: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = Image.frombytes("L", size, random.Random(7).randbytes(size[0] * size[1]))
    image = noise if mode in ("L", "F", "I", "I;16") else Image.merge("RGBA", [noise, noise.rotate(180)] * 2)
    data = encoded(image.convert("RGB").convert(mode) if mode == "CMYK" else image.convert(mode), "TIFF")
    whole = decoded(data)
    monkeypatch.setattr(decoding, "BOX_PIXELS", 5_000)
    assert decoded(data).tobytes() == whole.tobytes()


FORMS = [("AVIF", {}), ("PNG", {"save_all": True, "append_images": [Image.new("RGB", (40, 30), "red")]})]


@pytest.mark.parametrize(("form", "options"), FORMS)
def test_pictures_of_newer_kinds_are_decoded(form: str, options: dict[str, Any]) -> None:
    data = encoded(Image.new("RGB", (40, 30), GREEN), form, **options)
    assert decoding.has_signature(data)
    result = decoded(data)
    assert result.size == (40, 30)
    assert result.getpixel((20, 15)) == pytest.approx(GREEN, abs=6)


HEADS = [
    *(
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"BM",
        b"RIFF\1\0\0\0WEBPVP8 ",
        b"II*\0",
        b"MM\0*",
        b"II+\0",
    ),
    *(b"\0\0\0\x18ftyp" + brand for brand in (b"heic", b"heix", b"mif1", b"avif", b"avis", b"isom", b"qt  ", b"M4A ")),
    *(b"\0\0\0\x0cjP  \r\n", b"8BPS\0\1", b"%PDF-1.7\n", b"PK\3\4", b"BMW makes cars"),
]


@pytest.mark.parametrize("head", HEADS)
def test_the_service_and_uploads_agree_on_what_is_an_image(head: bytes) -> None:
    for content in (head + bytes(60), head + b" is text and nothing else"):
        assert decoding.has_signature(content) == (signatures.recognise(content) in signatures.IMAGES)


def test_an_iphone_s_photo_is_decoded_upright() -> None:
    """The file is 40 × 30 pixels, blue above orange, turned by its container rather than by EXIF."""
    data = (Path(__file__).parent / "turned.heic").read_bytes()
    assert decoding.has_signature(data)
    result = decoded(data)
    assert result.size == decoding.size(data) == (40, 30)
    assert result.getpixel((20, 5)) == pytest.approx((0, 0, 255), abs=40)
    assert result.getpixel((20, 25)) == pytest.approx((255, 165, 0), abs=40)


def test_a_damaged_photo_is_refused() -> None:
    data = (Path(__file__).parent / "turned.heic").read_bytes()
    assert code_of(data[: len(data) // 2]) in ("corrupt_image", "truncated_image")


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_fewer_bits_in_sixteen_are_not_black(bits: int, form: str) -> None:
    row = [0] * 5 + [2 ** (bits - 1)] * 5 + [2**bits - 1] * 10
    result = decoded(encoded(Image.fromarray(np.array([row] * 10, dtype=np.uint16)), form))
    shades = [result.getpixel((x, 5)) for x in (2, 7, 15)]
    assert shades == [(0, 0, 0), pytest.approx((128,) * 3, abs=2), (255, 255, 255)]


def test_negative_and_large_integers_fill_the_range() -> None:
    image = Image.new("I", (30, 10), -1000)
    image.paste(100_000, (10, 0, 20, 10))
    image.paste(49_500, (20, 0, 30, 10))
    result = decoded(encoded(image, "TIFF"))
    assert [result.getpixel((x, 5)) for x in (5, 15, 25)] == [(0,) * 3, (255,) * 3, pytest.approx((127,) * 3, abs=2)]


def test_twelve_bits_of_colours_are_not_black() -> None:
    rows = b"".join(b"\0" + b"\x0f\xff\x00\x00\x07\xff" * 8 for _ in range(8))  # red, green, blue of 16 bits

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    ihdr = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert decoded(data).getpixel((4, 4)) == (255, 0, 119)


@pytest.mark.parametrize(("least", "expected"), [(384, (1156, 867)), (1000, (2312, 1734)), (None, (4624, 3468))])
def test_a_photo_of_64_megapixels_is_reduced(least: int | None, expected: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.new("RGB", (9248, 6936), GREEN), "JPEG", exif=exif)
    result = decoded(data, least)
    assert result.size == expected[::-1]
    assert result.getpixel((100, 100)) == pytest.approx(GREEN, abs=6)
    assert decoding.size(data) == (6936, 9248)


def test_a_jpeg_beyond_200_megapixels_is_refused() -> None:
    assert code_of(encoded(Image.new("L", (16_000, 13_000)), "JPEG")) == "decompression_bomb"
