"""Odd and broken image files, made here: each with the size of its upright picture, or the reason to refuse it."""

import gzip
import io
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import skimage.data
from PIL import Image, PngImagePlugin

Size = tuple[int, int]
WIDE, TALL = (96, 64), (64, 96)


def photograph(size: Size = WIDE, mode: str = "RGB") -> Image.Image:
    """The astronaut (NASA, public domain) in a size and mode."""
    return Image.fromarray(skimage.data.astronaut()).resize(size).convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def exif(orientation: Any) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def png(width: int, height: int, data: bytes, bits: int = 8, colour: int = 0, spoil: int = 0) -> bytes:
    """A PNG of given raw lines. spoil: added to every checksum."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) + spoil)

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def without_segments(jpeg: bytes, marker: int) -> bytes:
    """A JPEG without the segments of one marker."""
    kept, at = jpeg[:2], 2
    while jpeg[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        kept += jpeg[at:end] if jpeg[at + 1] != marker else b""
        at = end
    return kept + jpeg[at:]


def odd_files() -> Mapping[str, tuple[bytes, Size | str]]:
    """Bytes by name, and what is right: the upright size, or the crawl's reason to drop the file."""
    image = photograph()
    jpeg, noise = encoded(image, "JPEG"), np.random.default_rng(3).bytes(3000)
    deep = np.linspace(0, 65535, WIDE[0] * WIDE[1]).astype(">u2").reshape(TALL[0], WIDE[0])
    lines = b"".join(b"\0" + row.tobytes() for row in deep)
    wide_lines = b"".join(b"\0" + np.repeat(row, 3).tobytes() for row in deep)
    frames = [photograph(mode="L").rotate(angle) for angle in (0, 10, 20)]
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * 5000, zip=True)
    palette = image.quantize(16)
    files: dict[str, tuple[bytes, Size | str]] = {
        f"orientation_{number}.jpg": (encoded(image, "JPEG", exif=exif(number)), WIDE if number < 5 else TALL)
        for number in range(1, 9)
    }
    files |= {
        f"mode_{mode}.png": (encoded(photograph(mode=mode), "PNG"), WIDE) for mode in ("1", "L", "LA", "P", "RGBA")
    }
    files |= {
        "orientation.png": (encoded(image, "PNG", exif=exif(6)), TALL),
        "orientation.webp": (encoded(image, "WEBP", exif=exif(8)), TALL),
        "orientation_9.jpg": (encoded(image, "JPEG", exif=exif(9)), WIDE),
        "cmyk.jpg": (encoded(photograph(mode="CMYK"), "JPEG"), WIDE),
        "grey.jpg": (encoded(photograph(mode="L"), "JPEG"), WIDE),
        "progressive.jpg": (encoded(image, "JPEG", progressive=True), WIDE),
        "444.jpg": (encoded(image, "JPEG", subsampling=0, quality=100), WIDE),
        "one_pixel.jpg": (encoded(photograph((1, 1)), "JPEG"), (1, 1)),
        "strip.jpg": (encoded(photograph((700, 1)), "JPEG"), (700, 1)),
        "exif_noise.jpg": (encoded(image, "JPEG", exif=b"Exif\0\0" + noise), WIDE),
        "exif_cut.jpg": (encoded(image, "JPEG", exif=exif(1)[:-6]), WIDE),
        "trailing.jpg": (jpeg + noise, WIDE),
        "two_in_one.jpg": (jpeg + encoded(photograph(TALL), "JPEG"), WIDE),
        "named_wrongly.png": (jpeg, WIDE),
        "palette_trns.png": (encoded(palette, "PNG", transparency=3), WIDE),
        "grey_trns.png": (encoded(photograph(mode="L"), "PNG", transparency=40), WIDE),
        "rgb_trns.png": (encoded(image, "PNG", transparency=(1, 2, 3)), WIDE),
        "grey_16.png": (png(*WIDE, lines, bits=16), WIDE),
        "rgb_16.png": (png(*WIDE, wide_lines, bits=16, colour=2), WIDE),
        "long_text.png": (encoded(image, "PNG", pnginfo=text), WIDE),
        "animated.png": (encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]), WIDE),
        "animated.gif": (encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), WIDE),
        "animated.webp": (encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]), WIDE),
        "transparent.webp": (encoded(photograph(mode="RGBA"), "WEBP", lossless=True), WIDE),
        "picture.bmp": (encoded(image, "BMP"), WIDE),
        "empty.jpg": (b"", "not_an_image"),
        "noise.jpg": (noise, "not_an_image"),
        "only_magic.jpg": (b"\xff\xd8\xff\xe0", "corrupt_image"),
        "page.jpg": (b"<!doctype html><html><body>404</body></html>", "not_an_image"),
        "drawing.svg": (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "unsupported_format"),
        "program.eps": (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
            "unsupported_format",
        ),
        "document.pdf": (b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF", "unsupported_format"),
        "zipped.jpg": (gzip.compress(jpeg), "not_an_image"),
        "half.jpg": (jpeg[: len(jpeg) // 2], "truncated_image"),
        "half.png": (encoded(image, "PNG")[:2000], "truncated_image"),
        "half.webp": (encoded(image, "WEBP")[:300], "corrupt_image"),
        "no_quantization.jpg": (without_segments(jpeg, 0xDB), "corrupt_image"),
        "no_frame.jpg": (without_segments(jpeg, 0xC0), "corrupt_image"),
        "checksums.png": (png(*WIDE, lines, bits=16, spoil=-7), "corrupt_image"),
        "short_lines.png": (png(*WIDE, lines[:500], bits=16), "truncated_image"),
        "no_pixels.png": (png(0, 0, b""), "corrupt_image"),
        "bomb.png": (png(60_000, 60_000, bytes(1000)), "image_bomb"),
        "bomb.gif": (b"GIF89a\xff\xff\xff\xff\0\0\0" + b",\0\0\0\0\xff\xff\xff\xff\0\x02\x02L\x01\0;", "image_bomb"),
    }
    return files
