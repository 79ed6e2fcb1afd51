"""What a crawl shows while it runs: rows and bytes a second, success rate, the commonest failures.

Each partition leaves its counts in a small file, which works alike for local processes and for machines that share a
disk.
"""

import json
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from humanvlm.data.atomic_io import write_json

log = logging.getLogger("humanvlm")
INTERVAL_S = {True: 0.5, False: 30.0}  # on a terminal, elsewhere


@dataclass
class Progress:
    """What a partition has done so far. bytes: downloaded. mended: heads of answers that were; known at the end."""

    rows: int = 0
    kept: int = 0
    bytes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    mended: int = 0

    def add(self, reason: str | None) -> None:
        """Count a row, dropped for a reason or kept."""
        self.rows += 1
        if reason:
            self.reasons[reason] += 1
        else:
            self.kept += 1

    def line(self, seconds: float) -> str:
        """Success rate, bytes a second, and the three commonest failures."""
        errors = ", ".join(f"{reason} {count:,}" for reason, count in self.reasons.most_common(3))
        rate = self.kept / max(self.rows, 1)
        return f"{rate:.1%} kept, {self.bytes / max(seconds, 1e-9) / 1e6:.1f} MB/s{'; ' if errors else ''}{errors}"


def write_progress(out: Path, partition: int, progress: Progress) -> None:
    """Leave a partition's counts for ``read_progress``."""
    path = out / ".work" / "progress" / f"partition-{partition}.json"
    write_json(path, vars(progress), durable=False)  # a disk may take long, and the partition has downloads to serve


def read_progress(out: Path) -> Progress:
    """The sum over all partitions."""
    total = Progress()
    for path in (out / ".work" / "progress").glob("partition-*.json"):
        value = json.loads(path.read_text())
        total.rows += value["rows"]
        total.kept += value["kept"]
        total.bytes += value["bytes"]
        total.reasons.update(value["reasons"])
    return total


@contextmanager
def watching(out: Path, total: int, start: float) -> Iterator[None]:
    """Show the progress of all partitions while the block runs: a bar with ETA on a terminal, else a line at times.

    start: of the crawl, by ``time.monotonic``.
    """
    done = threading.Event()
    thread = threading.Thread(target=_watch, args=(out, total, start, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _watch(out: Path, total: int, start: float, done: threading.Event) -> None:
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    with tqdm(total=total, desc="raw_scrape", unit="row", disable=not terminal) as bar:
        while True:
            ended = done.wait(INTERVAL_S[terminal])
            progress = read_progress(out)
            seconds = time.monotonic() - start
            bar.n = progress.rows
            bar.set_postfix_str(progress.line(seconds))
            if not terminal and not (ended and seconds < INTERVAL_S[False]):
                rate = progress.rows / max(seconds, 1e-9)
                left = (total - progress.rows) / max(rate, 1e-9)
                log.info(
                    "raw_scrape: %d/%d rows, %.0f rows/s, %.0f s left, %s",
                    progress.rows, total, rate, left, progress.line(seconds),
                )  # fmt: skip
            if ended:
                return
