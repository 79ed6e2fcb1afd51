"""BLEU, ROUGE-L and CIDEr against the scores of pycocoevalcap, and what must hold of them on any text."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.evaluate.bleu import bleu, bleu_counts
from humanvlm.evaluate.cider import cider, frequencies
from humanvlm.evaluate.ptb import tokenize
from humanvlm.evaluate.rouge import longest_common, rouge_l

WORD = st.sampled_from(["a", "man", "woman", "in", "hat", "on", "the", "beach", "with", "dog"])
WORDS = st.lists(WORD, min_size=1, max_size=12)
REFERENCES = st.lists(WORDS, min_size=1, max_size=5)


def load(shared: Path, name: str) -> Any:
    with gzip.open(shared / "benchmarks" / "captions" / f"human_1000_{name}.json.gz", "rt", encoding="utf-8") as file:
        return json.load(file)


@pytest.fixture(scope="module")
def coco(shared: Path) -> tuple[dict[str, list[str]], dict[str, list[list[str]]], dict[str, Any]]:
    tokens = load(shared, "ptb_tokens")
    candidates = {key: value["candidate"][0].split() for key, value in tokens.items()}
    references = {key: [text.split() for text in value["references"]] for key, value in tokens.items()}
    return candidates, references, load(shared, "expected")


def test_bleu_is_cocos(coco: Any) -> None:
    candidates, references, expected = coco
    counts = {key: bleu_counts(candidates[key], references[key]) for key in candidates}
    corpus = bleu(np.sum(list(counts.values()), axis=0))
    for n in range(4):
        assert corpus[n] == pytest.approx(expected["scores"][f"Bleu_{n + 1}"], abs=1e-9)
        for key in candidates:
            assert bleu(counts[key])[n] == pytest.approx(expected["per_image"][key][f"Bleu_{n + 1}"], abs=1e-9)


def test_rouge_and_cider_are_cocos(coco: Any) -> None:
    candidates, references, expected = coco
    idf = frequencies(references.values())
    rouge = {key: rouge_l(candidates[key], references[key]) for key in candidates}
    ciders = {key: cider(candidates[key], references[key], idf) for key in candidates}
    assert np.mean(list(rouge.values())) == pytest.approx(expected["scores"]["ROUGE_L"], abs=1e-9)
    assert np.mean(list(ciders.values())) == pytest.approx(expected["scores"]["CIDEr"], abs=1e-9)
    for key in candidates:
        assert rouge[key] == pytest.approx(expected["per_image"][key]["ROUGE_L"], abs=1e-9)
        assert ciders[key] == pytest.approx(expected["per_image"][key]["CIDEr"], abs=1e-9)


def test_tokens_are_those_of_the_java_tokenizer(shared: Path) -> None:
    pairs, tokens = load(shared, "pairs"), load(shared, "ptb_tokens")
    texts = [
        (raw, expected)
        for key, pair in pairs.items()
        for raw, expected in zip(
            [pair["candidate"], *pair["references"]],
            [*tokens[key]["candidate"], *tokens[key]["references"]],
            strict=True,
        )
    ]
    assert len(texts) == 5003
    assert [raw for raw, expected in texts if " ".join(tokenize(raw)) != expected] == []


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("A man's hat, isn't it?", "a man 's hat is n't it"),
        ("They've cannot gonna", "they 've can not gon na"),
        ("St. Patrick at 6:55 p.m.", "st. patrick at 6:55 p.m."),
        ("The dog -- a t-shirt (red)...", "the dog a t-shirt -lrb- red -rrb-"),
        ("“Quoted” words!", "quoted words"),
        ("it is in the U.S.", "it is in the u.s."),
        ("", ""),
        (" \n\t ", ""),
    ],
)
def test_tokenize(text: str, tokens: str) -> None:
    assert " ".join(tokenize(text)) == tokens


@given(st.text(max_size=200))
def test_any_text_tokenizes(text: str) -> None:
    assert all(token and not token.isspace() for token in tokenize(text))


@given(WORDS, REFERENCES)
def test_bounds(candidate: list[str], references: list[list[str]]) -> None:
    idf = frequencies([references, [["another", "picture"]], [candidate]])
    assert all(0 <= value <= 1 for value in bleu(bleu_counts(candidate, references)))
    assert 0 <= rouge_l(candidate, references) <= 1
    assert -1e-9 <= cider(candidate, references, idf) <= 10 + 1e-9


@given(WORDS)
def test_a_perfect_caption_scores_full_marks(words: list[str]) -> None:
    idf = frequencies([[words], [["another", "picture"]]])
    orders = min(4, len(words))
    assert bleu(bleu_counts(words, [words]))[orders - 1] == pytest.approx(1)
    assert rouge_l(words, [words]) == pytest.approx(1)
    assert cider(words, [words], idf) == pytest.approx(10 * orders / 4)


@settings(max_examples=30)
@given(st.lists(st.tuples(WORDS, REFERENCES), min_size=2, max_size=6), st.randoms())
def test_the_order_of_pictures_and_references_does_not_matter(pairs: Any, random: Any) -> None:
    def scores(pairs: Any) -> Any:
        idf = frequencies([references for _, references in pairs])
        return [
            *bleu(np.sum([bleu_counts(*pair) for pair in pairs], axis=0)),
            np.mean([rouge_l(*pair) for pair in pairs]),
            np.mean([cider(*pair, idf) for pair in pairs]),
        ]

    shuffled = [(candidate, random.sample(references, len(references))) for candidate, references in pairs]
    random.shuffle(shuffled)
    assert scores(shuffled) == pytest.approx(scores(pairs))


def test_empty_captions_score_zero() -> None:
    references = [["a", "man"], ["a", "person"]]
    assert bleu(bleu_counts([], references)).max() == pytest.approx(0, abs=1e-5)
    assert rouge_l([], references) == 0
    assert cider([], references, frequencies([references, [["x"]]])) == 0


def test_longest_common_is_a_subsequence() -> None:
    assert longest_common(["a", "b", "c", "d", "e"], ["b", "x", "d", "e", "y"]) == 3
