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
from humanvlm.index.build import SCHEMA, Options, Summary, build_index
from humanvlm.index.cells import NO_TEXT
from humanvlm.scrape.urls import open_index

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
URL = st.from_regex(r"https?://[a-z]{1,8}\.example/[A-Za-z0-9_./~,-]{0,20}", fullmatch=True)


def built(source: Path | str, out: Path, **options: Any) -> tuple[list[dict[str, Any]], Summary]:
    summary = build_index([str(source)], out, Options(**options))
    table = pq.read_table(out / "index.parquet")
    assert table.schema.names[: len(SCHEMA)] == SCHEMA.names
    open_index(out / "index.parquet")
    assert adds_up(summary)
    assert table.num_rows == summary.merged.rows
    return table.to_pylist(), summary


def adds_up(summary: Summary) -> bool:
    """Rows in are rows indexed and rows counted."""
    found = summary.merged
    out = found.rows + found.merged + found.sampled_out + summary.left_out.counts.total()
    return summary.before + summary.read == out


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
@given(
    rows=st.lists(st.fixed_dictionaries({"url": URL, "caption": TEXT}), min_size=1, unique_by=lambda row: row["url"])
)
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
        for text in ["" if row["caption"].strip().lower() in NO_TEXT else row["caption"].strip()]
    ]
    for path in write_all(tmp_path, rows):
        found, summary = built(path, tmp_path / "out")
        assert found == expected, path.name
        assert summary.merged.with_text == sum(bool(row["text"]) for row in expected)


def test_the_same_source_gives_the_same_bytes(tmp_path: Path) -> None:
    path = write_all(tmp_path, [{"url": f"http://a.example/{n}", "caption": str(n)} for n in range(100)])[0]
    first = (built(path, tmp_path / "one"), (tmp_path / "one/index.parquet").read_bytes())
    second = (built(path, tmp_path / "two"), (tmp_path / "two/index.parquet").read_bytes())
    assert first[1] == second[1]
    read_by_stages = {"benchmarks", "index.parquet", "instructions.jsonl", "opening.jsonl", "site"}
    assert {file.name for file in (tmp_path / "one").iterdir()} == read_by_stages


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
    assert summary.left_out.counts == {"unknown_url": 1}
    assert str(summary).endswith(f"unknown_url 1 (first: {tmp_path}/list.txt line 4)")
    (tmp_path / "list.txt.gz").write_bytes(gzip.compress(lines.encode()))
    assert built(tmp_path / "list.txt.gz", tmp_path / "gz")[0] == rows
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(lines.encode() * 999)[:-9])
    with pytest.raises(UserError, match=r"cut\.txt\.gz: damaged gzip file"):
        built(tmp_path / "cut.txt.gz", tmp_path / "cut")


def test_bad_rows_are_counted_and_never_fatal(tmp_path: Path) -> None:
    lines = ['{"url": "http://a.example/1"}', "{broken", "[1]", '{"url": null}', '{"url": "a/b.jpg"}', '{"url": 7}',
             '{"url": "data:image/png;base64,AA"}', '{"url": "//a.example/2"}', '{"text": "\\ud800"}']  # fmt: skip
    path = tmp_path / "list.jsonl"
    path.write_text("\n".join(lines))
    rows, summary = built(path, tmp_path)
    assert [row["url"] for row in rows] == ["http://a.example/1", "https://a.example/2"]
    assert summary.left_out.counts == {
        "malformed_row": 2, "missing_url": 2, "relative_url": 1, "not_a_string": 1, "not_http": 1
    }  # fmt: skip
    assert summary.left_out.first["malformed_row"] == f"{path} line 2"


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
    chats = {"url": ["http://a.example/1", "http://a.example/2"], "human_caption_hq": [turns, turns[:1]]}
    expected = {
        "face": ([["a", "b", "alt"], ["d"]], 1),
        "human": ([["short", "long"]], 0),
        "hq": ([["a woman"], []], 0),
    }
    for name, table in {"face": face_caption, "human": human_caption, "hq": chats}.items():
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
        rows, summary = built(tmp_path / f"{name}.parquet", tmp_path / name)
        captions, unknown = expected[name]
        assert [row["captions"] for row in rows] == captions
        assert [row["text"] for row in rows] == [texts[0] if texts else None for texts in captions]
        assert summary.left_out.counts["unknown_url"] == unknown
    assert pq.read_table(tmp_path / "face/index.parquet")["url"].to_pylist() == [
        "http://a.example/1.jpg",
        "http://a.example/3.jpg",
    ]


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
    (tmp_path / "paths.csv").write_text("path,text\nb.png,a square\n")
    with pytest.raises(UserError, match="relative paths need --base-url, and pictures in a folder its name"):
        built(tmp_path / "paths.csv", tmp_path / "none")
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
        built(path, tmp_path)
    with pytest.raises(UserError, match="no column 'whither'; has where, what"):
        built(path, tmp_path, url_column="whither")
    rows, _ = built(path, tmp_path, url_column="where", text_column="what")
    assert [(row["url"], row["text"]) for row in rows] == [("http://a.example/1", "x")]
    with pytest.raises(UserError, match=r"absent\.csv: no such file or folder"):
        built(tmp_path / "absent.csv", tmp_path)
    with pytest.raises(
        UserError, match="someone/something: no such file or folder here, and as a Hugging Face dataset"
    ):
        built("someone/something", tmp_path)
    (tmp_path / "list.xyz").write_text("x")
    with pytest.raises(UserError, match="unknown kind of file"):
        built(tmp_path / "list.xyz", tmp_path)


def test_shared_lists(tmp_path: Path, shared: Path) -> None:
    rows, summary = built(shared / "photos/index.jsonl", tmp_path, base_url="http://127.0.0.1:8099/")
    assert summary.merged.rows == summary.read == 990
    assert rows[0]["url"] == "http://127.0.0.1:8099/images/coco/000000172648.jpg"
    assert len(rows[0]["captions"]) == 5
    lists = shared / "benchmarks/url_lists"
    parquet, _ = built(lists / "test_1000.parquet", tmp_path)
    text, _ = built(lists / "test_1000.txt", tmp_path)
    assert len(parquet) == len({row["url"] for row in parquet})
    assert [row["url"] for row in text] == list(dict.fromkeys((lists / "test_1000.txt").read_text().split()))
    assert parquet[1]["text"] == "Tavern Brawl by velinov"


def test_rows_of_one_address_are_one_picture(tmp_path: Path) -> None:
    lines = ["image,caption"] + [f"{name}.jpg,caption {name} number {n}" for name in "ab" for n in range(5)]
    (tmp_path / "captions.csv").write_text("\n".join(lines))
    rows, summary = built(tmp_path / "captions.csv", tmp_path, base_url="http://a.example")
    assert [row["captions"] for row in rows] == [[f"caption {name} number {n}" for n in range(5)] for name in "ab"]
    assert (
        str(summary)
        .splitlines()[0]
        .endswith("10 rows read, 2 pictures, 2 rows with text (url from image; text from caption)")
    )
    assert summary.merged.merged == 8


def test_several_sources_and_one_that_is_added_later(tmp_path: Path) -> None:
    for name, urls in (("one", (1, 2)), ("two", (2, 3)), ("three", (3, 4))):
        rows = [{"url": f"http://a.example/{n}", "text": name, "score": n / 2} for n in urls]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{name}.parquet")
    out = tmp_path / "out"
    build_index([str(tmp_path / "one.parquet"), str(tmp_path / "t[w]o.parquet")], out, Options(keep=("score",)))
    summary = build_index([str(tmp_path / "three.parquet")], out, Options(append=True))
    assert (summary.before, summary.read, summary.merged.merged) == (3, 2, 1)
    assert adds_up(summary)
    assert pq.read_table(out / "index.parquet").select(["url", "captions", "score"]).to_pylist() == [
        {"url": "http://a.example/1", "captions": ["one"], "score": 0.5},
        {"url": "http://a.example/2", "captions": ["one", "two"], "score": 1.0},
        {"url": "http://a.example/3", "captions": ["two", "three"], "score": 1.5},
        {"url": "http://a.example/4", "captions": ["three"], "score": None},
    ]
    before = (out / "index.parquet").read_bytes()
    build_index([str(tmp_path / "three.parquet")], out, Options(append=True))
    assert (out / "index.parquet").read_bytes() == before


def test_a_part_of_a_list(tmp_path: Path) -> None:
    lines = [f"http://a.example/{n}\ttext {n}" for n in range(100)]
    path = tmp_path / "list.txt"
    path.write_text("\n".join(lines))
    limited, _ = built(path, tmp_path, limit=3)
    assert [row["text"] for row in limited] == ["text 0", "text 1", "text 2"]
    small, large = (built(path, tmp_path, sample=size)[0] for size in (10, 30))
    assert len(small) == 10
    assert [row for row in large if row in small] == small
    path.write_text("\n".join(reversed(lines)))
    assert built(path, tmp_path, sample=10)[0] == small[::-1]
    assert built(path, tmp_path, sample=10, seed=1)[0] != small[::-1]
    other = tmp_path / "other.txt"
    other.write_text("http://b.example/1\nhttp://b.example/2\n")
    build_index([str(other)], tmp_path, Options(append=True, sample=1))
    assert pq.read_table(tmp_path / "index.parquet").num_rows == 11


def test_columns_that_are_kept(tmp_path: Path) -> None:
    rows = [
        {"url": f"http://a.example/{n}", "similarity": 0.25, "punsafe": n, "split": "train", "box": [n]} for n in (1, 2)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "list.parquet")
    (tmp_path / "list.jsonl").write_text('{"URL": "http://a.example/3", "punsafe": 0.5, "box": {"x": 1}}\n')
    keep = ("similarity", "punsafe", "box")
    sources = [str(tmp_path / "list.parquet"), str(tmp_path / "list.jsonl")]
    build_index(sources, tmp_path, Options(keep=keep))
    table = pq.read_table(tmp_path / "index.parquet")
    assert [(field.name, str(field.type)) for field in table.schema][-3:] == [
        ("similarity", "double"), ("punsafe", "double"), ("box", "string")
    ]  # fmt: skip
    assert [tuple(row[name] for name in keep) for row in table.to_pylist()] == [
        (0.25, 1.0, "[1]"), (0.25, 2.0, "[2]"), (None, 0.5, '{"x": 1}')
    ]  # fmt: skip
    with pytest.raises(
        UserError, match="--keep-columns colour: no source has such a column; there are url, similarity"
    ):
        build_index(sources, tmp_path, Options(keep=("colour",)))
    with pytest.raises(UserError, match="--keep-columns md5: the index has a column of that name"):
        build_index(sources, tmp_path, Options(keep=("md5",)))


def test_hashes_that_are_none_are_refused(tmp_path: Path) -> None:
    md5, sha256 = "d41d8cd98f00b204e9800998ecf8427e", "E3" * 32
    rows = [{"url": f"http://a.example/{n}", "sha256": digest} for n, digest in enumerate([sha256, md5, "", "nan"])]
    path = tmp_path / "list.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    found, summary = built(path, tmp_path)
    assert [row["sha256"] for row in found] == [sha256.lower(), None, None]
    assert summary.left_out.first == {"not_sha256": f"{path} line 2"}
    path.write_text(json.dumps(rows[1]))
    with pytest.raises(UserError, match="a sha256 has 64 hexadecimal digits: call the column what it is"):
        built(path, tmp_path)


def test_what_was_replaced_or_not_understood_is_said(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes("url,caption\nhttp://a.example/1,Café à la crème\nhttp://a.example/2,plain".encode("latin-1"))
    rows, summary = built(path, tmp_path)
    assert rows[0]["text"] == "Caf\ufffd \ufffd la cr\ufffdme"
    assert "rows with replaced characters; name the encoding with --encoding" in str(summary)
    assert summary.notes.counts.total() == 1
    rows, summary = built(path, tmp_path, encoding="latin-1")
    assert rows[0]["text"] == "Café à la crème"
    assert not summary.notes.counts
    path = tmp_path / "list.jsonl"
    path.write_text('{"url": "http://a.example/1", "text": {"width": 3}}\n{"url": "http://a.example/2", "text": "NaN"}')
    assert built(path, tmp_path)[1].notes.first == {"rows with a text of no known form:": f"{path} line 1"}


def test_a_cell_of_any_length_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"url,caption\nhttp://a.example/1,{'word ' * 300_000}\nhttp://a.example/2,short\n")
    assert built(path, tmp_path)[1].left_out.counts == {"too_long": 1}
