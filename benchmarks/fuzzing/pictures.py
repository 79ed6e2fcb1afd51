"""Pictures, as the crawl reads them: the decoder, and the removal of metadata."""

import io
import random
import struct
import zlib

import numpy as np
from fuzzing.target import Target
from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "JPEG2000")
RESIZE_MODES = ("no", "no", "no", "keep_ratio", "keep_ratio_largest", "center_crop", "border", "max_pixels")


def pictures() -> list[bytes]:
    """One a format and colour mode."""
    pixels = np.random.default_rng(7).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "maker"
    made = []
    for kind in FORMATS:
        for mode in ("RGB", "L", "RGBA", "P", "CMYK", "1"):
            for options in ({}, {"exif": exif.tobytes()}, {"progressive": True}, {"save_all": True}):
                sink = io.BytesIO()
                try:
                    Image.fromarray(pixels).convert(mode).save(sink, kind, **options)
                except (OSError, ValueError, KeyError):
                    continue  # the format does not have this mode
                made.append(sink.getvalue())
    return made


def in_pictures() -> list[tuple[bytes, bytes, bytes]]:
    """Segments, chunks, blocks and fill bytes, where the format allows them."""
    jpeg, png, webp, gif = (_picture(kind) for kind in ("JPEG", "PNG", "WEBP", "GIF"))
    scan = jpeg.index(b"\xff\xda")
    once = b"\xff\xda\0\x08\x01\x01\0\0\x3f\0\0"  # one component of a sequential picture, and no data
    text = struct.pack(">I", 3) + b"tEXta\0b" + struct.pack(">I", zlib.crc32(b"tEXta\0b"))
    empty = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    block = gif.index(b"\x2c", 13 + 3 * 256)
    segments = (b"\xff", b"\xff\xd0", b"\xff\xff\0", b"\xff\xfe\0\2", b"\xff\xe1\0\x09Exif\0\0x", b"\xff\xe2\0\x03x")
    return [
        *((jpeg[:2], one, jpeg[2:]) for one in segments),
        *((jpeg[:-2], one, jpeg[-2:]) for one in (*segments, jpeg[scan:-2])),
        (jpeg[:scan], once, jpeg[-2:]),
        (png[:33], text, png[33:]),
        (png[:33], empty, png[33:]),
        (webp, b"EXIF\2\0\0\0xx", b""),
        (gif[:block], b"\x21\xfe\1a\0", gif[block:]),
        (gif[:block] + b"\x21\xfe", b"\1a", b"\0" + gif[block:]),
    ]


def _picture(kind: str) -> bytes:
    sink = io.BytesIO()
    Image.effect_noise((48, 32), 80).convert("RGB").save(sink, kind)
    return sink.getvalue()


def decode_one(data: bytes) -> str:
    """Verify, strip and resize under settings that follow from the bytes; a kept picture is what it claims to be."""
    from humanvlm.config.raw_scrape import RawScrape
    from humanvlm.data.image import DecodeError, decode
    from humanvlm.scrape.picture import prepare
    from humanvlm.scrape.reasons import RefusedError

    chance = random.Random(zlib.crc32(data))
    config = RawScrape(
        resize_mode=chance.choice(RESIZE_MODES),
        image_size=chance.choice((1, 32, 384)),
        verify=chance.choice(("decode", "decode", "strict", "header")),
        exif=chance.choice(("keep", "strip")),
        encode_format=chance.choice(("jpeg", "webp")),
        only_if_bigger=chance.random() < 0.5,
        max_pixels=4_000_000,
    )
    try:
        picture = prepare(data, config)
    except RefusedError as refusal:
        return refusal.reason
    try:
        size = decode(picture.data).size
    except DecodeError as error:
        if config.verify == "header":
            return "header only"
        raise AssertionError("kept, and does not decode") from error
    assert size == (picture.width, picture.height) or config.verify == "header", "another size than it claims"
    return "kept"


def strip_one(data: bytes) -> str:
    """What is left of a picture without metadata shows the same pixels."""
    from humanvlm.data.image import DecodeError, kind_of, opened, pixels
    from humanvlm.scrape.exif import strip

    try:
        kind = kind_of(data).name
    except DecodeError as error:
        return error.reason
    stripped = strip(data, kind)
    if stripped is None:
        return "to be re-encoded"
    assert len(stripped) <= len(data)
    try:
        shown = pixels(data) if max(opened(data).size) < 2_000 else None
    except DecodeError as error:
        return error.reason
    if shown is None or stripped == data:
        return "unchanged" if stripped == data else "large"
    try:
        again = pixels(stripped)
    except DecodeError:
        return "refused afterwards"  # ``prepare`` re-encodes it
    upright = shown.shape == again.shape and bool((shown == again).all())
    return "same pixels" if upright else "turned"


TARGETS = (
    Target("decoder", pictures, decode_one, in_pictures),
    Target("strip", pictures, strip_one, in_pictures),
)
