"""The one decoder: bytes of a picture, of whatever origin, to upright RGB on white in the colours that people see.

Formats are those that browsers show, told by the content alone; Pillow's other readers (TIFF, PSD, EPS, ...) are not
offered to untrusted bytes. What is transparent becomes white, 16 bits become 8 by their values, a colour profile is
applied, and an orientation is turned upright. Of animations the first frame is read.
"""

import io
import logging
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from humanvlm.data.jpeg import has_long_head, scans, with_end

# Pillow warns of every odd EXIF tag, of which one picture can have 65,535. A filter of this module alone holds in
# threads too.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)

MAX_PIXELS = 100_000_000  # of a picture; what the crawl stores has no more
PIXELS_AT_ONCE = MAX_PIXELS  # of the pictures that the threads of a process decode at a time
MAX_SCANS = 200  # each scan of a JPEG, progressive or not, visits the whole picture, however few bytes it has
MAX_SCANNED_PIXELS = 16 * MAX_PIXELS  # pixels times scans: those of the largest picture in the usual 10 to 12 scans
MAX_PROFILE = 1 << 20  # bytes; a larger colour profile is left out
PROFILE_SPACES = {b"RGB ": "RGB", b"GRAY": "L"}  # bytes 16 to 19 of a profile (ICC.1:2022, section 7.2)
PROFILE_TOLERANCE = 2  # of 255: a profile that moves no colour further is sRGB under another name
ORIENTATION = 0x0112  # EXIF tag
AVIF_BRANDS = (b"avif", b"avis", b"mif1", b"msf1")  # major ones; readers refuse a file with another
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Kind:
    """A format. name: as Pillow has it; plugin: of Pillow's modules; begins: whether these first 64 bytes are its."""

    name: str
    plugin: str
    media_type: str
    begins: Callable[[bytes], bool]


KINDS = (
    Kind("JPEG", "Jpeg", "image/jpeg", lambda head: head.startswith(b"\xff\xd8\xff")),
    Kind("PNG", "Png", "image/png", lambda head: head.startswith(b"\x89PNG\r\n\x1a\n")),
    Kind("WEBP", "WebP", "image/webp", lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP"),
    Kind("GIF", "Gif", "image/gif", lambda head: head.startswith((b"GIF87a", b"GIF89a"))),
    Kind(
        "AVIF",
        "Avif",
        "image/avif",
        lambda head: (
            head[4:8] == b"ftyp" and head[8:12] in AVIF_BRANDS and (b"avif" in head[8:] or b"avis" in head[8:])
        ),
    ),
    Kind(
        "JPEG2000",
        "Jpeg2K",
        "image/jp2",
        lambda head: head.startswith((b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n")),
    ),
    Kind("BMP", "Bmp", "image/bmp", lambda head: head.startswith(b"BM")),
)


def _is_boxed(*brands: bytes) -> Callable[[bytes], bool]:
    """Whether a file of boxes (ISO/IEC 14496-12) has one of these major brands."""
    return lambda head: head[4:8] == b"ftyp" and head[8:12].startswith(brands)


def _is_svg(head: bytes) -> bool:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return text.startswith(b"<svg") or (text.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in text)


# What the web has too and this decoder does not read, so that its pictures are counted as what they are.
UNSUPPORTED: Mapping[str, Callable[[bytes], bool]] = {
    "SVG": _is_svg,
    "HEIC": _is_boxed(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"),
    "JPEG XL": lambda head: head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")),
    "TIFF": lambda head: head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    "ICO": lambda head: head.startswith((b"\0\0\1\0", b"\0\0\2\0")),
    "PSD": lambda head: head.startswith(b"8BPS"),
    "JPEG XR": lambda head: head.startswith(b"II\xbc"),
    "EPS": lambda head: head.startswith(b"%!PS"),
    "PDF": lambda head: head.startswith(b"%PDF-"),
    "MP4": _is_boxed(b"isom", b"iso2", b"mp4", b"M4V", b"avc1", b"qt  "),
    "WebM": lambda head: head.startswith(b"\x1aE\xdf\xa3"),
}
HEAD = 1024  # bytes that tell


class DecodeError(ValueError):
    """Bytes that are no picture, or none that is read.

    reason: not_an_image, unsupported_format, image_bomb, corrupt_image or truncated_image; detail: a line.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = " ".join(detail.split())[:160]
        super().__init__(f"{reason}: {self.detail}")


def decode(data: bytes, least: int = 0) -> Image.Image:
    """The picture: upright, mode RGB, on white, sRGB.

    least: px that the longer side must keep; a larger JPEG is then decoded to an eighth, quarter or half of its size,
    which is cheaper. 0: the whole size. Safe in threads, which wait for ``room``. Raises DecodeError.
    """
    try:
        return _decode(data, least)
    except DecodeError as error:
        ended = completed(data, error)
        if ended is None:
            raise
        return _decode(ended, least)


def completed(data: bytes, error: DecodeError) -> bytes | None:
    """A JPEG, refused with ``error``, that lacks no more than its end, with it; None for whatever else."""
    if error.reason != "truncated_image" or not data.startswith(b"\xff\xd8\xff"):
        return None
    try:
        image = opened(data)
    except DecodeError:
        return None
    with room(image.width * image.height):
        return with_end(data)


def pixels(data: bytes) -> NDArray[np.uint8]:
    """The same as an array (height, width, 3). Raises DecodeError."""
    return np.asarray(decode(data))


def _decode(data: bytes, least: int) -> Image.Image:
    image = opened(data)
    with room(image.width * image.height), decoding():
        if least and image.format == "JPEG":
            width, height = (max(1, least * side // max(image.size)) for side in image.size)
            image.draft("RGB", (width, height))
        image.load()
        turn = TURNS.get(orientation(image))
        flat = _in_srgb(on_white(image), image.info.get("icc_profile") or b"")
        return (flat if turn is None else flat.transpose(turn)).convert("RGB")


def kind_of(data: bytes) -> Kind:
    """The format of the bytes. Raises DecodeError: not_an_image, unsupported_format."""
    for kind in KINDS:
        if kind.begins(data[:64]):
            return kind
    ours = ", ".join(kind.name for kind in KINDS)
    if name := next((name for name, begins in UNSUPPORTED.items() if begins(data[:HEAD])), None):
        raise DecodeError("unsupported_format", f"{name}, which is none of {ours}")
    raise DecodeError("not_an_image", f"starts with {data[:16]!r}, as none of {ours}")


def opened(data: bytes, max_pixels: int = MAX_PIXELS) -> Any:
    """The picture (a ``PIL.ImageFile.ImageFile``), of which only the header has been read.

    Raises DecodeError: not_an_image, unsupported_format, image_bomb (more than ``max_pixels``, 200 scans, 1,600 million
    pixels times scans, or a head of very many segments), corrupt_image, truncated_image.
    """
    kind = kind_of(data)
    if kind.name == "JPEG" and has_long_head(data):
        raise DecodeError("image_bomb", "more before its first scan than any picture has")
    with decoding():
        image = reader(kind)(io.BytesIO(data))
    width, height = image.size
    if width * height > max_pixels:
        raise DecodeError("image_bomb", f"{width}x{height} is more than {max_pixels} pixels")
    if kind.name == "JPEG":
        most = min(MAX_SCANS, MAX_SCANNED_PIXELS // max(1, width * height))
        if scans(data, most) > most:
            raise DecodeError("image_bomb", f"more than {most} scans of {width}x{height} pixels")
    return image


@cache
def reader(kind: Kind) -> Any:
    """Pillow's class for the format. ``Image.open`` would load all of its plugins, and take MPO for no JPEG."""
    module: Any = import_module(f"PIL.{kind.plugin}ImagePlugin")
    if kind.name == "AVIF":
        module.DEFAULT_MAX_THREADS = 1  # shards are the unit of parallelism
    return getattr(module, f"{kind.plugin}ImageFile")


_turn = threading.Lock()  # of the one thread that waits, so that many small pictures never keep a large one waiting
_freed = threading.Condition()
_held = threading.local()
_free = PIXELS_AT_ONCE


@contextmanager
def room(pixels: int) -> Iterator[None]:
    """Room for so many pixels in memory, for which a thread waits until others need less.

    ``PIXELS_AT_ONCE`` are in work at a time; a picture of more has them all. A thread that has room needs no more.
    """
    global _free
    if getattr(_held, "some", False):
        yield
        return
    pixels = min(pixels, PIXELS_AT_ONCE)
    with _turn, _freed:
        _freed.wait_for(lambda: _free >= pixels)
        _free -= pixels
    _held.some = True
    try:
        yield
    finally:
        _held.some = False
        with _freed:
            _free += pixels
            _freed.notify()


@contextmanager
def decoding() -> Iterator[None]:
    """Whatever Pillow raises on malformed bytes, which is almost anything, as DecodeError."""
    try:
        yield
    except DecodeError:
        raise
    except MemoryError:
        raise DecodeError("image_bomb", "decoding it needs more memory than there is") from None
    except Image.DecompressionBombError as error:
        raise DecodeError("image_bomb", str(error)) from None
    except Exception as error:
        cut = isinstance(error, EOFError) or "truncated" in str(error).lower()
        reason = "truncated_image" if cut else "corrupt_image"
        raise DecodeError(reason, f"{type(error).__name__}: {error}") from None


def orientation(image: Image.Image) -> int:
    """EXIF (else XMP) orientation 1 to 8; 1 when absent, unreadable or out of range."""
    try:
        value = Image.Image.getexif(image).get(ORIENTATION, 1)  # PNG's own method would decode the whole picture
    except Exception:  # broken metadata does not make a picture broken
        return 1
    return value if value in range(2, 9) else 1


def on_white(image: Image.Image) -> Image.Image:
    """RGB or grey (L) with 8 bits; what is transparent becomes white."""
    key = image.info.get("transparency")
    if image.mode.startswith("I"):  # 16 bits, which Pillow's own conversion would cut off at 255
        values = np.asarray(image)
        grey = (values.clip(0, 65_535) >> 8).astype(np.uint8)
        if isinstance(key, int):
            grey[values == key] = 255
        return Image.fromarray(grey)
    if image.has_transparency_data:
        if isinstance(key, tuple) and max(key) > 255:  # of 16 bits, while Pillow has cut the pixels to 8
            image.info["transparency"] = tuple(value >> 8 for value in key)
        image = image.convert("RGBA")
        white: Image.Image = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    if image.mode in ("RGB", "L"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def fitting_profile(profile: bytes, mode: str) -> bytes:
    """The colour profile of a picture when it is one for pixels of ``mode`` (RGB or L), else nothing."""
    return profile if len(profile) <= MAX_PROFILE and PROFILE_SPACES.get(profile[16:20]) == mode else b""


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """An RGB or L picture with its profile applied."""
    fitting = fitting_profile(profile, image.mode)
    transform = _to_srgb(fitting, image.mode) if fitting else None
    return image if transform is None else transform.apply(image)


@lru_cache(maxsize=32)
def _to_srgb(profile: bytes, mode: str) -> Any:
    """The transform of a profile to sRGB; None when the profile is broken, or sRGB itself, as most are."""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        sample = _colours(mode)
        moved = transform.apply(sample)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):  # readers show a picture without a broken profile
        return None
    distance = np.abs(np.asarray(moved, np.int16) - np.asarray(sample.convert("RGB"), np.int16))
    return transform if distance.max() > PROFILE_TOLERANCE else None


def _colours(mode: str) -> Image.Image:
    """All greys, or 16 x 16 x 16 colours, as one picture."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    levels = np.arange(0, 256, 17, dtype=np.uint8)
    return Image.fromarray(np.stack(np.meshgrid(levels, levels, levels), -1).reshape(64, 64, 3))
