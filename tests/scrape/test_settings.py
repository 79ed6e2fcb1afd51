import hashlib
import io
from typing import Any

import pytest
from PIL import Image

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.scrape.picture import prepare
from humanvlm.scrape.reasons import RefusedError
from humanvlm.scrape.settings import changed, check_stored, derived, is_served, matter, needs_download, settings

from .conftest import jpeg


def stored(data: bytes, **config: Any) -> tuple[dict[str, Any], bytes]:
    """A row, as far as settings ask, and its picture under some settings."""
    made = prepare(data, RawScrape(**config))
    return {"sha256": made.sha256, "source_sha256": made.source_sha256, "status": 200}, made.data


def keys_of(old: dict[str, Any], new: dict[str, Any]) -> tuple[str, ...]:
    before = settings(RawScrape(**old))
    return matter(changed(before, RawScrape(**new)), before, RawScrape(**new))


def test_only_keys_with_an_effect_count() -> None:
    assert keys_of({}, {"image_size": 99, "only_if_bigger": True}) == ()
    assert keys_of({}, {"encode_quality": 50, "exif": "keep"}) == ("encode_quality", "exif")
    assert keys_of({}, {"resize_mode": "border"}) == ("resize_mode", "image_size", "only_if_bigger")
    assert keys_of({"resize_mode": "border"}, {}) == ("resize_mode",)
    assert keys_of({"max_pixels": 100, "max_bytes": 100, "verify": "decode"}, {"verify": "header"}) == ()
    assert keys_of({"verify": "header"}, {"max_pixels": 100, "max_bytes": 100}) == ("max_bytes", "max_pixels", "verify")
    assert keys_of({"respect_picture_metadata": False}, {}) == ("respect_picture_metadata",)
    assert keys_of({}, {"respect_picture_metadata": False}) == ()
    assert keys_of({}, {"timeout_s": 1, "retries": 7}) == ()
    assert changed({}, RawScrape(exif="strip")) == ()


@pytest.mark.parametrize("new", [{"resize_mode": "keep_ratio", "image_size": 20}, {"exif": "strip"}, {}])
def test_served_bytes_are_as_good_as_a_download(new: dict[str, Any]) -> None:
    row, data = stored(jpeg())
    keys = keys_of({"verify": "header"}, new)
    assert is_served(row)
    assert not needs_download(row, keys, RawScrape(**new))
    made = derived(row, data, keys, RawScrape(**new))
    fresh = prepare(jpeg(), RawScrape(**new))
    assert (made.data if made else data) == fresh.data


def test_what_was_turned_stands_unless_it_would_have_become_another_picture() -> None:
    row, data = stored(jpeg(orientation=6), exif="keep")
    assert not is_served(row)
    for new, lost in (
        ({}, False),
        ({"max_pixels": 49_000_000}, False),
        ({"encode_quality": 50}, True),
        ({"resize_mode": "border"}, True),
    ):
        assert needs_download(row, keys_of({"exif": "keep"}, new), RawScrape(**new)) == lost
    made = derived(row, data, ("exif",), RawScrape(exif="strip"))
    assert (made.data if made else data) == prepare(jpeg(orientation=6), RawScrape(exif="strip")).data
    bare, _ = stored(jpeg(orientation=6), exif="strip")
    assert needs_download(bare, ("exif",), RawScrape(exif="keep"))


def test_limits_and_checks_refuse_stored_pictures_by_reason() -> None:
    row, data = stored(jpeg(), verify="header")
    for config, reason in ((RawScrape(max_bytes=100), "too_large"), (RawScrape(max_pixels=100), "image_bomb")):
        for refuse in (lambda: derived(row, data, ("verify",), config), lambda: check_stored(row, data, config)):  # noqa: B023
            with pytest.raises(RefusedError) as refusal:
                refuse()
            assert refusal.value.reason == reason
    half = jpeg()[: len(jpeg()) // 2]
    row, data = stored(half, verify="header")
    assert row["sha256"] == hashlib.sha256(half).hexdigest()
    check_stored(row, data, RawScrape(verify="header"))
    with pytest.raises(RefusedError):
        check_stored(row, data, RawScrape(resize_mode="border"))


def test_pictures_stored_before_their_metadata_were_read_are_looked_at() -> None:
    sink = io.BytesIO()
    xmp = b'<rdf:Description plus:DataMining="http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED"/>'
    Image.new("RGB", (9, 9)).save(sink, "JPEG", xmp=xmp)
    row, data = stored(sink.getvalue(), respect_picture_metadata=False, exif="keep")
    before = settings(RawScrape())
    del before["respect_picture_metadata"]  # of a shard that is older than the key
    keys = matter(changed(before, RawScrape()), before, RawScrape())
    with pytest.raises(RefusedError, match="opt_out_iptc"):
        derived(row, data, keys, RawScrape())
