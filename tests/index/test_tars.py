"""Tars of samples: grouped by key, read where they lie, and cut off or damaged without losing what is before."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from humanvlm.errors import UserError

from .test_pictures import built, picture, sha256


def write(path: Path, members: dict[str, bytes], **options: Any) -> Path:
    with tarfile.open(path, "w", **options) as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def said(**values: Any) -> bytes:
    return json.dumps(values).encode()


def test_members_of_one_key_are_a_sample(tmp_path: Path) -> None:
    path = write(
        tmp_path / "0.tar",
        {
            "a/1.left.png": picture(9),
            "a/1.PNG": picture(1),
            "a/1.txt": b"one \xc3\xbc",
            "a/1.cls": b"7",
            "b/1.jpg": picture(2),  # the same name in another folder
            "b/1.json": said(url="http://a.example/2.jpg", caption="two", license="CC0", sha256="none", score=0.5),
            "3.json": said(url="http://a.example/3.jpg", captions=["three", "more"]),
            "4.txt": b"no picture, no address",
            "5.seg.png": picture(5),
            "5.txt": b"five",
            "5.json": said(captions=["not five"], key="5"),
            "6.png": picture(6),
            "6.txt": b"six",
            "6.json": said(captions=["more", "six"]),
        },
    )
    rows, summary = built(tmp_path, "0.tar", keep=("score",))
    assert [row["captions"] for row in rows] == [["one ü"], ["two"], ["three", "more"], ["five"], ["six", "more"]]
    assert [row["url"].split("&")[0] for row in rows] == [
        "local:0.tar?member=a/1.PNG",
        "http://a.example/2.jpg",
        "http://a.example/3.jpg",
        "local:0.tar?member=5.seg.png",
        "local:0.tar?member=6.png",
    ]
    assert [row["sha256"] for row in rows] == [sha256(1), sha256(2), None, sha256(5), sha256(6)]
    assert (rows[1]["license"], rows[1]["score"], rows[0]["score"]) == ("CC0", 0.5, None)
    assert dict(summary.left_out.counts) == {"no_picture": 1}
    data = path.read_bytes()
    for row, number in zip(rows, (1, 2, None, 5, 6), strict=True):
        if place := row["local"]:
            assert data[place["offset"] : place["offset"] + place["size"]] == picture(number or 0)


def test_what_is_no_file_is_no_member(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for kind, name in ((tarfile.SYMTYPE, "1.png"), (tarfile.LNKTYPE, "2.png"), (tarfile.CHRTYPE, "3.png")):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            tar.addfile(entry)
        entry = tarfile.TarInfo("../../etc/4.png")
        entry.size = len(picture(4))
        tar.addfile(entry, io.BytesIO(picture(4)))
    rows, _ = built(tmp_path, "0.tar")
    assert [row["local"]["member"] for row in rows] == ["../../etc/4.png"]


def test_json_that_cannot_be_read_is_counted(tmp_path: Path) -> None:
    deep = b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    write(
        tmp_path / "0.tar",
        {"1.png": picture(1), "1.json": b"{", "2.png": picture(2), "2.json": deep, "3.png": picture(3)},
    )
    rows, summary = built(tmp_path, "0.tar")
    assert len(rows) == 1
    assert dict(summary.left_out.counts) == {"malformed_row": 2}
    assert "0.tar sample 1" in str(summary)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(513, 8000), damage=st.booleans())
def test_a_tar_that_is_cut_off_keeps_what_is_whole(tmp_path: Path, cut: int, damage: bool) -> None:
    whole = write(tmp_path / "whole.tar", {f"{n}.png": picture(n) for n in range(8)}).read_bytes()
    broken = whole[:cut] + b"\xa5" * 512 + whole[cut + 512 :] if damage else whole[:cut]
    (tmp_path / "0.tar").write_bytes(broken)
    write(tmp_path / "other.tar", {"x.png": picture(99)})
    rows, summary = built(tmp_path, "0.tar", "other.tar")
    intact = [n for n in range(8) if 1024 * n + 512 + len(picture(n)) <= cut]
    found = [row["sha256"] for row in rows]
    assert found[: len(intact)] == [sha256(n) for n in intact]
    assert sha256(99) in found
    if not damage:
        assert found[len(intact) : -1] == []
        ends_between = cut % 1024 == 0 or cut >= 8 * 1024
        assert ends_between == ("damaged_tar" not in summary.left_out.counts)


def test_what_is_no_tar_is_one_line(tmp_path: Path) -> None:
    write(tmp_path / "whole.tar", {"1.png": picture(1)})
    for data in (b"", b"x" * 2000, (tmp_path / "whole.tar").read_bytes()[:100]):
        (tmp_path / "0.tar").write_bytes(data)
        with pytest.raises(UserError, match=r"0\.tar: (not a tar|no row can be used)"):
            built(tmp_path, "0.tar")
    with tarfile.open(tmp_path / "0.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "whole.tar", "1.png")
    with pytest.raises(UserError, match=r"0\.tar\.gz: not a tar, or compressed .*; unpack it"):
        built(tmp_path, "0.tar.gz")
    with pytest.raises(UserError, match="leave out --base-url"):
        built(tmp_path, "whole.tar", base_url="http://a.example/")


def test_a_size_below_zero_ends_it(tmp_path: Path) -> None:
    whole = write(tmp_path / "0.tar", {"1.png": picture(1), "2.png": picture(2)}).read_bytes()
    header = bytearray(whole[1024:1536])
    header[124:136] = b"\xff" * 10 + b"\xfa\x00"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "0.tar").write_bytes(whole[:1024] + bytes(header) + whole[1536:])
    rows, summary = built(tmp_path, "0.tar")
    assert [row["sha256"] for row in rows] == [sha256(1)]
    assert dict(summary.left_out.counts) == {"damaged_tar": 1}


def test_long_names_and_headers_are_read_as_far_as_is_sane(tmp_path: Path) -> None:
    name = "d/" * 200 + "1.png"
    write(tmp_path / "0.tar", {name: picture(1)}, format=tarfile.GNU_FORMAT)
    assert built(tmp_path, "0.tar")[0][0]["local"]["member"] == name
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 8 << 20
    (tmp_path / "0.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(8 << 20))
    with pytest.raises(UserError, match="a header of"):
        built(tmp_path, "0.tar")
