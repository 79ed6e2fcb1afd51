"""Rows of one address become one, whatever lies between them, and however little is held at once."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from humanvlm.index import merge
from humanvlm.index.merge import Merged, repeated, write_merged

SCHEMA = pa.schema(
    [("url", pa.string()), ("text", pa.string()), ("captions", pa.list_(pa.string())), ("n", pa.int64())]
)


def entry(url: str, *texts: str, n: int | None = None) -> dict[str, Any]:
    return {"url": url, "text": texts[0] if texts else None, "captions": list(texts), "n": n}


def merged(
    folder: Path, entries: list[dict[str, Any]], known: list[dict[str, Any]] | None = None, sample: int | None = None
) -> tuple[list[dict[str, Any]], Merged]:
    path, scratch = folder / "rows.parquet", folder / "scratch"
    found = write_merged(known or [], iter(entries), SCHEMA, path, scratch, sample)
    assert not scratch.exists()
    rows = pq.read_table(path).to_pylist()
    assert found.rows == len(rows)
    assert found.with_text == sum(row["text"] is not None for row in rows)
    assert found.rows + found.merged + found.sampled_out == len(entries) + len(known or [])
    return rows, found


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pairs=st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["", "1", "2", "3", "4"]))),
    bucket=st.integers(1, 4),
    group=st.integers(1, 5),
    sample=st.none() | st.integers(1, 9),
)
def test_rows_are_joined_in_order(
    tmp_path: Path, pairs: list[tuple[str, str]], bucket: int, group: int, sample: int | None
) -> None:
    expected: dict[str, list[str]] = {}
    for url, text in pairs:
        expected.setdefault(url, []).extend([text] if text and text not in expected.get(url, []) else [])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(merge, "BUCKET_ROWS", bucket)
        patched.setattr(merge, "GROUP_ROWS", group)
        rows, found = merged(tmp_path, [entry(url, *([text] if text else [])) for url, text in pairs], sample=sample)
    assert len(expected) == found.rows + found.sampled_out
    expected = {row["url"]: expected[row["url"]] for row in rows} if sample else expected
    assert {row["url"]: row["captions"] for row in rows} == expected
    assert [row["url"] for row in rows] == [url for url in dict(pairs) if url in expected]
    assert [row["text"] for row in rows] == [texts[0] if texts else None for texts in expected.values()]


def test_what_the_first_row_lacks_comes_from_the_others(tmp_path: Path) -> None:
    rows, _ = merged(tmp_path, [entry("a"), entry("b"), entry("a", "x", n=1), entry("a", "y", n=2)])
    assert rows == [entry("a", "x", "y", n=1), entry("b")]


def test_texts_of_one_picture_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "MOST_TEXTS", 3)
    together = [entry("a", str(n)) for n in range(10)]
    rows, found = merged(tmp_path, together)
    assert rows == [entry("a", "0", "1", "2")]
    assert found.texts_left_out == 7
    apart = [one for n in range(10) for one in (entry("a", str(n)), entry(f"b{n}", "x"))]
    rows, found = merged(tmp_path, apart)
    assert rows[0] == entry("a", "0", "1", "2")
    assert found.texts_left_out == 7


def test_row_groups_are_bounded_in_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "GROUP_CHARACTERS", 100)
    merged(tmp_path, [entry(str(n), "x" * 60) for n in range(10)])
    assert pq.ParquetFile(tmp_path / "rows.parquet").num_row_groups == 5


def test_a_sample_does_not_touch_what_is_known(tmp_path: Path) -> None:
    known, new = [entry(f"k{n}", "old") for n in range(5)], [entry(f"n{n}", "new") for n in range(50)]
    rows, _ = merged(tmp_path, [*new, entry("k1", "more")], known, sample=7)
    assert [row["url"] for row in rows[:5]] == [f"k{n}" for n in range(5)]
    assert rows[1]["captions"] == ["old", "more"]
    assert len(rows) == 12
    drawn = {row["url"] for row in rows[5:]}
    backwards, _ = merged(tmp_path, new[::-1], known, sample=7)
    assert {row["url"] for row in backwards[5:]} == drawn


@given(hashes=st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3), max_size=40), size=st.integers(1, 50))
def test_repeated_rows_are_found_range_by_range(hashes: list[int], size: int) -> None:
    first: dict[int, int] = {}
    expected = [(row, first[mark]) for row, mark in enumerate(hashes) if first.setdefault(mark, row) != row]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(merge, "HASH_ROWS", size)
        rows, firsts = repeated(np.array(hashes, np.uint64))
    assert list(zip(rows.tolist(), firsts.tolist(), strict=True)) == expected
