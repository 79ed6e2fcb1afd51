"""Pictures of a request: out of their data URLs, and through the one decoder."""

import base64
import binascii
import re

from PIL import Image

from humanvlm.data.image import DecodeError, decode, opened
from humanvlm.serve.limits import Limits
from humanvlm.serve.refusals import Refused

PLACE = "messages.content.image_url.url"
_REMOTE = re.compile(r"https?:", re.IGNORECASE)
_DATA_URL = re.compile(r"data:[a-z0-9.+/;=-]{0,200}?;base64,", re.IGNORECASE)


def is_remote(url: str) -> bool:
    """Whether a picture is somewhere else."""
    return bool(_REMOTE.match(url))


def data_of(url: str) -> bytes:
    """The file in a data URL. Raises Refused (400) where there is none."""
    head = _DATA_URL.match(url)
    if head is None:
        raise Refused(400, f"{PLACE}: neither data:image/…;base64,… nor https://…", PLACE, "invalid_image_url")
    try:
        return base64.b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(400, f"{PLACE}: damaged base64: {error}", PLACE, "invalid_base64_image") from None


def decoded(data: bytes, limits: Limits) -> Image.Image:
    """The picture of a file, upright, RGB; of an animation the first frame. Raises Refused: 400 for what is no picture,
    413 for one that takes too much."""
    try:
        opened(data, limits.pixels)
        return decode(data)
    except DecodeError as error:
        bomb = error.reason == "image_bomb"
        code = "image_too_large" if bomb else "invalid_image"
        raise Refused(413 if bomb else 400, f"the picture is refused: {error}", PLACE, code) from None
