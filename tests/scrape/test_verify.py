import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from humanvlm.scrape.reasons import RefusedError
from humanvlm.scrape.verify import verify

from .conftest import bomb_png, jpeg

NASTY = Path(__file__).parents[3] / "shared" / "nasty"
MAX_PIXELS = 50_000_000


def reason(data: bytes, max_pixels: int = MAX_PIXELS, sha256: str | None = None) -> str:
    try:
        verify(data, max_pixels, sha256)
    except RefusedError as refusal:
        return refusal.reason
    return "ok"


def test_bytes_are_stored_untouched() -> None:
    data = jpeg()
    picture = verify(data, MAX_PIXELS)
    assert (picture.data, picture.width, picture.height, picture.format) == (data, 64, 48, "JPEG")
    assert verify(data, MAX_PIXELS, picture.sha256.upper()) == picture
    assert reason(data, sha256="0" * 64) == "sha256_mismatch"
    assert verify(jpeg(orientation=1), MAX_PIXELS).data == jpeg(orientation=1)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_orientation_is_applied_to_the_stored_pixels(orientation: int) -> None:
    upright = np.zeros((40, 60, 3), dtype=np.uint8)
    upright[:20, :30] = 255  # the top left quarter is white
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    sink = io.BytesIO()
    Image.fromarray(upright).transpose(undo[orientation]).save(sink, "JPEG", quality=95, exif=exif.tobytes())
    picture = verify(sink.getvalue(), MAX_PIXELS)
    assert (picture.width, picture.height) == (60, 40)
    with Image.open(io.BytesIO(picture.data)) as stored:
        assert stored.size == (60, 40)
        assert not stored.getexif()
        assert np.abs(np.asarray(stored).astype(int) - upright).mean() < 5


def test_malformed_pictures_are_refused_with_a_reason() -> None:
    data = jpeg()
    assert reason(b"") == "not_an_image"
    assert reason(b"<html>not here</html>") == "not_an_image"
    assert reason(data[: len(data) // 2]) == "corrupt_image"
    assert reason(bomb_png()) == "image_bomb"
    assert reason(bomb_png(7072, 7072)) == "image_bomb"
    assert reason(data, max_pixels=64 * 48 - 1) == "image_bomb"
    assert reason(data, max_pixels=64 * 48) == "ok"


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "AVIF", "JPEG2000"])
def test_formats_of_the_web_are_read_by_content(kind: str) -> None:
    sink = io.BytesIO()
    Image.new("RGB", (20, 10), "red").save(sink, kind)
    picture = verify(sink.getvalue(), MAX_PIXELS)
    assert (picture.format, picture.width, picture.height, picture.data) == (kind, 20, 10, sink.getvalue())


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 1500), st.integers(1, 30))
def test_no_damage_makes_anything_but_a_picture_or_a_reason(noise: bytes, at: int, cut: int) -> None:
    data = bytearray(jpeg())
    at %= len(data)
    data[at : at + cut] = noise
    reason(bytes(data))  # any exception but RefusedError fails the test


@pytest.mark.filterwarnings("ignore")
def test_every_nasty_file_decodes_to_its_size_or_is_refused() -> None:
    if not NASTY.exists():
        pytest.skip("needs ../shared/nasty, which is not part of the project")
    outcomes = json.loads((NASTY / "pillow_outcomes.json").read_text())["files"]
    reasons = {name: reason((NASTY / name).read_bytes()) for name in outcomes}
    assert set(reasons.values()) == {"ok", "not_an_image", "corrupt_image", "image_bomb"}
    good = [name for name, found in reasons.items() if found == "ok"]
    assert len(good) > len(outcomes) / 2
    for name in good:
        picture = verify((NASTY / name).read_bytes(), MAX_PIXELS)
        assert [picture.width, picture.height] == outcomes[name]["rgb_upright_size"], name
        with Image.open(io.BytesIO(picture.data)) as stored:
            assert stored.size == (picture.width, picture.height), name
            assert stored.getexif().get(0x0112, 1) in (0, 1), name
