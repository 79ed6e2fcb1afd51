"""Faults of a caption that need no facts: refusals, thoughts, wrappers, echoes, other languages, loops, length."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files

import yaml

from humanvlm.caption.checks.lexicon import is_known, lexicon
from humanvlm.caption.checks.tokens import Token, parts, tokens
from humanvlm.caption.checks.verdict import Cut
from humanvlm.inference.replies import final_answer, holds_thought

# JSON, code, tables, tags, addresses, tokens of chat templates, gaps of a form: no caption has them.
_BROKEN = re.compile(
    r"<\|[^|<>]*\|>|</?[a-zA-Z][^<>]{0,80}>|https?://\S+|www\.\S+|\[/?INST\]|\{\{?[^{}]*\}?\}|[{}\\|�]|```\w*"
    r"|\"\w+\"\s*:|\[(?:insert|your|name|placeholder)[^\]]*\]|\b\w+_\w+\b|&(?:amp|quot|lt|gt|#\d+);"
)
# Marks of markdown: taken off, the words stay.
_MARKS = re.compile(r"\*\*|__|(?m:^\s{0,3}(?:#{1,6}|[-*+•>]|\d{1,2}[.)])\s+)|(?<!\w)[*_`]|[*_`](?!\w)|`")
_FOREIGN = re.compile(r"[\u0370-\u1fff\u2c00-\ud7ff\uf900-\uffdc]")
_ENGLISH = 0.4  # share of a sentence's words that are known: below it the language is asked for
_FEWEST = 4  # words, for a language to be told
_SHINGLE = 8  # words in a row that a caption has of its prompt: no coincidence
_LONGEST_LOOP = 10  # words


def form_cuts(
    text: str, words: Sequence[Token], spans: Sequence[tuple[int, int]], most: int, prompts: Sequence[str]
) -> list[Cut]:
    """All faults of form but for thoughts, phrases and languages.

    words, spans: tokens and sentences of the answer; most: its most words; prompts: what was asked.
    """
    found = [*_broken(text, spans), *_echo(text, spans, prompts)]
    found += [*_repeated(text, words, spans), *_unfinished(text, spans)]
    return [*found, *_too_long(text, spans, most)]


def thought_cuts(text: str) -> list[Cut]:
    """All but the answer; everything where the thought has no end or stands within the answer."""
    if not holds_thought(text):
        return []
    answer = final_answer(text).text.strip()
    start = text.rfind(answer) if answer else -1
    if start < 0:
        return [Cut(0, len(text), "thought")]
    places = ((0, start), (start + len(answer), len(text)))
    return [Cut(first, last, "thought") for first, last in places if last > first]


@cache
def _patterns() -> Mapping[str, tuple[frozenset[str], re.Pattern[str]]]:
    """Fault -> words without which it is not there, and what shows it, of phrases.yaml."""
    path = files("humanvlm.caption.checks").joinpath("words/phrases.yaml")
    listed: Mapping[str, Mapping[str, Sequence[str]]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {
        fault: (frozenset(one["when"]), re.compile("|".join(f"(?:{part})" for part in one["patterns"]), re.IGNORECASE))
        for fault, one in listed.items()
    }


def phrase_cuts(text: str, words: Sequence[Token], spans: Sequence[tuple[int, int]]) -> Iterator[Cut]:
    """What is said instead of a caption or around it, by the patterns of phrases.yaml: of an introduction that, else
    the sentence."""
    plain = text.replace("’", "'")
    first = spans[0][0] if spans else len(text)
    there = parts(words)
    for fault, (when, pattern) in _patterns().items():
        if there.isdisjoint(when):
            continue
        for match in pattern.finditer(plain, first):
            start, end = match.span()
            if fault != "boilerplate" or not plain[:end].rstrip().endswith((":", ",")):
                start, end = around(spans, start, end)
            yield Cut(start, end, fault)


def around(spans: Sequence[tuple[int, int]], start: int, end: int) -> tuple[int, int]:
    """The sentences that [start, end) reaches into."""
    touched = [span for span in spans if span[0] < end and start < span[1]]
    return (touched[0][0], touched[-1][1]) if touched else (start, end)


def _broken(text: str, spans: Sequence[tuple[int, int]]) -> Iterator[Cut]:
    if text.lstrip()[:1] in ("{", "["):
        yield Cut(0, len(text), "broken")
        return
    for match in _BROKEN.finditer(text, spans[0][0] if spans else len(text)):
        yield Cut(*around(spans, *match.span()), "broken")
    for match in _MARKS.finditer(text):
        yield Cut(*match.span(), "broken")
    if text.count('"') % 2:
        yield Cut(*around(spans, (at := text.rfind('"')), at + 1), "broken")


def _echo(text: str, spans: Sequence[tuple[int, int]], prompts: Sequence[str]) -> Iterator[Cut]:
    for prompt in prompts:
        known = _shingles(prompt)
        words = tokens(text)
        for place in range(len(words) - _SHINGLE + 1) if known else ():
            if tuple(word.lower for word in words[place : place + _SHINGLE]) in known:
                yield Cut(*around(spans, words[place].start, words[place + _SHINGLE - 1].end), "echo")


@lru_cache(maxsize=64)
def _shingles(prompt: str) -> frozenset[tuple[str, ...]]:
    words = [word.lower for word in tokens(prompt)]
    return frozenset(tuple(words[place : place + _SHINGLE]) for place in range(len(words) - _SHINGLE + 1))


def language_cuts(text: str, words: Sequence[Token], spans: Sequence[tuple[int, int]]) -> Iterator[Cut]:
    """Sentences in another language than English, by their letters or, where few words are known, by a classifier."""
    at = 0
    for start, end in spans:
        known = told = 0
        while at < len(words) and words[at].start < end:
            if words[at].text[0].isalpha():
                told += 1
                known += _is_english(words[at].lower)
            at += 1
        plain = told < _FEWEST or known >= _ENGLISH * told
        if _FOREIGN.search(text, start, end) or (not plain and _language(text[start:end]) != "en"):
            yield Cut(start, end, "language")


@lru_cache(maxsize=65_536)
def _is_english(word: str) -> bool:
    """Whether it is a word that captions in English use."""
    return word in lexicon().grammar or is_known(word)


def _language(sentence: str) -> str:
    import py3langid

    return str(py3langid.classify(sentence)[0])


def _repeated(text: str, words: Sequence[Token], spans: Sequence[tuple[int, int]]) -> Iterator[Cut]:
    """A sentence that was there already, and words over and over: one three times in a row, three and more twice."""
    seen: set[str] = set()
    for start, end in spans:
        said = re.sub(r"\W+", " ", text[start:end]).strip().lower()
        if said and said in seen:
            yield Cut(start, end, "repetition")
        seen.add(said)
    lower = [word.lower for word in words]
    last: dict[str, int] = {}
    for place, word in enumerate(lower):
        size = place - last.get(word, -_LONGEST_LOOP - 1)
        last[word] = place
        if size > _LONGEST_LOOP or not word[0].isalnum() or "." in lower[place - size : place]:
            continue
        times = 2 if size > 2 else 3
        first = place - size
        block = lower[first:place]
        if all(lower[first + step * size : first + (step + 1) * size] == block for step in range(1, times)):
            yield Cut(*around(spans, words[first].start, words[first + times * size - 1].end), "repetition")


def _unfinished(text: str, spans: Sequence[tuple[int, int]]) -> Iterator[Cut]:
    """The last of several sentences without an end: it was cut off."""
    if len(spans) > 1 and text.rstrip()[-1:].isalnum() | (text.rstrip()[-1:] in ",;:-–"):
        yield Cut(*spans[-1], "broken")


def _too_long(text: str, spans: Sequence[tuple[int, int]], most: int) -> Iterator[Cut]:
    if len(text.split()) <= most:
        return
    kept = 0
    for _, end in spans:
        if len(text[:end].split()) > most:
            break
        kept = end
    yield Cut(kept, len(text), "too_long")


def merged(cuts: Iterable[Cut]) -> list[tuple[int, int]]:
    """The places that cuts take out, in order, without overlap."""
    places: list[tuple[int, int]] = []
    for start, end in sorted((cut.start, cut.end) for cut in cuts):
        if places and start <= places[-1][1]:
            places[-1] = places[-1][0], max(end, places[-1][1])
        else:
            places.append((start, end))
    return places
