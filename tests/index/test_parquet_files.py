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


LONG = "a long text " * 1000


def test_a_text_that_all_rows_share_is_there_once(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    columns = {
        "text": [LONG] * 500 + [None],
        "list": [[LONG, LONG]] * 500 + [None],
        "turns": [[{"value": LONG}, {"value": None}]] * 500 + [None],
        "map": pa.array([[("k", LONG)]] * 500 + [None], pa.map_(pa.string(), pa.string())),
    }
    pq.write_table(pa.table(columns), path)
    rows = [line.row or {} for line in parquet_table(path).read(list(columns))]
    assert len({id(row["text"]) for row in rows[:500]}) == 1
    assert len({id(text) for row in rows[:500] for text in row["list"]}) == 1
    assert len({id(row["turns"][0]["value"]) for row in rows[:500]}) == 1
    assert rows[0]["turns"] == [{"value": LONG}, {"value": None}]
    assert len({id(row["map"][0][1]) for row in rows[:500]}) == 1
    assert rows[0]["map"] == [("k", LONG)]
    assert set(rows[500].values()) == {None}


def varint(value: int) -> bytes:
    """An integer as Thrift's compact protocol has it, which footers are written in."""
    left, octets = value * 2, b""
    while left > 127:
        octets, left = octets + bytes([left & 127 | 128]), left >> 7
    return octets + bytes([left])


def claiming(path: Path, was: int, claimed: int) -> None:
    """Let the footer of a file say another number."""
    data = path.read_bytes()
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    footer = data[start:-8]
    assert varint(was) in footer
    footer = footer.replace(varint(was), varint(claimed))
    path.write_bytes(data[:start] + footer + len(footer).to_bytes(4, "little") + b"PAR1")


def test_files_that_claim_more_than_they_have_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    table = pa.table({"url": [f"http://a.example/{n}" for n in range(1234)], "other": ["x"] * 1234})
    pq.write_table(table, path, use_dictionary=False, write_statistics=False, store_schema=False)
    size = pq.read_metadata(path).row_group(0).column(0).total_uncompressed_size
    sound = path.read_bytes()
    claiming(path, size, 10**14)
    with pytest.raises(UserError, match=r"row group 0, column url: [0-9,]+ bytes that unpack to 100,000,000,000,000"):
        next(parquet_table(path).read(["url"]))
    assert len(list(parquet_table(path).read(["other"]))) == 1234  # of a column that nobody wants it may say anything
    path.write_bytes(sound)
    claiming(path, 1234, 10**12)
    with pytest.raises(UserError, match=r"damaged after row 1234, .*it claims 1,000,000,000,000 rows"):
        list(parquet_table(path).read(["url"]))


def test_half_a_gigabyte_of_nothing_is_refused(tmp_path: Path) -> None:
    path, rows = tmp_path / "list.parquet", 80_000_000
    zeros = pa.py_buffer(bytes(4 * (rows + 1)))
    table = pa.table({"url": pa.StringArray.from_buffers(rows, zeros, pa.py_buffer(b""))})
    pq.write_table(table, path, compression="zstd", use_dictionary=False, write_statistics=False, row_group_size=rows)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(UserError, match="do not use this file"):
        list(parquet_table(path).read(["url"]))


def test_what_is_nested_deep_is_refused(tmp_path: Path) -> None:
    path, kind = tmp_path / "list.parquet", pa.string()
    value: Any = "x"
    for _ in range(200):
        kind, value = pa.list_(kind), [value]
    table = pa.table({"url": ["http://a.example/1"], "caption": pa.array([value], kind)})
    pq.write_table(table, path, store_schema=False)
    with pytest.raises(UserError, match=r"nested 400 deep, at most 64 are read"):
        parquet_table(path)
