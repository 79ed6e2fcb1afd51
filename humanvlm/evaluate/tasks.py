"""The evaluation tasks: benchmark files and held-out rows as one kind of sample.

A task is absent when its file is not there, or when no row is held out; it is then named, never scored as zero.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow.parquet as pq
from PIL import Image

from humanvlm import prompts
from humanvlm.evaluate.attributes import parse_answer
from humanvlm.evaluate.pictures import decode_picture
from humanvlm.evaluate.ptb import tokenize
from humanvlm.shards import list_shards, read_rows


@dataclass(frozen=True)
class ShardPicture:
    """A picture inside a shard: its file and row number."""

    shard: Path
    row: int


@dataclass(frozen=True)
class Sample:
    """One question about one picture. Samples with the same ``image`` are resampled together."""

    id: str
    task: str
    image: str
    picture: Path | ShardPicture
    prompt: str
    references: tuple[str, ...]
    truth: Mapping[str, Any] = field(default_factory=dict)
    part: str = ""

    @property
    def key(self) -> str:
        """What a prediction is filed under."""
        text = "\n".join((self.task, self.id, self.image, self.prompt))
        return hashlib.sha256(text.encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Loaded:
    """The samples of a task, and the rows that could not be used as (id, reason, detail)."""

    samples: Sequence[Sample]
    dropped: Sequence[tuple[str, str, str]] = ()


def load_task(task: str, benchmarks: Path, human_caption: Path) -> Loaded | None:
    """The samples of one task, or None when it is absent. Malformed rows are dropped as ``bad_row``."""
    if task == "holdout":
        loaded = Loaded(list(_held_out(human_caption)))
        return loaded if loaded.samples else None
    path = benchmarks / f"{task}.jsonl"
    return _read_benchmark(path, BENCHMARKS[task]) if path.exists() else None


def choose(samples: Sequence[Sample], limit: int, seed: int) -> list[Sample]:
    """At most ``limit`` samples (0: all), picked by hash, in their order."""
    if not limit or len(samples) <= limit:
        return list(samples)
    ranked = sorted(samples, key=lambda sample: hashlib.sha256(f"{seed} {sample.key}".encode()).digest())
    chosen = {sample.key for sample in ranked[:limit]}
    return [sample for sample in samples if sample.key in chosen]


def read_picture(picture: Path | ShardPicture) -> Image.Image:
    """The picture, upright, RGB. Raises FileNotFoundError when it is missing and ValueError when it does not decode."""
    data = picture.read_bytes() if isinstance(picture, Path) else _shard_bytes(picture)
    return decode_picture(data)


def most_common_caption(human_caption: Path) -> str | None:
    """The commonest training caption, in tokens; of equally common ones the first in the alphabet. None without any."""
    counts: Counter[str] = Counter()
    for shard in list_shards(human_caption):
        for row in read_rows(shard, ["captions", "short", "captioner", "split"]):
            if row["split"] == "train":
                counts.update(" ".join(tokenize(caption)) for caption in _references(row))
    return min(counts, key=lambda caption: (-counts[caption], caption)) if counts else None


def training_pictures(human_caption: Path, count: int) -> Iterator[Image.Image]:
    """The first ``count`` pictures of the training split, in the order of the shards."""
    for shard in list_shards(human_caption):
        for number, row in enumerate(read_rows(shard, ["split"])):
            if count <= 0:
                return
            if row["split"] == "train":
                count -= 1
                yield read_picture(ShardPicture(shard, number))


def _held_out(human_caption: Path) -> Iterator[Sample]:
    for shard in list_shards(human_caption):
        for number, row in enumerate(read_rows(shard, ["id", "captions", "short", "captioner", "split"])):
            if row["split"] == "test":
                picture = ShardPicture(shard, number)
                yield Sample(row["id"], "holdout", row["id"], picture, prompts.SHORT_CAPTION, tuple(_references(row)))


def _references(row: Mapping[str, Any]) -> list[str]:
    """The texts that came with the picture, else the caption that was made for it."""
    if row["captioner"] != "source":  # the row's own texts are then alt-texts, which nobody was taught
        return [row["short"]]
    return [text for text in row["captions"] or () if text.strip()] or [row["short"]]


@lru_cache(maxsize=4)
def _group_bytes(shard: Path, group: int) -> list[bytes]:
    return [row["bytes"] for row in pq.ParquetFile(shard).read_row_group(group, ["image"])["image"].to_pylist()]


@lru_cache(maxsize=64)
def _group_starts(shard: Path) -> list[int]:
    metadata = pq.ParquetFile(shard).metadata
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    return [sum(sizes[:group]) for group in range(len(sizes))]


def _shard_bytes(picture: ShardPicture) -> bytes:
    starts = _group_starts(picture.shard)
    group = max(number for number, start in enumerate(starts) if start <= picture.row)
    return _group_bytes(picture.shard, group)[picture.row - starts[group]]


def _read_benchmark(path: Path, build: Callable[[Mapping[str, Any], Path], Sample]) -> Loaded:
    samples, dropped = [], []
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                samples.append(build(json.loads(line), path.parent))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                dropped.append((f"{path.name}:{number}", "bad_row", f"{type(error).__name__}: {error}"[:160]))
    return Loaded(samples, dropped)


def _sample(
    row: Mapping[str, Any], folder: Path, task: str, prompt: str, references: Sequence[str], **rest: Any
) -> Sample:
    image = PurePosixPath(row["image"])
    if image.is_absolute() or ".." in image.parts:
        raise ValueError(f"image {str(image)!r} is outside of the benchmark's folder")
    if not references or not all(isinstance(text, str) and text.strip() for text in references):
        raise ValueError("no reference")
    return Sample(str(row["id"]), task, str(image), folder / image, prompt, tuple(references), **rest)


def _captions(row: Mapping[str, Any], folder: Path) -> Sample:
    return _sample(row, folder, "captions", prompts.SHORT_CAPTION, row["references"])


def _vqa(row: Mapping[str, Any], folder: Path) -> Sample:
    answers = row["answers"]
    common = Counter(answers).most_common(1)[0][0]
    kind = "yes/no" if parse_answer(common) == common.strip().lower() else "number" if common.isdigit() else "other"
    return _sample(row, folder, "vqa", prompts.VQA.format(question=row["question"]), answers, part=kind)


def _rec(row: Mapping[str, Any], folder: Path) -> Sample:
    box = tuple(float(value) for value in row["box"])
    width, height = int(row["width"]), int(row["height"])
    if len(box) != 4 or not (box[0] < box[2] and box[1] < box[3] and width > 0 and height > 0):
        raise ValueError(f"box {row['box']} of a {width}x{height} picture")
    truth = {"box": box, "width": width, "height": height}
    prompt = prompts.REC.format(expression=row["expression"])
    return _sample(row, folder, "rec", prompt, [prompts.format_box(list(box), width, height)], truth=truth)


def _attributes(row: Mapping[str, Any], folder: Path) -> Sample:
    if row["answer"] not in ("yes", "no"):
        raise ValueError(f"answer {row['answer']!r} is neither yes nor no")
    prompt = prompts.ATTRIBUTE.format(question=row["question"])
    return _sample(row, folder, "attributes", prompt, [row["answer"]], part=str(row["attribute"]))


BENCHMARKS: dict[str, Callable[[Mapping[str, Any], Path], Sample]] = {
    "captions": _captions,
    "vqa": _vqa,
    "rec": _rec,
    "attributes": _attributes,
}
TASKS = (*BENCHMARKS, "holdout")
