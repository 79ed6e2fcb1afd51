"""Bodies of answers: read within bounds, judged by what came rather than by what was announced, and unpacked."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable

import aiohttp

from humanvlm.data.image import DecodeError, kind_of
from humanvlm.data.jpeg import skeleton
from humanvlm.scrape.reasons import RefusedError

MAX_MEMBERS = 16  # of a gzip body: each leaves a copy of what follows it
MAX_CODINGS = 8  # of one body
GRACE_S = 0.5  # after all that was announced, for the end of a connection that is to end


Hold = Callable[[int], Awaitable[None]]  # returns when so many octets may be in memory


async def read_body(response: aiohttp.ClientResponse, most: int, hold: Hold | None = None) -> tuple[bytes, bool]:
    """The body, of which reading stops beyond ``most`` octets, and whether as much came as was announced."""
    announced = response.content_length
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(None) as limit:
            async for chunk in response.content.iter_any():
                chunks.append(chunk)
                size += len(chunk)
                if hold:
                    await hold(size)
                if size > most:
                    break
                if announced is not None and size >= announced and not response.content.is_eof():
                    limit.reschedule(asyncio.get_running_loop().time() + GRACE_S)
    except TimeoutError:
        pass
    except aiohttp.ClientPayloadError:  # the connection ended, or chunks are none
        return b"".join(chunks), False
    return b"".join(chunks), announced is None or size >= announced


def is_picture(data: bytes) -> bool:
    """Whether the bytes start as a picture of a known format."""
    try:
        return bool(kind_of(data))
    except DecodeError:
        return False


def has_its_end(data: bytes) -> bool:
    """Whether a picture ends as its format does, so that nothing of it can be missing; False where that is not told."""
    if data.startswith(b"\xff\xd8\xff"):
        return skeleton(data) is not None
    if data.startswith(b"RIFF"):
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    return data.startswith(b"\x89PNG") and data.endswith(b"IEND\xaeB`\x82")


def unpacked(data: bytes, encodings: str, most: int) -> bytes:
    """The body without these codings, of which only the first ``most`` octets and one more are made.

    Names of none (``identity``, ``chunked``, ``none``) are passed over. A body that is a picture, or has no sign of the
    coding that its head names, is left as it is. Raises RefusedError (bad_response) for other codings than gzip and
    deflate, none of which was asked for, for more than a few, and for damaged data.
    """
    names = [name.strip().lower() for name in encodings.split(",")]
    if len(names) > MAX_CODINGS:
        raise RefusedError("bad_response", f"packed {len(names)} times")
    for name in reversed(names):
        if is_picture(data):
            break
        if name in ("gzip", "x-gzip") and data.startswith(b"\x1f\x8b"):
            data = _gunzipped(data, most)
        elif name == "deflate":
            data = _inflated(data, most)
        elif name in ("br", "zstd", "compress", "x-compress"):
            raise RefusedError("bad_response", f"Content-Encoding: {name}, which was not asked for")
    return data


def _gunzipped(data: bytes, most: int) -> bytes:
    """All members of it, but not very many, and nothing of what comes after them."""
    found = b""
    for _ in range(MAX_MEMBERS):
        if not data.startswith(b"\x1f\x8b") or len(found) > most:
            break
        member = zlib.decompressobj(31)
        try:
            found += member.decompress(data, most + 1 - len(found))
        except zlib.error as error:
            raise RefusedError("bad_response", f"gzip: {error}") from None
        data = member.unused_data
    return found


def _inflated(data: bytes, most: int) -> bytes:
    """With the header of zlib or, as some servers send it, without."""
    for bits in (15, -15):
        try:
            return zlib.decompressobj(bits).decompress(data, most + 1)
        except zlib.error:
            pass
    return data
