"""What a benchmark is: a ``Task``. It reads its publishers' files and its own rows, words the questions, and scores.

``humanvlm score`` scores files of replies with it, ``benchmark_scores`` asks a model its samples. Each is a file here.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from humanvlm.errors import UserError
from humanvlm.evaluate.files import Row
from humanvlm.evaluate.stats.scored import Array, Scored
from humanvlm.evaluate.tasks.options import PREDICTIONS, REFERENCES, Option
from humanvlm.evaluate.tasks.pictures import Picture
from humanvlm.inference.boxes import Order, Space

if TYPE_CHECKING:
    from humanvlm.config.benchmark_scores import Source

Spaces = Space | Literal["auto"]
Dropped = tuple[str, str, str]


@dataclass(frozen=True)
class Coordinates:
    """Of replies: what numbers are in, and in which order the four of a box are where nothing around tells it."""

    space: Spaces = "percent"
    order: Order = "xyxy"


PERCENT = Coordinates()  # as the prompts ask for


@dataclass(frozen=True)
class Sample:
    """One question about one picture. Samples with the same ``image`` are resampled together.

    truth: the row that the task's scorer takes, where the references do not say all. subject: what the prompt asks
    about, such as the bare question; '' where that is the whole prompt. slices: attribute to level, such
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
    subject: str = ""

    @property
    def key(self) -> str:
        """What a prediction is filed under."""
        text = "\n".join((self.task, self.id, self.image, self.prompt))
        return hashlib.sha256(text.encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Loaded:
    """The samples of a task, and the rows that could not be used as (id, reason, detail)."""

    samples: Sequence[Sample]
    dropped: Sequence[Dropped] = ()


@dataclass(frozen=True)
class Judged:
    """predictions: what was read from each reply, None when nothing could be. scores: 0 to 1, of captions CIDEr's 0 to
    10. vectors: (samples, k), whose sum makes the metrics."""

    predictions: Sequence[Any]
    scores: Sequence[float]
    vectors: Array


@dataclass(frozen=True)
class YesNoQuestion:
    """A question about a picture. positive: the answer is yes. part: a split or category, '' for none."""

    id: str
    image: str
    text: str
    positive: bool
    part: str = ""


@dataclass(frozen=True)
class Task:
    """A benchmark.

    name: as a source's ``kind`` and, but for ``command``, of ``humanvlm score NAME``. about: what it asks and how it
    scores, for people. headline: the metric that says most.
    samples: of a publisher's file, under the name of a task; rows that cannot be used as (id, reason, detail).
    sample: of a row of ``data/benchmarks/NAME.jsonl``, in that folder; ValueError and the like where it is none.
    judge: of replies, None for one that says nothing; numbers of places are in the given coordinates.
    metrics: summed vectors of ``judge`` (..., k) to named values (...), not finite where they are undefined.
    score_files: files of references and replies, as ``options`` name them; its docstring is the command's help.
    official: the report of the official evaluator under its own names. by_picture: the questions about a picture are
    scored together, so that all or none are asked. yes_no: answers are yes or no.
    """

    name: str
    title: str
    about: str
    headline: str
    samples: Callable[[str, "Source"], Iterator[Sample | Dropped]]
    judge: Callable[[Sequence[Sample], Sequence[str | None], Coordinates], Judged]
    metrics: Callable[[Array], dict[str, Array]]
    score_files: Callable[..., Scored]
    options: tuple[Option, ...] = (REFERENCES, PREDICTIONS)
    command: str = ""
    sample: Callable[[Row, Path], Sample] | None = None
    official: Callable[[Scored], Mapping[str, Any]] | None = None
    by_picture: bool = False
    yes_no: bool = False


def load_rows(task: Task, benchmarks: Path) -> Loaded | None:
    """The samples of a task's own file, or None when it is absent. Malformed rows are dropped as ``bad_row``."""
    path = benchmarks / f"{task.name}.jsonl"
    if task.sample is None or not path.exists():
        return None
    samples, dropped = [], []
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                samples.append(task.sample(json.loads(line), path.parent))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                dropped.append((f"{path.name}:{number}", "bad_row", f"{type(error).__name__}: {error}"[:160]))
    return Loaded(samples, dropped)


def load_source(task: Task, name: str, source: "Source") -> Loaded:
    """The samples of a publisher's file, filed under ``name``. Raises UserError naming file and row, or the key."""
    samples, dropped = [], []
    for found in task.samples(name, source):
        if isinstance(found, Sample):
            samples.append(found)
        else:
            dropped.append(found)
    return Loaded(samples, dropped)


def source_file(task: str, source: "Source") -> Path:
    """Raises UserError naming the key when there is no such file."""
    path = Path(source.references)
    if not path.exists():
        raise UserError(f"benchmark_scores.sources.{task}.references: {path}: no such file")
    return path


def own_sample(row: Row, folder: Path, task: str, prompt: str, references: Sequence[str], **rest: Any) -> Sample:
    """A row with ``id``, ``image`` (below ``folder``) and, where it has them, ``slices``. Raises ValueError for another
    row."""
    image = PurePosixPath(row["image"])
    if image.is_absolute() or ".." in image.parts:
        raise ValueError(f"image {str(image)!r} is outside of the benchmark's folder")
    if not references or not all(isinstance(text, str) and text.strip() for text in references):
        raise ValueError("no reference")
    slices = {str(name): str(level) for name, level in (row.get("slices") or {}).items()}
    return Sample(str(row["id"]), task, str(image), folder / image, prompt, tuple(references), slices=slices, **rest)


def choose(samples: Sequence[Sample], limit: int, seed: int, *, by_picture: bool = False) -> list[Sample]:
    """At most ``limit`` samples (0: all), picked by hash, in their order.

    by_picture: pictures are picked, each with all of its samples.
    """
    if not limit or len(samples) <= limit:
        return list(samples)
    counts = Counter(sample.image if by_picture else sample.key for sample in samples)
    chosen: set[str] = set()
    for name in sorted(counts, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest()):
        if counts[name] > limit:
            break
        chosen.add(name)
        limit -= counts[name]
    return [sample for sample in samples if (sample.image if by_picture else sample.key) in chosen]
