"""Real pictures of people that ship with packages, as human_scenes rows, and a small artifact of them."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from humanvlm.curate.duplicates import ALSO_AT
from humanvlm.data.shards import IMAGE, write_shard

BOX = pa.list_(pa.float32())
FACES = pa.list_(pa.struct([("box", BOX), ("score", pa.float32()), ("points", BOX)]))
PEOPLE = pa.list_(pa.struct([("box", BOX), ("score", pa.float32())]))
OBJECTS = pa.list_(pa.struct([("label", pa.string()), ("score", pa.float32()), ("box", BOX)]))
SCENES = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "url", "final_url", "text")),
        ("captions", pa.list_(pa.string())),
        ("license", pa.string()),
        ("image", IMAGE),
        *((name, pa.int32()) for name in ("width", "height")),
        *((name, pa.string()) for name in ("sha256", "phash")),
        *(("faces", FACES), ("people", PEOPLE), ("objects", OBJECTS)),
        *((name, pa.float32()) for name in ("nsfw", "sharpness", "exposure")),
        ("language", pa.string()),
        ALSO_AT,
    ]
)
# Boxes and points (right eye, left eye, nose, mouth, ears) as the default detectors find them.
ASTRONAUT_FACE = {
    "box": [174.0, 69.6, 279.5, 175.1],
    "score": 0.95,
    "points": [205.1, 102.3, 247.0, 105.1, 224.7, 128.0, 223.6, 147.5, 181.6, 110.0, 271.2, 115.0],
}
HOPPER_FACE = {
    "box": [157.8, 118.0, 368.1, 328.2],
    "score": 0.95,
    "points": [221.6, 192.1, 305.1, 189.6, 264.7, 246.8, 265.8, 281.6, 180.1, 209.8, 351.8, 204.9],
}


def astronaut() -> np.ndarray[Any, Any]:
    import skimage.data

    return np.asarray(skimage.data.astronaut())


def hopper() -> np.ndarray[Any, Any]:
    from matplotlib.cbook import get_sample_data

    path = get_sample_data("grace_hopper.jpg", asfileobj=False)
    return np.asarray(Image.open(path).convert("RGB"))


def scene(
    name: str, rgb: np.ndarray[Any, Any], faces: Sequence[Any], people: Sequence[Any], **columns: Any
) -> dict[str, Any]:
    """A human_scenes row of a picture with its detections."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=90)
    url = f"http://photos.example/{name}.jpg"
    row: dict[str, Any] = {
        **{field.name: None for field in SCENES},
        "id": hashlib.sha256(url.encode()).hexdigest()[:20],
        "url": url,
        "final_url": url,
        "captions": [],
        "image": {"bytes": file.getvalue(), "path": None},
        "width": rgb.shape[1],
        "height": rgb.shape[0],
        "sha256": hashlib.sha256(file.getvalue()).hexdigest(),
        "faces": list(faces),
        "people": list(people),
        "objects": [],
    }
    return row | columns


def scenes() -> list[dict[str, Any]]:
    """Six rows: two people, a small copy, one without a face, one that does not decode, one without text."""
    woman = {"box": [11.2, 12.1, 371.7, 510.8], "score": 0.9}
    elder = {"box": [1.6, 21.3, 511.0, 590.0], "score": 0.9}
    small = astronaut()[::4, ::4]
    face = {key: [v / 4 for v in value] if isinstance(value, list) else value for key, value in ASTRONAUT_FACE.items()}
    broken = scene("broken", small, [], [], captions=["A broken picture of nobody."])
    broken["image"] = {"bytes": b"\xff\xd8 not a picture", "path": None}
    return [
        scene(
            "astronaut",
            astronaut(),
            [ASTRONAUT_FACE],
            [woman],
            captions=["an astronaut in an orange suit smiles", "A woman before a flag.  See http://x.example/a.jpg"],
        ),
        scene("hopper", hopper(), [HOPPER_FACE], [elder], text="OFFICER IN A DARK UNIFORM"),
        scene("small", small, [face], [], captions=["Small picture of a woman in orange."]),
        scene("faceless", astronaut(), [], [woman], captions=["An astronaut whose face was not found."]),
        broken,
        scene("wordless", astronaut(), [ASTRONAUT_FACE], [woman], captions=["IMG_2034.JPG", "#"]),
    ]


@pytest.fixture(scope="session")
def rows() -> dict[str, dict[str, Any]]:
    """The scenes by name."""
    return {row["url"].rsplit("/", 1)[1].removesuffix(".jpg"): row for row in scenes()}


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A human_scenes artifact of two shards."""
    folder = tmp_path_factory.mktemp("scenes") / "human_scenes"
    rows = scenes()
    rows[0]["also_at"] = [{"id": "1", "url": "http://other.example/1.jpg", "license": None, "exact": True}]
    write_shard(folder / "shard-00000.parquet", rows[:3], SCENES)
    write_shard(folder / "shard-00001.parquet", rows[3:], SCENES)
    return folder
