"""What servers of this field say when they refuse, and the remedy that goes with it."""

import json

import pytest

from humanvlm.inference.failures import http_failure, message_in

SMALLER, MODEL, FIELDS = "endpoint.image_size smaller", "endpoint.model", "endpoint.parameters"


@pytest.mark.parametrize(
    ("status", "said", "remedy"),
    [
        (400, "This model's maximum context length is 2048 tokens. However, you asked for 2900", "max_new_tokens"),
        (400, "The decoder prompt (length 5000) is longer than max_model_len 4096", "max_new_tokens"),
        (400, "prompt is too long: 212000 tokens > 200000 maximum", "max_new_tokens"),
        (422, "Input validation error: too many input tokens", "max_new_tokens"),
        (413, "Payload too large", SMALLER),
        (413, "<html>413 Request Entity Too Large</html>", SMALLER),
        (400, "image exceeds 5 MB maximum: 6291456 bytes > 5242880 bytes", SMALLER),
        (400, "Unsupported parameter: 'max_tokens' is not supported, use max_completion_tokens", FIELDS),
        (400, "Unsupported value: 'temperature' does not support 0 with this model", FIELDS),
        (400, "The model `x` does not exist", MODEL),
        (400, "x is not a multimodal model", "takes no pictures"),
        (400, "This model does not support image input", "takes no pictures"),
        (401, "Incorrect API key provided", "variable MY_KEY to a valid key"),
        (403, "You are not allowed to use this model in your region", "MY_KEY has no permission"),
        (402, "Payment required", "no credit"),
        (404, "Not Found", "check url and model"),
        (308, "", "check benchmark_scores.endpoint.url"),
        (400, "no", FIELDS),
    ],
)  # fmt: skip
def test_what_will_not_pass_has_a_remedy(status: int, said: str, remedy: str) -> None:
    failure = http_failure(status, said, "MY_KEY", "benchmark_scores")
    assert not failure.passing
    assert remedy in failure.remedy


def test_what_may_pass_is_tried_again_unless_the_account_is_empty() -> None:
    assert all(http_failure(status, "", "K", "s").passing for status in (408, 409, 425, 429, 500, 502, 503, 529))
    spent = http_failure(
        429, json.dumps({"error": {"code": "insufficient_quota", "message": "You exceeded"}}), "K", "s"
    )
    assert not spent.passing
    assert "no credit" in spent.remedy


def test_the_words_of_an_error_body() -> None:
    for body in ({"error": {"message": "no"}}, {"message": "no"}, {"detail": "no"}, {"error": "no"}):
        assert message_in(json.dumps(body)) == "no"
    for text in ("plain", "[1]", '{"a": 1}', "[" * 100_000):
        assert message_in(text) == text
