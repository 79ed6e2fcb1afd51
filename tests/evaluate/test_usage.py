"""What replies took."""

import pytest

from humanvlm.evaluate.usage import Usage, usage
from humanvlm.inference.base import Reply


def test_each_request_counts_once_and_what_is_not_told_is_in_no_sum() -> None:
    replies = [
        Reply("a", "yes", tokens=2, prompt_tokens=700),
        Reply("a", "yes", tokens=2, prompt_tokens=700),
        Reply("b", "no", tokens=4, prompt_tokens=300),
        Reply("c", "no", tokens=1),
    ]
    found = usage(replies, 3.0, 12.0)
    assert found == Usage(3, 1000, 6, 1, found.cost)
    assert found.cost == pytest.approx(1000 * 3 / 1e6 + 6 * 12 / 1e6)
    assert found.told() == "3 requests: 1,000 tokens in, 6 out; cost 0.003072 (1 replies do not tell theirs)."
    assert usage(replies, 0, 0).told() == "3 requests: 1,000 tokens in, 6 out (1 replies do not tell theirs)."
    assert usage(replies[3:], 1, 1).told() == "1 requests; their tokens are not known."
