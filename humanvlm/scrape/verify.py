"""Turn downloaded bytes into a picture that is known to decode, upright, or refuse them with a reason."""

import hashlib
import io
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError

from humanvlm.scrape.reasons import RefusedError

# What browsers show. Other decoders (TIFF, PSD, EPS, ...) are not offered to untrusted bytes.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "JPEG2000")
ORIENTATION = 0x0112
JPEG_QUALITY = 95


@dataclass(frozen=True)
class Picture:
    """Bytes to store, of which a full decode succeeded; width and height in px, upright; sha256 of the bytes in hex."""

    data: bytes
    width: int
    height: int
    format: str
    sha256: str


def verify(data: bytes, max_pixels: int, sha256: str | None = None) -> Picture:
    """Check that ``data`` is a picture: known format by its content, within ``max_pixels``, decoding to the end.

    The bytes are kept as they are, except that an EXIF orientation is applied (re-encoded as JPEG), because readers
    disagree about it. Of animations the first frame is what is decoded. sha256: expected hash of ``data``, if known.
    Raises RefusedError: sha256_mismatch, not_an_image, image_bomb, corrupt_image.
    """
    digest = hashlib.sha256(data).hexdigest()
    if sha256 and digest != sha256.lower():
        raise RefusedError("sha256_mismatch", f"received {digest}")
    Image.init()  # Pillow only knows the formats whose plugins are loaded
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise RefusedError("not_an_image", f"starts with {data[:16]!r}") from None
    except Image.DecompressionBombError as error:
        raise RefusedError("image_bomb", str(error)) from None
    except Exception as error:  # decoders raise almost anything on malformed bytes
        raise RefusedError("corrupt_image", f"{type(error).__name__}: {error}") from None
    with image:
        if image.width * image.height > max_pixels:
            raise RefusedError("image_bomb", f"{image.width}x{image.height} is more than {max_pixels} pixels")
        try:
            image.load()
            if _orientation(image) != 1:
                return _upright(image)
        except Exception as error:
            raise RefusedError("corrupt_image", f"{type(error).__name__}: {error}") from None
        return Picture(data, image.width, image.height, image.format or "", digest)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; 1 when absent, unreadable or out of range."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # broken metadata does not make a picture broken
        return 1
    return value if value in range(2, 9) else 1


def _upright(image: Image.Image) -> Picture:
    profile = image.info.get("icc_profile") if image.mode in ("RGB", "L") else None
    upright = ImageOps.exif_transpose(image)
    if upright.mode not in ("RGB", "L"):
        upright = upright.convert("RGB")
    sink = io.BytesIO()
    upright.save(sink, "JPEG", quality=JPEG_QUALITY, icc_profile=profile, exif=b"")
    data = sink.getvalue()
    return Picture(data, upright.width, upright.height, "JPEG", hashlib.sha256(data).hexdigest())
