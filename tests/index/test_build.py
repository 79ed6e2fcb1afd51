import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from humanvlm.errors import UserError
from humanvlm.index.build import SCHEMA, build_index, texts_of
from humanvlm.scrape.urls import open_index

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
URL = st.from_regex(r"https?://[a-z]{1,8}\.example/[A-Za-z0-9_./~,-]{0,20}", fullmatch=True)


def built(source: Path | str, out: Path, **options: Any) -> tuple[list[dict[str, Any]], str]:
    summary = build_index(str(source), out, **options)
    table = pq.read_table(out / "index.parquet")
    assert table.schema == SCHEMA
    open_index(out / "index.parquet")
    return table.to_pylist(), summary


def write_all(folder: Path, rows: list[dict[str, Any]]) -> list[Path]:
    """The same rows as jsonl, json, csv, tsv and parquet."""
    paths = [folder / f"list.{suffix}" for suffix in ("jsonl", "json", "csv", "tsv", "parquet")]
    paths[0].write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    paths[1].write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    for path, delimiter in ((paths[2], ","), (paths[3], "\t")):
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
    pq.write_table(pa.Table.from_pylist(rows), paths[4])
    return paths


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.fixed_dictionaries({"url": URL, "caption": TEXT}), min_size=1, max_size=8))
def test_every_format_gives_the_same_rows(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    expected = [
        {
            "url": row["url"],
            "text": text or None,
            "captions": [text] if text else [],
            "license": None,
            "sha256": None,
            "md5": None,
        }
        for row in rows
        for text in [row["caption"].strip()]
    ]
    for path in write_all(tmp_path, rows):
        found, summary = built(path, tmp_path / "out")
        assert found == expected, path.name
        assert summary == f"{tmp_path}/out/index.parquet: {len(rows):,} rows"


def test_the_same_source_gives_the_same_bytes(tmp_path: Path) -> None:
    path = write_all(tmp_path, [{"url": f"http://a.example/{n}", "caption": str(n)} for n in range(100)])[0]
    first = (built(path, tmp_path / "one"), (tmp_path / "one/index.parquet").read_bytes())
    second = (built(path, tmp_path / "two"), (tmp_path / "two/index.parquet").read_bytes())
    assert first[1] == second[1]
    parts = ["benchmarks", "index.parquet", "instructions.jsonl", "site"]  # those that DVC's stages read
    assert sorted(file.name for file in (tmp_path / "one").iterdir()) == parts


def test_parts_that_are_there_stay(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "instructions.jsonl").write_text("{}\n")
    built(write_all(tmp_path, [{"url": "http://a.example/1", "caption": "one"}])[0], tmp_path)
    assert (tmp_path / "instructions.jsonl").read_text() == "{}\n"
    assert list((tmp_path / "benchmarks").iterdir()) == []


def test_text_files_hold_a_url_a_line_and_maybe_a_text(tmp_path: Path) -> None:
    lines = "\ufeffhttp://a.example/1\thello\tthere\n\nhttp://a.example/2\r\nUNKNOWN\n"
    (tmp_path / "list.txt").write_text(lines, encoding="utf-8", newline="")
    rows, summary = built(tmp_path / "list.txt", tmp_path)
    assert [(row["url"], row["text"]) for row in rows] == [
        ("http://a.example/1", "hello\tthere"),
        ("http://a.example/2", None),
    ]
    assert summary.endswith("index.parquet: 2 rows, 1 without url (unknown_url)")
    (tmp_path / "list.txt.gz").write_bytes(gzip.compress(lines.encode()))
    assert built(tmp_path / "list.txt.gz", tmp_path / "gz")[0] == rows
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(lines.encode() * 999)[:-9])
    with pytest.raises(UserError, match=r"cut\.txt\.gz: damaged gzip file"):
        build_index(str(tmp_path / "cut.txt.gz"), tmp_path / "cut")


def test_bad_rows_are_counted_and_never_fatal(tmp_path: Path) -> None:
    lines = ['{"url": "http://a.example/1"}', "{broken", "[1]", '{"url": null}', '{"url": "a/b.jpg"}', '{"url": 7}',
             '{"url": "data:image/png;base64,AA"}', '{"url": "//a.example/2"}', '{"text": "\\ud800"}']  # fmt: skip
    path = tmp_path / "list.jsonl"
    path.write_text("\n".join(lines))
    rows, summary = built(path, tmp_path)
    assert [row["url"] for row in rows] == ["http://a.example/1", "https://a.example/2"]
    reasons = "malformed_row 2, missing_url 2, relative_url 1, not_a_string 1, not_http 1"
    assert summary.endswith(f"2 rows, 7 without url ({reasons})")


def test_released_files_are_understood(tmp_path: Path) -> None:
    face_caption = {
        "_id": ["1", "2", "3"],
        "caption": [["a", "b"], ["c"], ["d"]],
        "url": ["http://a.example/1.jpg,https://b.example/w_1,h_2/1.jpg", "UNKNOWN", "http://a.example/3.jpg"],
        "laion_caption": [["alt"], [], ["d"]],
        "box": ["[1, 2, 3, 4]"] * 3,
    }
    human_caption = {"url": ["http://a.example/1"], "image": [b"\xff\xd8"], "human_caption": [["short", "long"]]}
    turns = [{"from": "human", "value": "<image>\ndescribe"}, {"from": "gpt", "value": "a woman"}]
    chats = {"url": ["http://a.example/1"] * 2, "human_caption_hq": [turns, turns[:1]]}
    expected = {
        "face": ([["a", "b", "alt"], ["d", "d"]], "2 rows, 1 without url (unknown_url)"),
        "human": ([["short", "long"]], "1 rows"),
        "hq": ([["a woman"], []], "2 rows"),
    }
    for name, table in {"face": face_caption, "human": human_caption, "hq": chats}.items():
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
        rows, summary = built(tmp_path / f"{name}.parquet", tmp_path / name)
        captions, ending = expected[name]
        assert [row["captions"] for row in rows] == captions
        assert [row["text"] for row in rows] == [texts[0] if texts else None for texts in captions]
        assert summary.endswith(f"index.parquet: {ending}")
    assert pq.read_table(tmp_path / "face/index.parquet")["url"].to_pylist() == [
        "http://a.example/1.jpg",
        "http://a.example/3.jpg",
    ]


def test_texts_may_be_json_in_a_cell() -> None:
    assert texts_of('["a", "b"]') == ["a", "b"]
    assert texts_of('[{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]') == ["a"]
    assert texts_of("[not json") == ["[not json"]
    assert texts_of(None) == texts_of([]) == texts_of(3) == texts_of("  ") == []


def test_a_folder_of_pictures_with_captions_beside_them(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "sub dir").mkdir(parents=True)
    for name in ("b.png", "sub dir/a#1.jpg", "c.jpeg"):
        Image.new("RGB", (4, 4)).save(site / name)
    (site / "b.txt").write_text("a square\n")
    (site / "notes.md").write_text("no picture")
    rows, _ = built(site, tmp_path, base_url="http://h.example/x/")
    assert [(row["url"], row["text"]) for row in rows] == [
        ("http://h.example/x/b.png", "a square"),
        ("http://h.example/x/c.jpeg", None),
        ("http://h.example/x/sub%20dir/a%231.jpg", None),
    ]
    with pytest.raises(UserError, match="relative paths need --base-url"):
        build_index(str(site), tmp_path / "none")
    assert not list((tmp_path / "none").iterdir())


def test_a_saved_dataset_and_a_folder_of_parquet(tmp_path: Path) -> None:
    from datasets import Dataset

    rows = [{"image_url": f"http://a.example/{n}", "alt": [f"t{n}", "u"]} for n in range(5)]
    Dataset.from_list(rows).save_to_disk(tmp_path / "saved")
    (tmp_path / "many").mkdir()
    for part in (0, 1):
        pq.write_table(pa.Table.from_pylist(rows[part * 3 : part * 3 + 3]), tmp_path / "many" / f"{part}.parquet")
    saved, _ = built(tmp_path / "saved", tmp_path / "one")
    assert [(row["url"], row["captions"]) for row in saved] == [(row["image_url"], row["alt"]) for row in rows]
    assert built(tmp_path / "many", tmp_path / "two")[0] == saved


def test_errors_name_what_is_missing_and_what_there_is(tmp_path: Path) -> None:
    (path,) = write_all(tmp_path, [{"where": "http://a.example/1", "what": "x"}])[2:3]
    with pytest.raises(UserError, match=r"list\.csv: no known URL column; name it with --url-column; has where, what"):
        build_index(str(path), tmp_path)
    with pytest.raises(UserError, match="no column 'whither'; has where, what"):
        build_index(str(path), tmp_path, url_column="whither")
    rows, _ = built(path, tmp_path, url_column="where", text_column="what")
    assert [(row["url"], row["text"]) for row in rows] == [("http://a.example/1", "x")]
    with pytest.raises(UserError, match=r"absent\.csv: no such file or folder"):
        build_index(str(tmp_path / "absent.csv"), tmp_path)
    with pytest.raises(
        UserError, match="someone/something: no such file or folder here, and as a Hugging Face dataset"
    ):
        build_index("someone/something", tmp_path)
    (tmp_path / "list.xyz").write_text("x")
    with pytest.raises(UserError, match="unknown kind of file"):
        build_index(str(tmp_path / "list.xyz"), tmp_path)


def test_shared_lists(tmp_path: Path, shared: Path) -> None:
    rows, summary = built(shared / "photos/index.jsonl", tmp_path, base_url="http://127.0.0.1:8099/")
    assert summary.endswith("index.parquet: 990 rows")
    assert rows[0]["url"] == "http://127.0.0.1:8099/images/coco/000000172648.jpg"
    assert len(rows[0]["captions"]) == 5
    lists = shared / "benchmarks/url_lists"
    parquet, _ = built(lists / "test_1000.parquet", tmp_path)
    text, _ = built(lists / "test_1000.txt", tmp_path)
    assert len(parquet) == 1000
    assert [row["url"] for row in text] == (lists / "test_1000.txt").read_text().split()
    assert parquet[1]["text"] == "Tavern Brawl by velinov"
