"""Untrusted picture bytes to a picture."""

import io

from PIL import Image, ImageOps

MAX_PIXELS = 100_000_000


def decode_picture(data: bytes) -> Image.Image:
    """The picture, upright, RGB. Raises ValueError when the bytes do not decode or hold too many pixels."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width}x{image.height} pixels")
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, SyntaxError, TypeError, Image.DecompressionBombError) as error:
        raise ValueError(str(error).splitlines()[0][:160] if str(error) else type(error).__name__) from None
