"""What is asked for is checked field by field; what would change a reply and is not done is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.serve.conversation import Turn
from humanvlm.serve.limits import Limits
from humanvlm.serve.refusals import Refused
from humanvlm.serve.requests import read_request

LIMITS = Limits(reply_tokens=64, pictures=2)
USER = {"role": "user", "content": "Hi"}
SHOWN = {"type": "image_url", "image_url": {"url": "data:x"}}


def read(**fields: Any) -> Any:
    return read_request(json.dumps({"model": "m", "messages": [USER]} | fields).encode(), LIMITS)


def refused(content: bytes | None = None, **fields: Any) -> tuple[int, str | None, str]:
    with pytest.raises(Refused) as error:
        read_request(content, LIMITS) if content is not None else read(**fields)
    return error.value.status, error.value.param, error.value.message


def test_what_is_asked_for_is_read() -> None:
    messages = [
        {"role": "developer", "content": "Be short."},
        {"role": "user", "content": [SHOWN, {"type": "text", "text": "Who?"}, {"type": "text", "text": "Where?"}]},
        {"role": "assistant", "content": "A man."},
        USER,
    ]
    asked = read(messages=messages, max_completion_tokens=7, stop="\n", stream=True, user="u", n=1)
    assert asked.turns == (
        Turn("system", "Be short."),
        Turn("user", "Who?\nWhere?", 1),
        Turn("assistant", "A man."),
        Turn("user", "Hi"),
    )
    assert (asked.pictures, asked.max_tokens, asked.stops, asked.stream, asked.usage) == (
        ("data:x",),
        7,
        ("\n",),
        True,
        False,
    )
    assert (asked.temperature, read().max_tokens) == (0.0, 64)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.content.str"),
        ({"messages": [{"role": "user", "content": "  "}]}, "messages.0.content"),
        ({"messages": [USER, {"role": "system", "content": "Hi"}]}, "messages.1.role"),
        ({"messages": [USER, {"role": "assistant", "content": "Hi"}]}, "messages"),
        ({"messages": [{"role": "assistant", "content": [SHOWN]}, USER]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [SHOWN] * 3}]}, "messages"),
        ({"messages": [USER] * 257}, "messages"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 65}, "max_tokens"),
        ({"max_completion_tokens": 65}, "max_completion_tokens"),
        ({"max_tokens": "8"}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"seed": 2**63}, "seed"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": ""}, "stop"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"best_of": 2}, "best_of"),
        ({"model": 3}, "model"),
    ],
)
def test_a_field_that_is_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    status, found, message = refused(**fields)
    assert (status, found) == (400, param)
    assert message.startswith(param.partition(".")[0])


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[" * 100_000, b'{"model": NaN}', b"null", b'{"model": "\\ud800"}']
)
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    status, _, message = refused(content)
    assert status == 400
    assert len(message) < 300


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_is_sent_is_answered_or_refused(value: Any) -> None:
    for content in (json.dumps(value).encode(), json.dumps({"model": "m", "messages": value}).encode()):
        with pytest.raises(Refused):
            read_request(content, LIMITS)
