"""The synthetic crawl: a URL index, the site it points to, the truth about it, instruction and benchmark files.

Everything follows from the number of scenes and the seed, byte for byte. The folder holds

* ``index.parquet``: url, text, captions (empty: the open web has alt-texts only), license, sha256
* ``site/HOST/``: the files served, and ``_headers.json`` (see ``humanvlm.scrape.local_server``)
* ``truth.jsonl``: one row an index row, in its order: url, text, kind, expected ("kept" or the reason of its drop),
  stage (that drops it, or null), of (URL that it repeats, or null), and for pictures width, height, background, light,
  people (apparent attributes, side, box, face_box, points; pixels) and captions (5)
* ``instructions.jsonl``, ``opening.jsonl`` (boxes only) and ``benchmarks/``: see ``humanvlm.synthetic.tasks``; the
  benchmark shows combinations of background, person and clothing colour that the crawl never does
* ``sample.json``: what made the folder
"""

import hashlib
import json
import logging
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet as pq

from humanvlm.data.atomic_io import atomic_folder, write_json
from humanvlm.data.hashing import sha256_file
from humanvlm.errors import UserError
from humanvlm.pipeline import engine
from humanvlm.pipeline.contract import progress
from humanvlm.synthetic import tasks, texts
from humanvlm.synthetic.crawl import Job, Row, crawl_rows, site_path, write_site
from humanvlm.synthetic.scenes import plan_scene, scene_truth

log = logging.getLogger("humanvlm")
RECIPE = 7  # raise when the same seed gives other bytes
JOBS_A_TASK = 24
SCENES_A_BENCHMARK = 5
LEAST_BENCHMARKS = 8
MARK = "sample.json"
INDEX = pa.schema(
    [
        ("url", pa.string()),
        ("text", pa.string()),
        ("captions", pa.list_(pa.string())),
        ("license", pa.string()),
        ("sha256", pa.string()),
    ]
)


def build_sample(out: Path, *, scenes: int, seed: int) -> None:
    """Write the synthetic crawl to ``out``: whole or not at all. The same scenes and seed are left as they are.

    Raises UserError when ``out`` holds anything but an earlier sample, or a source picture is not the expected one.
    """
    if scenes < 1:
        raise UserError(f"--scenes {scenes}: must be at least 1")
    mark: dict[str, Any] = {"recipe": RECIPE, "scenes": scenes, "seed": seed}
    if _same(out, mark):
        click.echo(f"{out}: up to date ({scenes} scenes, seed {seed})")
        return
    with atomic_folder(out) as work:
        summary = _write(work, scenes, seed)
        write_json(work / MARK, mark | {"index_sha256": sha256_file(work / "index.parquet")})
    click.echo(f"{out}: {summary}")


def _same(out: Path, mark: Mapping[str, Any]) -> bool:
    """Whether ``out`` already is this sample. Raises UserError when it is something that must not be replaced."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        found = json.loads((out / MARK).read_text(encoding="utf-8"))
        ours = found["index_sha256"] == sha256_file(out / "index.parquet")
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise UserError(f"{out}: holds files that `humanvlm sample` did not make; give another --out, or empty it")
    return bool({key: found[key] for key in mark} == mark)


def _write(work: Path, scenes: int, seed: int) -> str:
    rows = crawl_rows(scenes, seed)
    held_out = _benchmark_jobs(max(LEAST_BENCHMARKS, round(scenes / SCENES_A_BENCHMARK)), seed)
    jobs = {row.job.path: row.job for row in rows if row.job}
    hashes = _render(work, [*jobs.values(), *held_out])
    write_site(work, rows)
    _write_index(work / "index.parquet", rows, hashes)
    write_jsonl(work / "truth.jsonl", map(_truth, rows))
    lessons = _instructions(rows, f"{seed}/instructions", tasks.TASKS)
    write_jsonl(work / "instructions.jsonl", lessons)
    write_jsonl(work / "opening.jsonl", _instructions(rows, f"{seed}/opening", tasks.OPENING))
    shown = [(job.path.removeprefix("benchmarks/"), scene_truth(job.scene)) for job in held_out]
    counts = {}
    for task, values in tasks.benchmarks(shown, seed).items():
        write_jsonl(work / "benchmarks" / f"{task}.jsonl", values)
        counts[task] = len(values)
    expected = Counter(row.expected == "kept" for row in rows)
    listing = ", ".join(f"{count} {task}" for task, count in counts.items())
    return (
        f"{len(rows)} URLs ({expected[True]} to keep, {expected[False]} to drop), {len(lessons)} instructions, "
        f"benchmarks: {listing}"
    )


def _benchmark_jobs(count: int, seed: int) -> list[Job]:
    found = []
    for number in range(count):
        scene = plan_scene(random.Random(f"{seed}/benchmark/{number}"), benchmark=True)
        found.append(Job(f"benchmarks/images/{number:05d}.jpg", scene))
    return found


def _render(work: Path, jobs: Sequence[Job]) -> dict[str, str]:
    """Draw and write every picture; their sha256 by path."""
    batches = [(work, jobs[start : start + JOBS_A_TASK]) for start in range(0, len(jobs), JOBS_A_TASK)]
    hashes: dict[str, str] = {}
    for found in progress(engine.map_shards(render_batch, batches), len(batches), "sample", "tasks"):
        hashes |= found
    return hashes


def render_batch(batch: tuple[Path, Sequence[Job]]) -> dict[str, str]:
    """Write the pictures of some jobs under a folder; sha256 of each by path."""
    folder, jobs = batch
    hashes = {}
    for job in jobs:
        data = job.bytes()
        path = folder / job.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        hashes[job.path] = hashlib.sha256(data).hexdigest()
    return hashes


def _write_index(path: Path, rows: Sequence[Row], hashes: Mapping[str, str]) -> None:
    values: list[dict[str, Any]] = []
    for row in rows:
        served = row.job.path if row.job else site_path(row.host, row.path)
        known = hashes.get(served) if row.sha256 == "right" else None
        if row.sha256 == "wrong":
            known = hashlib.sha256(row.url.encode()).hexdigest()
        values.append({"url": row.url, "text": row.text, "captions": [], "license": row.license, "sha256": known})
    pq.write_table(pa.Table.from_pylist(values, schema=INDEX), path, compression="zstd")


def _truth(row: Row) -> dict[str, Any]:
    value: dict[str, Any] = {key: getattr(row, key) for key in ("url", "text", "kind", "expected", "stage", "of")}
    if row.scene is None:
        return value | {"people": [], "background": None, "captions": []}
    truth = scene_truth(row.scene)
    if row.job and row.job.resize:
        truth = _scaled(truth, row.job.resize)
    return value | truth | {"captions": texts.captions(truth) if truth["people"] else []}


def _scaled(truth: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """The truth of a picture that was resized to ``size``."""
    x, y = size[0] / truth["width"], size[1] / truth["height"]
    people = [
        person
        | {
            key: [round(v * s, 1) for v, s in zip(person[key], (x, y, x, y), strict=True)]
            for key in ("box", "face_box")
        }
        | {"points": [[round(px * x, 1), round(py * y, 1)] for px, py in person["points"]]}
        for person in truth["people"]
    ]
    return truth | {"width": size[0], "height": size[1], "people": people}


def _instructions(rows: Sequence[Row], seed: str, counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Instruction rows about the plain scenes of the crawl, so many of each task a picture, shuffled."""
    found = []
    for row in rows:
        if row.kind in ("scene", "redirect", "mislabelled") and row.job and row.scene:
            rng = random.Random(f"{seed}/{row.job.path}")
            found += tasks.instructions(row.job.path, scene_truth(row.scene), rng, counts)
    random.Random(seed).shuffle(found)
    return found


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """One JSON object a line, UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
