"""Whatever happens between two crawls, and at whatever moment one is killed, what was fetched stays."""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from humanvlm.config.raw_scrape import RawScrape
from humanvlm.data.shards import read_folder
from humanvlm.pipeline.contract import RefusalError, StageError
from humanvlm.scrape import crawl as crawling
from humanvlm.scrape.crawl import Partition, crawl
from humanvlm.scrape.fetch import Fetched
from humanvlm.scrape.hosts import Turn
from humanvlm.scrape.journal import Journal
from humanvlm.scrape.picture import prepare
from humanvlm.scrape.progress import Progress
from humanvlm.scrape.reasons import RefusedError
from humanvlm.scrape.report import MANIFEST, Shown
from humanvlm.scrape.statistics import merged
from humanvlm.scrape.urls import sample_id

from .conftest import jpeg
from .test_stage import scrape, write_params

NUMBERS = range(9)
SETTINGS: list[dict[str, Any]] = [
    {},
    {"exif": "strip"},
    {"verify": "header"},
    {"max_pixels": 60_000_000},
    {"encode_quality": 80},
    {"resize_mode": "keep_ratio", "image_size": 12},
    {"resize_mode": "border", "image_size": 20, "exif": "strip"},
]
OUT = Path("artifacts/raw_scrape")


class KilledError(BaseException):
    """What stands for SIGKILL: from here on nothing is written."""


def picture(number: int) -> bytes:
    """Some lie on their side, and so are never stored as served."""
    return jpeg(24, 16, orientation=6 if number % 4 == 3 else None, seed=number)


def address(number: int) -> str:
    return f"http://a.test/{number}.jpg"


class Crawls(RuleBasedStateMachine):
    """A project, its index and its web. requests: made of each URL; allowed: as many at most; owed: what a run was
    asked to fetch again and was killed before, so that the next one may."""

    def __init__(self) -> None:
        super().__init__()
        self.home, self.before = Path(mkdtemp()), Path.cwd()
        os.chdir(self.home)
        self.patch = pytest.MonkeyPatch()
        self.patch.setenv("HUMANVLM_WORKERS", "1")
        self.patch.setenv("MLFLOW_TRACKING_URI", "none")
        self.patch.setattr(crawling, "_over_http", self.over_web)
        self.patch.setattr("humanvlm.scrape.stage.present", present)
        for owner, name in ((Path, "replace"), (Path, "unlink"), (shutil, "rmtree"), (Journal, "append")):
            self.patch.setattr(owner, name, self.mortal(getattr(owner, name)))
        self.left: int | None = None
        self.index: list[dict[str, Any]] = []
        self.extra = False
        self.config: dict[str, Any] = {}
        self.lost: set[int] = set()
        self.requests: Counter[str] = Counter()
        self.allowed: Counter[str] = Counter()
        self.in_flight: set[str] = set()
        self.owed: set[str] = set()
        self.stored: set[str] = set()
        self.failed_again: set[str] = set()
        self.edits = 0

    def teardown(self) -> None:
        self.patch.undo()
        os.chdir(self.before)
        shutil.rmtree(self.home)

    # The web, and death

    async def over_web(self, partition: Partition) -> Progress:
        return await crawl(partition, self.download)

    async def download(self, url: str, turn: Turn) -> Fetched:
        self.tick()
        self.requests[url] += 1
        self.in_flight.add(url)
        number = int(url.rsplit("/", 1)[1].removesuffix(".jpg"))
        if number in self.lost:
            raise RefusedError("http_404", status=404)
        return Fetched(url, 200, picture(number), 0)

    def mortal(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.tick()
            found = function(*arguments, **named)
            if isinstance(arguments[0], Journal):
                self.in_flight.discard(arguments[2]["url"])
            self.tick()
            return found

        return call

    def tick(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KilledError

    # What happens between two crawls

    @initialize(count=st.integers(2, 9))
    def begin(self, count: int) -> None:
        self.add([*range(count)], 0)

    @rule(numbers=st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=4), at=st.integers(0, 9))
    def add(self, numbers: list[int], at: int) -> None:
        rows = [{"url": address(number), "captions": [f"picture {number}"], "license": None} for number in numbers]
        self.index[at:at] = rows

    @rule(at=st.integers(0, 9), count=st.integers(1, 3))
    def remove(self, at: int, count: int) -> None:
        if len(self.index) > count:
            del self.index[at : at + count]

    @rule(order=st.randoms(use_true_random=False))
    def shuffle(self, order: Any) -> None:
        order.shuffle(self.index)

    @rule(at=st.integers(0, 9), what=st.sampled_from(["correct", "add", "license"]))
    def edit(self, at: int, what: str) -> None:
        if at < len(self.index):
            self.edits += 1
            row = dict(self.index[at])
            if what == "license":
                row["license"] = f"licence {self.edits}"
            else:
                row["captions"] = [*(row["captions"] if what == "add" else []), f"text {self.edits}"]
            self.index[at] = row

    @rule()
    def add_or_remove_a_column(self) -> None:
        self.extra = not self.extra

    @rule(number=st.sampled_from(NUMBERS))
    def lose_or_find(self, number: int) -> None:
        self.lost ^= {number}

    @rule(config=st.sampled_from(SETTINGS))
    def change_settings(self, config: dict[str, Any]) -> None:
        self.config = config

    # A crawl

    @precondition(lambda self: self.index)
    @rule(
        kill_after=st.one_of(st.none(), st.integers(0, 120)),
        retry=st.booleans(),
        go_ahead=st.booleans(),
    )
    def run(self, kill_after: int | None, retry: bool, go_ahead: bool) -> None:
        self.write()
        for remove_missing, refetch in ((False, False), (True, False), (True, True)):
            complete = (OUT / "report.json").exists() or (OUT / ".work" / "former.json").exists()
            self.left, self.in_flight = kill_after, set()
            asked = retry or refetch
            before = Counter(self.requests)
            try:
                report = scrape(Path(), retry=["all"] if retry else [], refetch=refetch, remove_missing=remove_missing)
            except KilledError:
                self.killed(before, asked)
                return
            except RefusalError as refusal:
                self.left = None
                assert complete == (OUT / "report.json").exists()
                assert before == self.requests
                if "--refetch" in str(refusal) and not go_ahead:
                    return
                continue
            except StageError:  # no row has a picture
                self.left = None
                assert not self.stored & self.listed()
                self.settle(before, asked)
                return
            self.left = None
            self.settle(before, asked)
            self.check(report, refetch)
            return
        raise AssertionError("refused though told to go ahead")

    def listed(self) -> set[str]:
        return {row["url"] for row in self.index}

    def write(self) -> None:
        Path("data").mkdir(exist_ok=True)
        table = pa.Table.from_pylist(
            [row | ({"score": len(row["captions"][-1]) / 7} if self.extra else {}) for row in self.index],
            schema=pa.schema(
                [
                    ("url", pa.string()),
                    ("captions", pa.list_(pa.string())),
                    ("license", pa.string()),
                    *([("score", pa.float32())] if self.extra else []),
                ]
            ),
        )
        pq.write_table(table, "data/index.parquet", row_group_size=4)
        write_params(self.home, local_hosts={}, rows_per_shard=3, **self.config)

    def killed(self, before: Counter[str], asked: bool) -> None:
        self.left = None
        for url in self.in_flight:
            self.allowed[url] += 1
        self.allow(before, asked)
        if asked:
            self.owed |= self.listed()
        self.owed -= (self.requests - before).keys()
        self.within()

    def settle(self, before: Counter[str], asked: bool) -> None:
        self.allow(before, asked)
        self.owed.clear()
        self.within()
        for url in set(self.requests) - self.listed():  # forgotten: may come again
            self.allowed[url] = self.requests[url]

    def allow(self, before: Counter[str], asked: bool) -> None:
        made = self.requests - before
        self.allowed += made if asked else Counter({url: 1 for url in made if url in self.owed})

    def within(self) -> None:
        for url, made in self.requests.items():
            assert made <= self.allowed[url] + 1, (url, made, self.allowed)

    def check(self, report: dict[str, Any], refetched: bool) -> None:
        kept = {row["url"]: row for row in read_folder(OUT)}
        dropped = list(read_folder(OUT / "dropped"))
        assert report["rows"]["in"] == len(self.index) == len(kept) + len(dropped)
        assert report["rows"]["kept"] == len(list(read_folder(OUT, ("id",)))) == len(kept)
        first = {row["url"]: row for row in reversed(self.index)}
        assert self.stored & self.listed() <= kept.keys() <= first.keys()
        ids = Counter(sample_id(row["url"], row["captions"][0]) for row in self.index)
        assert ids == Counter(row["id"] for row in (*kept.values(), *dropped))
        for url, row in kept.items():
            source = first[url]
            assert (row["text"], row["captions"]) == (source["captions"][0], list(dict.fromkeys(source["captions"])))
            assert row["license"] == source["license"]
            assert ("score" in row) == self.extra
            if self.extra:
                assert abs(row["score"] - len(source["captions"][-1]) / 7) < 1e-6
            data = row["image"]["bytes"]
            assert hashlib.sha256(data).hexdigest() == row["sha256"]
            number = int(url.rsplit("/", 1)[1].removesuffix(".jpg"))
            original = picture(number)
            assert row["source_sha256"] == hashlib.sha256(original).hexdigest()
            if refetched and number in self.lost:
                self.failed_again.add(url)
            elif refetched or url not in self.stored:
                self.failed_again.discard(url)
            if url not in self.failed_again:
                assert data == prepare(original, RawScrape(**self.config)).data
        self.stored = set(kept)
        assert not (OUT / ".work").exists()


def present(out: Path, counts: Any, results: Any) -> Shown:
    """The figures without the plots."""
    (out / MANIFEST).write_text(json.dumps([result.counts.kept for result in results]))
    return Shown(merged(result.info for result in results), [])


EXAMPLES = int(os.environ.get("HUMANVLM_STATE_EXAMPLES", "12"))


TestCrawls = Crawls.TestCase
TestCrawls.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
