"""Metadata of pictures: what a re-encoded picture keeps, and removal without touching a pixel.

Metadata say where a picture was taken, by whom and who is in it, in more blocks than anyone lists: what shows the
picture is listed here, the rest goes. EXIF lies in other places in each format: CIPA DC-008 (JPEG, PNG and WebP),
ISO/IEC 23008-12 annex A (AVIF).
"""

import re
import struct
from collections.abc import Callable, Iterator

from PIL import Image

from humanvlm.data.image import ORIENTATION

JPEG_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)  # ends entropy-coded data (ITU-T T.81, B.1.1.5)
# Frames, tables and scans (B.1.1.3); of application segments only what _kept_segment knows.
JPEG_SHOWS = {*range(0xC0, 0xD0), *range(0xDA, 0xE0)}
SCAN = 0xDA
# Pixels, colour, size and animation (PNG, third edition): no texts, times and private chunks.
PNG_SHOWS = set(
    b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP sBIT bKGD pHYs cICP mDCV mDCv cLLI cLLi acTL fcTL fdAT".split()
)
WEBP_FRAME = {b"VP8 ", b"VP8L", b"ALPH"}
WEBP_SHOWS = WEBP_FRAME | {b"VP8X", b"ANIM", b"ANMF", b"ICCP"}
JP2_SHOWS = {b"jP  ", b"ftyp", b"rreq", b"jp2h", b"jpch", b"jplh", b"jp2c", b"ftbl", b"flst", b"dtbl"}
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
    """The parts to keep: of application segments JFIF, the ICC profile and Adobe's colour transform; between segments
    nothing, after the head of a scan its data."""
    yield data[:2]
    at, scan = 2, False
    while True:
        marker = JPEG_MARKER.search(data, at)
        if marker is None:
            if not scan:
                raise ValueError("no scan")
            yield data[at:]  # cut off: whether it may be is not asked here
            return
        kind = marker[1][0]
        if scan and marker.start() > at:
            yield data[at : marker.start()]
        if kind == 0xD9:
            yield b"\xff\xd9"
            return
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
        body = data[marker.end() + 2 : at]
        if at > len(data) or at < marker.end() + 2:
            raise ValueError("a segment without end")
        scan = kind == SCAN
        if (kept := _kept_segment(kind, body)) is not None:
            yield bytes((0xFF, kind)) + (len(kept) + 2).to_bytes(2) + kept


def _kept_segment(kind: int, body: bytes) -> bytes | None:
    """What is kept of a segment's content; None: nothing of it. JFIF's head without its thumbnail (T.871, 10.1)."""
    if kind in JPEG_SHOWS:
        return body
    if kind == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 14:
        return body[:12] + b"\0\0"
    if kind == 0xE2 and body.startswith(b"ICC_PROFILE\0"):
        return body
    return body[:12] if kind == 0xEE and body.startswith(b"Adobe") else None


def _strip_png(data: bytes) -> bytes:
    parts, at, kind = [data[:8]], 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise ValueError("a chunk without end")
        if kind in PNG_SHOWS:
            parts.append(data[at:end])
        at = end
    return b"".join(parts)


def _strip_webp(data: bytes) -> bytes:
    """RIFF chunks are padded to even lengths (RFC 9649, section 2.3)."""
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    if end > len(data):
        raise ValueError("shorter than its header says")
    body = b"WEBP" + b"".join(_webp_chunks(data[:end], 12, WEBP_SHOWS))
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp_chunks(data: bytes, at: int, kinds: set[bytes]) -> Iterator[bytes]:
    """Chunks of these kinds, from ``at``; a frame of an animation has 16 bytes and then chunks of its own."""
    while at < len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        content = data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
        if kind not in kinds:
            continue
        if kind == b"VP8X":
            content = bytes([content[0] & ~VP8X_METADATA]) + content[1:]
        elif kind == b"ANMF":
            content = content[:16] + b"".join(_webp_chunks(content, 16, WEBP_FRAME))
        yield kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _strip_gif(data: bytes) -> bytes:
    """Of extensions, how frames are shown and the loop count (GIF89a, sections 17 to 26)."""
    at = 13 + _gif_table(data[10])
    parts = [data[:at]]
    while data[at] != 0x3B:
        start = at
        if data[at] == 0x21:
            label, at = data[at + 1], at + 2
            loop = data[at + 1 : at + 12] in (b"NETSCAPE2.0", b"ANIMEXTS1.0")
            kept = label == 0xF9 or (label == 0xFF and loop)
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
        if kind in JP2_SHOWS:
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
