"""Stems of the Snowball English stemmer, as METEOR 1.5 has it."""

import pytest

from humanvlm.evaluate.metrics.meteor.stems import stem

STEMS = {
    "sitting": "sit", "sits": "sit", "riding": "ride", "rides": "ride", "skies": "sky", "dying": "die", "ties": "tie",
    "cries": "cri", "gas": "gas", "bus": "bus", "kisses": "kiss", "hopping": "hop", "hoping": "hope", "agreed": "agre",
    "national": "nation", "conditional": "condit", "happily": "happili", "happy": "happi", "by": "by", "say": "say",
    "generously": "generous", "communism": "communism", "news": "news", "proceed": "proceed", "early": "earli",
    "knightly": "knight", "controlling": "control", "a": "a", "": "", "yellow": "yellow", "flies": "fli",
    "electricity": "electr", "relational": "relat", "adoption": "adopt", "rolling": "roll", "'s": "'s", "日本": "日本",
}  # fmt: skip


@pytest.mark.parametrize("word", STEMS)
def test_stem(word: str) -> None:
    assert stem(word) == STEMS[word]
