import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.errors import UserError
from humanvlm.scrape.plan import PLAN, Plan, Slice, id_hashes, load_plan, plan, save_plan
from humanvlm.scrape.urls import read_index, sample_id

Row = dict[str, Any]
STRINGS, LISTS = pa.string(), pa.list_(pa.string())
SCHEMA = pa.schema([("url", STRINGS), ("text", STRINGS), ("captions", LISTS), ("license", STRINGS)])
LARGE = pa.schema([("url", pa.large_string()), ("text", pa.null()), ("captions", pa.large_list(pa.large_string()))])

urls = st.one_of(st.none(), st.just(""), st.integers(0, 9).map("http://a.test/{}".format), st.text(max_size=3))
texts = st.one_of(st.none(), st.sampled_from(["", "a", "b", "ü\n"]))
rows = st.fixed_dictionaries(
    {"url": urls, "text": texts, "captions": st.one_of(st.none(), st.lists(texts, max_size=3))}
)


def write(path: Path, rows: Sequence[Row], group: int = 7, schema: pa.Schema = SCHEMA) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path, row_group_size=group)
    return path


def id_of(row: Row) -> str:
    captions = [text for text in row["captions"] or () if text]
    return sample_id(row["url"] or "", row["text"] or (captions[0] if captions else None))


def states(found: Plan) -> list[str]:
    """What becomes of each row of the index."""
    all_states = ["done"] * found.total
    for part in found.slices:
        fetch, repeated = part.flags()
        assert len(part.fetch) == len(part.repeated) == (part.stop - part.start + 7) // 8
        assert not (fetch & repeated).any()
        for row in range(part.start, part.stop):
            assert all_states[row] == "done"
            all_states[row] = ["done", "fetch", "repeated"][fetch[row - part.start] + 2 * repeated[row - part.start]]
    return all_states


def expected(rows: Sequence[Row], known: Sequence[str]) -> tuple[list[str], Counter[str]]:
    """Row states and ids left over, one row after the other."""
    left = Counter(known)
    found: list[str] = []
    for row in rows:
        is_known = left[id_of(row)] > 0
        left[id_of(row)] -= is_known
        found.append("done" if is_known else "fetch")
    seen = {row["url"] for row, state in zip(rows, found, strict=True) if state == "done"}
    for number, row in enumerate(rows):
        if found[number] == "fetch" and row["url"]:
            found[number] = "repeated" if row["url"] in seen else "fetch"
            seen.add(row["url"])
    return found, +left


@settings(max_examples=150, deadline=None)
@given(
    st.lists(rows, max_size=60),
    st.lists(rows, max_size=5),
    st.randoms(use_true_random=False),
    st.integers(1, 9),
    st.integers(1, 30),
    st.sampled_from([SCHEMA, LARGE]),
    st.booleans(),
    st.sampled_from([10, 1_000_000]),
)
def test_each_row_is_done_or_fetched_or_repeated_once(
    rows: list[Row], others: list[Row], rng: Any, step: int, group: int, schema: pa.Schema, fresh: bool, bucket: int
) -> None:
    if schema is LARGE:
        rows = [row | {"text": None} for row in rows]
    known = [] if fresh else [id_of(row) for row in [*rows, *rows, *others] if rng.random() < 0.3]
    with TemporaryDirectory() as folder:
        index = write(Path(folder) / "index.parquet", rows, group, schema)
        chunks = [id_hashes(known[:3]), id_hashes(known[3:])]
        found = plan(index, step, Path(folder) / "scratch", chunks, first_number=4, bucket_rows=bucket)
        assert list((Path(folder) / "scratch").iterdir()) == []
    wanted, left = expected(rows, known)
    assert states(found) == wanted
    assert found.gone.dtype == np.uint64
    assert found.gone.tolist() == sorted(id_hashes(list(left.elements())).tolist())
    todo = [row for row, state in enumerate(wanted) if state != "done"]
    shards = [todo[first : first + step] for first in range(0, len(todo), step)]
    ranges = [(shard[0], shard[-1] + 1) for shard in shards] or ([] if rows or known else [(0, 0)])
    assert [(part.start, part.stop) for part in found.slices] == ranges
    assert [part.number for part in found.slices] == list(range(4, 4 + len(ranges)))


def test_a_fresh_crawl_is_cut_every_step_rows(tmp_path: Path) -> None:
    url = "http://a.test/{}".format
    index = write(tmp_path / "index.parquet", [{"url": url(n % 18)} for n in range(20)])
    found = plan(index, 8, tmp_path)
    assert [(part.number, part.start, part.stop) for part in found.slices] == [(0, 0, 8), (1, 8, 16), (2, 16, 20)]
    assert states(found) == ["fetch"] * 18 + ["repeated"] * 2


def test_a_row_before_the_known_one_of_its_url_is_repeated(tmp_path: Path) -> None:
    index = write(tmp_path / "index.parquet", [{"url": "http://a.test/", "text": text} for text in ("new", "old", "x")])
    found = plan(index, 8, tmp_path, [id_hashes([sample_id("http://a.test/", "old")])])
    assert states(found) == ["repeated", "done", "repeated"]


def test_rows_of_many_batches_and_buckets(tmp_path: Path) -> None:
    count = 200_000
    numbers = np.random.default_rng(0).integers(0, 150_000, count)
    index = tmp_path / "index.parquet"
    pq.write_table(pa.table({"url": [f"http://a.test/{n}" for n in numbers]}), index, row_group_size=3_001)
    known = [sample_id(f"http://a.test/{n}", None) for n in range(0, 150_000, 3)]
    found = plan(index, 5_000, tmp_path, [id_hashes(known)], bucket_rows=5_000)
    first: set[int] = set()
    wanted = []
    for n in numbers.tolist():
        wanted.append("repeated" if n in first else "done" if n % 3 == 0 else "fetch")
        first.add(n)
    assert states(found) == wanted
    absent = sorted(set(range(0, 150_000, 3)) - first)
    assert found.gone.tolist() == sorted(id_hashes(known[n // 3] for n in absent).tolist())


def test_leftovers_of_a_killed_run_do_not_count(tmp_path: Path) -> None:
    index = write(tmp_path / "index.parquet", [{"url": f"http://a.test/{n}"} for n in range(9)])
    (tmp_path / "plan.work").mkdir()
    (tmp_path / "plan.work" / "url-000").write_bytes(bytes(32))
    assert states(plan(index, 4, tmp_path)) == ["fetch"] * 9
    assert not (tmp_path / "plan.work").exists()


def test_id_hashes_are_the_leading_digits() -> None:
    ids = [hashlib.sha256(bytes([n])).hexdigest()[:20] for n in range(5)]
    assert id_hashes(ids).tolist() == [int(id[:16], 16) for id in ids]
    assert id_hashes([]).tolist() == []


parts = st.builds(
    lambda number, start, bits: Slice(
        number,
        start,
        start + len(bits),
        np.packbits(np.array([bit == 1 for bit in bits], dtype=bool)).tobytes(),
        np.packbits(np.array([bit == 2 for bit in bits], dtype=bool)).tobytes(),
    ),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.lists(st.integers(0, 2), max_size=20),
)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**40), st.lists(parts, max_size=6), st.lists(st.integers(0, 2**64 - 1), max_size=5))
def test_a_saved_plan_is_loaded_as_it_was(total: int, parts: list[Slice], gone: list[int]) -> None:
    before = Plan(total, tuple(parts), np.array(gone, dtype=np.uint64))
    with TemporaryDirectory() as folder:
        save_plan(before, Path(folder) / "work")
        assert [path.name for path in (Path(folder) / "work").iterdir()] == [PLAN]
        after = load_plan(Path(folder) / "work")
    assert (after.total, after.slices) == (before.total, before.slices)
    assert after.gone.dtype == np.uint64
    assert after.gone.tolist() == gone


def test_a_damaged_plan_is_named(tmp_path: Path) -> None:
    index = write(tmp_path / "index.parquet", [{"url": f"http://a.test/{n}"} for n in range(999)])
    save_plan(plan(index, 9, tmp_path), tmp_path)
    whole = (tmp_path / PLAN).read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for damaged in (flipped, whole[:middle], whole[:-9], b"", b"{}"):
        (tmp_path / PLAN).write_bytes(damaged)
        with pytest.raises(UserError, match=r"plan\.npz: no plan of a crawl"):
            load_plan(tmp_path)
    (tmp_path / PLAN).unlink()
    with pytest.raises(UserError, match=r"plan\.npz: no plan of a crawl"):
        load_plan(tmp_path)


@settings(max_examples=80, deadline=None)
@given(st.lists(rows, max_size=50), st.integers(1, 20), st.data())
def test_any_range_of_the_index_is_read_as_it_is(rows: list[Row], group: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(rows)))
    stop = data.draw(st.integers(start, len(rows) + 3))
    marks = data.draw(st.lists(st.booleans(), min_size=stop - start, max_size=stop - start))
    with TemporaryDirectory() as folder:
        index = write(Path(folder) / "index.parquet", rows, group)
        found = list(read_index(index, start, stop))
        marked = list(read_index(index, start, stop, np.array(marks, dtype=bool)))
    assert [(row.url, row.id) for row in found] == [(row["url"] or "", id_of(row)) for row in rows[start:stop]]
    for row, original in zip(found, rows[start:stop], strict=True):
        assert set(row.texts) == {text for text in [original["text"], *(original["captions"] or ())] if text}
        assert len(row.texts) == len(set(row.texts))
        assert row.texts[:1] == ((row.text,) if row.text else ())
    assert marked == [row for row, mark in zip(found, marks, strict=False) if mark]


def test_an_index_that_is_written_again_is_read_again(tmp_path: Path) -> None:
    index = write(tmp_path / "index.parquet", [{"url": "http://a.test/1", "license": "CC0"}] * 3)
    assert [row.license for row in read_index(index, 0, 9)] == ["CC0"] * 3
    write(index, [{"url": "http://a.test/2"}] * 2)
    assert [row.url for row in read_index(index, 0, 9)] == ["http://a.test/2"] * 2


def test_a_damaged_index_and_other_encodings_are_named(tmp_path: Path) -> None:
    index = write(tmp_path / "index.parquet", [{"url": f"http://a.test/{n}"} for n in range(5_000)], 5_000)
    data = bytearray(index.read_bytes())
    data[8:4_000] = bytes(3_992)
    index.write_bytes(data)
    with pytest.raises(UserError, match=r"index\.parquet: damaged near row 0 .*make the index again"):
        list(read_index(index, 0, 5_000))
    with pytest.raises(UserError, match=r"index\.parquet: damaged near row 0"):
        plan(index, 9, tmp_path / "scratch")
    latin = pa.Array.from_buffers(pa.string(), 1, pa.array([b"http://a.test/\xe9"]).buffers())
    pq.write_table(pa.table({"url": latin}), tmp_path / "latin.parquet")
    with pytest.raises(UserError, match=r"latin\.parquet: a text in rows 0 to 1 is not UTF-8"):
        list(read_index(tmp_path / "latin.parquet", 0, 1))
