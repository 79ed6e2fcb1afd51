"""Rows that join and leave a batch at any step get the logits that each prompt gets alone."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.errors import UserError
from humanvlm.model.load import load_checkpoint
from humanvlm.serve import decoding
from humanvlm.serve.conversation import Prompt, Reader, Turn
from humanvlm.serve.decoding import Rows, alone, check_model, leads

NOISE = 1e-4
TEXTS = ("Hi", "Describe the picture in one sentence.", "Who is it? " * 9)


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return load_checkpoint(folder)[0]


@pytest.fixture(scope="module")
def prompts(folder: Path) -> list[Prompt]:
    reader = Reader(load_checkpoint(folder)[1], special_tokens=False)
    return [reader.read([Turn("user", text)], [], 512) for text in TEXTS]


@settings(max_examples=20)
@given(st.lists(st.sampled_from(["join 0", "join 1", "join 2", "leave first", "leave last", "step"]), max_size=25))
def test_whoever_else_is_there_changes_nothing(model: Any, prompts: list[Prompt], acts: list[str]) -> None:
    rows, expected = Rows(model, 3), list[tuple[Prompt, list[int]]]()
    for act in acts:
        kind, _, which = act.partition(" ")
        if kind == "join" and len(rows) < 3:
            prompt = prompts[int(which)]
            logits = rows.join(prompt)
            assert torch.equal(logits, alone(model, prompt, []))  # a prompt is read alone
            expected.append((prompt, [int(logits.argmax())]))
        elif kind == "leave" and len(rows):
            number = 0 if which == "first" else len(rows) - 1
            rows.leave(number)
            expected[number] = expected[-1]
            expected.pop()
        elif kind == "step" and len(rows):
            found = rows.step([tokens[-1] for _, tokens in expected])
            for logits, (prompt, tokens) in zip(found, expected, strict=True):
                assert torch.allclose(logits, alone(model, prompt, tokens), atol=NOISE, rtol=NOISE)
                tokens.append(int(logits.argmax()))
        assert len(rows) == len(expected)


def test_slots_grow_with_the_longest(model: Any, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "GROWTH", 4)
    rows, tokens = Rows(model, 2), list[int]()
    token = int(rows.join(prompts[1]).argmax())
    for _ in range(12):
        tokens.append(token)
        logits = rows.step([token])[0]
        assert torch.allclose(logits, alone(model, prompts[1], tokens), atol=NOISE, rtol=NOISE)
        token = int(logits.argmax())


def test_tokens_that_are_never_said_are_not(model: Any, prompts: list[Prompt]) -> None:
    refused = model.generation_config.suppress_tokens
    assert refused
    rows = Rows(model, 1)
    assert torch.isinf(rows.join(prompts[0])[refused]).all()
    assert torch.isinf(rows.step([1])[0][refused]).all()


def test_a_lead_is_relative_to_its_logit() -> None:
    assert leads(torch.tensor([[10.0, 9.0, 0.0], [0.5, 0.25, -1.0]])) == pytest.approx([0.1, 0.25])


def test_a_model_of_another_kind_is_refused(model: Any) -> None:
    check_model(model, "tiny")
    for kind in ("qwen2_vl", "idefics3"):
        config = SimpleNamespace(model_type=kind, get_text_config=model.config.get_text_config)
        with pytest.raises(UserError, match=f"a {kind} model"):
            check_model(SimpleNamespace(config=config), "other")
