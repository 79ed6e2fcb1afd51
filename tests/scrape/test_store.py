import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.data.shards import list_shards, read_folder, read_rows, store_of
from humanvlm.inspect.pages import write_page
from humanvlm.pipeline.contract import StageError, check_files
from humanvlm.scrape import store
from humanvlm.scrape.journal import Journal
from humanvlm.scrape.urls import IndexRow, sample_id

from .test_stage import here, ids, scrape, write_index, write_params, write_site

__all__ = ["here"]


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket of an S3 server on loopback."""
    server_module = pytest.importorskip("moto.server", reason="needs the dev extra (moto)")
    boto3 = pytest.importorskip("boto3", reason="needs the s3 extra")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket="crawls")
        yield "s3://crawls/photos"
    server.stop()


@pytest.mark.parametrize("kind", ["s3", "folder", "memory"])
def test_shards_go_to_any_store_and_the_artifact_keeps_their_manifest(
    here: Path, bucket: str, kind: str, tmp_path: Path
) -> None:
    store = {"s3": bucket, "folder": str(tmp_path / "elsewhere"), "memory": "memory://crawl"}[kind]
    urls = write_site(here, 20, {"3.jpg": {"status": 404}})
    write_index(here, [{"url": url, "text": "x"} for url in urls])
    write_params(here, store=store)
    out = here / "artifacts/raw_scrape"
    report = scrape(here)
    assert report["rows"] == {"in": 20, "kept": 19, "dropped": {"http_404": 1}}
    assert not list(out.rglob("*.parquet"))
    assert len(list_shards(out)) == 3
    manifest = json.loads((out / "manifest.json").read_text())
    assert [file["path"] for file in manifest["files"]][:2] == ["shard-00000.parquet", "dropped/shard-00000.parquet"]
    write_params(here)
    scrape(here, "local")
    assert ids(out) == ids(here / "local")
    assert "19 of 20 rows kept" in write_page(out).read_text()
    assert "http_404" in write_page(out, dropped=True).read_text()

    write_params(here, store=store)
    before = [row["id"] for row in read_folder(out)]
    assert scrape(here)["timings"] == report["timings"]  # up to date, by one listing
    (out / "records/shard-00001.json").unlink()
    write_site(here, 20)
    report = scrape(here, retry=["http_404"])
    assert report["rows"] == {"in": 20, "kept": 20, "dropped": {}}
    assert [path.name for path in list_shards(out)] == [f"shard-{n:05d}.parquet" for n in (0, 2, 3, 4)]
    assert [row["id"] for row in read_folder(out)][:7] == before[:7]
    store_of(out).joinpath("shard-00000.parquet").unlink()
    with pytest.raises(StageError, match=r"shard-00000\.parquet: truncated \(0 of"):
        check_files(out)


@settings(max_examples=20, deadline=None)
@given(fates=st.lists(st.sampled_from(["picture", "http_404", "forgotten", "repeated"]), max_size=90))
def test_every_outcome_of_a_shard_is_written_once(fates: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    out = tmp_path_factory.mktemp("crawl")
    journal, others = Journal(out / "journal"), {}
    for number, fate in enumerate(fates):
        row = IndexRow(f"http://x/{number}", "", (), None, None)
        if fate == "picture":
            digest = hashlib.sha256(b"picture").hexdigest()
            kept = {name: None for name in store.SCHEMA.names if name != "image"} | {
                "bytes": 7,
                "width": 9,
                "height": 9,
                "format": "JPEG",
                "sha256": digest,
            }
            journal.append(number, kept | {"id": row.id, "url": row.url}, b"picture")
        elif fate == "repeated":
            others[number] = store.no_picture(row, store.DUPLICATE)
        else:
            journal.append(number, store.no_picture(row, fate))
    result = store.write(out, 0, journal, others, {})
    journal.close()
    ids = [row["id"] for path in store.shard_paths(out, 0) for row in read_rows(path, ("id",))]
    assert sorted(ids) == sorted(sample_id(f"http://x/{number}", "") for number in range(len(fates)))
    assert result.counts.balanced
    assert (result.counts.rows_in, result.counts.kept) == (len(fates), fates.count("picture"))
