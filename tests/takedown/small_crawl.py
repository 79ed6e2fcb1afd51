"""A project with a crawl of a few pictures, and what the tests of takedown ask it."""

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from PIL import Image

from humanvlm.data.shards import read_folder, read_rows
from humanvlm.data.tombstones import Tombstones, url_hash
from humanvlm.pipeline.contract import check_files
from humanvlm.pipeline.runner import run_stage
from humanvlm.pipeline.stages import SHARDED
from humanvlm.scrape.urls import sample_id
from humanvlm.takedown import forget

HOST = "photos.example"
STAGES = SHARDED
SETTINGS = (
    f"raw_scrape.local_hosts={{{HOST}: data/site/{HOST}}}",
    "raw_scrape.rows_per_shard=4",
    "human_caption_hq.min_side=64",
    "human_caption_hq.min_face_side=16",
)


def url_of(name: str) -> str:
    return f"http://{HOST}/{name}.jpg"


def text_of(name: str) -> str:
    return f"alternative text of {name}"


def id_of(name: str) -> str:
    return sample_id(url_of(name), text_of(name))


def jpeg(rgb: np.ndarray, quality: int = 90) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(rgb).save(sink, "JPEG", quality=quality)
    return sink.getvalue()


def pictures() -> dict[str, bytes]:
    """A person, a copy of it, a worse copy, two other pictures of a person, one of nobody; ``absent`` has no file."""
    person = skimage.data.astronaut()
    brighter = np.clip(person[40:480, 20:470].astype(int) * 1.2, 0, 255).astype(np.uint8)
    return {
        "person": jpeg(person),
        "copy": jpeg(person),
        "coffee": jpeg(skimage.data.coffee()),
        "worse": jpeg(person, 60),
        "mirrored": jpeg(person[:, ::-1].copy()),
        "brighter": jpeg(np.ascontiguousarray(np.rot90(brighter, 2)[::-1])),
    }


def run_all() -> list[dict[str, Any]]:
    return [run_stage(name, Path("params.yaml"), SETTINGS) for name in STAGES]


def report_of(name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(Path("artifacts", name, "report.json").read_text())
    return value


def kept(name: str) -> set[str]:
    return {Path(row["url"]).stem for row in read_folder(Path("artifacts", name), ("url",))}


def contents(folder: Path) -> Iterator[bytes]:
    """Bytes of every file, and all values of every shard, which are compressed in it."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.read_bytes()
        if path.suffix == ".parquet" and path.is_file():
            yield repr(list(read_rows(path))).encode()


def state(folder: Path) -> dict[str, tuple[int, str]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


def forget_url(name: str) -> str:
    return forget.forget(Tombstones(urls=frozenset([url_hash(url_of(name))])))


def check_balance() -> None:
    rows = {name: report_of(name)["rows"] for name in STAGES}
    for name, counts in rows.items():
        folder = Path("artifacts", name)
        drops = [row["reason"] for path in folder.glob("dropped/*") for row in read_rows(path, ("reason",))]
        assert counts["in"] == counts["kept"] + sum(counts["dropped"].values()), name
        assert counts["kept"] == sum(1 for _ in read_folder(folder, ("id",))), name
        assert counts["dropped"] == {reason: drops.count(reason) for reason in sorted(set(drops))}, name
        check_files(folder)
    assert rows["raw_scrape"]["in"] == 8
    assert rows["raw_scrape"]["kept"] == rows["human_scenes"]["in"]
    assert rows["human_scenes"]["kept"] == rows["human_caption"]["in"]
    assert rows["human_caption"]["kept"] == rows["human_caption_hq"]["in"]
