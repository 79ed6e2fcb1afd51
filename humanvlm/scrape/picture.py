"""From downloaded bytes to the picture that is stored: checked, upright, of the size asked for, or refused.

Bytes that need no change are stored as they were served. JPEG, nearly all of the web, is decoded no further than
needed: for the check without the data that no decoder refuses (``jpeg``); for a smaller picture to the smallest eighth,
quarter or half that still holds it (scaled DCT).
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.data.image import DecodeError, completed, decoding, fitting_profile, opened, orientation, room
from humanvlm.data.jpeg import damage, skeleton
from humanvlm.scrape.embedded import check_metadata
from humanvlm.scrape.exif import strip, upright_exif
from humanvlm.scrape.pixels import Size, decode, encode, turned
from humanvlm.scrape.reasons import RefusedError
from humanvlm.scrape.resize import Plan, fit, plan, resample

BLANKS = b"\xef\xbb\xbf \t\r\n"  # what scripts print before a picture: a byte order mark, empty lines
MAX_SIDE = {"jpeg": 65_500, "webp": 16_383}  # px, of libjpeg and libwebp


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
    that ``data`` should have, in hex. A JPEG that lacks only its end gets it, and empty lines before a picture go.
    Safe in threads, which wait for room for the pixels.
    Raises RefusedError: sha256_mismatch, md5_mismatch, not_an_image, unsupported_format, image_bomb, corrupt_image,
    truncated_image, unstorable_size, opt_out_iptc, opt_out_c2pa, c2pa_unreadable.
    """
    digest = _check_hashes(data, sha256, md5)
    served, data = data, data.lstrip(BLANKS)
    try:
        return _prepared(data, config, digest if data is served else hashlib.sha256(data).hexdigest(), digest)
    except DecodeError as error:
        ended = completed(data, error)
        if ended is None:
            raise RefusedError(error.reason, error.detail) from None
        return _prepared(ended, config, hashlib.sha256(ended).hexdigest(), digest)


def _prepared(data: bytes, config: RawScrape, sha256: str, source_sha256: str) -> Picture:
    image = opened(data, config.max_pixels)
    with room(image.width * image.height):
        return _of(image, data, config, sha256, source_sha256)


def _of(image: Any, data: bytes, config: RawScrape, sha256: str, source_sha256: str) -> Picture:
    kind: str = image.format
    if config.respect_picture_metadata:
        check_metadata(data, kind)
    if config.verify == "strict" and kind == "JPEG" and (found := damage(data)):
        raise DecodeError("truncated_image" if found.startswith("Premature end") else "corrupt_image", found)
    if kind == "PNG" and config.verify != "header":
        with decoding():
            image.load()  # its metadata may come after the pixels
    turn = orientation(image)
    upright = image.size if turn < 5 else image.size[::-1]
    resizing = plan(upright, config)
    if turn == 1 and resizing is None:
        stored = data if config.exif == "keep" else _stripped(data, kind, image.size, config)
        if stored is not None:
            if stored is not data:
                image = opened(stored, config.max_pixels)
            if config.verify != "header":
                _check(image, stored)
            if stored is data:
                return Picture(data, upright[0], upright[1], kind, sha256, source_sha256)
            return _picture(stored, upright, kind, source_sha256)
    resizing = resizing or Plan(upright, upright)
    stored = _encode(image, data, turn, resizing, config)
    return _picture(stored, resizing.canvas, config.encode_format.upper(), source_sha256)


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


def _check(image: Any, data: bytes) -> None:
    """Whether ``data`` decode to the end. Raises DecodeError."""
    with decoding():
        if image.format == "JPEG":
            bones = skeleton(data)
            image = image if bones is None else opened(bones)
            image.draft("L", (max(1, image.width // 8), max(1, image.height // 8)))
        image.load()


def _stripped(data: bytes, kind: str, size: Size, config: RawScrape) -> bytes | None:
    """The bytes without metadata; None when what is left is not the same picture."""
    stored = strip(data, kind)
    if stored is None or stored == data:
        return None if stored is None else data
    try:
        return stored if opened(stored, config.max_pixels).size == size else None
    except DecodeError:
        return None


def _encode(image: Any, data: bytes, turn: int, resizing: Plan, config: RawScrape) -> bytes:
    """The picture as RGB or grey, at its new size, upright."""
    _check_storable(resizing, config)
    profile = image.info.get("icc_profile") or b""
    exif = upright_exif(image) if config.exif == "keep" else b""
    with decoding():
        scaled = resizing.scaled if turn < 5 else resizing.scaled[::-1]
        pixels = fit(turned(resample(decode(image, data, scaled), scaled), turn), resizing.canvas)
        space = "L" if pixels.shape[2] == 1 else "RGB"
        icc = fitting_profile(profile, space)
        return encode(pixels, config.encode_format, config.encode_quality, icc, exif)


def _check_storable(resizing: Plan, config: RawScrape) -> None:
    """A picture of extreme ratio may have a size after resizing that no memory or format holds."""
    for width, height in (resizing.scaled, resizing.canvas):
        if width * height > config.max_pixels:
            raise RefusedError("unstorable_size", f"{width}x{height} is more than {config.max_pixels} pixels")
    if max(resizing.canvas) > MAX_SIDE[config.encode_format]:
        width, height = resizing.canvas
        raise RefusedError("unstorable_size", f"{width}x{height} is too long for {config.encode_format}")
