"""Languages are told apart when there is enough to tell, and only then."""

import pytest

from humanvlm.curate.language import check_languages, foreign_score, language_scores
from humanvlm.errors import UserError


def test_scores_are_probabilities_best_first() -> None:
    scores = language_scores(["Eine Frau sitzt auf einer Bank im Park", "und lacht"])
    assert next(iter(scores)) == "de"
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    assert sum(scores.values()) == pytest.approx(1, abs=1e-4)
    assert language_scores([]) == language_scores([" "]) == {}


@pytest.mark.parametrize(
    ("text", "sure"),
    [
        ("Mann mit rotem Hut auf der Straße", True),
        ("女性が笑っている", True),
        ("Homem com chapéu", True),
        ("Woman portrait", False),
        ("girl", False),
        ("IMG 123", False),
    ],
)
def test_how_sure_it_is_that_a_text_is_foreign(text: str, sure: bool) -> None:
    assert (foreign_score(language_scores([text]), ["en"]) >= 0.99) == sure


def test_a_wanted_language_is_not_foreign() -> None:
    assert foreign_score(language_scores(["Ein Mann mit Hut steht am See"]), ["en", "de"]) == 0
    assert foreign_score({}, ["en"]) == 0


def test_long_texts_cost_no_more_than_their_beginning() -> None:
    assert language_scores(["a man walks " * 100_000]) == language_scores(["a man walks " * 1000])


def test_languages_that_no_text_is_in() -> None:
    check_languages([])
    check_languages(["en", "de"])
    with pytest.raises(UserError, match=r"human_scenes\.languages: no language 'english'; use codes of ISO 639-1"):
        check_languages(["en", "english"])
