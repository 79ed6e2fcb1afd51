"""Section ``raw_scrape``."""

from typing import Literal

from pydantic import Field

from humanvlm.config.section import Section


class RawScrape(Section):
    """Download of the URL index into shards. Times in seconds, sizes in bytes, picture sizes in pixels."""

    rows_per_shard: int = Field(5000, ge=1)
    incremental: bool = Field(True, description="keep what was fetched when the index, or a limit below, changes")
    # How hard the crawl asks
    concurrency: int = Field(128, ge=1, description="requests in flight")
    per_host: int = Field(16, ge=1, description="requests in flight to one host")
    host_interval_s: float = Field(0.0, ge=0, description="least time between the starts of requests to one host")
    timeout_s: float = Field(10.0, gt=0, description="total time of one URL, redirects and retries included")
    connect_timeout_s: float = Field(5.0, gt=0, description="name look-up, TCP and TLS of one request")
    first_byte_timeout_s: float = Field(8.0, gt=0, description="from sending a request to the head of its answer")
    retries: int = Field(1, ge=0, description="further attempts after a transient failure")
    max_retry_after_s: float = Field(60.0, ge=0, description="longest a host's Retry-After makes the crawl wait for it")
    max_redirects: int = Field(5, ge=0)
    user_agent: str = "humanvlm/0.1 (dataset research; contact: set raw_scrape.user_agent)"
    verify_tls: bool = True
    # What sites ask for
    respect_robots_txt: bool = True
    respect_x_robots_tag: bool = True
    respect_tdm_reservation: bool = True
    respect_ai_txt: bool = True
    # Where the crawl may go beside the open web
    allow_private_hosts: tuple[str, ...] = ()
    local_hosts: dict[str, str] = Field(
        default_factory=dict, description="host name -> folder served over loopback while the stage runs"
    )
    # What is stored
    store: str = Field(
        "",
        description="folder or fsspec URL (s3://…) for the shards; DVC then tracks their manifest. Empty: the artifact",
    )
    max_bytes: int = Field(20_000_000, ge=1)
    max_pixels: int = Field(
        50_000_000, ge=1, le=100_000_000, description="larger pictures are refused as decompression bombs"
    )
    verify: Literal["decode", "header"] = Field(
        "decode", description="decode: the whole picture must decode; header: only its head is read"
    )
    resize_mode: Literal["no", "keep_ratio", "keep_ratio_largest", "center_crop", "border", "max_pixels"] = Field(
        "no",
        description="keep_ratio: the shorter side becomes image_size; keep_ratio_largest: the longer; max_pixels: at "
        "most image_size squared pixels; no: the bytes as served",
    )
    image_size: int = Field(384, ge=1)
    only_if_bigger: bool = Field(False, description="never enlarge")
    encode_format: Literal["jpeg", "webp"] = Field("jpeg", description="of pictures that are resized or turned upright")
    encode_quality: int = Field(95, ge=1, le=100)
    exif: Literal["keep", "strip"] = Field("keep", description="strip: without EXIF, XMP and comments")
