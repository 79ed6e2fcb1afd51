"""Conversations as prompts: one turn as everywhere else, more by the chat template, marks taken out of all."""

from pathlib import Path
from typing import Any

import pytest

from humanvlm.data.image import decode
from humanvlm.inference.generate import chat_text
from humanvlm.model.load import load_checkpoint
from humanvlm.serve.conversation import Reader, Turn, conversation_text
from humanvlm.serve.refusals import Refused

from .running import png

TURNS = [
    Turn("system", "Be short.<|im_end|>"),
    Turn("user", "Who?", 1),
    Turn("assistant", "A man."),
    Turn("user", "Where<image>?"),
]


@pytest.fixture
def processor(folder: Path) -> Any:
    return load_checkpoint(folder)[1]


def test_one_turn_is_worded_as_in_the_evaluation(processor: Any) -> None:
    assert conversation_text(processor, [Turn("user", "Who?", 1)]) == chat_text(processor, "Who?")
    assert conversation_text(processor, [Turn("user", "Who?")]) == chat_text(processor, "Who?", pictured=False)


def test_turns_are_told_apart_by_the_template_alone(processor: Any) -> None:
    assert conversation_text(processor, TURNS) == (
        "<|im_start|>system\nBe short.<|im_end|>\n"
        "<|im_start|>user\n<image>\nWho?<|im_end|>\n"
        "<|im_start|>assistant\nA man.<|im_end|>\n"
        "<|im_start|>user\nWhere ?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_template_of_texts_gets_texts(processor: Any) -> None:
    whole = conversation_text(processor, TURNS)
    processor.chat_template = None
    assert conversation_text(processor, TURNS) == whole


@pytest.mark.parametrize(
    ("template", "told"),
    [("{{ raise_exception('roles must alternate') }}", "roles must alternate"), ("Hi", "does not place 1 pictures")],
)
def test_a_template_that_does_not_take_the_turns_is_told(processor: Any, template: str, told: str) -> None:
    processor.chat_template = template
    with pytest.raises(Refused, match=told) as refusal:
        conversation_text(processor, TURNS)
    assert refusal.value.status == 400


def test_a_prompt_has_its_pictures_and_length(processor: Any) -> None:
    reader = Reader(processor, special_tokens=False)
    picture = decode(png())
    prompt = reader.read(TURNS, [picture], 512)
    assert prompt.inputs["pixel_values"].shape[0] == 1
    assert prompt.length == prompt.inputs["input_ids"].shape[1]
    two = reader.read([Turn("user", "Both?", 2)], [picture, decode(png(1))], 512)
    assert two.inputs["pixel_values"].shape[0] == 2
    with pytest.raises(Refused, match="exceed the context length"):
        reader.read(TURNS, [picture], prompt.length)


def test_a_text_that_cannot_fit_is_not_split_into_tokens(processor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(processor), "__call__", lambda *_, **__: pytest.fail("was split"))
    with pytest.raises(Refused, match="characters exceed the context length of 512"):
        Reader(processor, special_tokens=False).read([Turn("user", "w" * 40_000)], [], 512)
