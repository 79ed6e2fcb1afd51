"""Records, sums and intervals."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humanvlm.evaluate.metrics.pck import Person
from humanvlm.evaluate.records import intervals, parts, score, state_shares, task_scores
from humanvlm.evaluate.tasks.amber import Lists, Query
from humanvlm.evaluate.tasks.base import Sample, YesNoQuestion, choose
from humanvlm.evaluate.tasks.chair import Objects, Shown
from humanvlm.evaluate.tasks.choice import Rotation
from humanvlm.evaluate.tasks.face_human import Problem
from humanvlm.evaluate.tasks.facebench import Question as FaceQuestion
from humanvlm.evaluate.tasks.humanpcr import Question as PeopleQuestion
from humanvlm.evaluate.tasks.rec import Expression
from humanvlm.evaluate.tasks.registry import TASKS
from humanvlm.inference.base import Reply

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
    recalls = [
        np.mean([record.score for record in scored.records if record.references == (answer,)])
        for answer in {sample.references[0] for sample in samples}
    ]
    assert values["balanced_accuracy"] == pytest.approx(np.mean(recalls))
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


def test_a_constant_answer_is_worth_one_half_whatever_the_attributes_are_like() -> None:
    """Nine of ten wear no hat, nine of ten smile: the mean over attributes, not of all questions together."""
    samples = [
        Sample(f"{name} {i}", "attributes", f"{i}.jpg", Path("x"), "?", (answer if i else other,), part=name)
        for name, answer, other in (("hat", "no", "yes"), ("smile", "yes", "no"))
        for i in range(10)
    ]
    for reply in ("yes", "no"):
        assert task_scores(score("attributes", samples, [reply] * 20))["balanced_accuracy"] == pytest.approx(0.5)
    favourites = ["no"] * 10 + ["yes"] * 10
    values = task_scores(score("attributes", samples, favourites))
    assert [values["accuracy"], values["balanced_accuracy"]] == pytest.approx([0.9, 0.5])


QUESTION = YesNoQuestion("1", "a.jpg", "Is there a dog?", True)
EXPRESSION = Expression("1", "a.jpg", "the man", (10, 10, 50, 50), 100, 100)
PERSON = Person("1", "a.jpg", (0, 0, 100, 100), np.array([[50.0, 20.0, 2.0], *[[0.0] * 3] * 16]), (100, 100))
LISTS = Lists({}, frozenset(), None)
OBJECTS = Objects({"man": "person", "chair": "chair"}, {}, frozenset(("man", "chair")))
ANSWERS: dict[str, tuple[Sample, str, str]] = {
    kind: (Sample("1", kind, "a.jpg", Path("a.jpg"), "?", references, truth), right, wrong)
    for kind, references, truth, right, wrong in (
        ("captions", ("a man in a red hat",), None, "a man in a red hat", "two dogs"),
        ("reg", ("a man in a red hat",), None, "a man in a red hat", "two dogs"),
        ("vqa", ("two",) * 10, None, "two", "three"),
        ("rec", ("",), EXPRESSION, "[10, 10, 50, 50]", "[60, 60, 90, 90]"),
        ("pope", ("yes",), QUESTION, "Yes", "No"),
        ("attributes", ("yes",), None, "yes", "no"),
        ("keypoints", (), PERSON, "nose: [50, 20]", "nose: [90, 90]"),
        ("mme", ("yes",), replace(QUESTION, part="hats"), "Yes", "No"),
        ("choice", ("A",), Rotation("1", "1", "1", "?", {"A": "a cat", "B": "a dog"}, "A"), "A", "B"),
        (
            "amber",
            ("no",),
            Query("1", "a.jpg", "?", "relation", (), (), False, LISTS),
            "No",
            "Yes",
        ),
        ("chair", ("person",), Shown("1", "a.jpg", frozenset(("person",)), OBJECTS), "A man.", "A chair."),
        ("face_human", ("A",), Problem("1", 0, "a/b/c.jpg", "?", {"A": "22", "B": "32"}, "A"), "A", "B"),
        ("facebench", ("Yes",), FaceQuestion("1", "a.jpg", "TFQ", "?", ("Yes", "No"), ("Yes",)), "Yes", "No"),
        ("humanpcr", ("A",), PeopleQuestion("1", "a.jpg", "P", "?", {"A": "sitting", "B": "lying"}, "A"), "A", "B"),
    )
}


@pytest.mark.parametrize("kind", TASKS)
def test_every_task_scores_the_answer_and_not_the_thought(kind: str) -> None:
    sample, right, wrong = ANSWERS[kind]
    (expected,) = score(kind, [sample], [right]).records
    for reply in (f"<think>{wrong}</think>{right}", f"{wrong}\n</think>\n\n{right}", f"<answer>{right}</answer>"):
        (record,) = score(kind, [sample], [reply]).records
        assert (record.score, record.prediction) == (expected.score, expected.prediction), reply
        assert (record.reply, record.state) == (reply, ())
    (nothing,) = score(kind, [sample], [f"<think>So {right}"]).records
    assert (nothing.score, nothing.prediction, nothing.state) == (0, None, ("unfinished_thought",))
    (refused,) = score(kind, [sample], [Reply("", refusal="I cannot help with people.", finish="stop")]).records
    assert (refused.score, refused.prediction, refused.state) == (0, None, ("refused",))
    assert refused.refusal == "I cannot help with people."
    (cut,) = score(kind, [sample], [Reply("", finish="length")]).records
    assert (cut.score, cut.prediction, cut.state) == (0, None, ("cut",))


def test_how_replies_ended_is_told() -> None:
    sample = ANSWERS["vqa"][0]
    ends = [
        Reply("", "two", finish="stop"),
        Reply("", "two", finish="length"),
        Reply("", "", finish="content_filter"),
        Reply("", "<think>So", finish="length"),
    ]
    scored = score("vqa", [sample] * 4, ends)
    assert [record.state for record in scored.records] == [
        (), ("cut",), ("filtered",), ("cut", "unfinished_thought"),
    ]  # fmt: skip
    assert state_shares(scored) == {"cut": 0.5, "filtered": 0.25, "refused": 0, "unfinished_thought": 0.25}
    assert [record.score for record in scored.records] == [1, 1, 0, 0]
