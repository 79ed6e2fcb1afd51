"""Referring expressions the other way round: a phrase for the person in a box, scored as a caption."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from humanvlm.data.detections import Box
from humanvlm.data.prompts import REFER, format_box
from humanvlm.errors import UserError
from humanvlm.evaluate.files import Row, by_id, pair
from humanvlm.evaluate.metrics.captions import METRICS, score_captions
from humanvlm.evaluate.metrics.cider import Frequencies
from humanvlm.evaluate.stats.scored import Scored
from humanvlm.evaluate.tasks import options
from humanvlm.evaluate.tasks.base import Sample, Task
from humanvlm.evaluate.tasks.captions import IDF, METRIC, judge, judged_metrics
from humanvlm.evaluate.tasks.pictures import source_picture
from humanvlm.evaluate.tasks.rec import Expression, read_expressions, source_expressions
from humanvlm.evaluate.tasks.replies import answers, read_replies, with_replies

if TYPE_CHECKING:
    from humanvlm.config.benchmark_scores import Source


def read_regions(path: Path) -> tuple[dict[str, list[Expression]], dict[str, str]]:
    """The expressions of each region (a box of a picture), named by its first expression; and the region of each id."""
    regions: dict[tuple[str, Box], list[Expression]] = {}
    for expression in read_expressions(path):
        regions.setdefault((expression.image, expression.box), []).append(expression)
    named = {group[0].id: group for group in regions.values()}
    return named, {one.id: name for name, group in named.items() for one in group}


def read_region_replies(path: Path, region_of: Mapping[str, str], references: Path) -> dict[str, str]:
    """A reply for each region, under the id of any of its expressions."""
    found = []
    for key, reply in read_replies(path, list(dict.fromkeys(region_of.values()))).items():
        if key not in region_of:
            raise UserError(f"{path}: id {key} is not in {references}; remove it")
        found.append((region_of[key], f"{path}: id {key}: its region", reply))
    return by_id(found)


def score_files(
    references: Path,
    predictions: Path,
    metrics: Sequence[str] = (),
    idf: Path | None = None,
    allow_missing: bool = False,
) -> Scored:
    """RefCOCO, RefCOCO+, RefCOCOg: expressions for boxes, scored as captions.

    References are those of grounding; the expressions of one box are the references of its region. Predictions are JSON
    lines with the id of any expression of the region, and text: one a region.
    """
    pinned = Frequencies.load(idf) if idf else None
    regions, region_of = read_regions(references)
    found = read_region_replies(predictions, region_of, references)
    replies = pair(regions, found, references, predictions, allow_missing=allow_missing)
    scored = score_captions(
        list(regions),
        [text or "" for text in answers(replies)],
        [[expression.text for expression in group] for group in regions.values()],
        idf=pinned,
        metrics=metrics or METRICS,
    )
    images = [group[0].image for group in regions.values()]  # the regions of a picture are resampled together
    counts = {**scored.counts, "missing": sum(text is None for text in answers(replies))}
    scored = replace(scored, task="reg", images=images, counts=counts, idf=pinned.digest if pinned else "")
    return with_replies(scored, replies)


def samples(task: str, source: "Source") -> Iterator[Sample]:
    """The expressions of one box are the references of its region, which is named by the first."""
    regions: dict[tuple[str, Box], list[tuple[Expression, Row]]] = {}
    for one, row in source_expressions(task, source):
        if one:
            regions.setdefault((one.image, one.box), []).append((one, row))
    for group in regions.values():
        first, row = group[0]
        prompt = REFER.format(box=format_box(list(first.box), int(first.width), int(first.height)))
        texts = tuple(one.text for one, _ in group)
        picture = source_picture(task, source, first.image, row)
        yield Sample(first.id, task, first.image, picture, prompt, texts, first, first.part)


TASK = Task(
    "reg",
    "Who is in the box?",
    "A phrase for the person in a box, scored as a caption; sample scores are CIDEr, 0 to 10.",
    "cider",
    samples,
    judge,
    judged_metrics,
    score_files,
    (options.REFERENCES, options.PREDICTIONS, METRIC, IDF),
)
