"""Embeddings join nouns that WordNet does not, and no others."""

import numpy as np
import pytest

from humanvlm.caption.checks.alike import TOKENIZER, embedding, nearest
from humanvlm.caption.checks.check import Limits, check
from humanvlm.weights.catalog import ModelError, model_file

from .sheets import COUPLE

try:
    model_file(TOKENIZER)
except ModelError as error:
    pytest.skip(str(error), allow_module_level=True)


def test_the_likest_name_is_found() -> None:
    names = ("car", "dog", "umbrella")
    assert [nearest(noun, names)[0] for noun in ("puppy", "sedan", "sunshade")] == ["dog", "car", "umbrella"]
    assert nearest("puppy", names)[1] > 0.65 > nearest("pizza", names)[1]
    assert nearest("puppy", ()) == ("", -1.0)


def test_an_embedding_is_of_length_one_and_always_the_same() -> None:
    own = embedding("bicycle")
    assert own.shape == (384,)
    assert np.linalg.norm(own) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(own, embedding.__wrapped__("bicycle"))


@pytest.mark.parametrize(("noun", "known"), [("puppy", True), ("giraffe", False), ("wine glass", False)])
def test_a_noun_that_words_do_not_decide_is_of_what_it_is_like(noun: str, known: bool) -> None:
    text = f"A woman stands next to a {noun}."
    assert check(text, "short", COUPLE, (), Limits(70)).faults == ("unsupported",)
    verdict = check(text, "short", COUPLE, (), Limits(70, min_similarity=0.65))
    assert bool(verdict.faults) is not known
    assert ("minilm-l6-v2-int8" in {claim.by for claim in verdict.claims}) is known
