"""POPE against numbers worked out by hand."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from humanvlm.errors import UserError
from humanvlm.evaluate.tasks.base import YesNoQuestion
from humanvlm.evaluate.tasks.pope import contradicts, says_yes, score_files, score_pope


@pytest.mark.parametrize(
    ("reply", "yes"),
    [
        ("Yes", True),
        ("No", False),
        ("no, there is none", False),
        ("There is not a car.", False),
        ("Yes. No doubt about it.", True),  # only the first sentence counts
        ("I see no car, yes?", False),
        ("No\nYes", True),  # words are what blanks divide
        ("NO", True),  # other spellings of no are none
        ("nothing", True),
        ("", True),
    ],
)
def test_official_reading(reply: str, yes: bool) -> None:
    assert says_yes(reply) is yes


def test_by_hand() -> None:
    labels = [True] * 5 + [False] * 5
    replies = ["Yes"] * 4 + ["No"] + ["Yes", "perhaps"] + ["No"] * 3
    probes = [YesNoQuestion(str(n), str(n // 2), "", label, "random") for n, label in enumerate(labels)]
    scored = score_pope(probes, replies)
    assert scored.scores == pytest.approx(
        {"accuracy": 0.7, "precision": 4 / 6, "recall": 0.8, "f1": 2 * 4 / (6 + 5), "yes_ratio": 0.6}
    )
    assert scored.counts == {"missing": 0, "unparseable": 1, "contradictions": 0}


def test_only_no() -> None:
    scored = score_pope([YesNoQuestion("1", "1", "", True), YesNoQuestion("2", "1", "", False)], ["No", "No"])
    assert scored.scores == {"accuracy": 0.5, "precision": 0, "recall": 0, "f1": 0, "yes_ratio": 0}


def test_missing_is_wrong_both_ways() -> None:
    scored = score_pope([YesNoQuestion("1", "1", "", True), YesNoQuestion("2", "1", "", False)], [None, None])
    assert (scored.scores["accuracy"], scored.counts["missing"]) == (0, 2)


def test_files_with_and_without_ids(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"question_id": n, "image": f"{n // 6}.jpg", "text": f"Is there a thing {n}?", "label": ("yes", "no")[n % 2]}
        for n in range(1, 61)
    ]
    questions = tmp_path / "coco_pope_random.json.gz"
    with gzip.open(questions, "wt") as file:
        file.write("\n".join(map(json.dumps, rows)))
    official, llava = tmp_path / "official.jsonl", tmp_path / "llava.jsonl"
    official.write_text("\n".join(json.dumps({"question": row["text"], "answer": row["label"]}) for row in rows))
    llava.write_text(
        "\n".join(json.dumps({"question_id": row["question_id"], "text": row["label"].title()}) for row in rows[::-1])
    )
    for answers in (official, llava):
        scored = score_files([questions], [answers], allow_missing=False)
        assert (len(scored.ids), scored.scores["accuracy"], scored.scores["yes_ratio"]) == (60, 1, 0.5)
    official.write_text("\n".join(official.read_text().splitlines()[1:]))
    with pytest.raises(UserError, match="59 rows without ids for 60 questions"):
        score_files([questions], [official], allow_missing=False)


def test_three_files_at_once(tmp_path: Path) -> None:
    references, predictions = [], []
    for part, answer in (("random", "yes"), ("popular", "yes"), ("adversarial", "no")):
        references.append(tmp_path / f"coco_pope_{part}.json")
        references[-1].write_text(json.dumps({"question_id": 1, "image": "a.jpg", "text": "Is it?", "label": "yes"}))
        predictions.append(tmp_path / f"{part}.jsonl")
        predictions[-1].write_text(json.dumps({"question_id": 1, "text": answer}))
    scores = score_files(references, predictions, allow_missing=False).scores
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert (scores["accuracy[split=popular]"], scores["accuracy[split=adversarial]"]) == (1, 0)
    with pytest.raises(UserError, match="3 --references and 1 --predictions"):
        score_files(references, predictions[:1], allow_missing=False)


@pytest.mark.parametrize(
    ("reply", "opposite"),
    [
        ("NO", True),
        ("**No**", True),
        ("No!", True),
        ('"no"', True),
        ("There isn't a dog.", True),
        ("I cannot see any dog", True),
        ("Yes, there is no doubt", True),  # read as a no
        ("No, there is no dog.", False),
        ("No, yes would be wrong", False),
        ("YES", False),
        ("**Yes**", False),
        ("Not sure", False),
        ("I cannot tell.", False),
        ("perhaps", False),
        ("", False),
    ],
)
def test_contradictions_of_the_official_reading(reply: str, opposite: bool) -> None:
    assert contradicts(reply) is opposite
    scored = score_pope([YesNoQuestion("1", "1", "", False)], [reply])
    assert scored.counts["contradictions"] == opposite
    assert scored.scores["accuracy"] == (not says_yes(reply))  # the official reading stands
