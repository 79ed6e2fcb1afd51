"""Captions: pictures a second of the stage, captions a second of the template and of the checks, what more would take.

Reads the artifacts human_scenes and human_caption of a finished run. The stage runs once a count of workers, start-up
included, on the first ``--rows`` pictures; the template and the checks write and read the captions of
all rows, each style alone, in CPU time of one core. The template writes them ``PASSES`` times: the median and the best
pass, since other work on the machine slows it. CPU a picture of every network: facts_cost.py.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.parquet as pq

from humanvlm.caption.captioners.base import Style, Subject
from humanvlm.caption.checks.check import Limits, check
from humanvlm.caption.plan import plan
from humanvlm.caption.template.captioner import TemplateCaptioner
from humanvlm.caption.template.skeleton import skeleton
from humanvlm.config.human_caption import HumanCaption
from humanvlm.data.facts import facts_from_json
from humanvlm.data.shards import list_shards, read_folder

LIMITS: dict[Style, int] = {"short": 70, "detailed": 300, "face": 500, "body": 500, "background": 500, "fused": 500}
PLANNED = (10_000_000, 311_000)
PASSES = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifacts", type=Path, help="folder with human_scenes and human_caption")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2], help="of the stage (default 1 and 2)")
    parser.add_argument("--rows", type=int, default=32, help="of the stage (default 32)")
    args = parser.parse_args()
    scenes, captions = args.artifacts / "human_scenes", args.artifacts / "human_caption"
    result: dict[str, Any] = {"stage": {}, "styles": texts(captions), "plan": {}}
    for workers in args.workers:
        result["stage"][workers] = stage(scenes, workers, args.rows)
    for rows in PLANNED:
        result["plan"][rows] = plan("human_caption", HumanCaption(), {"human_scenes": scenes}, rows)
        print(f"--plan --rows {rows}: {result['plan'][rows]}")
    print(json.dumps(result))


def texts(captions: Path) -> dict[str, dict[str, float]]:
    """By style: captions a second written and checked, mean words, share of the commonest skeleton."""
    rows = read_folder(captions, ("id", "facts"))
    subjects = [Subject(row["id"], facts_from_json(row["facts"])) for row in rows]
    template = TemplateCaptioner(7, 0.6, LIMITS)
    found: dict[str, dict[str, float]] = {}
    for style, most in LIMITS.items():
        template.write(subjects[:50], [style])
        passes = []
        for _ in range(PASSES):
            clock = time.process_time()
            written = [draft.texts[style] for draft in template.write(subjects, [style])]
            passes.append(time.process_time() - clock)
        limits = Limits(most)
        clock = time.process_time()
        verdicts = [check(text, style, one.facts, (), limits) for text, one in zip(written, subjects, strict=True)]
        checking = time.process_time() - clock
        claims = sum(len(verdict.claims) for verdict in verdicts)
        found[style] = {
            "written_per_s": len(written) / median(passes),
            "written_per_s_best": len(written) / min(passes),
            "checked_per_s": len(written) / checking,
            "words": sum(len(text.split()) for text in written) / len(written),
            "commonest_skeleton": Counter(map(skeleton, written)).most_common(1)[0][1] / len(written),
            "unsupported_claims": sum(verdict.unsupported for verdict in verdicts) / max(claims, 1),
            "repeating": sum(repeats(text) for text in written) / len(written),
        }
        print(f"{style:<11}" + ", ".join(f"{name} {value:.4g}" for name, value in found[style].items()))
    return found


def repeats(text: str) -> bool:
    """Whether a sentence occurs twice in a text."""
    parts = text.split(". ")
    return len({part.strip(". ") for part in parts}) < len(parts)


def stage(scenes: Path, workers: int, most: int) -> dict[str, float]:
    """Rows, pictures a second and CPU ms a picture of the stage on the first ``most`` rows, start-up included."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as some:
        first = pq.read_table(list_shards(scenes)[0]).slice(0, most)
        pq.write_table(first, Path(some) / "shard-00000.parquet")
        command = [sys.executable, "-m", "humanvlm.cli", "human_caption", "--in", f"human_scenes={some}"]
        clock, before = time.perf_counter(), os.times()
        env = {**os.environ, "HUMANVLM_WORKERS": str(workers)}
        subprocess.run([*command, "--out", folder], env=env, check=True, capture_output=True)
        seconds, after = time.perf_counter() - clock, os.times()
        rows = sum(1 for _ in read_folder(Path(folder), ("id",)))
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    found = {"rows": rows, "pictures_per_s": rows / seconds, "cpu_ms": 1000 * cpu / rows}
    print(
        f"human_caption, {workers} workers, {rows} rows: {found['pictures_per_s']:.1f} pictures/s, "
        f"{found['cpu_ms']:.0f} ms CPU each"
    )
    return found


if __name__ == "__main__":
    main()
