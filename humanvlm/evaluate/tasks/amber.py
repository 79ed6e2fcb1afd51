"""AMBER: does a description name what is not there, and are questions about it answered right? (Wang et al. 2023)

Read from its publisher's folder ``data``: ``query/query_all.json``, ``annotations.json``, ``relation.json`` (words by
word) and ``safe_words.txt``; or from a part of the queries, the others lying beside them or in the folder above. As its
``inference.py``: of the nouns of a description that its lists know, CHAIR is the share that neither the truth of the
picture nor a word associated with it covers; Cover the share of the truth that is named; Hal the share of descriptions
with such a noun; Cog the share of the likely hallucinations that are named. Of the questions, precision and recall are
those of "no".

Two things of the official code need models, and are done by lists here. Nouns are found by NLTK's tagger there; here
each word of the lists counts, as it is written, lower case or not. And a noun is let pass there when spaCy's vectors
(en_core_web_lg) of it and a word of the truth are more similar than 0.8; as both are of the lists, such pairs can be
written down once: ``similar.json`` beside ``relation.json``, {word: [words]}. Without it each such noun counts as
hallucinated, and is counted as ``not_compared``: CHAIR, Hal are then at most too high, Cover and Cog too low.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from humanvlm.data.prompts import YES_NO
from humanvlm.errors import UserError
from humanvlm.evaluate.files import by_id, get, get_id, get_text, open_text, pair, read_json, read_rows
from humanvlm.evaluate.metrics.nouns import singular, words
from humanvlm.evaluate.stats.parts import ratio
from humanvlm.evaluate.stats.scored import Array, Scored
from humanvlm.evaluate.tasks.base import Coordinates, Judged, Sample, Task, source_file
from humanvlm.evaluate.tasks.mme import parse_answer
from humanvlm.evaluate.tasks.pictures import source_picture
from humanvlm.evaluate.tasks.replies import answers, read_replies, with_replies

if TYPE_CHECKING:
    from humanvlm.config.benchmark_scores import Source

GENERATIVE = "generative"
KINDS = {  # AMBER's types
    "generative": GENERATIVE,
    "discriminative-hallucination": "existence",
    "discriminative-attribute-state": "state",
    "discriminative-attribute-number": "number",
    "discriminative-attribute-action": "action",
    "discriminative-relation": "relation",
    "relation": "relation",
}
ASKED = ("existence", "state", "number", "action", "relation")
DIMENSIONS = {"existence": ("existence",), "attribute": ("state", "number", "action"), "relation": ("relation",)}
DESCRIBED = 8  # hallucinated, nouns, covered, truths, imagined, likely hallucinations, any hallucinated, descriptions
ANSWERED = 5  # right, no that is no, truly no, said no, questions


@dataclass(frozen=True)
class Lists:
    """associated: words that a word covers. safe: words that are never wrong. similar: pairs that vectors find alike,
    None where that is unknown."""

    associated: Mapping[str, Sequence[str]]
    safe: frozenset[str]
    similar: Mapping[str, frozenset[str]] | None

    @property
    def known(self) -> frozenset[str]:
        return frozenset(self.associated).union(*self.associated.values())


@dataclass(frozen=True)
class Query:
    """kind: ``generative`` or one of ``ASKED``. truth, likely: of a description, what is there, and what is often made
    up. positive: of a question, the answer is yes."""

    id: str
    image: str
    text: str
    kind: str
    truth: tuple[str, ...]
    likely: tuple[str, ...]
    positive: bool
    lists: Lists = field(repr=False, compare=False)


@dataclass(frozen=True)
class _Read:
    """What was read from a reply, its score (0 to 1), what it adds to the sums, and the nouns that are not there."""

    prediction: str | None
    score: float
    vector: Array
    wrong: Sequence[str] = ()


def nouns_of(text: str, known: frozenset[str]) -> list[str]:
    """The words of AMBER's lists in a text, in their singular, each as often as it is there."""
    return [noun for word in words(text) if (noun := singular(word, known)) in known]


def read_reply(query: Query, reply: str | None) -> _Read:
    """A reply of None is missing, and wrong: of a description, one noun that is not there."""
    vector = np.zeros(DESCRIBED + ANSWERED * len(ASKED))
    if query.kind != GENERATIVE:
        said = "other" if reply is None else parse_answer(reply)
        right, no = said == ("yes" if query.positive else "no"), said == "no"
        place = DESCRIBED + ANSWERED * ASKED.index(query.kind)
        vector[place : place + ANSWERED] = right, no and not query.positive, not query.positive, no, 1
        return _Read(None if said == "other" else said, float(right), vector)
    if reply is None:
        vector[:DESCRIBED] = 1, 1, 0, len(query.truth), 0, len(query.likely), 1, 1
        return _Read(None, 0.0, vector)
    lists = query.lists
    nouns = nouns_of(reply, lists.known)
    there, likely = _reached(query.truth, lists), _reached(query.likely, lists)
    covered, imagined, wrong = set(), set(), []
    for noun in nouns:
        if noun in lists.safe:
            continue
        if noun in there:
            covered.add(there[noun])
            continue
        if noun in likely:
            imagined.add(likely[noun])
        if (found := _first_alike(noun, likely, lists)) is not None:
            imagined.add(found)
        if (found := _first_alike(noun, there, lists)) is not None:
            covered.add(found)
        else:
            wrong.append(noun)
    vector[:DESCRIBED] = (
        *(len(wrong), len(nouns), len(covered), len(query.truth)),
        *(len(imagined), len(query.likely), bool(wrong), 1),
    )
    return _Read(", ".join(nouns) or None, 1 - len(wrong) / max(len(nouns), 1), vector, wrong)


def score_amber(queries: Sequence[Query], replies: Sequence[str | None]) -> Scored:
    """CHAIR, Cover, Hal and Cog of descriptions; accuracy, precision, recall and F1 of answers, in all and by
    dimension; all in 0..1. counts: ``missing``, ``unparseable`` (answers that are neither yes nor no),
    ``not_compared`` (nouns that similar words might excuse, were they known).
    """
    read = [read_reply(query, reply) for query, reply in zip(queries, replies, strict=True)]
    unsure = sum(len(one.wrong) for query, one in zip(queries, read, strict=True) if query.lists.similar is None)
    return Scored(
        "amber",
        [query.id for query in queries],
        [query.image for query in queries],
        {
            "kind": [query.kind for query in queries],
            "query": [query.text for query in queries],
            "reply": list(replies),
            "read": [one.prediction for one in read],
            "hallucinated": [list(one.wrong) for one in read],
            "score": [one.score for one in read],
        },
        np.stack([one.vector for one in read]),
        summed_metrics,
        {
            "missing": sum(reply is None for reply in replies),
            "unparseable": sum(
                query.kind != GENERATIVE and reply is not None and one.prediction is None
                for query, reply, one in zip(queries, replies, read, strict=True)
            ),
            "not_compared": unsure,
        },
    )


def summed_metrics(sums: Array) -> dict[str, Array]:
    """Sums of ``read_reply``'s vectors to the metrics. amber: the mean of 1 - CHAIR and F1, as its paper has it in
    percent; of one of them where the other was not asked for."""
    wrong, nouns, covered, truths, imagined, likely, bad, described = np.moveaxis(sums[..., :DESCRIBED], -1, 0)
    asked = sums[..., DESCRIBED:].reshape(*sums.shape[:-1], len(ASKED), ANSWERED)
    chair, answered = _share(wrong, nouns, described), _answered(asked.sum(axis=-2))
    halves = np.stack([1 - chair, answered["f1"]])
    defined = np.isfinite(halves)
    found = {
        "amber": ratio(np.where(defined, halves, 0.0).sum(axis=0), defined.sum(axis=0)),
        "chair": chair,
        "cover": _share(covered, truths, described),
        "hal": _share(bad, described, described),
        "cog": _share(imagined, likely, described),
        **answered,
    }
    for dimension, kinds in DIMENSIONS.items():
        part = asked[..., [ASKED.index(kind) for kind in kinds], :].sum(axis=-2)
        found |= {f"{name}[dimension={dimension}]": value for name, value in _answered(part).items()}
    return found


def judged_metrics(sums: Array) -> dict[str, Array]:
    """Without the dimensions: kinds are parts of the task."""
    return {name: value for name, value in summed_metrics(sums).items() if "[" not in name}


def read_queries(path: Path) -> list[Query]:
    """The queries of a folder or file, each with its annotation. Raises UserError naming the file or row that is
    missing or wrong."""
    if path.is_dir():
        path = path / "query" / "query_all.json"
    annotations = _beside(path, "annotations.json")
    known = by_id((get_id(row, ("id",), where), where, (where, row)) for where, row in read_rows(annotations))
    lists = _read_lists(path)
    found = []
    for where, row in read_rows(path):
        key = get_id(row, ("id",), where)
        if key not in known:
            raise UserError(f"{where}: id {key} is not in {annotations}")
        place, truth = known[key]
        kind = KINDS.get(get_text(truth, ("type",), place))
        if kind is None:
            raise UserError(f"{place}: unknown type {truth['type']!r}; known: {', '.join(KINDS)}")
        described = kind == GENERATIVE
        there = _texts(get(truth, ("truth",), place), place) if described else ()
        likely = _texts(truth.get("hallu", []), place) if described else ()
        answer = "" if described else get_text(truth, ("truth",), place).strip().lower()
        if not described and answer not in ("yes", "no"):
            raise UserError(f"{place}: truth {answer!r} is neither yes nor no")
        image, text = get_id(row, ("image",), where), get_text(row, ("query",), where)
        found.append((key, where, Query(key, image, text, kind, there, likely, answer == "yes", lists)))
    return list(by_id(found).values())


def score_files(references: Path, predictions: Path, allow_missing: bool = False) -> Scored:
    """AMBER: CHAIR, Cover, Hal, Cog of descriptions; accuracy, precision, recall, F1 of answers.

    References are its folder data, or a part of its queries, such as data/query/query_generative.json;
    annotations.json, relation.json and safe_words.txt lie in data, as published. Predictions are a list, or JSON
    lines, of id and response.
    similar.json beside relation.json, {word: [words]}, stands for the word vectors of the official code.
    """
    queries = read_queries(references)
    ids = [query.id for query in queries]
    replies = pair(ids, read_replies(predictions, ids), references, predictions, allow_missing=allow_missing)
    return with_replies(score_amber(queries, answers(replies)), replies)


def samples(task: str, source: "Source") -> Iterator[Sample]:
    path = source_file(task, source)
    for query in read_queries(path):
        picture = source_picture(task, source, query.image, {"image": query.image})
        described = query.kind == GENERATIVE
        prompt = query.text if described else YES_NO.format(question=query.text)
        references = query.truth if described else ("yes" if query.positive else "no",)
        yield Sample(query.id, task, query.image, picture, prompt, references, query, query.kind, subject=query.text)


def judge(samples: Sequence[Sample], replies: Sequence[str | None], _: Coordinates) -> Judged:
    read = [read_reply(sample.truth, reply) for sample, reply in zip(samples, replies, strict=True)]
    vectors = np.stack([one.vector for one in read])
    return Judged([one.prediction for one in read], [one.score for one in read], vectors)


def _reached(targets: Sequence[str], lists: Lists) -> dict[str, int]:
    """By word, which target it stands for: words associated with targets come before the targets themselves."""
    found: dict[str, int] = {}
    for number, target in enumerate(targets):
        for word in lists.associated.get(target, ()):
            found.setdefault(word, number)
    for number, target in enumerate(targets):
        found.setdefault(target, number)
    return found


def _first_alike(noun: str, reached: Mapping[str, int], lists: Lists) -> int | None:
    alike = (lists.similar or {}).get(noun, frozenset())
    return next((number for word, number in reached.items() if word == noun or word in alike), None)


def _answered(sums: Array) -> dict[str, Array]:
    right, hits, truly, said, asked = np.moveaxis(sums, -1, 0)
    precision, recall = _share(hits, said, asked), _share(hits, truly, asked)
    f1 = 2 * precision * recall / np.where(precision + recall > 0, precision + recall, 1.0)
    return {"accuracy": _share(right, asked, asked), "precision": precision, "recall": recall, "f1": f1}


def _share(part: Array, whole: Array, samples: Array) -> Array:
    """0 of nothing, as the official code has it; undefined where no sample is of the kind."""
    return np.where(samples > 0, part / np.maximum(whole, 1), np.nan)


def _read_lists(path: Path) -> Lists:
    relation = _beside(path, "relation.json")
    associated = _words_by_word(relation)
    with open_text(_beside(path, "safe_words.txt")) as file:
        safe = frozenset(line.strip() for line in file if line.strip())
    similar = relation.with_name("similar.json")
    if not similar.exists():
        return Lists(associated, safe, None)
    return Lists(associated, safe, {word: frozenset(others) for word, others in _words_by_word(similar).items()})


def _words_by_word(path: Path) -> dict[str, tuple[str, ...]]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path}: a JSON {type(value).__name__}; an object of words by word is expected")
    return {word: _texts(others, f"{path}: {word}") for word, others in value.items()}


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise UserError(f"{where}: {str(value)[:60]} is no list of words")
    return tuple(value)


def _beside(path: Path, name: str) -> Path:
    """A file of the publisher's folder, of which ``path`` is one, or is in a folder of it."""
    found = next((folder / name for folder in (path.parent, path.parent.parent) if (folder / name).is_file()), None)
    if found is None:
        raise UserError(f"{path.parent.parent / name}: no such file; AMBER's data folder has it, above its queries")
    return found


TASK = Task(
    "amber",
    "Hallucinations",
    "Descriptions and yes/no questions (AMBER). Of CHAIR, Hal and Cog, which count nouns of what is not there, less is "
    "better; precision and recall are of no.",
    "amber",
    samples,
    judge,
    judged_metrics,
    score_files,
)
