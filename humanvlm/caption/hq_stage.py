"""human_caption_hq: the best pictures of every kind, with face, body and background captions, fused.

Two passes over the shards, each resumable: the first judges the rows (humanvlm.caption.judging), the second describes
those that were chosen.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from humanvlm.caption.accept import CHECKED, accept
from humanvlm.caption.captioners.base import Draft, Style, Subject
from humanvlm.caption.captioners.open import open_captioner
from humanvlm.caption.captioners.source import SourceCaptioner, source_texts
from humanvlm.caption.conversations.absent import Seen
from humanvlm.caption.conversations.converse import MESSAGES, converse
from humanvlm.caption.conversations.scene import scene_of
from humanvlm.caption.judging import drops, judge
from humanvlm.caption.report import Kind, present
from humanvlm.caption.selection import coverage
from humanvlm.caption.stage import limits_of, share
from humanvlm.caption.statistics import merged, of_statistics, tally
from humanvlm.caption.template.captioner import TemplateCaptioner
from humanvlm.config.human_caption_hq import HumanCaptionHQ
from humanvlm.data.columns import ALSO_AT, TLS, further
from humanvlm.data.dropped import dropped_row
from humanvlm.data.facts import facts_from_json
from humanvlm.data.shards import RandomRows, open_shard, picture_at, read_rows, rows_at
from humanvlm.pipeline.contract import Counts, Outcome, ShardResult, StageRun, write_result

PASSED_ON = (
    *("id", "url", "final_url", "license", "image", "width", "height", "sha256", "captions", "faces", "people"),
    *("facts", "split"),
)
STYLES: Mapping[str, Style] = {"face": "face", "body": "body", "background": "background", "human_caption_hq": "fused"}
WRITTEN = tuple(STYLES)
TALKED_OF = ("short", "detailed", "objects")
KIND = Kind(
    "HumanCaptionHQ",
    """High-resolution pictures of people with captions of the face, the body and the background, and the
three fused with the picture's own caption in `human_caption_hq`. Attributes are how people appear to classifiers with
known errors; no face is recognised.

`conversations` is in LLaVA's format, `from` human and gpt in turn: first the fused caption, as HumanCaptionHQ was
released (`conversations[1]["value"]` is `human_caption_hq`), then questions whose answers are facts. What the facts do
not answer is not asked, but for what no picture tells. For a trainer that reads LLaVA's files, in this folder:

```python
import json, pathlib, pyarrow.parquet as pq

images = pathlib.Path("llava/images")
images.mkdir(parents=True)
with open("llava/conversations.jsonl", "w") as lines:
    for shard in sorted(pathlib.Path().glob("shard-*.parquet")):
        for batch in pq.ParquetFile(shard).iter_batches(64, columns=["id", "image", "conversations"]):
            for row in batch.to_pylist():
                picture = images / (row["id"] + pathlib.Path(row["image"]["path"] or ".jpg").suffix)
                picture.write_bytes(row["image"]["bytes"])
                line = {"id": row["id"], "image": "images/" + picture.name, "conversations": row["conversations"]}
                lines.write(json.dumps(line) + "\\n")
```""",
    WRITTEN,
)


@dataclass(frozen=True)
class Task:
    """One shard of human_caption to describe. chosen: of its rows that pass, in their order, which are."""

    source: Path
    out: Path
    config: HumanCaptionHQ
    signals: Path
    chosen: npt.NDArray[np.bool_]
    seen: Seen = field(default_factory=Seen)


def make(run: StageRun) -> Outcome:
    """Describe the rows of human_caption whose picture and faces are large enough, and that are chosen."""
    choice = judge(run)
    tasks = {
        one.source.stem: Task(one.source, run.out, run.config, one.signals, part, choice.seen)
        for one, part in zip(choice.judged, choice.parts, strict=True)
    }
    results = run.map_shards(describe_shard, tasks)
    counts = sum((result.counts for result in results), Counts())
    files = [file for result in results for file in result.files]
    shown = present(run.out, KIND, merged(result.info for result in results), [result.files[0] for result in results])
    table = list(coverage(choice.candidates, choice.chosen, run.config.balance))
    covered = {
        f"coverage.{row['axis']}.{row['value'].replace(' ', '_')}": share(row["kept"], counts.kept) for row in table
    }
    metrics = {**shown.metrics, "kept_share": share(counts.kept, counts.rows_in), **covered}
    tables = {**shown.info["tables"], "coverage": table}
    return Outcome(counts, [*files, *shown.files], metrics, shown.plots, {"tables": tables})


def describe_shard(task: Task) -> ShardResult:
    """The chosen rows of one shard, described; the others with their reason.

    The shard is read twice, the second time with its pictures, a row group at a time.
    """
    subjects: dict[int, Subject] = {}
    from_source: list[bool] = []
    dropped: list[Mapping[str, Any]] = []
    reader = RandomRows(("image",))
    source = read_rows(task.source, ["id", "url", "sha256", "captions", "text", "facts", "captioner"])
    for place, (row, drop) in enumerate(zip(source, drops(task.signals, task.chosen), strict=True)):
        if drop:
            dropped.append(dropped_row(row["id"], row["url"], drop))
        else:
            subjects[place] = known(row, partial(picture_at, reader, task.source, place))
            from_source.append(row["captioner"] == "source")
    template = template_of(task.config)
    drafts = written(task, list(subjects.values()), from_source, template)
    counted: list[Mapping[str, Any]] = []
    talks = Counter[str]()
    schema = open_shard(task.source).schema_arrow
    passed_on = [*PASSED_ON, *(name for name in schema.names if name in (ALSO_AT, TLS)), *further(schema.names)]
    kept = _described(task, passed_on, subjects, drafts, template, counted, talks)
    fields = [schema.field(name) for name in passed_on] + [pa.field(name, pa.string()) for name in WRITTEN]
    fields += [pa.field(*column) for column in CHECKED] + [pa.field("conversations", MESSAGES)]
    result = write_result(task.out, task.source.name, kept, dropped, pa.schema(fields))
    return replace(result, info={**tally(counted, KIND.texts), "talks": dict(talks)})


def _described(
    task: Task,
    passed_on: Sequence[str],
    subjects: Mapping[int, Subject],
    drafts: Iterator[tuple[str, Draft]],
    template: TemplateCaptioner,
    counted: list[Mapping[str, Any]],
    talks: Counter[str],
) -> Iterator[dict[str, Any]]:
    """The rows of the subjects with their texts and conversations; what statistics count of them is appended to
    ``counted``, and added to ``talks``. passed_on: columns that stay. subjects: by their place in the shard."""
    limits = limits_of(task.config, template.max_words)
    rows = rows_at(task.source, subjects, [*passed_on, *TALKED_OF, "text"])
    for row, subject, (writer, draft) in zip(rows, subjects.values(), drafts, strict=True):
        accepted = accept(subject, draft, writer, template, limits)
        texts = {name: accepted.texts[style] for name, style in STYLES.items()}
        scene = scene_of(row, subject.facts, task.config.min_probability, task.config.seed)
        talk = converse(scene, {**row, **texts}, task.config.max_turns, task.seen)
        told = {**texts, **accepted.columns(STYLES), "conversations": talk.messages()}
        kept = {**{name: row[name] for name in passed_on}, **told}
        counted.append(of_statistics(kept, KIND.texts))
        talks.update(talk.figures())
        yield kept


def written(
    task: Task, subjects: Sequence[Subject], from_source: Sequence[bool], template: TemplateCaptioner
) -> Iterator[tuple[str, Draft]]:
    """Who wrote the texts of each subject, and these. from_source: whether the index's own texts are its captions,
    which the template builds upon."""
    styles = tuple(STYLES.values())
    captioner = open_captioner(task.config, "human_caption_hq", task.source.stem, template)
    if captioner is template:
        source = SourceCaptioner(template, template.max_words)
        for subject, own in zip(subjects, from_source, strict=True):
            writer = source if own else template
            yield writer.name, writer.write([subject], styles)[0]
    else:
        yield from ((captioner.name, draft) for draft in captioner.write(subjects, styles))


def template_of(config: HumanCaptionHQ) -> TemplateCaptioner:
    return TemplateCaptioner(config.seed, config.min_probability, dict.fromkeys(STYLES.values(), config.max_words))


def known(row: Mapping[str, Any], picture: Callable[[], bytes] = bytes) -> Subject:
    """What human_caption says of a row. picture: reads its file."""
    return Subject(row["id"], facts_from_json(row["facts"]), source_texts(row), row["sha256"] or "", picture)
