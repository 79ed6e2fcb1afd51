"""HumanPCR's multiple choice against numbers worked out by hand."""

from pathlib import Path
from typing import Any

import pytest

from humanvlm.config.benchmark_scores import Source
from humanvlm.errors import UserError
from humanvlm.evaluate.tasks.base import load_source
from humanvlm.evaluate.tasks.humanpcr import TASK, read_questions, score_files

from ..publishers import humanpcr, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(humanpcr(tmp_path)["references"])


def test_accuracy_by_level(path: Path) -> None:
    questions = read_questions(path)
    assert all(one.options[one.answer] == "sitting" and len(one.options) == 4 for one in questions)
    wrong = next(letter for letter in "ABCD" if letter != questions[1].answer)
    replies = [questions[0].answer, wrong, "sitting", "I do not know", f"({questions[4].answer})"]
    rows = [{"id": number, "text": text} for number, text in enumerate(replies)]
    found = score_files(path, write(path.with_name("said.jsonl"), rows))
    assert found.scores == pytest.approx({"accuracy": 3 / 5, "accuracy[level=C]": 2 / 3, "accuracy[level=P]": 1 / 2})
    assert found.counts == {"missing": 0, "unparseable": 1, "refused": 0}


def test_options_are_in_one_order_wherever_they_are_read(path: Path) -> None:
    again = read_questions(path)
    assert again == read_questions(path)
    assert len({tuple(one.options.values()) for one in again}) > 1  # not every question's right one is the same letter


def test_several_pictures_and_videos_are_dropped_under_their_reason(tmp_path: Path) -> None:
    given = dict(humanpcr(tmp_path))
    loaded = load_source(TASK, "mine", Source(**given))
    assert [sample.id for sample in loaded.samples] == ["0", "1", "2"]
    assert [(key, reason) for key, reason, _ in loaded.dropped] == [("3", "several_pictures"), ("4", "video")]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"distractors": []}, r"distractors: \[\] is no list"),
        ({"input_path": "a.jpg"}, "input_path: a.jpg is no list"),
        ({"answer": None}, "no answer"),
        ({"distractors": list(map(str, range(26)))}, "26 distractors; at most 25 have letters"),
    ],
)
def test_what_is_malformed_is_named(path: Path, changed: dict[str, Any], message: str) -> None:
    row = {"question": "?", "answer": "a", "distractors": ["b"], "input_path": ["a.jpg"]}
    write(path, [row | changed])
    with pytest.raises(UserError, match=message):
        read_questions(path)
