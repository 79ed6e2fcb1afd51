"""Nouns that mean much the same by their sentence embeddings, for those that words do not decide.

After ALOHa (Petryk et al. 2024, arXiv 2404.02904), which matches the objects of a caption to those of references so.
"""

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from humanvlm.weights.catalog import model_file
from humanvlm.weights.run import network

ENCODER, TOKENIZER = "minilm-l6-v2-int8", "minilm-l6-v2-tokenizer"


def nearest(noun: str, names: Iterable[str]) -> tuple[str, float]:
    """The name that is the most like a noun, the first of equals, and their cosine; ("", -1.0) without names.

    Raises ModelError when the encoder's packages are not installed or not the declared ones.
    """
    own = embedding(noun)
    likest = max(((float(own @ embedding(name)), name) for name in names), key=lambda pair: pair[0], default=(-1.0, ""))
    return likest[1], likest[0]


@lru_cache(maxsize=16_384)
def embedding(noun: str) -> NDArray[np.float32]:
    """[384] float32 of length one: the mean over the tokens (Reimers and Gurevych 2019, arXiv 1908.10084)."""
    encoded = _tokenizer().encode(f"a {noun}")
    ids = np.array([encoded.ids], np.int64)
    hidden = network(ENCODER)(ids, np.ones_like(ids), np.zeros_like(ids))[0][0]
    mean = hidden.mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)


@cache
def _tokenizer() -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model_file(TOKENIZER)))
    tokenizer.no_padding()  # the file pads to 128 tokens
    return tokenizer
