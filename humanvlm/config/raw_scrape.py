"""Section ``raw_scrape``."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from humanvlm.config.section import Names, Section

_HOST_AND_PORT = re.compile(r"(?:[^\s:/@\[\]]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")


def _hosts_with_ports(entries: tuple[str, ...]) -> tuple[str, ...]:
    for entry in entries:
        if not _HOST_AND_PORT.fullmatch(entry):
            raise ValueError(f"{entry!r} is not HOST:PORT, such as 127.0.0.1:8099 or [::1]:8099")
    return entries


class RawScrape(Section):
    """Download of the URL index into shards. Times in seconds, sizes in bytes, picture sizes in pixels."""

    rows_per_shard: Annotated[int, Field(ge=1, description="rows of the index that make one shard")] = 5000
    incremental: Annotated[bool, Field(description="keep what was fetched when the index or a key below changes")] = (
        True
    )
    remove_share: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="largest share of the stored pictures that a changed index, or limits and checks that became "
            "stricter, remove unasked; for more, --remove-missing and --refetch",
        ),
    ] = 0.1
    # How hard the crawl asks
    concurrency: Annotated[int, Field(ge=1, description="requests in flight")] = 128
    per_host: Annotated[int, Field(ge=1, description="requests in flight to one host")] = 16
    host_interval_s: Annotated[
        float, Field(ge=0, description="least time between the starts of requests to one host, seconds")
    ] = 0.0
    timeout_s: Annotated[
        float, Field(gt=0, description="total time of one URL, redirects and retries included, seconds")
    ] = 10.0
    connect_timeout_s: Annotated[
        float, Field(gt=0, description="name look-up, TCP and TLS of one request, seconds")
    ] = 5.0
    first_byte_timeout_s: Annotated[
        float, Field(gt=0, description="from sending a request to the head of its answer, seconds")
    ] = 8.0
    retries: Annotated[int, Field(ge=0, description="further attempts after a transient failure")] = 1
    max_retry_after_s: Annotated[
        float, Field(ge=0, description="longest a host's Retry-After makes the crawl wait for it, seconds")
    ] = 60.0
    max_host_timeouts: Annotated[
        int,
        Field(
            ge=0,
            description="requests of a host in a row that are not answered in time while others are, after which its "
            "other rows are not asked for (host_unresponsive); 0: never",
        ),
    ] = 10
    max_redirects: Annotated[int, Field(ge=0, description="redirects followed from one URL")] = 5
    user_agent: Annotated[str, Field(description="who the crawl says it is, with a way to reach you")] = (
        "humanvlm/0.1 (dataset research; contact: set raw_scrape.user_agent)"
    )
    verify_tls: Annotated[bool, Field(description="refuse hosts whose certificate does not verify")] = True
    # What sites ask for
    respect_robots_txt: Annotated[bool, Field(description="leave out what robots.txt forbids")] = True
    also_obey: Annotated[
        Names, Field(description="further crawlers whose groups of robots.txt, where a site has them, are obeyed too")
    ] = [
        "GPTBot",
        "ClaudeBot",
        "anthropic-ai",
        "CCBot",
        "Google-Extended",
        "Applebot-Extended",
        "Meta-ExternalAgent",
        "Bytespider",
        "AI2Bot",
        "cohere-training-data-crawler",
        "img2dataset",
    ]
    respect_x_robots_tag: Annotated[bool, Field(description="leave out what X-Robots-Tag forbids for AI")] = True
    respect_tdm_reservation: Annotated[
        bool, Field(description="leave out what the TDM reservation protocol reserves")
    ] = True
    respect_ai_txt: Annotated[bool, Field(description="leave out what ai.txt forbids")] = True
    respect_content_usage: Annotated[
        bool,
        Field(description="leave out what Content-Usage and Content-Signal bar from training or as input of AI models"),
    ] = True
    respect_picture_metadata: Annotated[
        bool,
        Field(
            description="leave out pictures whose IPTC/PLUS or C2PA metadata forbid data mining, training or "
            "inference, or may do so in a C2PA manifest that is compressed or kept elsewhere"
        ),
    ] = True
    # Where the crawl may go beside the open web
    allow_private_hosts: Annotated[
        Names,
        AfterValidator(_hosts_with_ports),
        Field(description="HOST:PORT at private or loopback addresses that the index, but no redirect, may lead to"),
    ] = []
    local_hosts: Annotated[
        dict[str, str], Field(description="host name -> folder served over loopback while the stage runs")
    ] = {}
    # What is stored
    store: Annotated[
        str,
        Field(
            description="folder or fsspec URL (s3://…) for the shards; DVC then tracks their manifest. Empty: the "
            "artifact"
        ),
    ] = ""
    max_bytes: Annotated[int, Field(ge=1, description="larger bodies are refused, bytes")] = 20_000_000
    max_bytes_in_flight: Annotated[
        int,
        Field(
            ge=1,
            description="bodies in memory at once; beyond that rows wait, all but one, until others are stored, bytes",
        ),
    ] = 512_000_000
    max_pixels: Annotated[
        int,
        Field(
            ge=1,
            le=100_000_000,
            description="larger pictures are refused as decompression bombs, pixels (width times height)",
        ),
    ] = 50_000_000
    verify: Annotated[
        Literal["strict", "decode", "header"],
        Field(
            description="decode: the whole picture must decode; strict: and a JPEG without damage, which decoders fill "
            "with grey; header: only its head is read"
        ),
    ] = "decode"
    resize_mode: Annotated[
        Literal["no", "keep_ratio", "keep_ratio_largest", "center_crop", "border", "max_pixels"],
        Field(
            description="keep_ratio: the shorter side becomes image_size; keep_ratio_largest: the longer; max_pixels: "
            "at most image_size squared pixels; no: the bytes as served"
        ),
    ] = "no"
    image_size: Annotated[int, Field(ge=1, description="side of resized pictures, pixels")] = 384
    only_if_bigger: Annotated[bool, Field(description="never enlarge")] = False
    encode_format: Annotated[
        Literal["jpeg", "webp"], Field(description="of pictures that are resized or turned upright")
    ] = "jpeg"
    encode_quality: Annotated[int, Field(ge=1, le=100, description="of the same pictures, 1 to 100")] = 95
    exif: Annotated[
        Literal["keep", "strip"],
        Field(
            description="strip: without EXIF, XMP, IPTC, comments and thumbnails, which say where pictures were taken, "
            "by whom and of whom; the pixels stay as they are coded. keep: with them, GPS included"
        ),
    ] = "strip"
