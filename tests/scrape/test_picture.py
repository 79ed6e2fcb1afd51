import hashlib
import io
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.data.image import MAX_SCANNED_PIXELS, MAX_SCANS, DecodeError, decode
from humanvlm.scrape.picture import prepare
from humanvlm.scrape.reasons import RefusedError

from ..odd_files import odd_files
from .conftest import bomb_png, jpeg

NASTY = Path(__file__).parents[3] / "shared" / "nasty"
KEPT_AS_THEY_ARE = RawScrape(exif="keep")


def reason(data: bytes, config: RawScrape = KEPT_AS_THEY_ARE, **hashes: str) -> str:
    try:
        prepare(data, config, **hashes)
    except RefusedError as refusal:
        return refusal.reason
    return "ok"


def photo(width: int, height: int, kind: str = "JPEG", mode: str = "RGB", **options: Any) -> bytes:
    """A smooth picture with some detail, whose halves differ."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    waves = 0.5 + 0.25 * np.sin(9 * x) * np.cos(7 * y)
    pixels = np.stack([x, y, waves], axis=2) * 255
    sink = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).convert(mode).save(sink, kind, **options)
    return sink.getvalue()


def test_bytes_are_stored_untouched() -> None:
    data = jpeg()
    picture = prepare(data, KEPT_AS_THEY_ARE)
    assert (picture.data, picture.width, picture.height, picture.format) == (data, 64, 48, "JPEG")
    assert picture.sha256 == picture.source_sha256 == hashlib.sha256(data).hexdigest()
    assert prepare(data, KEPT_AS_THEY_ARE, picture.sha256.upper()) == picture
    assert reason(data, sha256="0" * 64) == "sha256_mismatch"
    assert reason(data, md5=hashlib.md5(data).hexdigest()) == "ok"
    assert reason(data, md5="0" * 32) == "md5_mismatch"
    assert prepare(jpeg(orientation=1), KEPT_AS_THEY_ARE).data == jpeg(orientation=1)


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
    exif[0x010F] = "maker"
    sink = io.BytesIO()
    Image.fromarray(upright).transpose(undo[orientation]).save(sink, "JPEG", quality=95, exif=exif.tobytes())
    for config in (KEPT_AS_THEY_ARE, RawScrape(), RawScrape(resize_mode="keep_ratio", image_size=40, exif="keep")):
        picture = prepare(sink.getvalue(), config)
        assert (picture.width, picture.height) == (60, 40)
        assert picture.source_sha256 == hashlib.sha256(sink.getvalue()).hexdigest() != picture.sha256
        with Image.open(io.BytesIO(picture.data)) as stored:
            assert stored.size == (60, 40)
            assert stored.getexif().get(0x0112, 1) == 1
            assert stored.getexif().get(0x010F) == (None if config.exif == "strip" else "maker")
            assert np.abs(np.asarray(stored).astype(int) - upright).mean() < 5


def test_malformed_pictures_are_refused_with_a_reason() -> None:
    data = jpeg()
    assert reason(b"") == "not_an_image"
    assert reason(b"<html>not here</html>") == "not_an_image"
    assert reason(data[: len(data) // 2]) == "truncated_image"
    assert reason(data[: len(data) // 2], RawScrape(verify="header")) == "ok"
    assert reason(bomb_png()) == "image_bomb"
    assert reason(bomb_png(7072, 7072)) == "image_bomb"
    assert reason(data, RawScrape(max_pixels=64 * 48 - 1)) == "image_bomb"
    assert reason(data, RawScrape(max_pixels=64 * 48)) == "ok"


@pytest.mark.parametrize("before", [b"\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n \n"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF"])
def test_what_scripts_print_before_a_picture_is_not_stored(before: bytes, kind: str) -> None:
    data = photo(64, 48, kind)
    served = before + data
    picture = prepare(served, KEPT_AS_THEY_ARE, hashlib.sha256(served).hexdigest())
    assert picture.data == data
    assert picture.sha256 == hashlib.sha256(data).hexdigest()
    assert picture.source_sha256 == hashlib.sha256(served).hexdigest()


def damaged() -> dict[str, bytes]:
    """A photograph half of which is grey, or worse, though decoders say nothing."""
    data = photo(320, 240)
    half = len(data) // 2
    noise = np.random.default_rng(1).bytes(half - 2).replace(b"\xff", b"\xfe")
    return {
        "zeros": data[:half] + bytes(len(data) - half - 2) + data[-2:],
        "noise": data[:half] + noise + data[-2:],
        "cut": data[:half] + data[-2:],
        "hole": data[:half] + data[half + 500 :],
    }


@pytest.mark.parametrize("name", damaged())
def test_half_destroyed_pictures_are_refused_when_that_is_asked(name: str) -> None:
    assert reason(damaged()[name]) == "ok"
    resizings: list[dict[str, Any]] = [{}, {"resize_mode": "keep_ratio", "image_size": 64}]
    for resizing in resizings:
        strict = RawScrape(verify="strict", **resizing)
        assert reason(damaged()[name], strict) == "corrupt_image"
        for whole in (
            photo(320, 240),
            photo(320, 240, progressive=True),
            photo(320, 240, mode="CMYK"),
            photo(9, 9, "PNG"),
        ):
            assert reason(whole, strict) == "ok"
        assert reason(photo(320, 240)[:-2], strict) == "ok"
        assert reason(photo(320, 240)[:-200], strict) == "truncated_image"


@pytest.mark.parametrize(("scans", "expected"), [(MAX_SCANS, "ok"), (MAX_SCANS + 1, "image_bomb")])
def test_a_progressive_jpeg_of_very_many_scans_is_a_bomb(scans: int, expected: str) -> None:
    data = photo(64, 48, progressive=True)
    at = data.rindex(b"\xff\xda")
    more = data[at:-2] * (scans - data.count(b"\xff\xda"))
    assert reason(data[:-2] + more + data[-2:]) == expected
    assert reason(data + more) == "ok"  # what follows the end, such as previews, is not decoded
    assert reason(photo(64, 48) + more) == "ok"


def scans_of_one_component(count: int) -> bytes:
    """A sequential JPEG each of whose scans visits the whole picture for one component only, and says little of it."""
    data = photo(64, 48, subsampling=0)
    at = data.index(b"\xff\xda")
    each = (b"\xff\xda\0\x08\x01" + bytes([n % 3 + 1, 0x11 if n % 3 else 0, 0, 63, 0, 0]) for n in range(count))
    return data[:at] + b"".join(each) + b"\xff\xd9"


def test_a_sequential_jpeg_of_very_many_scans_is_a_bomb() -> None:
    assert reason(scans_of_one_component(MAX_SCANS)) == "ok"
    bomb = scans_of_one_component(MAX_SCANS + 1)
    assert reason(bomb) == "image_bomb"
    assert reason(bomb[:-2]) == "image_bomb"
    assert reason(bomb, RawScrape(verify="header")) == "image_bomb"
    with pytest.raises(DecodeError, match="image_bomb"):
        decode(bomb)


@pytest.mark.parametrize("frame", [0xC0, 0xC2, 0xC9, 0xCA])
def test_scans_are_weighed_by_the_pixels_that_each_visits(frame: int) -> None:
    def reason_of(scans: int, side: int) -> str:
        data = bytearray(scans_of_one_component(scans))
        at = data.index(b"\xff\xc0")
        data[at + 1] = frame
        data[at + 5 : at + 9] = side.to_bytes(2) * 2
        return reason(bytes(data), RawScrape(verify="header"))

    for side in (2_000, 7_000):
        most = MAX_SCANNED_PIXELS // side**2
        assert reason_of(min(most, MAX_SCANS), side) == "ok"
        assert reason_of(min(most, MAX_SCANS) + 1, side) == "image_bomb"


def test_a_scan_without_a_body_is_no_crash() -> None:
    data = photo(64, 48)
    assert reason(data[: data.index(b"\xff\xda")] + b"\xff\xda\0\x02") == "truncated_image"


@pytest.mark.parametrize("more", [b"\xff" * 300_000, b"\xff\xff\x00" * 100_000, b"\xff\xd0" * 150_000])
def test_fill_bytes_are_stripped_in_one_pass(more: bytes) -> None:
    data = photo(64, 48)
    assert reason(data[:-2] + more + data[-2:], RawScrape(exif="strip")) == "ok"  # took minutes, at 300 kB


EXIF = b"\xff\xe1\0\x09Exif\0\0x"  # which readers join to all before it


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (EXIF * 100, "ok"),
        (EXIF * 100_000, "image_bomb"),
        (b"\xff\xfe\0\2" * 100_000, "image_bomb"),
        (b"\xff" * 10_000, "ok"),
        (b"\xff" * 1_000_000, "image_bomb"),
        (b"\xff\xd0\xff\x00" * 100_000, "image_bomb"),
        ((b"\xff\xe1\xff\xff" + bytes(65_533)) * 300, "ok"),
    ],
)
def test_a_jpeg_whose_head_never_ends_is_a_bomb(more: bytes, expected: str) -> None:
    data = photo(64, 48)
    assert reason(data[:2] + more + data[2:]) == expected


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "AVIF", "JPEG2000"])
def test_formats_of_the_web_are_read_by_content(kind: str) -> None:
    data = photo(20, 10, kind)
    picture = prepare(data, KEPT_AS_THEY_ARE)
    assert (picture.format, picture.width, picture.height, picture.data) == (kind, 20, 10, data)


@pytest.mark.parametrize(
    ("mode", "size", "expected"),
    [
        ("keep_ratio", 48, (64, 48)),
        ("keep_ratio_largest", 48, (48, 36)),
        ("center_crop", 48, (48, 48)),
        ("border", 48, (48, 48)),
        ("max_pixels", 48, (55, 41)),
        ("keep_ratio", 200, (267, 200)),
        ("max_pixels", 500, (160, 120)),
    ],
)
@pytest.mark.parametrize("encode", ["jpeg", "webp"])
def test_resize_modes(mode: Any, size: int, expected: tuple[int, int], encode: Any) -> None:
    data = photo(160, 120, quality=95)
    picture = prepare(data, RawScrape(resize_mode=mode, image_size=size, encode_format=encode))
    assert (picture.width, picture.height) == expected
    with Image.open(io.BytesIO(picture.data)) as stored:
        assert (stored.size, stored.format) == (expected, picture.format)
        if mode in ("keep_ratio", "keep_ratio_largest", "max_pixels"):
            with Image.open(io.BytesIO(data)) as image:
                wanted = np.asarray(image.resize(expected, Image.Resampling.LANCZOS)).astype(int)
            assert np.abs(np.asarray(stored.convert("RGB")).astype(int) - wanted).mean() < 3
    untouched = prepare(data, RawScrape(resize_mode=mode, image_size=200, only_if_bigger=True)).data
    assert untouched == data


def test_border_is_white_and_crop_is_central() -> None:
    data = photo(200, 100, quality=95)
    border = prepare(data, RawScrape(resize_mode="border", image_size=64))
    pixels = np.asarray(Image.open(io.BytesIO(border.data)))
    assert pixels[:14].min() > 240
    assert pixels[24:40].mean() < 200
    crop = np.asarray(Image.open(io.BytesIO(prepare(data, RawScrape(resize_mode="center_crop", image_size=50)).data)))
    assert abs(crop[:, :, 0].mean() - 127) < 6  # red runs from left to right


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "I;16", "LA", "CMYK"])
def test_every_colour_mode_can_be_resized(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    sink = io.BytesIO()
    image = Image.new("I;16", (60, 40), 30_000) if mode == "I;16" else Image.new("RGB", (60, 40), "teal").convert(mode)
    image.save(sink, kind)
    picture = prepare(sink.getvalue(), RawScrape(resize_mode="keep_ratio", image_size=20))
    with Image.open(io.BytesIO(picture.data)) as stored:
        assert (stored.size, stored.mode in ("RGB", "L")) == ((30, 20), True)
        assert abs(np.asarray(stored.convert("L")).mean() - (117 if mode == "I;16" else 89)) < 12 or mode == "1"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_metadata_is_stripped_without_touching_the_pixels(kind: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a secret maker"
    data = photo(40, 30, kind, exif=exif.tobytes())
    assert b"a secret maker" in data
    picture = prepare(data, RawScrape(exif="strip"))
    assert b"a secret maker" not in picture.data
    assert picture.format == kind
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(picture.data)) as after:
        assert not after.getexif()
        assert np.array_equal(np.asarray(before), np.asarray(after))
    assert prepare(picture.data, RawScrape(exif="strip")).data == picture.data


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 1500), st.integers(1, 30))
def test_what_the_scaled_check_lets_pass_decodes_in_full(noise: bytes, at: int, cut: int) -> None:
    data = bytearray(jpeg())
    at %= len(data)
    data[at : at + cut] = noise
    if reason(bytes(data)) == "ok":  # any exception but RefusedError fails the test
        Image.open(io.BytesIO(data), formats=["JPEG"]).load()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"mode": "CMYK"}, {"mode": "L"}])
def test_truncation_anywhere_is_noticed_as_by_a_full_decode(options: dict[str, Any]) -> None:
    data = photo(70, 50, **options)
    for end in range(2, len(data) - 2):
        try:
            Image.open(io.BytesIO(data[:end]), formats=["JPEG"]).load()
            full = True
        except Exception:
            full = False
        assert (reason(data[:end]) == "ok") == full, end


CHILD = """
import json, resource, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from humanvlm.config.raw_scrape import RawScrape
from humanvlm.scrape.picture import prepare
from humanvlm.scrape.reasons import RefusedError
import io
from PIL import Image
found = {}
for name in json.loads(sys.argv[2]):
    for mode in ("no", "keep_ratio", "border"):
        try:
            picture = prepare((Path(sys.argv[1]) / name).read_bytes(), RawScrape(resize_mode=mode, image_size=64))
            stored = Image.open(io.BytesIO(picture.data))
            stored.load()
            assert stored.size == (picture.width, picture.height), (name, mode)
            assert stored.getexif().get(0x0112, 1) not in range(2, 9), (name, mode)
            found.setdefault(name, [picture.width, picture.height])
        except RefusedError as refusal:
            found.setdefault(name, refusal.reason)
# Not ru_maxrss, which a child inherits from the process that started it.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps({"found": found, "peak_kb": int(peak.split()[1])}))
"""


def child(folder: Path, names: list[str]) -> Any:
    command = [sys.executable, "-c", CHILD, str(folder), json.dumps(names)]
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=120).stdout)


def test_every_odd_file_decodes_upright_or_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    for name, (data, _) in odd_files().items():
        (tmp_path / name).write_bytes(data)
    outcome = child(tmp_path, list(odd_files()))
    assert outcome["peak_kb"] < 700_000
    right = {name: list(found) if isinstance(found, tuple) else found for name, (_, found) in odd_files().items()}
    assert outcome["found"] == right


def test_every_nasty_file_decodes_upright_or_is_refused_in_bounded_memory() -> None:
    if not NASTY.exists():
        pytest.skip("needs ../shared/nasty, which is not part of the project")
    outcomes = json.loads((NASTY / "pillow_outcomes.json").read_text())["files"]
    outcome = child(NASTY, list(outcomes))
    found = outcome["found"]
    assert outcome["peak_kb"] < 700_000
    assert found.keys() == outcomes.keys()
    refused = {name for name, what in found.items() if isinstance(what, str)}
    reasons = {"not_an_image", "unsupported_format", "corrupt_image", "truncated_image", "image_bomb"}
    assert {found[name] for name in refused} <= reasons
    assert len(refused) < len(outcomes) / 2
    for name in outcomes.keys() - refused:
        assert found[name] == outcomes[name]["rgb_upright_size"], name


def test_memory_of_a_refused_bomb_is_small() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert reason(bomb_png()) == "image_bomb"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
