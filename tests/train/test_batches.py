"""Tokens, labels, order and padding."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from humanvlm.config.model import Model
from humanvlm.errors import UserError
from humanvlm.train.batches import IGNORED, Collator, Encoder, fitting, grouped, schedule
from humanvlm.train.samples import Sample

WORDS = st.lists(st.sampled_from(["a", "man", "wall", "<image>", "<|im_end|>", "é", "left."]), min_size=1, max_size=30)


@pytest.fixture(scope="module")
def encoder(tiny_models: dict[str, str]) -> Encoder:
    from humanvlm.model.build import build_llava

    return Encoder(build_llava(Model(**tiny_models))[1])


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=3))
def test_labels_are_exactly_the_replies(encoder: Encoder, turns: list[tuple[list[str], list[str]]]) -> None:
    conversation = tuple((" ".join(question), " ".join(answer)) for question, answer in turns)
    tokens, labels = encoder.encode(conversation)
    tokenizer: Any = encoder.processor.tokenizer
    assert len(tokens) == len(labels)
    assert tokens.count(tokenizer.convert_tokens_to_ids("<image>")) == 16
    assert all(label in (IGNORED, token) for token, label in zip(tokens, labels, strict=True))
    learnt = tokenizer.decode([label for label in labels if label != IGNORED])
    plain = [answer.replace("<image>", " ").replace("<|im_end|>", " ").strip() for _, answer in conversation]
    assert learnt == "".join(f"{answer}<|im_end|>" for answer in plain)


@given(st.lists(st.integers(3, 40), min_size=1, max_size=8))
def test_padding_changes_no_token_and_keeps_every_label(lengths: list[int]) -> None:
    items = [
        {
            "input_ids": list(range(1, n + 1)),
            "labels": [IGNORED] * (n - 2) + [n - 1, n],
            "pixel_values": torch.zeros(3, 2, 2),
        }
        for n in lengths
    ]
    batch = Collator(0)(items)
    assert batch["attention_mask"].sum(1).tolist() == lengths
    assert (batch["labels"] != IGNORED).sum(1).tolist() == [2] * len(lengths)
    assert batch["labels"].shape[1] == batch["logits_to_keep"] <= max(lengths)
    assert (batch["labels"][:, 0] == IGNORED).all()  # the loss shifts: the first kept position only predicts
    last = batch["input_ids"][:, -batch["logits_to_keep"] :]
    assert torch.equal(batch["labels"][batch["labels"] != IGNORED], last[batch["labels"] != IGNORED])


def test_logits_at_the_kept_positions_give_the_loss_of_all(tiny_models: dict[str, str], encoder: Encoder) -> None:
    from humanvlm.model.build import build_llava

    model, _ = build_llava(Model(**tiny_models))
    items = []
    for answer in ("A man.", "A woman in a blue dress on the left."):
        tokens, labels = encoder.encode((("Hi", answer),))
        items.append({"input_ids": tokens, "labels": labels, "pixel_values": torch.randn(3, 32, 32)})
    batch = Collator(1)(items)
    full = torch.full_like(batch["input_ids"], IGNORED)
    full[:, -batch["logits_to_keep"] :] = batch["labels"]
    with torch.inference_mode():
        short = model(**batch).loss
        whole = model(**{key: value for key, value in batch.items() if key != "logits_to_keep"} | {"labels": full}).loss
    assert torch.allclose(short, whole, atol=1e-6)


def test_a_batch_without_labels_is_an_error() -> None:
    item = {"input_ids": [1, 2, 3], "labels": [IGNORED] * 3, "pixel_values": torch.zeros(3, 2, 2)}
    with pytest.raises(UserError, match="without a label"):
        Collator(0)([item])


def test_samples_that_do_not_fit_are_counted(encoder: Encoder) -> None:
    samples = [Sample("x", 0, (("Hi", answer),)) for answer in ("A man.", "wall " * 200, "<|im_end|>")]
    kept, lengths, dropped = fitting(samples, encoder, 100)
    assert (len(kept), dict(dropped)) == (1, {"too_long": 1, "no_labels": 1})
    assert lengths == [len(encoder.encode(samples[0].turns)[0])]


@pytest.mark.parametrize("short", range(60))
def test_of_a_long_conversation_the_turns_stay_that_fit(encoder: Encoder, short: int) -> None:
    turns = (("Hi", "A man."), ("Who is on the left?", "a man with a wall"), ("?", "left"))
    whole = len(encoder.encode(turns)[0])
    kept, lengths, dropped = fitting([Sample("x", 0, turns)], encoder, whole - short)
    assert len(kept) + dropped["too_long"] == 1
    for sample, length in zip(kept, lengths, strict=True):
        taken = len(sample.turns)
        assert sample.turns == turns[:taken]
        assert length == len(encoder.encode(sample.turns)[0]) <= whole - short
        assert short or taken == 3
        # One more turn would not have fitted, with the token that may follow a reply.
        assert taken == 3 or len(encoder.encode(turns[: taken + 1])[0]) + 1 > whole - short


@given(
    sizes=st.lists(st.integers(0, 20), min_size=1, max_size=3),
    shares=st.lists(st.floats(0, 1), min_size=3, max_size=3),
    total=st.integers(1, 100),
    seed=st.integers(0, 5),
)
def test_the_schedule_is_fair_and_repeatable(sizes: list[int], shares: list[float], total: int, seed: int) -> None:
    shares = shares[: len(sizes)]
    if not sum(share for size, share in zip(sizes, shares, strict=True) if size):
        with pytest.raises(UserError, match="no training samples"):
            schedule(sizes, shares, total, seed)
        return
    order = schedule(sizes, shares, total, seed)
    assert len(order) == total
    assert np.array_equal(order, schedule(sizes, shares, total, seed))
    first = 0
    for size, share in zip(sizes, shares, strict=True):
        counts = np.bincount(order[(order >= first) & (order < first + size)] - first, minlength=size)
        assert size == 0 or counts.max() - counts.min() <= 1
        assert share > 0 or counts.sum() == 0
        first += size


def test_shares_are_kept_within_any_stretch() -> None:
    order = schedule([100, 100], [0.75, 0.25], 400, 1)
    for start in range(0, 400, 40):
        assert abs((order[start : start + 40] >= 100).sum() - 10) <= 2


@given(st.integers(1, 6), st.lists(st.integers(1, 50), min_size=1, max_size=200))
def test_grouping_by_length_moves_samples_only_within_their_window(batch: int, lengths: list[int]) -> None:
    order = np.arange(len(lengths))
    result = grouped(order, lengths, batch, 0, batches=4)
    for start in range(0, len(order), batch * 4):
        window = slice(start, start + batch * 4)
        assert sorted(result[window].tolist()) == order[window].tolist()
