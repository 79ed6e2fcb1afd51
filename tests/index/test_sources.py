"""Where lists come from: files, patterns, folders, addresses; each failure is one line that says what to do."""

import gzip
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from upath import UPath

from humanvlm.errors import UserError
from humanvlm.index.build import build_index
from humanvlm.index.sources import open_source
from humanvlm.scrape.local_server import serve
from humanvlm.weights.hub import warn_of_change

LIST = "url,caption\nhttp://a.example/1,one\n"


def urls(*sources: str, out: Path) -> list[str]:
    build_index(sources, out)
    return pq.read_table(out / "index.parquet")["url"].to_pylist()


def test_patterns_and_folders_of_lists(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    (parts / "sub").mkdir(parents=True)
    for n, name in enumerate(["b.csv", "a.csv", "sub/c.csv.gz"]):
        content = f"url,text\nhttp://a.example/{n},t\n".encode()
        (parts / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    (parts / "notes.md").write_text("no list")
    (parts / "more.json").write_text("[]")
    (parts / ".hidden.csv").write_text("url\nhttp://a.example/hidden\n")
    assert urls(str(parts / "*.csv"), out=tmp_path) == ["http://a.example/1", "http://a.example/0"]
    assert urls(str(parts), out=tmp_path) == [f"http://a.example/{n}" for n in (1, 0, 2)]
    assert open_source(str(parts)).skipped == {".md": 1, ".json": 1}
    assert str(build_index([str(parts)], tmp_path)).endswith("files not read, by suffix: .json 1, .md 1")
    with pytest.raises(UserError, match=r"none-\*\.csv: no file has such a name"):
        open_source(str(parts / "none-*.csv"))
    (parts / "odd[1].csv").write_text(LIST)
    assert urls(str(parts / "odd[1].csv"), out=tmp_path) == ["http://a.example/1"]
    with pytest.raises(UserError, match="no pictures, lists or saved dataset in this folder"):
        open_source(str(tmp_path / "benchmarks"))


def test_a_gz_that_is_none_and_gzip_without_the_name(tmp_path: Path) -> None:
    (tmp_path / "plain.csv.gz").write_text(LIST)
    (tmp_path / "packed.csv").write_bytes(gzip.compress(LIST.encode()))
    (tmp_path / "page.csv.gz").write_text("<!doctype html>\n<title>Not found</title>\n")
    (tmp_path / "broken.csv.gz").write_bytes(b"\x1f\x8b" + bytes(30))
    for name in ("plain.csv.gz", "packed.csv"):
        assert urls(str(tmp_path / name), out=tmp_path) == ["http://a.example/1"]
    with pytest.raises(UserError, match=r"page\.csv\.gz: no known URL column; .* has <!doctype html>"):
        open_source(str(tmp_path / "page.csv.gz")) and build_index([str(tmp_path / "page.csv.gz")], tmp_path)
    with pytest.raises(UserError, match=r"broken\.csv\.gz: damaged gzip file"):
        open_source(str(tmp_path / "broken.csv.gz"))


def test_addresses_that_fsspec_reads(tmp_path: Path) -> None:
    store = UPath("memory://lists")
    store.mkdir(exist_ok=True)
    for n in (1, 2):
        (store / f"{n}.csv").write_text(f"url,caption\nhttp://a.example/{n},t\n")
    pq.write_table(pa.table({"url": ["http://a.example/3"]}), tmp_path / "list.parquet")
    (store / "list.parquet").write_bytes((tmp_path / "list.parquet").read_bytes())
    assert urls("memory://lists/*.csv", out=tmp_path) == ["http://a.example/1", "http://a.example/2"]
    assert urls("memory://lists/list.parquet", "memory://lists/1.csv", out=tmp_path)[0] == "http://a.example/3"
    with pytest.raises(UserError, match=r"memory://lists/none\.csv: cannot be read"):
        open_source("memory://lists/none.csv")
    with pytest.raises(UserError, match=r"memory://lists/\*\.tsv: no file has such a name"):
        open_source("memory://lists/*.tsv")
    with pytest.raises(UserError, match=r"nowhere://x\.csv: .*nowhere"):
        open_source("nowhere://x.csv")


def test_a_list_on_the_web(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/list.csv").write_text(LIST)
    with serve({"": tmp_path / "site"}) as port:
        base = f"http://127.0.0.1:{port}"
        assert urls(f"{base}/list.csv?token=a[b]*", out=tmp_path) == ["http://a.example/1"]
        with pytest.raises(UserError, match=r"none\.csv: cannot be read"):
            open_source(f"{base}/none.csv")


@pytest.mark.parametrize("name", ["list.csv", "list.tsv", "list.jsonl", "list.json", "list.txt", "list.csv.gz"])
def test_an_empty_list_is_said_to_be_empty(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"it is empty$|no line of it is a JSON object"):
        build_index([str(tmp_path / name)], tmp_path / "out")
    assert not (tmp_path / "out/index.parquet").exists()


def test_secrets_of_addresses_are_not_shown() -> None:
    with pytest.raises(UserError, match=r"^http://\*\*\*@127\.0\.0\.1:1/l\.csv\?sig=\*\*\*: cannot be read") as caught:
        open_source("http://me:word@127.0.0.1:1/l.csv?sig=abc")
    assert "word" not in str(caught.value)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(import_module("fsspec.registry")._registry, "s3", raising=False)
    with pytest.raises(UserError, match=r"s3://bucket/x\.csv: a package is missing: .*s3fs.*humanvlm\[s3\]"):
        open_source("s3://bucket/x.csv")


def test_pictures_come_before_lists(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text(LIST)
    opened = open_source(str(tmp_path))
    assert [line.row for line in opened.tables[0].read(["path"])] == [{"path": "a.png", "text": None}]
    assert opened.skipped == {".csv": 1}


@pytest.mark.parametrize(
    ("source", "revision", "warned"),
    [
        ("org/faces", None, True),
        ("org/faces@main", "main", True),
        (f"org/faces@{'0a' * 20}", "0a" * 20, False),
    ],
)
def test_a_dataset_of_the_hub_is_read_at_its_revision(
    source: str, revision: str | None, warned: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    def load(name: str, **options: Any) -> Any:
        asked.append((name, options["revision"]))
        return datasets.Dataset.from_dict({"url": ["http://a.example/1"]})

    monkeypatch.setattr(datasets, "load_dataset", load)
    warn_of_change.cache_clear()
    (table,) = open_source(source).tables
    assert list(table.columns) == ["url"]
    assert asked == [("org/faces", revision)]
    assert ("org/faces@COMMIT to have the same again" in caplog.text) is warned
