"""Deduplication: no order dependence, nothing kept twice, nothing dropped without a kept look-alike."""

import io
from itertools import combinations
from pathlib import Path
from random import Random

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from humanvlm.curate.dedup import Candidate, Duplicate, find_duplicates, near_pairs, perceptual_hash
from humanvlm.data.image import pixels


def apart(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


@st.composite
def crawls(draw: st.DrawFn) -> list[Candidate]:
    """Rows around a few base hashes, so that near duplicates, chains and exact copies all happen."""
    bases = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
    rows = []
    for number in range(draw(st.integers(1, 25))):
        phash = draw(st.sampled_from(bases))
        for bit in draw(st.lists(st.integers(0, 63), max_size=6)):
            phash ^= 1 << bit
        # One sha256 means one picture: one hash and one size.
        sha256 = f"{phash:016x}-{draw(st.integers(0, 1))}"
        rows.append(Candidate(f"{number:020x}", sha256, f"{phash:016x}", 100 * (int(sha256[-1]) + 1)))
    return rows


@settings(deadline=None, max_examples=150)
@given(crawls(), st.integers(0, 8), st.randoms())
def test_dedup_properties(rows: list[Candidate], max_bits: int, random: Random) -> None:
    dropped = find_duplicates(rows, max_bits)
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert find_duplicates(shuffled, max_bits) == dropped

    by_id = {row.id: row for row in rows}
    kept = [row for row in rows if row.id not in dropped]
    assert kept
    for one, other in combinations(kept, 2):
        assert one.sha256 != other.sha256
        assert apart(one.phash, other.phash) > max_bits
    for id, found in dropped.items():
        row, keeper = by_id[id], by_id[found.kept]
        assert keeper in kept
        assert apart(row.phash, keeper.phash) <= max_bits
        assert (-keeper.pixels, keeper.id) < (-row.pixels, row.id)
        if found.reason == "near_duplicate":
            assert row.sha256 != keeper.sha256
        else:
            assert any(other.sha256 == row.sha256 and other.id < id for other in rows)


def test_the_largest_is_kept_and_chains_do_not_merge() -> None:
    far = f"{0b1111:016x}"
    rows = [
        Candidate("a", "1", f"{0:016x}", 900),
        Candidate("b", "2", f"{0b11:016x}", 500),  # two bits from either
        Candidate("c", "3", far, 400),
        Candidate("d", "3", far, 400),
    ]
    assert find_duplicates(rows, 2) == {"b": Duplicate("near_duplicate", "a"), "d": Duplicate("duplicate", "c")}


@pytest.mark.parametrize("max_bits", [0, 1, 4, 8])
@pytest.mark.parametrize("count", [300, 3000])
def test_near_pairs_equals_brute_force(max_bits: int, count: int) -> None:
    random = np.random.default_rng(count + max_bits)
    hashes = random.integers(0, 2**63, count, dtype=np.uint64)
    flips = np.uint64(1) << random.integers(0, 64, (count // 3, max(max_bits, 1)), dtype=np.uint64)
    hashes = np.unique(np.r_[hashes, hashes[: count // 3] ^ np.bitwise_xor.reduce(flips, axis=1)])
    distance = np.bitwise_count(hashes[:, None] ^ hashes[None])
    expected = np.argwhere(np.triu(distance <= max_bits, 1))
    assert np.array_equal(near_pairs(hashes, max_bits), expected)
    assert max_bits == 0 or len(expected)


def test_near_pairs_scales() -> None:
    """A hundred thousand hashes are 5e9 pairs: not one by one."""
    hashes = np.unique(np.random.default_rng(0).integers(0, 2**63, 100_000, dtype=np.uint64))
    assert len(near_pairs(hashes, 4)) == 0


def phash(image: Image.Image) -> str:
    return perceptual_hash(np.asarray(image.convert("L")))


def test_hash_survives_recompression_and_not_another_picture() -> None:
    astronaut = Image.fromarray(skimage.data.astronaut())
    stored = io.BytesIO()
    astronaut.resize((256, 256)).save(stored, "JPEG", quality=50)
    again = Image.fromarray(pixels(stored.getvalue()))
    assert apart(phash(astronaut), phash(again)) <= 4
    assert apart(phash(astronaut), phash(ImageEnhance.Brightness(astronaut).enhance(0.8))) <= 4
    for other in (skimage.data.coffee(), skimage.data.rocket(), skimage.data.astronaut()[:, ::-1]):
        assert apart(phash(astronaut), phash(Image.fromarray(other))) > 12


def test_hash_is_stable() -> None:
    """Stored artifacts hold these; a change makes old and new hashes incomparable."""
    ramp = np.add.outer(np.arange(64), 2 * np.arange(96)).astype(np.uint8)
    assert perceptual_hash(ramp) == perceptual_hash(ramp.copy())
    assert len(perceptual_hash(ramp)) == 16
    assert perceptual_hash(np.full((64, 64), 7, np.uint8)) == "0" * 16


def test_the_photographs_of_packages_are_not_merged() -> None:
    """Every picture of scikit-image, whole, mirrored, and in quarters."""
    twins = {"motorcycle_right", "chessboard_RGB"}  # half of a stereo pair, and a copy
    files = sorted(Path(skimage.data.data_dir).glob("*.[jp][pn]g"))
    pictures = []
    for photograph in (Image.open(file).convert("RGB") for file in files if file.stem not in twins):
        width, height = (side // 2 for side in photograph.size)
        pictures += [photograph, photograph.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
        corners = [(x, y) for x in (0, width) for y in (0, height)]
        pictures += [photograph.crop((x, y, x + width, y + height)) for x, y in corners]
    hashes = np.array([int(phash(picture), 16) for picture in pictures], dtype=np.uint64)
    assert len(hashes) > 80
    assert len(near_pairs(hashes, 4)) == 0


def test_photographs_are_not_merged(shared: Path) -> None:
    """Distinct photographs stay apart with a wide margin."""
    files = sorted((shared / "photos" / "images").rglob("*.jpg"))[::4]
    hashes = np.array([int(phash(Image.open(file)), 16) for file in files], dtype=np.uint64)
    assert len(hashes) > 200
    assert len(np.unique(hashes)) == len(hashes)
    assert len(near_pairs(hashes, 8)) == 0
