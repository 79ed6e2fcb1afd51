import ast
import base64
import io
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.data.image import MAX_PIXELS, PIXELS_AT_ONCE, DecodeError, decode, kind_of, pixels, room

ROOT = Path(__file__).parents[2]
Rgb = NDArray[np.uint8]


def photo(width: int = 96, height: int = 64) -> Image.Image:
    """A smooth picture that has no symmetry."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return Image.fromarray((np.stack([x, y, 0.5 + 0.4 * np.sin(5 * x * y)], axis=2) * 200 + 20).astype(np.uint8))


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png16(values: NDArray[np.uint16], transparent: bytes = b"") -> bytes:
    """A PNG of 16 bits (height, width) or (height, width, channels), which Pillow writes of grey alone."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    colours = {1: 0, 2: 4, 3: 2, 4: 6}[values.shape[2] if values.ndim == 3 else 1]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colours, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *([chunk(b"tRNS", transparent)] if transparent else [])]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")])


def swapped_profile() -> bytes:
    """sRGB with red and blue exchanged: who ignores it sees other colours than people do."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(profile[128:132])
    tags = {bytes(profile[132 + 12 * n : 136 + 12 * n]): 132 + 12 * n for n in range(count)}
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


def on_white(rgb: Rgb, alpha: Rgb) -> Rgb:
    share = alpha[..., None].astype(np.float64) / 255
    return (rgb * share + 255 * (1 - share)).round().astype(np.uint8)


RGB = np.asarray(photo())
GREY = np.asarray(photo().convert("L"))
ALPHA = np.tile(np.linspace(0, 255, 96).astype(np.uint8), (64, 1))


def cases() -> Iterator[tuple[str, bytes, Rgb, int]]:
    """Name, bytes, the pixels that are right, and how far (of 255) coding may move them."""
    grey = np.repeat(GREY[:, :, None], 3, axis=2)
    yield "rgb", saved(photo()), RGB, 0
    yield "rgba", saved(Image.fromarray(np.dstack([RGB, ALPHA]))), on_white(RGB, ALPHA), 1
    yield "la", saved(Image.fromarray(np.dstack([GREY, ALPHA]))), on_white(grey, ALPHA), 1
    palette = photo().convert("P", palette=Image.Palette.ADAPTIVE)
    opaque = np.asarray(palette.convert("RGB"))
    hidden = np.asarray(palette) == 7
    assert hidden.any()
    yield "palette", saved(palette, transparency=7), np.where(hidden[..., None], 255, opaque).astype(np.uint8), 0
    shares = bytes(range(256))
    yield "palette-alpha", saved(palette, transparency=shares), on_white(opaque, np.asarray(palette)), 1
    yield "gif", saved(palette, "GIF", transparency=7), np.where(hidden[..., None], 255, opaque).astype(np.uint8), 0
    marked = RGB.copy()
    marked[:8, :8] = 1, 2, 3
    white = RGB.copy()
    white[:8, :8] = 255
    yield "rgb-colour-key", saved(Image.fromarray(marked), transparency=(1, 2, 3)), white, 0
    marked16 = marked.astype(np.uint16) * 257
    yield "rgb16-colour-key", png16(marked16, struct.pack(">HHH", 257, 514, 771)), white, 0
    dark = GREY.copy()
    dark[:8, :8] = 1
    light = grey.copy()
    light[:8, :8] = 255
    yield "grey-key", saved(Image.fromarray(dark), transparency=1), light, 0
    yield "grey16-key", png16(dark.astype(np.uint16) * 257, struct.pack(">H", 257)), light, 0
    yield "grey16", png16(GREY.astype(np.uint16) * 257), grey, 0
    yield "grey16-jp2", saved(Image.fromarray(GREY.astype(np.uint16) * 257), "JPEG2000"), grey, 0
    yield "rgb16", png16(RGB.astype(np.uint16) * 257), RGB, 0
    yield "rgba16", png16(np.dstack([RGB, ALPHA]).astype(np.uint16) * 257), on_white(RGB, ALPHA), 1
    yield "bits", saved(photo().convert("1")), np.asarray(photo().convert("1").convert("RGB")), 0
    yield "cmyk", saved(photo().convert("CMYK"), "JPEG", quality=95), RGB, 24
    for kind, tolerance in (("PNG", 0), ("JPEG", 24), ("WEBP", 40)):
        for turn in range(1, 9):
            exif = Image.Exif()
            exif[0x0112] = turn
            data = saved(Image.fromarray(_as_taken(RGB, turn)), kind, exif=exif.tobytes(), quality=95)
            yield f"{kind.lower()}-exif-{turn}", data, RGB, tolerance
    yield "profile", saved(Image.fromarray(RGB[:, :, ::-1].copy()), icc_profile=swapped_profile()), RGB, 3
    yield "broken-profile", saved(photo(), icc_profile=swapped_profile()[:200]), RGB, 0
    jpeg = saved(photo(), "JPEG", quality=95)
    yield "jpeg-without-end", jpeg[:-2], RGB, 24
    yield "progressive-without-end", saved(photo(), "JPEG", quality=95, progressive=True)[:-2], RGB, 24


def _as_taken(upright: Rgb, turn: int) -> Rgb:
    """What the camera stored of an upright picture (CIPA DC-008, section 4.6.5)."""
    pixels = upright
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if turn >= 5:
        pixels = pixels.swapaxes(0, 1)
    return np.ascontiguousarray(pixels)


CASES = {name: (data, right, tolerance) for name, data, right, tolerance in cases()}


@pytest.mark.parametrize("name", CASES)
def test_pictures_are_as_people_see_them(name: str) -> None:
    data, right, tolerance = CASES[name]
    found = pixels(data)
    assert found.shape == right.shape
    assert np.abs(found.astype(int) - right.astype(int)).max() <= tolerance


def _written(data: bytes) -> dict[str, object]:
    return {"id": "a", "image": {"bytes": data, "path": None}}


def _captioning(data: bytes, folder: Path) -> Rgb:
    import humanvlm.caption.stage as stage

    return stage.pixels(data)  # type: ignore[attr-defined]


def _pages(data: bytes, folder: Path) -> Rgb:
    from humanvlm.inspect.plots import thumbnail

    return np.asarray(thumbnail(_written(data), 96))


def _curate(data: bytes, folder: Path) -> Rgb:
    import humanvlm.curate.stage as stage

    return stage.pixels(data)  # type: ignore[attr-defined]


def _plots(data: bytes, folder: Path) -> Rgb:
    from humanvlm.inspect.plots import picture_of

    return np.asarray(picture_of(_written(data)))


def _training_file(data: bytes, folder: Path) -> Rgb:
    from humanvlm.train.pictures import Pictures
    from humanvlm.train.samples import Picture

    path = folder / "picture"
    path.write_bytes(data)
    return np.asarray(Pictures().read(Picture(str(path))))


def _benchmark_file(data: bytes, folder: Path) -> Rgb:
    from humanvlm.evaluate.tasks.pictures import read_picture

    path = folder / "picture"
    path.write_bytes(data)
    return np.asarray(read_picture(path))


def _request(data: bytes, folder: Path) -> Rgb:
    from humanvlm.inference.base import Request

    return np.asarray(Request("k", lambda: data, "p", 1).decoded())


def _serving(data: bytes, folder: Path) -> Rgb:
    pytest.importorskip("mlflow")
    import humanvlm.registry.serving as serving

    return np.asarray(serving.read_picture(base64.b64encode(data).decode(), 0))


USERS: dict[str, Callable[[bytes, Path], Rgb]] = {
    "curate": _curate,
    "caption": _captioning,
    "inspect": _plots,
    "pages": _pages,
    "train": _training_file,
    "evaluate": _benchmark_file,
    "inference": _request,
    "serving": _serving,
}


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("name", CASES)
def test_every_user_sees_the_same(name: str, user: str, tmp_path: Path) -> None:
    data = CASES[name][0]
    assert np.array_equal(USERS[user](data, tmp_path), pixels(data))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("mode", ["no", "border"])
def test_what_the_crawl_stores_looks_as_what_it_received(name: str, mode: str) -> None:
    from humanvlm.scrape.picture import prepare

    data, right, _ = CASES[name]
    config = RawScrape(resize_mode=mode, image_size=96, encode_quality=100)
    stored = pixels(prepare(data, config).data).astype(int)
    if mode == "border":  # 96 x 64 in the middle of a square
        assert stored.shape == (96, 96, 3)
        stored = stored[16:80]
    distance = np.abs(stored - right.astype(int))
    assert distance.mean() < 6
    assert np.percentile(distance, 90) < 30


def test_an_end_that_is_missing_is_added_to_what_is_stored() -> None:
    from humanvlm.scrape.picture import prepare

    whole = saved(photo(), "JPEG")
    picture = prepare(whole[:-2], RawScrape())
    assert picture.data == whole
    assert picture.sha256 != picture.source_sha256
    assert prepare(whole, RawScrape()).sha256 == picture.sha256


def test_a_grey_picture_of_16_bits_is_not_too_bright() -> None:
    from humanvlm.config.human_scenes import HumanScenes
    from humanvlm.curate.scene import Models, Scene

    data = png16(np.full((50, 50), 0x4000, np.uint16))
    scene = Scene({"text": None}, pixels(data), HumanScenes(), Models(None, None, None, None))  # type: ignore[arg-type]
    assert scene.exposure == pytest.approx(0x40 / 255)


def test_a_hint_makes_a_jpeg_smaller_and_never_too_small() -> None:
    data = saved(photo(900, 600), "JPEG", quality=95)
    small = decode(data, least=200)
    assert small.size == (225, 150)
    assert decode(data).size == (900, 600)
    reduced = np.asarray(decode(data).reduce(4)).astype(int)
    assert np.abs(np.asarray(small).astype(int) - reduced).mean() < 3


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_an_image"),
        (b"<svg/>", "unsupported_format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "unsupported_format"),
        (saved(photo(), "TIFF"), "unsupported_format"),
        (saved(photo(), "PNG")[:900], "truncated_image"),
        (saved(photo(), "JPEG")[:-40], "truncated_image"),
        (saved(photo(), "BMP")[:30], "truncated_image"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason) as refused:
        decode(data)
    assert refused.value.reason == reason
    assert "\n" not in str(refused.value)
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("SVG", b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- made by hand -->\n<svg xmlns="http://www.w3.org/2000/svg">'),
        ("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
        ("HEIC", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic"),
        ("JPEG XL", b"\xff\x0a\xfa\x1f"),
        ("JPEG XL", b"\0\0\0\x0cJXL \r\n\x87\n"),
        ("TIFF", b"MM\0*\0\0\0\x08"),
        ("ICO", b"\0\0\1\0\1\0"),
        ("PSD", b"8BPS\0\1"),
        ("PDF", b"%PDF-1.7"),
        ("MP4", b"\0\0\0\x20ftypisom"),
        ("WebM", b"\x1aE\xdf\xa3"),
    ],
)
def test_formats_that_are_not_read_are_named(name: str, head: bytes) -> None:
    with pytest.raises(DecodeError, match=f"unsupported_format: {name}, ") as refused:
        decode(head + bytes(100))
    assert refused.value.reason == "unsupported_format"


def test_bombs_are_refused() -> None:
    data = bytearray(saved(Image.new("L", (8, 8))))
    data[16:24] = struct.pack(">II", 20_000, 20_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    with pytest.raises(DecodeError, match="image_bomb: 20000x20000"):
        decode(bytes(data))


def test_the_crawl_stores_nothing_that_is_too_large_for_its_readers() -> None:
    with pytest.raises(ValueError, match="less than or equal"):
        RawScrape(max_pixels=MAX_PIXELS + 1)
    assert RawScrape(max_pixels=MAX_PIXELS).max_pixels == MAX_PIXELS


def test_so_many_pixels_are_decoded_at_once_and_no_large_picture_waits_for_ever() -> None:
    small, held, most, order = PIXELS_AT_ONCE // 4, 0, 0, []
    lock, start = threading.Lock(), threading.Barrier(9)

    def work(pixels: int) -> None:
        nonlocal held, most
        start.wait()
        for _ in range(20):
            with room(pixels), room(pixels):  # the second needs no more
                with lock:
                    held += min(pixels, PIXELS_AT_ONCE)
                    most = max(most, held)
                    order.append(pixels)
                with lock:
                    held -= min(pixels, PIXELS_AT_ONCE)

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(work, [small] * 8 + [2 * PIXELS_AT_ONCE]))
    assert len(order) == 9 * 20
    assert most <= PIXELS_AT_ONCE


def test_decoding_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    @contextmanager
    def counted(pixels: int) -> Iterator[None]:
        asked.append(pixels)
        yield

    monkeypatch.setattr("humanvlm.data.image.room", counted)
    decode(saved(photo(50, 40)))
    assert asked == [2_000]


def test_odd_metadata_is_read_in_silence(recwarn: pytest.WarningsRecorder) -> None:
    import warnings

    warnings.filterwarnings("ignore", module=r"PIL\.")  # as the module has it; pytest starts each test with its own
    data = saved(photo(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x02\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\x0f\x01")
    assert decode(data).mode == "RGB"
    assert not recwarn.list


def test_media_types_are_told_by_the_content() -> None:
    found = {kind: kind_of(saved(photo(), kind)).media_type for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP")}
    assert found == {kind: f"image/{kind.lower()}" for kind in found}


READERS = {
    ("Image", "open"),
    ("ImageFile", "Parser"),
    ("ImageOps", "exif_transpose"),
    ("cv2", "imread"),
    ("cv2", "imdecode"),
    ("plt", "imread"),
    ("io", "imread"),
    ("imageio", "imread"),
    ("simplejpeg", "decode_jpeg"),
}
JPEG_ONLY = {"humanvlm/data/jpeg.py", "humanvlm/scrape/pixels.py"}  # by libjpeg, of what ``opened`` has let through


def test_no_other_module_decodes() -> None:
    found = {
        str(path.relative_to(ROOT))
        for room in ("humanvlm", "orchestration", "mlflow")
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id, node.func.attr) in READERS
    }
    assert found == JPEG_ONLY
