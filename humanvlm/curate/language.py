"""Which language texts are in, and how sure that is: short texts of names and places could be of many."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from humanvlm.errors import UserError

MOST_TEXTS = 20
MOST_CHARACTERS = 1000  # of one text: more of it would not change the answer


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def language_scores(texts: Sequence[str]) -> Mapping[str, float]:
    """Probability of each language, best first, of texts taken together; empty when there is no text."""
    text = "\n".join(text[:MOST_CHARACTERS] for text in texts[:MOST_TEXTS] if text.strip())
    return dict(_identifier().rank(text)) if text else {}


def foreign_score(scores: Mapping[str, float], wanted: Sequence[str]) -> float:
    """Probability that texts are of their most likely language rather than of one that is wanted; 0 when it is one."""
    best, score = next(iter(scores.items()), ("", 0.0))
    return 0.0 if not best or best in wanted else score / (score + sum(scores.get(name, 0.0) for name in wanted))


def check_languages(names: Sequence[str]) -> None:
    """Raises UserError for a name that no text would be found to be in."""
    if unknown := sorted(set(names) - set(_identifier().labels if names else ())):
        raise UserError(f"human_scenes.languages: no language {unknown[0]!r}; use codes of ISO 639-1, such as en")
