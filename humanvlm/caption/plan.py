"""What captioning an input would take: requests, tokens, hours, cost; from a sample of its rows, writing nothing."""

import os
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from math import ceil
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow.parquet as pq

from humanvlm.caption import hq_stage, stage
from humanvlm.caption.captioners.asked import PARTS
from humanvlm.caption.captioners.base import Style, Subject
from humanvlm.caption.captioners.prompts import ask_for
from humanvlm.caption.captioners.sheet import fact_sheet
from humanvlm.caption.template.captioner import TemplateCaptioner
from humanvlm.config.human_caption import HumanCaption
from humanvlm.config.human_caption_hq import HumanCaptionHQ
from humanvlm.data.shards import list_shards, read_rows
from humanvlm.errors import UserError
from humanvlm.inference.estimate import estimate, hours
from humanvlm.inference.tokens import picture_tokens, scaled, text_tokens

SAMPLE = 48  # rows


def plan(section: str, config: HumanCaption | HumanCaptionHQ, inputs: Mapping[str, Path], rows: int = 0) -> str:
    """A line a figure. rows: instead of those of the input, by the means of a sample of it; 0: the input's.

    Hours of facts and template are those of this machine's cores, measured on the sample, once models are loaded.
    Raises UserError when the input has no row that can be captioned.
    """
    source = next(iter(inputs.values()))
    shards = list_shards(source)
    total = rows or sum(pq.read_metadata(path).num_rows for path in shards)
    template, styles = _writer(config)
    subjects, seconds = _sample(config, shards)
    if not subjects:
        raise UserError(f"{source}: no row of its first {SAMPLE} can be captioned, so there is nothing to plan by")
    start = time.monotonic()
    texts = [draft.texts for draft in template.write([subject for subject, _ in subjects], styles)]
    seconds += (time.monotonic() - start) / len(subjects)
    cores = os.cpu_count() or 1
    lines = [
        f"{section}: {total:,} rows, by a sample of {len(subjects)}; captioner {config.captioner}",
        f"facts and template: {1000 * seconds:.0f} ms a row, {hours(total * seconds / cores)} on {cores} cores",
    ]
    if config.captioner in ("model", "endpoint"):
        lines += _asked(config, total, subjects, texts, template.max_words)
    return "\n".join(lines)


def _writer(config: HumanCaption | HumanCaptionHQ) -> tuple[TemplateCaptioner, tuple[Style, ...]]:
    if isinstance(config, HumanCaption):
        return stage.template_of(config), tuple(stage.STYLES.values())
    return hq_stage.template_of(config), tuple(hq_stage.STYLES.values())


def _sample(
    config: HumanCaption | HumanCaptionHQ, shards: list[Path]
) -> tuple[list[tuple[Subject, Mapping[str, Any]]], float]:
    """What is known of some rows, and the seconds a row that it took, but for the first one, which loads models."""
    found, took = [], []
    for row in islice(_spread(shards), SAMPLE):
        start = time.monotonic()
        subject = stage.measured(row, config) if isinstance(config, HumanCaption) else hq_stage.known(row)
        took.append(time.monotonic() - start)
        if isinstance(subject, Subject):
            found.append((subject, row))
    return found, fmean(took[1:] or took or [0.0])


def _spread(shards: list[Path]) -> Iterator[Mapping[str, Any]]:
    """The first rows of shards that are spread over the input."""
    chosen = shards[:: ceil(len(shards) / SAMPLE)] if shards else []
    for path in chosen:
        yield from islice(read_rows(path), ceil(SAMPLE / len(chosen)))


def _asked(
    config: HumanCaption | HumanCaptionHQ,
    total: int,
    subjects: list[tuple[Subject, Mapping[str, Any]]],
    texts: list[Mapping[Style, str]],
    words: Mapping[Style, int],
) -> list[str]:
    """Requests, tokens, hours and cost of a model. A reply is thought to be as long as the template's text."""
    asked, made = [], []
    for (subject, row), written in zip(subjects, texts, strict=True):
        sheet = fact_sheet(subject.facts, config.min_probability, subject.texts)
        shown = picture_tokens(*scaled(row["width"], row["height"], config.endpoint.image_size))
        for style, text in written.items():
            fused = style == "fused"
            draft = "\n\n".join(written[part] for part in PARTS) if fused else text if config.rewrite else ""
            prompt = ask_for(style, sheet, words[style], draft=draft, rewrite=config.rewrite)
            asked.append(text_tokens(prompt) + (0 if config.rewrite or fused else shown))
            made.append(text_tokens(text))
    requests, most = total * len(texts[0]), config.max_new_tokens
    how = "a quarter of the characters, pictures by their size", "as long as the template's"
    charged = config.captioner == "endpoint"
    told = estimate(requests, fmean(asked), fmean(made), most, config.endpoint, how, charged=charged)
    return [f"requests: {requests:,}", *told]
