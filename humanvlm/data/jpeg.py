"""Whether a JPEG decodes, and whether it is whole, told from its markers.

libjpeg refuses no entropy-coded data: what is damaged there it warns of, which no caller hears, and fills with grey.
What ends a decode are headers, tables and scan scripts that make no sense, and data that end before the EOI marker. So
the stream is walked from marker to marker, and then libjpeg decodes its ``skeleton``: the same segments around a few
pixels and no entropy-coded data. Of a photograph of 65 kB it takes 0.12 ms; reading all coefficients takes 0.9 ms, and
3.6 ms of a progressive one.
"""

import re
from collections.abc import Iterator
from itertools import islice

EOI, SOS = 0xD9, 0xDA
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15; the others are DHT, JPG and DAC
SEGMENTS = FRAMES | {0xC4, 0xCC, 0xDA, 0xDB, 0xDD, 0xFE} | set(range(0xE0, 0xF0))  # what libjpeg reads or skips
SIDE = 16  # px, of a skeleton
MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # in entropy-coded data: neither a stuffed byte nor a restart
SCAN = re.compile(rb"\xff\xda")  # in less than half the time of bytes.find, which stops at every 0xff
PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)  # frames whose scans refine each other
HEAD_MARKER = re.compile(rb"\xff[^\x00\xff]")
MAX_SEGMENTS = 512  # before the first scan; 20 MB are 306, which nothing but a picture with a depth map has
MAX_PADDING = 1 << 16  # bytes that belong to no segment


def skeleton(data: bytes) -> bytes | None:
    """The segments of a JPEG up to its EOI marker, at most 16 px a side, without entropy-coded data (ITU-T T.81, B).

    It decodes without an error if and only if ``data`` does. None when ``data`` is not well formed or ends early: only
    a decode of the whole can tell what readers make of it.
    """
    parts = [data[:2]]
    frames = 0
    for code, start, stop in _segments(data):
        if code == EOI:
            return b"".join([*parts, data[start:stop]]) if frames == 1 else None
        segment = data[start:stop]
        if code in FRAMES:
            frames += 1
            height, width = (int.from_bytes(segment[at : at + 2]) for at in (5, 7))
            if len(segment) < 10 or not 0 < height <= 65_500 or not 0 < width <= 65_500:
                return None
            segment = b"".join((segment[:5], *(min(side, SIDE).to_bytes(2) for side in (height, width)), segment[9:]))
        parts.append(segment)
    return None


def has_long_head(data: bytes) -> bool:
    """Whether there is more before the first scan of a JPEG than any picture has.

    Readers join EXIF blocks, each to all before it, and step through padding byte by byte.
    """
    at, padding = 2, 0
    for _ in range(MAX_SEGMENTS):
        marker = HEAD_MARKER.search(data, at)
        if marker is None:
            return len(data) - at > MAX_PADDING
        padding += marker.start() - at
        code = data[marker.end() - 1]
        if code == SOS or padding > MAX_PADDING:
            return padding > MAX_PADDING
        at = marker.end()
        if not 0xD0 <= code <= 0xD9:  # those have no length
            at += max(2, int.from_bytes(data[at : at + 2]))
    return True


def scans(data: bytes, most: int) -> int:
    """How many scans a decoder reads of a JPEG: never fewer than it does, and no more than ``most`` + 1 are counted.

    When the first scan of a sequential one has all components, as nearly always, what follows is not looked for: no
    decoder reads it. Where the stream is not well formed, all that looks like a scan counts.
    """
    components, found = b"", 0
    for code, start, _ in _segments(data):
        if code in FRAMES:
            components = b"" if code in PROGRESSIVE else data[start + 9 : start + 10]
        elif code == SOS:
            found += 1
            if found > most or (components and components == data[start + 4 : start + 5]):
                return found
        elif code == EOI:
            return found
    return sum(1 for _ in islice(SCAN.finditer(data), most + 1))


def with_end(data: bytes) -> bytes | None:
    """A JPEG that lacks no more than its EOI marker, with it; None for one that lacks more.

    Browsers show such a picture whole, and Pillow refuses it. It is decoded: the caller has checked its size and its
    number of scans.
    """
    ended = data + b"\xff\xd9"
    try:
        whole = _is_refined(ended) and damage(ended) is None
    except IndexError:  # of a segment that is too short
        return None
    return ended if whole else None


def damage(data: bytes) -> str | None:
    """What libjpeg says of entropy-coded data that it fills with grey, or of anything else; None: nothing.

    It is decoded: the caller has checked its size and its number of scans.
    """
    import simplejpeg

    try:
        colours = "CMYK" if simplejpeg.decode_jpeg_header(data)[2] in ("CMYK", "YCCK") else "GRAY"
        simplejpeg.decode_jpeg(data, colours, min_factor=8, min_width=1, min_height=1)  # what libjpeg warns of raises
    except ValueError as error:
        return str(error)
    return None


def _is_refined(data: bytes) -> bool:
    """Whether the scans give every coefficient of every component to its last bit (ITU-T T.81, B.2.3 and G.1.1)."""
    components: set[int] = set()
    missing: dict[tuple[int, int], int] = {}  # low bits that no scan has given yet, by component and coefficient
    for code, start, stop in _segments(data):
        segment = data[start:stop]
        if code in FRAMES:
            components.update(segment[10::3])
        elif code == SOS:
            count = segment[4]
            first, last, bits = segment[5 + 2 * count : 8 + 2 * count]
            for component in segment[5 : 5 + 2 * count : 2]:
                missing.update(((component, at), bits & 15) for at in range(first, min(last, 63) + 1))
    return bool(components) and all(missing.get((name, at)) == 0 for name in components for at in range(64))


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Code, start and stop of each marker segment after SOI; ends early at anything unusual."""
    at = 2
    while at + 4 <= len(data) or data[at : at + 2] == b"\xff\xd9":
        code = data[at + 1]
        if data[at] != 0xFF:
            return
        if code == EOI:
            yield code, at, at + 2
            return
        stop = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if code not in SEGMENTS or stop < at + 4 or stop > len(data):
            return
        yield code, at, stop
        at = stop
        if code == SOS:
            found = MARKER.search(data, stop)
            if found is None:
                return
            at = found.end() - 2
