"""Pictures of a request: out of their data URLs, and through the one decoder."""

import base64
import binascii
import re

from PIL import Image

from humanvlm.data.image import DecodeError, decode, opened
from humanvlm.serve.limits import Limits
from humanvlm.serve.refusals import Refused

_DATA_URL = re.compile(r"data:[a-z0-9.+/;=-]{0,200}?;base64,", re.IGNORECASE)
_PLACE = "messages.content.image_url.url"


def picture_of(url: str, limits: Limits) -> Image.Image:
    """The picture of a data URL, upright, RGB; of an animation the first frame. Raises Refused: 400 for what is no
    picture, 413 for one of too many pixels."""
    head = _DATA_URL.match(url)
    if head is None:
        kind = "a remote address" if re.match(r"\s*https?:", url, re.IGNORECASE) else "neither"
        raise Refused(400, f"a picture is given as data:image/…;base64,…; this is {kind}", _PLACE, "invalid_image_url")
    try:
        data = base64.b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(400, f"the picture's base64 is damaged: {error}", _PLACE, "invalid_base64_image") from None
    return decoded(data, limits)


def decoded(data: bytes, limits: Limits) -> Image.Image:
    """Raises Refused as ``picture_of``."""
    try:
        opened(data, limits.pixels)
        return decode(data)
    except DecodeError as error:
        status = 413 if error.reason == "image_bomb" else 400
        code = "image_too_large" if error.reason == "image_bomb" else "invalid_image"
        raise Refused(status, f"the picture is refused: {error}", _PLACE, code) from None
