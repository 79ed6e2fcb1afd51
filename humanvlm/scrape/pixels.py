"""Encoded pictures to arrays of pixels and back.

A JPEG is read by libjpeg-turbo with nothing in between (simplejpeg), in four fifths of the time that Pillow takes with
the same library; whatever that will not read, and all other formats, go through Pillow.

Pixels are uint8 arrays (height, width, channels) as OpenCV has them: 1 channel is grey, 3 are blue, green and red, and
4 the same with a filler byte, which resampling is faster with.
"""

import io
import threading
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from humanvlm.data.image import on_white

Pixels = NDArray[np.uint8]
Size = tuple[int, int]
SCALES = (8, 4, 2, 1)  # those that libjpeg decodes to faster than to the whole
MAX_SCRATCH_BYTES = 16 << 20  # that a thread keeps for its next picture: fresh memory costs a tenth of a decode
MAX_SEGMENT = 65_533  # bytes of a JPEG segment without marker and length (ITU-T T.81, B.1.1.4)
ICC = b"ICC_PROFILE\0"  # ICC.1:2022, annex B.4

_scratch = threading.local()


@cache
def opencv() -> ModuleType:
    """OpenCV, which takes long to load and would start threads of its own."""
    import cv2

    cv2.setNumThreads(1)  # shards are the unit of parallelism
    return cv2


def decode(image: Image.Image, data: bytes, size: Size) -> Pixels:
    """Pixels of ``data``, of which ``image`` has read the header; what is transparent becomes white.

    size: width and height that will be needed; a JPEG is decoded to the smallest eighth, quarter or half that holds it
    (scaled DCT). The array may be overwritten by the thread's next call. Raises whatever Pillow does.
    """
    if image.format == "JPEG" and image.mode in ("RGB", "L"):
        try:
            return _decode_jpeg(image, data, size)
        except ValueError:  # says a warning as well as an error; which of them it is, Pillow tells
            pass
    image.draft(None, size)
    image.load()
    pixels: Pixels = np.asarray(on_white(image))
    return pixels[:, :, None] if pixels.ndim == 2 else np.ascontiguousarray(pixels[:, :, ::-1])


def _decode_jpeg(image: Image.Image, data: bytes, size: Size) -> Pixels:
    """The pixels of an RGB or grey JPEG. Raises ValueError for damaged data, and for what libjpeg only warns of."""
    width, height = image.size
    scale = next(scale for scale in SCALES if scale == 1 or (width >= scale * size[0] and height >= scale * size[1]))
    least = {"min_width": -(-width // scale), "min_height": -(-height // scale), "min_factor": scale}
    colours, channels = ("BGRX", 4) if image.mode == "RGB" else ("GRAY", 1)
    needed = least["min_width"] * least["min_height"] * channels
    pixels: Pixels = simplejpeg.decode_jpeg(data, colours, buffer=_buffer(needed), **least)
    return pixels


def _buffer(needed: int) -> Pixels | None:
    """Memory of the thread for so many bytes; None: too many to keep."""
    if needed > MAX_SCRATCH_BYTES:
        return None
    kept: Pixels | None = getattr(_scratch, "pixels", None)
    if kept is None or len(kept) < needed:
        kept = _scratch.pixels = np.empty(needed, np.uint8)
    return kept


def turned(pixels: Pixels, orientation: int) -> Pixels:
    """Upright pixels of a picture with this EXIF orientation, 1 to 8 (CIPA DC-008, section 4.6.5)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def encode(pixels: Pixels, kind: str, quality: int, icc: bytes = b"", exif: bytes = b"") -> bytes:
    """A picture file. kind: jpeg (baseline, 4:2:0) or webp; exif: a block as Pillow makes it, one segment at most."""
    if kind == "jpeg":
        data: bytes = opencv().imencode(".jpg", pixels, [opencv().IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        return _with_metadata(data, icc, exif)
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, 2::-1] if pixels.shape[2] > 1 else pixels[:, :, 0]))
    sink = io.BytesIO()
    options: dict[str, Any] = {"icc_profile": icc or None, "exif": exif}
    image.save(sink, kind, quality=quality, **options)
    return sink.getvalue()


def _with_metadata(data: bytes, icc: bytes, exif: bytes) -> bytes:
    """A JPEG with these segments after its JFIF segment."""
    if not icc and not exif:
        return data
    most = MAX_SEGMENT - len(ICC) - 2
    chunks = [icc[at : at + most] for at in range(0, len(icc), most)]
    parts = [_segment(0xE2, ICC + bytes([number, len(chunks)]) + chunk) for number, chunk in enumerate(chunks, 1)]
    if exif:
        parts.insert(0, _segment(0xE1, exif if exif.startswith(b"Exif\0\0") else b"Exif\0\0" + exif))
    at = 4 + int.from_bytes(data[4:6])
    return b"".join([data[:at], *parts, data[at:]])


def _segment(code: int, content: bytes) -> bytes:
    return bytes([0xFF, code]) + (len(content) + 2).to_bytes(2) + content
