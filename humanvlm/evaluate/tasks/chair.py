"""CHAIR: which COCO objects does a caption name that the picture does not show? (Rohrbach et al. 2018)

Read from one folder: COCO's ``instances_*.json`` and ``captions_*.json``, and the authors' ``synonyms.txt`` (a line an
object: its COCO name, then words for it). As their ``chair.py``: an object is there when it is outlined or when a
reference caption names it. CHAIRi is the share of objects named that are not there, CHAIRs the share of captions with
such an object. Two words that are one object, or none, are taken together ("hot dog", "home plate"); an animal's or a
train's "baby", "adult" and "passenger" are no people. Their plurals are by ``pattern``; here a plural is one when its
singular is on the list. "motor bike", which a blank in their list hides from their code, counts here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from humanvlm.data import prompts
from humanvlm.errors import UserError
from humanvlm.evaluate.files import get_id, get_text, open_text, read_array
from humanvlm.evaluate.metrics.nouns import singular, words
from humanvlm.evaluate.stats.scored import Array, Scored
from humanvlm.evaluate.tasks.base import Coordinates, Judged, Sample, Task, source_file
from humanvlm.evaluate.tasks.captions import read_candidates, read_references
from humanvlm.evaluate.tasks.pictures import source_picture
from humanvlm.evaluate.tasks.replies import answers, with_replies

if TYPE_CHECKING:
    from humanvlm.config.benchmark_scores import Source

VEHICLES = ("jet", "train")
NO_OBJECT = ("home plate", "train track")  # neither a plate nor a train
AS_ONE = {"bow tie": "tie", "toilet seat": "toilet"}


@dataclass(frozen=True)
class Objects:
    """names: COCO's name of each word that is an object. pairs: two words to what they are together. known: words in
    their singular."""

    names: Mapping[str, str]
    pairs: Mapping[str, str]
    known: frozenset[str]


@dataclass(frozen=True)
class Shown:
    """A picture and the COCO names of what is there."""

    image: str
    file_name: str
    there: frozenset[str]
    objects: Objects = field(repr=False, compare=False)


def named_objects(caption: str, objects: Objects) -> list[str]:
    """COCO's names of what a caption names, each as often as it does."""
    found = [singular(word, objects.known) for word in words(caption.lower())]
    together: list[str] = []
    place = 0
    while place < len(found):
        pair = objects.pairs.get(" ".join(found[place : place + 2]))
        together.append(pair if pair is not None else found[place])
        place += 1 if pair is None else 2
    if "toilet" in together:
        together = [word for word in together if word != "seat"]  # the seat of the toilet is no chair
    return [objects.names[word] for word in together if word in objects.names]


def score_chair(pictures: Sequence[Shown], captions: Sequence[str | None]) -> Scored:
    """``chair_i``, ``chair_s`` and ``faithful``, which is 1 - CHAIRi; all in 0..1.

    A caption of None is missing, and wrong: one object that is not there. counts: ``missing``, ``no_object``
    (captions that name none, of which CHAIR thinks well).
    """
    named = [
        None if caption is None else named_objects(caption, picture.objects)
        for picture, caption in zip(pictures, captions, strict=True)
    ]
    wrong = [
        [name for name in found or () if name not in picture.there]
        for picture, found in zip(pictures, named, strict=True)
    ]
    counts = [(1, 1) if found is None else (len(bad), len(found)) for bad, found in zip(wrong, named, strict=True)]
    vectors = np.array([(bad, count, bad > 0, 1) for bad, count in counts], dtype=np.float64).reshape(-1, 4)
    return Scored(
        "chair",
        [picture.image for picture in pictures],
        [picture.image for picture in pictures],
        {
            "reply": list(captions),
            "there": [sorted(picture.there) for picture in pictures],
            "named": named,
            "hallucinated": wrong,
            "score": [
                0.0 if found is None else 1 - len(bad) / max(len(found), 1)
                for bad, found in zip(wrong, named, strict=True)
            ],
        },
        vectors,
        summed_metrics,
        {"missing": named.count(None), "no_object": named.count([])},
    )


def summed_metrics(sums: Array) -> dict[str, Array]:
    """Summed [hallucinated, named, captions with one that is hallucinated, captions] to the metrics."""
    wrong, named, bad, captions = np.moveaxis(sums, -1, 0)
    chair_i = wrong / np.maximum(named, 1)
    return {"faithful": 1 - chair_i, "chair_i": chair_i, "chair_s": bad / np.maximum(captions, 1)}


def read_pictures(folder: Path) -> list[Shown]:
    """The pictures of all ``instances_*.json`` of a folder, in their order. Raises UserError naming what is missing or
    wrong."""
    instances = sorted(folder.glob("instances_*.json"))
    captions = sorted(folder.glob("captions_*.json"))
    for kind, found in (("instances", instances), ("captions", captions)):
        if not found:
            raise UserError(f"{folder}: no {kind}_*.json; put COCO's annotations and synonyms.txt of CHAIR into it")
    synonyms = folder / "synonyms.txt"
    categories = [pair for path in instances for pair in read_array(path, "categories")]
    objects = read_objects(synonyms, [row.get("name", "") for _, row in categories if _is_animal(row)])
    named: dict[str, str] = {}
    for where, row in categories:
        name = get_text(row, ("name",), where)
        if name not in objects.names:
            raise UserError(f"{synonyms}: no line has {name!r}, a category of {where.partition('[')[0]}")
        named[get_id(row, ("id",), where)] = objects.names[name]
    files: dict[str, str] = {}
    there: dict[str, set[str]] = {}
    for path in instances:
        for where, row in read_array(path, "images"):
            key = get_id(row, ("id",), where)
            files[key] = get_text(row, ("file_name",), where)
            there[key] = set()
        for where, row in read_array(path, "annotations"):
            key, category = get_id(row, ("image_id",), where), get_id(row, ("category_id",), where)
            if key not in there or category not in named:
                raise UserError(f"{where}: image_id {key} or category_id {category} is not in {path.name}")
            there[key].add(named[category])
    for path in captions:
        for key, texts in read_references(path).items():
            for text in texts:
                there.get(key, set()).update(named_objects(text, objects))
    return [Shown(key, files[key], frozenset(found), objects) for key, found in there.items()]


def read_objects(path: Path, animals: Sequence[str]) -> Objects:
    """The authors' ``synonyms.txt``. animals: the categories that "baby" and "adult" may precede."""
    names: dict[str, str] = {}
    with open_text(path) as file:
        for line in file:
            alike = [word.strip() for word in line.split(",") if word.strip()]
            names |= dict.fromkeys(alike, alike[0] if alike else "")
    if not names:
        raise UserError(f"{path}: no words; a line is an object's name and words for it, with commas between them")
    pairs = {word: word for word in (*names, *NO_OBJECT) if len(word.split()) == 2} | AS_ONE
    for animal in (*animals, "animal", "cub"):
        pairs |= {f"{age} {animal}": animal for age in ("baby", "adult")}
    pairs |= {f"passenger {vehicle}": vehicle for vehicle in VEHICLES}
    return Objects(names, pairs, frozenset(word for name in (*names, *pairs) for word in name.split()))


def score_files(references: Path, predictions: Path, allow_missing: bool = False) -> Scored:
    """CHAIR: objects that captions name and pictures do not show, CHAIRi and CHAIRs.

    References are a folder with COCO's instances_*.json and captions_*.json and the authors' synonyms.txt; predictions
    COCO's results, a list of image_id and caption. As in the official code, only pictures with a caption count; with
    --allow-missing all pictures do, and those without one are scored as wrong.
    """
    known = {picture.image: picture for picture in read_pictures(references)}
    captions = read_candidates(predictions)
    if unknown := next((key for key in captions if key not in known), None):
        raise UserError(f"{predictions}: id {unknown} is not in the instances of {references}; remove it")
    pictures = [picture for key, picture in known.items() if allow_missing or key in captions]
    if not pictures:
        raise UserError(f"{predictions}: no captions")
    replies = [captions.get(picture.image) for picture in pictures]
    return with_replies(score_chair(pictures, answers(replies)), replies)


def samples(task: str, source: "Source") -> Iterator[Sample]:
    for shown in read_pictures(source_file(task, source)):
        picture = source_picture(task, source, shown.image, {"file_name": shown.file_name})
        references = tuple(sorted(shown.there)) or ("nothing that COCO names",)
        yield Sample(shown.image, task, shown.image, picture, prompts.DETAILED_CAPTION, references, shown)


def judge(samples: Sequence[Sample], replies: Sequence[str | None], _: Coordinates) -> Judged:
    found = score_chair([sample.truth for sample in samples], replies)
    named = [", ".join(names or ()) or None for names in found.per_sample["named"]]
    return Judged(named, found.per_sample["score"], found.contributions)


def _is_animal(row: Mapping[str, object]) -> bool:
    return row.get("supercategory") == "animal"


TASK = Task(
    "chair",
    "Objects that are not there",
    "Descriptions, of which COCO objects count that the picture does not show: less CHAIR is better.",
    "faithful",
    samples,
    judge,
    summed_metrics,
    score_files,
)
