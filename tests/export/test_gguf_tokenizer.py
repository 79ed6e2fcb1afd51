"""A tokenizer as GGUF has it: every token but the picture's, and only ways of cutting text that llama.cpp knows."""

from typing import Any

import pytest
from tokenizers import Regex, pre_tokenizers

from humanvlm.config.model import Model
from humanvlm.errors import UserError
from humanvlm.export.gguf_tokenizer import LLAMA3, runtime_template, words_of
from humanvlm.model.build import build_processor

DIGITS = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)])
SPLIT = pre_tokenizers.Split(Regex(LLAMA3), "isolated")
LLAMA = pre_tokenizers.Sequence([SPLIT, pre_tokenizers.ByteLevel(False, use_regex=False)])


@pytest.fixture
def processor(tiny_models: dict[str, str]) -> Any:
    return build_processor(Model(**tiny_models, system_prompt=""))


def test_every_token_but_the_picture_s(processor: Any) -> None:
    words = words_of(processor, (1, 7), "here")
    tokenizer = processor.tokenizer
    assert words.tokens == [tokenizer.convert_ids_to_tokens(i) for i in range(len(tokenizer) - 1)]
    assert "<image>" not in words.tokens
    assert words.kinds[tokenizer.eos_token_id] == 3  # a mark, not text
    assert words.cut == "gpt-2"
    assert words.ends == (tokenizer.eos_token_id, 7)


def test_ways_of_cutting_text(processor: Any) -> None:
    backend = processor.tokenizer.backend_tokenizer
    backend.pre_tokenizer = DIGITS
    assert words_of(processor, (), "here").cut == "smollm"
    backend.model.ignore_merges = True
    backend.pre_tokenizer = LLAMA
    assert words_of(processor, (), "here").cut == "llama-bpe"
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(UserError, match=r"here: its tokenizer cuts text by Whitespace; .*GPT-2, SmolLM and Llama 3"):
        words_of(processor, (), "here")


def test_a_picture_s_token_that_is_not_the_last_is_refused(processor: Any) -> None:
    processor.tokenizer.add_tokens(["more"])
    with pytest.raises(UserError, match="only the last can be left out"):
        words_of(processor, (), "here")


def test_a_marker_is_followed_by_the_line_break_of_training(processor: Any) -> None:
    template = runtime_template(processor)

    def rendered(content: str) -> str:
        turns = [{"role": "user", "content": content}]
        return str(processor.tokenizer.apply_chat_template(turns, chat_template=template, tokenize=False))

    assert "<__media_1aB__>\nWho?<|im_end|>" in rendered("<__media_1aB__>Who?")
    assert "<__media__>\nWho?<|im_end|>" in rendered("<__media__>Who?")
    assert "a __> b<|im_end|>" in rendered("a __> b")
