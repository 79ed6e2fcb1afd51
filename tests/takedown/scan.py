"""Look for a picture everywhere: in files of any name, tables, databases, archives and pages, as a tile of a sheet too.

A tile is found by its pixels: a template of the picture's middle is slid over every picture, at every size that a
thumbnail may have.
"""

import base64
import io
import re
import sqlite3
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

INLINED = re.compile(rb"data:image/[a-z+.-]+;base64,([A-Za-z0-9+/=]+)")
MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF")
TEMPLATE = 24  # px
SMALLEST, STEP = 40, 1.07  # px of a thumbnail's shorter side
ALIKE = 0.85

Gray = NDArray[np.uint8]


def found_in(root: Path, picture: bytes) -> list[Path]:
    """Files under a folder that hold the picture, or a thumbnail of it."""
    wanted = gray(picture)
    assert wanted is not None
    seen: dict[bytes, bool] = {}

    def shows(data: bytes) -> bool:
        if data not in seen:
            seen[data] = is_in(wanted, gray(data))
        return seen[data]

    paths = (path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink())
    return [path for path in paths if any(shows(data) for data in pictures_in(path.read_bytes()))]


def pictures_in(data: bytes) -> Iterator[bytes]:
    """Every encoded picture in some bytes, however they are wrapped."""
    if data.startswith(MAGIC):
        yield data
    elif data.startswith(b"PAR1"):
        for value in pq.read_table(io.BytesIO(data)).to_pylist():
            yield from _values(value)
    elif data.startswith(b"SQLite format 3"):
        with sqlite3.connect(":memory:") as database:
            database.deserialize(data[:18] + b"\x01\x01" + data[20:])  # as of a database without a journal of its own
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                for row in database.execute(f'SELECT * FROM "{name}"'):
                    yield from _values(list(row))
    elif data.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.namelist():
                yield from pictures_in(archive.read(entry))
    elif data[257:262] == b"ustar" or data.startswith(b"\x1f\x8b"):
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                if file := tar.extractfile(member):
                    yield from pictures_in(file.read())
    else:
        yield from (base64.b64decode(found) for found in INLINED.findall(data))


def _values(value: Any) -> Iterator[bytes]:
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        yield from pictures_in(value)
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _values(one)


def gray(data: bytes) -> Gray | None:
    try:
        return np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    except OSError:
        return None


def is_in(wanted: Gray, picture: Gray | None) -> bool:
    """Whether a picture is the wanted one, or has it as a tile; what is smaller than a thumbnail is not looked at."""
    if picture is None:
        return False
    template = _middle(wanted)
    size = float(SMALLEST)
    while size <= min(picture.shape) * STEP:
        scale = TEMPLATE * 2 / size  # the template is half of the picture's shorter side
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        if min(small.shape) >= TEMPLATE and cv2.matchTemplate(small, template, cv2.TM_CCOEFF_NORMED).max() > ALIKE:
            return True
        size *= STEP
    return False


def _middle(picture: Gray) -> Gray:
    height, width = picture.shape
    side = min(height, width) // 2
    top, left = (height - side) // 2, (width - side) // 2
    crop = picture[top : top + side, left : left + side]
    return cv2.resize(crop, (TEMPLATE, TEMPLATE), interpolation=cv2.INTER_AREA)
