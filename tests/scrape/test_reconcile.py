import hashlib
from collections import Counter, defaultdict
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

from humanvlm.scrape.plan import Plan
from humanvlm.scrape.reconcile import (
    AGAIN,
    DROP,
    FORGOTTEN,
    PICTURE,
    REMOVED,
    REPEAT,
    STALE,
    Known,
    id_hashes,
    reconciled,
    salt,
    state,
    url_hashes,
)
from humanvlm.scrape.urls import sample_id

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


def texts_of(row: Row) -> list[str]:
    return list(dict.fromkeys(text for text in [row["text"], *(row["captions"] or ())] if text))


def id_of(row: Row) -> str:
    return sample_id(row["url"] or "", next(iter(texts_of(row)), None))


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


def shard(number: int, known: Sequence[tuple[int, Row]]) -> Known:
    """A finished shard of rows of these kinds, kept ones first."""
    known = sorted(known, key=lambda one: one[0] > STALE)
    kinds = np.array([kind for kind, _ in known], np.uint8)
    keys = [
        id_hashes([id_of(row)])[0] if kind == FORGOTTEN else url_hashes([(row["url"] or "").encode()])[0]
        for kind, row in known
    ]
    of_rows = [
        np.frombuffer(state(salt([]), next(iter(texts_of(row)), None), texts_of(row), None, ()), "<u8")[0]
        if kind <= STALE
        else id_hashes([id_of(row)])[0]
        for kind, row in known
    ]
    return Known(number, kinds, np.array(keys, np.uint64), np.array(of_rows, np.uint64))


def expected(rows: Sequence[Row], shards: Sequence[Sequence[tuple[int, Row]]]) -> tuple[list[str], int, int, int]:
    """Row states, and how many rows of shards change, leave, and left the index; one row after the other."""
    order = [
        (number, place, kind, row)
        for number, known in enumerate(shards)
        for place, (kind, row) in enumerate(sorted(known, key=lambda one: one[0] > STALE))
    ]
    found = ["fetch"] * len(rows)
    forgotten, singles, repeats = (defaultdict[Any, list[Any]](list) for _ in range(3))
    for number, place, kind, row in order:
        url = row["url"] or ""
        if kind == FORGOTTEN:
            forgotten[id_of(row)].append(row)
        elif kind == REPEAT or not url:
            repeats[url].append((number, place, kind, row))
        else:
            singles[url].append(((kind, -number, -place), kind, row))
    for some in repeats.values():
        some.sort(key=lambda one: one[2])
    changed = standing = 0
    seen = set()
    for number, row in enumerate(rows):
        if forgotten[id_of(row)]:
            forgotten[id_of(row)].pop()
            found[number] = "done"
            standing += 1
            continue
        url = row["url"] or ""
        stands: Row | None = None
        if url and url not in seen:
            seen.add(url)
            if singles[url]:
                _, kind, best = min(singles[url], key=lambda one: one[0])
                if kind != AGAIN:
                    stands = best
                    found[number] = "fetch" if kind == STALE else "done"
                    changed += (texts_of(best) != texts_of(row)) if kind <= STALE else (id_of(best) != id_of(row))
        elif repeats[url]:
            _, _, kind, stands = repeats[url].pop(0)
            found[number] = "done"
            changed += (texts_of(stands) != texts_of(row)) if kind <= STALE else (id_of(stands) != id_of(row))
        elif url:
            found[number] = "repeated"
        standing += stands is not None
    listed = {row["url"] or "" for row in rows}
    gone = sum(kind <= STALE and (row["url"] or "") not in listed for _, _, kind, row in order)
    return found, changed, len(order) - standing, gone


@settings(max_examples=150, deadline=None)
@given(
    st.lists(rows, max_size=40),
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
    kinds = [PICTURE, STALE, DROP, AGAIN, REPEAT, FORGOTTEN]
    shards: list[list[tuple[int, Row]]] = [[], [], []]
    for row in () if fresh else [*rows, *rows, *others]:
        if rng.random() < 0.4:
            kind = rng.choice(kinds if row["url"] else [DROP, AGAIN, FORGOTTEN])
            edited = row if rng.random() < 0.5 or kind == FORGOTTEN else row | {"captions": ["edited"]}
            shards[rng.randrange(3)].append((kind, edited))
    known = [] if fresh else [shard(number, one) for number, one in enumerate(shards)]
    with TemporaryDirectory() as folder:
        index = write(Path(folder) / "index.parquet", rows, group, schema)
        scratch = Path(folder) / "scratch"
        with reconciled(index, step, scratch, known, first_number=4, bucket_rows=bucket) as found:
            revisions = [tuple(record) for part in found.revisions() for record in part.tolist()]
        assert list(scratch.iterdir()) == []
    wanted, changed, removed, gone = expected(rows, shards)
    assert states(found.plan) == wanted
    assert (found.changed, found.removed, found.gone_pictures) == (changed, removed, gone)
    assert Counter(row == int(REMOVED) for _, row in revisions) == +Counter({False: changed, True: removed})
    places = [place for place, _ in revisions]
    assert len(set(places)) == len(places)
    for place, row in revisions:
        kind, before = sorted(shards[place >> 32], key=lambda one: one[0] > STALE)[place & 0xFFFFFFFF]
        if row != int(REMOVED):
            assert (rows[row]["url"] or "") == (before["url"] or "")
            assert kind != FORGOTTEN
    todo = [row for row, name in enumerate(wanted) if name != "done"]
    cut = [todo[first : first + step] for first in range(0, len(todo), step)]
    ranges = [(part[0], part[-1] + 1) for part in cut] or ([] if rows or known else [(0, 0)])
    assert [(part.start, part.stop) for part in found.plan.slices] == ranges
    assert [part.number for part in found.plan.slices] == list(range(4, 4 + len(ranges)))


def test_a_fresh_crawl_is_cut_every_step_rows(tmp_path: Path) -> None:
    url = "http://a.test/{}".format
    index = write(tmp_path / "index.parquet", [{"url": url(n % 18)} for n in range(20)])
    with reconciled(index, 8, tmp_path) as found:
        slices = found.plan.slices
    assert [(part.number, part.start, part.stop) for part in slices] == [(0, 0, 8), (1, 8, 16), (2, 16, 20)]
    assert states(found.plan) == ["fetch"] * 18 + ["repeated"] * 2


def test_the_first_row_of_a_url_has_its_picture_whatever_the_texts(tmp_path: Path) -> None:
    index = write(tmp_path / "index.parquet", [{"url": "http://a.test/", "text": text} for text in ("new", "old", "x")])
    known = shard(0, [(PICTURE, {"url": "http://a.test/", "text": "old", "captions": None})])
    with reconciled(index, 8, tmp_path, [known], 1) as found:
        assert [part.tolist() for part in found.revisions()] == [[[0, 0]]]
    assert states(found.plan) == ["done", "repeated", "repeated"]


@pytest.mark.parametrize("bucket", [5_000, 1_000_000])
def test_rows_of_many_batches_and_buckets(tmp_path: Path, bucket: int) -> None:
    count = 200_000
    numbers = np.random.default_rng(0).integers(0, 150_000, count)
    index = tmp_path / "index.parquet"
    pq.write_table(pa.table({"url": [f"http://a.test/{n}" for n in numbers]}), index, row_group_size=3_001)
    known = [{"url": f"http://a.test/{n}", "text": None, "captions": None} for n in range(0, 150_000, 3)]
    parts = [shard(n, [(PICTURE, row) for row in known[n * 20_000 : n * 20_000 + 20_000]]) for n in range(3)]
    with reconciled(index, 5_000, tmp_path, parts, 3, bucket_rows=bucket) as found:
        removed = np.concatenate(list(found.revisions()))
    first: set[int] = set()
    wanted = []
    for n in numbers.tolist():
        wanted.append("repeated" if n in first else "done" if n % 3 == 0 else "fetch")
        first.add(n)
    assert states(found.plan) == wanted
    absent = sorted(set(range(0, 150_000, 3)) - first)
    assert (found.gone, found.gone_pictures, found.changed) == (len(absent), len(absent), 0)
    assert removed[:, 0].tolist() == [(n // 3 // 20_000 << 32) + n // 3 % 20_000 for n in absent]


def test_leftovers_of_a_killed_run_do_not_count(tmp_path: Path) -> None:
    index = write(tmp_path / "index.parquet", [{"url": f"http://a.test/{n}"} for n in range(9)])
    (tmp_path / "plan.work").mkdir()
    (tmp_path / "plan.work" / "url-000").write_bytes(bytes(32))
    with reconciled(index, 4, tmp_path) as found:
        assert states(found.plan) == ["fetch"] * 9
    assert not (tmp_path / "plan.work").exists()


def test_id_hashes_are_the_leading_digits() -> None:
    ids = [hashlib.sha256(bytes([n])).hexdigest()[:20] for n in range(5)]
    assert id_hashes(ids).tolist() == [int(id[:16], 16) for id in ids]
    assert id_hashes([]).tolist() == []


def test_a_further_column_of_another_type_is_other_metadata() -> None:
    def of(kind: pa.DataType, value: Any) -> bytes:
        return state(salt([pa.field("score", kind)]), "a", ["a"], None, [value])

    assert of(pa.float32(), 0.5) == of(pa.float32(), 0.5)
    assert len({of(pa.float32(), 0.5), of(pa.float64(), 0.5), of(pa.float32(), 1.0), of(pa.float32(), None)}) == 4
