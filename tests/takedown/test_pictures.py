"""Takedown by picture file: what is stored within the radius of one goes, and nothing else."""

import hashlib
import io
import shutil
from pathlib import Path

import pytest
from PIL import Image

from humanvlm.data import tombstones
from humanvlm.data.tombstones import Tombstones
from humanvlm.errors import UserError
from humanvlm.pipeline.runner import run_stage
from humanvlm.scrape.journal import Journal
from humanvlm.takedown import forget
from humanvlm.takedown.artifacts import find_artifacts
from humanvlm.takedown.pictures import find_pictures

from .small_crawl import SETTINGS, check_balance, id_of, kept, pictures


def write_smaller(folder: Path, name: str) -> bytes:
    """A file that no stored picture equals, though one looks like it."""
    folder.mkdir(exist_ok=True)
    sink = io.BytesIO()
    image = Image.open(io.BytesIO(pictures()[name]))
    image.resize((image.width * 2 // 3, image.height * 2 // 3)).save(sink, "PNG")
    (folder / f"{name}.png").write_bytes(sink.getvalue())
    return sink.getvalue()


def test_all_that_looks_like_a_file_goes(project: Path) -> None:
    data = write_smaller(project / "asked", "person")
    (project / "asked" / "letter.txt").write_text("please remove this")
    said = forget.forget(Tombstones(), pictures=project / "asked")
    assert (
        "1 pictures given: 3 stored rows within 4 bits of them; 1 files are no pictures that decode: letter.txt" in said
    )
    assert "in no artifact" not in said
    assert kept("raw_scrape") == {"coffee", "mirrored", "brighter"}
    assert kept("human_scenes") <= {"mirrored", "brighter"}
    assert tombstones.load().covers(sha256=hashlib.sha256(data).hexdigest())
    check_balance()


def test_the_radius_is_that_of_the_project(project: Path) -> None:
    write_smaller(project / "asked", "coffee")
    params = project / "params.yaml"
    params.write_text("human_scenes: {near_duplicate_bits: 0}\n")
    found = find_pictures(project / "asked", find_artifacts(project / "artifacts"), params)
    assert found.bits == 0
    assert find_pictures(project / "asked", [], project / "none.yaml").bits == 4


def test_pictures_of_a_crawl_under_way_are_seen(project: Path) -> None:
    journal = Journal(project / "artifacts" / "raw_scrape" / ".work" / "journal" / "shard-00009")
    data = pictures()["coffee"]
    row = {"id": "f" * 20, "url": "http://x.example/", "sha256": hashlib.sha256(data).hexdigest()}
    journal.append(9, row, data)
    journal.close()
    write_smaller(project / "asked", "coffee")
    found = find_pictures(project / "asked", find_artifacts(project / "artifacts"), project / "params.yaml")
    assert found.stones.ids == {"f" * 20, id_of("coffee")}


def test_the_captions_alone_are_enough(project: Path) -> None:
    """Where the crawl was removed, as hashes and pictures are in the later artifacts too."""
    run_stage("human_caption_hq", Path("params.yaml"), SETTINGS)
    for name in ("raw_scrape", "human_scenes", "human_caption"):
        shutil.rmtree(project / "artifacts" / name)
    write_smaller(project / "asked", "mirrored")
    assert "mirrored" in kept("human_caption_hq")
    forget.forget(Tombstones(), pictures=project / "asked" / "mirrored.png")
    assert "mirrored" not in kept("human_caption_hq")


def test_a_folder_without_a_picture_is_an_error(project: Path) -> None:
    (project / "asked").mkdir()
    (project / "asked" / "photo.jpg").write_bytes(b"none")
    with pytest.raises(UserError, match="asked: no picture that decodes"):
        forget.forget(Tombstones(), pictures=project / "asked")
