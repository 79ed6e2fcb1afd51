"""Sources that hold their pictures: which column, which address, and what leads out of a folder."""

import hashlib
import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from humanvlm.data.places import load_sources
from humanvlm.data.shards import IMAGE
from humanvlm.errors import UserError
from humanvlm.index.build import Options, Summary, build_index


def picture(number: int) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (8, 8), (number, 0, 0)).save(sink, "PNG")
    return sink.getvalue()


def sha256(number: int) -> str:
    return hashlib.sha256(picture(number)).hexdigest()


def built(here: Path, *sources: str, **options: Any) -> tuple[list[dict[str, Any]], Summary]:
    summary = build_index([str(here / source) for source in sources], here / "data", Options(**options))
    found = summary.merged
    out = found.rows + found.merged + found.sampled_out + summary.left_out.counts.total()
    assert summary.before + summary.read == out
    return pq.read_table(here / "data" / "index.parquet").to_pylist(), summary


def test_a_picture_without_a_url_has_an_address_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.png").write_bytes(picture(1))
    rows, summary = built(tmp_path, "photos")
    assert rows[0]["url"] == f"local:photos/1.png?sha256={sha256(1)[:16]}"
    assert rows[0]["sha256"] == sha256(1)
    assert rows[0]["local"] == dict.fromkeys(["member", "row", "offset", "size"]) | {
        "source": "photos",
        "file": "1.png",
    }
    assert load_sources(tmp_path / "data") == {"photos": tmp_path / "photos"}
    assert f"pictures here, in photos ({tmp_path}/photos): 1" in str(summary)
    (tmp_path / "photos" / "1.png").write_bytes(picture(2))
    assert built(tmp_path, "photos")[0][0]["url"] != rows[0]["url"]


def test_a_url_stays_the_address_of_a_picture_that_is_here(tmp_path: Path) -> None:
    """Hashes beside it are those of the file it was made from."""
    rows = [
        {
            "url": "http://a.example/1.png",
            "sha256": "0" * 64,
            "md5": "none",
            "image": {"bytes": picture(1), "path": None},
        },
        {
            "url": "http://a.example/2.png",
            "sha256": "0" * 64,
            "md5": "0" * 32,
            "image": {"bytes": None, "path": "2.png"},
        },
        {"url": "UNKNOWN", "sha256": None, "md5": None, "image": {"bytes": picture(3), "path": None}},
        {"url": None, "sha256": None, "md5": None, "image": None},
    ]
    kinds = [("url", pa.string()), ("sha256", pa.string()), ("md5", pa.string()), ("image", IMAGE)]
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(kinds)), tmp_path / "set.parquet")
    found, summary = built(tmp_path, "set.parquet")
    assert [row["url"] for row in found] == [
        "http://a.example/1.png",
        "http://a.example/2.png",
        f"local:set.parquet?row=2&sha256={sha256(3)[:16]}",
    ]
    assert [(row["sha256"], row["md5"]) for row in found] == [
        (sha256(1), None),
        ("0" * 64, "0" * 32),
        (sha256(3), None),
    ]
    assert [row["local"] and row["local"]["row"] for row in found] == [0, None, 2]
    assert dict(summary.left_out.counts) == {"no_picture": 1}


@pytest.mark.parametrize("apart", [False, True])
def test_a_picture_that_is_here_brings_its_own_hash(tmp_path: Path, apart: bool) -> None:
    """Where a list has that of the file at the address, of which it may be a smaller copy."""
    lines = [f"http://a.example/1.png,one,{'0' * 64}", *([f"http://a.example/2.png,two,{'1' * 64}"] if apart else [])]
    (tmp_path / "list.csv").write_text("\n".join(["url,text,sha256", *lines]))
    table = pa.table({"url": ["http://a.example/1.png"], "image": [picture(1)], "text": ["also"]})
    pq.write_table(table, tmp_path / "set.parquet")
    rows, _ = built(tmp_path, "list.csv", "set.parquet")
    assert (rows[0]["sha256"], rows[0]["captions"]) == (sha256(1), ["one", "also"])
    assert rows[0]["local"]["source"] == "set.parquet"


def test_bytes_that_are_no_pictures_are_texts(tmp_path: Path) -> None:
    table = {"url": ["http://a.example/1"], "caption": [b"a square"], "image": [b"\xff\xd8 none"]}
    pq.write_table(pa.table(table), tmp_path / "set.parquet")
    rows, summary = built(tmp_path, "set.parquet")
    assert rows[0]["text"] == "a square"
    assert "local" not in rows[0]
    assert not summary.local
    assert not (tmp_path / "data" / "local_sources.json").exists()


def test_damaged_tables_are_one_line_or_whole(tmp_path: Path) -> None:
    from datasets import Dataset, Features, Image, Value

    features = Features({"image": Image(), "text": Value("string")})
    saved = Dataset.from_dict({"image": [picture(n) for n in range(40)], "text": ["x"] * 40}, features)
    saved.save_to_disk(str(tmp_path / "saved"))
    saved.to_parquet(str(tmp_path / "set.parquet"))
    for path in (tmp_path / "set.parquet", *(tmp_path / "saved").glob("*.arrow"), tmp_path / "saved" / "state.json"):
        whole = path.read_bytes()
        for at in range(0, len(whole), max(len(whole) // 12, 1)):
            for broken in (whole[:at], whole[:at] + b"\xff" * 40 + whole[at + 40 :]):
                path.write_bytes(broken)
                with suppress(UserError):
                    built(tmp_path, "set.parquet" if path.suffix == ".parquet" else "saved")
        path.write_bytes(whole)
    assert built(tmp_path, "saved")[1].local.total() == 40


def test_the_usual_name_comes_before_others(tmp_path: Path) -> None:
    pq.write_table(pa.table({"mask": [picture(1)], "Image": [picture(2)]}), tmp_path / "set.parquet")
    rows, _ = built(tmp_path, "set.parquet")
    assert rows[0]["sha256"] == sha256(2)


def test_links_out_of_a_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "private.png").write_bytes(picture(1))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "2.png").write_bytes(picture(2))
    (tmp_path / "photos" / "1.png").symlink_to(tmp_path / "private.png")
    (tmp_path / "photos" / "copy.png").symlink_to("2.png")
    rows, summary = built(tmp_path, "photos")
    assert {row["sha256"] for row in rows} == {sha256(2)}
    assert dict(summary.left_out.counts) == {"outside_source": 1}
    pq.write_table(pa.table({"image": [picture(1)]}), tmp_path / "set.parquet")
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "0.parquet").symlink_to(tmp_path / "set.parquet")
    with pytest.raises(UserError, match=r"0\.parquet: a link out of its folder; name the file itself"):
        built(tmp_path, "sets")
    assert built(tmp_path, "sets/*.parquet")[0][0]["local"]["source"] == "set.parquet"


def test_no_list_can_name_a_file(tmp_path: Path) -> None:
    """Not by its address, nor by columns called like those of the index."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.png").write_bytes(picture(1))
    own = pa.Table.from_pylist(built(tmp_path, "photos")[0])
    pq.write_table(own, tmp_path / "list.parquet")
    with pytest.raises(UserError, match="no row can be used: not_http 1"):
        built(tmp_path, "list.parquet")
    pq.write_table(own.set_column(0, "url", [["http://a.example/1.png"]]), tmp_path / "list.parquet")
    rows, _ = built(tmp_path, "list.parquet")
    assert rows[0].keys().isdisjoint({"local"})
    with pytest.raises(UserError, match="--keep-columns local: the index has a column of that name"):
        built(tmp_path, "list.parquet", keep=("local",))


def test_an_index_that_grows_keeps_its_sources(tmp_path: Path) -> None:
    for name in ("a/photos", "b/photos"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "1.png").write_bytes(picture(len(name)))
        (tmp_path / name / f"{name[0]}.png").write_bytes(picture(ord(name[0])))
    built(tmp_path, "a/photos")
    (tmp_path / "list.csv").write_text("url,text\nhttp://a.example/1.png,x\n")
    built(tmp_path, "list.csv", append=True)
    rows, summary = built(tmp_path, "b/photos", "a/photos", append=True)
    assert (summary.before, len(rows)) == (3, 5)
    assert [row["local"] and row["local"]["source"] for row in rows] == [
        "photos",
        "photos",
        None,
        "photos-2",
        "photos-2",
    ]
    assert load_sources(tmp_path / "data") == {"photos": tmp_path / "a/photos", "photos-2": tmp_path / "b/photos"}
    built(tmp_path, "b/photos")
    assert load_sources(tmp_path / "data") == {"photos-2": tmp_path / "b/photos"}


def test_a_folder_that_is_served_has_the_addresses_of_its_server(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.png").write_bytes(picture(1))
    rows, summary = built(tmp_path, "photos", base_url="http://a.example")
    assert rows[0]["url"] == "http://a.example/1.png"
    assert not summary.local
