"""Perceptual hashes and global deduplication over metadata: every dropped row names the row that is kept for it.

Near duplicates are found as in Manku et al. 2007 ("Detecting near-duplicates for web crawling"): cut the 64 bits into
blocks; two hashes that differ in at most k bits agree on all but k blocks, so sorting by every choice of the others
brings each such pair together. Pictures are then taken from best to worst, and one is dropped when it is near a picture
that is kept: nothing is dropped for a chain of look-alikes that ends far away.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from humanvlm.data.detections import Picture

HASH_BITS = 64
MAX_FREE_BLOCKS = 3
PAIRS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Candidate:
    """What deduplication knows of a row: id, sha256 of the bytes, perceptual hash, pixels (width times height)."""

    id: str
    sha256: str
    phash: str
    pixels: int


@dataclass(frozen=True)
class Duplicate:
    """Why a row is dropped: ``duplicate`` or ``near_duplicate``, and the id of the row that is kept for it."""

    reason: str
    kept: str


def perceptual_hash(gray: Picture) -> str:
    """64-bit pHash (Zauner 2010) of a gray picture as 16 hex digits: low DCT frequencies above or below their median.

    The picture is shrunk to 32x32; frequencies 1 to 8 of both axes count, so brightness and contrast do not.
    """
    small = cv2.resize(gray, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float64)
    # Rounding makes flat pictures hash alike everywhere: their coefficients are noise around zero.
    low = np.round((_DCT @ small @ _DCT.T)[1:9, 1:9], 3).ravel()
    bits = np.packbits(low > np.median(low))
    return bits.tobytes().hex()


_DCT = np.cos(np.pi / 32 * (np.arange(32)[None] + 0.5) * np.arange(32)[:, None])


def find_duplicates(rows: Sequence[Candidate], max_bits: int) -> dict[str, Duplicate]:
    """Rows to drop, by id. Independent of the order of ``rows``; ids are distinct.

    Of rows with one sha256, or with hashes at most ``max_bits`` apart, the largest is kept, then the smallest id.
    Every dropped row is identical to, or within ``max_bits`` of, the kept row it names.
    """
    ranked = sorted(rows, key=lambda row: (-row.pixels, row.id))
    dropped: dict[str, Duplicate] = {}
    first: dict[str, str] = {}
    distinct = []
    for row in ranked:
        kept = first.setdefault(row.sha256, row.id)
        if kept == row.id:
            distinct.append(row)
        else:
            dropped[row.id] = Duplicate("duplicate", kept)
    for row, keeper in _near(distinct, max_bits):
        dropped[row.id] = Duplicate("near_duplicate", keeper.id)
    # A copy of a near duplicate points to what is kept in the end.
    return {
        id: Duplicate(found.reason, dropped[found.kept].kept if found.kept in dropped else found.kept)
        for id, found in dropped.items()
    }


def _near(ranked: Sequence[Candidate], max_bits: int) -> Iterator[tuple[Candidate, Candidate]]:
    """(dropped, kept) pairs among rows in order of rank."""
    best: dict[str, int] = {}
    for place, row in enumerate(ranked):
        best.setdefault(row.phash, place)
    places = np.array(list(best.values()), dtype=np.int64)
    hashes = np.array([int(phash, 16) for phash in best], dtype=np.uint64)
    neighbours: dict[int, list[int]] = {}
    for low, high in near_pairs(hashes, max_bits).tolist():
        neighbours.setdefault(int(places[high]), []).append(int(places[low]))
    keeper: dict[int, int] = {}
    for place in places.tolist():  # ascending: a hash is entered where its best row stands
        keeper[place] = min((near for near in neighbours.get(place, ()) if keeper[near] == near), default=place)
    for place, row in enumerate(ranked):
        kept = keeper[best[row.phash]]
        if kept != place:
            yield row, ranked[kept]


def near_pairs(hashes: NDArray[np.uint64], max_bits: int) -> NDArray[np.int64]:
    """All pairs (i, j), i < j, of distinct 64-bit hashes that differ in at most ``max_bits`` bits; (n, 2), sorted."""
    found = [np.empty((0, 2), np.int64)]
    for mask in _masks(len(hashes), max_bits):
        order = np.argsort(hashes & mask, kind="stable")
        keys = (hashes & mask)[order]
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.empty(0, np.int64)
        for pairs in _pairs_within(order, starts):
            apart = np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]])
            found.append(np.sort(pairs[apart <= max_bits], axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _masks(count: int, max_bits: int) -> list[np.uint64]:
    """Bit masks such that any two hashes at most ``max_bits`` apart are equal under one of them.

    ``max_bits + free`` blocks, any ``free`` of which make a mask. More free blocks make longer keys (fewer false
    candidates) but more masks, so they grow with the number of hashes.
    """
    wanted = np.log2(max(count, 2))
    free = next(
        (free for free in range(1, MAX_FREE_BLOCKS) if free * HASH_BITS / (max_bits + free) >= wanted), MAX_FREE_BLOCKS
    )
    edges = np.linspace(0, HASH_BITS, max_bits + free + 1).round().astype(int).tolist()
    blocks = [((1 << high) - 1) ^ ((1 << low) - 1) for low, high in pairwise(edges)]
    return [np.uint64(sum(chosen)) for chosen in combinations(blocks, free)]


def _pairs_within(order: NDArray[np.int64], starts: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """All pairs inside each run of ``order`` that begins at ``starts``: neighbours at distance 1, then 2, and so on."""
    lengths = np.diff(np.r_[starts, len(order)])
    left = np.repeat(lengths, lengths) - (np.arange(len(order)) - np.repeat(starts, lengths))  # rows to the run's end
    step = 1
    while len(heads := np.flatnonzero(left > step)):
        for chunk in np.array_split(heads, -(-len(heads) // PAIRS_AT_ONCE)):
            yield np.stack([order[chunk], order[chunk + step]], axis=1)
        step += 1
