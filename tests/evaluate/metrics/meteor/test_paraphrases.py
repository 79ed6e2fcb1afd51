"""The paraphrase table: from text to arrays, and what is found with them in texts, against dictionaries."""

import io
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.evaluate.metrics.meteor import paraphrases_build
from humanvlm.evaluate.metrics.meteor.paraphrases import ParaphraseTable
from humanvlm.evaluate.metrics.ngrams import numbered

PHRASE = st.lists(st.sampled_from(["a", "b", "é", "dd", "e"]), min_size=1, max_size=7).map(" ".join)
PAIRS = st.lists(st.tuples(PHRASE, PHRASE), min_size=1, max_size=30)


def table(pairs: list[tuple[str, str]]) -> ParaphraseTable:
    text = "".join(f"0.5\n{phrase}\n{paraphrase}\n" for phrase, paraphrase in pairs)
    return ParaphraseTable(**paraphrases_build.build(io.BytesIO(text.encode())))


def found(built: ParaphraseTable, texts: list[list[str]]) -> dict[tuple[int, int, int], int]:
    """(text, first word, number of words) -> node."""
    vocabulary, words = numbered([word for text in texts for word in text])
    starts = np.cumsum([0, *(len(text) for text in texts)])
    seen = built.occurrences(list(vocabulary), words, starts)
    columns = (seen.text, seen.start, seen.size, seen.node)
    return {(text, start, size): node for text, start, size, node in zip(*(c.tolist() for c in columns), strict=True)}


@settings(max_examples=40, deadline=None)
@given(
    PAIRS, st.lists(st.lists(st.sampled_from(["a", "b", "é", "dd", "x"]), max_size=9), max_size=4), st.integers(9, 90)
)
def test_every_phrase_and_its_paraphrases_are_found(
    pairs: list[tuple[str, str]], texts: list[list[str]], block: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paraphrases_build, "_BLOCK", block)  # bytes: lines are cut anywhere
        built = table(pairs)
    phrases = {phrase for pair in pairs for phrase in pair}
    texts = [*texts, *(phrase.split() for phrase in sorted(phrases))]
    nodes = found(built, texts)
    spans = {
        (number, start, end - start): " ".join(text[start:end])
        for number, text in enumerate(texts)
        for start in range(len(text))
        for end in range(start + 1, len(text) + 1)
    }
    assert {span for span, phrase in spans.items() if phrase in phrases} <= nodes.keys()
    node_of = {phrase: nodes[span] for span, phrase in spans.items() if phrase in phrases}
    assert all(nodes[span] == node_of[phrase] for span, phrase in spans.items() if phrase in phrases)
    wanted: dict[int, list[int]] = defaultdict(list)
    for phrase, paraphrase in pairs:
        wanted[node_of[phrase]].append(node_of[paraphrase])
    rows = [column.tolist() for column in built.among(np.array(list(nodes.values())))]
    listed: dict[int, list[int]] = defaultdict(list)
    for phrase, nth, other in zip(*rows, strict=True):
        assert nth == len(listed[phrase])
        listed[phrase].append(other)
    assert listed == wanted


def test_words_that_are_in_no_phrase_are_in_no_phrase() -> None:
    built = table([("a man", "the man")])
    assert found(built, [["a", "dog"], ["dog", "a", "man"]]).keys() == {(0, 0, 1), (1, 1, 1), (1, 1, 2)}
    assert found(built, [[], ["x"]]) == {}
    assert [len(column) for column in built.among(np.array([], np.int64))] == [0, 0, 0]


@pytest.mark.parametrize(
    ("text", "why"),
    [("0.5\na\n", "its 2 lines"), ("0.5\na b c d e f g h\nb\n", "a phrase of 8 words"), ("0.5\na\nb\n0.5\nc", "its 5")],
)
def test_what_is_no_table_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        paraphrases_build.build(io.BytesIO(text.encode()))
