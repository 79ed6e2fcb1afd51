"""A crawl that is killed again and again with SIGKILL, and what it loses by that: nothing but the requests in flight.

One crawl of a loopback server runs undisturbed. The same crawl then starts anew, and its whole process group is killed
at random moments: while it starts, while it downloads and writes shards, and while it finishes. After each kill every
row that has an outcome on the disk is noted. None of them may be asked for again or be lost, and the completed crawl
must equal the undisturbed one. Prints a table, and the same figures as one JSON object in the last line.
"""

import argparse
import io
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from humanvlm.config.profiles import profile_path
from humanvlm.data.shards import read_rows, shard_name
from humanvlm.scrape.journal import Journal
from humanvlm.scrape.local_server import HEADERS_FILE, Handler, Server, read_folder
from humanvlm.scrape.store import DUPLICATE, read_records

# Small indexes are one process's work; here several share them.
COMMAND = """
import humanvlm.scrape.stage as stage
stage.MIN_PARTITION_ROWS = {partition_rows}
from humanvlm.cli import main
main()
"""
CONCURRENCY = 8
FAILURES: tuple[Mapping[str, Any], ...] = (
    {"status": 404},
    {"status": 503},
    {"truncate": 300},
    {"headers": {"X-Robots-Tag": "noai"}},
)
FAILURE_EVERY = 12
REPEATED_EVERY = 50  # rows whose URL another row has


class CountingHandler(Handler):
    server: "CountingServer"

    def do_GET(self) -> None:  # noqa: N802
        self.server.count(self.path)
        super().do_GET()


class CountingServer(Server):
    """hits: requests by path, of pictures alone. first, last: when they came, by ``time.monotonic``."""

    def __init__(self, folder: Path) -> None:
        super().__init__({"": read_folder(folder)}, 0)
        self.RequestHandlerClass = CountingHandler
        self.lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        self.hits: Counter[str] = Counter()
        self.first = self.last = math.inf

    def count(self, path: str) -> None:
        if path.endswith(".jpg"):
            with self.lock:
                self.hits[path] += 1
                self.last = time.monotonic()
                self.first = min(self.first, self.last)


@contextmanager
def serve(folder: Path) -> Iterator[CountingServer]:
    """Serve the folder on 127.0.0.1 while the block runs; the server outlives the crawls."""
    server = CountingServer(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()


def write_site(folder: Path, count: int, seconds: float, rng: random.Random) -> None:
    """Pictures whose answers are so slow that all take about ``seconds``; one in some has a fault."""
    folder.mkdir()
    behaviours = {}
    for number in range(count):
        name = f"{number:05d}.jpg"
        pixels = np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        sink = io.BytesIO()
        Image.fromarray(pixels).save(sink, "JPEG")
        (folder / name).write_bytes(sink.getvalue())
        failure = rng.choice(FAILURES) if number % FAILURE_EVERY == 0 else {}
        behaviours[name] = {"delay_s": seconds * CONCURRENCY / count * rng.uniform(0.5, 1.5), **failure}
    (folder / HEADERS_FILE).write_text(json.dumps(behaviours))


@dataclass(frozen=True)
class Crawl:
    """One project folder and how its crawl is run."""

    folder: Path
    server: CountingServer
    processes: int
    partition_rows: int

    @property
    def out(self) -> Path:
        return self.folder / "artifacts" / "raw_scrape"

    def prepare(self, rows: int, rows_per_shard: int) -> None:
        (self.folder / "data").mkdir(parents=True)
        address = f"http://127.0.0.1:{self.server.server_address[1]}"
        urls = [f"{address}/{number:05d}.jpg" for number in range(rows)]
        urls += urls[::REPEATED_EVERY]
        table = pa.table({"url": urls, "text": [f"picture {number}" for number in range(len(urls))]})
        pq.write_table(table, self.folder / "data" / "index.parquet")
        params = yaml.safe_load(profile_path("cpu").read_text(encoding="utf-8"))
        limits = {"concurrency": CONCURRENCY, "per_host": CONCURRENCY, "rows_per_shard": rows_per_shard}
        params["raw_scrape"] = {"allow_private_hosts": [address.removeprefix("http://")], **limits}
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")

    def start(self) -> subprocess.Popen[bytes]:
        """The command in a process group of its own."""
        command = [sys.executable, "-c", COMMAND.format(partition_rows=self.partition_rows), "raw_scrape"]
        env = os.environ | {"HUMANVLM_WORKERS": str(self.processes), "MLFLOW_TRACKING_URI": "none"}
        log = (self.folder / "log").open("ab")
        with log:
            return subprocess.Popen(
                [*command, "--params", "params.yaml"], cwd=self.folder, env=env, stderr=log, start_new_session=True
            )

    def complete(self) -> dict[str, Any]:
        """Run it to the end: its report. Raises RuntimeError with the end of its log when it fails."""
        with self.start() as process:
            status = process.wait()
        if status:
            raise RuntimeError(f"exit status {status}: {(self.folder / 'log').read_text()[-2000:]}")
        return json.loads((self.out / "report.json").read_text())  # type: ignore[no-any-return]

    def settled(self) -> tuple[set[str], int]:
        """Paths of pictures that have an outcome on the disk; how many journals have a record that was cut short."""
        urls: set[str] = set()
        for number in read_records(self.out):
            urls.update(row["url"] for row in read_rows(self.out / shard_name(number), ("url",)))
            dropped = read_rows(self.out / "dropped" / shard_name(number), ("url", "reason"))
            urls.update(row["url"] for row in dropped if row["reason"] != DUPLICATE)
        torn = 0
        with tempfile.TemporaryDirectory() as work:
            for path in (self.out / ".work" / "journal").glob("shard-*"):
                copy = Path(shutil.copy(path, work))  # to open a journal is to cut it
                journal = Journal(copy)
                journal.close()
                urls.update(entry.row["url"] for entry in journal.entries.values())
                torn += copy.stat().st_size < path.stat().st_size
        return {f"/{url.rsplit('/', 1)[1]}" for url in urls}, torn

    def outcome(self) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
        """Ids of kept rows with the sha256 of their pictures, and of dropped rows with their reasons."""
        kept = {(row["id"], row["sha256"]) for row in self._rows(self.out, "sha256")}
        return kept, {(row["id"], row["reason"]) for row in self._rows(self.out / "dropped", "reason")}

    def _rows(self, folder: Path, column: str) -> Iterator[dict[str, Any]]:
        for path in sorted(folder.glob("shard-*.parquet")):
            yield from read_rows(path, ("id", column))


@dataclass(frozen=True)
class Pace:
    """How long an undisturbed crawl takes, in seconds: until its first request, to its last, and from there on."""

    start: float
    crawl: float
    finish: float

    def moment(self, rng: random.Random, left: float, kills: int) -> float:
        """When to kill next, in seconds: a random moment of a run as fast as the undisturbed one.

        left: the share of the rows without an outcome. Uniform between 0 and start-up plus ``span``, where the latter
        makes the mean progress, span² / (2 (start + span)), such that the rows are done after nine tenths of ``kills``;
        but no later than the end.
        """
        remaining = self.crawl * left + self.finish
        progress = remaining / max(0.9 * kills, 1)
        span = progress + math.sqrt(progress**2 + 2 * progress * self.start)
        end = self.start + min(span, remaining)
        return rng.uniform(0, end if left else end / 2)  # with nothing to ask for, no process has to be started


@dataclass
class Toll:
    """What the kills did. phases: how many came when. lost, again: rows with an outcome that vanished, or that were
    asked for once more."""

    kills: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    torn_journals: int = 0
    lost: int = 0
    again: int = 0


def undisturbed(crawl: Crawl) -> tuple[dict[str, Any], Pace]:
    begin = time.monotonic()
    report = crawl.complete()
    server = crawl.server
    return report, Pace(server.first - begin, server.last - server.first, time.monotonic() - server.last)


def kill_repeatedly(crawl: Crawl, pace: Pace, total: int, kills: int, rng: random.Random) -> Toll:
    """Start the crawl and kill it ``kills`` times, unless it completes before."""
    toll = Toll()
    settled: dict[str, int] = {}  # path -> requests when its outcome was first seen
    print(f"{'kill':>4}  {'at s':>7}  {'while':<9}  {'rows with an outcome':>20}  {'requests':>8}", flush=True)
    while toll.kills < kills:
        left, before = total - len(settled), crawl.server.hits.total()
        moment = pace.moment(rng, left / total, kills - toll.kills)
        begin, crawl.server.first = time.monotonic(), math.inf
        if not killed(crawl, moment, pace.start if left else 0.0):
            break
        time.sleep(0.1)  # requests on their way are counted
        found, torn = crawl.settled()
        hits = crawl.server.hits
        toll.lost += len(settled.keys() - found)
        toll.again += sum(hits[path] != count for path, count in settled.items())
        settled = {path: hits[path] for path in found}
        under_way = hits.total() > before or (not left and moment >= pace.start)
        phase = "starting" if not under_way else "crawling" if len(settled) < total else "finishing"
        toll.phases[phase] += 1
        toll.torn_journals += torn
        toll.kills += 1
        if crawl.server.first < math.inf:  # the machine may be faster or slower by now
            pace = replace(pace, start=crawl.server.first - begin)
        print(f"{toll.kills:>4}  {moment:>7.2f}  {phase:<9}  {len(settled):>20}  {hits.total():>8}", flush=True)
    crawl.complete()
    toll.again += sum(crawl.server.hits[path] != count for path, count in settled.items())
    return toll


def killed(crawl: Crawl, moment: float, start: float) -> bool:
    """Run the crawl and kill it at a moment; False when it was complete before.

    start: moments after it are counted from the first request, whenever that comes.
    """
    before = crawl.server.hits.total()
    with crawl.start() as process:
        if 0 < start <= moment:
            while process.poll() is None and crawl.server.hits.total() == before:
                time.sleep(0.005)
            moment -= start
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    if process.returncode > 0:
        raise RuntimeError(f"exit status {process.returncode}: {(crawl.folder / 'log').read_text()[-2000:]}")
    return process.returncode == -signal.SIGKILL


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000, help="pictures (default 1000)")
    parser.add_argument("--kills", type=int, default=50, help="default 50")
    parser.add_argument("--seconds", type=float, default=60, help="the server takes so long in all (default 60)")
    parser.add_argument("--rows-per-shard", type=int, default=100, help="default 100")
    parser.add_argument("--processes", type=int, default=2, help="of the crawl (default 2)")
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        write_site(Path(folder) / "site", options.rows, options.seconds, rng)
        with serve(Path(folder) / "site") as server:
            runs = {}
            for name in ("undisturbed", "killed"):
                partition_rows = -(-options.rows // options.processes)
                runs[name] = Crawl(Path(folder) / name, server, options.processes, partition_rows)
                runs[name].prepare(options.rows, options.rows_per_shard)
            report, pace = undisturbed(runs["undisturbed"])
            requests = server.hits.total()
            print(
                f"undisturbed: {pace.start:.1f} s to start, {pace.crawl:.1f} s to crawl, {pace.finish:.1f} s to finish"
            )
            server.reset()
            begin = time.monotonic()
            toll = kill_repeatedly(runs["killed"], pace, options.rows, options.kills, rng)
            seconds = time.monotonic() - begin
            final = json.loads((runs["killed"].out / "report.json").read_text())
            equal = runs["killed"].outcome() == runs["undisturbed"].outcome() and final["rows"] == report["rows"]
            figures = {
                "kills": toll.kills,
                **{f"kills_while_{phase}": toll.phases[phase] for phase in ("starting", "crawling", "finishing")},
                "journals_cut_short": toll.torn_journals,
                "rows": final["rows"]["in"],
                "kept": final["rows"]["kept"],
                "dropped": final["rows"]["dropped"],
                "equal_to_undisturbed": equal,
                "outcomes_lost": toll.lost,
                "outcomes_asked_for_again": toll.again,
                "requests": server.hits.total(),
                "requests_undisturbed": requests,
                "requests_repeated": server.hits.total() - requests,
                "seconds": round(seconds, 1),
            }
    for key, value in figures.items():
        print(f"{key:<28}{value}")
    print(json.dumps(figures))
    if not equal or toll.lost or toll.again:
        sys.exit(1)


if __name__ == "__main__":
    main()
