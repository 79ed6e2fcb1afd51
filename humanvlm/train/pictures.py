"""Random access to the pictures of samples.

pictures = Pictures()  # in each process or worker
pixels = pixels_of(processor.image_processor, [pictures.read(one) for one in store.pictures(i)])
"""

from pathlib import Path

from PIL import Image

from humanvlm.data.image import DecodeError, decode
from humanvlm.data.shards import RandomRows
from humanvlm.errors import UserError
from humanvlm.train.plan import BUFFER
from humanvlm.train.samples import Picture


class Pictures:
    """Reads pictures; the last row groups read are kept, as encoded bytes: those among which a plan shuffles."""

    def __init__(self, row_groups: int = BUFFER) -> None:
        self._rows = RandomRows(("image",), row_groups)

    def read(self, picture: Picture) -> Image.Image:
        """The picture, upright, RGB. Raises UserError naming the file when it cannot be read."""
        name = picture.path if picture.row < 0 else f"{picture.path}, row {picture.row}"
        try:
            return decode(self.content(picture))
        except DecodeError as error:
            raise UserError(f"{name}: not a readable picture ({error}); run the stage that wrote it again") from None

    def content(self, picture: Picture) -> bytes:
        """The encoded bytes of a picture. Raises UserError as ``read`` does."""
        if picture.row >= 0:
            found: bytes = self._rows.read(Path(picture.path), picture.row)["image"]["bytes"]
            return found
        try:
            return Path(picture.path).read_bytes()
        except OSError as error:
            raise UserError(f"{picture.path}: {error.strerror}; put the picture back, or run with --force") from None
