"""Neighbours among 64-bit hashes: which lie within a Hamming distance, and of a ranking, which stay.

Two hashes at most k bits apart agree on all but k of any k + n blocks of their bits, so under some choice of n blocks
they are equal (Manku et al. 2007, "Detecting near-duplicates for web crawling"; Norouzi et al. 2012, "Fast search in
Hamming space with multi-index hashing"): sorting by every choice brings each such pair together. Blocks are dealt so
that the bits which tell these hashes apart are spread evenly over them, and how many make a choice follows from the
cost. Where many hashes share a choice all the same, theirs are dealt anew.

No list of all pairs is ever made. Look-alikes of one picture have as many pairs as their number squared; here the
hashes are halved by rank again and again, and what is near a better one that stays is out before the next is asked.
"""

from collections.abc import Iterator
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Rows = NDArray[np.int32]
Flags = NDArray[np.bool_]

NO_HASHES: Hashes = np.empty(0, np.uint64)
HASH_BITS = 64
MOST_FREE_BLOCKS = 3
PAIRS_AT_ONCE = 1 << 20
SAMPLE = 1 << 14  # hashes by which bits are judged
LOOKS = 24  # neighbours in sorted order that are looked at, before a hash counts as one of a crowd
HEAVY = 1 << 14  # pairs that share a choice of blocks, from which it is worth while to deal anew
SMALL = 512  # hashes whose pairs are compared at once
STEP = 1 << 18  # rows of a temporary array
HALF = np.uint64(32)
PLACE = np.uint64((1 << 32) - 1)
DIGEST = np.uint64(0x9E3779B97F4A7C15)


def leaders(hashes: Hashes, rank: Rows, max_bits: int, crowd: Flags) -> Rows:
    """Of each of distinct hashes, the number of the one that is kept for it: itself, or the best kept one near it.

    Taken by rank from the lowest, a hash is kept unless one that is kept is at most ``max_bits`` away; so nothing is
    left out for a chain of look-alikes that ends far away. hashes, rank: distinct. crowd: see ``crowded``.
    """
    rows = np.flatnonzero(crowd).astype(np.int32)
    rows = rows[np.argsort(rank[rows])]
    kept_for = np.arange(len(hashes), dtype=np.int32)
    kept_for[rows] = rows[_taken_in_order(hashes[rows], max_bits)]
    return kept_for


def crowded(hashes: Hashes, max_bits: int, apart: Hashes = NO_HASHES) -> Flags:
    """Whether a hash may have another within ``max_bits``; False is certain, True is not where many are alike.

    apart: ascending hashes of which no two are within ``max_bits``, as an earlier call has left. They are compared with
    the others alone: what is old is not compared again with what is old.
    """
    if not len(apart):
        return _crowded(hashes, max_bits)
    known = _among(hashes, apart)
    new, old = (np.flatnonzero(some).astype(np.int32) for some in (~known, known))
    found = np.zeros(len(hashes), dtype=bool)
    found[new] = _crowded(hashes[new], max_bits)
    for rows, others in _near(hashes[new], hashes[old], max_bits):
        found[new[rows]] = True
        found[old[others]] = True
    return found


def _among(hashes: Hashes, known: Hashes) -> Flags:
    """Which hashes are among the known ones, of which there are some, ascending."""
    found = np.empty(len(hashes), dtype=bool)
    for start in range(0, len(hashes), STEP):
        part = hashes[start : start + STEP]
        place = np.minimum(np.searchsorted(known, part), len(known) - 1)
        found[start : start + STEP] = known[place] == part
    return found


def _crowded(hashes: Hashes, max_bits: int) -> Flags:
    found = np.zeros(len(hashes), dtype=bool)
    bits = _bits(hashes, hashes)
    for mask in _masks(bits, max_bits, _blocks_of_their_own(bits, len(hashes), max_bits)):
        keys = _keys(hashes, mask)
        starts, lengths = _runs(keys)
        many = lengths > LOOKS
        for start, length in zip(starts[many].tolist(), lengths[many].tolist(), strict=True):
            found[_places(keys[start : start + length])] = True
        starts, lengths = starts[~many], lengths[~many]
        for first in range(LOOKS - 1):
            for second in range(first + 1, LOOKS):
                inside = starts[lengths > second]
                if not len(inside):
                    break
                for here in np.array_split(inside, -(-len(inside) // STEP)):
                    one, other = _places(keys[here + first]), _places(keys[here + second])
                    near = np.bitwise_count(hashes[one] ^ hashes[other]) <= max_bits
                    found[one[near]] = True
                    found[other[near]] = True
    return found


def _keys(hashes: Hashes, mask: np.uint64) -> Hashes:
    """Sorted numbers whose upper half is a digest of what a hash has under a mask, and the lower half its place.

    Hashes that are equal under the mask have one digest; that some others have it too costs a comparison.
    """
    keys = hashes & mask
    keys *= DIGEST
    for start in range(0, len(keys), STEP):
        part = keys[start : start + STEP]
        part &= ~PLACE
        part |= np.arange(start, start + len(part), dtype=np.uint64)
    keys.sort()
    return keys


def _places(keys: Hashes) -> Rows:
    return (keys & PLACE).astype(np.int32)


def _runs(keys: Hashes) -> tuple[Rows, Rows]:
    """Where runs of more than one key begin that have one digest, and their lengths."""
    same = np.zeros(len(keys) + 1, dtype=bool)  # as the key before
    for low in range(1, len(keys), STEP):
        part = keys[low - 1 : low + STEP] >> HALF
        same[low : low + len(part) - 1] = part[1:] == part[:-1]
    starts = np.flatnonzero(same[1:] & ~same[:-1]).astype(np.int32)
    ends = np.flatnonzero(same[:-1] & ~same[1:]).astype(np.int32) + np.int32(1)
    return starts, ends - starts


def _taken_in_order(hashes: Hashes, max_bits: int) -> Rows:
    """``leaders`` of hashes that are in the order of their rank."""
    kept_for = np.arange(len(hashes), dtype=np.int32)

    def settle(rows: Rows) -> None:
        if len(rows) <= SMALL:
            _settle_few(hashes, rows, max_bits, kept_for)
            return
        better, rest = rows[: len(rows) // 2], rows[len(rows) // 2 :]
        settle(better)
        better = better[kept_for[better] == better]
        first = first_near(hashes[better], hashes[rest], max_bits)
        near = first < len(better)
        kept_for[rest[near]] = better[first[near]]
        settle(rest[~near])

    settle(kept_for.copy())
    return kept_for


def _settle_few(hashes: Hashes, rows: Rows, max_bits: int, kept_for: Rows) -> None:
    few = hashes[rows]
    near = np.triu(np.bitwise_count(few[:, None] ^ few) <= max_bits, 1)
    left = np.ones(len(rows), dtype=bool)
    for place in np.flatnonzero(near.any(axis=1)).tolist():
        if left[place]:
            out = near[place] & left
            kept_for[rows[out]] = rows[place]
            left[out] = False


def first_near(hashes: Hashes, asked: Hashes, max_bits: int) -> Rows:
    """Of each hash that is asked for, the first of ``hashes`` within ``max_bits``; their number where there is none."""
    first = np.full(len(asked), len(hashes), dtype=np.int32)
    for rows, askers in _near(hashes, asked, max_bits):
        np.minimum.at(first, askers, rows)
    return first


def _near(hashes: Hashes, asked: Hashes, max_bits: int) -> Iterator[tuple[Rows, Rows]]:
    """All pairs within ``max_bits`` of each other as places in both arrays, some of them several times."""
    if not len(hashes) or not len(asked):
        return
    bits = _bits(hashes, asked)
    free = _free_blocks(bits, len(hashes), len(asked), max_bits)
    if not free:
        yield from _all_compared(hashes, asked, max_bits)
        return
    for mask in _masks(bits, max_bits, free):
        keys = _keys(hashes, mask)
        for askers in _askers(keys, asked, mask):
            yield from _met(hashes, asked, max_bits, keys, askers, _keys(asked[askers], mask))


def _askers(keys: Hashes, asked: Hashes, mask: np.uint64) -> Iterator[Rows]:
    """Places of those that are asked for and may share a digest with a key, some at a time: most share none."""
    bits = np.uint64(min(len(keys).bit_length() + 5, 24))
    shift = np.uint64(HASH_BITS) - bits
    seen = np.zeros(1 << int(bits), dtype=bool)
    for start in range(0, len(keys), STEP):
        seen[keys[start : start + STEP] >> shift] = True
    for start in range(0, len(asked), STEP):
        digest = asked[start : start + STEP] & mask
        digest *= DIGEST
        digest >>= shift
        found = np.flatnonzero(seen[digest]).astype(np.int32)
        if len(found):
            yield found + np.int32(start)


def _met(
    hashes: Hashes, asked: Hashes, max_bits: int, keys: Hashes, askers: Rows, wanted: Hashes
) -> Iterator[tuple[Rows, Rows]]:
    """Pairs within ``max_bits`` that share a digest. keys: of all hashes. wanted: those of the askers."""
    low = np.searchsorted(keys, wanted & ~PLACE, "left").astype(np.int32)
    count = np.searchsorted(keys, wanted | PLACE, "right").astype(np.int32) - low
    met = np.flatnonzero(count)
    askers, low, count = askers[_places(wanted[met])], low[met], count[met]
    heavy = np.zeros(len(met), dtype=bool)
    begins = np.flatnonzero(np.diff(low, prepend=np.int32(-1)))  # of askers that share a key
    ends = np.append(begins[1:], len(low))
    pairs = (ends - begins) * count[begins].astype(np.int64)
    for run in np.flatnonzero(pairs > HEAVY).tolist():
        begin, end = int(begins[run]), int(ends[run])
        heavy[begin:end] = True
        some, here = _places(keys[low[begin] : low[begin] + count[begin]]), askers[begin:end]
        for rows, places in _near(hashes[some], asked[here], max_bits):
            yield some[rows], here[places]
    yield from _compared(hashes, asked, max_bits, keys, (askers[~heavy], low[~heavy], count[~heavy]))


def _compared(
    hashes: Hashes, asked: Hashes, max_bits: int, keys: Hashes, runs: tuple[Rows, Rows, Rows]
) -> Iterator[tuple[Rows, Rows]]:
    """Pairs within ``max_bits`` of askers and the hashes of ``count`` keys from ``low`` on."""
    askers, low, count = runs
    total = np.cumsum(count, dtype=np.int64)
    for cut in _cuts(total):
        each = count[cut]
        place = np.arange(each.sum(), dtype=np.int32) - np.repeat(np.cumsum(each, dtype=np.int32) - each, each)
        rows, places = _places(keys[np.repeat(low[cut], each) + place]), np.repeat(askers[cut], each)
        near = np.bitwise_count(hashes[rows] ^ asked[places]) <= max_bits
        yield rows[near], places[near]


def _cuts(total: NDArray[np.int64]) -> Iterator[slice]:
    """Stretches of some PAIRS_AT_ONCE pairs each. total: pairs up to and with each place."""
    start, done = 0, 0
    while start < len(total):
        stop = max(int(np.searchsorted(total, done + PAIRS_AT_ONCE, "right")), start + 1)
        yield slice(start, stop)
        start, done = stop, int(total[stop - 1])


def _all_compared(hashes: Hashes, asked: Hashes, max_bits: int) -> Iterator[tuple[Rows, Rows]]:
    few = max(PAIRS_AT_ONCE // len(hashes), 1)
    for start in range(0, len(asked), few):
        for first in range(0, len(hashes), PAIRS_AT_ONCE):
            some = hashes[first : first + PAIRS_AT_ONCE]
            near = np.bitwise_count(asked[start : start + few, None] ^ some) <= max_bits
            places, rows = np.nonzero(near)
            yield (rows + first).astype(np.int32), (places + start).astype(np.int32)


def _bits(hashes: Hashes, others: Hashes) -> list[tuple[float, int]]:
    """Entropy of every bit over some of the hashes, 0 to 1, and its number; most telling first."""
    some = np.concatenate([part[:: -(-len(part) // SAMPLE) or 1] for part in (hashes, others)])
    share = np.zeros(HASH_BITS)
    for bit in range(HASH_BITS):
        share[bit] = np.mean(some >> np.uint64(bit) & np.uint64(1)) if len(some) else 0
    share = np.clip(share, 1e-12, 1 - 1e-12)
    entropy = -(share * np.log2(share) + (1 - share) * np.log2(1 - share))
    return sorted(((float(value), bit) for bit, value in enumerate(entropy)), key=lambda one: (-one[0], one[1]))


def _free_blocks(bits: list[tuple[float, int]], count: int, asked: int, max_bits: int) -> int:
    """How many blocks make a mask, at the least cost; 0 when it is best to compare all pairs.

    More of them make longer keys, so fewer false candidates, but more masks. Costs are in pairs compared: to sort a
    hash costs as much as some of them, and to begin with a mask some ten thousand.
    """
    whole = sum(entropy for entropy, _ in bits)

    def cost(free: int) -> float:
        key = whole * free / (max_bits + free)
        masks: int = comb(max_bits + free, free)
        return masks * (1e4 + 4.0 * (count + asked) + float(count) * asked / float(2**key))

    costs = {0: float(count) * asked} | {free: cost(free) for free in range(1, MOST_FREE_BLOCKS + 1)}
    return min(costs, key=lambda free: (costs[free], free))


def _blocks_of_their_own(bits: list[tuple[float, int]], count: int, max_bits: int) -> int:
    """How many blocks make a mask under which most of so many hashes are equal to no other by chance."""
    whole = sum(entropy for entropy, _ in bits)
    enough = (free for free in range(1, MOST_FREE_BLOCKS) if whole * free / (max_bits + free) >= np.log2(max(count, 2)))
    return next(enough, MOST_FREE_BLOCKS)


def _masks(bits: list[tuple[float, int]], max_bits: int, free: int) -> list[np.uint64]:
    """Bit masks of ``free`` blocks, such that hashes at most ``max_bits`` apart are equal under one of them."""
    blocks = [0] * (max_bits + free)
    for place, (_, bit) in enumerate(bits):
        around, turn = divmod(place, len(blocks))
        blocks[turn if around % 2 == 0 else -1 - turn] |= 1 << bit
    return [np.uint64(sum(chosen)) for chosen in combinations(blocks, free)]
