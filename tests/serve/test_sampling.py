"""Tokens drawn: by temperature and top_p, the same for a seed."""

import torch

from humanvlm.serve.sampling import GREEDY, Sampling, choose

LOGITS = torch.tensor([0.0, 3.0, 2.0, -torch.inf, 1.0])


def drawn(sampling: Sampling, count: int = 200) -> list[int]:
    generator = sampling.generator()
    return [choose(LOGITS, sampling, generator) for _ in range(count)]


def test_without_a_temperature_the_likeliest_is_taken() -> None:
    assert set(drawn(GREEDY)) == {1}


def test_a_seed_draws_the_same() -> None:
    assert drawn(Sampling(1.0, seed=3)) == drawn(Sampling(1.0, seed=3)) != drawn(Sampling(1.0, seed=-4))


def test_what_is_drawn_is_within_top_p() -> None:
    assert set(drawn(Sampling(2.0, seed=1))) == {0, 1, 2, 4}
    assert set(drawn(Sampling(1.0, 0.7, seed=1))) == {1, 2}
    assert set(drawn(Sampling(1.0, 1e-9, seed=1))) == {1}
    assert set(drawn(Sampling(1e-3, seed=1))) == {1}


def test_shares_are_those_of_the_model() -> None:
    found = drawn(Sampling(1.0, seed=5), 4000)
    shares = torch.softmax(LOGITS, 0).tolist()
    assert all(abs(found.count(token) / 4000 - share) < 0.03 for token, share in enumerate(shares))
