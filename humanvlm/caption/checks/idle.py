"""Sentences of a rewritten text that tell nothing: small models go on when everything is said."""

from collections.abc import Iterator, Sequence

from humanvlm.caption.checks.found import Found
from humanvlm.caption.checks.lexicon import lexicon, word_lists
from humanvlm.caption.checks.tokens import Token
from humanvlm.caption.checks.verdict import Cut


def idle_cuts(
    words: Sequence[Token], bounds: Sequence[tuple[int, int]], found: Sequence[Found], *, alone: bool
) -> Iterator[Cut]:
    """Sentences after the first whose words are all in the one before, and, where one person is alone in the picture,
    those that claim nothing, or nothing that was not claimed before.

    What tells of others, or how much of somebody is seen, is never idle. bounds: sentences as [first, last) of the
    words. found: all claims of the text.
    """
    said: set[tuple[str, ...]] = set()
    before, spared = frozenset[str](), word_lists()["other"] | word_lists()["framing"]
    for number, (first, last) in enumerate(bounds):
        start, end = words[first].start, words[last - 1].end
        claims = {(one.kind, one.value, one.about, one.count) for one in found if start <= one.start < end}
        content = _content(words[first:last])
        spare = any(word.lower in spared for word in words[first:last])
        again = bool(content) and content <= before
        if number and not spare and (again or (alone and claims <= said)):
            yield Cut(start, end, "idle")
        said |= claims
        before = content


def _content(words: Sequence[Token]) -> frozenset[str]:
    """The words that tell something, without the endings of their forms."""
    empty = (lexicon().grammar - word_lists()["adjectives"]) | word_lists()["hedge"] | word_lists()["plain"]
    return frozenset(word.lower.rstrip("s") for word in words if word.lower.isalpha() and word.lower not in empty)
