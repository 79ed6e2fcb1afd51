"""The synthetic crawl: the same bytes from the same seed, and a truth that holds."""

import hashlib
import io
import json
import random
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from humanvlm.data.prompts import BOX, IMAGE_TOKEN
from humanvlm.errors import UserError
from humanvlm.scrape.local_server import serve
from humanvlm.synthetic.build import build_sample
from humanvlm.synthetic.crawl import DIRT, HOSTS
from humanvlm.synthetic.scenes import held_out
from humanvlm.synthetic.sources import background_picture, backgrounds, people, random_crop
from humanvlm.synthetic.tasks import GRID

SCENES = 14
SEED = 7


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUMANVLM_WORKERS", "2")
        build_sample(out, scenes=SCENES, seed=SEED)
    return out


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def tree(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_bytes_depend_on_the_seed_only(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUMANVLM_WORKERS", "1")
    build_sample(tmp_path / "again", scenes=SCENES, seed=SEED)
    assert tree(tmp_path / "again") == tree(data)
    build_sample(tmp_path / "other", scenes=2, seed=SEED + 1)
    other = tree(tmp_path / "other")
    assert other["site/photos.example/scenes/000000.jpg"] != tree(data)["site/photos.example/scenes/000000.jpg"]


def test_the_same_sample_is_left_another_replaced_and_foreign_files_kept(tmp_path: Path) -> None:
    out = tmp_path / "data"
    (tmp_path / ".data.work").mkdir()  # what a killed build leaves behind
    (tmp_path / ".data.work" / "half.jpg").write_bytes(b"half")
    build_sample(out, scenes=1, seed=1)
    first, stamp = tree(out), (out / "index.parquet").stat().st_mtime_ns
    assert "half.jpg" not in first
    build_sample(out, scenes=1, seed=1)
    assert (out / "index.parquet").stat().st_mtime_ns == stamp
    build_sample(out, scenes=1, seed=2)
    assert tree(out) != first
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    (out / "index.parquet").write_bytes(b"somebody's own index")
    with pytest.raises(UserError, match="did not make"):
        build_sample(out, scenes=1, seed=2)
    assert (out / "index.parquet").read_bytes() == b"somebody's own index"


def test_every_index_row_has_its_truth(data: Path) -> None:
    index = pq.read_table(data / "index.parquet").to_pylist()
    truth = read_jsonl(data / "truth.jsonl")
    assert [(row["url"], row["text"]) for row in index] == [(row["url"], row["text"]) for row in truth]
    kinds = {row["kind"] for row in truth}
    assert set(DIRT) <= kinds
    assert sum(row["expected"] == "kept" for row in truth) == SCENES
    assert all((row["stage"] is None) == (row["expected"] == "kept") for row in truth)
    assert {row["of"] for row in truth if row["of"]} <= {row["url"] for row in truth if row["expected"] == "kept"}
    rows = [(row["url"], row["text"]) for row in index]
    assert len(rows) - len(set(rows)) == sum(row["kind"] == "duplicate_row" for row in truth)


def test_boxes_and_points_lie_inside_the_picture(data: Path) -> None:
    for row in read_jsonl(data / "truth.jsonl"):
        for person in row["people"]:
            for x1, y1, x2, y2 in (person["box"], person["face_box"]):
                assert 0 <= x1 < x2 <= row["width"]
                assert 0 <= y1 < y2 <= row["height"]
            box = person["box"]
            assert all(box[0] <= x <= box[2] and box[1] <= y <= box[3] for x, y in person["points"])
            right_eye, left_eye, nose, mouth, *_ = person["points"]
            assert right_eye[0] < nose[0] < left_eye[0]
            assert max(right_eye[1], left_eye[1]) < nose[1] < mouth[1]


def test_the_server_gives_what_the_truth_says(data: Path) -> None:
    """Kept rows answer with a picture of the size in the truth; rows dropped for their bytes do not decode."""
    index = {row["url"]: row for row in pq.read_table(data / "index.parquet").to_pylist()}
    undecodable = {"corrupt_image", "not_an_image"}
    missing = {"http_404": 404, "http_410": 410, "http_500": 500}
    with serve({host: data / "site" / host for host in HOSTS}) as port:
        for row in read_jsonl(data / "truth.jsonl"):
            scheme, _, host, path = row["url"].split("/", 3)
            if host not in HOSTS or scheme != "http:":
                assert row["expected"] in {"dns_error", "bad_url", "private_address"}
                continue
            request = urllib.request.Request(f"http://127.0.0.1:{port}/{path}", headers={"Host": host})
            if row["expected"] in missing:
                with pytest.raises(urllib.error.HTTPError) as error:
                    urllib.request.urlopen(request)
                assert error.value.code == missing[row["expected"]]
            elif row["expected"] in undecodable:
                body = urllib.request.urlopen(request).read()
                with pytest.raises(OSError):  # noqa: PT011 - whichever way Pillow refuses it
                    Image.open(io.BytesIO(body)).load()
            elif row["stage"] != "raw_scrape":
                answer = urllib.request.urlopen(request)
                body = answer.read()
                picture = Image.open(io.BytesIO(body))
                picture.load()
                assert picture.size == (row["width"], row["height"])
                assert (picture.format == "PNG") == (row["kind"] == "mislabelled") or row["kind"] == "duplicate"
                expected = index[row["url"]]["sha256"]
                assert expected is None or expected == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("size", [(768, 512), (240, 320), (768, 170), (320, 768)])
def test_crops_lie_in_the_background_and_show_its_focus(size: tuple[int, int]) -> None:
    for number, (key, background) in enumerate(backgrounds().items()):
        picture = background_picture(key)
        x1, y1, x2, y2 = random_crop(key, size, random.Random(number))
        assert 0 <= x1 < x2 <= picture.width
        assert 0 <= y1 < y2 <= picture.height
        assert (x2 - x1) / (y2 - y1) == pytest.approx(size[0] / size[1], rel=0.01)
        if background.focus:
            assert x1 <= background.focus[0] <= x2
            assert y1 <= background.focus[1] <= y2


def test_duplicates_are_duplicates(data: Path) -> None:
    truth = read_jsonl(data / "truth.jsonl")
    found = [row for row in truth if row["kind"] == "duplicate"]
    assert found
    for row in found:
        assert served(data, row["url"]).read_bytes() == served(data, row["of"]).read_bytes()


def served(data: Path, url: str) -> Path:
    """The file behind a URL of the crawl, redirects of ours followed."""
    host, path = url.removeprefix("http://").split("/", 1)
    return data / "site" / host / (f"scenes/{path[2:]}.jpg" if path.startswith("r/") else path)


def test_benchmark_combinations_are_never_in_the_crawl(data: Path) -> None:
    seen = set()
    for row in read_jsonl(data / "truth.jsonl"):
        seen |= {(row["background"], person["clothing"], person["clothing_color"]) for person in row["people"]}
    scenes = [key for key, value in backgrounds().items() if value.scene]
    garments = {person.key: person.clothing["garment"] for person in people().values()}
    combinations = {
        (background, garments[key], color): held_out(background, key, color)
        for background in scenes
        for key, person in people().items()
        for color in person.colors
    }
    assert not {combination for combination in seen if combinations[combination]}
    # Every background, and every colour of every person, is held out somewhere and seen somewhere.
    for part in (lambda c: c[0], lambda c: c[1:]):
        for flag in (True, False):
            values = {part(combination) for combination, out in combinations.items() if out is flag}
            assert values == {part(combination) for combination in combinations}


def test_benchmark_files(data: Path) -> None:
    folder = data / "benchmarks"
    captions = read_jsonl(folder / "captions.jsonl")
    assert all(len(set(row["references"])) == 5 for row in captions)
    assert all(len(row["answers"]) == 10 for row in read_jsonl(folder / "vqa.jsonl"))
    for row in read_jsonl(folder / "rec.jsonl"):
        with Image.open(folder / row["image"]) as picture:
            assert picture.size == (row["width"], row["height"])
        assert 0 <= row["box"][0] < row["box"][2] <= row["width"]
    answers: dict[str, list[str]] = {}
    for row in read_jsonl(folder / "attributes.jsonl"):
        assert (folder / row["image"]).exists()
        answers.setdefault(row["attribute"], []).append(row["answer"])
    assert answers
    assert all(found.count("yes") == found.count("no") for found in answers.values())


@pytest.mark.parametrize("name", ["instructions", "opening"])
def test_instructions_show_pictures_of_the_crawl(data: Path, name: str) -> None:
    rows = read_jsonl(data / f"{name}.jsonl")
    assert len({row["id"] for row in rows}) == len(rows) >= SCENES
    for row in rows:
        human, gpt = row["conversations"]
        assert human["value"].startswith(f"{IMAGE_TOKEN}\n")
        assert gpt["value"].strip()
        if row["task"] == "rec":
            x1, y1, x2, y2 = map(int, BOX.findall(gpt["value"])[0])
            assert x1 < x2
            assert y1 < y2
            assert all(edge % GRID == 0 for edge in (x1, y1, x2, y2))
        assert row["task"] in ({"rec"} if name == "opening" else {"vqa", "rec", "reg", "attributes", "caption"})
        assert (data / row["image"]).exists()
