"""Who becomes champion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.config.registered_model import RegisteredModel
from humanvlm.registry.promotion import Scored, decide

POLICY = RegisteredModel(min_gain=0.1, guards={"attributes.unparseable_inverse": 0.5})
GOOD = {"captions.cider": 1.0, "attributes.unparseable_inverse": 0.9}


def scored(version: str, cider: float, benchmark: str = "b") -> Scored:
    return Scored(version, GOOD | {"captions.cider": cider}, benchmark)


@pytest.mark.parametrize(
    ("candidate", "champion", "promote", "reason"),
    [
        (scored("1", 0.2), None, True, "there is no champion"),
        (scored("2", 0.2), scored("1", 0.5), False, "a gain of -0.3000, not more than 0.1"),
        (scored("2", 0.55), scored("1", 0.5), False, "not more than 0.1"),
        (scored("2", 0.7), scored("1", 0.5), True, "a gain of +0.2000, more than 0.1"),
        (scored("1", 0.5), scored("1", 0.5), True, "the champion already"),
        (scored("2", 9.0), scored("1", 0.5, "other"), False, "another benchmark"),
        (scored("2", 9.0), Scored("1", {}, "b"), False, "was not scored"),
        (Scored("1", GOOD | {"attributes.unparseable_inverse": 0.4}, "b"), None, False, "0.4000 is below 0.5000"),
        (Scored("1", {"captions.cider": 1.0}, "b"), None, False, "not scored"),
    ],
)
def test_decisions(candidate: Scored, champion: Scored | None, promote: bool, reason: str) -> None:
    decision = decide(candidate, champion, POLICY)
    assert decision.promote is promote
    assert reason in " ".join(decision.reasons)


@given(st.floats(0, 10), st.floats(0, 10), st.floats(0, 1))
def test_two_versions_never_both_beat_the_other(first: float, second: float, gain: float) -> None:
    policy = RegisteredModel(min_gain=gain)
    one, two = scored("1", first), scored("2", second)
    assert not (decide(one, two, policy).promote and decide(two, one, policy).promote)
