"""Metadata of pictures: what a re-encoded picture keeps, and removal without touching a pixel.

EXIF lies in other places in each format: CIPA DC-008 (JPEG, PNG and WebP), ISO/IEC 23008-12 annex A (AVIF).
"""

import re
import struct
from collections.abc import Callable, Iterator

from PIL import Image

from humanvlm.data.image import ORIENTATION

JPEG_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)  # ends entropy-coded data (ITU-T T.81, B.1.1.5)
PNG_METADATA = {b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"tIME"}
JP2_METADATA = {b"uuid", b"uinf", b"xml "}
VP8X_METADATA = 0x08 | 0x04  # RFC 9649, section 2.7: flags of EXIF and XMP
MAX_EXIF = 65_533 - 6  # what one JPEG segment holds


def upright_exif(image: Image.Image) -> bytes:
    """The EXIF block of a picture without orientation and thumbnail; empty when absent, unreadable or too large."""
    try:
        exif = Image.Image.getexif(image)
        exif.pop(ORIENTATION, None)
        block = exif.tobytes() if exif else b""
    except Exception:
        return b""
    return block if len(block) <= MAX_EXIF else b""


def strip(data: bytes, kind: str) -> bytes | None:
    """The picture without EXIF, XMP, IPTC, comments and whatever follows its end; the pixels stay as they are coded.

    What shows the picture right stays: colour profile, JFIF and Adobe segments, animation. kind: Pillow's format name.
    None: this needs a re-encoding, because the structure is broken or, as in AVIF, full of references.
    """
    try:
        return STRIPPERS[kind](data)
    except (ValueError, IndexError, struct.error):
        return None


def _strip_jpeg(data: bytes) -> bytes:
    return b"".join(_jpeg_parts(data))


def _jpeg_parts(data: bytes) -> Iterator[bytes]:
    """The parts to keep: of application segments JFIF, the ICC profile and Adobe's colour transform."""
    yield data[:2]
    at = 2
    while True:
        marker = JPEG_MARKER.search(data, at)
        if marker is None:
            raise ValueError("no end of image")
        kind = marker[1][0]
        if marker.start() > at:
            yield data[at : marker.start()]
        if kind == 0xD9:
            yield b"\xff\xd9"
            return
        start = marker.end() - 2
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
        body = data[marker.end() + 2 : at]
        if at > len(data) or at < marker.end() + 2:
            raise ValueError("a segment without end")
        if _kept_segment(kind, body):
            yield data[start:at]


def _kept_segment(kind: int, body: bytes) -> bool:
    if kind == 0xFE:
        return False
    if not 0xE0 <= kind <= 0xEF:
        return True
    return (
        (kind == 0xE0 and body.startswith(b"JFIF\0"))
        or (kind == 0xE2 and body.startswith(b"ICC_PROFILE\0"))
        or (kind == 0xEE and body.startswith(b"Adobe"))
    )


def _strip_png(data: bytes) -> bytes:
    parts, at, kind = [data[:8]], 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise ValueError("a chunk without end")
        if kind not in PNG_METADATA:
            parts.append(data[at:end])
        at = end
    return b"".join(parts)


def _strip_webp(data: bytes) -> bytes:
    """RIFF chunks are padded to even lengths (RFC 9649, section 2.3)."""
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    if end > len(data):
        raise ValueError("shorter than its header says")
    parts, at = [b"WEBP"], 12
    while at < end:
        kind, length = struct.unpack_from("<4sI", data, at)
        chunk = data[at : at + 8 + length + length % 2]
        at += len(chunk)
        if kind == b"VP8X":
            chunk = chunk[:8] + bytes([chunk[8] & ~VP8X_METADATA]) + chunk[9:]
        if kind not in (b"EXIF", b"XMP "):
            parts.append(chunk)
    body = b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _strip_gif(data: bytes) -> bytes:
    """Without comment and application extensions, of which the loop count alone is kept (GIF89a, sections 17 to 26)."""
    at = 13 + _gif_table(data[10])
    parts = [data[:at]]
    while data[at] != 0x3B:
        start = at
        if data[at] == 0x21:
            label, at = data[at + 1], at + 2
            loop = data[at + 1 : at + 12] in (b"NETSCAPE2.0", b"ANIMEXTS1.0")
            kept = label != 0xFE and (label != 0xFF or loop)
        elif data[at] == 0x2C:
            at, kept = at + 11 + _gif_table(data[at + 9]), True
        else:
            raise ValueError("an unknown block")
        while data[at]:
            at += 1 + data[at]
        at += 1
        if kept:
            parts.append(data[start:at])
    return b"".join([*parts, b"\x3b"])


def _gif_table(flags: int) -> int:
    """Bytes of the colour table that these flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _strip_jp2(data: bytes) -> bytes:
    """Top-level boxes (ISO/IEC 15444-1, annex I); a bare codestream has none. Comments in the codestream stay."""
    if data.startswith(b"\xff\x4f"):
        return data
    parts, at = [], 0
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if length == 1:
            length = struct.unpack_from(">Q", data, at + 8)[0]
        end = at + length if length else len(data)
        if end > len(data) or end < at + 8:
            raise ValueError("a box without end")
        if kind not in JP2_METADATA:
            parts.append(data[at:end])
        at = end
    return b"".join(parts)


def _strip_avif(data: bytes) -> bytes:
    """AVIF stores its metadata as items that others refer to by offset: unchanged when there are none."""
    if b"Exif" in data or b"application/rdf+xml" in data:
        raise ValueError("has metadata")
    return data


def _strip_nothing(data: bytes) -> bytes:
    return data


STRIPPERS: dict[str, Callable[[bytes], bytes]] = {
    "JPEG": _strip_jpeg,
    "PNG": _strip_png,
    "WEBP": _strip_webp,
    "GIF": _strip_gif,
    "JPEG2000": _strip_jp2,
    "AVIF": _strip_avif,
    "BMP": _strip_nothing,  # has no place for any
}
