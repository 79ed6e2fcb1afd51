"""Records, sums and intervals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.evaluate.scoring import intervals, parts, score, task_scores
from humanvlm.evaluate.tasks.attributes import balanced_accuracy
from humanvlm.evaluate.tasks.grounding import Expression
from humanvlm.evaluate.tasks.samples import Sample, choose

REPLIES = st.lists(st.sampled_from(["yes", "no", "No.", "Yes, he does", "unsure", ""]), min_size=1, max_size=30)


def attributes(answers: list[str]) -> list[Sample]:
    return [
        Sample(f"s{i}", "attributes", f"{i // 2}.jpg", Path(f"{i // 2}.jpg"), "?", (answer,), part="hat")
        for i, answer in enumerate(answers)
    ]


def captions(references: list[tuple[str, ...]]) -> list[Sample]:
    return [Sample(f"s{i}", "captions", f"{i}.jpg", Path("x"), "?", texts) for i, texts in enumerate(references)]


@settings(max_examples=50)
@given(REPLIES, st.randoms())
def test_attribute_scores_are_bounded_and_blind_to_order(replies: list[str], random: Any) -> None:
    samples = attributes([random.choice(["yes", "no"]) for _ in replies])
    scored = score("attributes", samples, replies)
    values = task_scores(scored)
    assert all(0 <= value <= 1 for value in values.values())
    correct = [record.score for record in scored.records]
    assert values["balanced_accuracy"] == pytest.approx(
        balanced_accuracy(correct, [sample.references[0] for sample in samples])
    )
    order = random.sample(range(len(replies)), len(replies))
    again = score("attributes", [samples[i] for i in order], [replies[i] for i in order])
    assert task_scores(again) == pytest.approx(values)
    assert intervals(again, 50, 3) == intervals(scored, 50, 3)


def test_perfect_replies_score_full_marks() -> None:
    box = Sample("b", "rec", "b.jpg", Path("b"), "?", ("",), Expression("b", "b.jpg", "", (20, 10, 40, 50), 200, 100))
    values = task_scores(score("rec", [box], ["[10, 10, 20, 50]"]))
    assert values == pytest.approx({"mean_iou": 1, "acc50": 1, "acc75": 1, "acc50_authors": 1, "unparseable": 0})
    texts = ["a man in a red hat on a beach", "two women who walk on green grass"]
    values = task_scores(score("captions", captions([(text,) for text in texts]), texts))
    assert values["cider"] == pytest.approx(10)
    assert values["bleu_4"] == pytest.approx(1)
    assert values["rouge_l"] == pytest.approx(1)


def test_what_cannot_be_read_is_counted_and_wrong() -> None:
    box = Sample("b", "rec", "b.jpg", Path("b"), "?", ("",), Expression("b", "b.jpg", "", (20, 10, 40, 50), 200, 100))
    scored = score("rec", [box, box], ["on the left", "[10, 10, 20, 50]"])
    assert [record.prediction for record in scored.records] == [None, [20, 10, 40, 50]]
    assert task_scores(scored)["acc50"] == 0.5
    assert task_scores(scored)["unparseable"] == 0.5


def test_a_sentence_is_no_worse_than_a_word_where_all_agree() -> None:
    question = Sample("q", "vqa", "q.jpg", Path("q"), "?", ("two",) * 10)
    for reply, value in (("Two.", 1.0), ("2", 1.0), ("the two", 1.0), ("three", 0.0)):
        assert task_scores(score("vqa", [question], [reply])) == {"accuracy": value}


def test_intervals_hold_the_score_and_cluster_by_picture() -> None:
    answers = ["yes", "no"] * 60
    replies = ["yes" if i % 8 < 6 else "no" for i in range(120)]
    scored = score("attributes", attributes(answers), replies)
    value = task_scores(scored)["accuracy"]
    low, high = intervals(scored, 500, 1)["accuracy"]
    assert low <= value <= high
    same = attributes(["yes"] * 40)
    agreeing = ["yes", "yes", "no", "no"] * 10  # both questions of a picture right, or both wrong
    low, high = intervals(score("attributes", same, agreeing), 2000, 1)["accuracy"]
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 20), rel=0.15)  # 20 pictures, not 40 questions
    assert intervals(scored, 0, 1) == {}


def test_parts_and_choice() -> None:
    samples = attributes(["yes"] * 10)
    scored = score("attributes", samples, ["yes"] * 5 + ["no"] * 5)
    assert parts(scored) == {"hat": {"score": 0.5, "samples": 10}}
    chosen = choose(samples, 4, seed=1)
    assert len(chosen) == 4
    assert chosen == [sample for sample in samples if sample in choose(samples[::-1], 4, seed=1)]
    assert choose(samples, 0, seed=1) == samples
