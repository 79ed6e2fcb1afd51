"""human_caption: facts of every scene, and from them, or from the index's own texts, short and detailed captions."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from humanvlm.caption.accept import CHECKED, accept
from humanvlm.caption.captioners.base import Style, Subject
from humanvlm.caption.captioners.open import open_captioner
from humanvlm.caption.captioners.private import redact_row
from humanvlm.caption.captioners.prompts import wordings
from humanvlm.caption.captioners.source import drop_reason, source_texts
from humanvlm.caption.checks.check import Limits
from humanvlm.caption.facts.measure import measure
from humanvlm.caption.report import Kind, present
from humanvlm.caption.statistics import merged, of_statistics, tally
from humanvlm.caption.template.captioner import TemplateCaptioner
from humanvlm.caption.template.english import word_count
from humanvlm.config.human_caption import HumanCaption
from humanvlm.config.human_caption_hq import HumanCaptionHQ
from humanvlm.data.dropped import Drop, dropped_row
from humanvlm.data.image import DecodeError, pixels
from humanvlm.data.shards import RandomRows, list_shards, open_shard, picture_at, read_rows, rows_at
from humanvlm.pipeline.contract import Counts, Outcome, ShardResult, StageRun, write_result

STYLES: Mapping[str, Style] = {"short": "short", "detailed": "detailed"}  # by their column
COLUMNS = [*((name, pa.string()) for name in ("facts", *STYLES, "split")), *CHECKED]
KIND = Kind(
    "HumanCaption",
    """Pictures of people with facts measured in them, a short and a detailed caption.

Columns: those of human_scenes, and `facts` (JSON: apparent attributes with probabilities and what measured them),
`short`, `detailed`, `captioner` (who wrote them), `repaired` and `replaced` (why a caption was, if it was),
`faithfulness` (share of what the captions claim that facts or the index's texts support), `claims_supported`,
`claims_unsupported`, `claims` (JSON: each with its place in the text) and `split`.
Attributes are how people appear to classifiers with known errors; no face is recognised.""",
    tuple(STYLES),
)


@dataclass(frozen=True)
class Task:
    """One shard to caption."""

    source: Path
    out: Path
    config: HumanCaption


def make(run: StageRun) -> Outcome:
    """Caption every shard of human_scenes."""
    shards = list_shards(run.inputs["human_scenes"])
    tasks = {path.stem: Task(path, run.out, run.config) for path in shards}
    results = run.map_shards(caption_shard, tasks)
    counts = sum((result.counts for result in results), Counts())
    files = [file for result in results for file in result.files]
    shown = present(run.out, KIND, merged(result.info for result in results), [result.files[0] for result in results])
    metrics = {**shown.metrics, "kept_share": share(counts.kept, counts.rows_in)}
    return Outcome(counts, [*files, *shown.files], metrics, shown.plots, shown.info)


def caption_shard(task: Task) -> ShardResult:
    """Facts and captions of one shard's rows; rows without usable text or picture are dropped with their reason.

    The shard is read twice, a row group at a time: pictures of rows that are described are not held meanwhile.
    """
    subjects: dict[int, Subject] = {}
    dropped: list[Mapping[str, Any]] = []
    reader = RandomRows(("image",))
    redacted = Counter[str]()
    for place, row in enumerate(read_rows(task.source)):
        if task.config.redact:
            row, found = redact_row(row)
            redacted.update(found)
        subject = measured(row, task.config, partial(picture_at, reader, task.source, place))
        if isinstance(subject, Drop):
            dropped.append(dropped_row(row["id"], row["url"], subject))
        else:
            subjects[place] = subject
    counted: list[Mapping[str, Any]] = []
    kept = _captioned(task, subjects, dropped, counted)
    schema = with_columns(open_shard(task.source).schema_arrow, COLUMNS)
    result = write_result(task.out, task.source.name, kept, dropped, schema)
    return replace(result, info={**tally(counted, KIND.texts), **({"redacted": dict(redacted)} if redacted else {})})


def _captioned(
    task: Task, subjects: Mapping[int, Subject], dropped: list[Mapping[str, Any]], counted: list[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """The rows of the subjects with their captions, what statistics count of them appended to ``counted``; those whose
    caption is too short are appended to ``dropped``. subjects: by their place in the shard.
    """
    config = task.config
    template = template_of(config)
    captioner = open_captioner(config, "human_caption", task.source.stem, template)
    limits = limits_of(config, template.max_words)
    drafts = captioner.write(list(subjects.values()), tuple(STYLES.values()))
    for row, subject, draft in zip(rows_at(task.source, subjects), subjects.values(), drafts, strict=True):
        accepted = accept(subject, draft, captioner.name, template, limits)
        texts = {name: accepted.texts[style] for name, style in STYLES.items()}
        if word_count(texts["short"]) < config.min_words:
            drop = Drop("text_too_short", f"{word_count(texts['short'])} words: {texts['short']}")
            dropped.append(dropped_row(row["id"], row["url"], drop))
            continue
        row = redact_row(row)[0] if config.redact else row
        kept = {
            **row,
            "captions": list(subject.texts) if config.captioner == "source" else row["captions"],
            "facts": subject.facts.to_json(),
            **texts,
            **accepted.columns(STYLES),
            "split": split_of(row["id"], config.seed, config.holdout),
        }
        counted.append(of_statistics(kept, KIND.texts))
        yield kept


def template_of(config: HumanCaption) -> TemplateCaptioner:
    limits: Mapping[Style, int] = {"short": config.short_max_words, "detailed": config.detailed_max_words}
    return TemplateCaptioner(config.seed, config.min_probability, limits)


def limits_of(config: HumanCaption | HumanCaptionHQ, words: Mapping[Style, int]) -> dict[Style, Limits]:
    """What captions must keep to, by style."""
    asked = config.captioner in ("model", "endpoint")
    shared = {name: getattr(config, name) for name in ("min_probability", "min_faithfulness", "min_similarity")}
    shared |= {"min_coverage": config.min_coverage if asked and config.rewrite else 0.0}
    return {style: Limits(most, **shared, prompts=wordings() if asked else ()) for style, most in words.items()}


def measured(row: Mapping[str, Any], config: HumanCaption, picture: Callable[[], bytes] = bytes) -> Subject | Drop:
    """What is known of a row's picture; or why it is dropped: undecodable, no_text, text_too_short. picture: reads its
    file again."""
    texts = source_texts(row)
    if config.captioner == "source" and (reason := drop_reason(texts, config.min_words)):
        return Drop(*reason)
    try:
        rgb = pixels((row["image"] or {}).get("bytes") or b"")
    except DecodeError as error:
        return Drop("undecodable", str(error))
    faces, people, objects = (row[name] or () for name in ("faces", "people", "objects"))
    facts = measure(rgb, faces, people, objects, texts, attribute_classifier=config.attribute_classifier)
    return Subject(row["id"], facts, texts, row["sha256"], picture)


def split_of(key: str, seed: int, holdout: float) -> str:
    """``test`` for a share ``holdout`` of ids, else ``train``: by hash, so it never depends on other rows."""
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return "test" if int.from_bytes(digest[:8], "big") < holdout * 2**64 else "train"


def with_columns(schema: pa.Schema, columns: Sequence[tuple[str, pa.DataType]]) -> pa.Schema:
    """The schema without its metadata, the columns replaced or added at the end."""
    names = {name for name, _ in columns}
    return pa.schema([field for field in schema if field.name not in names] + [pa.field(*column) for column in columns])


def share(part: int, total: int) -> float:
    return round(part / total, 4) if total else 0.0
