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
from humanvlm.inference.marks import marks_of, plain
from humanvlm.model.build import image_tokens
from humanvlm.train.samples import LeftOut, Sample

LEAST_LABELS = 2  # the end-of-turn token alone teaches nothing


@dataclass(frozen=True)
class Encoded:
    """tokens [T] uint32; spans [S, 2] uint32: (start, stop) of the tokens that are learnt, replies with their ends.

    parts: lengths, T together. One is a conversation; of several, the first is what conversations about the same
    pictures begin with, the others are how each goes on.
    """

    tokens: NDArray[np.uint32]
    spans: NDArray[np.uint32]
    parts: tuple[int, ...]

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
        parts = (tokenizer.backend_tokenizer.to_str(), self.processor.chat_template, self._picture, self._marks)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def encode(self, sample: Sample) -> Encoded:
        """Tokens of a conversation, never truncated. Each picture is as many image tokens as it has features.

        Learnt are the replies with their end-of-turn token, and never the first token, before which nothing is. Marks
        in the texts, which are untrusted, are removed (humanvlm.inference.marks). Raises UserError when the chat
        template rewrites earlier turns, so that replies cannot be told apart.
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
        copies = np.where(tokens == self.image_token, self._picture, 1)
        learnt = np.repeat(learnt, copies)
        learnt[:1] = False
        edges = np.flatnonzero(np.diff(learnt, prepend=False, append=False))
        return Encoded(np.repeat(tokens, copies), edges.reshape(-1, 2).astype(np.uint32), (len(learnt),))

    def plain(self, text: str) -> str:
        """The text without marks, so that only the template opens turns."""
        return plain(text, self._marks)

    def _messages(self, sample: Sample) -> list[dict[str, str]]:
        count = len(sample.pictures)
        placed = sum(question.count(IMAGE_TOKEN) for question, _ in sample.turns) == count
        messages = [] if sample.system is None else [{"role": "system", "content": self.plain(sample.system).strip()}]
        for number, (question, answer) in enumerate(sample.turns):
            front = 0 if placed or number else count
            pieces = question.split(IMAGE_TOKEN) if placed else [question]
            asked = f"{IMAGE_TOKEN}\n" * front + IMAGE_TOKEN.join(map(self.plain, pieces)).strip()
            messages += [
                {"role": "user", "content": asked},
                {"role": "assistant", "content": self.plain(answer).strip()},
            ]
        return messages

    @cached_property
    def _marks(self) -> tuple[str, ...]:
        return marks_of(self.processor.tokenizer)

    @cached_property
    def _picture(self) -> int:
        return image_tokens(self.processor)

    @cached_property
    def image_token(self) -> int:
        """The id that stands for a picture's feature."""
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
    """Rows about the same pictures in one sequence, so that the pictures' tokens are paid once.

    Every row stays as if it were alone: its part sees the pictures, not the other rows, which would give its answers
    away. What does not fit into ``max_length`` tokens goes on in a next sequence; of a row that does not fit whole, the
    turns go on. A turn that does not fit alone is left out, and a row none of whose turns fits, as ``too_long``; one
    without a token to learn as ``no_labels``.
    """
    found: list[Encoded] = []
    left: list[LeftOut] = []
    too_long: list[int] = []
    for row in rows:
        turns = [turn for turn in row.turns if encoder.plain(turn[1]).strip()]
        reason, kept = "too_long" if turns else "no_labels", False
        while turns:
            encoded, taken = _beginning(replace(row, turns=tuple(turns)), encoder, max_length)
            if not taken:
                too_long.append(len(encoded.tokens))
                taken = 1
            elif encoded.labels < LEAST_LABELS:
                reason = "no_labels"
            else:
                found.append(encoded)
                kept = True
            turns = turns[taken:]
        if not kept:
            left.append(LeftOut(reason, row.id))
    return Fitted(_together(found, encoder.image_token, max_length), left, too_long)


def _beginning(row: Sample, encoder: Encoder, max_length: int) -> tuple[Encoded, int]:
    """As many turns of a row as fit, encoded, and how many; of none, the first turn alone."""
    encoded, taken = encoder.encode(row), len(row.turns)
    if len(encoded.tokens) > max_length:
        # One token is for what may follow a reply.
        taken = int((encoded.spans[:, 1].astype(int) < max_length).sum())
        while taken and len((encoded := encoder.encode(replace(row, turns=row.turns[:taken]))).tokens) > max_length:
            taken -= 1
    return (encoded, taken) if taken else (encoder.encode(replace(row, turns=row.turns[:1])), 0)


def _together(found: Sequence[Encoded], image_token: int, max_length: int) -> list[Encoded]:
    """Sequences that begin alike, pictures included, as parts of one, as far as they fit."""
    made: list[Encoded] = []
    common = _common(found)
    for one in found:
        seen = np.flatnonzero(one.tokens == image_token)
        if made and len(seen):
            last, shared = made[-1], max(common, int(seen[-1]) + 1)
            begin = last.parts[0] if len(last.parts) > 1 else shared
            alike = begin == shared and np.array_equal(last.tokens[:shared], one.tokens[:shared])
            alike &= not (last.tokens[shared:] == image_token).any()
            if alike and len(last.tokens) + len(one.tokens) - shared <= max_length:
                made[-1] = _joined(last, one, shared)
                continue
        made.append(one)
    return made


def _common(found: Sequence[Encoded]) -> int:
    """How many tokens all begin with, a question in common for example, but for the last before the first label: what
    is said first is then told from a token of its own."""
    if len(found) < 2:
        return 0
    least = min(int(one.spans[0, 0]) - 1 for one in found)
    same = np.array([one.tokens[:least] == found[0].tokens[:least] for one in found]).all(0)
    return int(same.argmin()) if not same.all() else least


def _joined(one: Encoded, other: Encoded, shared: int) -> Encoded:
    parts = one.parts if len(one.parts) > 1 else (shared, len(one.tokens) - shared)
    spans = other.spans + np.uint32(len(one.tokens) - shared)
    return Encoded(
        np.concatenate([one.tokens, other.tokens[shared:]]),
        np.concatenate([one.spans, spans]),
        (*parts, len(other.tokens) - shared),
    )
