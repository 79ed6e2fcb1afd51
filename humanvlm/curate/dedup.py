"""Perceptual hashes and global deduplication over metadata: every dropped row names the row that is kept for it.

Rows are taken from best to worst, and one is dropped when its picture is that of a row that is kept, or near it:
nothing is dropped for a chain of look-alikes that ends far away. Rows are columns of numbers: with all that is held
beside them they take some 40 bytes a row and its id.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from humanvlm.curate.neighbours import (
    DIGEST,
    HALF,
    HASH_BITS,
    NO_HASHES,
    PLACE,
    STEP,
    Flags,
    Hashes,
    Rows,
    crowded,
    leaders,
)
from humanvlm.data.detections import Picture

MOST_PIXELS = (1 << 31) - 1
MOST_WORTH = np.uint32((1 << 32) - 1)
PART_BITS = 5


@dataclass(frozen=True)
class Candidates:
    """What deduplication knows of rows, a place each in every array.

    ids: as bytes. sha256: the first 64 bits of that of the picture's file. phash: its perceptual hash. worth: of two
    alike the row of greater worth is kept (see ``worth``).
    """

    ids: NDArray[np.bytes_]
    sha256: Hashes
    phash: Hashes
    worth: NDArray[np.uint32]

    @classmethod
    def of(
        cls,
        ids: Sequence[str],
        sha256: Iterable[str],
        phash: Iterable[str],
        pixels: Sequence[int],
        texted: Sequence[bool],
    ) -> Self:
        """Columns of a shard. sha256, phash: hexadecimal. pixels: width times height. texted: whether there is text."""
        return cls(
            np.array([id.encode() for id in ids], dtype=np.bytes_) if len(ids) else np.empty(0, "S1"),
            _leading_bits(sha256),
            _leading_bits(phash),
            worth(np.asarray(pixels, dtype=np.int64), np.asarray(texted, dtype=bool)),
        )

    @classmethod
    def joined(cls, parts: Iterable[Self], most: int) -> Self:
        """Rows of all parts, in their order. most: no more rows than these; what is not filled takes no memory."""
        ids, sha256, phash = np.empty(most, "S1"), np.empty(most, np.uint64), np.empty(most, np.uint64)
        values = np.empty(most, np.uint32)
        count = 0
        for part in parts:
            here = slice(count, count := count + len(part))
            ids = ids if part.ids.itemsize <= ids.itemsize else ids.astype(part.ids.dtype)
            ids[here], sha256[here], phash[here], values[here] = part.ids, part.sha256, part.phash, part.worth
        return cls(ids[:count], sha256[:count], phash[:count], values[:count])

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Ranked:
    """Candidates by rank, from 0, the best, upwards, in place of id and worth."""

    sha256: Hashes
    phash: Hashes
    rank: Rows


@dataclass(frozen=True)
class Pictures:
    """Rows by what they show. hashes: distinct ones. best: of each, the rank of its best row. groups: of each row, the
    number of its hash. copies: whether a better row has its picture, byte for byte. as_best: whether the best row of
    its hash has it. rank: of each row.
    """

    hashes: Hashes
    best: Rows
    groups: Rows
    copies: Flags
    as_best: Flags
    rank: Rows


@dataclass(frozen=True)
class Found:
    """Of each row, the place of the row that is kept for it, its own where it is kept. copies: whether a better row has
    its picture, byte for byte. exact: whether the row that is kept has it. apart: hashes, ascending, that are near no
    other one."""

    kept: Rows
    copies: Flags
    exact: Flags
    apart: Hashes


def worth(pixels: NDArray[np.int64], texted: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """What a row is kept by: whether it has text, then its pixels."""
    return texted.astype(np.uint32) << np.uint32(31) | np.clip(pixels, 0, MOST_PIXELS).astype(np.uint32)


def _leading_bits(digits: Iterable[str]) -> Hashes:
    """The first 64 bits of hexadecimal numbers."""
    return np.frombuffer(bytes.fromhex("".join([text[:16] for text in digits])), dtype=">u8").astype(np.uint64)


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


def find_duplicates(pictures: Pictures, max_bits: int, apart: Hashes = NO_HASHES) -> Found:
    """Which rows are dropped, and for which. Independent of their order. apart: those of an earlier call, with the same
    ``max_bits``; what is found does not depend on them.

    Of rows with one picture, or with hashes at most ``max_bits`` apart, one with text is kept, then the largest, then
    the smallest id. Every dropped row is identical to, or within ``max_bits`` of, the kept row it names.
    """
    crowd = crowded(pictures.hashes, max_bits, apart)
    kept_for = leaders(pictures.hashes, pictures.best, max_bits, crowd)
    stays = kept_for == np.arange(len(kept_for), dtype=np.int32)
    ranks = pictures.best[kept_for]
    del kept_for
    kept = ranks[pictures.groups]
    del ranks
    places = _inverse(pictures.rank)
    for start in range(0, len(kept), STEP):
        kept[start : start + STEP] = places[kept[start : start + STEP]]
    del places
    apart = pictures.hashes[~crowd]
    apart.sort()
    return Found(kept, pictures.copies, pictures.as_best & stays[pictures.groups], apart)


def ranked(rows: Candidates) -> Ranked:
    """Rows with their ranks. Ids are distinct."""
    return Ranked(rows.sha256, rows.phash, _inverse(_from_best_to_worst(rows)))


def grouped(rows: Ranked) -> Pictures:
    """Rows by hash and by picture, which is one when their hashes and 64 bits of their sha256 are."""
    total = len(rows.rank)
    hashes, best, groups = np.empty(total, np.uint64), np.empty(total, np.int32), np.empty(total, np.int32)
    copies, as_best = np.empty(total, np.bool_), np.empty(total, np.bool_)
    count = 0
    for part in _parts(rows.phash):
        sha256, phash, rank = rows.sha256[part], rows.phash[part], rows.rank[part]
        order = np.lexsort((rank, sha256, phash))
        part, sha256, phash, rank = part[order], sha256[order], phash[order], rank[order]
        new_hash = _changes(phash)
        copies[part] = ~(new_hash | _changes(sha256))
        starts = np.flatnonzero(new_hash)
        group = np.cumsum(new_hash) - 1
        here = slice(count, count := count + len(starts))
        hashes[here] = phash[starts]
        best[here] = np.minimum.reduceat(rank, starts) if len(part) else rank
        groups[part] = group + here.start
        as_best[part] = sha256 == sha256[rank == best[here][group]][group]
    return Pictures(hashes[:count], best[:count], groups, copies, as_best, rows.rank)


def _parts(hashes: Hashes) -> Iterator[Rows]:
    """Places of hashes in some parts, equal hashes in one: what is sorted at once takes little room."""
    digest = np.empty(len(hashes), np.uint8)
    for start in range(0, len(hashes), STEP):
        digest[start : start + STEP] = hashes[start : start + STEP] * DIGEST >> np.uint64(HASH_BITS - PART_BITS)
    for part in range(1 << PART_BITS):
        yield np.flatnonzero(digest == part).astype(np.int32)


def _from_best_to_worst(rows: Candidates) -> Rows:
    order = np.argsort(rows.ids, kind="stable").astype(np.int32)
    keys = (MOST_WORTH - rows.worth[order]).astype(np.uint64)
    for start in range(0, len(keys), STEP):
        part = keys[start : start + STEP]
        part <<= HALF
        part |= np.arange(start, start + len(part), dtype=np.uint64)
    keys.sort()
    for start in range(0, len(keys), STEP):
        keys[start : start + STEP] = order[(keys[start : start + STEP] & PLACE).astype(np.int32)]
    return keys.astype(np.int32)


def _inverse(order: Rows) -> Rows:
    places = np.empty_like(order)
    for start in range(0, len(order), STEP):
        places[order[start : start + STEP]] = np.arange(start, min(start + STEP, len(order)), dtype=np.int32)
    return places


def _changes(values: Hashes) -> NDArray[np.bool_]:
    """Where a value differs from that before it; the first one does."""
    begins = np.ones(len(values), np.bool_)
    begins[1:] = values[1:] != values[:-1]
    return begins
