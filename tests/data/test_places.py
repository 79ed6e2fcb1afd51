"""Where pictures are: names of sources, addresses, and the file that says where sources are."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.data.places import Place, address, load_sources, name_of, save_sources
from humanvlm.errors import UserError

SHA256 = "0123456789abcdef" * 4


def test_addresses_say_file_and_row_or_member() -> None:
    assert str(Place("photos", "a b/1#?.jpg")) == "local:photos/a%20b/1%23%3F.jpg"
    assert str(Place("photo.jpg", "")) == "local:photo.jpg"
    assert str(Place("set", "train/0.parquet", "image", row=12)) == "local:set/train/0.parquet?row=12"
    assert str(Place("0.tar", "", "a/1.jpg", offset=512, size=3)) == "local:0.tar?member=a/1.jpg"
    assert address(Place("photos", "1.jpg"), SHA256) == "local:photos/1.jpg?sha256=0123456789abcdef"
    assert address(Place("set", "", row=0), SHA256) == "local:set?row=0&sha256=0123456789abcdef"


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_any_name_makes_an_address_of_ascii(source: str, file: str, member: str) -> None:
    text = str(Place(source, file, member))
    assert text.isascii()
    assert not set(text) & set(" \n#")


def test_sources_are_found_again_where_they_were(tmp_path: Path) -> None:
    data, photos = tmp_path / "data", tmp_path / "photos"
    data.mkdir()
    assert load_sources(data) == {}
    save_sources(data, {"photos": photos})
    assert str(tmp_path) not in (data / "local_sources.json").read_text()
    assert load_sources(data) == {"photos": photos}
    save_sources(data, {})
    assert not (data / "local_sources.json").exists()


@pytest.mark.parametrize("text", ["", "[]", "{", "\udcff", '{"a": "\\u0000"}'])
def test_a_damaged_file_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "local_sources.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=r"local_sources\.json: damaged"):
        load_sources(tmp_path)


def test_names_stay_and_are_never_shared(tmp_path: Path) -> None:
    known = {"photos": tmp_path / "a" / "photos"}
    assert name_of(tmp_path / "a" / "photos", known) == "photos"
    assert name_of(tmp_path / "b" / "photos", known) == "photos-2"
    assert name_of(Path("/"), known) == "files"
