"""What a Penn Treebank token looks like to the reference tokenizer, Stanford CoreNLP 3.4.1, as far as can be observed.

Everything here is measured: the reference was given each character alone, within and beside words; each English word
and abbreviation before full stops, figures and apostrophes; each short sequence of symbols; and generated numbers,
addresses and names. Text is matched by the kinds of its characters (``character_classes``), so that one letter stands
for all beyond ASCII. At each place the longest shape counts, with what has to follow the token; of equally long ones
the first.

Letters that Unicode got after version 6.3, which the reference drops, are letters here.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import NamedTuple

_KINDS = {  # the character that is matched: those that it stands for
    "\n": "\v\f\r\x85\u2028\u2029",
    "\u2003": "\u2000\u2001\u2002\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u3000",
    "\xa0": "", "\xad": "", "…": "", "⁄": "", "、": "",
    "’": "\x92", "‘": "‛\x91", "“": "”„‟«»‹›‚\x93\x94", "–": "—―\x96\x97", "‐": "֊‑",
    "€": "¢£¤¥\x80₠؋฿₤￠￡￥￦", "½": "¼¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞",
    "²": "¹³⁰⁴⁵⁶⁷⁸⁹", "₂": "₀₁₃₄₅₆₇₈₉", "⁺": "⁻₊₋", "٫": "٬",
}  # fmt: skip
_LETTER, _DIGIT, _MARK, _SYMBOL, _NOTHING = "é", "٣", "\u0301", "§", "\x7f"
# What is no letter but part of words, and what is a token; all else is nothing.
_MARKS = """2c2-379 384-385 3f6 483-487 55a-55f 591-5bd 5bf 5c1-5c2 5c4-5c5 5c7 615-61a 64b-65e 670 6d6-6fe 70f-7f3
    900-903 93c-94e 951-955 962-963 981-9e3 a01-a4f a81-acf b82-bcd c01-c03 c3e-c56 d3e-d48 e31-e4e eb1-ecd"""
_SYMBOLS = """a1-f7 37e 387 589 5be 5c0 5c3 5c6 5f3-603 606-60c 614 61b 61e-61f 66a-66d 6d4 700-70d 7f6-7f8 964-965 e4f
    1fbd 2016-2023 2030-203b 203e-2042 207c-208e 2100-214f 2190-2bff 3002 3012 30fb ff01-ff65"""


Write = Callable[[str], str]


class Shape(NamedTuple):
    """The first group of ``pattern`` is the token. ``write`` makes its text; None where it is left out."""

    pattern: re.Pattern[str]
    write: Write | None


@cache
def character_classes() -> dict[int, str]:
    """For ``str.translate``: what each character is matched as."""
    found = _Kinds({ord(one): kind for kind, members in _KINDS.items() for one in kind + members})
    for ranges, kind in ((_MARKS, _MARK), (_SYMBOLS, _SYMBOL)):
        for part in ranges.split():
            first, _, last = part.partition("-")
            for code in range(int(first, 16), int(last or first, 16) + 1):
                if found[code] == _NOTHING:
                    found[code] = kind
    return found


class _Kinds(dict[int, str]):
    def __missing__(self, code: int) -> str:
        category = unicodedata.category(chr(code)) if code < 0x10000 else ""
        letter = _LETTER if category.startswith("L") else _DIGIT if category == "Nd" else _NOTHING
        self[code] = chr(code) if code < 0x80 else letter
        return self[code]


# Texts of tokens, of their characters.


def _plain(text: str) -> str:
    """Without soft hyphens, which are those of line breaks, and without the "amp;" of an ampersand."""
    return re.sub("(?i)&amp;", "&", text).replace("\xad", "") or "-"


def _quotes(text: str) -> str:
    return text.replace("&apos;", "'").replace("&quot;", '"').translate(_ASCII_QUOTES)


def _money(text: str) -> str:
    return text.translate(_CURRENCIES)


def _fraction(text: str) -> str:
    return text.translate(_FRACTIONS)


def _whole(text: str) -> str:
    """A token with blanks, which are no-break spaces in it."""
    return text.replace(" ", "\xa0")


def _always(text: str, _: str) -> str:
    return text


def _brackets(text: str) -> str:
    return _whole(text).translate(_BRACKETS)


_ASCII_QUOTES = str.maketrans(
    {**dict.fromkeys("‘‛‹\x91", "`"), **dict.fromkeys("’›\x92", "'"), **dict.fromkeys("“«\x93", "``")}
    | dict.fromkeys('”»\x94"', "''")
)
_CURRENCIES = str.maketrans({"¢": "cents", "£": "#", **dict.fromkeys("\x80¤₠€", "$")})
_FRACTIONS = str.maketrans({"¼": "1/4", "½": "1/2", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"})
_BRACKETS = str.maketrans({"(": "-LRB-", ")": "-RRB-"})


# Words that are two tokens.
SPLITS = (("can", "not"), ("gon", "na"), ("got", "ta"), ("wan", "na"), ("lem", "me"), ("gim", "me"))

# Parts of patterns. Words that are spelt out are meant in either case. What could go on to the end of any text ends
# after 1,000 characters, so that no text takes more than a time that is proportional to its length.
_SPACE = "[ \t\xa0\u2003]"
_GAP = "[ \t\xa0\u2003\n]"
_PAUSE = "[,;:、]"
_SIGN = "[A-Za-zé0-9٣]"
_FIGURE = "[0-9٣]"
_LETTERS = r"(?:[A-Za-zé\u0301\xad]|(?i:&[aeiou](?:acute|grave|uml);))"
_SYLLABLE = rf"{_LETTERS}(?:{_LETTERS}|{_FIGURE})*"
_WORD = rf"{_SYLLABLE}(?:[.!?]{_SYLLABLE})*"  # "end.Start" too
_APOSTROPHE = "(?:['’]|(?i:&apos;))"
_ANY_APOSTROPHE = "(?:['’`‘]|(?i:&apos;))"
_CLITIC = f"{_APOSTROPHE}(?i:ll|re|ve|[smd])"
_NOT = f"(?i:n){_ANY_APOSTROPHE}(?i:t)"
_ELIDED = f"(?:[DLOdlo]{_ANY_APOSTROPHE}(?={_SIGN}{{2}}))?"
_COMPOUND = rf"{_ELIDED}{_SIGN}+(?:[-_‐]{_ELIDED}{_SIGN}+)*"
_HYPHENED = r"[A-Za-z0-9][A-Za-z0-9.,\xad]{0,999}(?:-(?:[A-Za-z](?:\.[A-Za-z])+\.|[A-Za-z0-9\xad]+))+"
_JOINED = "[A-Z]+(?:(?:[+&]|(?i:&amp;))[A-Z]+)+"
_SLASHED = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
_TAG_NAME = r"[A-Za-z][A-Za-z0-9_:.\-]*"
_ATTRIBUTE = rf"""\ +{_TAG_NAME}(?:\ *=\ *(?:'[^']*'|"[^"]*"))?"""
_TAG = rf"<(?:[!?][A-Za-z\-][^>\n]{{0,999}}|/{_TAG_NAME}\ *|{_TAG_NAME}(?:{_ATTRIBUTE})*\ *(?:/\ *)?)>"
_IN_URL, _ENDS_URL = r"""[^ \t\n"<>|(){}]""", r"""[^ \t\n"<>|(){}.!?,\-]"""
_IN_PATH, _ENDS_PATH = r"""[^ \t\n"<>|()]""", r"""[^ \t\n"<>|(){}.!?,\-]"""
_IN_EMAIL = r"""[^ \t\n"<>|(){}.\xa0]"""
# Their full stop is part of them. The first end phrases too, and go before two more characters of any kind.
_ENDING = """
    al co ct ga jr ky md mo rd rt sq sr va vt ala apr aug bhd cos dak dec esq est etc ext feb fla fri inc ind jan
    jul jun kan ltd mar mon neb nev nov oct plc sep seq sys tel thu tue wed wis wyo ariz assn bldg blvd bros colo
    conn corp intl kans mich minn mont okla penn sept tenn tues univ wisc calif bancorp ed.d ph.d
"""
_CAPITALISED = "ark az del ill la mass miss ore pa tex wash"  # "Tex.", but "tex ."
_TITLES = """
    cf dr ft lt mr ms mt ph st vs wm adj adm adv ave cie col cpl det drs ens gen gov hon jos maj mme mrs pfc pvt rep
    rev sen sfc sgt spc ste alex asst atty brig capt cmdr dept elec govs insp invt mlle msgr natl pres prof reps
    sens supt attys comdr lieut profs supts treas messrs
"""
_BEFORE_FIGURES = "art ca fig figs no nos op pp prop"
# Words whose full stop may be theirs, single letters aside.
ABBREVIATIONS = frozenset(f"{_ENDING} {_CAPITALISED} {_TITLES} {_BEFORE_FIGURES}".split()) | frozenset(
    f"{company}{many}" for company in ("mfg", "mtg", "pte", "pty", "ppte", "ppty") for many in ("", "s")
)
# Before one of these the full stop of a single letter is that of the sentence.
_STARTERS = """
    a about according additionally after an as at but earlier he her here however if in it last many more mr. ms.
    now once one other our she since so some such that the their then there these they this we what when while yet
    you
"""
_FILES = """
    bat bmp c cgi class cpp dll doc docx exe gif gz h htm html jar java jpeg jpg mov mp3 pdf php pl png ppt ps py
    sql tar txt wav x xml zip
"""


def _spelt(words: str) -> str:
    longest_first = sorted(words.split(), key=len, reverse=True)
    return f"(?i:{'|'.join(re.escape(word) for word in longest_first)})"


def _shape(token: str, after: str = "", write: Write | None = str) -> Shape:
    return Shape(re.compile(f"({token}){after}", re.DOTALL), write)


def _splits() -> Iterator[Shape]:
    for first, second in SPLITS:
        yield _shape(f"(?i:{first})", f"(?i:{second})")
    yield _shape("(?i:'t)", "(?i:is|was)")


def _words() -> Iterator[Shape]:
    yield _shape(_WORD, _CLITIC, _plain)
    yield _shape(r"[A-Za-z\xad]*[A-MO-Za-mo-z]\xad*", _NOT, _plain)
    yield _shape(_WORD, write=_plain)
    yield _shape(rf"{_WORD}\.", _PAUSE, _plain)


def _compounds() -> Iterator[Shape]:
    part = f"(?:{_LETTERS}|{_FIGURE})+"
    yield _shape(rf"{part}(?:\.{part})*\.{_spelt(_FILES)}", f"(?:{_GAP}|[.?!,])")
    yield _shape(r"(?i:c)\+\+|(?i:[cf])#")
    yield _shape(f"{_SLASHED}(?:\\\\?/{_SLASHED}){{1,2}}")
    for words, write in ((_HYPHENED, _plain), (_COMPOUND, str), (_JOINED, _plain)):
        yield _shape(rf"{words}\.", _PAUSE, write)
        yield _shape(words, write=write)


def _apostrophes() -> Iterator[Shape]:
    """Words that an apostrophe is part of, and contractions."""
    yield _shape(f"[A-HJ-XZn]{_ANY_APOSTROPHE}[A-Za-zé]{{2,}}")
    yield _shape(f"[A-Za-zé]+[aeiouyAEIOUY]{_ANY_APOSTROPHE}[aeiouA-Z][A-Za-zé]*")
    yield _shape(f"[DJLdjl]{_APOSTROPHE}")
    yield _shape(f"(?i:y){_APOSTROPHE}", "[A-Za-zé]")
    yield _shape(f"(?i:dunkin|somethin|ol){_APOSTROPHE}")
    yield _shape(f"{_APOSTROPHE}(?i:n){_APOSTROPHE}?|{_APOSTROPHE}(?i:em|till?|cause|[2-9]0s)")
    yield _shape(f"(?i:o{_ANY_APOSTROPHE}o|cap{_APOSTROPHE}n|c{_APOSTROPHE}est)")
    yield _shape(_spelt("s&p-500 s&ls c.d.s pro- anti- c'mon e'er ev'ry li'l nat'l nor'easter s'mores cont'd cont'd."))
    yield _shape(f"{_APOSTROPHE}[0-9][0-9]", _GAP)
    yield _shape(f"{_CLITIC}|{_NOT}", "[^A-Za-z]", _quotes)
    yield _shape("'", r"[A-Za-z][^ \t\n\xa0]", None)
    yield _shape(f"{_CLITIC}|{_NOT}", write=_quotes)


def _hosts() -> Iterator[Shape]:
    host = r"""(?i:www)\.(?:[^ \t\n"<>|.!?(){},]+\.)+[a-zA-Z]{2,4}"""
    bare = r"""(?:[^A-Z0-9 \t\n"`'<>|.!?(){},\-/:;=@\[\\\]^_$]{1,999}\.)+(?i:com|net|org|edu)"""
    for path in ("", f"/{_IN_PATH}+{_ENDS_PATH}"):
        yield _shape(f"(?:{host}|{bare}){path}")


def _abbreviations() -> Iterator[Shape]:
    starter = rf"(?:(?=[A-Z]){_spelt(_STARTERS)}|{_TAG})"
    yield _shape("[A-Za-z]", rf"\.{_GAP}+{starter}{_GAP}")
    yield _shape(r"[A-Za-z](?:\.[A-Za-z])*\.")
    ending = rf"(?:{_spelt(_ENDING)}|(?=[A-Z]){_spelt(_CAPITALISED)}|(?i:pp?t)[ey]s?)\."
    yield _shape(ending, "..")
    yield _shape(ending)
    yield _shape(rf"(?:{_spelt(_TITLES)}|(?i:m)[ft](?i:g))\.")
    yield _shape(rf"{_spelt(_BEFORE_FIGURES)}\.", rf"{_GAP}?{_FIGURE}")


def _numbers() -> Iterator[Shape]:
    yield _shape(f"{_FIGURE}{{1,2}}[-/]{_FIGURE}{{1,2}}[-/]{_FIGURE}{{2,4}}")
    yield _shape(rf"[-+]?(?:{_FIGURE}*(?:[.:,\xad٫]{_FIGURE}+)+|{_FIGURE}+)", write=_plain)
    yield _shape("⁺?(?:²+|₂+)")
    yield _shape(rf"(?:{_FIGURE}{{1,4}}[- \xa0])?{_FIGURE}{{1,4}}(?:\\?/|⁄){_FIGURE}{{1,4}}", write=_whole)
    yield _shape("½", write=_fraction)
    area = r"(?:\([0-9]{2,3}\)[ \xa0]?|\+{0,2}(?:[0-9]{2,4}[- \xa0])?[0-9]{2,4}[- \xa0])"
    dotted = r"(?:\+{0,2}[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}"
    yield _shape(rf"{area}[0-9]{{3,4}}[- \xa0]?[0-9]{{3,5}}|{dotted}", write=_brackets)


def _web() -> Iterator[Shape]:
    yield _shape(_TAG, write=_whole)
    yield _shape(f"(?i:https?)://{_IN_URL}+{_ENDS_URL}")
    before = r"""[a-zA-Z0-9][^ \t\n"<>|()\xa0{}]{0,999}"""
    yield _shape(rf"(?:(?i:&lt;)|<)?{before}@(?:{_IN_EMAIL}+\.)*{_IN_EMAIL}+(?:(?i:&gt;)|>)?")
    yield _shape(f"@[a-zA-Z_][a-zA-Z_0-9]*|#{_LETTERS}+")
    yield _shape("(?i:&(?:#[0-9]+|cdq|ht|lr|odq|qc|ql|qr|tl|ur);)")
    for entity, text in (("amp", "&"), ("lt", "<"), ("gt", ">")):
        yield _shape(f"(?i:&{entity};)", write=partial(_always, text))
    yield _shape("(?i:&(?:md|mdash|ndash|nbsp);)", write=None)


def _symbols() -> Iterator[Shape]:
    yield _shape(r"[<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]]", "[^A-Za-z0-9]", _brackets)
    eye = "[x^=~<>'-]"
    yield _shape(f"{eye}_{eye}|\\({eye}[_.]?{eye}\\)|\\([x^=~<>']-[x^=~<>'`]\\)", write=_brackets)
    yield _shape("-(?i:[LR][RCS]B)-")
    for bracket, name in zip("()[]{}", ("LRB", "RRB", "LSB", "RSB", "LCB", "RCB"), strict=True):
        yield _shape(re.escape(bracket), write=partial(_always, f"-{name}-"))
    yield _shape(rf"""{_SPACE}+|-{{1,4}}|–|\.{{3,5}}|(?:\.[ \xa0]){{2,4}}\.|…|[.,;:]|"|''|'""", write=None)
    yield _shape(r"-{5,}|[A-Z]*\$|#+|@+|_+|\*+|(?:\\\*){1,3}|[?!]+|<<|>>|[、=/<>+%&~^|\\§⁺⁄]")
    yield _shape("€", write=_money)
    yield _shape("(?i:&quot;|&apos;)|[`‘’“]{1,2}", write=_quotes)


@cache
def shapes() -> tuple[Shape, ...]:
    """All shapes, in the order that decides between equally long matches."""
    kinds_of_shapes = (_splits, _web, _words, _abbreviations, _compounds, _hosts, _apostrophes, _numbers, _symbols)
    return tuple(shape for group in kinds_of_shapes for shape in group())
