"""A server that lies about half of its pictures: what is left of the lies, and how many true captions are flagged.

A server on loopback answers the requests of the ``endpoint`` captioner, which rewrites fact sheets; every second reply
is a true caption of the sheet (the template's with another seed, reworded, or sentences of its own), every other one
has exactly one fault, most of them put into the words of the true caption in place of a true one. The replies are read,
checked, repaired and replaced as the stage does it. Sheets are random ones, and those of an artifact that is named.
"""

import argparse
import json
import os
import re
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from lies import LEAST, LIES, WRAPPED

sys.path.insert(0, str(Path(__file__).parents[1]))  # the server and the random sheets are the tests'
from humanvlm.caption.accept import Accepted, accept
from humanvlm.caption.captioners.asked import AskedCaptioner
from humanvlm.caption.captioners.base import Style, Subject
from humanvlm.caption.captioners.open import open_captioner
from humanvlm.caption.stage import limits_of, template_of
from humanvlm.caption.template.captioner import TemplateCaptioner
from humanvlm.config.human_caption import HumanCaption
from humanvlm.data.facts import Facts, facts_from_json
from humanvlm.data.shards import read_folder
from tests.caption.checks.lies import sheet, true_caption
from tests.caption.lying import serve
from tests.caption.template.sheets import picture

STYLE: Style = "detailed"
MARKS = re.compile(r"[<>{}\[\]|*#`~_]|zebra|^\s*(?:[-•]|\d[.)])\s", re.IGNORECASE | re.MULTILINE)
REWORDED = (
    (r"\bis wearing\b", "wears"), (r"\bwears\b", "has on"), (r"\bis seen\b", "can be seen"), (r"\bbeside\b", "next to"),
    (r"\bappears to be\b", "seems to be"), (r"\bis smiling\b", "smiles"), (r"\bThere are\b", "The photo shows"),
)  # fmt: skip


@dataclass(frozen=True)
class Told:
    """What the server replies about a picture. lie: what may not be in the caption that stays, () of a true caption."""

    kind: str
    reply: str
    lie: tuple[str, ...] = ()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path, nargs="?", help="of human_caption: its fact sheets are told of as well")
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print N of the lies that are left of a kind")
    args = parser.parse_args()
    outcomes = run(sheets(args.artifact, args.pictures))
    print(f"{'reply':22}{'replies':>8}{'read':>8}{'repaired':>10}{'replaced':>10}{'lies left':>11}")
    for kind, counts in outcomes.items():
        row = "".join(f"{counts[name]:>{size}}" for name, size in zip(COUNTED, (8, 8, 10, 10, 11), strict=True))
        print(f"{kind:22}{row}")
    for kind, found in LEFT.items():
        for line in found[: args.show]:
            print(f"{kind}: {line}")
    true = outcomes["true"]
    lies = sum((counts for kind, counts in outcomes.items() if kind != "true"), Counter[str]())
    figures = {
        "pictures": true["replies"] + lies["replies"],
        "lies_caught": round(1 - lies["left"] / lies["replies"], 4),
        "true_flagged": round((true["repaired"] + true["replaced"]) / true["replies"], 4),
    }
    print(json.dumps({**figures, "by_kind": outcomes}))


COUNTED = ("replies", "read", "repaired", "replaced", "left")
LEFT: dict[str, list[str]] = defaultdict(list)


def sheets(artifact: Path | None, count: int) -> list[Facts]:
    """Fact sheets, every one another, of an artifact and of two makers of random ones, in turn."""
    made: list[Iterator[Facts]] = [map(sheet, range(count)), map(picture, range(count))]
    if artifact:
        made.append(facts_from_json(row["facts"]) for row in read_folder(artifact, ("facts",)))
    found: dict[str, Facts] = {}
    while len(found) < count:
        for maker in list(made):
            if facts := next(maker, None):
                found.setdefault(facts.to_json(), facts)
            else:
                made.remove(maker)
    return [facts for facts in found.values() if facts.people_count][:count]


def run(every: Sequence[Facts]) -> dict[str, Counter[str]]:
    """By kind of reply: how many there are, how many were taken as they were read, repaired and replaced, and in how
    many the lie is left."""
    subjects = [Subject(f"{index}", facts) for index, facts in enumerate(every)]
    told = [tell(subject, index) for index, subject in enumerate(subjects)]
    answers: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder, serve(says=lambda prompt: answers[prompt]) as liar:
        os.environ["HUMANVLM_PREDICTIONS"] = folder
        server: Any = {"url": liar.url, "model": "liar"}
        config = HumanCaption(captioner="endpoint", rewrite=True, endpoint=server)
        template = template_of(config)
        captioner = open_captioner(config, "human_caption", "shard-00000", template)
        assert isinstance(captioner, AskedCaptioner)
        for (place, _), request in captioner.first_requests(subjects, (STYLE,)).items():
            answers[request.prompt] = told[place].reply
        drafts = captioner.write(subjects, (STYLE,))
        limits = {STYLE: limits_of(config, template.max_words)[STYLE]}
        accepted = [
            accept(subject, draft, captioner.name, template, limits)
            for subject, draft in zip(subjects, drafts, strict=True)
        ]
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    for one, took in sorted(zip(told, accepted, strict=True), key=lambda pair: ORDER.index(pair[0].kind)):
        outcomes[one.kind].update(["replies", outcome(took), *(["left"] if left(one, took) else [])])
    return outcomes


def outcome(took: Accepted) -> str:
    return "replaced" if took.replaced else "repaired" if took.repaired else "read"


def left(one: Told, took: Accepted) -> bool:
    """Whether the lie stands in the caption that stays."""
    text = took.texts[STYLE]
    found = bool(one.lie) and not took.replaced and (any(part in text for part in one.lie) or bool(MARKS.search(text)))
    if found:
        LEFT[one.kind].append(text)
    elif not one.lie and outcome(took) != "read":
        LEFT[one.kind].append(f"{dict(took.repaired) or dict(took.replaced)} {one.reply}")
    return found


def tell(subject: Subject, index: int) -> Told:
    """Of every second picture the truth, of the others a lie of a kind that can be told of it."""
    random = Random(index)
    text = truth(subject, index, random)
    if index % 2 == 0:
        return Told("true", json.dumps({"caption": text}))
    kinds = list(LIES)
    for turn in range(len(kinds)):
        kind = kinds[(index // 2 + turn) % len(kinds)]
        lied = LIES[kind](subject.facts, text, random)
        if lied and kind in WRAPPED:
            return Told(kind, lied[0], tuple(part for part in lied[1].split("\n") if len(part) > 3) or ("\0",))
        if lied:
            return Told(kind, json.dumps({"caption": lied[0]}), (lied[1],))
    raise AssertionError("a lie that can be told of every picture is missing")


def truth(subject: Subject, index: int, random: Random) -> str:
    """A true caption of the whole sheet: the tests' sentences where everybody is described, or the template's."""
    plain = {"young adult", "middle-aged", "older"}
    described = all(
        person.garments and person.gender and person.pose and person.hair and person.stage
        for person in subject.facts.people
    )
    stages = {person.stage.value for person in subject.facts.people if person.stage}
    if index % 4 < 2 and described and stages <= plain and subject.facts.background:
        return true_caption(subject.facts, random)
    other = TemplateCaptioner(1000 + index, LEAST, {STYLE: 300})
    text = other.write([subject], (STYLE,))[0].texts[STYLE]
    for pattern, words in random.sample(REWORDED, 3):
        text = re.sub(pattern, words, text, count=1)
    return text


ORDER = ("true", *LIES)


if __name__ == "__main__":
    main()
