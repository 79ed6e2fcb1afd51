"""Multiple choice: reading a letter, and circular evaluation, by hand."""

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanvlm.errors import UserError
from humanvlm.evaluate.tasks.choice import REFUSED, named_options, parse_choice, parse_named_choice, score_files

OPTIONS = {"A": "a red hat", "B": "a blue hat", "C": "no hat", "D": "two hats"}


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("B", "B"),
        ("B.", "B"),
        ("(C)", "C"),
        ("The answer is B", "B"),
        ("Answer: D!", "D"),
        ("a blue hat", "B"),
        ("It is A BLUE HAT.", "A"),  # the article is taken for the option, as it is near the end
        ("He wears no hat", "C"),
        ("A or B", None),
        ("red and blue", None),
        ("", None),
        ("The correct answer is **B**. Here's why: he wears the blue one, as can be seen on his head", "B"),
        ("I'm sorry, but without the image provided I cannot tell.", REFUSED),
        ("Cannot determine the answer", REFUSED),
        ("Z", REFUSED),
        ("Failed to obtain answer via API.", None),
        ("no hat " * 20, None),  # more than twice as long as all options
    ],
)
def test_official_reading(reply: str, letter: str | None) -> None:
    assert parse_choice(reply, OPTIONS) == letter


@given(st.text(max_size=80), st.dictionaries(st.sampled_from("ABCD"), st.text(min_size=1, max_size=9), min_size=1))
def test_any_reply_is_read_or_not(reply: str, options: dict[str, str]) -> None:
    assert parse_choice(reply, options) in {*options, REFUSED, None}


@given(st.sampled_from(sorted(OPTIONS)), st.sampled_from(["{}", "({})", "{}.", "Answer: {}", "The answer is {}."]))
def test_what_is_written_is_read(letter: str, form: str) -> None:
    assert parse_choice(form.format(letter), OPTIONS) == letter


def write(folder: Path, said: dict[int, str]) -> tuple[Path, Path]:
    """Question 1 of two options and its rotation; question 2, asked once; question 3 and its rotation."""
    rows = [
        [1, "What is it?", "cat", "dog", "", "A", "identity", "reasoning", "AAAA" * 50_000],
        [1_000_001, "What is it?", "dog", "cat", "", "B", "identity", "reasoning", ""],
        [2, "Which one?", "cat", "dog", "cow", "C", "identity", "reasoning", ""],
        [3, "How\tmany?", "one", "two", "", "B", "count", "perception", ""],
        [1_000_003, "How\tmany?", "two", "one", "", "A", "count", "perception", ""],
    ]
    references, predictions = folder / "mmbench.tsv", folder / "said.tsv"
    with references.open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["index", "question", "A", "B", "C", "answer", "category", "l2-category", "image"])
        writer.writerows(rows)
    with predictions.open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["index", "prediction"])
        writer.writerows(said.items())
    return references, predictions


def test_circular_by_hand(tmp_path: Path) -> None:
    said = {1: "A", 1_000_001: "B", 2: "cow", 3: "B", 1_000_003: "B"}
    scored = score_files(*write(tmp_path, said), allow_missing=False)
    assert scored.scores["circular"] == pytest.approx(2 / 3)
    assert scored.scores["vanilla"] == 1
    assert scored.scores["circular[l3=identity]"] == 1
    assert scored.scores["circular[l2=perception]"] == 0
    assert scored.ids == ["1", "2", "3"]
    assert scored.counts == {"missing": 0, "unparseable": 0, "refused": 0, "rotations": 5}


def test_rotations_that_are_missing_or_unreadable_are_wrong(tmp_path: Path) -> None:
    references, predictions = write(tmp_path, {1: "A", 1_000_001: "one of them", 2: "C"})
    with pytest.raises(UserError, match="no prediction for id 3"):
        score_files(references, predictions, allow_missing=False)
    scored = score_files(references, predictions, allow_missing=True)
    assert scored.scores["circular"] == pytest.approx(1 / 3)
    assert (scored.counts["missing"], scored.counts["unparseable"]) == (2, 1)


def test_replies_as_json_lines(tmp_path: Path) -> None:
    references, _ = write(tmp_path, {})
    predictions = tmp_path / "said.jsonl"
    said = {1: "A", 1_000_001: "B", 2: "C", 3: "B", 1_000_003: "A"}
    predictions.write_text("\n".join(json.dumps({"index": key, "text": value}) for key, value in said.items()))
    assert score_files(references, predictions, allow_missing=False).scores["circular"] == 1


def test_what_is_malformed_is_named(tmp_path: Path) -> None:
    references, predictions = write(tmp_path, {1: "A"})
    references.write_text(references.read_text().replace("\tB\tcount", "\tE\tcount"))
    with pytest.raises(UserError, match=r"mmbench.tsv:5: answer 'E' is none of the options A, B"):
        score_files(references, predictions, allow_missing=True)
    references.write_text("index\tquestion\nx\n")
    with pytest.raises(UserError, match=r"mmbench.tsv:2: has not 2 columns"):
        score_files(references, predictions, allow_missing=True)


CHIN = ("Chin area", "Side to side", "Chin area and side to side")


@pytest.mark.parametrize(
    ("reply", "named"),
    [
        ("chin area and side to side", [CHIN[2]]),
        ("Chin area", [CHIN[0]]),
        ("Chin area, and chin area and side to side", [CHIN[0], CHIN[2]]),
        ("the chin areas", []),
        ("", []),
    ],
)
def test_the_longer_option_takes_its_words(reply: str, named: list[str]) -> None:
    assert named_options(reply, CHIN) == named


@pytest.mark.parametrize(
    ("reply", "letter"),
    [("B", "B"), ("No, they are not.", "B"), ("I do not know", None), ("None of it", None), ("yes or no", None)],
)
def test_options_are_read_as_whole_words(reply: str, letter: str | None) -> None:
    assert parse_named_choice(reply, {"A": "yes", "B": "no"}) == letter
