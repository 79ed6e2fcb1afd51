"""MME: two yes/no questions about each picture, in 14 categories (Fu et al. 2023).

As its ``calculation.py``: accuracy over questions, accuracy+ over pictures (both questions right), 100 times their sum
as the score of a category (0..200), and the categories' sums for perception (0..2000) and cognition (0..800).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from humanvlm.evaluate.stats.parts import ratio
from humanvlm.evaluate.stats.scored import Array, Scored

PERCEPTION = (
    *("existence", "count", "position", "color", "posters"),
    *("celebrity", "scene", "landmark", "artwork", "OCR"),
)
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")


@dataclass(frozen=True)
class Half:
    """One of the two questions of a picture, which follow each other. positive: the answer is yes."""

    id: str
    image: str
    category: str
    text: str
    positive: bool


def parse_answer(reply: str) -> str:
    """ "yes", "no" or "other", in the official way: from the first four characters, in lower case, yes before no."""
    start = reply.lower()[:4]
    return "yes" if "yes" in start else "no" if "no" in start else "other"


def score_mme(halves: Sequence[Half], replies: Sequence[str | None]) -> Scored:
    """Accuracies in 0..1 and scores as published, of each category and in all.

    halves: even in number, the two of a picture following each other. A reply of None is missing, and wrong. counts:
    ``missing``, ``unparseable`` (what the official code calls other), ``categories_missing`` of the 14.
    """
    said = [None if reply is None else parse_answer(reply) for reply in replies]
    right = np.array(
        [answer == ("yes" if half.positive else "no") for half, answer in zip(halves, said, strict=True)], dtype=bool
    )
    both = (right.reshape(-1, 2).all(axis=1)).repeat(2)
    first = np.arange(len(halves)) % 2 == 0
    vectors = np.column_stack([right, np.ones(len(halves)), both & first, first]).astype(np.float64)
    present = {half.category for half in halves}
    categories = [name for name in (*PERCEPTION, *COGNITION) if name in present]
    categories += sorted(present - set(categories))
    given = np.array([half.category for half in halves], dtype=object)
    contributions = np.concatenate([vectors * (given == name)[:, None] for name in categories], axis=1)

    def metrics(sums: Array) -> dict[str, Array]:
        return summed_metrics(sums.reshape(*sums.shape[:-1], len(categories), 4), categories)

    return Scored(
        "mme",
        [half.id for half in halves],
        [f"{half.category}/{half.image}" for half in halves],
        {
            "category": [half.category for half in halves],
            "question": [half.text for half in halves],
            "label": ["yes" if half.positive else "no" for half in halves],
            "reply": replies,
            "answer": said,
            "right": right.tolist(),
        },
        contributions,
        metrics,
        {
            "missing": sum(reply is None for reply in replies),
            "unparseable": said.count("other"),
            "categories_missing": len({*PERCEPTION, *COGNITION} - present),
        },
    )


def summed_metrics(sums: Array, categories: Sequence[str]) -> dict[str, Array]:
    """Summed (categories, [right, questions, pictures right, pictures]) to the metrics; absent categories add 0."""
    acc, plus = ratio(sums[..., 0], sums[..., 1]), ratio(sums[..., 2], sums[..., 3])
    scores = 100 * (acc + plus)

    def total(names: Sequence[str]) -> Array:
        places = [place for place, name in enumerate(categories) if name in names]
        return np.asarray(np.nansum(scores[..., places], axis=-1))

    found = {"total": total((*PERCEPTION, *COGNITION)), "perception": total(PERCEPTION), "cognition": total(COGNITION)}
    found["acc"] = ratio(sums[..., 0].sum(axis=-1), sums[..., 1].sum(axis=-1))
    found["acc_plus"] = ratio(sums[..., 2].sum(axis=-1), sums[..., 3].sum(axis=-1))
    for place, name in enumerate(categories):
        found |= {
            f"score[category={name}]": scores[..., place],
            f"acc[category={name}]": acc[..., place],
            f"acc_plus[category={name}]": plus[..., place],
        }
    return found
