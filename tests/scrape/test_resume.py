import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.data.shards import read_folder
from humanvlm.errors import UserError
from humanvlm.scrape.picture import prepare

from .conftest import jpeg
from .test_stage import here, scrape, write_index, write_params, write_site

__all__ = ["here"]

OUT = Path("artifacts/raw_scrape")


def listed(urls: list[str], text: str = "picture", **columns: Any) -> list[dict[str, Any]]:
    return [{"url": url, "captions": [f"{text} {n}"], **columns} for n, url in enumerate(urls)]


def kept() -> dict[str, dict[str, Any]]:
    return {row["url"]: row for row in read_folder(OUT)}


def lose_site(here: Path) -> None:
    """From here on every request fails."""
    shutil.rmtree(here / "site")
    (here / "site").mkdir()


def test_texts_licences_and_columns_follow_the_index_without_a_request(here: Path) -> None:
    urls = write_site(here, 10)
    write_index(here, listed(urls))
    write_params(here)
    scrape(here)
    before = kept()
    lose_site(here)
    more = [{**row, "captions": [*row["captions"], "second"], "license": "CC-BY"} for row in listed(urls)]
    write_index(here, more)
    assert scrape(here)["rows"] == {"in": 10, "kept": 10, "dropped": {}}
    assert {(row["captions"][1], row["license"]) for row in kept().values()} == {("second", "CC-BY")}
    write_index(here, listed(urls[::-1], "corrected", similarity=0.5, split="train", sha256="0" * 64))
    assert scrape(here)["rows"] == {"in": 10, "kept": 10, "dropped": {}}
    after = kept()
    assert {row["text"] for row in after.values()} == {f"corrected {n}" for n in range(10)}
    assert {(row["similarity"], row["index_split"]) for row in after.values()} == {(0.5, "train")}
    assert {url: row["image"] for url, row in after.items()} == {url: row["image"] for url, row in before.items()}
    write_index(here, listed(urls))
    scrape(here)
    assert kept() == before


def test_what_left_the_index_goes_only_below_a_share_or_when_told(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    urls = write_site(here, 20)
    write_index(here, listed(urls))
    write_params(here)
    report = scrape(here)
    write_index(here, listed(urls[:15]))
    with pytest.raises(UserError, match=r"no longer has 5 of 20 stored pictures .5 rows in all.*--remove-missing"):
        scrape(here)
    assert json.loads((OUT / "report.json").read_text()) == report
    assert not (OUT / ".work").exists()
    write_index(here, listed(urls))
    assert scrape(here)["timings"] == report["timings"]  # as up to date as before
    write_index(here, listed(urls[:18]))
    assert scrape(here)["rows"]["in"] == 18
    assert "no longer has 2 of 20 stored pictures (2 rows in all); they are removed" in caplog.text
    write_index(here, listed(urls[:9]))
    assert scrape(here, remove_missing=True)["rows"] == {"in": 9, "kept": 9, "dropped": {}}


@pytest.mark.parametrize("change", [{"exif": "strip"}, {"verify": "header"}, {"resize_mode": "border"}])
def test_settings_that_change_while_the_site_is_gone_keep_all_pictures(here: Path, change: dict[str, Any]) -> None:
    urls = write_site(here, 9)
    write_index(here, listed(urls))
    write_params(here, verify="decode")
    scrape(here)
    lose_site(here)
    write_params(here, **change)
    assert scrape(here)["rows"] == {"in": 9, "kept": 9, "dropped": {}}
    for number, url in enumerate(urls):
        assert kept()[url]["image"]["bytes"] == prepare(jpeg(seed=number), RawScrape(**change)).data


def test_pictures_that_only_a_download_can_make_again_stand_until_it_has(here: Path) -> None:
    urls = write_site(here, 9)
    write_index(here, listed(urls))
    write_params(here, resize_mode="border", image_size=20)
    report = scrape(here)
    write_params(here, resize_mode="border", image_size=30, timeout_s=4)
    message = r"image_size changed, and 9 of 9 stored pictures are no longer as they were served.*--refetch"
    with pytest.raises(UserError, match=message):
        scrape(here)
    assert json.loads((OUT / "report.json").read_text()) == report
    (here / "site/3.jpg").unlink()
    assert scrape(here, refetch=True)["rows"] == {"in": 9, "kept": 9, "dropped": {}}
    assert {url: row["width"] for url, row in kept().items()} == {url: 30 - 10 * (url == urls[3]) for url in urls}
    assert scrape(here)["rows"]["kept"] == 9


def test_limits_that_would_refuse_many_pictures_ask_first(here: Path) -> None:
    urls = write_site(here, 9)
    write_index(here, listed(urls))
    write_params(here)
    scrape(here)
    write_params(here, max_pixels=1000)
    message = r"max_pixels changed, which refuses 9 of 9 stored pictures .image_bomb 9.; set it back"
    with pytest.raises(UserError, match=message):
        scrape(here)
    write_params(here)
    assert scrape(here)["rows"]["kept"] == 9
    write_params(here, max_pixels=1000)
    with pytest.raises(UserError, match="none of 9 rows has a picture, mostly image_bomb"):
        scrape(here, refetch=True)


def test_another_store_is_refused_until_the_files_are_there(here: Path, tmp_path: Path) -> None:
    write_index(here, listed(write_site(here, 9)))
    write_params(here)
    scrape(here)
    store = tmp_path / "elsewhere"
    write_params(here, store=str(store))
    with pytest.raises(UserError, match=r"store changed, and 4 of 4 files are not in .*elsewhere; copy"):
        scrape(here)
    store.mkdir()
    shutil.move(OUT / "dropped", store / "dropped")
    for path in OUT.glob("shard-*.parquet"):
        shutil.move(path, store / path.name)
    assert scrape(here)["rows"]["kept"] == 9
    assert not list(OUT.rglob("*.parquet"))


def test_nobody_serves_is_an_error_that_a_retry_can_mend(here: Path) -> None:
    urls = write_site(here, 9, {f"{n}.jpg": {"status": 503} for n in range(9)})
    write_index(here, listed(urls))
    write_params(here, retries=0)
    for _ in range(2):
        with pytest.raises(UserError, match=r"none of 9 rows .* mostly http_503 \(9\); .*--retry-failed=http_503"):
            scrape(here)
        assert not (OUT / "report.json").exists()
        write_site(here, 9)
    assert scrape(here, retry=["http_503"])["rows"] == {"in": 9, "kept": 9, "dropped": {}}


def test_a_crawl_of_an_earlier_version_is_built_upon(here: Path) -> None:
    urls = write_site(here, 9)
    write_index(here, listed(urls))
    write_params(here)
    scrape(here)
    lose_site(here)
    for path in (OUT / "records").glob("shard-*.json"):
        record = json.loads(path.read_text())
        del record["settings"]
        path.write_text(json.dumps(record))
    former = RawScrape().model_dump(mode="json", include={"store", "resize_mode", "image_size", "exif", "verify"})
    (OUT / "records/settings.json").write_text(json.dumps(former))
    write_index(here, listed(urls, "new"))
    write_params(here, resize_mode="border", image_size=20)
    assert scrape(here)["rows"]["kept"] == 9
    assert {(row["width"], row["text"][:3]) for row in kept().values()} == {(20, "new")}


def test_an_index_with_a_column_of_each_type_is_carried(here: Path) -> None:
    urls = write_site(here, 3)
    write_params(here)
    index = here / "data/index.parquet"
    index.parent.mkdir()
    table = pa.table(
        {
            "url": urls,
            "key": pa.array([1, None, 3], pa.int64()),
            "punsafe": pa.array([0.25, 0.5, None], pa.float32()),
            "when": pa.array([1, 2, 3], pa.timestamp("us")),
            "tags": [["a"], [], None],
            "about": [{"x": 1}, {"x": None}, None],
            "blob": [b"\xff", b"", None],
            "split": pa.array(["a", "b", "a"]).dictionary_encode(),
        }
    )
    pq.write_table(table, index)
    scrape(here)
    rows = list(read_folder(OUT))
    for name in table.column_names[1:]:
        shown = "index_split" if name == "split" else name
        assert [row[shown] for row in rows] == table[name].to_pylist()
    pq.write_table(table.append_column("more", [[1, 2, 3]]), index)
    lose_site(here)
    scrape(here)
    assert [row["more"] for row in read_folder(OUT)] == [1, 2, 3]
