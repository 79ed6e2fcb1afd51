"""Replies in OpenAI's words: a chat completion, and its chunks."""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Envelope:
    """What all parts of a reply say. fingerprint: of the weights."""

    model: str
    fingerprint: str
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def _around(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": choices,
        }

    def completion(self, text: str, finish: str, usage: Mapping[str, int], more: Mapping[str, Any]) -> dict[str, Any]:
        """A whole reply. more: further fields."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "logprobs": None,
            "finish_reason": finish,
        }
        return {**self._around("chat.completion", [choice]), "usage": dict(usage), **more}

    def chunk(self, delta: Mapping[str, str], finish: str | None, more: Mapping[str, Any]) -> dict[str, Any]:
        """A part of a streamed reply."""
        choice = {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish}
        return {**self._around("chat.completion.chunk", [choice]), **more}

    def usage_chunk(self, usage: Mapping[str, int], more: Mapping[str, Any]) -> dict[str, Any]:
        """The last chunk, of who asked for it."""
        return {**self._around("chat.completion.chunk", []), "usage": dict(usage), **more}


def usage_of(prompt: int, reply: int) -> dict[str, int]:
    """Tokens."""
    return {"prompt_tokens": prompt, "completion_tokens": reply, "total_tokens": prompt + reply}


def event(value: Mapping[str, Any]) -> bytes:
    """A server-sent event."""
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
