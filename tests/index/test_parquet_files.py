"""Parquet lists: bytes as texts, nested ones too, and one line for what is damaged."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from humanvlm.errors import UserError
from humanvlm.index.build import build_index
from humanvlm.index.parquet_files import parquet_table


def rows(path: Path) -> list[dict[str, Any]]:
    table = parquet_table(path)
    return [dict(line.row or {}) for line in table.read(list(table.columns))]


def test_texts_are_decoded_wherever_they_are(tmp_path: Path) -> None:
    bad = b"caf\xe9"
    texts = pa.array([b"a", bad, None], pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 3, texts.cast(pa.binary()).buffers())
    columns = {
        "bytes": texts,
        "string": broken,
        "large": texts.cast(pa.large_binary()),
        "category": pa.array(["x", "y", "x"]).dictionary_encode(),
        "list": pa.array([[b"a", bad], [], None], pa.list_(pa.binary())),
        "turns": pa.array([[{"from": "gpt", "value": "x"}], None, []]),
        "map": pa.array([[("k", "v")], None, []], pa.map_(pa.string(), pa.string())),
        "number": pa.array([1, None, 3], pa.int16()),
    }
    pq.write_table(pa.table(columns), tmp_path / "list.parquet")
    found = rows(tmp_path / "list.parquet")
    lost = "caf\ufffd"
    assert [row["bytes"] for row in found] == [row["string"] for row in found] == ["a", lost, None]
    assert [row["large"] for row in found] == ["a", lost, None]
    assert [row["category"] for row in found] == ["x", "y", "x"]
    assert [row["list"] for row in found] == [["a", lost], [], None]
    assert [row["turns"] for row in found] == [[{"from": "gpt", "value": "x"}], None, []]
    types = parquet_table(tmp_path / "list.parquet").columns
    assert (str(types["number"]), str(types["turns"]), str(types["bytes"])) == ("int16", "string", "string")


def test_what_is_damaged_is_said_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    path.write_text("<html>not found</html>")
    with pytest.raises(UserError, match=r"list\.parquet: damaged, or not Parquet \(.*\); get it again"):
        parquet_table(path)
    noise = pa.table({"url": [f"http://a.example/{n}" for n in range(5000)]})
    pq.write_table(noise, path, row_group_size=1000, compression="zstd")
    whole = bytearray(path.read_bytes())
    whole[2000:2200] = bytes(200)
    path.write_bytes(whole)
    with pytest.raises(UserError, match=r"list\.parquet: damaged after row [0-9]+, or not Parquet") as caught:
        rows(path)
    assert "\n" not in str(caught.value)


CELLS = st.one_of(
    st.none(),
    st.sampled_from(["http://a.example/1", "http://a.example/2", "a.jpg", "UNKNOWN", "", "ftp://a.example/1"]),
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(urls=st.lists(CELLS), texts=st.lists(st.text(max_size=5), min_size=1))
def test_every_row_is_indexed_or_counted(tmp_path: Path, urls: list[str | None], texts: list[str]) -> None:
    urls = [*urls, "http://a.example/0"]
    table = {"url": pa.array(urls, pa.string()), "text": [texts[n % len(texts)] for n in range(len(urls))]}
    pq.write_table(pa.table(table), tmp_path / "list.parquet")
    summary = build_index([str(tmp_path / "list.parquet")], tmp_path)
    usable = [url for url in urls if url and url.startswith("http")]
    assert summary.read == len(urls)
    assert summary.merged.rows == len(set(usable))
    assert summary.merged.merged == len(usable) - len(set(usable))
    assert summary.left_out.counts.total() == len(urls) - len(usable)


def test_a_text_that_all_rows_share_is_there_once(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    pq.write_table(pa.table({"text": ["a long text " * 1000] * 500 + [None]}), path)
    rows = [(line.row or {})["text"] for line in parquet_table(path).read(["text"])]
    assert len({id(text) for text in rows[:500]}) == 1
    assert rows[500] is None
