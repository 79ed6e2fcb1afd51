"""The first pass of human_caption_hq: which rows pass its thresholds, and which of those are chosen. Reads no pictures.

Each shard's figures and reasons are written into the work folder; the choice is made over those small tables alone.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from humanvlm.caption.conversations.absent import Observed, Seen, observed
from humanvlm.caption.conversations.scene import scene_of
from humanvlm.caption.conversations.yes_no import statements
from humanvlm.caption.selection import FIGURES, Candidates, cell_of, choose, gather, measured
from humanvlm.config.human_caption_hq import HumanCaptionHQ
from humanvlm.data.dropped import Drop
from humanvlm.data.facts import facts_from_json
from humanvlm.data.shards import list_shards, read_rows, write_shard
from humanvlm.pipeline.contract import Counts, ShardResult, StageRun

READ = ("id", "width", "height", "sharpness", "faces", "people", "objects", "captions", "text", "facts")
SIGNALS = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "reason", "detail")),
        *((name, pa.float32()) for name in FIGURES),
        ("cell", pa.list_(pa.string())),
    ]
)


@dataclass(frozen=True)
class Judge:
    """One shard of human_caption to judge."""

    source: Path
    out: Path
    config: HumanCaptionHQ

    @property
    def signals(self) -> Path:
        return self.out / ".work" / "signals" / self.source.name


@dataclass(frozen=True)
class Choice:
    """What was chosen. parts: of each judged shard's rows that pass, in order, which are. seen: over these rows."""

    judged: tuple[Judge, ...]
    candidates: Candidates
    chosen: npt.NDArray[np.bool_]
    parts: tuple[npt.NDArray[np.bool_], ...]
    seen: Seen


def judge(run: StageRun) -> Choice:
    """Judge every shard of human_caption, and choose."""
    config: HumanCaptionHQ = run.config
    tasks = {f"judged-{path.stem}": Judge(path, run.out, config) for path in list_shards(run.inputs["human_caption"])}
    results = run.map_shards(judge_shard, tasks)
    sizes: list[int] = []
    candidates = gather(_passed([task.signals for task in tasks.values()], sizes), config.seed)
    chosen = choose(candidates, config.max_rows, config.max_per_cell)
    parts = np.split(chosen, np.cumsum(sizes)[:-1])
    seen = Seen.sum(result.info for result in results)
    return Choice(tuple(tasks.values()), candidates, chosen, tuple(parts), seen)


def judge_shard(task: Judge) -> ShardResult:
    """Write of each row of a shard why it is dropped, or what it is chosen by. Counts come with the second pass."""
    seen: list[Observed] = []
    rows = (judge_row(row, task.config, seen) for row in read_rows(task.source, READ))
    file = write_shard(task.signals, rows, SIGNALS)
    return ShardResult(Counts(), (replace(file, path=str(task.signals.relative_to(task.out))),), asdict(Seen.sum(seen)))


def judge_row(row: Mapping[str, Any], config: HumanCaptionHQ, seen: list[Observed]) -> dict[str, Any]:
    """The signals of one row: its figures and kind, or a ``reason`` with its detail. What a row that passes shows, for
    its conversation and those of others, is appended to ``seen``."""
    figures = measured(row)
    if drop := too_poor(row, figures, config):
        return {"id": row["id"], **vars(drop)}
    facts = facts_from_json(row["facts"])
    scene = scene_of(row, facts, config.min_probability, config.seed)
    seen.append(observed(scene, statements(scene)))
    return {"id": row["id"], **figures, "cell": cell_of(facts, config.balance, config.min_probability)}


def too_poor(row: Mapping[str, Any], figures: Mapping[str, float], config: HumanCaptionHQ) -> Drop | None:
    """low_resolution, blurred, no_face or small_face, with the figures; None when the row passes."""
    if figures["side"] < config.min_side:
        return Drop("low_resolution", f"{row['width']}x{row['height']} px, shorter side below {config.min_side}")
    if row["sharpness"] is not None and figures["sharpness"] < config.min_sharpness:
        return Drop("blurred", f"sharpness {figures['sharpness']:.1f}, below {config.min_sharpness:g}")
    if not config.require_face:
        return None
    if not row["faces"]:
        return Drop("no_face", "no face was detected")
    if figures["face"] < config.min_face_side:
        return Drop("small_face", f"largest face {figures['face']:.0f} px, below {config.min_face_side}")
    return None


def _passed(signals: Iterable[Path], sizes: list[int]) -> Iterator[Mapping[str, Any]]:
    """The signals of rows that pass; how many each shard has is appended to ``sizes``."""
    for path in signals:
        sizes.append(0)
        for row in read_rows(path):
            if row["reason"] is None:
                sizes[-1] += 1
                yield row


def drops(signals: Path, chosen: npt.NDArray[np.bool_]) -> Iterator[Drop | None]:
    """Of each row of a shard, in order, why it is left out, or None. chosen: of those that pass, which are."""
    flags = iter(chosen.tolist())
    for row in read_rows(signals, ("reason", "detail", "cell")):
        if row["reason"] is not None:
            yield Drop(row["reason"], row["detail"])
        else:
            kind = ", ".join(row["cell"])
            yield None if next(flags) else Drop("over_quota", f"better pictures fill the quota of {kind}")
