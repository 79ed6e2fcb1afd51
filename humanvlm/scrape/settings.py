"""The settings that decide which bytes are stored, and what becomes of stored pictures when they change.

Bytes that were stored as they were served (``sha256`` is ``source_sha256``) are as good as a download: whatever other
settings would have stored is made of them. What was resized, turned or stripped has lost something; it stands as long
as the changed settings would not have made another picture of the lost original.
"""

from collections.abc import Mapping
from typing import Any

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.scrape.picture import Picture, prepare
from humanvlm.scrape.reasons import RefusedError

LIMITS = ("max_bytes", "max_pixels")
SIZES = ("resize_mode", "image_size", "only_if_bigger")
ENCODINGS = ("encode_format", "encode_quality")
METADATA = "respect_picture_metadata"
KEYS = (*LIMITS, "verify", *SIZES, *ENCODINGS, "exif", METADATA)


def settings(config: RawScrape) -> dict[str, Any]:
    """The values of KEYS that have an effect."""
    values = config.model_dump(mode="json", include=set(KEYS))
    return values if config.resize_mode != "no" else {key: values[key] for key in KEYS if key not in SIZES[1:]}


def changed(old: Mapping[str, Any], config: RawScrape) -> tuple[str, ...]:
    """Keys whose values are others now, as far as the old ones are known."""
    now = settings(config)
    if not old:
        return ()
    return tuple(key for key in KEYS if key in now and old.get(key, now[key] if key in LIMITS else None) != now[key])


def matter(keys: tuple[str, ...], old: Mapping[str, Any], config: RawScrape) -> tuple[str, ...]:
    """Those of the changed keys that may change or refuse what is stored: not a limit that was widened."""
    wider = {key for key in keys if key in LIMITS and getattr(config, key) >= old.get(key, 0)}
    if config.verify == "header":
        wider |= {"verify"}
    if not config.respect_picture_metadata:
        wider |= {METADATA}
    return tuple(key for key in keys if key not in wider)


def is_served(row: Mapping[str, Any]) -> bool:
    """Whether a row's stored bytes are those that the server sent."""
    return bool(row["sha256"] == row["source_sha256"])


def needs_download(row: Mapping[str, Any], keys: tuple[str, ...], config: RawScrape) -> bool:
    """Whether only the server's bytes could tell what these changed keys make of a row's picture."""
    stripping = config.exif == "strip"
    return not is_served(row) and any(key in (*SIZES, *ENCODINGS) or (key == "exif" and not stripping) for key in keys)


def derived(row: Mapping[str, Any], data: bytes, keys: tuple[str, ...], config: RawScrape) -> Picture | None:
    """The picture to store instead of a row's, made of its stored bytes; None: it stands as it is.

    Raises RefusedError when it is not to be stored any more.
    """
    if needs_download(row, keys, config) or (is_served(row) and set(keys) <= set(ENCODINGS)):
        return None
    if is_served(row):
        if len(data) > config.max_bytes:
            raise RefusedError("too_large", f"more than {config.max_bytes} bytes", status=row["status"])
        picture = prepare(data, config)
    else:
        picture = prepare(data, config.model_copy(update={"resize_mode": "no"}))
    return None if picture.sha256 == row["sha256"] else picture


def check_stored(row: Mapping[str, Any], data: bytes, config: RawScrape) -> None:
    """Raises RefusedError when ``derived`` refuses a picture for its bytes or pixels, without making another of it."""
    derived(row, data, ("verify",), config.model_copy(update={"resize_mode": "no", "exif": "keep"}))
