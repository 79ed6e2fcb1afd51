"""Random access to the pictures of samples.

pictures = Pictures()  # in each process or worker
pixels = pixels_of(processor.image_processor, [pictures.read(one) for one in store.pictures(i)])
"""

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from humanvlm.data.image import DecodeError, decode, opened
from humanvlm.data.shards import RandomRows
from humanvlm.errors import UserError
from humanvlm.train.plan import BUFFER
from humanvlm.train.samples import Picture

FINER = 2  # how many pixels, at least, are decoded for one that the tower gets, along each side


class Pictures:
    """Reads pictures; the last row groups read are kept, as encoded bytes: those among which a plan shuffles.

    size: an image processor's, which resizes what it gets to that. JPEGs of four times its sides or more are then
    decoded to a half, a quarter or an eighth, in half the time; resized, they are those of a whole decoding to 53 dB
    (photographs of 1920 px at 224; the worst of 25: 44 dB), and others are the same. None: all are decoded whole.
    """

    def __init__(self, size: Mapping[str, int | None] | None = None, row_groups: int = BUFFER) -> None:
        self._side = max(filter(None, dict(size).values())) if size else 0
        self._rows = RandomRows(("image",), row_groups)

    def read(self, picture: Picture) -> Image.Image:
        """The picture, upright, RGB. Raises UserError naming the file when it cannot be read."""
        name = picture.path if picture.row < 0 else f"{picture.path}, row {picture.row}"
        try:
            content = self.content(picture)
            return decode(content, self._least(content))
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

    def _least(self, content: bytes) -> int:
        """px that the longer side must keep, so that the shorter is fine enough; 0: all."""
        if not self._side:
            return 0
        shorter, longer = sorted(map(int, opened(content).size))
        return -(-FINER * self._side * longer // shorter)
