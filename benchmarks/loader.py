"""The data path of training at ten million samples: what planning, resuming and reading cost.

A store of 1, 3 and 10 million samples is written as the stages write it, with tokens and spans of the lengths that
captions have (tokenising them takes hours, at the rate that is measured on a few thousand), about tiny pictures in
shards of 10,000 rows, of which all but the first are links to that. Then, in processes of their own:

* plan: wall time and highest memory of making it and writing it;
* rank: a process that opens store and plan at step 500,000 (or the last) and reads the tokens of 100 steps: time to the
  first batch, and its memory beyond what is mapped;
* reading: samples a second of one worker that also reads and decodes the pictures, row groups that a step touches, and
  how many of them it had to read. 16 workers are not run: their rate is 16 times the CPU time a sample of one, on as
  many cores.

Everything goes to .state/bench/loader. Prints a table, and the same figures as one JSON object in the last line.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from humanvlm.data.atomic_io import atomic_folder, write_json
from humanvlm.data.shards import IMAGE, ROW_GROUP_ROWS, shard_name, write_shard
from humanvlm.train.pictures import Pictures
from humanvlm.train.plan import Plan, make_plan
from humanvlm.train.store import Store

FOLDER = Path(".state/bench/loader")
SHARD_ROWS = 10_000
BATCH = 16  # 10 million samples are then more than 500,000 steps
RESUME = 500_000
WORKERS = 16
SIDE = 64  # px of a picture


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--samples", type=int, nargs="+", default=[1_000_000, 3_000_000, 10_000_000])
    options.add_argument("--tokenise", type=int, default=5_000, help="samples that are really tokenised")
    options.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.alone:
        kind, samples = given.alone
        print(json.dumps(ALONE[kind](FOLDER / samples)))
        return
    shards = write_shards(FOLDER / "shards", -(-max(given.samples) // SHARD_ROWS))
    figures: dict[str, Any] = {"tokenised_a_second": tokenised_a_second(given.tokenise)}
    for samples in given.samples:
        folder = FOLDER / str(samples)
        if not (folder / "store").is_dir():
            write_store(folder / "store", samples, shards)
        size = sum(path.stat().st_size for path in (folder / "store").iterdir())
        figures[str(samples)] = {"store_gb": size / 1e9} | {
            f"{kind}_{key}": value for kind in ALONE for key, value in alone(kind, samples).items()
        }
    print(f"tokenising: {figures['tokenised_a_second']:.0f} samples a second and process")
    counts = [str(samples) for samples in given.samples]
    print(f"{'':34}" + "".join(f"{int(count):>14,}" for count in counts))
    for key in figures[counts[0]]:
        print(f"{key:34}" + "".join(f"{figures[count][key]:>14,.2f}" for count in counts))
    print(json.dumps(figures))


def alone(kind: str, samples: int) -> dict[str, float]:
    """The figures of a part in a process of its own."""
    command = [sys.executable, __file__, "--alone", kind, str(samples)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def write_shards(folder: Path, number: int) -> list[Path]:
    """A shard of noisy pictures, under as many names as are asked for: readers take them for different files."""
    paths = [folder / shard_name(index) for index in range(number)]
    if not paths[0].exists():
        random = np.random.default_rng(1)
        rows = ({"image": {"bytes": _picture(random), "path": None}} for _ in range(SHARD_ROWS))
        write_shard(paths[0], rows, pa.schema([("image", IMAGE)]))
    for path in paths[1:]:
        if not path.exists():
            path.hardlink_to(paths[0])
    return paths


def _picture(random: np.random.Generator) -> bytes:
    file = io.BytesIO()
    small = Image.fromarray(random.integers(0, 255, (8, 8, 3), dtype=np.uint8))
    small.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


def write_store(folder: Path, samples: int, shards: list[Path]) -> None:
    """The arrays of a store: 49 image tokens, 20 to 120 of text, of which the second half is learnt."""
    random = np.random.default_rng(2)
    text = random.integers(20, 121, samples).astype(np.int32)
    labels = text // 2
    lengths = 49 + text
    number = np.arange(samples, dtype=np.int64)
    files = -(-samples // SHARD_ROWS)
    groups_a_shard = -(-SHARD_ROWS // ROW_GROUP_ROWS)
    names = [str(shard).encode() for shard in shards[:files]]
    with atomic_folder(folder) as work:
        arrays: dict[str, NDArray[Any]] = {
            "lengths": lengths,
            "labels": labels,
            "sources": (number >= samples * 3 // 4).astype(np.uint8),
            "groups": (number // SHARD_ROWS * groups_a_shard + number % SHARD_ROWS // ROW_GROUP_ROWS).astype(np.uint32),
            "token_ends": np.cumsum(lengths, dtype=np.int64),
            "spans": np.stack([lengths - labels, lengths], 1).astype(np.uint32),
            "span_ends": number + 1,
            "parts": lengths,
            "part_ends": number + 1,
            "pictures": np.stack([number // SHARD_ROWS, number % SHARD_ROWS], 1),
            "picture_ends": number + 1,
            "names": np.frombuffer(b"".join(names), np.uint8),
            "name_ends": np.cumsum([len(name) for name in names], dtype=np.int64),
        }
        for name, values in arrays.items():
            np.save(work / f"{name}.npy", values)
        total = int(lengths.sum(dtype=np.int64))
        tokens = np.lib.format.open_memmap(work / "tokens.npy", "w+", np.uint32, (total,))
        for start in range(0, total, 1 << 24):
            piece = tokens[start : start + (1 << 24)]
            piece[:] = random.integers(0, 49_152, len(piece), dtype=np.uint32)
        tokens.flush()
        write_json(work / "store.json", {"sources": []}, durable=False)


def plan(folder: Path) -> dict[str, float]:
    """One epoch of two sources, planned and written."""
    store = Store.open(folder / "store")
    before, start = _memory("VmHWM"), time.perf_counter()
    made = make_plan(
        store.lengths, store.sources, store.groups, [0.75, 0.25], seed=7, batch_size=BATCH, steps=len(store) // BATCH
    )
    seconds = time.perf_counter() - start
    made.save(folder / "plan")
    return {"seconds": seconds, "peak_gb": _memory("VmHWM") - before}


def rank(folder: Path) -> dict[str, float]:
    """A process that goes on at a late step."""
    before, start = _memory("RssAnon"), time.perf_counter()
    store, order = Store.open(folder / "store"), Plan.open(folder / "plan")
    first = min(RESUME, order.steps - 100)
    _texts(store, order, first)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    for step in range(first, first + 100):
        _texts(store, order, step)
    rate = 100 * BATCH / (time.perf_counter() - start)
    return {
        "resume_step": first,
        "seconds_to_first_batch": seconds,
        "texts_a_second": rate,
        "memory_gb": _memory("RssAnon") - before,
    }


def reading(folder: Path) -> dict[str, float]:
    """One worker, with pictures, in the middle of a run."""
    store, order = Store.open(folder / "store"), Plan.open(folder / "plan")
    pictures = Pictures(row_groups=192)  # of two sources
    first, warm, steps = order.steps // 2, 600, 600
    touched = []
    for step in range(first, first + warm + steps):
        if step == first + warm:
            start, cpu, missed = time.perf_counter(), time.process_time(), pictures._rows._table.cache_info().misses
        _texts(store, order, step)
        places = [picture for number in order.batch(step) for picture in store.pictures(int(number))]
        for picture in places:
            pictures.read(picture)
        if step >= first + warm:
            touched.append(len(np.unique(store.groups[order.batch(step)])))
    count = steps * BATCH
    cpu = time.process_time() - cpu
    return {
        "row_groups_touched_a_step": float(np.mean(touched)),
        "row_groups_read_a_step": (pictures._rows._table.cache_info().misses - missed) / steps,
        "samples_a_second": count / (time.perf_counter() - start),
        "cpu_ms_a_sample": 1e3 * cpu / count,
        f"samples_a_second_{WORKERS}_workers": WORKERS * count / cpu,
        "memory_gb": _memory("RssAnon"),
    }


def _texts(store: Store, order: Plan, step: int) -> None:
    for number in order.batch(step).tolist():
        np.array(store.tokens(number))
        np.array(store.spans(number))


def _memory(key: str) -> float:
    """GB of this process: VmHWM, the highest so far, mapped files too; RssAnon: its own, now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1e6


def tokenised_a_second(samples: int) -> float:
    """Captions of 10 to 60 words through the default model's tokenizer and chat template, one process's CPU time."""
    from humanvlm.config.model import Model
    from humanvlm.train.encode import fit
    from humanvlm.train.samples import Picture, Sample
    from humanvlm.train.store import encoder_of

    random = np.random.default_rng(3)
    words = ["a", "the", "man", "woman", "child", "in", "red", "blue", "coat", "hat", "stands", "near", "street"]
    encoder = encoder_of(Model(system_prompt=""))
    rows = [
        Sample((Picture("x"),), (("Describe the picture.", " ".join(random.choice(words, int(count)))),))
        for count in random.integers(10, 61, samples)
    ]
    fit(rows[:1], encoder, 256)
    start = time.process_time()
    for row in rows:
        fit([row], encoder, 256)
    return samples / (time.process_time() - start)


ALONE: dict[str, Callable[[Path], dict[str, float]]] = {"plan": plan, "rank": rank, "reading": reading}

if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
