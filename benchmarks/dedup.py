"""Deduplication by rows: time, memory and how they grow, for pictures that are all apart, and as a crawl is skewed.

``apart``: hashes at random. ``skewed``: half at random; a third are copies and look-alikes of some pictures, the most
popular of which have hundreds of thousands (Zipf); the rest share 40 of 64 bits, as plain pictures and pictures of one
template do. ``alike``: look-alikes of one picture, all within 4 bits of it. ``grown``: as ``apart``, of which all but
one in a hundred were compared before. Every line is a process of its own. Memory is its peak while it finds duplicates,
less what it took before the rows were made; beyond the ids, which are 20 bytes of each row. Growth is the exponent of
time in rows. Prints a table, and the same figures as JSON in the last line.
"""

import argparse
import ctypes
import json
import math
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from humanvlm.curate.dedup import Candidates, find_duplicates, grouped, ranked, worth
from humanvlm.curate.neighbours import NO_HASHES, Hashes, crowded

KINDS = ("apart", "grown", "skewed", "alike")
ID_BYTES = 20
MAX_BITS = 4


def hashes(kind: str, count: int, random: np.random.Generator) -> Hashes:
    """Perceptual hashes of a crawl, in no order."""
    if kind in ("apart", "grown"):
        return random.integers(0, 2**64, count, dtype=np.uint64)
    if kind == "alike":
        return turned(np.full(count, 0x0123456789ABCDEF, np.uint64), MAX_BITS, random)
    copies, plain = count // 3, count // 6
    popular = random.integers(0, 2**64, max(count // 10, 1), dtype=np.uint64)
    alike = turned(popular[random.zipf(1.3, copies) % len(popular)], 3, random)
    template = np.uint64(0x123456789A << 24) | random.integers(0, 2**24, plain, dtype=np.uint64)
    rest = random.integers(0, 2**64, count - copies - plain, dtype=np.uint64)
    return random.permutation(np.concatenate([alike, template, rest]))


def turned(values: Hashes, most: int, random: np.random.Generator) -> Hashes:
    """The values with at most ``most`` bits turned, each bit that is asked for in two of three."""
    for _ in range(most):
        bits = np.uint64(1) << random.integers(0, 64, len(values), dtype=np.uint64)
        values = np.where(random.random(len(values), np.float32) < 2 / 3, values ^ bits, values)
    return values


def candidates(kind: str, count: int, random: np.random.Generator) -> Candidates:
    ids = np.frombuffer(random.bytes(count * ID_BYTES // 2).hex().encode(), f"S{ID_BYTES}")
    phash = hashes(kind, count, random)
    # Two of three rows with one hash are copies.
    sha256 = phash * np.uint64(0x9E3779B97F4A7C15) + random.integers(0, 3, count, dtype=np.uint64) // np.uint64(2)
    sides = random.integers(160, 1600, count)
    return Candidates(ids, sha256, phash, worth(sides * sides, random.random(count, np.float32) < 0.9))


def memory(name: str) -> int:
    """Of this process, bytes: VmRSS now, or VmHWM, its peak since ``forget_peak``."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def forget_peak() -> None:
    ctypes.CDLL(None).malloc_trim(0)  # what the making of the rows has left
    Path("/proc/self/clear_refs").write_text("5")


def one(kind: str, count: int) -> dict[str, Any]:
    """The figures of one line, measured in this process."""
    before = memory("VmRSS")
    rows = candidates(kind, count, np.random.default_rng(count))
    ids = rows.ids  # which the caller keeps
    old = NO_HASHES
    if kind == "grown":
        old = np.unique(rows.phash[count // 100 :])
        old = old[~crowded(old, MAX_BITS)]
    forget_peak()
    wall, cpu = time.perf_counter(), time.process_time()
    candidates_ranked = ranked(rows)
    del rows
    pictures = grouped(candidates_ranked)
    del candidates_ranked
    found = find_duplicates(pictures, MAX_BITS, old)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = memory("VmHWM") - before
    places = np.arange(count)
    dropped = found.kept != places
    return {
        "kind": kind,
        "rows": count,
        "duplicates": int(found.copies.sum()),
        "near_duplicates": int((dropped & ~found.copies).sum()),
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "peak_mb": round(peak / 1e6),
        "bytes_a_row_beyond_ids": round((peak - ids.nbytes) / count, 1),
    }


def measured(kind: str, count: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, "--one", kind, "--rows", str(count)], stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    counts = [1_000_000, 3_000_000, 10_000_000, 30_000_000]
    parser.add_argument("--rows", type=lambda text: int(float(text)), nargs="+", default=counts, help="1e6 3e6 1e7 3e7")
    parser.add_argument(
        "--alike", type=lambda text: int(float(text)), default=10_000, help="look-alikes (default 10000)"
    )
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--one", choices=KINDS, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    if options.one:
        print(json.dumps(one(options.one, options.rows[0])))
        return
    print(
        f"{'':<8}{'rows':>12}{'dropped':>12}{'wall s':>9}{'CPU s':>9}{'growth':>8}{'peak MB':>9}{'B/row':>8}",
        flush=True,
    )
    lines = []
    for kind in options.kinds:
        last: dict[str, Any] | None = None
        for count in [options.alike] if kind == "alike" else options.rows:
            line = measured(kind, count)
            if last and last["cpu_s"]:
                times = math.log(line["cpu_s"] / last["cpu_s"]) / math.log(count / last["rows"])
                line["growth"] = round(times, 2)
            dropped = line["duplicates"] + line["near_duplicates"]
            print(
                f"{kind:<8}{count:>12,}{dropped:>12,}{line['wall_s']:>9}{line['cpu_s']:>9}{line.get('growth', ''):>8}"
                f"{line['peak_mb']:>9,}{line['bytes_a_row_beyond_ids']:>8}",
                flush=True,
            )
            lines.append(line)
            last = line
    print(json.dumps({"max_bits": MAX_BITS, "lines": lines}))


if __name__ == "__main__":
    main()
