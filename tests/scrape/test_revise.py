from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.data.shards import read_rows
from humanvlm.data.tombstones import Tombstones, url_hash
from humanvlm.scrape import revise as revising
from humanvlm.scrape import store
from humanvlm.scrape.journal import Journal
from humanvlm.scrape.picture import prepare
from humanvlm.scrape.revise import Revision, mend, revise
from humanvlm.scrape.settings import settings
from humanvlm.scrape.urls import IndexRow

from .conftest import jpeg

SCORE = [pa.field("score", pa.float32())]


def index_row(number: int, text: str = "old", **named: Any) -> IndexRow:
    return IndexRow(f"http://a.test/{number}.jpg", text, (text,), None, None, **named)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Shard 0 with pictures 0 to 2, and a dropped row 3."""
    journal = Journal(tmp_path / "journal")
    for number in range(3):
        row, picture = index_row(number), prepare(jpeg(seed=number), RawScrape())
        values = {name: None for name in store.SCHEMA.names if name != "image"} | store.metadata_of(row, [])
        values |= {name: getattr(picture, name) for name in ("width", "height", "format", "sha256", "source_sha256")}
        journal.append(number, values | {"url": row.url, "bytes": len(picture.data), "status": 200}, picture.data)
    journal.append(3, store.no_picture(index_row(3), "http_404", status=404))
    store.write(tmp_path, 0, journal, {}, settings(RawScrape()))
    journal.close()
    return tmp_path


def change(out: Path, **changes: Any) -> Revision:
    values: dict[str, Any] = {"rows": {}, "removed": frozenset(), "config": RawScrape(), "fields": ()}
    return Revision(**{"out": out, "number": 0, "tombstones": Tombstones(), **values, **changes})


def rows(out: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    main, drops = store.shard_paths(out, 0)
    result = store.read_records(out)[0]
    found = list(read_rows(main)), list(read_rows(drops))
    assert (result.counts.kept, result.counts.rows_in) == (len(found[0]), len(found[0]) + len(found[1]))
    return found


def test_metadata_columns_and_rows_change_and_pictures_stay(out: Path) -> None:
    before, _ = rows(out)
    changes = {0: index_row(0, "new", further=(0.5,)), 3: index_row(3, "new", further=(0.7,))}
    revise(change(out, rows=changes, removed=frozenset([1]), fields=SCORE))
    kept, dropped = rows(out)
    assert [(row["text"], row["score"], row["id"]) for row in kept] == [
        ("new", 0.5, index_row(0, "new").id),
        ("old", None, index_row(2).id),
    ]
    assert [row["image"] for row in kept] == [before[0]["image"], before[2]["image"]]
    assert [(row["id"], row["reason"], row["status"]) for row in dropped] == [(changes[3].id, "http_404", 404)]


def test_a_shard_whose_pictures_stay_is_not_written_again(out: Path) -> None:
    main, _ = store.shard_paths(out, 0)
    before = main.stat()
    revise(change(out, removed=frozenset([3]), config=RawScrape(encode_quality=9, max_pixels=60_000_000)))
    assert rows(out)[1] == []
    assert (main.stat().st_ino, main.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert store.settings_of(out, 0)["encode_quality"] == 9


def test_other_settings_make_others_of_the_stored_pictures_or_refuse_them(out: Path) -> None:
    config = RawScrape(resize_mode="border", image_size=20)
    assert revise(change(out, config=config)) == 0
    kept, _ = rows(out)
    assert [row["image"]["bytes"] for row in kept] == [prepare(jpeg(seed=n), config).data for n in range(3)]
    assert {(row["width"], row["height"]) for row in kept} == {(20, 20)}
    assert revise(change(out)) == 3  # nothing makes the larger ones of them: they stand
    assert rows(out)[0] == kept
    revise(change(out, config=RawScrape(max_pixels=100)))
    assert [(row["reason"], row["status"]) for row in rows(out)[1]] == [("http_404", 404)] + [("image_bomb", 200)] * 3


def test_rows_that_were_taken_down_become_dropped_ones_without_their_url(out: Path) -> None:
    stones = Tombstones(urls=frozenset(url_hash(index_row(n).url) for n in (1, 3)))
    revise(change(out, tombstones=stones))
    kept, dropped = rows(out)
    assert [row["id"] for row in kept] == [index_row(0).id, index_row(2).id]
    assert {(row["id"], row["url"], row["reason"]) for row in dropped} == {
        (index_row(n).id, "", "forgotten") for n in (1, 3)
    }


class KilledError(BaseException):
    pass


def test_killed_anywhere_a_shard_is_the_old_or_the_new_one(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = change(out, rows={0: index_row(0, "new")}, removed=frozenset([1, 3]))
    old = rows(out)
    replace, died = Path.replace, 0
    for limit in range(100):
        left = [limit]

        def mortal(path: Path, target: Path, left: list[int] = left) -> Path:
            if left[0] == 0:
                raise KilledError
            left[0] -= 1
            return replace(path, target)

        monkeypatch.setattr(Path, "replace", mortal)
        try:
            revise(task)
        except KilledError:
            died += 1
        else:
            break
        finally:
            monkeypatch.undo()
        mend(out)
        if rows(out) != old:
            break
    assert died >= 3
    kept, dropped = rows(out)
    assert [row["text"] for row in kept] == ["new", "old"]
    assert dropped == []
    assert not revising._staged(out).exists()


def test_a_record_is_mended_after_its_files_unless_they_are_damaged(out: Path) -> None:
    main, drops = store.shard_paths(out, 0)
    record = store.record_path(out, 0).read_text()
    revise(change(out, removed=frozenset([3])))
    store.record_path(out, 0).write_text(record)
    assert store.read_records(out) == {}
    mend(out)
    assert len(rows(out)[0]) == 3
    main.write_bytes(main.read_bytes()[:-9])
    mend(out)
    assert store.read_records(out) == {}
    assert drops.exists()
