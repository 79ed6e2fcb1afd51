"""Planning and bookkeeping of a crawl at full size: time, and memory of the whole process tree.

1. An index of 50 million URLs, 3 % of them repeated, is planned: for a fresh crawl, and when nine tenths are done.
2. `raw_scrape` runs over 10 million rows with a simulated transport: of the real stage only the network is missing.
   Seven rows in ten get a small picture after 10 ms, the others fail for various reasons.

The indexes are written once, to .state/bench. Prints a table, and the same figures as one JSON object in the last line.
"""

import argparse
import asyncio
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, BinaryIO

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray
from PIL import Image

from humanvlm.config.profiles import profile_path
from humanvlm.data.atomic_io import atomic_file
from humanvlm.index.build import SCHEMA
from humanvlm.pipeline.runner import run_stage
from humanvlm.scrape import stage
from humanvlm.scrape.addresses import parse_url
from humanvlm.scrape.crawl import Partition, crawl
from humanvlm.scrape.fetch import Fetched
from humanvlm.scrape.hosts import Turn
from humanvlm.scrape.progress import Progress
from humanvlm.scrape.reasons import RefusedError
from humanvlm.scrape.reconcile import PICTURE, Known, id_hashes, reconciled, salt, state, url_hashes
from humanvlm.scrape.reconcile import REPEAT as REPEATED
from humanvlm.scrape.urls import sample_id

HOME = Path(__file__).parents[1] / ".state" / "bench"
CHUNK = 100_000
ROW_GROUP = 10_000  # as `humanvlm index` writes them
REPEAT = 33  # every 33rd row has the URL of an earlier one
HOSTS = 40_000
STEP = 5000
LATENCY_S = 0.01
SAMPLE_S = 0.25
SYLLABLES = ["ba", "ne", "lo", "mi", "ru", "ta", "ke", "so", "vi", "pu", "da", "fe", "go", "hi", "ju", "wa"]
WORDS = pa.array([first + second for first in SYLLABLES for second in SYLLABLES])
# Of 1,000 rows; the rest get a picture.
FAILURES = {
    "http_404": 120, "dns_error": 50, "timeout": 40, "connect_error": 30, "http_403": 25, "not_an_image": 20,
    "robots_disallowed": 10, "http_500": 5,
}  # fmt: skip


def write_index(path: Path, rows: int) -> None:
    """An index as `humanvlm index` writes it, and beside it (``.known``) what reconciling needs of each row that is
    stored: hashes of its URL, its metadata and its id."""
    if path.exists():
        return
    with (
        atomic_file(path) as work,
        pq.ParquetWriter(work, SCHEMA, compression="zstd") as writer,
        path.with_suffix(".known").open("wb") as known,
    ):
        for first in range(0, rows, CHUNK):
            table = _rows(np.arange(first, min(first + CHUNK, rows), dtype=np.uint64))
            writer.write_table(table, row_group_size=ROW_GROUP)
            urls, texts = table["url"].to_pylist(), table["text"].to_pylist()
            states = b"".join(state(salt([]), text, [text], None, ()) for text in texts)
            ids = id_hashes(sample_id(url, text) for url, text in zip(urls, texts, strict=True))
            hashes = url_hashes([url.encode() for url in urls])
            known.write(np.column_stack((hashes, np.frombuffer(states, np.uint64), ids)).tobytes())


def _known(file: BinaryIO, count: int) -> Iterator[Known]:
    """The first ``count`` rows as shards of the artifact; each REPEAT-th repeats a URL."""
    for number, first in enumerate(range(0, count, STEP)):
        rows = min(STEP, count - first)
        urls, states, ids = np.fromfile(file, np.uint64, 3 * rows).reshape(-1, 3).T
        again = np.arange(first, first + rows) % REPEAT == REPEAT - 1
        order = np.argsort(again, kind="stable")  # kept rows first
        kinds = np.where(again, REPEATED, PICTURE).astype(np.uint8)
        yield Known(number, kinds[order], urls[order], np.where(again, ids, states)[order])


def _rows(numbers: NDArray[np.uint64]) -> pa.Table:
    """Rows by number alone, so that an index is the start of any longer one."""
    earlier = _mixed(numbers) % np.maximum(numbers, 1)
    earlier -= earlier % REPEAT == REPEAT - 1
    source = np.where(numbers % REPEAT == REPEAT - 1, earlier, numbers)
    mixed = _mixed(source)
    parts = (mixed % HOSTS, mixed // HOSTS % 10_000, source)
    host, folder, name = (pa.array(part).cast(pa.string()) for part in parts)
    url = pc.binary_join_element_wise("https://img", host, ".photos.example/", folder, "/", name, ".jpg?width=640", "")
    draws = _mixed(numbers + np.uint64(1 << 40))
    words = [WORDS.take(pa.array(draws >> np.uint64(8 * k) & np.uint64(255))) for k in range(5)]
    text = pc.binary_join_element_wise("a photo of", *words, " ")
    captions = pa.ListArray.from_arrays(pa.array(np.arange(len(numbers) + 1, dtype=np.int32)), text)
    columns = {"url": url, "text": text, "captions": captions}
    nothing = pa.nulls(len(numbers))
    return pa.table([columns.get(name, nothing) for name in SCHEMA.names], names=SCHEMA.names).cast(SCHEMA)


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A fixed scatter of 64-bit numbers (the finalizer of splitmix64)."""
    mixed = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def make_plan(path: Path, known: int) -> None:
    """Plan a crawl of the index of which the first rows are done; check it; print what it took as JSON."""
    clock = time.perf_counter()
    with (
        path.with_suffix(".known").open("rb") as records,
        reconciled(path, STEP, path.parent, _known(records, known)) as (found),
    ):
        made = found.plan
    wall = time.perf_counter() - clock
    fetch, repeated = (
        sum(int.from_bytes(getattr(part, name)).bit_count() for part in made.slices) for name in ("fetch", "repeated")
    )
    expected = made.total // REPEAT - known // REPEAT
    if repeated != expected or fetch + repeated + known != made.total or found.changed or found.removed:
        raise ValueError(f"{path}: {fetch} rows to fetch, {repeated} repeated; expected {expected} repeated")
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = int(status["VmHWM"].split()[0]) * 1024 / 1e6  # ru_maxrss may be that of the process before exec
    counts = {"slices": len(made.slices), "fetch": fetch, "repeated": repeated}
    print(json.dumps({"wall_s": wall, "peak_rss_mb": peak} | counts))


def run_simulated(project: Path) -> None:
    """Run the stage in a project folder, its partitions over a simulated transport. Prints its row counts as JSON."""
    os.chdir(project)
    stage.crawl_partition = simulated_partition  # type: ignore[attr-defined]
    report = run_stage("raw_scrape", Path("params.yaml"))
    print(json.dumps({"rows": report["rows"], "rows_per_s": report["metrics"]["rows_per_s"]}))


def simulated_partition(partition: Partition) -> Progress:
    return asyncio.run(crawl(partition, answer))


async def answer(url: str, turn: Turn) -> Fetched:
    """A picture or a failure, by the URL alone."""
    await turn.take(parse_url(url).raw_host or "", 0)
    await asyncio.sleep(LATENCY_S)
    turn.answered()
    lot = zlib.crc32(url.encode()) % 1000
    for reason, share in FAILURES.items():
        lot -= share
        if lot < 0 and reason == "not_an_image":
            return Fetched(url, 200, b"<!doctype html><title>Gone</title>", int(time.time()), "text/html")
        if lot < 0:
            raise RefusedError(reason, status=int(reason[5:]) if reason.startswith("http_") else None)
    return Fetched(url, 200, pictures()[lot % len(pictures())], int(time.time()), "image/png", f'"{lot:x}"')


@cache
def pictures() -> list[bytes]:
    """Valid PNGs of about 200 bytes."""
    rng = np.random.default_rng(0)
    sinks = [io.BytesIO() for _ in range(256)]
    for sink in sinks:
        Image.fromarray(rng.integers(0, 256, (6, 7, 3), dtype=np.uint8)).save(sink, "PNG")
    return [sink.getvalue() for sink in sinks]


def measure(*arguments: str) -> tuple[dict[str, Any], list[int]]:
    """Run this file in a process of its own. Returns what it prints, with its tree's CPU time and samples of its tree's
    memory, in bytes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    env = os.environ | {"MLFLOW_TRACKING_URI": "none"}
    with subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, env=env) as process:
        assert process.stdout
        samples = []
        while process.poll() is None:
            samples.append(sum(_resident(psutil.Process(process.pid))))
            time.sleep(SAMPLE_S)
        output = process.stdout.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: exit status {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(output.splitlines()[-1]) | {"cpu_s": cpu}, samples


def _resident(process: psutil.Process) -> Iterator[int]:
    """Bytes of a process and of its descendants; pages that processes share count in each."""
    try:
        for each in (process, *process.children(recursive=True)):
            yield each.memory_info().rss
    except psutil.NoSuchProcess:
        return


def bench_crawl(path: Path, rows: int) -> dict[str, Any]:
    """Crawl the index with a simulated transport and check that every row is accounted for."""
    project = HOME / "scale"
    shutil.rmtree(project, ignore_errors=True)
    (project / "data").mkdir(parents=True)
    (project / "data" / "index.parquet").hardlink_to(path)
    params = yaml.safe_load(profile_path("cpu").read_text(encoding="utf-8"))
    params["raw_scrape"] = {"rows_per_shard": STEP, "concurrency": 256}
    (project / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    clock = time.perf_counter()
    figures, samples = measure("--crawl", str(project))
    wall = time.perf_counter() - clock
    counts = figures["rows"]
    dropped = counts["dropped"]
    if counts["in"] != rows or counts["kept"] + sum(dropped.values()) != rows:
        raise ValueError(f"{rows} rows in the index, report says {counts}")
    if dropped["duplicate_url"] != rows // REPEAT:
        raise ValueError(f"{rows // REPEAT} rows repeat a URL, {dropped['duplicate_url']} are dropped for it")
    stored = [file for file in (project / "artifacts").rglob("*") if file.is_file()]
    result = {
        "wall_s": wall,
        "rows_per_s": rows / wall,
        "cpu_ms_per_row": figures["cpu_s"] / rows * 1000,
        "kept": counts["kept"],
        "peak_rss_mb": max(samples) / 1e6,
        # Flat when memory does not depend on the number of rows.
        "rss_mb_by_tenth": [round(median(part) / 1e6) for part in np.array_split(samples, 10) if len(part)],
        "files": len(stored),
        "stored_gb": sum(file.stat().st_size for file in stored) / 1e9,
    }
    shutil.rmtree(project)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rows", type=int, default=50_000_000, help="of the index to plan (default 50 million; 0: none)"
    )
    parser.add_argument("--outcomes", type=int, default=10_000_000, help="rows to crawl (default 10 million; 0: none)")
    parser.add_argument("--plan", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--known", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--crawl", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plan:
        return make_plan(options.plan, options.known)
    if options.crawl:
        return run_simulated(options.crawl)
    results: dict[str, Any] = {}
    for name, rows in (("plan", options.rows), ("plan_nine_tenths_done", options.rows), ("crawl", options.outcomes)):
        if not rows:
            continue
        path = HOME / f"scale-{rows}.parquet"
        write_index(path, rows)
        known = rows * 9 // 10 if name == "plan_nine_tenths_done" else 0
        figures = bench_crawl(path, rows) if name == "crawl" else measure("--plan", str(path), "--known", str(known))[0]
        results[name] = {"rows": rows, "index_gb": path.stat().st_size / 1e9} | figures
        print(name)
        for key, value in results[name].items():
            text = f"{value:,.2f}" if isinstance(value, float) else str(value)
            print(f"  {key:<20}{text:>20}", flush=True)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
