"""VQA accuracy as the official VQAv2 evaluator computes it, its quirks included (Goyal et al. 2017)."""

import re
from collections.abc import Sequence

ARTICLES = frozenset(["a", "an", "the"])
NUMBERS = {"none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6"}
NUMBERS |= {"seven": "7", "eight": "8", "nine": "9", "ten": "10"}
CONTRACTIONS = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd
    he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've
    needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've
    somebody'll somebody's someone'd someone'd've someone'll someone's something'd something'd've something'll
    that's there'd there'd've there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've
    weren't what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll
    why're why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA = re.compile(r"\d,\d")
_FULL_STOP = re.compile(r"\.(?!\d)")
_MOST_STOPS = 32  # the evaluator passes re.UNICODE where the count belongs


def _misspelt(contraction: str) -> list[str]:
    """The contraction with each one of its apostrophes left out."""
    places = [index for index, character in enumerate(contraction) if character == "'"]
    return [contraction[:index] + contraction[index + 1 :] for index in places]


_MENDED = {form: word for word in CONTRACTIONS.split() for form in _misspelt(word)} | {"somebody'd": "somebodyd"}


def normalise(answer: str) -> str:
    """Lower case, punctuation and articles removed, numbers as digits, contractions with their apostrophe."""
    text = answer
    for mark in _MARKS:
        joined = mark + " " in answer or " " + mark in answer or _DIGIT_COMMA.search(answer)
        text = text.replace(mark, "" if joined else " ")
    text = _FULL_STOP.sub("", text, count=_MOST_STOPS)
    words = [NUMBERS.get(word, word) for word in text.lower().split()]
    return " ".join(_MENDED.get(word, word) for word in words if word not in ARTICLES)


def accuracy(reply: str, answers: Sequence[str]) -> float:
    """min(1, matches / 3), averaged over leaving each annotator out; in 0..1.

    As in the official code, nothing is normalised when all annotators gave the very same answer.
    """
    given = _flat(reply)
    truth = [_flat(answer) for answer in answers]
    if len(set(truth)) > 1:
        given, truth = normalise(given), [normalise(answer) for answer in truth]
    matches = truth.count(given)
    return sum(min(1.0, (matches - (answer == given)) / 3) for answer in truth) / len(truth)


def _flat(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()
