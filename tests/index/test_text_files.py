"""Text files as people have them: no row is cut or lost, none costs another, and reading takes linear time."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from humanvlm.errors import UserError
from humanvlm.index import text_files
from humanvlm.index.tables import Line
from humanvlm.index.text_files import text_table

TEXT = st.text(st.sampled_from("ab \t,;'\"\\\n\r#é人\u2028"), max_size=12)
GOOD = st.tuples(st.just("good"), TEXT)
BAD = st.tuples(st.sampled_from(["cells", "quote", "number", "half", "list"]), st.just("x"))
ROWS = st.lists(st.one_of(GOOD, BAD), min_size=1, max_size=12)


def read(path: Path, *columns: str, encoding: str | None = None) -> list[Line]:
    table = text_table(path, path.suffix, encoding)
    return list(table.read(columns or list(table.columns)))


def rows_of(lines: list[Line]) -> list[dict[str, Any]]:
    return [dict(line.row) for line in lines if line.row is not None]


def url(number: int) -> str:
    return f"http://a.example/{number}.jpg"


def csv_line(number: int, kind: str, text: str) -> str:
    if kind == "good":
        file = io.StringIO()
        csv.writer(file).writerow([url(number), text])
        return file.getvalue()
    cells = {"cells": f"{url(number)},one, two", "quote": f'{url(number)},"a man'}
    return cells.get(kind, f'{url(number)},"a" b "c"," d"') + "\r\n"


def json_line(number: int, kind: str, text: str) -> str:
    if kind == "good":
        return json.dumps({"url": url(number), "text": text}, ensure_ascii=number % 2 == 0) + "\n"
    return {"cells": '{"url": 1', "quote": f'{{"url": "{url(number)}', "number": "7", "half": "nul"}.get(
        kind, "[]"
    ) + "\n"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
@example(rows=[("quote", "x"), ("good", ","), ("good", "\n"), ("quote", "x"), ("quote", "x"), ("good", '"')])
def test_every_row_is_read_or_counted(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    good = [{"url": url(number), "text": text} for number, (kind, text) in enumerate(rows) if kind == "good"]
    bad = len(rows) - len(good)
    for name, header, line in (
        ("list.csv", "url,text\r\n", csv_line),
        ("list.jsonl", json_line(99, "good", ""), json_line),
    ):
        path = tmp_path / name
        path.write_text(header + "".join(line(n, *row) for n, row in enumerate(rows)), encoding="utf-8", newline="")
        lines = read(path)[name == "list.jsonl" :]
        assert rows_of(lines) == good
        assert [line.reason for line in lines if line.row is None] == ["malformed_row"] * bad


def test_a_text_is_never_cut_at_a_comma(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(
        "url,caption\nhttp://a.example/1,a man, smiling, in red\n\nhttp://a.example/2\nhttp://a.example/3,\n"
    )
    assert read(path) == [
        Line(2, None, "malformed_row"),
        Line(4, {"url": "http://a.example/2", "caption": None}, text_files.SHORT),
        Line(5, {"url": "http://a.example/3", "caption": ""}),
    ]


def test_a_quote_that_never_closes_costs_its_own_line(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    rows = [f'{url(0)},"a man', f"{url(1)},a dog", f'{url(2)},"two\r\nlines"', f'{url(3)},size 5"', f'{url(4)},"a" b']
    path.write_text("url,caption\n" + "\n".join(rows), newline="")
    lines = read(path)
    assert [(line.number, line.reason) for line in lines] == [
        (2, "malformed_row"), (3, ""), (4, ""), (6, ""), (7, "")
    ]  # fmt: skip
    assert [row["caption"] for row in rows_of(lines)] == ["a dog", "two\r\nlines", 'size 5"', '"a" b']


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("list.csv", "url, caption\nhttp://a.example/1, \"a, b\"\n", ["url", "caption"]),
        ("list.csv", "url;caption\nhttp://a.example/1;a, b\n", ["url", "caption"]),
        ("list.csv", "\n\nurl\tcaption\nhttp://a.example/1\ta, b\n", ["url", "caption"]),
        ("list.csv", "http://a.example/1,\"a, b\"\n", ["url", "text"]),
        ("list.tsv", "a, b\thttp://a.example/1\n", ["text", "url"]),
        ("list.tsv", "caption\turl\n\"a, b\"\thttp://a.example/1\n", ["caption", "url"]),
        ("list.txt", "image,caption\nhttp://a.example/1,\"a, b\"\n", ["image", "caption"]),
        ("list.csv", "image_name| comment\nhttp://a.example/1| a, b\n", ["image_name", "comment"]),
        ("list.txt", "http://a.example/1\ta, b\n", ["url", "text"]),
    ],
)  # fmt: skip
def test_separators_and_headers(tmp_path: Path, name: str, content: str, columns: list[str]) -> None:
    path = tmp_path / name
    path.write_text(content)
    table = text_table(path, path.suffix, None)
    assert list(table.columns) == columns
    (row,) = rows_of(list(table.read(columns)))
    assert sorted(map(str.strip, row.values())) == ["a, b", "http://a.example/1"]


def test_one_column_has_commas_in_its_addresses(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("url\nhttp://a.example/w_1,h_2/1.jpg\n")
    assert rows_of(read(tmp_path / "list.csv")) == [{"url": "http://a.example/w_1,h_2/1.jpg"}]


def test_quotes_between_tabs_are_letters_where_they_do_not_close(tmp_path: Path) -> None:
    (tmp_path / "list.tsv").write_text('url\ttext\nhttp://a.example/1\t"Hello" he said\nhttp://a.example/2\t"so\n')
    assert [row["text"] for row in rows_of(read(tmp_path / "list.tsv"))] == ['"Hello" he said', '"so']


CODECS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("packed", [False, True])
def test_encodings_and_gzip_are_known_by_their_first_bytes(tmp_path: Path, codec: str, packed: bool) -> None:
    content = "url,caption\nhttp://a.example/1,Café 人\n".encode(codec)
    path = tmp_path / "list.csv"
    path.write_bytes(gzip.compress(content) if packed else content)
    assert rows_of(read(path)) == [{"url": "http://a.example/1", "caption": "Café 人"}]


def test_named_encodings(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes("url,caption\nhttp://a.example/1,Café\n".encode("latin-1"))
    assert rows_of(read(path, encoding="latin-1"))[0]["caption"] == "Café"
    assert rows_of(read(path))[0]["caption"] == "Caf\udcff"
    for name in ("nonsense", "base64"):
        with pytest.raises(UserError, match=f"--encoding {name}: no such encoding"):
            read(path, encoding=name)


def test_keys_that_show_late_are_columns_with_types(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    lines = [{"url": url(n)} for n in range(100)] + [{"url": url(100), "caption": "x", "n": 1}, {"n": 0.5, "m": True}]
    path.write_text("\n".join(map(json.dumps, lines)))
    table = text_table(path, ".jsonl", None)
    assert {name: str(kind) for name, kind in table.columns.items()} == {
        "url": "string", "caption": "string", "n": "double", "m": "bool"
    }  # fmt: skip


@pytest.mark.parametrize("step", [1, 7, 1 << 16])
def test_a_json_list_is_read_as_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setattr(text_files, "MOST_LINE", step << 8)
    values = [{"url": url(n), "text": ["a", 'b"]}']} for n in range(50)]
    path = tmp_path / "list.json"
    path.write_text(json.dumps([*values, 7, None], indent=1))
    lines = read(path)
    assert rows_of(lines) == values
    assert [line for line in lines if line.row is None] == [
        Line(51, None, "malformed_row"),
        Line(52, None, "malformed_row"),
    ]
    path.write_text(json.dumps(values)[:-20])
    assert [(line.number, line.reason) for line in read(path)][-2:] == [(49, ""), (50, "damaged_rest")]
    path.write_text("\n".join(map(json.dumps, values)))
    assert rows_of(read(path)) == values
    path.write_text('{"not": "a list"')
    with pytest.raises(UserError, match=r"list\.json: no line of it is a JSON object"):
        read(path)


def test_lines_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "MOST_LINE", 100)
    long = f"{url(1)},{'x' * 300}"
    for name, header, first, last in (
        ("list.csv", "url,text\n", long, f"{url(2)},b"),
        ("list.txt", "", long.replace(",", "\t"), f"{url(2)}\tb"),
        ("list.jsonl", "", json.dumps({"url": long}), json.dumps({"url": url(2), "text": "b"})),
    ):
        path = tmp_path / name
        path.write_text(f"{header}{first}\n{last}\n")
        lines = read(path, "url", "text")
        assert [line.reason for line in lines] == ["malformed_row", ""]
        assert rows_of(lines) == [{"url": url(2), "text": "b"}]


@pytest.mark.parametrize("line", ['a,"b\n', 'a,"b""\n', '"\n', '""",\n', 'a,"b"c\n', ",,,,\n", "x\n", '"x\n\n'])
def test_hostile_lines_are_read_a_few_times_each(tmp_path: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read_lines = 0
    real = text_files._Taken.__next__

    def counted(taken: text_files._Taken) -> str:
        nonlocal read_lines
        read_lines += 1
        return real(taken)

    monkeypatch.setattr(text_files._Taken, "__next__", counted)
    path = tmp_path / "list.csv"
    path.write_text("url,text\n" + line * 2000 + f"{url(1)},last\n")
    assert rows_of(read(path))[-1] == {"url": url(1), "text": "last"}
    assert read_lines < 5 * 2 * 2000


def test_deep_and_odd_json_is_a_malformed_row(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    odd = ["[" * 100_000, '{"a":' * 100_000, "1" * 5000, '{"url": 1e999', '"', "\0", "{}"]
    path.write_text("\n".join([*odd, json.dumps({"url": url(1)})]))
    lines = read(path)
    assert rows_of(lines) == [{}, {"url": url(1)}]
    assert len(lines) == len(odd) + 1
