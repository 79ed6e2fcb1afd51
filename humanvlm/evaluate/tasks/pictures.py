"""Where the pictures of samples are: files, rows of shards, or text of a table."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from humanvlm.errors import UserError
from humanvlm.evaluate.files import Row, read_json

if TYPE_CHECKING:
    from PIL import Image

    from humanvlm.config.benchmark_scores import Source
    from humanvlm.data.shards import RandomRows

FILE_NAMES = ("file_name", "image", "img_path", "image_source")


@dataclass(frozen=True)
class ShardPicture:
    """A picture inside a shard: its file and row number."""

    shard: Path
    row: int


@dataclass(frozen=True)
class EncodedPicture:
    """A picture as base64 text, as it lies in MMBench's tables."""

    text: str


Picture = Path | ShardPicture | EncodedPicture


def picture_bytes(picture: Picture) -> bytes:
    """The bytes of the picture's file. Raises FileNotFoundError when it is missing."""
    if isinstance(picture, ShardPicture):
        content: bytes = _rows().read(picture.shard, picture.row)["image"]["bytes"]
        return content
    if isinstance(picture, EncodedPicture):
        return base64.b64decode(picture.text)
    return picture.read_bytes()


def read_picture(picture: Picture) -> "Image.Image":
    """The picture, upright, RGB. Raises FileNotFoundError when it is missing and ValueError when it does not decode."""
    from humanvlm.data.image import decode

    return decode(picture_bytes(picture))


def source_picture(task: str, source: "Source", image: str, row: Row) -> Path:
    """The file of picture ``image`` below ``source.images``.

    ``source.picture`` says how it is named: by a key of its row, such as ``photo``, or by a pattern, such as
    ``COCO_val2014_{image:012d}.jpg``; without it, the file name that the row has. Raises UserError when there is no
    name, or when it leads out of the folder.
    """
    if "{" in source.picture:
        name = _formatted(task, source.picture, image)
    else:
        keys = (source.picture,) if source.picture else FILE_NAMES
        name = str(next((row[key] for key in keys if row.get(key)), ""))
    if not name:
        raise UserError(
            f"benchmark_scores.sources.{task}: {source.references} does not say in which file picture {image} is; give "
            "picture a key of its rows, or a pattern such as COCO_val2014_{image:012d}.jpg"
        )
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts:
        raise UserError(f"{source.references}: picture {name!r} is outside of benchmark_scores.sources.{task}.images")
    return Path(source.images) / parts


def coco_names(source: "Source") -> Mapping[str, Any]:
    """Names of files by image id, of a COCO file."""
    value = read_json(Path(source.references))
    images = value.get("images") if isinstance(value, dict) else None
    listed = images if isinstance(images, list) else []
    return {
        str(row["id"]): row["file_name"]
        for row in listed
        if isinstance(row, dict) and {"id", "file_name"} <= row.keys()
    }


def _formatted(task: str, pattern: str, image: str) -> str:
    try:
        return pattern.format(image=int(image) if image.isdecimal() else image)
    except (ValueError, KeyError, IndexError) as error:
        raise UserError(
            f"benchmark_scores.sources.{task}.picture: {pattern!r} does not fit {image!r} ({error})"
        ) from None


@cache
def _rows() -> "RandomRows":
    from humanvlm.data.shards import RandomRows

    return RandomRows(("image",))
