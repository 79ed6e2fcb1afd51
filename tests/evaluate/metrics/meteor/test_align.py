"""The search among matches against the beam as METEOR 1.5 describes it, without any short cut."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.evaluate.metrics.meteor.matches import EXACT, PARAPHRASE, Matches
from humanvlm.evaluate.metrics.meteor.score import _aligned

# A few words that come again and again, and phrases: at, length, start, size, exact
WORDS = st.lists(st.integers(0, 3), min_size=1, max_size=9)
PHRASES = st.lists(
    st.tuples(st.integers(0, 8), st.integers(1, 3), st.integers(0, 8), st.integers(1, 3)), max_size=5, unique=True
)
Row = tuple[int, int, int, int, int]


def matches(candidate: list[int], reference: list[int], phrases: list[tuple[int, int, int, int]]) -> list[Row]:
    """In METEOR's order: by place in the reference, then exact ones, then phrases."""
    exact = [
        (at, 1, start, 1, EXACT)
        for at, word in enumerate(reference)
        for start, other in enumerate(candidate)
        if word == other
    ]
    fitting = [row for row in phrases if row[0] + row[1] <= len(reference) and row[2] + row[3] <= len(candidate)]
    return sorted([*exact, *((*row, PARAPHRASE) for row in fitting)], key=lambda row: (row[0], row[4]))


def overlap(one: Row, other: Row) -> bool:
    return any(one[of] < other[of] + other[of + 1] and other[of] < one[of] + one[of + 1] for of in (0, 2))


def beam(words: int, found: list[Row]) -> list[Row]:
    """Paths of (words matched, chunks, distance, candidate's next word or -1, used, covered, matches).

    A match that no other overlaps is on every path.
    """
    certain = [row for row in found if not any(overlap(row, other) for other in found if other is not row)]
    paths: list[Any] = [(0, 0, 0, -1, frozenset(), frozenset(), [])]
    for place in range(words):
        paths = sorted(paths, key=lambda path: (-path[0], path[1], path[2]))[:40]
        following = []
        for path in paths:
            matched, chunks, distance, last, used, covered, chosen = path
            if place in covered:
                following.append(path)
                continue
            for row in (row for row in found if row[0] == place):
                at, length, start, size, kind = row
                mine, theirs = frozenset(range(start, start + size)), frozenset(range(at, at + length))
                if used & mine or covered & theirs:
                    continue
                gain = size + length if kind == EXACT else size // 2 + length // 2
                more = chunks + (last >= 0 and last != start)
                state = (matched + gain, more, distance, start + size, used | mine, covered | theirs, [*chosen, row])
                following.append(state)
                distance += abs(at - start)
            if not any(row[0] == place for row in certain):
                following.append((matched, chunks + (last >= 0), distance, -1, used, covered, chosen))
        paths = following
    paths = sorted(paths, key=lambda path: (-path[0], path[1], path[2]))[:40]
    best: list[Row] = min(paths, key=lambda path: (-path[0], path[1] + (path[3] >= 0), path[2]))[6]
    return best


def aligned(pairs: list[tuple[list[int], list[int], list[Row]]]) -> list[list[Row]]:
    rows = [(pair, *row) for pair, (_, _, found) in enumerate(pairs) for row in found]
    columns = np.array(rows, np.int64).reshape(-1, 6).T
    pair, at, length, start, size, kind = columns
    sizes = [np.array([len(words[side]) for words in pairs], np.int64) for side in (0, 1)]
    chosen = _aligned(Matches(pair, at, length, start, size, kind), *sizes)
    results: list[list[Row]] = [[] for _ in pairs]
    for number in chosen.tolist():
        results[rows[number][0]].append(rows[number][1:])
    return results


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(WORDS, WORDS, PHRASES), min_size=1, max_size=4))
def test_the_search_finds_what_the_beam_finds(drawn: list[tuple[Any, Any, Any]]) -> None:
    pairs = [(candidate, reference, matches(candidate, reference, rows)) for candidate, reference, rows in drawn]
    assert aligned(pairs) == [beam(len(reference), found) for _, reference, found in pairs]


def test_where_the_beam_is_too_narrow() -> None:
    """Twelve times the same word on both sides: far more paths than the beam holds."""
    words = [0] * 12
    found = matches(words, words, [(0, 3, 9, 3), (9, 3, 0, 3)])
    assert aligned([(words, words, found)]) == [beam(12, found)]
