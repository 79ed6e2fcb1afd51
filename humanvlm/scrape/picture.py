"""From downloaded bytes to the picture that is stored: checked, upright, of the size asked for, or refused.

Bytes that need no change are stored as they were served. JPEG, nearly all of the web, is decoded no further than
needed: for the check without the data that no decoder refuses (``jpeg``); for a smaller picture to the smallest eighth,
quarter or half that still holds it (scaled DCT).
"""

import hashlib
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import islice
from typing import Any

from PIL import Image

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.scrape.exif import orientation, strip, upright_exif
from humanvlm.scrape.jpeg import skeleton
from humanvlm.scrape.pixels import Size, decode, encode, turned
from humanvlm.scrape.reasons import RefusedError
from humanvlm.scrape.resize import Plan, fit, plan, resample

AVIF_BRANDS = (b"avif", b"avis", b"mif1", b"msf1")  # major ones; readers refuse a file with another
# What browsers show. Other decoders (TIFF, PSD, EPS, ...) are not offered to untrusted bytes.
SIGNATURES: dict[str, Callable[[bytes], bool]] = {
    "JPEG": lambda head: head.startswith(b"\xff\xd8\xff"),
    "PNG": lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"),
    "WEBP": lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP",
    "GIF": lambda head: head.startswith((b"GIF87a", b"GIF89a")),
    "AVIF": lambda head: (
        head[4:8] == b"ftyp" and head[8:12] in AVIF_BRANDS and (b"avif" in head[8:] or b"avis" in head[8:])
    ),
    "JPEG2000": lambda head: head.startswith((b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n")),
    "BMP": lambda head: head.startswith(b"BM"),
}
READERS = {
    "JPEG": "Jpeg",
    "PNG": "Png",
    "WEBP": "WebP",
    "GIF": "Gif",
    "AVIF": "Avif",
    "JPEG2000": "Jpeg2K",
    "BMP": "Bmp",
}
MAX_SIDE = {"jpeg": 65_500, "webp": 16_383}  # px, of libjpeg and libwebp
SCAN = re.compile(rb"\xff\xda")  # in less than half the time of bytes.find, which stops at every 0xff
MAX_SCANS = 200  # each scan of a progressive JPEG visits the whole picture, however few bytes it has
MAX_PROFILE = 1 << 20  # bytes; a larger colour profile is not copied into a re-encoded picture
PROFILE_SPACES = {b"RGB ": "RGB", b"GRAY": "L"}  # bytes 16 to 19 of a profile (ICC.1:2022, section 7.2)


@dataclass(frozen=True)
class Picture:
    """Bytes to store; width and height in px, upright; hashes in hex, of the stored bytes and of those received."""

    data: bytes
    width: int
    height: int
    format: str
    sha256: str
    source_sha256: str


def prepare(data: bytes, config: RawScrape, sha256: str | None = None, md5: str | None = None) -> Picture:
    """The picture to store of these bytes, whose format is told by their content alone.

    Re-encoded is what ``config.resize_mode`` changes in size, what its EXIF orientation turns (readers disagree about
    it), and with ``config.exif`` "strip" the little that cannot be stripped otherwise; the rest keeps its bytes.
    Re-encoded pictures are RGB or grey on white, keep a fitting colour profile and, unless stripped, their EXIF data
    without orientation and thumbnail, with GPS. Of animations the first frame is what is decoded. sha256, md5: hashes
    that ``data`` should have, in hex. Safe in threads; Pillow's warnings are the caller's to silence.
    Raises RefusedError: sha256_mismatch, md5_mismatch, not_an_image, image_bomb, corrupt_image, truncated_image,
    unstorable_size.
    """
    digest = _check_hashes(data, sha256, md5)
    kind, image = _open(data, config)
    if kind == "PNG" and config.verify == "decode":
        _load(image)  # its metadata may come after the pixels
    turn = orientation(image)
    upright = image.size if turn < 5 else image.size[::-1]
    resizing = plan(upright, config)
    if turn == 1 and resizing is None:
        stored = data if config.exif == "keep" else _stripped(data, kind, image.size, config)
        if stored is not None:
            if stored is not data:
                image = _open(stored, config)[1]
            if config.verify == "decode":
                _check(image, stored)
            if stored is data:
                return Picture(data, upright[0], upright[1], kind, digest, digest)
            return _picture(stored, upright, kind, digest)
    resizing = resizing or Plan(upright, upright)
    return _picture(_encode(image, data, turn, resizing, config), resizing.canvas, config.encode_format.upper(), digest)


def _check_hashes(data: bytes, sha256: str | None, md5: str | None) -> str:
    """The sha256 of the bytes."""
    digest = hashlib.sha256(data).hexdigest()
    if sha256 and digest != sha256.lower():
        raise RefusedError("sha256_mismatch", f"received {digest}")
    if md5 and (found := hashlib.md5(data, usedforsecurity=False).hexdigest()) != md5.lower():
        raise RefusedError("md5_mismatch", f"received {found}")
    return digest


def _picture(data: bytes, size: Size, kind: str, source_sha256: str) -> Picture:
    digest = hashlib.sha256(data).hexdigest()
    return Picture(data, *size, kind, digest, source_sha256)


def _open(data: bytes, config: RawScrape) -> tuple[str, Any]:
    """The format's name and the picture, of which only the header has been read."""
    kind = next((kind for kind, matches in SIGNATURES.items() if matches(data[:64])), None)
    if kind is None:
        raise RefusedError("not_an_image", f"starts with {data[:16]!r}")
    with _refusing():
        image = _reader(kind)(io.BytesIO(data))
    width, height = image.size
    if width * height > config.max_pixels:
        raise RefusedError("image_bomb", f"{width}x{height} is more than {config.max_pixels} pixels")
    if image.info.get("progressive") and kind == "JPEG" and _has_too_many_scans(data):
        raise RefusedError("image_bomb", f"more than {MAX_SCANS} scans")
    return kind, image


def _has_too_many_scans(data: bytes) -> bool:
    """Whether a JPEG starts more than ``MAX_SCANS`` scans; no more of it is read than tells."""
    return next(islice(SCAN.finditer(data), MAX_SCANS, None), None) is not None


@cache
def _reader(kind: str) -> Any:
    """Pillow's class for the format. ``Image.open`` would load all of its plugins, and take MPO for no JPEG."""
    module: Any = import_module(f"PIL.{READERS[kind]}ImagePlugin")
    if kind == "AVIF":
        module.DEFAULT_MAX_THREADS = 1  # shards are the unit of parallelism
    return getattr(module, f"{READERS[kind]}ImageFile")


@contextmanager
def _refusing() -> Iterator[None]:
    """Decoders raise almost anything on malformed bytes."""
    try:
        yield
    except MemoryError:
        raise RefusedError("image_bomb", "decoding it needs more memory than there is") from None
    except Image.DecompressionBombError as error:
        raise RefusedError("image_bomb", str(error)) from None
    except Exception as error:
        cut = isinstance(error, EOFError) or "truncated" in str(error).lower()
        reason = "truncated_image" if cut else "corrupt_image"
        raise RefusedError(reason, f"{type(error).__name__}: {error}") from None


def _load(image: Any) -> None:
    with _refusing():
        image.load()


def _check(image: Any, data: bytes) -> None:
    """Whether ``data`` decode to the end. Raises RefusedError: corrupt_image, truncated_image, image_bomb."""
    with _refusing():
        if image.format == "JPEG":
            bones = skeleton(data)
            image = image if bones is None else _reader("JPEG")(io.BytesIO(bones))
            image.draft("L", (max(1, image.width // 8), max(1, image.height // 8)))
        image.load()


def _stripped(data: bytes, kind: str, size: Size, config: RawScrape) -> bytes | None:
    """The bytes without metadata; None when what is left is not the same picture."""
    stored = strip(data, kind)
    if stored is None or stored == data:
        return None if stored is None else data
    try:
        return stored if _open(stored, config)[1].size == size else None
    except RefusedError:
        return None


def _encode(image: Any, data: bytes, turn: int, resizing: Plan, config: RawScrape) -> bytes:
    """The picture as RGB or grey, at its new size, upright."""
    _check_storable(resizing, config)
    profile = image.info.get("icc_profile") or b""
    exif = upright_exif(image) if config.exif == "keep" else b""
    with _refusing():
        scaled = resizing.scaled if turn < 5 else resizing.scaled[::-1]
        pixels = fit(turned(resample(decode(image, data, scaled), scaled), turn), resizing.canvas)
        space = "L" if pixels.shape[2] == 1 else "RGB"
        fitting = len(profile) <= MAX_PROFILE and PROFILE_SPACES.get(profile[16:20]) == space
        return encode(pixels, config.encode_format, config.encode_quality, profile if fitting else b"", exif)


def _check_storable(resizing: Plan, config: RawScrape) -> None:
    """A picture of extreme ratio may have a size after resizing that no memory or format holds."""
    for width, height in (resizing.scaled, resizing.canvas):
        if width * height > config.max_pixels:
            raise RefusedError("unstorable_size", f"{width}x{height} is more than {config.max_pixels} pixels")
    if max(resizing.canvas) > MAX_SIDE[config.encode_format]:
        width, height = resizing.canvas
        raise RefusedError("unstorable_size", f"{width}x{height} is too long for {config.encode_format}")
