"""Takedown on a real crawl: rows, texts and pictures are gone from every file, and what is left stays up to date."""

import hashlib
import logging
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from humanvlm.data import tombstones
from humanvlm.data.shards import read_folder
from humanvlm.data.tombstones import Tombstones, of_hosts, url_hash
from humanvlm.errors import UserError
from humanvlm.pipeline.contract import check_files
from humanvlm.pipeline.runner import locked, run_stage
from humanvlm.scrape.journal import Journal
from humanvlm.scrape.urls import sample_id
from humanvlm.takedown import forget

from .small_crawl import (
    HOST,
    SETTINGS,
    STAGES,
    check_balance,
    contents,
    forget_url,
    id_of,
    kept,
    pictures,
    report_of,
    run_all,
    state,
    text_of,
    url_of,
)

pytestmark = pytest.mark.slow


def test_a_url_takes_its_picture_and_every_copy_with_it(project: Path) -> None:
    before = {name: report_of(name)["rows"] for name in STAGES}
    assert {"person", "mirrored"} <= kept("human_scenes") | {"copy"}
    (data,) = {row["image"]["bytes"] for row in read_folder(Path("artifacts/raw_scrape")) if "person" in row["url"]}
    said = forget_url("person")
    check_balance()
    assert kept("raw_scrape") == {"coffee", "worse", "mirrored", "brighter"}
    for name in STAGES[1:]:
        assert kept(name).isdisjoint({"person", "copy"}), name
        assert report_of(name)["rows"]["in"] < before[name]["in"], name
    assert report_of("raw_scrape")["rows"]["dropped"] == {"forgotten": 3, "http_404": 1}
    everything = b"\n".join(contents(Path("artifacts")))
    for name in ("person", "copy"):
        assert url_of(name).encode() not in everything
        assert text_of(name).encode() not in everything
    assert b"another text" not in everything
    assert data not in everything
    assert pictures()["mirrored"] in everything
    assert url_of("mirrored").encode() in everything  # the search finds what is there
    assert text_of("mirrored").encode() in everything
    assert "raw_scrape: 2 kept and 1 dropped rows removed" in said


def test_the_list_hides_urls_and_holds_the_closure(project: Path) -> None:
    forget_url("person")
    text = Path("tombstones.csv").read_text()
    assert HOST not in text
    listed = tombstones.load()
    ids = {id_of("person"), id_of("copy"), sample_id(url_of("person"), "another text")}
    urls = {url_hash(url_of("person")), url_hash(url_of("copy"))}
    bytes_of = {hashlib.sha256(pictures()["person"]).hexdigest()}
    assert listed == Tombstones(frozenset(ids), frozenset(urls), frozenset(bytes_of)).sealed(listed.keys)
    assert not any(value in text for value in ids | urls | bytes_of)


def test_any_spelling_takes_the_picture(project: Path) -> None:
    forget.forget(Tombstones(urls=frozenset([url_hash(f"https://me:word@{HOST.upper()}.:443/x/../%70erson.jpg#top")])))
    assert kept("raw_scrape") == {"coffee", "worse", "mirrored", "brighter"}
    assert run_stage("raw_scrape", Path("params.yaml"), SETTINGS, force=True)["rows"]["dropped"]["forgotten"] == 3


def test_an_address_of_a_copy_takes_the_picture(project: Path) -> None:
    """Also where only ``also_at`` tells of it, and with all addresses that it has there."""
    shutil.rmtree("artifacts/raw_scrape")
    (project / "artifacts/human_scenes/dropped").rename(project / "dropped")
    first, other = sorted({"person", "copy"}, key=lambda name: name not in kept("human_scenes"))
    assert first in kept("human_scenes")
    forget_url(other)
    assert first not in kept("human_scenes")
    assert all(tombstones.load().covers(url=url_of(name)) for name in ("person", "copy"))


def test_the_first_takedown_makes_a_key_and_says_so(project: Path) -> None:
    Path("tombstones.key").unlink()
    assert "tombstones.key: made; without it the list is of no use" in forget_url("mirrored")
    assert "made;" not in forget_url("person")
    Path("tombstones.key").unlink()
    with pytest.raises(UserError, match=r"tombstones\.csv:2: sealed with key"):
        run_stage("raw_scrape", Path("params.yaml"), SETTINGS)
    with pytest.raises(UserError, match="get that key from whoever shares this list"):
        forget_url("coffee")


def test_contact_sheets_are_drawn_without_the_picture(project: Path) -> None:
    sheets = ["raw_scrape/contact.jpg", "human_scenes/plots/kept.png", "human_caption/plots/contact_sheet.png"]
    before = {name: Path("artifacts", name).read_bytes() for name in sheets}
    forget_url("mirrored")
    for name, old in before.items():
        assert Path("artifacts", name).read_bytes() != old, name
    assert url_of("mirrored").encode() not in b"\n".join(contents(Path("artifacts")))


def test_artifacts_stay_up_to_date(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    forget_url("mirrored")
    with caplog.at_level(logging.INFO, "humanvlm"):
        run_all()
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        f"{name}: up to date" for name in STAGES
    ]


def test_later_artifacts_are_what_their_stage_would_make(project: Path) -> None:
    """But for near duplicates of a forgotten picture, which stay dropped, and for what other pictures' conversations
    ask about: it was drawn by what all pictures showed."""
    forget_url("mirrored")
    found = [report_of(name) for name in STAGES[1:]]
    rows = {report["stage"]: but_conversations(report["stage"]) for report in found}
    for report in found:
        name = report["stage"]
        made = run_stage(name, Path("params.yaml"), SETTINGS, force=True)
        if name == "human_caption_hq":
            assert [file["path"] for file in made["outputs"]] == [file["path"] for file in report["outputs"]]
        else:
            assert made["outputs"] == report["outputs"]
        assert but_conversations(name) == rows[name]
        assert made["rows"] == report["rows"]
        assert made["fingerprint"] == report["fingerprint"]


def but_conversations(stage: str) -> list[dict[str, Any]]:
    rows = read_folder(Path("artifacts") / stage)
    return [{name: value for name, value in row.items() if name != "conversations"} for row in rows]


def test_an_artifact_that_was_out_of_date_stays_so(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = (*SETTINGS, "human_scenes.min_sharpness=1.5")
    run_stage("human_scenes", Path("params.yaml"), other)
    forget_url("mirrored")
    with caplog.at_level(logging.INFO, "humanvlm"):
        run_stage("human_scenes", Path("params.yaml"), other)
        run_stage("human_caption", Path("params.yaml"), other)
    assert "human_scenes: up to date" in caplog.text
    assert "human_caption: up to date" not in caplog.text


def test_a_second_time_changes_nothing(project: Path) -> None:
    forget_url("person")
    before = state(project)
    said = forget_url("person")
    assert state(project) == before
    assert "0 new" in said
    assert "rows removed" not in said


def test_what_is_unknown_is_recorded(project: Path) -> None:
    said = forget.forget(Tombstones(frozenset(["0" * 20]), pictures=frozenset(["f" * 64])))
    assert "in no artifact: 2 of 2 asked for" in said
    listed = tombstones.load()
    assert listed == Tombstones(frozenset(["0" * 20]), pictures=frozenset(["f" * 64])).sealed(listed.keys)
    check_balance()


def test_a_dropped_row_is_kept_as_id_and_reason(project: Path) -> None:
    forget.forget(Tombstones(ids=frozenset([id_of("absent")])))
    drops = {row["id"]: row for row in read_folder(Path("artifacts/raw_scrape/dropped"))}
    row = drops[id_of("absent")]
    assert (row["url"], row["reason"], row["detail"]) == ("", "forgotten", "was http_404")
    assert report_of("raw_scrape")["rows"]["dropped"] == {"duplicate_url": 1, "forgotten": 1}
    check_balance()


def test_a_new_crawl_does_not_bring_it_back(project: Path) -> None:
    forget_url("person")
    for name in STAGES:
        run_stage(name, Path("params.yaml"), SETTINGS, force=True)
    check_balance()
    assert kept("raw_scrape") == {"coffee", "worse", "mirrored", "brighter"}
    assert report_of("raw_scrape")["rows"]["dropped"]["forgotten"] == 3
    everything = b"\n".join(contents(Path("artifacts")))
    for name in ("person", "copy"):
        assert url_of(name).encode() not in everything
        assert text_of(name).encode() not in everything


def test_artifacts_in_other_folders_are_cleaned(project: Path) -> None:
    shutil.copytree("artifacts/human_caption", "runs/tried")
    assert "runs/tried: 1 kept and 0 dropped rows removed" in forget_url("mirrored")
    assert url_of("mirrored").encode() not in b"\n".join(contents(Path("runs")))
    check_files(Path("runs/tried"))


def test_older_artifacts_are_cleaned_when_they_come_back(project: Path) -> None:
    """As after ``dvc checkout`` of an earlier version: by human_scenes itself, and by the command without a list."""
    older = project.parent / "older"
    shutil.copytree("artifacts", older)
    forget_url("person")
    shutil.rmtree("artifacts")
    shutil.move(older, "artifacts")
    report = run_stage("human_scenes", Path("params.yaml"), SETTINGS)
    assert report["rows"]["dropped"]["forgotten"] == 2
    assert kept("human_scenes").isdisjoint({"person", "copy"})
    dropped = [row for row in read_folder(Path("artifacts/human_scenes/dropped")) if row["reason"] == "forgotten"]
    assert {row["url"] for row in dropped} == {""}
    assert "person" in kept("raw_scrape")
    forget.forget(Tombstones())
    run_all()
    assert kept("raw_scrape") == {"coffee", "worse", "mirrored", "brighter"}
    check_balance()


@pytest.fixture(scope="module")
def finished(made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The reports after a takedown that was not interrupted."""
    folder = tmp_path_factory.mktemp("finished") / "project"
    shutil.copytree(made, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        forget_url("person")
        return {name: report_of(name) for name in STAGES}


@pytest.mark.parametrize(
    ("step", "call"),
    [
        ("remove_rows", 1),  # before it is called for the first time, ...
        ("write_dropped", 1),  # after a file is in place
        ("filter_shard", 1),
        ("filter_shard", 3),
        ("_renew_record", 2),
        ("_renew_report", 1),
        ("_illustrate", 2),
        ("write_json", 1),
        ("write_json", 3),
    ],
)
def test_killed_at_any_step_it_completes(
    project: Path, finished: dict[str, dict[str, Any]], step: str, call: int
) -> None:
    script = f"""
import os, signal
from humanvlm.takedown import forget
from humanvlm.data.tombstones import Tombstones, of_hosts, url_hash
real, calls, writes = forget.{step}, 0, {step!r}.split("_")[0] in ("write", "filter")
def dying(*arguments):
    global calls
    calls += 1
    result = real(*arguments) if writes or calls < {call} else None
    if calls == {call}:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
forget.{step} = dying
forget.forget(Tombstones(urls=frozenset([url_hash({url_of("person")!r})])))
"""
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert tombstones.load().covers(url=url_of("person"))
    forget_url("person")
    check_balance()
    for name, whole in finished.items():
        found = report_of(name)
        assert found["rows"] == whole["rows"], name
        assert found["outputs"] == whole["outputs"], name
        assert found["fingerprint"] == whole["fingerprint"], name


def test_a_crawl_under_way_loses_the_row_too(project: Path) -> None:
    journals = Path("artifacts/raw_scrape/.work/journal")
    for name in ("late", "other"):
        journal = Journal(journals / f"shard-{name}")
        data = name.encode()
        row = {"id": id_of(name), "url": url_of(name), "sha256": hashlib.sha256(data).hexdigest()}
        journal.append(0, row, data)
        journal.close()
    forget_url("late")
    assert [path.name for path in journals.iterdir()] == ["shard-other"]
    assert tombstones.load().covers(sha256=hashlib.sha256(b"late").hexdigest())


def test_shards_in_a_store_are_cleaned_there(project: Path) -> None:
    shutil.rmtree("artifacts")
    run_stage("raw_scrape", Path("params.yaml"), (*SETTINGS, f"raw_scrape.store={project / 'store'}"))
    assert not list(Path("artifacts").rglob("*.parquet"))
    forget_url("person")
    everything = b"\n".join([*contents(project / "store"), *contents(Path("artifacts"))])
    assert text_of("person").encode() not in everything
    assert text_of("mirrored").encode() in everything
    assert kept("raw_scrape") == {"coffee", "worse", "mirrored", "brighter"}
    check_files(Path("artifacts/raw_scrape"))
    assert report_of("raw_scrape")["rows"] == {"in": 8, "kept": 4, "dropped": {"forgotten": 3, "http_404": 1}}


def test_an_artifact_without_what_it_was_made_from(project: Path) -> None:
    shutil.rmtree("artifacts/raw_scrape")
    forget_url("mirrored")
    assert "mirrored" not in kept("human_scenes")
    check_files(Path("artifacts/human_scenes"))
    assert url_of("mirrored").encode() not in b"\n".join(contents(Path("artifacts")))


def test_a_site_goes_with_its_subdomains(project: Path) -> None:
    said = forget.forget(of_hosts(["example.org", "photos.example"]))
    assert "in no artifact: 1 of 2 asked for" in said  # example.org
    assert kept("raw_scrape") == set()
    assert report_of("raw_scrape")["rows"] == {"in": 8, "kept": 0, "dropped": {"forgotten": 8}}
    check_balance()
    everything = b"\n".join(contents(Path("artifacts")))
    for name in pictures():
        assert url_of(name).encode() not in everything
        assert pictures()[name] not in everything
    assert HOST.encode() not in Path("tombstones.csv").read_bytes()
    assert run_stage("raw_scrape", Path("params.yaml"), SETTINGS, force=True)["rows"]["kept"] == 0


def test_a_host_keeps_new_addresses_away(project: Path) -> None:
    forget.forget(of_hosts([HOST]))
    rows = [{"url": f"http://www.{HOST}/new.jpg", "text": "new"}]
    pq.write_table(pa.Table.from_pylist(rows), "data/index.parquet")
    report = run_stage("raw_scrape", Path("params.yaml"), SETTINGS)
    assert report["rows"]["dropped"]["forgotten"] >= 1
    assert report["rows"]["kept"] == 0


def test_near_duplicates_are_named(project: Path) -> None:
    dropped = {Path(row["url"]).stem: row for row in read_folder(Path("artifacts/human_scenes/dropped"))}
    assert dropped["worse"]["reason"] == "near_duplicate"
    assert f"1 near duplicates: {id_of('worse')}" in forget_url("person")
    assert "worse" in kept("raw_scrape")
    assert "near duplicates" not in forget.forget(Tombstones(), near_duplicates=True)
    assert kept("raw_scrape") == {"coffee", "mirrored", "brighter"}
    check_balance()


def test_a_near_duplicate_is_named_by_no_row_that_stays(project: Path) -> None:
    """The rows that stay are what their stage would make of what is left."""
    forget_url("worse")
    assert "person" in kept("human_scenes")
    check_files(Path("artifacts/human_scenes"))
    assert url_of("worse").encode() not in b"\n".join(contents(Path("artifacts")))
    report = report_of("human_scenes")
    made = run_stage("human_scenes", Path("params.yaml"), SETTINGS, force=True)
    assert made["outputs"] == report["outputs"]
    assert made["fingerprint"] == report["fingerprint"]


def test_near_duplicates_may_be_taken_at_once(project: Path) -> None:
    """Also when the one that is named is the one that was dropped."""
    named = Tombstones(ids=frozenset([id_of("worse")]))
    forget.forget(named, near_duplicates=True)
    assert kept("raw_scrape") == {"coffee", "mirrored", "brighter"}
    check_balance()


def test_a_running_stage_is_not_disturbed(project: Path) -> None:
    before = state(project)
    with locked(Path("artifacts/stage1_checkpoint")):
        Path("artifacts/stage1_checkpoint").mkdir()
        with pytest.raises(UserError, match="another process is writing it"):
            forget_url("person")
        Path("artifacts/stage1_checkpoint").rmdir()
    assert state(project) == before


def test_command_line(project: Path) -> None:
    def humanvlm(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "humanvlm.cli", "forget", *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True)

    done = humanvlm("--urls", "-", text=f"# by request\n{url_of('person')}\n")
    assert done.returncode == 0, done.stderr
    assert "artifacts/raw_scrape: 2 kept" in done.stdout
    wrong = humanvlm("--ids", "-", text="abc\n")
    assert wrong.returncode == 2
    assert wrong.stderr == "humanvlm: -:1: 'abc' must be a sample id, 20 hex digits\n"
    again = humanvlm()
    assert again.returncode == 0
    assert "0 new" in again.stdout
    site = humanvlm("--hosts", "www.example.org", HOST)
    assert "artifacts/raw_scrape: 4 kept" in site.stdout
    for arguments in ("--hosts",), ("photos.example",):
        assert humanvlm(*arguments).stderr.startswith("humanvlm: --hosts: name the sites")
