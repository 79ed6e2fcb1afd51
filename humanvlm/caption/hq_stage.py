"""human_caption_hq: the high-resolution subset, with face, body and background captions, fused."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from humanvlm.caption.captioners.base import Style, Subject
from humanvlm.caption.captioners.open import open_captioner
from humanvlm.caption.stage import Tally, add_up, draw_plots, share
from humanvlm.caption.template.captioner import TemplateCaptioner
from humanvlm.caption.template.english import word_count
from humanvlm.config.human_caption_hq import HumanCaptionHQ
from humanvlm.data.dropped import Drop, dropped_row
from humanvlm.data.facts import facts_from_json
from humanvlm.data.shards import ShardFile, list_shards, open_shard, read_rows
from humanvlm.inspect.cards import write_card
from humanvlm.pipeline.contract import Counts, Outcome, ShardResult, StageRun, write_result

PASSED_ON = (
    *("id", "url", "final_url", "license", "image", "width", "height", "sha256", "captions", "faces", "people"),
    *("facts", "split"),
)
STYLES: Mapping[str, Style] = {"face": "face", "body": "body", "background": "background", "human_caption_hq": "fused"}
WRITTEN = tuple(STYLES)
DESCRIPTION = """High-resolution pictures of people with captions of the face, the body and the background, and the
three fused with the picture's own caption in `human_caption_hq`. Attributes are how people appear to classifiers with
known errors; nobody is identified."""


@dataclass(frozen=True)
class Task:
    """One shard of human_caption to describe."""

    source: Path
    out: Path
    config: HumanCaptionHQ


def make(run: StageRun) -> Outcome:
    """Describe the rows of human_caption whose picture and faces are large enough."""
    tasks = {path.stem: Task(path, run.out, run.config) for path in list_shards(run.inputs["human_caption"])}
    results = run.map_shards(describe_shard, tasks)
    counts = sum((result.counts for result in results), Counts())
    files = [file for result in results for file in result.files]
    plots = [ShardFile.of(run.out, name) for name in draw_plots(run.out, WRITTEN)]
    card = write_card(run.out, "HumanCaptionHQ", DESCRIPTION)
    metrics = {**add_up(results, counts.kept), "kept_share": share(counts.kept, counts.rows_in)}
    return Outcome(counts, [*files, *plots, card], metrics, [plot.path for plot in plots])


def describe_shard(task: Task) -> ShardResult:
    """The rows of one shard that are large enough, described; the others with their reason."""
    rows, subjects, dropped = [], [], []
    for row in read_rows(task.source, [*PASSED_ON, "captioner"]):
        if drop := too_small(row, task.config):
            dropped.append(dropped_row(row["id"], row["url"], drop))
        else:
            rows.append(row)
            subjects.append(known(row))
    kept, totals = [], Tally()
    template = template_of(task.config)
    for row, subject in zip(rows, subjects, strict=True):
        draft = open_captioner(row["captioner"], template).write([subject], tuple(STYLES.values()))[0]
        texts = {name: draft.texts[style] for name, style in STYLES.items()}
        kept.append({**{name: row[name] for name in PASSED_ON}, **texts})
        totals.add({f"{name}_words": word_count(text) for name, text in texts.items()})
    schema = open_shard(task.source).schema_arrow
    fields = [schema.field(name) for name in PASSED_ON] + [pa.field(name, pa.string()) for name in WRITTEN]
    return write_result(task.out, task.source.name, kept, dropped, pa.schema(fields), totals)


def too_small(row: Mapping[str, Any], config: HumanCaptionHQ) -> Drop | None:
    """low_resolution, no_face or small_face, with the figures; None when the row is kept."""
    side = min(row["width"], row["height"])
    if side < config.min_side:
        return Drop("low_resolution", f"{row['width']}x{row['height']} px, shorter side below {config.min_side}")
    if not row["faces"]:
        return Drop("no_face", "no face was detected")
    largest = max(min(box[2] - box[0], box[3] - box[1]) for box in (face["box"] for face in row["faces"]))
    if largest < config.min_face_side:
        return Drop("small_face", f"largest face {largest:.0f} px, below {config.min_face_side}")
    return None


def template_of(config: HumanCaptionHQ) -> TemplateCaptioner:
    return TemplateCaptioner(config.seed, config.min_probability, dict.fromkeys(STYLES.values(), config.max_words))


def known(row: Mapping[str, Any]) -> Subject:
    """What human_caption says of a row."""
    data = (row["image"] or {}).get("bytes") or b""
    texts = tuple(row["captions"] or ())
    return Subject(row["id"], facts_from_json(row["facts"]), texts, row["sha256"] or "", lambda: data)
