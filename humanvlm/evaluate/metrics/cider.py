"""CIDEr as coco-caption computes it (Vedantam et al. 2015): CIDEr-D, clipped and length-penalised, sigma 6, no stems.

The score of a picture depends on the corpus through the document frequencies, so they are a value of their own: made
once from the references of a benchmark, then pinned. Scores with other frequencies cannot be compared or averaged.
"""

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from humanvlm.data.atomic_io import write_bytes
from humanvlm.errors import UserError
from humanvlm.evaluate.files import read_json
from humanvlm.evaluate.metrics.ngrams import MAX_N, Corpus

Array = NDArray[np.float64]
SIGMA = 6.0


@dataclass(frozen=True)
class Frequencies:
    """In how many pictures' references each n-gram (words joined by blanks) occurs, of how many pictures."""

    pictures: int
    counts: Mapping[str, int]

    @property
    def text(self) -> str:
        """As JSON; equal frequencies have equal texts."""
        return json.dumps({"pictures": self.pictures, "ngrams": dict(sorted(self.counts.items()))}, ensure_ascii=False)

    @property
    def digest(self) -> str:
        """sha256 of the text, in hex."""
        return hashlib.sha256(self.text.encode("utf-8", "replace")).hexdigest()

    def save(self, path: Path) -> None:
        """Write the frequencies as gzipped JSON, atomically; equal frequencies give equal bytes.

        Raises UserError when that is not possible.
        """
        write_bytes(path, gzip.compress(self.text.encode("utf-8", "replace"), mtime=0))

    @classmethod
    def load(cls, path: Path) -> "Frequencies":
        """Read what ``save`` wrote. Raises UserError when it is something else."""
        value: Any = read_json(path)
        found = value if isinstance(value, dict) else {}
        pictures, counts = found.get("pictures"), found.get("ngrams")
        if type(pictures) is not int or pictures < 1 or not isinstance(counts, dict):
            raise UserError(f"{path}: no document frequencies, an object with pictures and ngrams")
        for ngram, count in counts.items():
            if type(count) is not int or not 0 < count <= pictures:
                raise UserError(f"{path}: ngrams[{ngram[:60]!r}] is not from 1 to the number of pictures, {pictures}")
        return cls(pictures, counts)


def frequencies(corpus: Corpus) -> Frequencies:
    """Document frequencies of the references of a corpus."""
    documents = _documents(corpus)
    pairs = zip(corpus.strings(), documents.tolist(), strict=True)
    return Frequencies(corpus.pictures, {ngram: count for ngram, count in pairs if count})


def cider(corpus: Corpus, idf: Frequencies | None = None) -> Array:
    """The score of each picture, in 0..10. The corpus score is the mean over pictures.

    ``idf`` are the document frequencies of this corpus when not given; of a single picture they are all equal and its
    score is 0.
    """
    pictures = corpus.pictures if idf is None else idf.pictures
    documents = _documents(corpus) if idf is None else np.array([idf.counts.get(gram, 0) for gram in corpus.strings()])
    weight = np.log(max(float(pictures), 1.0)) - np.log(np.maximum(documents, 1.0))
    weights = corpus.counts * weight[corpus.grams]
    owner = np.repeat(np.arange(len(corpus.sizes)), np.diff(corpus.starts))
    order = corpus.order[corpus.grams] - 1
    texts = len(corpus.sizes)
    norms = np.sqrt(_sums(owner * MAX_N + order, weights**2, texts * MAX_N).reshape(texts, MAX_N))
    shared = corpus.shared
    product = np.minimum(weights[shared.candidate], weights[shared.reference]) * weights[shared.reference]
    pairs = len(corpus.reference)
    dots = _sums(shared.pair * MAX_N + order[shared.reference], product, pairs * MAX_N).reshape(pairs, MAX_N)
    candidate = corpus.candidate[corpus.picture]
    scale = norms[candidate] * norms[corpus.reference]
    cosine = np.divide(dots, scale, out=dots, where=scale != 0)
    # The reference measures length in bigrams.
    bigrams = np.maximum(corpus.sizes - 1, 0)
    penalty = np.exp(-((bigrams[candidate] - bigrams[corpus.reference]) ** 2) / (2 * SIGMA**2))
    sums = _sums(corpus.picture, cosine.mean(axis=1) * penalty, corpus.pictures)
    return 10.0 * sums / np.bincount(corpus.picture, minlength=corpus.pictures)


def _sums(groups: NDArray[np.int64], values: Array, count: int) -> Array:
    """The sum of the values of each group; without any values ``bincount`` gives integers."""
    return np.bincount(groups, values, count).astype(np.float64)


def _documents(corpus: Corpus) -> NDArray[np.int64]:
    """In how many pictures' references each n-gram of the corpus is."""
    pair, entry = corpus.entries(corpus.reference)
    grams = len(corpus.order)
    keys = np.sort(corpus.picture[pair] * grams + corpus.grams[entry])
    first = np.append(True, keys[1:] != keys[:-1])[: len(keys)]
    return np.bincount(keys[first] % max(grams, 1), minlength=grams)
