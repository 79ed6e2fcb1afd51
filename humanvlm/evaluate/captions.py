"""The caption suite: BLEU-1..4, METEOR, ROUGE-L and CIDEr, equal to coco-caption (pycocoevalcap 1.2) without its Java.

Texts are tokenised as the reference does, in the order of the samples, each distinct one once. Two of the reference's
metrics are absent here, by name, and never zero: see ABSENT.
"""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from humanvlm.errors import UserError
from humanvlm.evaluate.bleu import bleu, bleu_counts
from humanvlm.evaluate.cider import Frequencies, cider
from humanvlm.evaluate.files import pair
from humanvlm.evaluate.formats_captions import read_candidates, read_pairs, read_references
from humanvlm.evaluate.ngrams import MAX_N, corpus
from humanvlm.evaluate.ptb import tokenize_corpus
from humanvlm.evaluate.rouge import rouge_l
from humanvlm.evaluate.scored import Scored

Array = NDArray[np.float64]
METRICS = ("bleu", "meteor", "rouge_l", "cider")
ABSENT = {
    "spice": "it needs a scene-graph parser that runs in Java and a model of 384 MB",
    "clipscore": "it needs the pictures and a CLIP model; humanvlm.evaluate.clipscore scores their embeddings",
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
    with _without_garbage_collection():
        tokens = tokenize_corpus(candidates)
        lines = iter(tokenize_corpus([text for group in references for text in group]))
        reference_tokens = [[next(lines) for _ in group] for group in references]
        parts = [part(tokens, reference_tokens, metrics, idf) for part in (_ngram_part, _meteor_part, _rouge_part)]
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


def score_caption_files(
    references: Path,
    predictions: Path | None,
    *,
    allow_missing: bool = False,
    idf: Path | None = None,
    metrics: Sequence[str] = METRICS,
) -> Scored:
    """Score files (see ``formats_captions``). Without ``predictions`` the references' file holds pairs.

    A missing prediction is an error, or with ``allow_missing`` an empty caption that is counted as ``missing``.
    """
    frequencies = Frequencies.load(idf) if idf else None
    if predictions is None:
        pairs = read_pairs(references)
        candidates, groups = zip(*pairs.values(), strict=True) if pairs else ((), ())
        return score_captions(list(pairs), candidates, groups, idf=frequencies, metrics=metrics)
    wanted = read_references(references)
    found = pair(wanted, read_candidates(predictions), references, predictions, allow_missing=allow_missing)
    scored = score_captions(
        list(wanted), [text or "" for text in found], list(wanted.values()), idf=frequencies, metrics=metrics
    )
    return replace(scored, counts={**scored.counts, "missing": sum(text is None for text in found)})


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
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
        if metric not in METRICS:
            raise UserError(f"metric {metric!r}: {ABSENT.get(metric, 'unknown')}; choose from {', '.join(METRICS)}")


Tokens = Sequence[Sequence[str]]


def _ngram_part(
    candidates: Tokens, references: Sequence[Tokens], metrics: Sequence[str], idf: Frequencies | None
) -> _Part | None:
    if not {"bleu", "cider"} & set(metrics):
        return None
    known: dict[int, list[str]] = {}

    def words(tokens: Sequence[str]) -> list[str]:
        """These two metrics split tokens at odd blanks too, such as that of "1 1/2"."""
        if id(tokens) not in known:
            known[id(tokens)] = " ".join(tokens).split()
        return known[id(tokens)]

    grams = corpus([words(line) for line in candidates], [[words(line) for line in group] for group in references])
    counts = bleu_counts(grams)
    columns, contributions = {}, []
    if "bleu" in metrics:
        columns = {f"bleu_{n}": column for n, column in enumerate(bleu(counts).T.tolist(), 1)}
        contributions.append(counts)
    if "cider" in metrics:
        scores = cider(grams, idf)
        columns["cider"] = scores.tolist()
        contributions.append(scores[:, None])

    def named(sums: Array, samples: Array) -> dict[str, Array]:
        found = {}
        if "bleu" in metrics:
            scores = bleu(sums[..., : counts.shape[1]])
            found = {f"bleu_{n}": scores[..., n - 1] for n in range(1, MAX_N + 1)}
        return found | ({"cider": sums[..., -1] / samples} if "cider" in metrics else {})

    return _Part(columns, np.column_stack(contributions), named)


def _meteor_part(candidates: Tokens, references: Sequence[Tokens], metrics: Sequence[str], _: Any) -> _Part | None:
    if "meteor" not in metrics:
        return None
    from humanvlm.evaluate.meteor import installed, meteor, meteor_statistics, summable

    name = installed().name
    texts = [" ".join(line).replace("|||", "").replace("  ", " ") for line in candidates]  # as coco-caption does
    statistics = meteor_statistics(texts, [[" ".join(line) for line in group] for group in references])
    return _Part({name: meteor(statistics).tolist()}, summable(statistics), lambda sums, _: {name: meteor(sums)})


def _rouge_part(candidates: Tokens, references: Sequence[Tokens], metrics: Sequence[str], _: Any) -> _Part | None:
    if "rouge_l" not in metrics:
        return None
    scores = rouge_l(candidates, references)
    return _Part({"rouge_l": scores.tolist()}, scores[:, None], lambda sums, count: {"rouge_l": sums[..., 0] / count})
