"""What servers that follow OpenAI say, and how it is read: answers, thoughts, refusals, errors in their place."""

import json
from typing import Any

import pytest

from humanvlm.inference.chat import parse_reply
from humanvlm.inference.failures import AttemptError
from humanvlm.inference.replies import final_answer


def read(message: dict[str, Any], finish: str | None = "stop") -> Any:
    choice = {"message": {"role": "assistant", **message}, "finish_reason": finish}
    return parse_reply("k", json.dumps({"model": "m", "choices": [choice]}).encode(), 0.1, "s")


@pytest.mark.parametrize(
    "message",
    [
        {"content": "<think>A hat? No.</think>\n\nYes"},
        {"content": "Yes", "reasoning_content": "A hat? No."},
        {"content": "\n\nYes", "reasoning": "A hat? No."},
        {"content": "Yes", "reasoning_content": "It says </think> no <think> so"},
        {"content": [{"type": "thinking", "thinking": [{"text": "No."}]}, {"type": "text", "text": "Yes"}]},
        {"content": [{"type": "reasoning", "text": "No."}, {"type": "output_text", "text": "Yes"}]},
        {"content": [{"text": "Y"}, {"type": "text", "text": "es"}]},
    ],
)  # fmt: skip
def test_a_thought_beside_an_answer_is_none(message: dict[str, Any]) -> None:
    reply = read(message)
    assert (reply.text, reply.error, reply.refusal) == ("Yes", "", "")


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "reasoning_content": "I think yes"},
        {"content": "", "reasoning": "I think yes"},
        {"reasoning_content": "so </think> yes"},
        {"content": [{"type": "thinking", "thinking": "I think yes"}]},
        {"content": "<think>I think yes"},
    ],
)
def test_a_thought_alone_is_no_answer(message: dict[str, Any]) -> None:
    reply = read(message)
    assert reply.text == ""
    assert final_answer(reply.raw).unfinished


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "refusal": "I cannot."},
        {"refusal": "I cannot."},
        {"content": [{"type": "refusal", "refusal": "I cannot."}]},
    ],
)
def test_the_words_of_a_refusal_are_kept_and_are_no_answer(message: dict[str, Any]) -> None:
    reply = read(message)
    assert (reply.text, reply.refusal, reply.error) == ("", "I cannot.", "")


@pytest.mark.parametrize(
    ("said", "finish"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("content_filter", "content_filter"),
        ("SAFETY", "content_filter"),
        ("content_filter: RECITATION", "content_filter"),
        ("eos", "eos"),
    ],
)
def test_how_a_reply_ended_has_one_name(said: str, finish: str) -> None:
    assert read({"content": "A man"}, said).finish == finish


def test_an_error_with_status_200_is_told_as_the_error_it_is() -> None:
    said = {"error": {"message": "model overloaded", "code": 503}}
    with pytest.raises(AttemptError) as error:
        parse_reply("k", json.dumps(said).encode(), 0.1, "s")
    assert (error.value.reason, error.value.detail, error.value.passing) == ("http_503", "model overloaded", True)
    with pytest.raises(AttemptError) as error:
        parse_reply("k", json.dumps({"error": {"message": "flagged", "code": 403}}).encode(), 0.1, "s")
    assert not error.value.passing
    for content, remedy in ((b"<html>login</html>", "web page: check"), (b'data: {"choices": []}', "stream: false")):
        with pytest.raises(AttemptError) as error:
            parse_reply("k", content, 0.1, "s")
        assert remedy in error.value.remedy


@pytest.mark.parametrize("message", [{}, {"content": 3}, {"content": {"text": "Yes"}}])
def test_what_is_no_message_is_malformed(message: dict[str, Any]) -> None:
    with pytest.raises(AttemptError) as error:
        read(message)
    assert error.value.reason == "malformed_reply"
