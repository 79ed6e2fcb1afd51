"""Who computes what of a step: its samples in packs, the same number for every process, even in tokens.

The samples of a step are the plan's, whatever the number of processes; packs only say how they are computed.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

Packs = list[list[int]]


@dataclass(frozen=True)
class Piece:
    """What is computed together of a sample: its first part, and of those after it the ``others`` (places from 0)."""

    sample: int
    others: tuple[int, ...]
    tokens: int


def pieces(parts: Sequence[Sequence[int]], world: int) -> list[Piece]:
    """Samples, given as the lengths of their parts, as what ``world`` processes can share.

    Whole ones, unless there are fewer than processes: then those of several parts are dealt out, longest part first,
    in pieces that each begin with the first part, which is computed once for each. Every other part is in one piece.
    """
    shares = -(-world // max(1, len(parts)))
    made = []
    for sample, (first, *others) in enumerate(parts):
        for places in _binned(others, max(1, min(shares, len(others)))):
            made.append(Piece(sample, tuple(sorted(places)), first + sum(others[place] for place in places)))
    return made


def packs(lengths: Sequence[int], world: int, limit: int) -> list[Packs]:
    """For each of ``world`` processes its packs, each a list of places in ``lengths``; together every place once.

    Longest first, each to the pack with fewest tokens (Graham 1969). As few packs as keep each within ``limit`` tokens,
    but for a sample that is longer, which is a pack of its own. All processes get equally many; those that are computed
    at the same time are about equally long. An empty pack is one for which no sample is left.
    """
    most = max(1, -(-len(lengths) // world))
    fewest = max(1, -(-sum(lengths) // (limit * world)))
    for count in range(min(fewest, most), most + 1):
        bins = _binned(lengths, count * world)
        if all(len(places) <= 1 or sum(lengths[place] for place in places) <= limit for places in bins):
            break
    return _dealt(bins, lengths, world)


def _binned(lengths: Sequence[int], count: int) -> Packs:
    bins: Packs = [[] for _ in range(count)]
    heap = [(0, number) for number in range(count)]
    for place in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        tokens, number = heapq.heappop(heap)
        bins[number].append(place)
        heapq.heappush(heap, (tokens + lengths[place], number))
    return bins


def _dealt(bins: Packs, lengths: Sequence[int], world: int) -> list[Packs]:
    """Packs in rounds of like size, one to each process, the longest of a round to who has least so far."""
    sizes = [sum(lengths[place] for place in places) for places in bins]
    order = sorted(range(len(bins)), key=lambda number: (-sizes[number], number))
    loads, result = [0] * world, [Packs() for _ in range(world)]
    for start in range(0, len(order), world):
        ranks = sorted(range(world), key=lambda rank: (loads[rank], rank))
        for rank, number in zip(ranks, order[start : start + world], strict=True):
            loads[rank] += sizes[number]
            result[rank].append(sorted(bins[number]))
    return result
