"""What metadata say of places and people is not stored, wherever in a file it is; what shows the picture stays."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageCms

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.scrape.exif import STRIPPERS, strip
from humanvlm.scrape.picture import prepare

SECRET = b"52.5163N 13.3777E"
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><exif:GPSLatitude>" + SECRET + b"</exif:GPSLatitude></x:xmpmeta>"
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif() -> bytes:
    block = Image.Exif()
    block[0x010E] = SECRET.decode()
    block.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 58.7), 3: "E", 4: (13.0, 22.0, 39.7)})
    return block.tobytes()


def saved(kind: str, frames: int = 1, **options: object) -> bytes:
    y, x = np.mgrid[0:40, 0:60]
    pictures = [Image.fromarray(np.stack([4 * x, 5 * y, x + y + 9 * n], 2).astype(np.uint8)) for n in range(frames)]
    more = {"save_all": True, "append_images": pictures[1:], "duration": 90, "loop": 3} if frames > 1 else {}
    sink = io.BytesIO()
    pictures[0].save(sink, kind, **more, **options)
    return sink.getvalue()


def segment(kind: int, body: bytes) -> bytes:
    return bytes((0xFF, kind)) + (len(body) + 2).to_bytes(2) + body


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    return b"".join(kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2) for kind, body in chunks)


def jpeg_with(*segments: bytes) -> bytes:
    data = saved("JPEG", icc_profile=PROFILE)
    return data[:2] + b"".join(segments) + data[2:]


def png_with(*chunks: bytes) -> bytes:
    data = saved("PNG", icc_profile=PROFILE)
    return data[:33] + b"".join(chunks) + data[33:]


def webp_with(*chunks: tuple[bytes, bytes]) -> bytes:
    data = saved("WEBP", icc_profile=PROFILE)
    body = data[8:] + riff(*chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def thumbnail_in_the_head() -> bytes:
    head = b"JFIF\0\1\1\0\0\1\0\1" + bytes((3, 2)) + SECRET + b"!"
    data = saved("JPEG")
    return data[:2] + segment(0xE0, head) + data[4 + int.from_bytes(data[4:6]) :]


PLACES: dict[str, Callable[[], bytes]] = {
    "jpeg exif": lambda: saved("JPEG", exif=exif()),
    "jpeg xmp": lambda: jpeg_with(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP)),
    "jpeg extended xmp": lambda: jpeg_with(segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + XMP)),
    "jpeg iptc": lambda: jpeg_with(segment(0xED, b"Photoshop 3.0\x008BIM\4\4" + SECRET)),
    "jpeg comment": lambda: saved("JPEG", comment=SECRET),
    "jpeg any application": lambda: jpeg_with(segment(0xE7, SECRET), segment(0xE0, b"JFXX\0\x10" + SECRET)),
    "jpeg thumbnail": thumbnail_in_the_head,
    "jpeg after its end": lambda: saved("JPEG") + saved("JPEG", exif=exif()),
    "png exif": lambda: saved("PNG", exif=exif()),
    "png text": lambda: png_with(chunk(b"tEXt", b"Raw profile type exif\0" + SECRET)),
    "png packed text": lambda: png_with(chunk(b"zTXt", b"XML:com.adobe.xmp\0\0" + zlib.compress(XMP))),
    "png private": lambda: png_with(chunk(b"prVt", SECRET), chunk(b"caBX", SECRET), chunk(b"sTER", SECRET)),
    "png after its end": lambda: saved("PNG") + SECRET,
    "webp exif": lambda: saved("WEBP", exif=exif()),
    "webp xmp": lambda: saved("WEBP", xmp=XMP),
    "webp unknown": lambda: webp_with((b"GPS ", SECRET)),
    "webp after its end": lambda: saved("WEBP") + SECRET,
    "gif comment": lambda: saved("GIF", comment=SECRET),
    "gif text": lambda: saved("GIF")[:-1] + b"\x21\x01\x0c" + b"\0" * 12 + bytes((len(SECRET),)) + SECRET + b"\0;",
    "avif exif": lambda: saved("AVIF", exif=exif()),
}


def shown(data: bytes) -> tuple[np.ndarray, bytes]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"), int), image.info.get("icc_profile", b"")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("place", PLACES)
def test_no_place_is_stored_by_default(place: str) -> None:
    data = PLACES[place]()
    kind = place.split()[0].upper()
    assert SECRET in data or b"XML:com" in data
    picture = prepare(data, RawScrape())
    with Image.open(io.BytesIO(picture.data)) as image:
        image.load()
        assert not image.getexif()
        assert not {"xmp", "XML:com.adobe.xmp", "comment", "photoshop"} & image.info.keys()
    assert SECRET not in picture.data
    assert b"XML:com" not in picture.data
    pixels, profile = shown(picture.data)
    before, known = shown(data)
    assert np.abs(pixels - before).mean() < (3 if kind == "AVIF" else 1e-9)  # AVIF is encoded again
    assert kind == "AVIF" or profile == known
    assert prepare(picture.data, RawScrape()).data == picture.data


def test_who_asks_for_metadata_gets_them() -> None:
    data = saved("JPEG", exif=exif())
    assert prepare(data, RawScrape(exif="keep")).data == data


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_animations_stay(kind: str) -> None:
    data = saved(kind, frames=3)
    bare = strip(data, kind)
    assert bare is not None
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(bare)) as after:
        assert (after.n_frames, after.info["loop"]) == (before.n_frames, before.info["loop"]) == (3, 3)  # type: ignore[attr-defined]
        for number in range(3):
            before.seek(number)
            after.seek(number)
            assert np.array_equal(np.asarray(before.convert("RGB")), np.asarray(after.convert("RGB")))


def test_a_frame_of_an_animation_has_no_chunk_that_shows_nothing() -> None:
    frame = b"\0" * 16 + riff((b"GPS ", SECRET), (b"VP8 ", b"pixels"), (b"ANMF", b"\0" * 16))
    body = b"WEBP" + riff((b"VP8X", b"\x0e" + b"\0" * 9), (b"ANMF", frame))
    bare = strip(b"RIFF" + struct.pack("<I", len(body)) + body, "WEBP")
    assert bare is not None
    assert SECRET not in bare
    assert riff((b"VP8 ", b"pixels")) in bare
    assert bare[20] == 0x02  # animated, without EXIF and XMP


@pytest.mark.parametrize("kind", sorted(set(STRIPPERS) - {"BMP"}))
def test_broken_structure_is_said_not_raised(kind: str) -> None:
    for data in (b"", b"\xff\xd8", b"RIFF\xff\0\0\0WEBP", b"\0" * 12):
        strip(data, kind)


def test_what_lies_between_segments_goes() -> None:
    data = jpeg_with()
    at = 4 + int.from_bytes(data[4:6])
    assert strip(data[:at] + SECRET + segment(0xF7, SECRET) + data[at:], "JPEG") == strip(data, "JPEG") == data
