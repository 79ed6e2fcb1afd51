"""Padding."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.config.model import Model
from humanvlm.errors import UserError
from humanvlm.train.batches import IGNORED, Collator


@given(st.lists(st.integers(3, 40), min_size=1, max_size=8))
def test_padding_changes_no_token_and_keeps_every_label(lengths: list[int]) -> None:
    items = [
        {
            "input_ids": list(range(1, n + 1)),
            "labels": [IGNORED] * (n - 2) + [n - 1, n],
            "pixel_values": torch.zeros(1, 3, 2, 2),
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


def test_logits_at_the_kept_positions_give_the_loss_of_all(tiny_models: dict[str, str]) -> None:
    from humanvlm.model.build import build_llava

    model, _ = build_llava(Model(**tiny_models))
    items = []
    for length in (6, 12):
        tokens = [model.config.image_token_id] * 16 + list(range(5, 5 + length))
        labels = [IGNORED] * 18 + tokens[18:]
        items.append({"input_ids": tokens, "labels": labels, "pixel_values": torch.randn(1, 3, 32, 32)})
    batch = Collator(1)(items)
    full = torch.full_like(batch["input_ids"], IGNORED)
    full[:, -batch["logits_to_keep"] :] = batch["labels"]
    with torch.inference_mode():
        short = model(**batch).loss
        whole = model(**{key: value for key, value in batch.items() if key != "logits_to_keep"} | {"labels": full}).loss
    assert torch.allclose(short, whole, atol=1e-6)


def test_a_batch_without_labels_is_an_error() -> None:
    item = {"input_ids": [1, 2, 3], "labels": [IGNORED] * 3, "pixel_values": torch.zeros(1, 3, 2, 2)}
    with pytest.raises(UserError, match="without a label"):
        Collator(0)([item])
