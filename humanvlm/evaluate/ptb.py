"""Caption tokens as coco-caption's PTBTokenizer gives them: lower case, Penn Treebank splits, punctuation removed.

The reference runs Stanford CoreNLP 3.4.1 in Java. This covers what captions hold: clitics (``man 's``, ``ca n't``),
abbreviations that keep their full stop, acronyms, numbers, times, hyphenated words, URLs.
"""

import re
from collections.abc import Sequence

# As coco-caption removes them. Brackets stay, as "-lrb-": its list is in capitals, the tokens are not.
PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])
SYMBOLS = {'"': "''", "(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
# Only those that are not also words that end a sentence ("ill.", "wash.").
ABBREVIATIONS = """
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri
    mr mrs ms mme mm dr drs prof rev hon gov sen gen capt cpl cmdr lt sgt pvt supt messrs jr sr esq
    st ste ave blvd rd ct hwy rte ft mt bldg apt calif conn fla ariz mich minn mo neb nev okla penn tenn tex va vt
    wis wyo ky md inc corp ltd bros dept univ assn mfg vs etc approx i.e e.g a.m p.m ph.d
"""
CLITICS = r"'(?:s|m|d|ll|re|ve)"
SPLIT_WORDS = {
    "cannot": ("can", "not"),
    "gonna": ("gon", "na"),
    "gotta": ("got", "ta"),
    "gimme": ("gim", "me"),
    "lemme": ("lem", "me"),
    "wanna": ("wan", "na"),
}
_WORD = r"[^\W_]+"
_TOKEN = re.compile(
    rf"""
      (?P<url>(?:https?://|www\.)[^\s"<>|()]+[^\s"<>|().!?,;:'])
    | (?P<acronym>(?<![\w.])(?:[^\W\d_]\.){{2,}})
    | (?P<abbreviation>(?<![\w.-])(?:{"|".join(re.escape(word) for word in ABBREVIATIONS.split())})\.(?!\w))
    | (?P<number>[-+]?(?<![\w.])\d+(?:[.,:/]\d+)+(?![\w]))
    | (?P<negated>{_WORD}(?=n't\b))
    | (?P<not>n't\b)
    | (?P<clitic>{CLITICS}\b)
    | (?P<word>{_WORD}(?:(?:['](?!(?:s|m|d|ll|re|ve|t)\b)|[-_.&/@]|\b){_WORD}(?!'t\b))*)
    | (?P<other>--+|\.\.+|''|``|\S)
    """,
    re.VERBOSE,
)


def tokenize(text: str) -> list[str]:
    """The tokens of one caption."""
    normal = text.lower().replace("’", "'").replace("‘", "'").replace("“", '"').replace("”", '"')
    tokens: list[str] = []
    for match in _TOKEN.finditer(normal):
        token = match.group()
        if match.lastgroup == "word":
            tokens.extend(SPLIT_WORDS.get(token, (token,)))
        elif match.lastgroup == "other":
            tokens.append(_symbol(token))
        else:
            tokens.append(token)
    return [token for token in tokens if token not in PUNCTUATION]


def tokenize_corpus(texts: Sequence[str]) -> list[list[str]]:
    """The tokens of each caption. Equal captions share one list."""
    known = {text: tokenize(text) for text in dict.fromkeys(texts)}
    return [known[text] for text in texts]


def _symbol(token: str) -> str:
    if token.startswith(("--", "–", "—")):
        return "--"
    if token.startswith(".."):
        return "..."
    return SYMBOLS.get(token, token)
