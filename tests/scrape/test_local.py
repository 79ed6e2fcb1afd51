"""Pictures from files here: the checks of a download, nothing outside of a source, and every row an outcome."""

import io
import os
import signal
import subprocess
import sys
import tarfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import humanvlm
from humanvlm.data.places import PLACE, Place, save_sources
from humanvlm.data.shards import IMAGE, read_folder
from humanvlm.data.tombstones import Tombstones, url_hash
from humanvlm.errors import UserError
from humanvlm.index.build import Options, build_index
from humanvlm.pipeline.runner import run_stage
from humanvlm.scrape.fetch import Fetched
from humanvlm.scrape.local import take
from humanvlm.scrape.reasons import RefusedError
from humanvlm.takedown.forget import forget

from .conftest import jpeg

PROFILE = Path(humanvlm.__file__).with_name("profiles") / "photos.yaml"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HUMANVLM_WORKERS", "1")
    return tmp_path


def crawl(*settings: str, **options: Any) -> dict[str, Any]:
    report = run_stage("raw_scrape", PROFILE, [f"raw_scrape.{setting}" for setting in settings], **options)
    rows: dict[str, Any] = report["rows"]
    assert rows["in"] == rows["kept"] + sum(rows["dropped"].values())
    return rows


def outcomes(wanted: list[Place], sources: dict[str, Path], max_bytes: int = 1 << 20) -> list[str | bytes]:
    found = dict(take(enumerate(wanted), sources, max_bytes))
    assert sorted(found) == list(range(len(wanted)))
    answers = [found[number] for number in range(len(wanted))]
    return [one.data if isinstance(one, Fetched) else one.reason for one in answers]


def test_nothing_outside_of_a_source_is_opened(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    (tmp_path / "photos" / "1.jpg").write_bytes(b"1")
    (tmp_path / "photos" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "photos" / "up").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "photos" / "pipe")
    files = ["1.jpg", "sub/../1.jpg", "../secret", str(tmp_path / "secret"), "link", "up/secret", "pipe", "sub", "none",
             "a\0b", "x" * 5000]  # fmt: skip
    places = [Place("photos", file) for file in files] + [Place("one", ""), Place("one", "../secret")]
    assert outcomes(places, {"photos": tmp_path / "photos", "one": tmp_path / "photos" / "1.jpg"}) == [
        *(b"1", b"1", "outside_source", "outside_source", "outside_source", "outside_source"),
        *("file_unreadable", "file_unreadable", "file_missing", "file_unreadable", "file_unreadable"),
        *(b"1", "outside_source"),
    ]


def test_parts_of_files_and_rows_of_tables(tmp_path: Path) -> None:
    (tmp_path / "0.tar").write_bytes(b"0123456789")
    structs = [{"image": {"bytes": data, "path": None}} for data in (b"a", None, b"c" * 40, b"d")]
    pq.write_table(
        pa.Table.from_pylist(structs, pa.schema([("image", IMAGE)])), tmp_path / "0.parquet", row_group_size=2
    )
    (tmp_path / "1.parquet").write_bytes((tmp_path / "0.parquet").read_bytes()[:-9])
    parts = [Place("s", "0.tar", "x", offset=offset, size=size) for offset, size in ((2, 3), (8, 9), (99, 1), (-1, 2))]
    rows = [("image", 3), ("image", 0), ("image", 3), ("image", 1), ("image", 2), ("image", 9), ("picture", 0)]
    wanted = [("0.parquet", *row) for row in rows] + [("1.parquet", "image", 0), ("0.tar", "image", 0)]
    tables = [Place("s", file, column, row=row) for file, column, row in wanted]
    assert outcomes([*parts, *tables], {"s": tmp_path}, max_bytes=30) == [
        *(b"234", b"89", "no_picture", "file_unreadable"),
        *(b"d", b"a", b"d", "no_picture", "too_large", "no_picture"),
        *("file_unreadable", "file_unreadable", "file_unreadable"),
    ]


def test_what_went_wrong_names_no_path_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "0.parquet").write_bytes(b"none")
    places = [Place("s", "0.parquet", "image", row=0), Place("s", "none.jpg"), Place("s", "..")]
    for _, found in take(enumerate(places), {"s": tmp_path}, 100):
        assert isinstance(found, RefusedError)
        assert str(tmp_path) not in found.detail


def test_the_checks_are_those_of_a_download(project: Path) -> None:
    photos = project / "photos"
    photos.mkdir()
    files = {"whole": jpeg(), "cut": jpeg(seed=2)[:500], "text": b"hello", "empty": b"", "changed": jpeg(seed=3)}
    for name, data in {**files, "gone": jpeg(seed=4), "big": jpeg(400, 400, seed=5)}.items():
        (photos / f"{name}.jpg").write_bytes(data)
    build_index(["photos"], Path("data"))
    (photos / "changed.jpg").write_bytes(jpeg(seed=6))
    (photos / "gone.jpg").unlink()
    rows = crawl("max_bytes=50000")
    reasons = "file_missing no_picture not_an_image sha256_mismatch too_large truncated_image"
    assert rows["dropped"] == dict.fromkeys(reasons.split(), 1)
    (kept,) = read_folder(Path("artifacts/raw_scrape"))
    assert (kept["final_url"], kept["status"]) == ("local:photos/whole.jpg", None)
    assert kept["image"]["bytes"] == jpeg()
    assert "local" not in kept
    (photos / "gone.jpg").write_bytes(jpeg(seed=4))
    rows = crawl("max_bytes=50000", retry=["transient"])
    assert rows["kept"] == 2
    assert "file_missing" not in rows["dropped"]


def test_a_changed_picture_is_noticed_when_its_source_is_indexed_again(project: Path) -> None:
    (project / "photos").mkdir()
    for number in range(3):
        (project / "photos" / f"{number}.jpg").write_bytes(jpeg(seed=number))
    build_index(["photos"], Path("data"))
    assert crawl()["kept"] == 3
    (project / "photos" / "1.jpg").write_bytes(jpeg(seed=9))
    (project / "photos" / "3.jpg").write_bytes(jpeg(seed=3))
    build_index(["photos"], Path("data"))
    assert crawl(remove_missing=True)["kept"] == 4
    stored = {row["image"]["bytes"] for row in read_folder(Path("artifacts/raw_scrape"))}
    assert stored == {jpeg(seed=seed) for seed in (0, 9, 2, 3)}


def test_a_source_that_is_gone_is_one_line(project: Path) -> None:
    (project / "photos").mkdir()
    (project / "photos" / "1.jpg").write_bytes(jpeg())
    build_index(["photos"], Path("data"))
    (project / "photos").rename(project / "elsewhere")
    with pytest.raises(UserError, match=r"photos: not there; .* bring it back, or index it again"):
        crawl()
    (project / "data" / "local_sources.json").unlink()
    with pytest.raises(UserError, match=r"local_sources\.json: no source 'photos'"):
        crawl()
    build_index(["elsewhere"], Path("data"))
    assert crawl()["kept"] == 1


def test_a_list_from_elsewhere_reaches_no_file(project: Path) -> None:
    """As the index itself, with places in it: of sources that nobody named here."""
    (project / "secret.jpg").write_bytes(jpeg())
    place = asdict(Place("photos", "secret.jpg"))
    table = pa.Table.from_pylist(
        [{"url": "http://127.0.0.1:1/a.jpg", "local": place}], pa.schema([("url", pa.string()), ("local", PLACE)])
    )
    Path("data/site").mkdir(parents=True)
    pq.write_table(table, "data/index.parquet")
    with pytest.raises(UserError, match="no source 'photos'"):
        crawl()
    pq.write_table(table.set_column(1, "local", [["secret.jpg"]]), "data/index.parquet")
    with pytest.raises(UserError, match="column 'local' is string"):
        crawl()


KILLED = """
import os, signal, sys
from humanvlm.scrape.journal import Journal
append, left = Journal.append, int(sys.argv[1])
def counted(*arguments):
    global left
    append(*arguments)
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
Journal.append = counted
from pathlib import Path
from humanvlm.pipeline.runner import run_stage
run_stage("raw_scrape", Path(sys.argv[2]), ["raw_scrape.rows_per_shard=4"])
"""


def test_killed_it_goes_on_and_reads_none_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tarfile.open("0.tar", "w") as tar:
        for number in range(9):
            entry = tarfile.TarInfo(f"{number}.jpg")
            entry.size = len(jpeg(seed=number))
            tar.addfile(entry, io.BytesIO(jpeg(seed=number)))
    build_index(["0.tar"], Path("data"))
    for left in (2, 3):
        done = subprocess.run([sys.executable, "-c", KILLED, str(left), PROFILE], check=False)
        assert done.returncode == -signal.SIGKILL
    asked: Counter[str] = Counter()
    monkeypatch.setattr("humanvlm.scrape.crawl.take", lambda wanted, *rest: _counting(asked, wanted, *rest))
    assert crawl("rows_per_shard=4")["kept"] == 9
    assert sum(asked.values()) == 4
    assert {row["image"]["bytes"] for row in read_folder(Path("artifacts/raw_scrape"))} == {
        jpeg(seed=number) for number in range(9)
    }


def _counting(asked: Counter[str], wanted: list[tuple[int, Place]], *rest: Any) -> Any:
    asked.update(str(place) for _, place in wanted)
    return take(wanted, *rest)


def test_pictures_here_and_on_the_web_in_one_index(project: Path) -> None:
    (project / "photos").mkdir()
    (project / "photos" / "1.jpg").write_bytes(jpeg())
    (project / "list.csv").write_text("url,text\nhttp://photos.test/2.jpg,two\nhttp://photos.test/none.jpg,none\n")
    (project / "site").mkdir()
    (project / "site" / "2.jpg").write_bytes(jpeg(seed=2))
    build_index(["photos"], Path("data"))
    build_index(["list.csv"], Path("data"), Options(append=True))
    assert crawl("local_hosts={photos.test: site}") == {"in": 3, "kept": 2, "dropped": {"http_404": 1}}


def test_taken_down_it_stays_away_and_its_place_is_named(project: Path) -> None:
    (project / "photos").mkdir()
    for number in range(2):
        (project / "photos" / f"{number}.jpg").write_bytes(jpeg(seed=number))
    build_index(["photos"], Path("data"))
    crawl()
    first = next(read_folder(Path("artifacts/raw_scrape"), ("url",)))["url"]
    said = forget(Tombstones(urls=frozenset([url_hash(first)])))
    assert "local:photos/0.jpg: the picture, in a source of the index; delete it there" in said
    assert crawl(force=True) == {"in": 2, "kept": 1, "dropped": {"forgotten": 1}}


def test_no_host_is_made_up_for_files(project: Path) -> None:
    (project / "photos").mkdir()
    (project / "photos" / "1.jpg").write_bytes(jpeg())
    build_index(["photos"], Path("data"))
    save_sources(Path("data"), {"photos": project / "photos"})
    run = run_stage("raw_scrape", PROFILE)
    assert run["info"]["hosts"] == {"(files here)": {"kept": 1}}
