"""Deduplication: no order dependence, nothing kept twice, nothing dropped without a kept look-alike."""

import hashlib
import io
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from random import Random

import numpy as np
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from humanvlm.curate.dedup import Candidates, find_duplicates, grouped, perceptual_hash, ranked
from humanvlm.curate.neighbours import crowded
from humanvlm.data.image import pixels


def apart(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


@dataclass(frozen=True)
class Row:
    id: str
    sha256: str
    phash: str
    pixels: int
    texted: bool = True

    @property
    def place(self) -> tuple[bool, int, str]:
        """Ascending from the best row to the worst."""
        return (not self.texted, -self.pixels, self.id)


def duplicates(rows: list[Row], max_bits: int) -> dict[str, tuple[str, str]]:
    """Reason and kept row of every dropped row, by id."""
    names = ("id", "sha256", "phash", "pixels", "texted")
    columns = ([getattr(row, name) for row in rows] for name in names)
    found = find_duplicates(grouped(ranked(Candidates.of(*columns))), max_bits)
    for place, kept in enumerate(found.kept.tolist()):
        assert found.exact[place] == (rows[place].sha256 == rows[kept].sha256)
    return {
        rows[place].id: ("duplicate" if copy else "near_duplicate", rows[kept].id)
        for place, (kept, copy) in enumerate(zip(found.kept.tolist(), found.copies.tolist(), strict=True))
        if kept != place
    }


@st.composite
def crawls(draw: st.DrawFn) -> list[Row]:
    """Rows around a few base hashes, so that near duplicates, chains and exact copies all happen."""
    bases = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
    rows = []
    for number in range(draw(st.integers(1, 25))):
        phash = draw(st.sampled_from(bases))
        for bit in draw(st.lists(st.integers(0, 63), max_size=6)):
            phash ^= 1 << bit
        # One sha256 means one picture: one hash and one size.
        side = draw(st.integers(0, 1))
        sha256 = hashlib.sha256(f"{phash}-{side}".encode()).hexdigest()
        rows.append(Row(f"{number:020x}", sha256, f"{phash:016x}", 100 * (side + 1), draw(st.booleans())))
    return rows


@settings(deadline=None, max_examples=150)
@given(crawls(), st.integers(0, 8), st.randoms())
def test_dedup_properties(rows: list[Row], max_bits: int, random: Random) -> None:
    dropped = duplicates(rows, max_bits)
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert duplicates(shuffled, max_bits) == dropped

    by_id = {row.id: row for row in rows}
    kept = [row for row in rows if row.id not in dropped]
    assert kept
    for one, other in combinations(kept, 2):
        assert one.sha256 != other.sha256
        assert apart(one.phash, other.phash) > max_bits
    for id, (reason, keeper_id) in dropped.items():
        row, keeper = by_id[id], by_id[keeper_id]
        assert keeper in kept
        assert apart(row.phash, keeper.phash) <= max_bits
        assert keeper.place < row.place
        if reason == "near_duplicate":
            assert row.sha256 != keeper.sha256
        else:
            assert any(other.sha256 == row.sha256 and other.place < row.place for other in rows)


def test_text_is_kept_before_pixels_and_chains_do_not_merge() -> None:
    hashes = [f"{value:016x}" for value in (0, 0b11, 0b1111)]  # two bits from one to the next
    shas = [hashlib.sha256(bytes([value])).hexdigest() for value in range(4)]
    rows = [
        Row("a", shas[0], hashes[0], 500),
        Row("b", shas[1], hashes[1], 900, texted=False),
        Row("c", shas[2], hashes[2], 400),
        Row("d", shas[2], hashes[2], 400),
        Row("e", shas[0], hashes[0], 500, texted=False),
    ]
    assert duplicates(rows, 2) == {
        "b": ("near_duplicate", "a"),
        "d": ("duplicate", "c"),
        "e": ("duplicate", "a"),
    }


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
    assert len(np.unique(hashes)) == len(hashes) > 80
    assert not crowded(np.unique(hashes), 4).any()


def test_photographs_are_not_merged(shared: Path) -> None:
    """Distinct photographs stay apart with a wide margin."""
    files = sorted((shared / "photos" / "images").rglob("*.jpg"))[::4]
    hashes = np.array([int(phash(Image.open(file)), 16) for file in files], dtype=np.uint64)
    assert len(hashes) > 200
    assert len(np.unique(hashes)) == len(hashes)
    assert not crowded(np.unique(hashes), 8).any()
