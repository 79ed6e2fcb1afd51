"""Boxes read from the text of a model, in whatever notation and coordinate space it writes them.

Notations: ``[x1, y1, x2, y2]`` and ``(…)`` (LLaVA, Shikra, Qwen2.5-VL's ``bbox_2d``), ``(x1,y1),(x2,y2)`` (Qwen-VL,
Qwen2-VL), ``<box>x1 y1 x2 y2</box>`` (MiniCPM-V), JSON or attributes named ``x1``, ``x_min``, ``xmin``, ``left`` … or
``x, y, width, height``, four numbers that are the whole reply, ``<patch_index_…>`` pairs (Kosmos-2), ``<loc_…>``
(Florence-2: 0-1000) and ``<loc0000>`` (PaliGemma: y first, 0-1023) quadruples, ``box_2d`` (Gemini: y first, 0-1000).
Marks that only models with 0-1000 write decide the space, whatever was asked for. Of a reply with several boxes the
evaluation counts the first (``find_numbers``); ``find_all`` has them all.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from humanvlm.data.detections import Box, box_of

Space = Literal["pixels", "unit", "percent", "thousand"]
Order = Literal["xyxy", "yxyx", "xywh"]
SPACES: tuple[Space, ...] = ("unit", "percent", "pixels", "thousand")  # the tightest first
SCALE: Mapping[Space, float] = {"unit": 1.0, "percent": 100.0, "thousand": 1000.0}
REASONS = ("no_box", "non_finite", "swapped", "empty_box", "outside")
ENOUGH = 0.98  # the share of replies that a file's space has to fit: a few boxes leave the picture
_MOST_TEXT = 1 << 16
_GRID = 32  # Kosmos-2: patches a side
_BINS = 1024  # PaliGemma

_NUMBER = r"[-+]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,4})?|(?:nan|inf(?:inity)?)\b)"
_N = rf"({_NUMBER})(?:\s*+%)?"
_BETWEEN = r"(?:\s*+[,;]\s*+|\s++)"
_LIST = re.compile(r"[\[({<]\s*+" + _BETWEEN.join([_N] * 4) + r"\s*+[\])}>]", re.I)
_POINT = rf"[\[(]\s*+{_N}{_BETWEEN}{_N}\s*+[\])]"
_POINTS = re.compile(rf"{_POINT}\s*+,?\s*+{_POINT}", re.I)
_WHOLE = re.compile(r"\s*+" + r"\s*+,\s*+".join([_N] * 4) + r"\s*+\.?\s*+\Z", re.I)
_PATCHES = re.compile(r"<patch_index_(\d{1,4})>\s*+<patch_index_(\d{1,4})>")
_LOCATIONS = re.compile(r"\s*+".join([r"<loc(\d{4})>"] * 4))  # PaliGemma
_THOUSANDTHS = re.compile(r"\s*+".join([r"<loc_(\d{1,4})>"] * 4))  # Florence-2
_TAGGED = re.compile(r"<\|?(?:box_start|b?box)\|?>\s*+" + _BETWEEN.join([_N] * 4) + r"\s*+</?\|?[a-z]", re.I)
_IN_A_ROW = (_LIST, _POINTS, _TAGGED)
_DOWN_FIRST = re.compile(r"(?<![a-z0-9])box_2d[\"'`*]*+\s*+[:=]?\s*+[\[({]*+\s*+\Z", re.I)  # what is before such a box
_NEAR = 40  # characters before a box in which its key is looked for
_CORNERS = ("x_?(?:min|1)|left", "y_?(?:min|1)|top", "x_?(?:max|2)|right", "y_?(?:max|2)|bottom")
_SIDES = ("x", "y", "w(?:idth)?", "h(?:eight)?")
_THOUSAND = re.compile(r"<\|box_start\|>|<box>|<\|det\|>|(?<![a-z0-9])box_2d", re.I)


def _named(names: Sequence[str]) -> list[re.Pattern[str]]:
    return [re.compile(rf"(?<![a-z0-9_])[\"']?(?:{name})[\"']?\s*+[:=]\s*+[\"']?{_N}", re.I) for name in names]


_BY_CORNERS, _BY_SIDES = _named(_CORNERS), _named(_SIDES)


@dataclass(frozen=True)
class Found:
    """Four numbers in a reply: corners, or corner and sides.

    space: set when the notation leaves no doubt of it. boxes: how many the reply has, of which this is the first. span:
    its characters in the reply, from and up to.
    """

    numbers: Box
    sides: bool = False
    space: Space | None = None
    boxes: int = 1
    span: tuple[int, int] = field(default=(0, 0), compare=False)


@dataclass(frozen=True)
class Reading:
    """A box in pixels (xyxy), or why there is none: one of ``REASONS``."""

    box: Box | None
    reason: str = ""


def find_numbers(text: str, order: Order = "xyxy") -> Found | None:
    """The first box in a reply, in the notations above; None when it has none. order: see ``find_all``."""
    found = find_all(text, order)
    return replace(found[0], boxes=len(found)) if found else None


def find_all(text: str, order: Order = "xyxy") -> list[Found]:
    """The boxes in a reply, in their order; where one may be read in two notations, the one that begins first.

    order: of four numbers in a row, where nothing around them tells it: corners, corners with y first, or a corner,
    width and height.
    """
    text = text[:_MOST_TEXT]
    matches = [_Match(*match.span(), match.group(), match.groups(), in_order=True) for match in _plain(text)]
    for patterns, sides in ((_BY_CORNERS, False), (_BY_SIDES, True)):
        for named in zip(*(pattern.finditer(text) for pattern in patterns), strict=False):
            start, end = min(match.start() for match in named), max(match.end() for match in named)
            written = " ".join(match.group() for match in named)
            matches.append(_Match(start, end, written, [match.group(1) for match in named], sides))
    if not matches:
        return _from_tokens(text)
    thousand = bool(_THOUSAND.search(text))
    found: list[Found] = []
    for match in sorted(matches, key=lambda match: match.start):
        if not found or match.start >= found[-1].span[1]:
            found.append(_found(match, text, thousand, order))
    return found


def read_box(found: Found | None, width: float, height: float, space: Space, *, sides: bool = False) -> Reading:
    """The box in pixels of a picture of this size, as it was written: it may overlap the picture's edge.

    sides: read the numbers as x, y, width, height. Corners that are swapped, boxes without area, and boxes wholly
    outside of the picture are no boxes.
    """
    if found is None:
        return Reading(None, "no_box")
    if not all(math.isfinite(number) for number in found.numbers):
        return Reading(None, "non_finite")
    x1, y1, x2, y2 = found.numbers
    if found.sides or sides:
        x2, y2 = x1 + x2, y1 + y2
    space = found.space or space
    if space != "pixels":
        scale = SCALE[space]
        x1, y1, x2, y2 = x1 / scale * width, y1 / scale * height, x2 / scale * width, y2 / scale * height
    if x2 < x1 or y2 < y1:
        return Reading(None, "swapped")
    if x1 == x2 or y1 == y2:
        return Reading(None, "empty_box")
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        return Reading(None, "outside")
    return Reading((x1, y1, x2, y2))


def fitting(found: Found, width: float, height: float, *, sides: bool = False) -> list[Space]:
    """The spaces whose range the numbers keep to, tightest first: 0-1, 0-100, the picture, 0-1000."""
    numbers = found.numbers
    if not all(math.isfinite(number) for number in numbers):
        return []
    x2, y2 = (numbers[0] + numbers[2], numbers[1] + numbers[3]) if found.sides or sides else numbers[2:]
    across, down = max(numbers[0], x2), max(numbers[1], y2)
    limits: dict[Space, tuple[float, float]] = {space: (scale, scale) for space, scale in SCALE.items()}
    limits["pixels"] = (width + 1, height + 1)
    return [space for space in SPACES if across <= limits[space][0] * 1.001 and down <= limits[space][1] * 1.001]


def choose_space(
    replies: Sequence[Found | None], sizes: Sequence[tuple[float, float]], *, sides: bool = False
) -> tuple[Space, int]:
    """The space of a file of replies, and how many replies alone would have allowed another one too.

    A model keeps to one space, so the file decides and not the single reply: the tightest space (0-1, 0-100, pixels,
    0-1000) that fits at least 98% of the replies, else the one that fits most. Replies whose notation tells the space
    (Qwen-VL's box marks, Gemini's ``box_2d``: 0-1000; a percent sign) have no vote. A reply is ambiguous when its
    largest number is above 1 and more than one space fits it.
    """
    voters = [
        fitting(found, *size, sides=sides)
        for found, size in zip(replies, sizes, strict=True)
        if found is not None and found.space is None
    ]
    voters = [fits for fits in voters if fits]
    votes = Counter(space for fits in voters for space in fits)
    enough = [space for space in SPACES if votes[space] >= ENOUGH * len(voters)]
    space = enough[0] if enough else max(SPACES, key=lambda one: votes[one])
    return space, sum(len(fits) > 1 and "unit" not in fits for fits in voters)


@dataclass(frozen=True)
class _Match:
    """in_order: the numbers stand in a row, without names that say which is which."""

    start: int
    end: int
    written: str
    numbers: Sequence[str]
    sides: bool = False
    in_order: bool = False


def _plain(text: str) -> Iterator[re.Match[str]]:
    for pattern in _IN_A_ROW:
        yield from pattern.finditer(text)
    if match := _WHOLE.match(text):
        yield match


def _found(match: _Match, text: str, thousand: bool, order: Order) -> Found:
    x1, y1, x2, y2 = (float(number) for number in match.numbers)
    told = thousand or not match.in_order
    down_first = match.in_order and _DOWN_FIRST.search(text[max(0, match.start - _NEAR) : match.start])
    if down_first or (order == "yxyx" and not told):
        x1, y1, x2, y2 = y1, x1, y2, x2
    space: Space | None = "percent" if "%" in match.written else "thousand" if thousand else None
    sides = match.sides or (order == "xywh" and not told)
    return Found((x1, y1, x2, y2), sides, space, span=(match.start, match.end))


def _from_tokens(text: str) -> list[Found]:
    """The boxes of a model that has tokens for places: those of its first notation."""
    patches = list(_PATCHES.finditer(text))
    if patches and all(int(index) < _GRID**2 for match in patches for index in match.groups()):
        return [Found(_of_patches(match), space="unit", span=match.span()) for match in patches]
    if locations := list(_LOCATIONS.finditer(text)):
        found = []
        for match in locations:
            y1, x1, y2, x2 = (int(value) / _BINS for value in match.groups())
            found.append(Found((x1, y1, x2, y2), space="unit", span=match.span()))
        return found
    return [
        Found(box_of([float(value) for value in match.groups()]), space="thousand", span=match.span())
        for match in _THOUSANDTHS.finditer(text)
    ]


def _of_patches(match: re.Match[str]) -> Box:
    (top, left), (bottom, right) = (divmod(int(index), _GRID) for index in match.groups())
    # Corners are the patches' centres; a box one patch wide or high reaches over the whole patches.
    low, high = (0.0, 1.0) if left == right or top == bottom else (0.5, 0.5)
    return (left + low) / _GRID, (top + low) / _GRID, (right + high) / _GRID, (bottom + high) / _GRID
