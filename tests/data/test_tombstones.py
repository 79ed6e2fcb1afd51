"""The takedown list: what it covers, what it refuses, and that it hides what it lists."""

import hashlib
import io
import sys
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.data import tombstones
from humanvlm.data.tombstones import Tombstones, host_hashes, of_hosts, url_hash
from humanvlm.errors import UserError

REPO = Path(__file__).parents[2]
DAY, LATER = date(2026, 1, 2), date(2026, 3, 4)
ID, PICTURE = "0123456789abcdef0123", "f" * 64
URL = 'https://photos.example/a b,"c".jpg'


def hexes(digits: int) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.text("0123456789abcdef", min_size=digits, max_size=digits), max_size=5)


stones = st.builds(Tombstones, hexes(20), hexes(64), hexes(64), hexes(64))


@given(first=stones, second=stones)
def test_the_file_holds_what_was_added_sorted_once_with_its_first_date(
    first: Tombstones, second: Tombstones, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("list") / "tombstones.csv"
    assert tombstones.add(path, first, DAY) == len(first)
    assert tombstones.add(path, second, LATER) == len(second - first)
    listed = tombstones.load(path)
    assert listed == (first | second).sealed(listed.keys)
    lines = path.read_text().splitlines() if path.exists() else ["kind,value,date"]
    assert lines[0] == "kind,value,date"
    assert lines[1:] == sorted(set(lines[1:]))
    assert sum(line.endswith(",2026-01-02") for line in lines) == len(first)
    for kind, value in (first | second).entries():
        assert not any(value in line for line in lines)
        names = {"id": "id", "sha256": "sha256"}
        assert kind not in names or listed.covers(**{names[kind]: value})


@given(listed=stones, other=stones)
def test_digest_tells_lists_apart(listed: Tombstones, other: Tombstones) -> None:
    assert (listed.digest == other.digest) == (listed == other)


def test_a_row_is_covered_by_any_of_its_three_names() -> None:
    listed = Tombstones(frozenset([ID]), frozenset([url_hash(URL)]), frozenset([PICTURE]))
    assert listed.covers(ID)
    assert listed.covers(url=URL)
    assert listed.covers("b" * 20, "http://x.example/", PICTURE)
    assert not listed.covers("b" * 20, "http://x.example/", "e" * 64)
    assert not listed.covers(None, "", None)
    assert not listed.covers(PICTURE, None, ID)  # kinds are not mixed up


def test_a_list_of_plain_hashes_is_honoured_and_then_sealed(tmp_path: Path) -> None:
    """Those of URLs were taken of the index's own spelling."""
    path = tmp_path / "tombstones.csv"
    odd = "HTTP://Photos.example:80/%41.jpg"
    host = next(iter(of_hosts(["site.example"]).hosts))
    values = {"id": ID, "url": hashlib.sha256(odd.encode()).hexdigest(), "sha256": PICTURE, "host": host}
    path.write_text("kind,value,date\n" + "".join(f"{kind},{values[kind]},2026-01-02\n" for kind in sorted(values)))

    def check(listed: Tombstones) -> None:
        assert listed.covers(id=ID)
        assert listed.covers(url=odd)
        assert listed.covers(sha256=PICTURE)
        assert listed.covers(url="https://www.site.example/x")
        assert not listed.covers("b" * 20, "http://other.example/", "e" * 64)

    check(tombstones.load(path))
    assert tombstones.add(path, Tombstones(), LATER) == 0
    text = path.read_text()
    assert not any(value in text for value in values.values())
    assert text.count("2026-01-02") == 4
    check(tombstones.load(path))


def test_a_sealed_list_without_its_key_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, key = tmp_path / "tombstones.csv", tmp_path / "tombstones.key"
    tombstones.add(path, Tombstones(frozenset([ID])), DAY)
    key.rename(tmp_path / "elsewhere")
    for call in (tombstones.load, lambda path: tombstones.add(path, Tombstones(frozenset([ID])), DAY)):
        with pytest.raises(UserError, match=r"tombstones\.csv:2: sealed with key [0-9a-f]{8}, which .*tombstones\.key"):
            call(path)
    assert not key.exists()  # no second key is made
    monkeypatch.setenv("HUMANVLM_TOMBSTONES_KEY", str(tmp_path / "elsewhere"))
    assert tombstones.load(path).covers(id=ID)


def test_lists_of_two_keys_are_read_with_both(tmp_path: Path) -> None:
    """As after a merge of two clones that each made a key."""
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, value in ((one, ID), (other, "b" * 20)):
        folder.mkdir()
        tombstones.add(folder / "tombstones.csv", Tombstones(frozenset([value])), DAY)
    merged = one / "tombstones.csv"
    merged.write_text(merged.read_text() + (other / "tombstones.csv").read_text().partition("\n")[2])
    with pytest.raises(UserError, match=r"tombstones\.csv:3: sealed with key"):
        tombstones.load(merged)
    with (one / "tombstones.key").open("a") as file:
        file.write((other / "tombstones.key").read_text())
    assert tombstones.load(merged).covers(id=ID)
    assert tombstones.load(merged).covers(id="b" * 20)


def test_any_spelling_of_a_url_is_covered() -> None:
    listed = Tombstones(urls=frozenset([url_hash("http://Photos.example:80/a/../b%2Ejpg#top")]))
    assert listed.covers(url="https://me:word@photos.example./b.jpg")
    assert not listed.covers(url="https://photos.example/c.jpg")


def test_names_of_hosts_that_no_address_has_cost_nothing() -> None:
    assert host_hashes("http://" + "a." * 100_000 + "example/") == ()


def test_the_committed_list_and_a_missing_one_are_alike(tmp_path: Path) -> None:
    assert tombstones.load(tmp_path / "none.csv") == Tombstones()
    header = tmp_path / "tombstones.csv"
    header.write_text("kind,value,date\n")
    assert tombstones.load(header).digest == Tombstones().digest
    tombstones.load(REPO / "tombstones.csv")


def test_nothing_new_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "tombstones.csv"
    tombstones.add(path, Tombstones(frozenset([ID])), DAY)
    before = path.stat()
    assert tombstones.add(path, Tombstones(frozenset([ID])), LATER) == 0
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert sorted(found.name for found in tmp_path.iterdir()) == ["tombstones.csv", "tombstones.key"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("id,value,date\n", 1),
        (f"kind,value,date\nid,{ID},2026-01-02\nid,{ID[:-1]},2026-01-02\n", 3),
        (f"kind,value,date\nid,{ID.upper()},2026-01-02\n", 2),
        (f"kind,value,date\nurl,{URL},2026-01-02\n", 2),
        (f"kind,value,date\nsha256,{PICTURE},yesterday\n", 2),
        (f"kind,value,date\nphone,{PICTURE},2026-01-02\n", 2),
        (f"kind,value,date\nid,{ID}\n", 2),
        ("kind,value,date\n<<<<<<< HEAD\n", 2),
        ('kind,value,date\n"id,\n', 2),
    ],
)
def test_a_malformed_list_is_named_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "tombstones.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"tombstones\.csv:{line}: ") as caught:
        tombstones.load(path)
    assert "\n" not in str(caught.value)


def test_lists_of_each_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"# taken down on request\r\n\r\n  {ID.upper()}\r\n{ID}\n")
    assert tombstones.read_list(str(path), "id") == Tombstones(ids=frozenset([ID]))
    path.write_text(f"{URL}\n")
    found = tombstones.read_list(str(path), "url")
    assert found == Tombstones(urls=frozenset([url_hash(URL)]))
    assert found.covers(url=URL)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{PICTURE}\n".encode())))
    assert tombstones.read_list("-", "sha256") == Tombstones(pictures=frozenset([PICTURE]))


@pytest.mark.parametrize(
    ("kind", "data", "line"),
    [
        ("id", f"{ID}\n{ID}0\n".encode(), 2),
        ("url", b"# ok\n\nphotos.example/a.jpg\n", 3),
        ("url", b"http://a.example/\n\xff\n", 2),
        ("sha256", ID.encode(), 1),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, kind: str, data: bytes, line: int) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(data)
    with pytest.raises(UserError, match=rf"list\.txt:{line}: "):
        tombstones.read_list(str(path), kind)


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.txt: No such file"):
        tombstones.read_list(str(tmp_path / "absent.txt"), "id")


@pytest.mark.parametrize(
    ("url", "covered"),
    [
        ("http://photos.example.org/a.jpg", True),
        ("https://Photos.Example.ORG.:8443/", True),
        ("//user:word@a.b.photos.example.org/x?y#z", True),
        ("http://example.org/photos.example.org/", False),
        ("http://photos.example.org.evil.example/", False),
        ("http://myphotos.example.org/", False),
        ("http://photos.example.org@evil.example/", False),
        ("http://[::1/", False),
        ("local:photos.example.org/a.jpg", False),
        ("photos.example.org", False),
    ],
)
def test_a_host_covers_itself_and_its_subdomains(url: str, covered: bool) -> None:
    assert of_hosts(["photos.example.org"]).covers(url=url) == covered


def test_hosts_of_every_spelling_are_one() -> None:
    assert of_hosts(["Bücher.example"]).covers(url="http://www.xn--bcher-kva.example/")
    assert of_hosts(["xn--bcher-kva.example."]).covers(url="http://BÜCHER.example/a.jpg")
    assert of_hosts(["192.0.2.1", "::1", "localhost"]).covers(url="http://192.0.2.1:80/")
    assert of_hosts(["[::1]"]).covers(url="http://[::1]:8080/a.jpg")
    assert not of_hosts(["192.0.2.1"]).covers(url="http://1.192.0.2/")


@pytest.mark.parametrize(
    "name",
    ["http://photos.example/", "photos.example/a", "org", "", "a..example", "*.example.org", "2.1", "-a.example"],
)
def test_what_is_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="must be a host name"):
        of_hosts([name])


@given(st.text(max_size=80))
def test_any_text_has_hosts_or_none(text: str) -> None:
    assert all(len(hash) == 64 for hash in host_hashes(f"http://{text}"))
