"""The crawl's rows: good scenes, and all that a real crawl has besides, each with the fate it should meet."""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from humanvlm.synthetic import texts
from humanvlm.synthetic.scenes import LONG_SIDES, Scene, draw, plan_scene, scene_truth
from humanvlm.synthetic.sources import backgrounds, random_crop

PHOTOS, SLOW, ART = "photos.example", "slow.example", "art.example"
HOSTS = (PHOTOS, SLOW, ART)
SLOW_S = 0.4
BANNER = (768, 170)


@dataclass(frozen=True)
class Job:
    """A picture file to make. path: relative to the output; resize: to (width, height); keep: share of the bytes."""

    path: str
    scene: Scene
    format: str = "JPEG"
    quality: int | None = None
    resize: tuple[int, int] | None = None
    keep: float = 1.0

    def bytes(self) -> bytes:
        picture = draw(self.scene)
        if self.resize:
            picture = picture.resize(self.resize, Image.Resampling.BICUBIC)
        sink = BytesIO()
        if self.format == "PNG":
            picture.save(sink, "PNG", compress_level=6)
        else:
            picture.save(sink, "JPEG", quality=self.quality or self.scene.quality, subsampling="4:2:0")
        data = sink.getvalue()
        return data[: int(len(data) * self.keep)]


@dataclass(frozen=True)
class Row:
    """A row of the index and its truth. job: the picture served; behaviour: an entry of ``_headers.json``; body: a file
    that is no picture; sha256: "right", "wrong" or None (unknown)."""

    url: str
    text: str | None
    kind: str
    expected: str
    stage: str | None
    license: str | None = None
    scene: Scene | None = None
    of: str | None = None
    job: Job | None = None
    behaviour: Mapping[str, Any] = field(default_factory=dict)
    body: bytes | None = None
    sha256: str | None = None

    @property
    def host(self) -> str:
        return self.url.split("/")[2]

    @property
    def path(self) -> str:
        return "/".join(self.url.split("/")[3:])


def site_path(host: str, path: str) -> str:
    return f"site/{host}/{path}"


def _picture(host: str, path: str, scene: Scene, kind: str, expected: str = "kept", stage: str | None = None) -> Row:
    return Row(
        url=f"http://{host}/{path}",
        text=None,
        kind=kind,
        expected=expected,
        stage=stage,
        license=backgrounds()[scene.background].license,
        scene=scene,
        job=Job(site_path(host, path), scene),
    )


def good_row(number: int, seed: int) -> Row:
    """Scene ``number``: most are plain, some are redirected to, slow, or PNG under a .jpg name. All are to be kept."""
    rng = random.Random(f"{seed}/scene/{number}")
    scene = plan_scene(rng, benchmark=False)
    text = texts.alt_text(scene_truth(scene), rng, number)
    kind = rng.choices(("scene", "redirect", "slow", "mislabelled"), weights=(94, 2.5, 1, 2.5))[0]
    row = _picture(SLOW if kind == "slow" else PHOTOS, f"scenes/{number:06d}.jpg", scene, kind)
    row = replace(row, text=text, sha256="right" if rng.random() < 0.3 else None)
    if kind == "redirect":
        target = {"status": 302, "headers": {"Location": f"/scenes/{number:06d}.jpg"}}
        return replace(row, url=f"http://{PHOTOS}/r/{number:06d}", behaviour=target)
    if kind == "slow":
        return replace(row, behaviour={"delay_s": SLOW_S})
    if kind == "mislabelled" and row.job:
        return replace(row, job=replace(row.job, format="PNG"))
    return row


Maker = Callable[[int, random.Random, list[Row]], Row]


def _duplicate(number: int, rng: random.Random, good: list[Row]) -> Row:
    original = rng.choice(good)
    assert original.scene
    assert original.job
    path = f"copies/{number:06d}.jpg"
    row = _picture(PHOTOS, path, original.scene, "duplicate", "duplicate", "human_scenes")
    return replace(row, of=original.url, text=original.text, job=replace(original.job, path=site_path(PHOTOS, path)))


def _near_duplicate(number: int, rng: random.Random, good: list[Row]) -> Row:
    original = rng.choice(good)
    assert original.scene
    width, height = original.scene.size
    path = f"thumbs/{number:06d}.jpg"
    row = _picture(PHOTOS, path, original.scene, "near_duplicate", "near_duplicate", "human_scenes")
    smaller = rng.choice((0.8, 0.9, 1.0))
    size = (round(width * smaller), round(height * smaller))
    job = Job(site_path(PHOTOS, path), original.scene, quality=rng.choice((55, 65, 75)), resize=size)
    return replace(row, of=original.url, job=job, text=f"{original.text or 'photo'} (small)")


def _duplicate_row(number: int, rng: random.Random, good: list[Row]) -> Row:
    original = rng.choice(good)
    return replace(
        original, kind="duplicate_row", expected="duplicate_url", stage="raw_scrape", of=original.url, job=None
    )


def _no_person(number: int, rng: random.Random, good: list[Row]) -> Row:
    width, height = rng.choice(LONG_SIDES), rng.choice(LONG_SIDES)
    key = rng.choice(list(backgrounds()))
    scene = Scene((width, height), key, random_crop(key, (width, height), rng), rng.random() < 0.5, 0, "normal", (), 90)
    row = _picture(PHOTOS, f"things/{number:06d}.jpg", scene, "no_person", "no_person", "human_scenes")
    return replace(row, text=texts.plain_alt_text(key, rng))


def _spoilt(kind: str, reason: str, stage: str, change: Callable[[Scene], Scene]) -> Maker:
    def make(number: int, rng: random.Random, good: list[Row]) -> Row:
        scene = plan_scene(rng, benchmark=False)
        row = _picture(PHOTOS, f"{kind}/{number:06d}.jpg", change(scene), kind, reason, stage)
        return replace(row, text=texts.alt_text(scene_truth(scene), rng, number))

    return make


def _changed_job(kind: str, reason: str, stage: str, change: Callable[[Job], Job]) -> Maker:
    make_picture = _spoilt(kind, reason, stage, lambda scene: scene)

    def make(number: int, rng: random.Random, good: list[Row]) -> Row:
        row = make_picture(number, rng, good)
        assert row.job
        return replace(row, job=change(row.job))

    return make


def _thumbnail(job: Job) -> Job:
    width, height = job.scene.size
    return replace(job, resize=(96 * width // max(job.scene.size), 96 * height // max(job.scene.size)))


def _banner(number: int, rng: random.Random, good: list[Row]) -> Row:
    scene = plan_scene(rng, benchmark=False)
    wide = replace(scene, size=BANNER, crop=random_crop(scene.background, BANNER, rng), figures=())
    row = _picture(PHOTOS, f"banners/{number:06d}.jpg", wide, "banner", "aspect_ratio", "human_scenes")
    return replace(row, text="SALE - up to 70% off")


def _behaving(kind: str, reason: str, behaviour: Mapping[str, Any], host: str = PHOTOS) -> Maker:
    """A picture that the server does not simply hand out."""

    def make(number: int, rng: random.Random, good: list[Row]) -> Row:
        scene = plan_scene(rng, benchmark=False)
        row = _picture(host, f"{kind}/{number:06d}.jpg", scene, kind, reason, "raw_scrape")
        text = texts.alt_text(scene_truth(scene), rng, number)
        absent = behaviour.get("status", 200) != 200
        return replace(row, text=text, behaviour=behaviour, job=None if absent else row.job)

    return make


def _address(kind: str, reason: str, url: str) -> Maker:
    """A URL that leads nowhere."""

    def make(number: int, rng: random.Random, good: list[Row]) -> Row:
        return Row(url.format(number), "a woman", kind, reason, "raw_scrape")

    return make


def _file(kind: str, name: str, body: str) -> Maker:
    def make(number: int, rng: random.Random, good: list[Row]) -> Row:
        url = f"http://{PHOTOS}/{kind}/{name.format(number)}"
        return Row(url, "photo of a woman", kind, "not_an_image", "raw_scrape", body=body.encode())

    return make


def _changed(number: int, rng: random.Random, good: list[Row]) -> Row:
    row = _behaving("changed", "sha256_mismatch", {})(number, rng, good)
    return replace(row, sha256="wrong")


PARKED = "<!doctype html><html><head><title>This domain is for sale</title></head><body>Buy it now.</body></html>\n"
SCRAPE, SCENES = "raw_scrape", "human_scenes"
# Rows of each kind for every scene, and how one is made.
DIRT: dict[str, tuple[float, Maker]] = {
    "duplicate": (0.03, _duplicate),
    "near_duplicate": (0.04, _near_duplicate),
    "duplicate_row": (0.02, _duplicate_row),
    "no_person": (0.1, _no_person),
    "blurred": (0.02, _spoilt("blurred", "blurred", SCENES, lambda s: replace(s, blur=max(s.size) / 24))),
    "dark": (0.015, _spoilt("dark", "too_dark", SCENES, lambda s: replace(s, gain=0.06))),
    "tiny": (0.02, _changed_job("tiny", "too_small", SCENES, _thumbnail)),
    "banner": (0.01, _banner),
    "corrupt": (0.02, _changed_job("corrupt", "corrupt_image", SCRAPE, lambda job: replace(job, keep=0.45))),
    "incomplete": (0.005, _behaving("incomplete", "incomplete_body", {"truncate": 4000})),
    "html": (0.015, _file("html", "{:06d}.jpg", PARKED)),
    "text": (0.005, _file("text", "{:06d}.txt", "photo moved, see our new gallery\n")),
    "not_found": (0.03, _behaving("not_found", "http_404", {"status": 404})),
    "gone": (0.01, _behaving("gone", "http_410", {"status": 410})),
    "server_error": (0.004, _behaving("server_error", "http_500", {"status": 500})),
    "noai": (0.02, _behaving("noai", "opt_out_noai", {"headers": {"X-Robots-Tag": "noai, noimageai"}}, ART)),
    "changed": (0.005, _changed),
    "unresolved": (0.01, _address("unresolved", "dns_error", "http://photos.invalid/{:06d}.jpg")),
    "not_http": (0.003, _address("not_http", "bad_url", "ftp://photos.example/{:06d}.jpg")),
    "private": (0.003, _address("private", "private_address", "http://10.0.0.1/{:06d}.jpg")),
    "private_redirect": (
        0.002,
        _behaving(
            "private_redirect", "private_address", {"status": 302, "headers": {"Location": "http://10.0.0.1/x.jpg"}}
        ),
    ),
    "redirect_loop": (
        0.002,
        _behaving("redirect_loop", "redirect_loop", {"status": 302, "headers": {"Location": "?again"}}),
    ),
}


def crawl_rows(scenes: int, seed: int) -> list[Row]:
    """All rows of the index in their order: ``scenes`` good ones and the dirt in proportion, at least one of a kind."""
    good = [good_row(number, seed) for number in range(scenes)]
    rows = good + list(_dirt(good, seed))
    order = random.Random(f"{seed}/order").sample(range(len(rows)), len(rows))
    shuffled = [rows[i] for i in order]
    # Of two equal rows the first is the one to keep.
    return sorted(shuffled, key=lambda row: row.kind == "duplicate_row")


def _dirt(good: list[Row], seed: int) -> Iterator[Row]:
    for kind, (share, make) in DIRT.items():
        for number in range(max(1, round(share * len(good)))):
            yield make(number, random.Random(f"{seed}/{kind}/{number}"), good)


def write_site(folder: Path, rows: list[Row]) -> None:
    """Files that are no pictures, and ``_headers.json`` of every host."""
    for host in HOSTS:
        (folder / site_path(host, "")).mkdir(parents=True, exist_ok=True)
        behaviours = {row.path: dict(row.behaviour) for row in rows if row.behaviour and row.host == host}
        text = json.dumps(dict(sorted(behaviours.items())), indent=1) + "\n"
        (folder / site_path(host, "_headers.json")).write_text(text, encoding="utf-8")
    for row in rows:
        if row.body is not None:
            file = folder / site_path(row.host, row.path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(row.body)
