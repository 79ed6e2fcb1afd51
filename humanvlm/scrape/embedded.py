"""What a picture says itself about training: IPTC/PLUS data mining in its XMP, and assertions of C2PA and CAWG.

Looked for are words that nothing else in a picture has: a value of the PLUS vocabulary, the label of an assertion. They
are searched in the bytes, whatever the format, and in what a format splits or packs (segments of a JPEG, texts of a
PNG, blocks of a GIF). So no XML and no box structure is trusted, the time is linear, and damage before a word does not
hide it.
Signatures are not checked: to ask for one's picture to be left out takes no proof. A manifest that cannot be read here,
because it is compressed or kept elsewhere, may ask for it: such a picture is left out too.
"""

import re
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterator

from humanvlm.scrape.reasons import RefusedError

MAX_TEXT = 8 << 20  # bytes that the packed texts of one PNG are unpacked to
MAX_SEGMENTS = 4096  # of one JPEG that are looked through; the largest pieces of metadata need some hundreds
MAX_ASSERTIONS = 64  # of one picture that are read
MAX_ASSERTION = 16 << 10  # bytes that are read of one

EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"  # then a GUID of 32 bytes, the whole length, an offset
GIF_C2PA = b"\x21\xff\x0bC2PA_GIF"  # then an authentication code of 3 bytes
XMP_TEXTS = (b"XML:com.adobe.xmp", b"Raw profile type xmp")
# PLUS LDF, "Data Mining"; every value that starts so forbids to train, AIMLTRAINING and SEECONSTRAINT among them.
_PROHIBITED = re.compile(rb"DMI-PROHIBITED[A-Z-]{0,60}")
_LABEL = re.compile(rb"(?:c2pa|cawg)\.training-mining[!-~]{0,40}\0")
_JSON_USE = re.compile(rb'"use"\s*:\s*"(notAllowed|constrained)"')
FORBIDDEN = frozenset([b"notAllowed", b"constrained"])  # CAWG 1.1: without more information the second is the first
STORE = b"jumdc2pa"  # the start of a description box: a manifest store of C2PA
_COMPRESSED = re.compile(rb"jumdc2cm|brobjumb")  # the same of a compressed manifest, or Brotli's box with one
_ELSEWHERE = re.compile(rb"dcterms:provenance\s{0,9}(?:=\s{0,9}[\"']|>)\s{0,99}(https?://[^\s\"'<>]{1,150})")
DESCRIPTION = 8 + 16 + 1  # bytes of a JUMBF description box before its label (ISO/IEC 19566-5, annex A.3)
MAX_DESCRIPTION = 512


def check_metadata(data: bytes, kind: str) -> None:
    """Whether a picture's own metadata let it be used. kind: Pillow's format name.

    Raises RefusedError: opt_out_iptc, opt_out_c2pa, c2pa_unreadable.
    """
    elsewhere, here = None, False
    for part in (data, *_hidden(data, kind)):
        # Nearly all pictures have neither word: to search for them so takes half the time of a pattern.
        if b"DMI-PROHIBITED" in part and (found := _PROHIBITED.search(part)):
            raise RefusedError("opt_out_iptc", f"plus:DataMining {found[0].decode()}")
        if b".training-mining" in part and (found := _forbidding(part)):
            raise RefusedError("opt_out_c2pa", found[0].rstrip(b"\0").decode())
        if b"jumb" in part:
            here = here or STORE in part
            if _COMPRESSED.search(part):
                raise RefusedError("c2pa_unreadable", "a compressed manifest")
        if elsewhere is None and b"dcterms:provenance" in part:
            elsewhere = _ELSEWHERE.search(part)
    if elsewhere and not here:  # a manifest in the picture is the one that counts
        raise RefusedError("c2pa_unreadable", f"a manifest at {elsewhere[1].decode('ascii', 'replace')}")


def _hidden(data: bytes, kind: str) -> Iterator[bytes]:
    """What stands in the picture in pieces, or packed."""
    if kind == "JPEG":
        yield from _jpeg_parts(data)
    elif kind == "PNG":
        yield from _png_texts(data)
    elif kind == "GIF" and (start := data.find(GIF_C2PA)) >= 0:
        yield _gif_blocks(data, start + len(GIF_C2PA) + 3)


def _jpeg_parts(data: bytes) -> Iterator[bytes]:
    """The XMP and the JUMBF boxes of a JPEG that need more than one segment (XMP part 3, 1.1.3; ISO/IEC 19566-5, D)."""
    parts: defaultdict[bytes, list[tuple[int, bytes]]] = defaultdict(list)
    at = 2
    for _ in range(MAX_SEGMENTS):
        if data[at : at + 1] != b"\xff" or data[at + 1 : at + 2] in (b"\xda", b"\xd9", b""):
            break
        if data[at + 1] == 0xFF:  # fill
            at += 1
            continue
        body = data[at + 4 : at + 2 + int.from_bytes(data[at + 2 : at + 4])]
        if data[at + 1] == 0xE1 and body.startswith(EXTENSION):
            offset = int.from_bytes(body[len(EXTENSION) + 36 : len(EXTENSION) + 40])
            parts[body[len(EXTENSION) :][:32]].append((offset, body[len(EXTENSION) + 40 :]))
        elif data[at + 1] == 0xEB and body.startswith(b"JP"):
            number, length = int.from_bytes(body[4:8]), int.from_bytes(body[8:12])
            parts[body[:4]].append((number, body[24 if length == 1 else 16 :]))  # each repeats the head of the box
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4]))
    for pieces in parts.values():
        yield b"".join(piece for _, piece in sorted(pieces, key=lambda found: found[0]))


def _png_texts(data: bytes) -> Iterator[bytes]:
    """The XMP of a PNG that is packed (ISO/IEC 15948, 11.3.3), or written as ImageMagick's raw profile."""
    at, left = 8, MAX_TEXT
    while at + 8 <= len(data) and left > 0:
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            keyword, _, rest = data[at + 8 : at + 8 + length].partition(b"\0")
            if keyword in XMP_TEXTS:
                text = _text(kind, rest, left)
                left -= len(text)
                yield _unhex(text) if keyword.startswith(b"Raw") else text
        at += 12 + length


def _gif_blocks(data: bytes, at: int) -> bytes:
    """The sub-blocks from there on as one (GIF89a, section 15)."""
    parts = []
    while at < len(data) and data[at]:
        parts.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    return b"".join(parts)


def _text(kind: bytes, rest: bytes, most: int) -> bytes:
    """The text of a chunk, after its keyword; at most ``most`` bytes of it."""
    if kind == b"tEXt":
        return rest[:most]
    packed = rest[1:]
    if kind == b"iTXt":
        packed = rest[2:].split(b"\0", 2)[-1]
        if rest[:1] == b"\0":
            return packed[:most]
    try:
        return zlib.decompressobj().decompress(packed, most)
    except zlib.error:
        return b""


def _unhex(text: bytes) -> bytes:
    """What a raw profile holds: a line of its name, one of its length, and hexadecimal digits."""
    try:
        return bytes.fromhex(text.strip().split(b"\n", 2)[-1].decode("ascii"))
    except ValueError:
        return b""


def _forbidding(data: bytes) -> re.Match[bytes] | None:
    """The label of the first assertion about training and mining with an entry that forbids.

    Of its entries data_mining, ai_training, ai_generative_training and ai_inference each is what happens here.
    """
    for seen, label in enumerate(_LABEL.finditer(data)):
        if seen == MAX_ASSERTIONS:
            break
        start = label.start() - DESCRIPTION
        length, kind = struct.unpack_from(">I4s", data, start) if start >= 0 else (0, b"")
        if kind != b"jumd" or not label.end() - start <= length <= MAX_DESCRIPTION:
            continue  # a reference to it
        at = start + length
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        content = data[at + 8 : at + min(size or MAX_ASSERTION, MAX_ASSERTION)]
        if (kind == b"json" and _JSON_USE.search(content)) or (kind == b"cbor" and _cbor_forbids(content)):
            return label
    return None


def _cbor_forbids(data: bytes) -> bool:
    before = b""
    for text in _cbor_texts(data):
        if before == b"use" and text in FORBIDDEN:
            return True
        before = text
    return False


def _cbor_texts(data: bytes) -> Iterator[bytes]:
    """The text strings of CBOR (RFC 8949) as they come, keys before their values, whatever they are nested in."""
    at = 0
    while at < len(data):
        major, short = data[at] >> 5, data[at] & 31
        size = 1 << short - 24 if 24 <= short < 28 else 0
        value = int.from_bytes(data[at + 1 : at + 1 + size]) if size else short
        at += 1 + size
        if major in (2, 3) and short != 31:  # 31: chunks follow, or their end
            if major == 3:
                yield data[at : at + value]
            at += value
