"""Whether a JPEG decodes, and whether it is whole, told from its markers.

libjpeg refuses no entropy-coded data: what is damaged there it warns of, which no caller hears, and fills with grey.
What ends a decode are headers, tables and scan scripts that make no sense, and data that end before the EOI marker. So
the stream is walked from marker to marker, and then libjpeg decodes its ``skeleton``: the same segments around a few
pixels and no entropy-coded data. Of a photograph of 65 kB it takes 0.12 ms; reading all coefficients takes 0.9 ms, and
3.6 ms of a progressive one.
"""

import re
from collections.abc import Iterator

EOI, SOS = 0xD9, 0xDA
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15; the others are DHT, JPG and DAC
SEGMENTS = FRAMES | {0xC4, 0xCC, 0xDA, 0xDB, 0xDD, 0xFE} | set(range(0xE0, 0xF0))  # what libjpeg reads or skips
SIDE = 16  # px, of a skeleton
MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # in entropy-coded data: neither a stuffed byte nor a restart


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


def scans(data: bytes) -> int | None:
    """How many scans a decoder reads of a sequential JPEG; None when it is not well formed or ends early.

    When the first scan has all components, as nearly always, what follows is not looked for: no decoder reads it.
    """
    components, found = 0, 0
    for code, start, _ in _segments(data):
        if code in FRAMES and start + 9 < len(data):
            components = data[start + 9]
        elif code == SOS:
            found += 1
            if found == 1 and 0 < components == data[start + 4]:
                return 1
        elif code == EOI:
            return found
    return None


def with_end(data: bytes) -> bytes | None:
    """A JPEG that lacks no more than its EOI marker, with it; None for a JPEG that lacks more, and for anything else.

    Browsers show such a picture whole, and Pillow refuses it. It is decoded: the caller has checked its size and its
    number of scans.
    """
    ended = data + b"\xff\xd9"
    if not data.startswith(b"\xff\xd8\xff"):
        return None
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
