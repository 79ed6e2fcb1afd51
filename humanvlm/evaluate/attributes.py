"""Yes/no questions about what a person appears to wear or do."""

import re
from collections.abc import Sequence

_ANSWER = re.compile(r"\b(yes|no)\b")


def parse_answer(reply: str) -> str | None:
    """ "yes" or "no", whichever word the reply has; None when it has neither, or both and starts with neither."""
    text = reply.strip().lower()
    if starts := _ANSWER.match(text):
        return starts.group()
    found = set(_ANSWER.findall(text))
    return found.pop() if len(found) == 1 else None


def balanced_accuracy(correct: Sequence[float], answers: Sequence[str]) -> float:
    """Mean of the accuracies on the samples of each true answer, in 0..1: always saying "yes" scores one half."""
    classes = sorted(set(answers))
    per_class = [
        [value for value, answer in zip(correct, answers, strict=True) if answer == label] for label in classes
    ]
    return sum(sum(values) / len(values) for values in per_class) / len(classes) if classes else 0.0
