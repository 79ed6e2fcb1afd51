"""Small English: articles, plurals, numbers, lists, sentences, and word limits."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
VOWEL_BUT_CONSONANT_SOUND = ("uni", "use", "eu", "one", "ukulele")
IRREGULAR = {
    "person": "people",
    "man": "men",
    "woman": "women",
    "child": "children",
    "foot": "feet",
    "tooth": "teeth",
    "goose": "geese",
    "mouse": "mice",
    "knife": "knives",
    "scarf": "scarves",
    "shelf": "shelves",
    "bookshelf": "bookshelves",
    "leaf": "leaves",
    "wolf": "wolves",
    "loaf": "loaves",
    "calf": "calves",
}
SAME_PLURAL = {"sheep", "deer", "fish", "aircraft", "bison", "moose"}
PAIRS = {  # plural, and counted by pairs
    *("skis", "scissors", "glasses", "sunglasses", "goggles", "binoculars", "headphones", "jeans", "trousers", "pants"),
    *("shorts", "leggings", "tights", "pyjamas", "overalls", "boots", "shoes", "sandals", "sneakers", "earrings"),
    *("gloves", "socks", "swimming trunks"),
}
PLURAL_ALREADY = {
    *("clothes", "bottoms", "stairs", "bleachers", "people", "flowers", "bangs", "sideburns", "bushy eyebrows"),
}
MASS = {
    *(
        "broccoli",
        "ice cream",
        "grass",
        "sand",
        "snow",
        "water",
        "foliage",
        "food",
        "bread",
        "fruit",
        "hay",
        "furniture",
    ),
    *(
        "jewellery",
        "luggage",
        "stubble",
        "footwear",
        "lipstick",
        "lawn",
        "clothing",
        "smoke",
        "fog",
        "seaweed",
        "pasta",
    ),
}
UNCOUNTED = PAIRS | PLURAL_ALREADY | MASS
_LOOSE_MARK = re.compile(r" ([,.;:!?])")
_SPARE_COMMAS = re.compile(r",+(?=[,.])")


def word_count(text: str) -> int:
    """Words as the limits count them: runs of characters between white space."""
    return len(text.split())


@lru_cache(4096)
def article(noun: str) -> str:
    """``a`` or ``an`` before the phrase, by sound: an orange top, a uniform."""
    first = noun.lower()
    vowel = first[:1] in "aeiou" and first[:1] != "" and not first.startswith(VOWEL_BUT_CONSONANT_SOUND)
    return f"an {noun}" if vowel or first.startswith(("hour", "honest", "x-ray", "suv", "mp3")) else f"a {noun}"


@lru_cache(4096)
def uncounted(noun: str) -> bool:
    """Whether the noun phrase takes no article: jeans, broccoli, black footwear."""
    words = noun.split()
    return bool(words) and (words[-1] in UNCOUNTED or " ".join(words[-2:]) in UNCOUNTED)


@lru_cache(4096)
def indefinite(noun: str) -> str:
    """A red hat; an umbrella; but blue jeans, black footwear."""
    return noun if uncounted(noun) else article(noun)


@lru_cache(4096)
def plural(noun: str) -> str:
    """The plural of a noun phrase; its last word, or the last one before ``of``, is the noun."""
    of, rest = noun.split(" of ", 1) if " of " in noun else (noun, "")
    if rest:
        return f"{plural(of)} of {rest}"
    if uncounted(noun):
        return noun
    head, space, last = noun.rpartition(" ")
    if last in IRREGULAR:
        last = IRREGULAR[last]
    elif last in SAME_PLURAL:
        pass
    elif last.endswith("man") and last not in ("german", "human", "talisman"):
        last = last[:-3] + "men"
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


def crowd(count: int, noun: str = "person") -> str:
    """A person; five people; about a dozen people: nobody counts a dozen heads at a glance."""
    return f"about a dozen {plural(noun)}" if count == len(NUMBERS) - 1 else counted(count, noun)


def counted(count: int, noun: str) -> str:
    """A dog, two dogs, some broccoli, scissors."""
    if uncounted(noun):
        if noun.rpartition(" ")[2] in PAIRS:
            return noun if count == 1 else f"{number(count)} pairs of {noun}"
        return f"some {noun}"
    return article(noun) if count == 1 else f"{number(count)} {plural(noun)}"


def takes_plural(count: int, noun: str) -> bool:
    """Whether ``counted(count, noun)`` takes a verb in the plural: two dogs are, scissors are, some broccoli is."""
    words = noun.split()
    if words[-1] in MASS or " ".join(words[-2:]) in MASS:
        return False
    return count > 1 or uncounted(noun)


def join(parts: Sequence[str]) -> str:
    """One; one and two; one, two and three."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def sentence(text: str) -> str:
    """First letter upper case, single spaces, one full stop (or the mark that is there)."""
    text = _LOOSE_MARK.sub(r"\1", " ".join(text.split()))
    if ",," in text or ",." in text:
        text = _SPARE_COMMAS.sub("", text)
    text = text.rstrip(" ,;:")
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def distinct(sentences: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """The pairs without those whose sentence came before, whatever its priority."""
    seen: dict[str, int] = {}
    for priority, text in sentences:
        seen.setdefault(text, priority)
    return [(priority, text) for text, priority in seen.items()]


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
