"""The evaluation tasks: benchmark files and held-out rows as one kind of sample.

A task is absent when its file is not there, or when no row is held out; it is then named, never scored as zero.
"""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from humanvlm.data import prompts
from humanvlm.data.image import decode
from humanvlm.data.shards import RandomRows
from humanvlm.evaluate.tasks.attributes import parse_answer
from humanvlm.evaluate.tasks.grounding import Expression


@dataclass(frozen=True)
class ShardPicture:
    """A picture inside a shard: its file and row number."""

    shard: Path
    row: int


@dataclass(frozen=True)
class EncodedPicture:
    """A picture as base64 text, as it lies in MMBench's tables."""

    text: str


Picture = Path | ShardPicture | EncodedPicture
ROWS = RandomRows(("image",))


@dataclass(frozen=True)
class Sample:
    """One question about one picture. Samples with the same ``image`` are resampled together.

    truth: the row that the task's scorer takes, where the references do not say all. slices: attribute to level, such
    as ``people`` to ``2``; what a person merely looks like is ``apparent``.
    """

    id: str
    task: str
    image: str
    picture: Picture
    prompt: str
    references: tuple[str, ...]
    truth: Any = None
    part: str = ""
    slices: Mapping[str, str] = field(default_factory=dict)

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


def load_task(task: str, benchmarks: Path) -> Loaded | None:
    """The samples of a task's own file, or None when it is absent. Malformed rows are dropped as ``bad_row``."""
    path = benchmarks / f"{task}.jsonl"
    return _read_benchmark(path, BENCHMARKS[task]) if path.exists() else None


def choose(samples: Sequence[Sample], limit: int, seed: int, *, whole: bool = False) -> list[Sample]:
    """At most ``limit`` samples (0: all), picked by hash, in their order. whole: pictures are picked, each with all of
    its samples."""
    if not limit or len(samples) <= limit:
        return list(samples)
    counts = Counter(sample.image if whole else sample.key for sample in samples)
    chosen: set[str] = set()
    for name in sorted(counts, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest()):
        if counts[name] > limit:
            break
        chosen.add(name)
        limit -= counts[name]
    return [sample for sample in samples if (sample.image if whole else sample.key) in chosen]


def picture_bytes(picture: Picture) -> bytes:
    """The bytes of the picture's file. Raises FileNotFoundError when it is missing."""
    if isinstance(picture, ShardPicture):
        content: bytes = ROWS.read(picture.shard, picture.row)["image"]["bytes"]
        return content
    if isinstance(picture, EncodedPicture):
        return base64.b64decode(picture.text)
    return picture.read_bytes()


def read_picture(picture: Picture) -> Image.Image:
    """The picture, upright, RGB. Raises FileNotFoundError when it is missing and ValueError when it does not decode."""
    return decode(picture_bytes(picture))


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
    slices = {str(name): str(level) for name, level in (row.get("slices") or {}).items()}
    return Sample(str(row["id"]), task, str(image), folder / image, prompt, tuple(references), slices=slices, **rest)


def _captions(row: Mapping[str, Any], folder: Path) -> Sample:
    return _sample(row, folder, "captions", prompts.SHORT_CAPTION, row["references"])


def _vqa(row: Mapping[str, Any], folder: Path) -> Sample:
    answers = row["answers"]
    common = Counter(answers).most_common(1)[0][0]
    kind = "yes/no" if parse_answer(common) == common.strip().lower() else "number" if common.isdigit() else "other"
    return _sample(row, folder, "vqa", prompts.VQA.format(question=row["question"]), answers, part=kind)


def _rec(row: Mapping[str, Any], folder: Path) -> Sample:
    x1, y1, x2, y2 = (float(value) for value in row["box"])
    width, height = int(row["width"]), int(row["height"])
    if not (x1 < x2 and y1 < y2 and width > 0 and height > 0):
        raise ValueError(f"box {row['box']} of a {width}x{height} picture")
    truth = Expression(str(row["id"]), str(row["image"]), row["expression"], (x1, y1, x2, y2), width, height)
    prompt = prompts.REC.format(expression=row["expression"])
    return _sample(row, folder, "rec", prompt, [prompts.format_box([x1, y1, x2, y2], width, height)], truth=truth)


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
