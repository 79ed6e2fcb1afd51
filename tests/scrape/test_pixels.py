"""Decoding, turning and encoding of pixels, against Pillow."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from humanvlm.scrape.pixels import Pixels, decode, encode, turned


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    noise = np.random.default_rng(7).integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height)).convert(mode)


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def shown(pixels: Pixels) -> Pixels:
    """As Pillow has them: RGB, or grey without a last axis."""
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels[:, :, 2::-1]


@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    needed=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    mode=st.sampled_from(["RGB", "L", "CMYK"]),
    options=st.fixed_dictionaries({"progressive": st.booleans(), "subsampling": st.integers(0, 2)}),
)
def test_a_jpeg_is_read_as_pillow_reads_it(
    size: tuple[int, int], needed: tuple[int, int], mode: str, options: dict[str, Any]
) -> None:
    data = encoded(picture(*size, mode), **options)
    drafted = Image.open(io.BytesIO(data))
    drafted.draft(None, needed)
    wanted = np.asarray(drafted if mode == "L" else drafted.convert("RGB"))
    found = shown(decode(Image.open(io.BytesIO(data)), data, needed))
    assert found.shape == wanted.shape
    assert (found == wanted).all()
    assert all(have >= min(need, whole) for have, need, whole in zip(found.shape[1::-1], needed, size, strict=True))


def test_a_damaged_jpeg_is_what_pillow_makes_of_it() -> None:
    data = encoded(picture(64, 48))
    cut = data[: len(data) // 2]
    with pytest.raises(OSError, match="truncated"):
        decode(Image.open(io.BytesIO(cut)), cut, (64, 48))
    middle = len(data) // 2
    noisy = data[:middle] + b"\x55\xff\xd3\x55" + data[middle + 4 :]
    found = shown(decode(Image.open(io.BytesIO(noisy)), noisy, (64, 48)))
    assert (found == np.asarray(Image.open(io.BytesIO(noisy)))).all()


def test_pictures_of_all_sizes_share_the_memory_of_a_thread() -> None:
    for size in ((40, 30), (64, 48), (16, 16), (2100, 2000)):  # the last is too large to be kept
        data = encoded(picture(*size))
        found = shown(decode(Image.open(io.BytesIO(data)), data, size))
        assert (found == np.asarray(Image.open(io.BytesIO(data)))).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_are_those_of_pillow(orientation: int) -> None:
    image = picture(24, 16)
    image.getexif()[0x0112] = orientation
    wanted = np.asarray(ImageOps.exif_transpose(image))
    assert (turned(np.asarray(picture(24, 16)), orientation) == wanted).all()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_a_profile_of_several_segments_and_exif_come_back(channels: int, kind: str) -> None:
    pixels = np.full((16, 24, channels), 90, np.uint8)
    pixels[:, :, 0] = 200  # blue
    profile, exif = bytes(range(256)) * 600, Image.Exif()
    exif[0x010F] = "maker"
    with Image.open(io.BytesIO(encode(pixels, kind, 95, profile, exif.tobytes()))) as stored:
        assert (stored.format, stored.size) == (kind.upper(), (24, 16))
        assert stored.info["icc_profile"] == profile
        assert stored.getexif().get(0x010F) == "maker"
        wanted = pixels[:, :, [0, 0, 0]] if channels == 1 else pixels[:, :, 2::-1]
        assert np.abs(np.asarray(stored.convert("RGB")).astype(int) - wanted).max() < 6


def test_what_is_transparent_becomes_white() -> None:
    image = Image.new("RGBA", (8, 6), (255, 0, 0, 0))
    data = encoded(image, "PNG")
    assert decode(Image.open(io.BytesIO(data)), data, (8, 6)).min() == 255
