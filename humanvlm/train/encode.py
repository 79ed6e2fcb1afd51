"""From conversations to tokens: the chat template, pictures in their places, and which tokens are learnt.

encoder = Encoder(processor)
encoded = encoder.encode(sample)  # encoded.tokens, encoded.spans
fitted = fit(rows_about_a_picture, encoder, max_length)  # fitted.sequences, fitted.left_out
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from humanvlm.data.prompts import IMAGE_TOKEN
from humanvlm.errors import UserError
from humanvlm.model.build import image_tokens
from humanvlm.train.samples import LeftOut, Sample

LEAST_LABELS = 2  # the end-of-turn token alone teaches nothing


@dataclass(frozen=True)
class Encoded:
    """tokens [T] uint32; spans [S, 2] uint32: (start, stop) of the tokens that are learnt, replies with their ends."""

    tokens: NDArray[np.uint32]
    spans: NDArray[np.uint32]

    @property
    def labels(self) -> int:
        """How many tokens are learnt."""
        return int((self.spans[:, 1] - self.spans[:, 0]).sum())


@dataclass(frozen=True)
class Encoder:
    """Turns conversations into tokens with the processor's chat template."""

    processor: Any

    @cached_property
    def digest(self) -> str:
        """sha256 of all that decides on the tokens: tokenizer, chat template, tokens of a picture."""
        tokenizer = self.processor.tokenizer
        parts = (tokenizer.backend_tokenizer.to_str(), self.processor.chat_template, self._picture, self._special)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def encode(self, sample: Sample) -> Encoded:
        """Tokens of a conversation, never truncated. Each picture is as many image tokens as it has features.

        Learnt are the replies with their end-of-turn token, and never the first token, before which nothing is. Special
        tokens in the texts, which are untrusted, are removed. Raises UserError when the chat template rewrites earlier
        turns, so that replies cannot be told apart.
        """
        messages = self._messages(sample)
        text = self._render(messages)
        replies = []
        for end in (place for place, message in enumerate(messages, 1) if message["role"] == "assistant"):
            asked = self._render(messages[: end - 1], add_generation_prompt=True)
            replied = self._render(messages[:end]).rstrip()
            if not (text.startswith(asked) and replied.startswith(asked) and text.startswith(replied)):
                raise UserError(
                    "the chat template rewrites earlier turns: replies cannot be told apart; use another model"
                )
            replies.append((len(asked), len(replied)))
        encoded = self.processor.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        tokens = np.asarray(encoded["input_ids"], np.uint32)
        places = np.asarray(encoded["offset_mapping"], np.int64).reshape(-1, 2)
        first, last = np.asarray(replies, np.int64).T
        reply = np.searchsorted(last, places[:, 1])  # the first that ends where the token does, or later
        learnt = (reply < len(last)) & (places[:, 0] >= first[np.minimum(reply, len(first) - 1)])
        copies = np.where(tokens == self._image, self._picture, 1)
        learnt = np.repeat(learnt, copies)
        learnt[:1] = False
        edges = np.flatnonzero(np.diff(learnt, prepend=False, append=False))
        return Encoded(np.repeat(tokens, copies), edges.reshape(-1, 2).astype(np.uint32))

    def plain(self, text: str) -> str:
        """The text without special tokens."""
        for token in self._special:
            if token in text:
                text = text.replace(token, " ")
        return text

    def _messages(self, sample: Sample) -> list[dict[str, str]]:
        count = len(sample.pictures)
        placed = sum(question.count(IMAGE_TOKEN) for question, _ in sample.turns) == count
        messages = [] if sample.system is None else [{"role": "system", "content": self.plain(sample.system).strip()}]
        for number, (question, answer) in enumerate(sample.turns):
            pieces = [self.plain(piece) for piece in question.split(IMAGE_TOKEN)]
            front = 0 if placed or number else count
            asked = f"{IMAGE_TOKEN}\n" * front + (IMAGE_TOKEN if placed else " ").join(pieces).strip()
            messages += [
                {"role": "user", "content": asked},
                {"role": "assistant", "content": self.plain(answer).strip()},
            ]
        return messages

    @cached_property
    def _special(self) -> list[str]:
        return list(self.processor.tokenizer.all_special_tokens)

    @cached_property
    def _picture(self) -> int:
        return image_tokens(self.processor)

    @cached_property
    def _image(self) -> int:
        return int(self.processor.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN))

    def _render(self, messages: list[dict[str, str]], **options: Any) -> str:
        return str(self.processor.apply_chat_template(messages, tokenize=False, **options))


@dataclass(frozen=True)
class Fitted:
    """What rows about the same pictures became: sequences, rows left out, lengths of turns that are too long alone."""

    sequences: Sequence[Encoded]
    left_out: Sequence[LeftOut]
    too_long: Sequence[int]


def fit(rows: Sequence[Sample], encoder: Encoder, max_length: int) -> Fitted:
    """Rows about the same pictures as one conversation, so that the pictures' tokens are paid once.

    What does not fit into ``max_length`` tokens goes on in a next conversation, about the same pictures, which begins
    with a row where that is possible. A turn that does not fit alone is left out, and a row none of whose turns fits,
    as ``too_long``; one without a token to learn as ``no_labels``.
    """
    turns = [(row, turn) for row in range(len(rows)) for turn in rows[row].turns if encoder.plain(turn[1]).strip()]
    without = set(range(len(rows))) - {row for row, _ in turns}
    found: list[Encoded] = []
    kept: set[int] = set()
    too_long: list[int] = []
    while turns:
        encoded = encoder.encode(_about(rows, turns))
        taken = len(turns)
        if len(encoded.tokens) > max_length:
            # One token is for what may follow a reply.
            taken = int((encoded.spans[:, 1].astype(int) < max_length).sum())
            ends = [at for at in range(1, min(taken + 1, len(turns))) if turns[at - 1][0] != turns[at][0]]
            taken = ends[-1] if ends else taken
            while taken and len((encoded := encoder.encode(_about(rows, turns[:taken]))).tokens) > max_length:
                taken -= 1
        if not taken:
            too_long.append(len(encoder.encode(_about(rows, turns[:1])).tokens))
            turns = turns[1:]
            continue
        here = {row for row, _ in turns[:taken]}
        if encoded.labels < LEAST_LABELS:
            without |= here
        else:
            found.append(encoded)
            kept |= here
        turns = turns[taken:]
    left = [LeftOut("no_labels" if row in without else "too_long", rows[row].id) for row in range(len(rows))]
    return Fitted(found, [left[row] for row in range(len(rows)) if row not in kept], too_long)


def _about(rows: Sequence[Sample], turns: Sequence[tuple[int, tuple[str, str]]]) -> Sample:
    """A conversation of turns, each given with its row; pictures stand where the first of these rows has them."""
    first = turns[0][0]
    return replace(
        rows[first],
        turns=tuple(
            turn if row == first else (turn[0].replace(IMAGE_TOKEN, "").strip(), turn[1]) for row, turn in turns
        ),
    )
