"""Instruction and benchmark rows made from the truth of scenes. File formats:

* instructions: ``{"id", "image", "task", "conversations": [{"from": "human"|"gpt", "value"}]}``, LLaVA's, image
  relative to the data folder
* captions: ``{"id", "image", "references": [5]}``; vqa: ``{"id", "image", "question", "answers": [10]}``;
  rec: ``{"id", "image", "expression", "box": xyxy pixels, "width", "height"}``;
  attributes: ``{"id", "image", "attribute", "question", "answer": "yes"|"no"}``; image relative to the benchmark folder
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from humanvlm.data import prompts
from humanvlm.synthetic import texts

Truth = Mapping[str, Any]
Shown = Sequence[tuple[str, Truth]]
TASKS = {"caption": 1, "vqa": 3, "rec": 1, "reg": 1, "attributes": 6}  # rows a picture
OPENING = {"rec": 4}  # of those that training begins with, at most
DETAILED = 0.25  # share of the captions asked for that are detailed
ANSWERS = 10
SECOND_ANSWERS = 2
GRID = 5  # hundredths that a taught box is rounded to: finer ones are noise to a tower of 16 cells


def instructions(
    image: str, truth: Truth, rng: random.Random, counts: Mapping[str, int] = TASKS
) -> list[dict[str, Any]]:
    """Rows about one picture, so many of each task, in random order."""
    turns = [(task, *turn) for task, count in counts.items() for turn in _turns(task, count, truth, rng)]
    rng.shuffle(turns)
    name = image.rpartition("/")[2].partition(".")[0]
    return [
        {
            "id": f"{name}-{number}-{task}",
            "image": image,
            "task": task,
            "conversations": [
                {"from": "human", "value": f"{prompts.IMAGE_TOKEN}\n{question}"},
                {"from": "gpt", "value": reply},
            ],
        }
        for number, (task, question, reply) in enumerate(turns)
    ]


def _turns(task: str, count: int, truth: Truth, rng: random.Random) -> list[tuple[str, str]]:
    """Questions and replies of one task about a picture, no question twice."""
    if task == "vqa":
        asked = rng.sample(texts.questions(truth), count)
        return [(prompts.QUESTION.format(question=one.question), one.answers[0]) for one in asked]
    if task == "attributes":
        named = rng.sample(texts.attributes(truth, rng), count)
        return [(prompts.YES_NO.format(question=one.question), "yes" if one.answer else "no") for one in named]
    if task == "caption":
        detailed = (prompts.DETAILED_CAPTION, texts.detailed(truth))
        short = (prompts.CAPTION, rng.choice(texts.captions(truth)[:3]))
        return [detailed if rng.random() < DETAILED else short for _ in range(count)]
    found = []
    phrases = [(person, phrase) for person in truth["people"] for phrase in texts.expressions(person, truth)]
    for person, phrase in rng.sample(phrases, min(count, len(phrases))):
        box = prompts.format_box(_on_grid(person["box"], truth), truth["width"], truth["height"])
        if task == "rec":
            found.append((prompts.FIND.format(expression=phrase), box))
        else:
            found.append((prompts.REFER.format(box=box), phrase))
    return found


def _on_grid(box: Sequence[float], truth: Truth) -> list[float]:
    """The xyxy pixel box whose edges are on whole multiples of GRID hundredths of the picture."""
    sizes = (truth["width"], truth["height"]) * 2
    return [GRID * round(100 * edge / size / GRID) / 100 * size for edge, size in zip(box, sizes, strict=True)]


def benchmarks(shown: Shown, seed: int) -> dict[str, list[dict[str, Any]]]:
    """Rows of every task by task name, about pictures given as (image, truth)."""
    return {
        "captions": [
            {"id": f"captions-{i:05d}", "image": image, "references": texts.captions(truth)}
            for i, (image, truth) in enumerate(shown)
        ],
        "vqa": _vqa(shown, seed),
        "rec": _rec(shown, seed),
        "attributes": _attributes(shown, seed),
    }


def _vqa(shown: Shown, seed: int) -> list[dict[str, Any]]:
    """Two or three questions a picture; ten answers, of which two differ where people have another word for it."""
    rng = random.Random(f"{seed}/vqa")
    rows: list[dict[str, Any]] = []
    for place, (image, truth) in enumerate(shown):
        for question in rng.sample(texts.questions(truth), 2 + place % 2):
            first, others = question.answers[0], question.answers[1:]
            second = [rng.choice(others) for _ in range(SECOND_ANSWERS)] if others else []
            answers = [first] * (ANSWERS - len(second)) + second
            rows.append(
                {"id": f"vqa-{len(rows):05d}", "image": image, "question": question.question, "answers": answers}
            )
    return rows


def _rec(shown: Shown, seed: int) -> list[dict[str, Any]]:
    rng = random.Random(f"{seed}/rec")
    rows: list[dict[str, Any]] = []
    for image, truth in shown:
        for person in truth["people"]:
            expression = rng.choice(texts.expressions(person, truth))
            size = {"width": truth["width"], "height": truth["height"]}
            rows.append(
                {"id": f"rec-{len(rows):05d}", "image": image, "expression": expression, "box": person["box"], **size}
            )
    return rows


def _attributes(shown: Shown, seed: int) -> list[dict[str, Any]]:
    """As many rows with yes as with no for each attribute, two a picture on average."""
    rng = random.Random(f"{seed}/attributes")
    found: defaultdict[tuple[str, bool], list[tuple[str, texts.Attribute]]] = defaultdict(list)
    for image, truth in shown:
        for attribute in texts.attributes(truth, rng):
            found[attribute.attribute, attribute.answer].append((image, attribute))
    names = sorted({name for name, _ in found})
    each = 2 * len(shown) // (2 * len(names))
    chosen = []
    for name in names:
        pair = [rng.sample(found[name, answer], len(found[name, answer])) for answer in (True, False)]
        least = min(each, *map(len, pair))
        chosen += [row for rows in zip_longest(*(rows[:least] for rows in pair)) for row in rows if row]
    return [
        {
            "id": f"attributes-{i:05d}",
            "image": image,
            "attribute": attribute.attribute,
            "question": attribute.question,
            "answer": "yes" if attribute.answer else "no",
        }
        for i, (image, attribute) in enumerate(chosen)
    ]
