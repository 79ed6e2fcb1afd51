"""Memory of a worker of each dataset stage, on one shard of big pictures: it holds a row group, not the shard.

Writes a shard as ``raw_scrape`` would, its JPEGs padded to the size that is asked for, and passes it on from stage to
stage. Each stage's worker runs in a process of its own; its peak is that of the whole process, models and all. One
picture in fifty shows a person, so that every model is loaded and used. Prints a table, and the same figures as JSON in
the last line. Takes four times the shard's size on the disk.
"""

import argparse
import hashlib
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from PIL import Image

from humanvlm.caption import hq_stage
from humanvlm.caption import stage as caption
from humanvlm.caption.judging import Judge, judge_shard
from humanvlm.config.human_caption import HumanCaption
from humanvlm.config.human_caption_hq import HumanCaptionHQ
from humanvlm.config.human_scenes import HumanScenes
from humanvlm.curate import stage as curate
from humanvlm.data.shards import read_rows, shard_name, write_shard
from humanvlm.scrape.store import SCHEMA

NAME = shard_name(0)
PERSON_EVERY = 50
LARGEST_COMMENT = 65_533


def padded(jpeg: bytes, size: int, seed: int) -> bytes:
    """The JPEG with comments behind its start marker, so that its file has about a size."""
    noise = np.random.default_rng(seed).bytes(max(size - len(jpeg), 0))
    comments = [noise[start : start + LARGEST_COMMENT] for start in range(0, len(noise), LARGEST_COMMENT)]
    return jpeg[:2] + b"".join(b"\xff\xfe" + (len(text) + 2).to_bytes(2) + text for text in comments) + jpeg[2:]


def encoded(rgb: np.ndarray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(rgb).save(sink, "JPEG", quality=90)
    return sink.getvalue()


def scraped(rows: int, size: int) -> Iterator[dict[str, Any]]:
    """Rows of ``raw_scrape``: people, and pictures that a cheap filter drops."""
    person, plain = encoded(skimage.data.astronaut()), encoded(np.full((200, 200, 3), 255, np.uint8))
    for number in range(rows):
        data = padded(plain if number % PERSON_EVERY else person, size, number)
        side = 200 if number % PERSON_EVERY else 512
        yield dict.fromkeys(SCHEMA.names) | {
            "id": f"{number:020x}",
            "url": f"http://photos.example/{number}.jpg",
            "text": "A person in front of a flag.",
            "captions": ["A person in front of a flag."],
            "image": {"bytes": data, "path": None},
            "bytes": len(data),
            "width": side,
            "height": side,
            "sha256": hashlib.sha256(data).hexdigest(),
        }


def all_passed(signals: Path) -> None:
    """Every row is kept: those that were measured as they are, the others as pictures without people."""
    bare: dict[str, Any] = {"reason": None, "detail": None, "faces": [], "people": [], "objects": [], "sharpness": 50.0}
    rows = [row if row["reason"] is None else {**row, **bare} for row in read_rows(signals)]
    write_shard(signals, rows, curate.SIGNALS)


def work(step: str, folder: Path) -> None:
    """One worker's task."""
    raw, scenes, captions, hq = (folder / name for name in ("raw", "human_scenes", "human_caption", "hq"))
    measure = curate._Measure(raw / NAME, scenes, HumanScenes())
    judge = Judge(captions / NAME, hq, HumanCaptionHQ(require_face=False, min_side=1, min_sharpness=0))
    if step == "human_scenes, measuring":
        curate.measure_shard(measure)
    elif step == "human_scenes, writing":
        curate.select_shard(curate._Select(raw / NAME, scenes, measure.signals))
    elif step == "human_caption":
        caption.caption_shard(caption.Task(scenes / NAME, captions, HumanCaption()))
    elif step == "human_caption_hq, judging":
        judge_shard(judge)
    else:
        rows = sum(row["reason"] is None for row in read_rows(judge.signals, ("reason",)))
        task = hq_stage.Task(judge.source, hq, judge.config, judge.signals, np.ones(rows, np.bool_))
        hq_stage.describe_shard(task)


STEPS = (
    "human_scenes, measuring",
    "human_scenes, writing",
    "human_caption",
    "human_caption_hq, judging",
    "human_caption_hq, writing",
)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5000, help="of the shard (default 5000)")
    parser.add_argument("--bytes", type=int, default=300_000, help="of a picture's file (default 300000)")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    if options.step:
        work(options.step, options.folder)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        return
    print(
        f"{options.rows:,} pictures of {options.bytes:,} bytes, {options.rows * options.bytes / 1e6:,.0f} MB",
        flush=True,
    )
    peaks = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_shard(folder / "raw" / NAME, scraped(options.rows, options.bytes), SCHEMA)
        for step in STEPS:
            start = time.monotonic()
            command = [sys.executable, __file__, "--step", step, "--folder", name]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            peaks[step] = int(done.stdout.split()[-1])
            print(f"{step:<28}peak {peaks[step] / 1e6:>6,.0f} MB  {time.monotonic() - start:>6.1f} s", flush=True)
            if step == STEPS[0]:
                all_passed(folder / "human_scenes" / ".work" / "signals" / NAME)
    print(json.dumps({"rows": options.rows, "bytes": options.bytes, "peak_bytes": peaks}))


if __name__ == "__main__":
    main()
