"""METEOR's alignment (Denkowski & Lavie 2014) as version 1.5 searches for it: a beam over the reference, left to right.

A pair of sentences has matches (exact, stem, synonym, paraphrase), and the alignment is a choice of matches that do not
overlap: most words covered, then fewest chunks, then the shortest distances. The search is not exhaustive, so what it
finds depends on the beam's width, on the order of matches and paths, and on how distances are added up; all of that is
as in the reference. Only matches that others overlap are searched: all the others are in every alignment.
"""

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

BEAM = 40
# A path is ranked by one integer, smaller is better: words covered, then chunks, then distance.
_WORD, _CHUNK = 1 << 48, 1 << 28

Match = tuple[int, int, int, int, int, int, int]
"""The first word of the candidate and the one after the last; the words of both as bits; gain; distance; a number."""
Step = tuple[int, int, int, int, int]
"""Some words of the reference: either one word that matches begin at (its place; 0; the most that one of them gains;
the first and the one after the last of these matches), or a run of words that is the same in every alignment (the word
of the candidate that the first of them matches, the one after that which the last of them matches, each -1 when it
matches none; 0; -1; -1)."""
Path = tuple[int, int, int, int, Any]
"""rank, words used of the candidate and of the reference (bits), the candidate's word after the last match (-1 after a
gap), and the last match chosen with those before it."""
_RANK = itemgetter(0)


def listed(rows: Iterable[tuple[int, int, int, int, bool, int]]) -> list[Match]:
    """Matches of (at, length, start, size, exact, number): words ``start`` to ``start + size`` of the candidate with
    ``at`` to ``at + length`` of the reference.

    In the search (not in the score) words that are no exact matches count half, and halves are dropped.
    """
    return [
        (
            start,
            start + size,
            ((1 << size) - 1) << start,
            ((1 << length) - 1) << at,
            _WORD * (size + length if exact else size // 2 + length // 2),
            abs(at - start),
            number,
        )
        for at, length, start, size, exact, number in rows
    ]


def align(steps: Sequence[Step], matches: Sequence[Match]) -> list[int]:
    """The numbers of the matches that the alignment has."""
    best = _search(steps, matches, _reachable(steps, matches)) or _search(steps, matches, 0)
    chosen, link = [], best[4] if best else None
    while link:
        chosen.append(link[0])
        link = link[1]
    return chosen


def _reachable(steps: Sequence[Step], matches: Sequence[Match]) -> int:
    """What some path gains."""
    used = covered = gained = 0
    for *_, low, high in steps:
        for _, _, words, others, gain, _, _ in matches[low:high]:
            if not (used & words or covered & others):
                used, covered, gained = used | words, covered | others, gained + gain
                break
    return gained


def _search(steps: Sequence[Step], matches: Sequence[Match], wanted: int) -> Path | None:
    """The best path; None when none gains what is wanted.

    A path that cannot gain that any more is dropped at once. All others have gained more by then, and so are before it
    in the beam, which is why nothing else changes.
    """
    lacking = sum([step[2] for step in steps]) - wanted
    paths: list[Path] = [(0, 0, 0, -1, None)]
    for first, last, most, low, high in steps:
        if len(paths) > 1:
            paths.sort(key=_RANK)
            del paths[BEAM:]
        if low >= 0:
            lacking -= most
            paths = _extended(paths, first, matches[low:high], lacking + _WORD)
        else:
            # What all paths gain is left out. A chunk ends where the run does not go on from the last match.
            paths = [
                (rank if end < 0 or end == first else rank + _CHUNK, used, covered, last, chosen)
                for rank, used, covered, end, chosen in paths
            ]
    if steps[-1][3] < 0:  # all paths end alike
        return min(paths, key=_RANK, default=None)
    # The last chunk is closed before the paths are compared for the last time.
    paths.sort(key=_RANK)
    return min(paths[:BEAM], key=lambda path: path[0] + _CHUNK * (path[3] >= 0), default=None)


def _extended(paths: Sequence[Path], place: int, matches: Sequence[Match], limit: int) -> list[Path]:
    """All paths after one more word of the reference whose rank is below the limit."""
    following: list[Path] = []
    for path in paths:
        rank, used, covered, last, chosen = path
        if covered >> place & 1:
            following.append(path)
            continue
        for start, end, words, others, gain, distance, number in matches:
            if used & words or covered & others:
                continue
            better = rank - gain if last < 0 or last == start else rank - gain + _CHUNK
            if better < limit:
                following.append((better, used | words, covered | others, end, (number, chosen)))
            rank += distance  # on the path that is extended, not on the new one, as in the reference
        if rank < limit:
            following.append((rank + _CHUNK if last >= 0 else rank, used, covered, -1, chosen))
    return following
