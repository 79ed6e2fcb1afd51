"""Boxes and keypoints in a reply as data, in pixels of the picture that was sent: for programs, pages and terminals.

They are read by what the evaluation reads them with; here with all boxes of a reply, and what each is said to be of.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from humanvlm.data.detections import Box
from humanvlm.inference.boxes import Found, Space, choose_space, find_all, read_box
from humanvlm.inference.points import parse_points, to_pixels
from humanvlm.inference.replies import final_answer

MOST_LABEL = 80  # characters; what is longer is prose around a box, not its name
DIGITS = 1  # of a pixel, that are told
_NEAR = 400  # characters on either side of a box in which its JSON object or mark is looked for
_KEY = re.compile(r"""["'](?:label|name|category|class|object|description)["']\s*+:\s*+["']([^"'\n{}]+)["']""", re.I)
_MARKED = re.compile(
    r"<\|?(?:ref|object_ref_start|p|phrase)\|?>([^<>\n]+)<[^<>\n]*>(?:\s*+<[^<>\n]*>)*+\s*+[\[(]*+\s*+\Z", re.I
)
_MARK = re.compile(r"<[^<>]*+>")
_PHRASE = re.compile(r"[^\n.;,\[\](){}|]*+\Z")
_LIST_MARK = re.compile(r"\A\s*+(?:\d+[.)]|[-*•])?\s*+")
_TIE = re.compile(
    r"\A(?:and|the box of|box of)\s+|\s+(?:is|are|at|in|in the|within|located|(?:bounding )?box|coordinates)\Z", re.I
)
_AROUND = " \t:=-\"'`*_<>"
_NO_NAMES = {"bbox", "box", "bbox_2d", "box_2d", "bounding box", "it", "is", "at", "coordinates"}


@dataclass(frozen=True)
class LabelledBox:
    """label: what the reply says the box is of; None where it does not. xyxy: pixels; may overlap the edges."""

    label: str | None
    xyxy: Box


@dataclass(frozen=True)
class Keypoint:
    """name: COCO's, such as ``left_eye``. xy: pixels; may lie outside of the picture."""

    name: str
    xy: tuple[float, float]


@dataclass(frozen=True)
class Grounded:
    """What a reply points at. image_size: width and height in pixels. ``dataclasses.asdict`` of it is JSON."""

    image_size: tuple[int, int]
    boxes: tuple[LabelledBox, ...] = ()
    keypoints: tuple[Keypoint, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.boxes or self.keypoints)


def ground(reply: str, image_size: tuple[int, int], space: Space | Literal["auto"] = "percent") -> Grounded:
    """What a reply, thoughts and wrappers in it, points at in a picture of this size (width, height in pixels).

    space: what its numbers are in, unless its notation leaves no doubt; ``auto``: the tightest that all of them fit.
    Numbers that are no box, such as swapped corners, and those wholly outside of the picture are left out.
    """
    text = final_answer(reply).text
    found, points = find_all(text), parse_points(text)
    if space == "auto":
        votes = [*found, *(Found((*xy, *xy)) for xy in points.values())]
        space, _ = choose_space(votes, [image_size] * len(votes))
    boxes = []
    for number, one in enumerate(found):
        if box := read_box(one, *image_size, space).box:
            x1, y1, x2, y2 = (round(value, DIGITS) for value in box)
            boxes.append(LabelledBox(_label(text, found, number), (x1, y1, x2, y2)))
    keypoints = []
    for name, point in points.items():
        x, y = to_pixels(point, image_size, space)
        keypoints.append(Keypoint(name, (round(x, DIGITS), round(y, DIGITS))))
    return Grounded(image_size, tuple(boxes), tuple(keypoints))


def _label(text: str, found: Sequence[Found], number: int) -> str | None:
    """The name in the JSON object of a box, in the mark before it, or the words before it in its phrase."""
    start, end = found[number].span
    since = max(found[number - 1].span[1] if number else 0, start - _NEAR)
    until = min(found[number + 1].span[0] if number + 1 < len(found) else len(text), end + _NEAR)
    before, after = text[since:start], text[end:until]
    inside = f"{before.rpartition('{')[2]} {after.partition('}')[0]}" if "{" in before else text[start:end]
    if (named := _KEY.search(inside)) or (named := _MARKED.search(before)):
        return _tidy(named[1])
    if '"' in before.rpartition("\n")[2]:  # a key of JSON, which is the name where it is no word for a box
        before = before.rstrip(" [(").rstrip(_AROUND)
    phrase = _PHRASE.search(_MARK.sub(" ", before.rstrip(" [({<")))
    return _tidy(phrase[0]) if phrase else None


def _tidy(words: str) -> str | None:
    words = _LIST_MARK.sub("", words).strip(_AROUND)
    while (shorter := _TIE.sub("", words)) != words:
        words = shorter.rstrip(_AROUND)
    words = " ".join(words.split())
    is_name = any(letter.isalpha() for letter in words) and len(words) <= MOST_LABEL
    return words if is_name and words.lower() not in _NO_NAMES else None
