"""A conversation as the tensors that a model reads."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from humanvlm.inference.generate import asked_words, chat_text, thought_begun
from humanvlm.serve.refusals import Refused


@dataclass(frozen=True)
class Turn:
    """What one side said. role: system, user or assistant. pictures: how many it shows, before its text."""

    role: str
    text: str
    pictures: int = 0


@dataclass(frozen=True)
class Prompt:
    """inputs: of the model, one row: ``input_ids`` (1, length), ``attention_mask``, and ``pixel_values`` where there
    are pictures. begun: the start of a thought with which the reply begins, as the chat template has it."""

    inputs: Any = field(repr=False)
    length: int
    begun: str = ""


@dataclass(frozen=True)
class Reader:
    """Makes prompts for one model; threads take turns, since tokenizers and image processors are not made for them."""

    processor: Any
    special_tokens: bool | None
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def read(self, turns: Sequence[Turn], pictures: Sequence[Image.Image], most_tokens: int) -> Prompt:
        """Raises Refused (400) when the chat template does not take these turns, or the prompt leaves no room for a
        reply in ``most_tokens``."""
        with self.lock:
            text = conversation_text(self.processor, turns)
            special = self.special_tokens
            tokenizer = self.processor.tokenizer
            if special is None:
                special = not (tokenizer.bos_token and text.startswith(tokenizer.bos_token))
            if (words := _most_characters(text, most_tokens)) is not None:
                raise _too_long(words, most_tokens)
            inputs = self.processor(
                images=[list(pictures)] if pictures else None,
                text=[text],
                return_tensors="pt",
                add_special_tokens=special,
            )
            length = int(inputs["input_ids"].shape[1])
            if length >= most_tokens:
                raise _too_long(f"{length} tokens", most_tokens)
            return Prompt(inputs, length, thought_begun(text, asked_words(self.processor, turns[-1].text)))


def conversation_text(processor: Any, turns: Sequence[Turn]) -> str:
    """The turns up to the reply. One turn with at most one picture is worded as everywhere else here.

    Marks inside texts are taken out. Raises Refused (400) when the chat template does not take these turns or does not
    place their pictures, UserError when it places none at all.
    """
    from jinja2 import TemplateError

    if len(turns) == 1 and turns[0].role == "user" and turns[0].pictures <= 1:
        return chat_text(processor, turns[0].text, pictured=bool(turns[0].pictures))
    image_token = str(getattr(processor, "image_token", None) or "")
    listed = bool(getattr(processor, "chat_template", None))
    template = processor if listed else processor.tokenizer
    messages: list[dict[str, Any]] = []
    for turn in turns:
        words = asked_words(processor, turn.text)
        parts = [*({"type": "image"} for _ in range(turn.pictures)), {"type": "text", "text": words}]
        content: Any = parts if listed else "\n".join([*[image_token] * turn.pictures, words])
        messages.append({"role": turn.role, "content": content})
    try:
        text = str(template.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    except (ValueError, TypeError, AttributeError, TemplateError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        raise Refused(
            400, f"messages: the model's chat template does not take these turns: {reason}", "messages"
        ) from None
    shown = sum(turn.pictures for turn in turns)
    if image_token and text.count(image_token) != shown:
        raise Refused(400, f"messages: the model's chat template does not place {shown} pictures so", "messages")
    return text


def _most_characters(text: str, most_tokens: int) -> str | None:
    """How much too long a text must be, whatever its tokens, before they are counted; None: perhaps it fits."""
    longest = 64 * most_tokens
    return f"{len(text)} characters" if len(text) > longest else None


def _too_long(found: str, most_tokens: int) -> Refused:
    message = f"messages: {found} exceed the context length of {most_tokens} tokens, prompt and reply together"
    return Refused(400, message, "messages", "context_length_exceeded")
