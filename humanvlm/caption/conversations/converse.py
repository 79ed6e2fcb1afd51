"""One conversation a picture: its caption, then questions of all kinds, whose answers are facts.

A conversation is in LLaVA's format (Liu et al. 2023): human and gpt in turn, the picture in the first value. Its first
two messages are the record that HumanCaptionHQ was released as.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from humanvlm.caption.conversations.absent import Seen, objects
from humanvlm.caption.conversations.answers import boxes, counts, keypoints, questions, tables, unanswerable
from humanvlm.caption.conversations.scene import Kind, Scene, Turn
from humanvlm.caption.conversations.yes_no import statements
from humanvlm.data.prompts import DETAILED_CAPTION, HQ_CAPTION, IMAGE_TOKEN, SHORT_CAPTION

MESSAGES = pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))
KINDS: tuple[Kind, ...] = (
    *("caption", "vqa", "count", "rec", "reg", "table", "keypoints", "yes_no", "object", "unanswerable"),
)
CAPTIONS: Mapping[str, tuple[str, ...]] = {
    "short": (SHORT_CAPTION, "What does the picture show, in one sentence?"),
    "detailed": (DETAILED_CAPTION, "What can be seen in the picture?"),
    "face": ("Describe the faces in the picture.", "How do the faces look?"),
    "body": ("Describe what the people wear and how they hold themselves.", "Describe the people below their faces."),
    "background": ("Describe the background of the picture.", "What are the surroundings like?"),
}


@dataclass(frozen=True)
class Conversation:
    """Turns about one picture, the caption of HumanCaptionHQ first."""

    turns: tuple[Turn, ...]

    def messages(self) -> list[dict[str, str]]:
        """As the column ``conversations`` and LLaVA's files have them."""
        return [
            {"from": speaker, "value": f"{IMAGE_TOKEN}\n{text}" if not number and speaker == "human" else text}
            for number, turn in enumerate(self.turns)
            for speaker, text in (("human", turn.question), ("gpt", turn.answer))
        ]

    def figures(self) -> dict[str, int]:
        """Turns, of them those of each kind, and answers of yes and no, to add up."""
        counts = Counter(f"turns_{turn.kind}" for turn in self.turns)
        counts |= Counter(f"answers_{turn.answer}" for turn in self.turns if turn.key)
        return {"turns": len(self.turns), **counts}


def converse(scene: Scene, captions: Mapping[str, str], most: int, seen: Seen) -> Conversation:
    """At most ``most`` turns: the caption, then one of each kind that the picture has an answer to, and again.

    captions: texts of the row by column, ``human_caption_hq`` among them. Of questions with yes or no, as many are
    answered yes as no. Seeded by the scene, and in a seeded order.
    """
    first = Turn("caption", HQ_CAPTION, captions["human_caption_hq"])
    pools = {kind: scene.random.sample(units, len(units)) for kind, units in _units(scene, captions, seen).items()}
    taken: list[Turn] = []
    asked = {first.question}
    for kind in _rounds(scene, pools):
        unit = pools[kind].pop()
        fresh = all(turn.question not in asked for turn in unit)
        if fresh and 1 + len(taken) + len(unit) <= most:
            taken += unit
            asked |= {turn.question for turn in unit}
    return Conversation((first, *scene.random.sample(taken, len(taken))))


def _rounds(scene: Scene, pools: Mapping[Kind, Sequence[Any]]) -> Iterator[Kind]:
    """Kinds in rounds, each with every kind that is left, in an order of its own."""
    while left := [kind for kind in KINDS if pools[kind]]:
        yield from scene.random.sample(left, len(left))


def _units(scene: Scene, captions: Mapping[str, str], seen: Seen) -> dict[Kind, list[tuple[Turn, ...]]]:
    """What may be asked, by kind: single turns, and of yes and no one of each together."""
    units: dict[Kind, list[tuple[Turn, ...]]] = {kind: [] for kind in KINDS}
    for name, wordings in CAPTIONS.items():
        if text := captions.get(name):
            units["caption"].append((Turn("caption", scene.pick(*wordings), text),))
    singles = (questions, counts, boxes, tables, keypoints, unanswerable)
    for turn in (turn for source in singles for turn in source(scene)):
        units[turn.kind].append((turn,))
    said = [turn for turn in statements(scene) if scene.random.random() < seen.asked(turn)]
    units["yes_no"] = _pairs(scene, said)
    units["object"] = _pairs(scene, list(objects(scene, seen)))
    return units


def _pairs(scene: Scene, turns: Sequence[Turn]) -> list[tuple[Turn, ...]]:
    """A yes and a no each, drawn by the seed, as far as there are both."""
    answers = ([turn for turn in turns if turn.answer == answer] for answer in ("yes", "no"))
    mixed = [scene.random.sample(some, len(some)) for some in answers]
    return list(zip(*mixed, strict=False))
