"""Small English: articles, plurals, numbers, lists, sentences, and word limits."""

import re
from collections.abc import Iterable, Sequence

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
VOWEL_BUT_CONSONANT_SOUND = ("uni", "use", "eu", "one")
IRREGULAR = {
    "person": "people",
    "man": "men",
    "woman": "women",
    "child": "children",
    "sheep": "sheep",
    "knife": "knives",
}
IRREGULAR |= {"mouse": "mice", "saxophone": "saxophones", "cup of coffee": "cups of coffee", "skis": "skis"}
PLURAL_ALREADY = {"skis", "scissors", "sunglasses"}
MASS = {"broccoli", "ice cream"}


def word_count(text: str) -> int:
    """Words as the limits count them: runs of characters between white space."""
    return len(text.split())


def article(noun: str) -> str:
    """``a`` or ``an`` before the phrase, by sound: an orange top, a uniform."""
    first = noun.lower()
    vowel = first[:1] in "aeiou" and first[:1] != "" and not first.startswith(VOWEL_BUT_CONSONANT_SOUND)
    return f"an {noun}" if vowel or first.startswith(("hour", "honest")) else f"a {noun}"


def plural(noun: str) -> str:
    """The plural of a noun phrase; its last word is the noun."""
    if noun in IRREGULAR or noun in PLURAL_ALREADY | MASS:
        return IRREGULAR.get(noun, noun)
    head, space, last = noun.rpartition(" ")
    if last in IRREGULAR:
        last = IRREGULAR[last]
    elif re.search(r"(s|x|z|ch|sh)$", last):
        last += "es"
    elif re.search(r"[^aeiou]y$", last):
        last = last[:-1] + "ies"
    else:
        last += "s"
    return f"{head}{space}{last}"


def number(count: int) -> str:
    """In words up to twelve; detectors do not count crowds well, and no sentence begins with figures."""
    return NUMBERS[count] if count < len(NUMBERS) else "more than a dozen"


def counted(count: int, noun: str) -> str:
    """A dog, two dogs, some broccoli, scissors."""
    if noun in MASS:
        return f"some {noun}"
    if noun in PLURAL_ALREADY:
        return noun if count == 1 else f"{number(count)} pairs of {noun}"
    return article(noun) if count == 1 else f"{number(count)} {plural(noun)}"


def join(parts: Sequence[str]) -> str:
    """One; one and two; one, two and three."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def sentence(text: str) -> str:
    """First letter upper case, single spaces, one full stop (or the mark that is there)."""
    text = re.sub(r"\s+([,.;:!?])", r"\1", " ".join(text.split()))
    text = re.sub(r",+(?=[,.])", "", text).rstrip(" ,;:")
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def within(sentences: Iterable[tuple[int, str]], most: int) -> str:
    """Join (priority, sentence) pairs in their order, leaving out the last of the lowest priority until it fits.

    A lower number is more important. No more than ``most`` words, whatever the sentences are: possibly none.
    """
    kept = [(priority, text) for priority, text in sentences if text]
    total = sum(word_count(text) for _, text in kept)
    while total > most:
        worst = max(range(len(kept)), key=lambda index: (kept[index][0], index))
        total -= word_count(kept.pop(worst)[1])
    return " ".join(text for _, text in kept)
