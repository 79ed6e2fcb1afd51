import gzip
import io
import tracemalloc
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from humanvlm.scrape.body import has_its_end, is_picture, unpacked
from humanvlm.scrape.reasons import RefusedError

from .conftest import jpeg

BARE = zlib.compressobj(wbits=-15)
RAW_DEFLATE = BARE.compress(jpeg()) + BARE.flush()


@pytest.mark.parametrize(
    ("encodings", "data"),
    [
        ("", jpeg()),
        ("identity", jpeg()),
        ("none", jpeg()),
        ("gzip", gzip.compress(jpeg())),
        ("X-GZip", gzip.compress(jpeg())),
        ("gzip", gzip.compress(jpeg()[:99]) + gzip.compress(jpeg()[99:]) + b"more"),
        ("deflate", zlib.compress(jpeg())),
        ("deflate", RAW_DEFLATE),
        ("deflate, gzip", gzip.compress(zlib.compress(jpeg()))),
        ("gzip", jpeg()),
        ("deflate", jpeg()),
        ("br", jpeg()),
        ("gzip, gzip", gzip.compress(jpeg())),
    ],
)
def test_a_body_is_unpacked_when_it_is_packed(encodings: str, data: bytes) -> None:
    assert unpacked(data, encodings, 100_000) == jpeg()


@pytest.mark.parametrize(("encodings", "data"), [("gzip", b"\x1f\x8b nothing"), ("br", b"x"), ("zstd", b"x")])
def test_what_cannot_be_unpacked_is_refused(encodings: str, data: bytes) -> None:
    with pytest.raises(RefusedError) as refusal:
        unpacked(data, encodings, 100)
    assert refusal.value.reason == "bad_response"


def test_of_very_many_members_only_some_are_read() -> None:
    assert len(unpacked(gzip.compress(b"x") * 20_000, "gzip", 100_000)) <= 16


def test_no_more_is_unpacked_than_may_be_kept() -> None:
    bombs = {"gzip": gzip.compress(bytes(64 << 20)), "deflate": zlib.compress(bytes(64 << 20))}
    tracemalloc.start()
    for encodings, data in bombs.items():
        assert len(unpacked(data, encodings, 1_000_000)) == 1_000_001
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


@given(st.binary(max_size=60), st.lists(st.sampled_from(["gzip", "deflate", "x", ""]), max_size=3))
def test_any_bytes_are_unpacked_or_refused(data: bytes, names: list[str]) -> None:
    with suppress(RefusedError):
        assert len(unpacked(data, ",".join(names), 100)) <= 101


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_whole_when_its_end_is_there(kind: str) -> None:
    sink = io.BytesIO()
    Image.open(io.BytesIO(jpeg())).save(sink, kind)
    data = sink.getvalue()
    assert is_picture(data)
    assert has_its_end(data)
    assert not any(has_its_end(data[:end]) for end in range(len(data) - 3))
    assert not is_picture(b"<html>")
    assert not has_its_end(b"<html>")
