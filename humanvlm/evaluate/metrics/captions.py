"""The caption suite: BLEU-1..4, METEOR, ROUGE-L and CIDEr, equal to coco-caption (pycocoevalcap 1.2) without its Java.

Texts are tokenised as the reference does, in the order of the samples, each distinct one once. Two of the reference's
metrics are absent here, by name, and never zero: see ABSENT.
"""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from humanvlm.errors import UserError
from humanvlm.evaluate.metrics.bleu import bleu, bleu_counts
from humanvlm.evaluate.metrics.cider import Frequencies, cider, frequencies
from humanvlm.evaluate.metrics.ngrams import MAX_N, corpus
from humanvlm.evaluate.metrics.ptb import tokenize_corpus
from humanvlm.evaluate.metrics.rouge import rouge_l
from humanvlm.evaluate.stats.scored import Scored

Array = NDArray[np.float64]
METRICS = ("bleu", "meteor", "rouge_l", "cider")
CIDER = ("cider", "cider_d")  # one computation: what coco-caption calls CIDEr is CIDEr-D
KNOWN = (*METRICS, "cider_d")
ABSENT = {
    "spice": "it needs a scene-graph parser that runs in Java and a model of 384 MB",
    "clipscore": "it needs the pictures and a CLIP model",
    "refclipscore": "it needs the pictures and a CLIP model",
}


@dataclass(frozen=True)
class _Part:
    """One metric: its columns, their contributions (samples, k), and the metrics of summed contributions.

    ``metrics`` also gets how many samples were summed.
    """

    columns: Mapping[str, Sequence[float]]
    contributions: Array
    metrics: Callable[[Array, Array], Mapping[str, Array]]


def score_captions(
    ids: Sequence[str],
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    idf: Frequencies | None = None,
    metrics: Sequence[str] = METRICS,
) -> Scored:
    """Score one candidate a picture against its references; ``idf`` are CIDEr's document frequencies, by default those
    of these references.

    The columns are ``bleu_1`` to ``bleu_4``, ``meteor``, ``rouge_l`` and ``cider``. BLEU and METEOR of the corpus are
    not the means of their columns. Where METEOR's data is not installed, its name says what it is made of:
    ``meteor_exact_stem``. An empty caption is scored as such, and counted. Raises UserError for a picture without
    references, and for a metric that is unknown or absent.
    """
    _check(ids, candidates, references, metrics)
    with without_garbage_collection():
        tokens = tokenize_corpus(candidates)
        lines = iter(tokenize_corpus([text for group in references for text in group]))
        reference_tokens = [[next(lines) for _ in group] for group in references]
        meteor = _meteor_part(tokens, reference_tokens) if "meteor" in metrics else None
        ngrams = _ngram_part(tokens, reference_tokens, metrics, idf) if {"bleu", *CIDER} & set(metrics) else None
        rouge = _rouge_part(tokens, reference_tokens) if "rouge_l" in metrics else None
        parts = (ngrams, meteor() if meteor else None, rouge)
    present = [part for part in parts if part is not None]
    bounds = np.cumsum([0, *(part.contributions.shape[1] for part in present)])

    def named(sums: Array) -> dict[str, Array]:
        found: dict[str, Array] = {}
        for part, start, end in zip(present, bounds, bounds[1:], strict=False):
            found.update(part.metrics(sums[..., start:end], sums[..., -1]))
        return found

    return Scored(
        "captions",
        list(ids),
        list(ids),
        {name: values for part in present for name, values in part.columns.items()},
        np.column_stack([*(part.contributions for part in present), np.ones(len(ids))]),
        named,
        {
            "empty_candidates": sum(not line for line in tokens),
            "empty_references": sum(not line for group in reference_tokens for line in group),
        },
    )


def reference_frequencies(references: Sequence[Sequence[str]]) -> Frequencies:
    """CIDEr's document frequencies of each picture's references."""
    lines = iter(tokenize_corpus([text for group in references for text in group]))
    return frequencies(corpus([[]] * len(references), [[_words(next(lines)) for _ in group] for group in references]))


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Hundreds of thousands of small objects, none in a cycle: looking for cycles takes a tenth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _check(
    ids: Sequence[str], candidates: Sequence[str], references: Sequence[Sequence[str]], metrics: Sequence[str]
) -> None:
    if not len(ids) == len(candidates) == len(references):
        raise ValueError(f"{len(ids)} ids, {len(candidates)} candidates and {len(references)} lists of references")
    if not ids:
        raise UserError("no captions to score")
    bare = next((number for number, group in zip(ids, references, strict=True) if not group), None)
    if bare is not None:
        raise UserError(f"id {bare}: no references; leave it out or add some")
    for metric in metrics:
        if metric not in KNOWN:
            raise UserError(f"metric {metric!r}: {ABSENT.get(metric, 'unknown')}; choose from {', '.join(KNOWN)}")


Tokens = Sequence[Sequence[str]]


def _ngram_part(
    candidates: Tokens, references: Sequence[Tokens], metrics: Sequence[str], idf: Frequencies | None
) -> _Part:
    grams = corpus(list(map(_words, candidates)), [list(map(_words, group)) for group in references])
    counts = bleu_counts(grams)
    columns, contributions = {}, []
    if "bleu" in metrics:
        columns = {f"bleu_{n}": column for n, column in enumerate(bleu(counts).T.tolist(), 1)}
        contributions.append(counts)
    asked = [name for name in CIDER if name in metrics]
    if asked:
        scores = cider(grams, idf)
        columns |= dict.fromkeys(asked, scores.tolist())
        contributions.append(scores[:, None])

    def named(sums: Array, samples: Array) -> dict[str, Array]:
        found = {}
        if "bleu" in metrics:
            scores = bleu(sums[..., : counts.shape[1]])
            found = {f"bleu_{n}": scores[..., n - 1] for n in range(1, MAX_N + 1)}
        return found | dict.fromkeys(asked, sums[..., -1] / samples)

    return _Part(columns, np.column_stack(contributions), named)


def _words(tokens: Sequence[str]) -> list[str]:
    """BLEU and CIDEr split tokens at odd blanks too, such as the one in "1 1/2"."""
    return " ".join(tokens).split()


def _meteor_part(candidates: Tokens, references: Sequence[Tokens]) -> Callable[[], _Part]:
    """Starts at once; what it returns is to be called when the other metrics are done."""
    from humanvlm.evaluate.metrics.meteor.score import installed, meteor, started, summable

    name = installed().name
    texts = [" ".join(line).replace("|||", "").replace("  ", " ") for line in candidates]  # as coco-caption does
    finished = started(texts, [[" ".join(line) for line in group] for group in references])

    def part() -> _Part:
        statistics = finished()
        return _Part({name: meteor(statistics).tolist()}, summable(statistics), lambda sums, _: {name: meteor(sums)})

    return part


def _rouge_part(candidates: Tokens, references: Sequence[Tokens]) -> _Part:
    scores = rouge_l(candidates, references)
    return _Part({"rouge_l": scores.tolist()}, scores[:, None], lambda sums, count: {"rouge_l": sums[..., 0] / count})
