"""Captions by a server that lies, refuses and breaks down: nothing is asked twice, nothing lost, no lie stays."""

import itertools
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from humanvlm.caption.accept import accept
from humanvlm.caption.captioners.base import Style, Subject
from humanvlm.caption.captioners.open import _opened, open_captioner
from humanvlm.caption.checks.check import Limits
from humanvlm.caption.template.captioner import TemplateCaptioner
from humanvlm.config.human_caption import HumanCaption
from humanvlm.config.human_caption_hq import HumanCaptionHQ
from humanvlm.data.facts import Facts, Garment, Guess, Person, Thing
from humanvlm.errors import UserError
from humanvlm.inference import endpoint

from ..lying import LIES, NEVER, Liar, serve

TEMPLATE = TemplateCaptioner(7, 0.6, dict.fromkeys(("short", "detailed", "face", "body", "background", "fused"), 90))
STYLES: tuple[Style, ...] = ("short",)
COLOURS = ("red", "blue", "green", "white", "black", "yellow")


@pytest.fixture(autouse=True)
def afresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HUMANVLM_PREDICTIONS", str(tmp_path / "replies"))
    monkeypatch.setattr(endpoint, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(endpoint, "LONGEST_WAIT_S", 0.05)
    _opened.cache_clear()
    yield
    _opened.cache_clear()


def subjects(count: int) -> list[Subject]:
    found = []
    for number in range(count):
        colour, gender = COLOURS[number % len(COLOURS)], ("female", "male")[number % 2]
        garment = Garment("upper", (Guess(colour, 0.9, "colour"),), Guess("shirt", 0.95, "x"))
        person = Person(
            (10.0, 10.0, 60.0 + number, 90.0),
            None,
            "centre",
            "half-length",
            gender=Guess(gender, 0.95),
            garments=(garment,),
        )
        thing = Thing(("dog", "bicycle", "chair")[number % 3], 1 + number // 6, "left", 0.9)
        facts = Facts(100 + number, 100, 1, (person,), "even", "medium", False, (thing,), place=Guess("outdoors", 0.95))
        found.append(Subject(f"s{number}", facts))
    return found


def config(liar: Liar, **changes: Any) -> HumanCaption:
    server = {"url": liar.url, "model": "m", "attempt_timeout_s": 0.4, "timeout_s": 20.0, "retries": 9}
    server |= changes.pop("endpoint", {})
    return HumanCaption(captioner="endpoint", rewrite=True, endpoint=server, **changes)


def write(made: HumanCaption, asked: list[Subject], styles: tuple[Style, ...] = STYLES) -> list[Any]:
    return list(open_captioner(made, "human_caption", "00000", TEMPLATE).write(asked, styles))


def test_no_lie_stays_and_true_captions_do() -> None:
    kinds = [*LIES, None, None, None]
    limits: dict[Style, Limits] = {"short": Limits(90, 0.6)}
    with serve(lambda number: kinds[number % len(kinds)]) as liar:
        asked = subjects(96)
        drafts = write(config(liar, endpoint={"concurrency": 1}), asked)
        accepted = [accept(one, draft, "endpoint", TEMPLATE, limits) for one, draft in zip(asked, drafts, strict=True)]
    for number, one in enumerate(accepted):
        lie = kinds[number % len(kinds)]
        text = one.texts["short"].lower()
        assert not [word for word in NEVER if word in text], (lie, text)
        if lie in (None, "think", "json"):  # taken off by reading, so that nothing is left to repair
            assert (one.replaced, one.repaired) == ({}, {}), (lie, text)
        elif lie in ("refusal", "unfinished", "no json"):
            assert one.replaced, (lie, text)
    assert {draft.reason for draft in drafts} == {"", "unfinished_thought", "broken_json"}


def test_whatever_breaks_down_loses_nothing_and_nothing_is_asked_twice() -> None:
    faults = itertools.cycle(["429", None, "503", "hang", None, "drop", None])
    asked = subjects(30)
    with serve(lambda number: next(faults)) as liar:
        made = config(liar)
        drafts = write(made, asked)
        assert all(draft.texts.get("short") and not draft.reason for draft in drafts)
        before = liar.asked.total()
        assert write(made, asked) == drafts
        assert liar.asked.total() == before


PATIENT = {"retries": 0, "attempt_timeout_s": 20.0}  # a server that is gone refuses at once


def test_a_dead_server_is_an_error_that_keeps_the_replies() -> None:
    asked = subjects(24)
    with serve() as liar:
        made = config(liar, endpoint=PATIENT)
        write(made, asked[:9])
    with pytest.raises(
        UserError, match=r"no reply to 15 of 24 .*connection 15.*asks for these only, or raise human_cap"
    ):
        write(made, asked)
    assert [bool(draft.texts) for draft in write(config(liar, endpoint=PATIENT, max_failed=1.0), asked)] == [
        *[True] * 9,
        *[False] * 15,
    ]


CHILD = """
import sys
sys.path[:0] = {path!r}
from tests.caption.captioners.test_asked import config, subjects, write
from tests.caption.lying import Liar
write(config(Liar({url!r}, lambda number: None), endpoint={{"concurrency": 2}}), subjects(40))
"""


def test_a_killed_run_asks_for_the_rest_only() -> None:
    root = Path(__file__).parents[3]
    with serve() as liar:
        code = CHILD.format(path=[str(root)], url=liar.url)
        child = subprocess.Popen([sys.executable, "-c", code], cwd=root)
        while liar.answered.total() < 12 and child.poll() is None:
            pass
        child.send_signal(signal.SIGKILL)
        child.wait()
        drafts = write(config(liar, endpoint={"concurrency": 2}), subjects(40))
        assert all(draft.texts for draft in drafts)
        twice = [prompt for prompt, count in liar.asked.items() if count > 1]
    assert len(liar.asked) == 40
    assert len(twice) <= 4  # what was on its way


def test_the_budget_stops_in_one_line_and_a_larger_one_goes_on() -> None:
    asked = subjects(40)
    with serve() as liar:
        with pytest.raises(
            UserError, match=r"the budget is spent \([\d,]+ of human_caption\.budget_tokens 4,000\)"
        ) as stop:
            write(config(liar, budget_tokens=4000), asked)
        assert "\n" not in str(stop.value)
        first = liar.asked.total()
        assert 0 < first * 150 <= 4000
        with pytest.raises(UserError, match="budget is spent"):  # the same budget again buys nothing
            write(config(liar, budget_tokens=4000), asked)
        assert liar.asked.total() == first
        prices = {"price_in": 10.0, "price_out": 40.0}  # 0.003 a reply
        with pytest.raises(UserError, match=r"of human_caption\.budget_cost 0\.05\)"):
            write(config(liar, budget_cost=0.05, endpoint=prices), asked)
        assert all(draft.texts for draft in write(config(liar, budget_tokens=400_000), asked))
        assert liar.asked.total() == 40


def test_a_kept_reply_says_of_which_picture_it_tells(tmp_path: Path) -> None:
    with serve() as liar:
        write(config(liar), [replace(one, sha256=f"{number}" * 64) for number, one in enumerate(subjects(3))])
    (kept,) = (tmp_path / "replies" / "human_caption" / "00000").glob("*.jsonl")
    assert sorted(json.loads(line)["picture"][0] for line in kept.read_text().splitlines()) == ["0", "1", "2"]


def test_what_is_known_of_the_server_and_the_picture_is_sent() -> None:
    with serve() as liar:
        shown = config(liar).model_copy(update={"rewrite": False})
        failed = write(shown.model_copy(update={"max_failed": 1.0}), subjects(1))  # no picture to show
        assert failed[0].reason == "corrupt_image"
        assert not liar.bodies
        write(config(liar), subjects(1))
        assert liar.bodies[0]["response_format"]["json_schema"]["schema"]["required"] == ["caption"]
        hq = HumanCaptionHQ(captioner="endpoint", rewrite=True, endpoint=config(liar).endpoint)
        captioner = open_captioner(hq, "human_caption_hq", "00000", TEMPLATE)
        drafts = captioner.write(subjects(2), ("face", "body", "background", "fused"))
        assert all(set(draft.texts) == {"face", "body", "background", "fused"} for draft in drafts)
        assert all(draft.texts["body"] in draft.texts["fused"] for draft in drafts)
