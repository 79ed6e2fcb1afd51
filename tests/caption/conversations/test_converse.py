"""A conversation: the caption first, within its length, as many yes as no, and the same whenever it is made again."""

from collections import Counter
from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from humanvlm.caption.conversations.absent import Seen
from humanvlm.caption.conversations.converse import Conversation, converse
from humanvlm.caption.conversations.scene import Scene
from humanvlm.data.facts import Facts
from humanvlm.data.prompts import HQ_CAPTION

from .test_absent import LABELS
from .truth import scenes

CAPTIONS = {"human_caption_hq": "All of it.", "short": "A man.", "face": "He smiles.", "background": ""}
ANSWERS = {f"{key} {answer}": 5 for key in ("hat", "smiling", "pose", "colour", "several") for answer in ("yes", "no")}


@given(scenes(), st.integers(1, 20))
def test_a_conversation_has_its_caption_its_length_and_its_balance(scene: Scene, most: int) -> None:
    talk = converse(scene, CAPTIONS, most, Seen(LABELS, {}, ANSWERS))
    assert (talk.turns[0].question, talk.turns[0].answer) == (HQ_CAPTION, "All of it.")
    assert len(talk.turns) <= most
    assert all(turn.question and turn.answer and "{" not in turn.question for turn in talk.turns)
    assert len({turn.question for turn in talk.turns}) == len(talk.turns)
    for kind in ("yes_no", "object"):
        answers = Counter(turn.answer for turn in talk.turns if turn.kind == kind)
        assert answers["yes"] == answers["no"]


@given(scenes())
def test_the_same_seed_gives_the_same_conversation(scene: Scene) -> None:
    one, other = (converse(replace(scene, random=Random(5)), CAPTIONS, 8, Seen(LABELS)) for _ in range(2))
    assert one == other


@given(scenes())
def test_kinds_come_in_rounds(scene: Scene) -> None:
    """No kind is asked a second time while there is room for another that was not asked yet."""
    seen = Seen(LABELS, {}, ANSWERS)
    every = {turn.kind for turn in converse(replace(scene, random=Random(5)), CAPTIONS, 400, seen).turns[1:]}
    few = converse(replace(scene, random=Random(5)), CAPTIONS, 1 + len(every) + 2, seen)
    assert {turn.kind for turn in few.turns[1:]} == every


def test_messages_are_llavas() -> None:
    scene = Scene(Facts(10, 10, 0, (), "even", "medium", False), 0.6, Random(1))
    messages = converse(scene, CAPTIONS, 3, Seen()).messages()
    assert [message["from"] for message in messages] == ["human", "gpt"] * 3
    assert messages[0]["value"] == f"<image>\n{HQ_CAPTION}"
    assert messages[1]["value"] == "All of it."
    assert "<image>" not in messages[2]["value"]


def test_figures_add_up() -> None:
    scene = Scene(Facts(10, 10, 2, (), "even", "medium", False), 0.6, Random(1))
    talk = converse(scene, CAPTIONS, 9, Seen({}, {}, {"several yes": 1, "several no": 1}))
    figures = talk.figures()
    kinds = sum(count for name, count in figures.items() if name.startswith("turns_"))
    assert figures["turns"] == kinds == len(talk.turns)
    assert Conversation(()).messages() == []
