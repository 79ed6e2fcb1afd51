"""METEOR's alignment (Denkowski & Lavie 2014) as version 1.5 searches for it: a beam over the reference, left to right.

A pair of sentences has matches (exact, stem, synonym, paraphrase), and the alignment is a choice of matches that do not
overlap: most words covered, then fewest chunks, then the shortest distances. The search is not exhaustive, so what it
finds depends on the beam's width, on the order of matches and paths, and on how distances are added up; all of that is
as in the reference.
"""

from collections.abc import Container, Sequence
from operator import itemgetter
from typing import Any

BEAM = 40
# A path is ranked by one integer, smaller is better: words covered, then chunks, then distance.
_WORD, _CHUNK = 1 << 40, 1 << 20

Match = tuple[int, int, int, int, int, int, int, int]
"""at, length (words of the reference), start, size (words of the candidate), the words of both as bits, words gained,
and a number of its own."""
Path = tuple[int, int, int, int, int, Any, int, bool]
"""rank, words used of the candidate and of the reference (bits), the candidate's word after the last match (-1 after a
gap), the reference's first word that is not decided, the last match chosen with those before it, how many paths of the
search it may stand for, and whether the beam may have cut it off."""
_RANK = itemgetter(0)


def match(at: int, length: int, start: int, size: int, exact: bool, number: int) -> Match:
    """Words ``start`` to ``start + size`` of the candidate with ``at`` to ``at + length`` of the reference.

    In the search (not in the score) words that are no exact matches count half, and halves are dropped.
    """
    gain = size + length if exact else size // 2 + length // 2
    return at, length, start, size, ((1 << size) - 1) << start, ((1 << length) - 1) << at, gain, number


def align(words: int, matches: Sequence[Match], certain: Container[int]) -> list[int]:
    """The alignment: numbers of matches, in the reference's order.

    words: of the reference. matches: in their order. certain: numbers of those that no other match overlaps.
    """
    found: list[list[Match]] = [[] for _ in range(words)]
    for one in matches:
        found[one[0]].append(one)
    fixed = [one[0] if len(one) == 1 and one[0][-1] in certain else None for one in found]
    best = _search(found, fixed, merge=True) or _search(found, fixed, merge=False)
    chosen, link = [], best[5] if best else None
    while link:
        chosen.append(link[0])
        link = link[1]
    return chosen[::-1]


def _search(matches: Sequence[Sequence[Match]], certain: Sequence[Match | None], *, merge: bool) -> Path | None:
    """The best path, or None when paths are merged and it is unknown whether the beam would have cut that one off.

    Paths from which the same continuations are open differ for good by their rank and order, so the first stands for
    all. The beam counts all of them, so a path is in it for certain when those before it stand for fewer than BEAM.
    """
    used = sum(found[4] for found in certain if found)
    covered = sum(found[5] for found in certain if found)
    paths: list[Path] = [(0, used, covered, -1, 0, None, 1, False)]
    open_words = _open_words(matches, certain)
    for place, found in enumerate(matches):
        if len(paths) > 1:
            paths.sort(key=_RANK)
            paths = _merged(paths, place, open_words[place]) if merge else paths[:BEAM]
        paths = _advance(paths, place, found, certain[place])
    paths.sort(key=_RANK)
    paths = _merged(paths, len(matches), -1) if merge else paths[:BEAM]
    # The last chunk is closed before the paths are compared for the last time.
    best = min(paths, key=lambda path: path[0] + _CHUNK * (path[3] >= 0))
    return None if best[7] else best


def _open_words(matches: Sequence[Sequence[Match]], certain: Sequence[Match | None]) -> list[int]:
    """For each word of the reference: the candidate's words that matches from there on may still use."""
    words, following = 0, []
    for found, fixed in zip(reversed(matches), reversed(certain), strict=True):
        if not fixed:
            for one in found:
                words |= one[4]
        following.append(words)
    return following[::-1]


def _merged(paths: Sequence[Path], place: int, words: int) -> list[Path]:
    """The first path of each kind, without those that the beam cuts off for certain."""
    first: dict[tuple[int, int, int, bool], Path] = {}
    before = certain = 0
    for path in paths:
        doubtful = path[7] or before >= BEAM
        key = path[1] & words, path[2] >> place, path[3], doubtful
        if key in first:
            known = first[key]
            first[key] = (*known[:6], min(known[6] + path[6], BEAM), doubtful)
        else:
            first[key] = (*path[:7], True) if doubtful else path
            certain += not doubtful
            if certain >= BEAM:
                break
        before += path[6]
    return list(first.values())


def _advance(paths: Sequence[Path], place: int, found: Sequence[Match], certain: Match | None) -> list[Path]:
    """All paths after one more word of the reference."""
    following: list[Path] = []
    for path in paths:
        rank, used, covered, last, decided, chosen, count, doubtful = path
        if covered >> place & 1:
            if place < decided:
                following.append(path)
            elif certain:
                at, length, start, size, _, _, gain, number = certain
                rank += abs(at - start) - _WORD * gain + _CHUNK * (0 <= last != start)
                following.append((rank, used, covered, start + size, at + length, (number, chosen), count, doubtful))
            continue
        for at, length, start, size, words, others, gain, number in found:
            if used & words or covered & others:
                continue
            better = rank - _WORD * gain + _CHUNK * (0 <= last != start)
            link = number, chosen
            following.append((better, used | words, covered | others, start + size, at + length, link, count, doubtful))
            rank += abs(at - start)  # on the path that is extended, not on the new one, as in the reference
        rank += _CHUNK * (last >= 0)
        following.append((rank, used, covered, -1, decided + 1, chosen, count, doubtful))
    return following
