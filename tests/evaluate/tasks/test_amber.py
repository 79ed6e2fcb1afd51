"""AMBER against numbers worked out by hand."""

from pathlib import Path
from typing import Any

import pytest

from humanvlm.errors import UserError
from humanvlm.evaluate.tasks.amber import nouns_of, read_queries, score_files

from ..publishers import AMBER_TRUTH, AMBER_WORDS, amber, write

SAID = {
    # nouns: man, trees (covers forest), cat (made up), cat, light (safe): two of five are not there
    1: "A man under trees with a cat, a black cat and a light.",
    2: "A desk. Chair!",  # desk covers table; "Chair" is no word of the lists, as it is written
    3: "No, there is none.",
    4: "No",
    5: "Yes, two.",
    6: "No.",
}


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    return Path(amber(tmp_path)["references"])


def scored(queries: Path, said: dict[int, str], **given: Any) -> Any:
    replies = write(queries.parents[2] / "said.json", [{"id": key, "response": text} for key, text in said.items()])
    return score_files(queries, replies, **given)


def test_descriptions_and_answers(queries: Path) -> None:
    found = scored(queries, SAID)
    scores = found.scores
    assert scores["chair"] == pytest.approx(2 / 6)
    assert scores["cover"] == pytest.approx((2 + 1) / 5)
    assert scores["hal"] == pytest.approx(1 / 2)
    assert scores["cog"] == pytest.approx(1 / 3)
    assert scores["accuracy"] == pytest.approx(2 / 4)
    assert scores["precision"] == pytest.approx(2 / 3)  # of "no"
    assert scores["recall"] == pytest.approx(2 / 3)
    assert scores["f1"] == pytest.approx(2 / 3)
    assert scores["amber"] == pytest.approx((1 - 2 / 6 + 2 / 3) / 2)
    assert scores["accuracy[dimension=existence]"] == 1
    assert scores["f1[dimension=attribute]"] == 0
    assert scores["recall[dimension=relation]"] == 1
    assert found.counts == {"missing": 0, "unparseable": 0, "not_compared": 2}
    assert found.per_sample["hallucinated"][0] == ["cat", "cat"]


def test_similar_words_excuse_a_noun_and_imagine_too(queries: Path) -> None:
    write(queries.parents[1] / "similar.json", {"cat": ["dog"]})
    found = scored(queries, SAID)
    assert found.scores["chair"] == 0
    assert found.scores["cover"] == pytest.approx((3 + 1) / 5)  # the dog is covered by "cat"
    assert found.scores["cog"] == pytest.approx(1 / 3)
    assert found.counts["not_compared"] == 0


def test_a_part_of_the_queries_and_missing_replies(queries: Path) -> None:
    rows = [{"id": 1, "image": "AMBER_1.jpg", "query": "Describe this image."}]
    part = write(queries.with_name("query_generative.json"), rows)
    scores = scored(part, {1: "A person and a dog in a forest."}).scores
    assert scores["amber"] == 1 - scores["chair"] == 1
    assert "accuracy" in scores
    assert scores["accuracy"] != scores["accuracy"]  # undefined: nothing was asked
    with pytest.raises(UserError, match=r"no prediction for id 2 .*5 of 6 are missing"):
        scored(queries, {1: "A dog."})
    missing = scored(queries, {1: "A dog."}, allow_missing=True)
    assert missing.counts["missing"] == 5
    assert missing.scores["hal"] == 1 / 2  # what was not described counts as wrong
    assert missing.scores["accuracy"] == 0


def test_answers_that_are_neither_yes_nor_no_are_wrong_and_counted(queries: Path) -> None:
    found = scored(queries, SAID | {3: "I see no chair.", 6: "<think>a cup</think>No."})
    assert found.counts["unparseable"] == 1
    assert found.scores["accuracy"] == pytest.approx(1 / 4)


def test_plurals_are_words_of_the_lists() -> None:
    known = frozenset((*AMBER_WORDS, "bush", "man", "leave", "knife", "cherry", "mouse"))
    text = "Men, bushes, knives and cherries; cats left leaves on a desk-top by the dogs"
    assert nouns_of(text, known) == ["bush", "knife", "cherry", "cat", "leave", "dog"]
    assert nouns_of("men and mice", known) == ["man", "mouse"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("annotations.json", AMBER_TRUTH[:2], "id 3 is not in"),
        ("annotations.json", [AMBER_TRUTH[0] | {"type": "other"}], "unknown type 'other'"),
        ("annotations.json", [AMBER_TRUTH[0] | {"truth": "dog"}], "is no list of words"),
        ("relation.json", ["dog"], "relation.json: a JSON list"),
    ],
)
def test_what_is_malformed_is_named(queries: Path, name: str, value: Any, message: str) -> None:
    write(queries.parents[1] / name, value)
    with pytest.raises(UserError, match=message):
        read_queries(queries)


def test_the_folder_stands_for_all_its_queries(queries: Path) -> None:
    assert read_queries(queries.parents[1]) == read_queries(queries)


def test_a_missing_list_is_named(queries: Path) -> None:
    (queries.parents[1] / "safe_words.txt").unlink()
    with pytest.raises(UserError, match=r"safe_words.txt: no such file; AMBER's data folder has it"):
        read_queries(queries)
