import pytest

from humanvlm.scrape.usage import forbidden


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("train-ai=n", "train-ai"),
        ("ai-train=no", "ai-train"),
        ("search=yes, ai-train=no", "ai-train"),
        ("search=yes,ai-input=no", "ai-input"),
        ("ai-use=n, train-ai=y", "ai-use"),
        ("AI-Train = NO", "ai-train"),
        ("train-ai=n;exceptions=none, search=y", "train-ai"),
        ("bots=n", "bots"),
        ("bots=n, train-ai=y", None),  # the narrower category decides
        ("train-ai=y, train-genai=n", "train-genai"),
        ("train-ai=n, train-ai=y", None),  # the last value of a key counts
        ("train-ai=y, train-ai=n", "train-ai"),
        ("search=n", None),
        ("ai-train=yes, ai-input=yes", None),
        ('train-ai="n"', None),  # a string is no token
        ("train-ai", None),
        ("train-ai;x=n", None),
        ("train-ai=maybe", None),
        ("x-train-ai=n", None),
        ("", None),
        (",,;=,=n", None),
    ],
)
def test_what_forbids_training_or_use_as_input(statement: str, expected: str | None) -> None:
    assert forbidden(statement) == expected
