"""human_caption_hq: the high-resolution subset, with face, body and background captions, fused."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa

from humanvlm.caption.captioners.source import human_sentences
from humanvlm.caption.stage import Tally, add_up, draw_plots, share
from humanvlm.caption.template.english import counted, sentence, within, word_count
from humanvlm.caption.template.grammar import (
    Writer,
    appearance,
    background_sentences,
    body_sentence,
    face_sentence,
    left_to_right,
    named,
    opening,
)
from humanvlm.config.human_caption_hq import HumanCaptionHQ
from humanvlm.data.dropped import Drop, dropped_row
from humanvlm.data.facts import Facts, facts_from_json
from humanvlm.data.shards import ShardFile, list_shards, open_shard, read_rows
from humanvlm.inspect.cards import write_card
from humanvlm.pipeline.contract import Counts, Outcome, ShardResult, StageRun, write_result

PASSED_ON = (
    *("id", "url", "final_url", "license", "image", "width", "height", "sha256", "captions", "faces", "people"),
    *("facts", "split"),
)
WRITTEN = ("face", "body", "background", "human_caption_hq")
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
    kept, dropped, totals = [], [], Tally()
    columns = [*PASSED_ON, "captioner"]
    for row in read_rows(task.source, columns):
        drop = too_small(row, task.config)
        if drop:
            dropped.append(dropped_row(row["id"], row["url"], drop))
            continue
        texts = describe(row, task.config)
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


def describe(row: Mapping[str, Any], config: HumanCaptionHQ) -> dict[str, str]:
    """Face, body and background texts from the facts, and all fused within ``max_words``.

    For a row captioned from the index's texts, those sentences come first and are the last to be left out.
    """
    writer = Writer(facts_from_json(row["facts"]), Random(f"{config.seed}:{row['id']}"), config.min_probability)
    facts = writer.facts
    people = [
        (rank, (appearance(writer, one), face_sentence(writer, one), body_sentence(writer, one)))
        for rank, one in left_to_right(facts)
    ]
    face = [text for _, (who, look, _) in people for text in (who, look) if text] or [_faces_in_view(facts)]
    bodies = [body_sentence(writer, one, named(writer, one)) for _, one in left_to_right(facts)]
    background = background_sentences(writer)
    if row["captioner"] == "source":
        first = [(0, text) for text in human_sentences(row["captions"])]
    else:
        first = [(0, opening(writer))]
    described = [(1 + rank, text) for rank, texts in people for text in texts]
    surroundings = [(2, text) for text in background]
    return {
        "face": within(list(enumerate(face)), config.max_words),
        "body": within(list(enumerate(bodies)), config.max_words),
        "background": within(list(enumerate(background)), config.max_words),
        "human_caption_hq": within([*first, *described, *surroundings], config.max_words),
    }


def _faces_in_view(facts: Facts) -> str:
    count = sum(person.face is not None for person in facts.people)
    return sentence(f"{counted(max(count, 1), 'face')} {'are' if count > 1 else 'is'} in view")
