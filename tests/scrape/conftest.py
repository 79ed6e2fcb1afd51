import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from .asking import HOST, Web
from .faults import Faults, Internet, serve_faults


def jpeg(width: int = 64, height: int = 48, orientation: int | None = None, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "JPEG", quality=90, exif=exif.tobytes() if exif else b"")
    return sink.getvalue()


def bomb_png(width: int = 60_000, height: int = 60_000) -> bytes:
    """A few hundred bytes that say they are a huge picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the machine that runs the tests are none of their business."""
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def faults() -> Iterator[Faults]:
    with serve_faults(jpeg()) as server:
        yield server


@pytest.fixture
def web(faults: Faults) -> Iterator[Web]:
    internet = Internet()
    internet.add(HOST, 80, faults.port)
    internet.names["localhost"] = internet.names["0x7f000001"] = [["127.0.0.1"]]
    with internet.installed():
        yield Web(faults, internet)
    assert not internet.refused
