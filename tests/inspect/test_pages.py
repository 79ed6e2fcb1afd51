import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from humanvlm.data.atomic_io import write_json
from humanvlm.data.shards import IMAGE, shard_name, write_shard
from humanvlm.inspect.cards import write_card
from humanvlm.inspect.pages import write_page
from humanvlm.inspect.plots import contact_sheet, funnel, sample_rows, thumbnail
from humanvlm.pipeline.contract import StageError

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
BOX = pa.struct([("box", pa.list_(pa.float32())), ("score", pa.float32())])
SCHEMA = pa.schema(
    [("id", pa.string()), ("url", pa.string()), ("text", pa.string()), ("captions", pa.list_(pa.string())),
     ("image", IMAGE), ("width", pa.int32()), ("height", pa.int32()), ("people", pa.list_(BOX))]
)  # fmt: skip
DROPPED = pa.schema([(name, pa.string()) for name in ("id", "url", "reason", "detail")])


def png(width: int = 200, height: int = 100) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(sink, "PNG")
    return sink.getvalue()


def row(number: int, **changes: Any) -> dict[str, Any]:
    values = {"id": f"id{number}", "url": f"http://a.example/{number}", "text": f"text {number}", "captions": ["more"]}
    picture = {"image": {"bytes": png(), "path": None}, "width": 200, "height": 100}
    people = {"people": [{"box": [20.0, 10.0, 180.0, 90.0], "score": 0.5}]}
    return values | picture | people | changes


def report(out: Path, kept: int, **changes: Any) -> None:
    value = {
        "rows": {"in": kept + 3, "kept": kept, "dropped": {EVIL: 3}},
        "metrics": {"share": 0.5, "bytes": 12345678.9},
        "plots": ["funnel.png", "../outside.png"],
        "timings": {"seconds": 1.5, "started": "2025-01-02T03:04:05+00:00"},
        "config": {"key": EVIL},
        "info": {},
        "outputs": [{"path": "shard-00000.parquet", "rows": kept, "bytes": 10}],
    }
    write_json(out / "report.json", value | changes)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    out = tmp_path / "artifacts" / "human_scenes"
    rows = [row(n) for n in range(100)]
    rows[0] |= {"text": EVIL, "url": f"javascript:alert(1)//{EVIL}", "captions": [EVIL]}
    for number in range(2):
        write_shard(out / shard_name(number), rows[number * 70 : number * 70 + 70], SCHEMA)
    drops = [{"id": f"raw{n}", "url": EVIL, "reason": EVIL, "detail": EVIL} for n in range(3)]
    write_shard(out / "dropped" / shard_name(0), drops, DROPPED)
    write_shard(out.parent / "raw_scrape" / shard_name(0), [row(n, id=f"raw{n}") for n in range(2)], SCHEMA)
    funnel({"in": 103, "kept": 100, "x": 3}, out / "funnel.png")
    funnel({"in": 1}, out.parent / "outside.png")
    report(out, 100)
    return out


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))


@pytest.mark.parametrize("dropped", [False, True])
def test_texts_of_the_web_stay_texts(artifact: Path, tmp_path: Path, dropped: bool) -> None:
    page = write_page(artifact, rows=10, dropped=dropped, out=tmp_path / "page.html").read_text(encoding="utf-8")
    tags = Tags(page).tags
    assert EVIL not in page
    assert "alert(1)" in page  # shown, as text
    assert not [tag for tag, _ in tags if tag in ("script", "iframe", "object", "link")]
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    links = [attributes["href"] for tag, attributes in tags if tag == "a"]
    assert all(str(link).startswith("http://a.example/") for link in links)
    sources = [attributes["src"] for tag, attributes in tags if tag == "img"]
    assert all(str(source).startswith("data:image/") for source in sources)


def test_pictures_of_extreme_ratio_have_thumbnails() -> None:
    for size in ((1000, 2), (2, 1000), (1, 1)):
        file = io.BytesIO()
        Image.new("RGB", size).save(file, "JPEG")
        image = thumbnail({"image": {"bytes": file.getvalue()}}, 160)
        assert image is not None
        assert max(image.size) == min(max(size), 160)


def test_rows_are_evenly_sampled_and_boxes_drawn(artifact: Path, tmp_path: Path) -> None:
    page = write_page(artifact, rows=10, out=tmp_path / "page.html").read_text(encoding="utf-8")
    assert re.findall(r"· (id\d+)", page) == [f"id{n}" for n in range(0, 100, 10)]
    assert [found["id"] for found in sample_rows(artifact, 1000)] == [f"id{n}" for n in range(100)]
    assert [found["id"] for found in sample_rows(artifact, 6, run=3)] == ["id0", "id1", "id2", "id50", "id51", "id52"]
    assert len({found["id"] for found in sample_rows(artifact, 99)}) == 99
    jpeg = re.search(r'<img src="data:image/jpeg;base64,([^"]+)" alt="" ', page)
    assert jpeg
    image = Image.open(io.BytesIO(base64.b64decode(jpeg[1])))
    assert image.size == (200, 100)
    red, _, blue = image.convert("RGB").getpixel((100, 10))  # type: ignore[misc]
    assert blue > red + 50  # the box's upper edge
    assert image.convert("L").getpixel((100, 50)) > 240  # type: ignore[operator]
    assert "100 of 103 rows kept" in page
    assert "12,345,679" in page
    assert page.count("data:image/png") == 1  # the plot inside the artifact, not the one outside


def test_dropped_rows_show_the_pictures_they_came_with(artifact: Path, tmp_path: Path) -> None:
    page = write_page(artifact, rows=10, dropped=True, out=tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<article") == 3
    assert page.count("data:image/jpeg") == 2


def test_artifacts_without_shards_show_their_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "artifacts" / "stage1_checkpoint"
    out.mkdir(parents=True)
    with pytest.raises(StageError, match="stage1_checkpoint: not complete"):
        write_page(out)
    report(out, 5, plots=[])
    assert write_page(out) == Path(".state/show/stage1_checkpoint.html")
    assert "5 of 8 rows kept" in (tmp_path / ".state/show/stage1_checkpoint.html").read_text()


def test_an_unfinished_artifact_says_so(artifact: Path, tmp_path: Path) -> None:
    (artifact / "report.json").unlink()
    page = write_page(artifact, rows=2, out=tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Not complete" in page
    assert page.count("<article") == 2


def test_a_contact_sheet_has_a_tile_a_row(tmp_path: Path) -> None:
    broken = {"image": {"bytes": b"no picture", "path": None}, "text": "broken"}
    rows = [row(0), broken, {"text": "no image"}, *(row(n) for n in range(3, 8))]
    contact_sheet(rows, tmp_path / "sheet.png", columns=4, side=100)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (4 * 108 + 8, 2 * 138 + 8)
    contact_sheet([], tmp_path / "empty.jpg")
    assert (tmp_path / "empty.jpg").exists()


def test_the_card_names_the_shards(tmp_path: Path) -> None:
    import yaml

    file = write_card(tmp_path, "A title: with colon", "Text.")
    text = (tmp_path / "README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert front["pretty_name"] == "A title: with colon"
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": "shard-*.parquet"}]
    assert file.bytes == len(text)
