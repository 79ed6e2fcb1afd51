"""How well facts of people are measured: precision and recall of every kind, and the cost of every network.

Two truths: the synthetic crawl's (two people's photographs in many scenes and colours, exact), and photographs that a
folder holds with tags of clothes in ``index.jsonl`` (some tagged things are hardly seen).
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from humanvlm.caption.facts import attributes
from humanvlm.caption.facts.crops import body_of, head_of
from humanvlm.caption.facts.measure import measure
from humanvlm.caption.facts.signs import signs_of
from humanvlm.config.human_scenes import HumanScenes
from humanvlm.curate.scene import Scene, load_models
from humanvlm.data.detections import iou
from humanvlm.data.facts import NONE, Facts, Person
from humanvlm.data.image import DecodeError, pixels
from humanvlm.synthetic.build import build_sample

SHADES = {"navy": {"dark blue", "blue", "black"}, "gray": {"grey"}, "blue": {"blue", "dark blue", "light blue"}}
SHADES |= {"red": {"red", "dark red"}, "green": {"green", "teal", "olive"}, "purple": {"purple", "pink"}}
HAIR = {"light brown": {"brown", "blond"}, "gray": {"grey"}}
LOWER_TAGS = {"long": {"pants", "jeans", "leggings"}, "short": {"shorts"}}


@dataclass
class Score:
    """Of one kind: right and wrong statements, and the truths that could have been stated."""

    right: int = 0
    wrong: int = 0
    truths: int = 0
    faults: list[str] = field(default_factory=list)

    def add(self, said: str | None, true: set[str], name: str) -> None:
        """said: None when nothing is. true: what counts as right; empty when saying anything is wrong."""
        self.truths += bool(true)
        if said is not None:
            self.right += said in true
            self.wrong += said not in true
            if said not in true:
                self.faults.append(f"{name}: {said}, not {'/'.join(sorted(true)) or 'there'}")

    @property
    def figures(self) -> dict[str, float]:
        said = self.right + self.wrong
        return {
            "precision": round(self.right / said, 3) if said else float("nan"),
            "recall": round(self.right / self.truths, 3) if self.truths else float("nan"),
            "said": said,
            "truths": self.truths,
        }


def main() -> None:
    """Measure, print a table a truth, and as the last line one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=120, help="pictures of the synthetic crawl")
    parser.add_argument("--seed", type=int, default=7, help="of that crawl")
    parser.add_argument("--data", type=Path, help="a synthetic crawl that is already built")
    parser.add_argument("--photos", type=Path, help="a folder with index.jsonl and tagged photographs")
    parser.add_argument("--min-probability", type=float, default=0.6)
    parser.add_argument("--faults", action="store_true", help="list what was said wrongly")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        data = given.data or Path(folder, "data")
        if given.data is None:
            build_sample(data, scenes=given.scenes, seed=given.seed)
        tables = {"synthetic": scored(synthetic(data), given.min_probability)}
    if given.photos:
        tables["tagged"] = scored(tagged(given.photos), given.min_probability)
    for truth, kinds in tables.items():
        print(f"{truth:<20} precision  recall    said  truths")
        for kind, score in kinds.items():
            figures = score.figures
            shares = f"{figures['precision']:9.3f} {figures['recall']:7.3f}"
            print(f"  {kind:<18} {shares} {figures['said']:7} {figures['truths']:7}")
            for fault in score.faults if given.faults else ():
                print(f"      {fault}")
    costs = cost()
    for name, milliseconds in costs.items():
        print(f"{name:<28} {milliseconds:6.1f} ms")
    print(
        json.dumps(
            {**{truth: {kind: s.figures for kind, s in kinds.items()} for truth, kinds in tables.items()}, "ms": costs}
        )
    )


Truths = Mapping[str, tuple[str | None, set[str]]]  # kind -> what is said, what is right
Picture = tuple[str, Facts, Callable[[Facts, float], Iterator[Truths]]]  # its name, and what pairs facts with truths


def scored(pictures: Iterator[Picture], least: float) -> dict[str, Score]:
    """Scores by kind of statements of at least that probability."""
    scores: dict[str, Score] = defaultdict(Score)
    for name, facts, compared in pictures:
        for truths in compared(facts, least):
            for kind, (said, true) in truths.items():
                scores[kind].add(said, true, name)
    return dict(scores)


def facts_of(rgb: attributes.Picture) -> Facts:
    """Detected as human_scenes detects by default, and measured."""
    scene = seen(rgb)
    faces, people, objects = ([asdict(one) for one in rows] for rows in (scene.faces, scene.people, scene.objects))
    return measure(rgb, faces, people, objects)


def seen(rgb: attributes.Picture) -> Scene:
    config = HumanScenes()
    names = config.face_detector, config.closeup_face_detector, config.person_detector, config.nsfw_classifier
    return Scene({}, rgb, config, load_models(*names))


def synthetic(data: Path) -> Iterator[Picture]:
    for line in (data / "truth.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["kind"] != "scene":
            continue
        path = data / "site" / row["url"].removeprefix("http://")
        yield row["url"], facts_of(pixels(path.read_bytes())), partial(_compare, row)


def _compare(row: Mapping[str, Any], facts: Facts, least: float) -> Iterator[Truths]:
    people = row["people"]
    yield {"people": (str(facts.people_count), {str(len(people))})}
    for truth in people:
        found = max(facts.people, key=lambda person: _overlap(person, truth), default=None)
        if found is None or _overlap(found, truth) < 0.4:
            found = Person((0, 0, 0, 0), None, "", "")
        upper = found.garment("upper") or found.garment("whole")
        colour = upper.colours[0].value if upper and upper.colours else None
        yield {
            "garment colour": (colour, SHADES.get(truth["clothing_color"], {truth["clothing_color"]})),
            "glasses": (_worn(found.eyewear, least), {"glasses", "sunglasses"} if truth["glasses"] else set()),
            "headwear": (_any(_worn(found.headwear, least)), {"yes"} if truth["hat"] else set()),
            "hair colour, no hat": (_said(found.hair, least), set() if truth["hat"] else HAIR[truth["hair"]]),
            "gender": (_said(found.gender, least), {truth["gender"]}),
            "no beard": (_worn(found.beard, least), set()),
        }


def tagged(photos: Path) -> Iterator[Picture]:
    for line in (photos / "index.jsonl").read_text().splitlines():
        row = json.loads(line)
        if not row.get("tags"):
            continue
        try:
            rgb = pixels((photos / row["path"]).read_bytes())
        except DecodeError:
            continue
        yield row["path"], facts_of(rgb), partial(_compare_tags, set(row["tags"]))


def _compare_tags(tags: set[str], facts: Facts, least: float) -> Iterator[Truths]:
    if not facts.people:
        return
    person = facts.people[0]
    worn = _worn(person.eyewear, least)
    lower = person.garment("lower")
    lengths = (
        {length for length, names in LOWER_TAGS.items() if names & tags} if not {"skirt", "dress"} & tags else set()
    )
    yield {
        "sunglasses": (worn if worn == "sunglasses" else None, {"sunglasses"} & tags),
        "glasses": (worn if worn == "glasses" else None, {"glasses"} & tags),
        "headwear": (_any(_worn(person.headwear, least)), {"yes"} if "hat" in tags else set()),
        "hair colour said": (_any(_said(person.hair, least)), {"yes"}),
        "trousers, shorts": (_said(lower.length, least) if lower and lengths else None, lengths),
        "lower colours said": (_any(lower.colours[0].value if lower and lower.colours else None), {"yes"}),
        "shoe colours said": ("yes" if person.garment("feet") else None, {"yes"}),
    }


def _overlap(person: Person, truth: Mapping[str, Any]) -> float:
    faces = iou(person.face, tuple(truth["face_box"])) if person.face else 0.0
    return max(faces, iou(person.box, tuple(truth["box"])))


def _said(guess: Any, least: float) -> str | None:
    return guess.value if guess is not None and guess.probability >= least else None


def _worn(guess: Any, least: float) -> str | None:
    said = _said(guess, least)
    return None if said == NONE else said


def _any(said: str | None) -> str | None:
    return None if said is None else "yes"


def cost(repeats: int = 20) -> dict[str, float]:
    """Milliseconds of each step on one thread, the median of some repeats, on a photograph of 512 x 512 px."""
    import skimage.data

    rgb = np.ascontiguousarray(skimage.data.astronaut())
    face = seen(rgb).faces[0]
    points, frame = face.points, (20.0, 10.0, 500.0, 510.0)
    head = head_of(rgb, points)
    joints = attributes.keypoints(rgb, frame)
    steps: Sequence[tuple[str, Callable[[], object]]] = [
        ("head crop, mask, 468 points", lambda: head_of(rgb, points)),
        ("signs of the head", lambda: signs_of(head) if head else None),
        ("body crop, mask", lambda: body_of(rgb, frame, joints, [])),
        ("17 joints", lambda: attributes.keypoints(rgb, frame)),
        ("labels", lambda: attributes.label_probabilities(rgb)),
        ("age", lambda: attributes.age_probabilities(rgb, points)),
        ("gender", lambda: attributes.female_probability(rgb, points)),
        ("expression", lambda: attributes.expression_probabilities(rgb, points)),
    ]
    costs = {}
    for name, step in steps:
        step()
        taken = []
        for _ in range(repeats):
            clock = time.perf_counter()
            step()
            taken.append(time.perf_counter() - clock)
        costs[name] = round(float(np.median(taken)) * 1000, 2)
    return costs


if __name__ == "__main__":
    main()
