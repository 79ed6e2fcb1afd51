from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.errors import UserError
from humanvlm.scrape.reconcile import reconciled
from humanvlm.scrape.urls import further_fields, read_batches, read_index, sample_id

from .test_reconcile import Row, id_of, rows, write


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
    with pytest.raises(UserError, match=r"index\.parquet: damaged near row 0"), reconciled(index, 9, tmp_path):
        pass
    latin = pa.Array.from_buffers(pa.string(), 1, pa.array([b"http://a.test/\xe9"]).buffers())
    pq.write_table(pa.table({"url": latin}), tmp_path / "latin.parquet")
    with pytest.raises(UserError, match=r"latin\.parquet: a text in rows 0 to 1 is not UTF-8"):
        list(read_index(tmp_path / "latin.parquet", 0, 1))


def test_further_columns_are_read_as_they_are_under_names_of_their_own(tmp_path: Path) -> None:
    index = tmp_path / "index.parquet"
    table = pa.table(
        {
            "url": ["http://a.test/1", "http://a.test/2"],
            "similarity": pa.array([0.5, None], pa.float32()),
            "split": pa.array(["train", "test"]).dictionary_encode(),
            "nothing": pa.nulls(2),
        }
    )
    pq.write_table(table, index)
    fields = further_fields(index)
    assert {name: (field.name, field.type) for name, field in fields.items()} == {
        "similarity": ("similarity", pa.float32()),
        "split": ("index_split", pa.string()),
        "nothing": ("nothing", pa.string()),
    }
    assert [row.further for row in read_index(index, 0, 2, further=tuple(fields))] == [
        (0.5, "train", None),
        (None, "test", None),
    ]
    assert [row.further for row in read_index(index, 0, 2)] == [(), ()]


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("http://me:pass@a.test/x?y=z@w", "http://a.test/x?y=z@w"),
        (" HTTPS://me@a.test", " HTTPS://a.test"),
        ("http://me:p@ss@a.test/", "http://a.test/"),
        ("http://a.test/me@b", "http://a.test/me@b"),
        ("me@a.test", "me@a.test"),
        ("http://@a.test/", "http://a.test/"),
        ("http://:pass@a.test/", "http://a.test/"),
        ("ht\ttp:/\n/me:pass@a.test/", "ht\ttp:/\n/a.test/"),
    ],
)
def test_rows_are_known_without_the_credentials_that_are_sent(tmp_path: Path, address: str, url: str) -> None:
    index = write(tmp_path / "index.parquet", [{"url": address}, {"url": "http://b.test/"}, {"url": None}])
    row, other, empty = read_index(index, 0, 3)
    assert (row.url, row.asked, row.id) == (url, address, sample_id(url, None))
    assert (other.url, other.asked, empty.url) == ("http://b.test/", "http://b.test/", "")
    ((_, batch),) = read_batches(index, ("url",), 0, 3)
    assert batch.column("url").to_pylist() == [url, "http://b.test/", None]
