"""Lists of addresses, references and predictions, as ``humanvlm index`` and ``humanvlm score`` read them."""

import gzip
import io
import json
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from fuzzing.pictures import pictures
from fuzzing.target import Target

SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".json", ".parquet", ".tar")


def lists() -> list[bytes]:
    """Lists of addresses in every form that ``humanvlm index`` and ``humanvlm score`` read; the first byte tells it."""
    rows = [
        {"url": f"https://example.org/{n}.jpg", "caption": [f'a "man", {n}', "b"], "sha256": None} for n in range(3)
    ]
    table = pa.table({"url": [row["url"] for row in rows], "caption": [row["caption"] for row in rows]})
    parquet, tar = io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet)
    with tarfile.open(fileobj=tar, mode="w") as members:
        for name, body in (("1.jpg", pictures()[0]), ("1.txt", b"a man"), ("1.json", b'{"caption": "a"}')):
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            members.addfile(entry, io.BytesIO(body))
    made = {
        ".csv": b'url,caption\nhttps://example.org/1.jpg,"a ""man"", b"\nhttps://example.org/2.jpg,"[\'a\', \'b\']"\n',
        ".tsv": b"url\tcaption\nhttps://example.org/1.jpg\ta\n",
        ".txt": b"https://example.org/1.jpg\thello\nhttps://example.org/2.jpg\n",
        ".jsonl": b"".join(json.dumps(row).encode() + b"\n" for row in rows),
        ".json": json.dumps(rows).encode(),
        ".parquet": parquet.getvalue(),
        ".tar": tar.getvalue(),
    }
    packed = {".csv": gzip.compress(made[".csv"]), ".jsonl": gzip.compress(made[".jsonl"])}
    named = [*made.items(), *packed.items()]
    return [bytes([SUFFIXES.index(suffix)]) + body for suffix, body in named]


def in_lists() -> list[tuple[bytes, bytes, bytes]]:
    cells = (b'"', b',"', b'"",', b"a,", b'"a\n', b"\n", b'"\n"', b"\\", b"\xff", b"'a' ", b"[", b"{", b"(", b"-")
    values = (b"[", b'{"a":', b"[],", b'{"url":"http://a/"},', b'"', b'"a",', b"1", b"1,", b"\\", b" ", b'{"a', b"-")
    text = b"url,caption\nhttps://example.org/1.jpg,"
    return [
        *((b"\0" + text, cell, b"\n") for cell in cells),
        *((b"\0" + text + b'"[', cell, b']"\n') for cell in cells),
        *((b"\2http://a/\t", cell, b"") for cell in cells),
        *((bytes([kind]) + before, value, b"\n") for kind in (3, 4) for before in (b"", b"[") for value in values),
        *((b'\3{"url":"http://a/","caption":', value, b"}\n") for value in values),
    ]


def _as_file(data: bytes, read: Callable[[Path], str]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"list{SUFFIXES[(data[0] if data else 0) % len(SUFFIXES)]}"
        path.write_bytes(data[1:])
        return read(path)


def check_one_line(error: Exception) -> None:
    if "\n" in str(error):
        raise AssertionError("an error of several lines") from error


def index_one(data: bytes) -> str:
    """``humanvlm index`` of one file."""
    from humanvlm.errors import UserError
    from humanvlm.index.build import Options, build_index

    def read(path: Path) -> str:
        try:
            build_index([str(path)], path.parent / "out", Options(base_url="https://example.org/"))
        except UserError as error:
            check_one_line(error)
            return "error"
        return "index"

    return _as_file(data, read)


def score_one(data: bytes) -> str:
    """The readers of references and predictions."""
    from humanvlm.errors import UserError
    from humanvlm.evaluate import files

    def read(path: Path) -> str:
        outcomes = ""
        for reader in (files.read_rows, files.read_array, files.read_tab_separated):
            try:
                outcomes += str(min(sum(1 for _ in reader(path)), 1))
            except UserError as error:
                check_one_line(error)
                outcomes += "e"
        return outcomes

    return _as_file(data, read)


TARGETS = (
    Target("index", lists, index_one, in_lists),
    Target("score", lists, score_one, in_lists),
)
