"""How well facts are measured: on scenes of the sample crawl against their truth, and on real photographs against boxes
and what people wrote of them.

    python benchmarks/facts.py                                  # 120 scenes
    python benchmarks/facts.py --photos ../shared/photos --instances ANNOTATIONS_FOLDER
    python benchmarks/facts.py --photos ../shared/photos --errors   # what nobody wrote of, one a line, to look at

A thing or place that is said of a photograph counts as right when any of its captions has a word for it; people leave
much unsaid, so precision is a lower bound: look at the errors. Facts below the probability that captions ask for do
not count. The photographs' captions are never given to the measurement.
"""

import argparse
import json
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from humanvlm.caption.captioners.source import source_texts
from humanvlm.caption.facts.measure import measure
from humanvlm.config.human_scenes import HumanScenes
from humanvlm.curate.scene import Scene, load_models
from humanvlm.data.facts import Facts
from humanvlm.synthetic.scenes import draw, plan_scene, scene_truth
from humanvlm.synthetic.texts import alt_text

SAID = 0.6  # human_caption.min_probability
# What may be said of the sample crawl's backgrounds, and how a picture before them was taken, where that is decided.
BEHIND = {
    "temple": ("temple pagoda building palace church castle monastery mosque stupa dome lake tower", "outdoors"),
    "launch_pad": ("rocket launch tower crane shuttle night", "outdoors"),
    "garage": ("motorcycle motorbike garage", "indoors"),
    "flower": ("flower plant leaves leaf", "outdoors"),
    "coffee": ("coffee cup table spoon", "indoors"),
    "stars": ("star stars starry sky space night", "outdoors"),
    "brick_wall": ("brick wall", ""),
    "lawn": ("grass lawn field", "outdoors"),
}
LIGHT = {"normal": ("even", "dim", "bright"), "dim": ("dim",), "bright": ("bright",), "warm": ("even", "dim", "bright")}
# Words by which people mean what a thing or a place is called here; else its last word, singular or plural.
ALSO = {
    "bicycle": "bike bikes biker bikers bicycles cyclist cyclists biking bicyclist bicyclists bmx cycling",
    "motorcycle": "bike bikes motorbike motorcyclist scooter moped biker dirt",
    "car": "cars vehicle vehicles taxi jeep van suv traffic",
    "truck": "trucks vehicle vehicles van atv jeep",
    "bus": "buses vehicle",
    "boat": "boats kayak kayaks canoe raft ship sailboat surfboard",
    "couch": "sofa couches living",
    "tv": "television monitor screen computer",
    "computer": "computers laptop laptops keyboard",
    "laptop": "laptops computer computers",
    "keyboard": "computer computers laptop",
    "cell phone": "phone phones cellphone",
    "dining table": "table tables meal eating dinner restaurant food",
    "chair": "chairs seat seated bench",
    "football": "soccer ball",
    "basketball": "ball",
    "sports ball": "ball balls soccer tennis baseball basketball football volleyball",
    "baseball": "ball batter pitcher softball",
    "baseball bat": "bat batter baseball",
    "baseball glove": "glove baseball pitcher catcher",
    "tennis racket": "racket racquet tennis",
    "skis": "ski skier skiers skiing skies",
    "ski": "skis skier skiers skiing",
    "snowboard": "snowboarder snowboarding snowboarders",
    "skateboard": "skateboarder skateboarding skateboards skater",
    "surfboard": "surf surfer surfing surfboards surfers board boards",
    "dog": "puppy puppies greyhound greyhounds terrier pug collie poodle retriever hound",
    "bird": "duck ducks seagull seagulls pigeon pigeons hen owl toucan ouzel",
    "insect": "beetle butterfly cricket bug",
    "potted plant": "plants plant pot",
    "cup": "cups mug coffee drink drinks glass",
    "bottle": "bottles drink beer water",
    "fruit": "apples bananas banana oranges",
    "food": "eating pizza meal sandwich hot",
    "parachute": "skydiver parasailing paraglider parasail",
    "refrigerator": "fridge kitchen",
    "oven": "stove kitchen",
    "shelves": "store shop books bookcase",
    "traffic light": "traffic lights light signal",
    "street sign": "signs sign",
    "by the sea": "beach ocean sea shore waves wave surf sand coast seaside",
    "on a beach": "beach ocean sea shore sand",
    "in the snow": "snow snowy ski skis skiing snowboard snowboarder skier snowmobiles snowmobile",
    "on a baseball field": "baseball batter pitcher softball",
    "in a pool": "pool swim swimming swimmer swims",
    "in the mountains": "mountain mountains hill hills peak snowy alp rocky cliff rock hiker",
    "by a cliff": "cliff rock rocky climbing rocks climber mountain",
    "on a street": "street road sign signs bus taxi city traffic intersection sidewalk parking",
    "by a lake": "lake water river pond",
    "in a kitchen": "kitchen stove cooking cook",
    "in a bathroom": "bathroom toilet sink tub bath",
    "in a living room": "living couch sofa room tv",
    "in a bedroom": "bed bedroom beds",
    "at a desk": "desk computer computers laptop laptops",
    "on a stage": "stage band concert performing performs dancing",
    "at a shop": "store market shop bakery doughnut books food",
    "on a boat": "boat raft boats kayak",
    "in a canoe": "canoe kayak kayaker paddling paddle",
    "on a lawn": "grass lawn field yard grassy park",
    "on grass": "grass lawn field yard grassy park",
    "under a blue sky": "sky outside outdoors",
}
OUTDOORS = (
    "beach snow snowy street grass grassy field mountain mountains lake ocean park sidewalk road river forest woods "
    "outside outdoors outdoor sky trees tree hill cliff rocks creek stream sand sandy waves yard lawn trail playground "
    "surf surfer sea shore skiing ski skis snowboard dirt sunset baseball bridge climbing rock surfing"
)
INDOORS = (
    "kitchen room bathroom bed couch inside indoor indoors office restaurant store gym bedroom sofa library museum "
    "basement carpet classroom desk stove oven refrigerator microwave toilet living studio"
)


def share(part: int, of: int) -> float | None:
    return round(part / of, 4) if of else None


def cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


@dataclass
class Score:
    """Of one kind of fact: said and right, said at all, and there to be said."""

    right: int = 0
    said: int = 0
    there: int = 0
    errors: list[str] = field(default_factory=list)

    def add(self, right: bool, said: bool = True, there: bool = True, error: str = "") -> None:
        self.right += right and said
        self.said += said
        self.there += there
        if said and not right:
            self.errors.append(error)

    def figures(self) -> dict[str, Any]:
        return {
            "precision": share(self.right, self.said),
            "recall": share(self.right, self.there),
            "said": self.said,
            "there": self.there,
        }


@dataclass(frozen=True)
class Picture:
    """A picture with what detectors find in it."""

    rgb: Any
    found: tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]


def detected(rgb: Any, config: HumanScenes) -> Picture:
    models = load_models(
        config.face_detector, config.closeup_face_detector, config.person_detector, config.nsfw_classifier
    )
    scene = Scene({}, rgb, config, models)
    return Picture(rgb, ([*map(asdict, scene.faces)], [*map(asdict, scene.people)], [*map(asdict, scene.objects)]))


def facts_of(picture: Picture, texts: Sequence[str] = ()) -> Facts:
    return measure(picture.rgb, *picture.found, texts) if texts else measure(picture.rgb, *picture.found)


def said_things(facts: Facts) -> list[str]:
    return [thing.label for thing in facts.objects if thing.probability >= SAID]


def said_setting(facts: Facts) -> str:
    return facts.setting.value if facts.setting and facts.setting.probability >= SAID else ""


def said_place(facts: Facts) -> str:
    place = getattr(facts, "place", None)
    return place.value if place and place.probability >= SAID else ""


def words_of(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


def scenes(count: int, seed: int, config: HumanScenes) -> Iterator[tuple[Picture, Mapping[str, Any], tuple[str, ...]]]:
    """Scenes with their truth and the cleaned text that an index would have of them."""
    for number in range(count):
        rng = random.Random(seed + number)
        planned = plan_scene(rng, False)
        file = BytesIO()
        draw(planned).save(file, "JPEG", quality=planned.quality)
        truth = scene_truth(planned)
        texts = source_texts({"text": alt_text(truth, rng, number)})
        yield detected(np.asarray(Image.open(file).convert("RGB")), config), truth, texts


def score_scenes(count: int, seed: int, config: HumanScenes, read: bool) -> dict[str, Score]:
    """Scores by kind; read: whether the measurement is given the index's texts."""
    scores: dict[str, Score] = defaultdict(Score)
    for picture, truth, texts in scenes(count, seed, config):
        facts = facts_of(picture, texts if read else ())
        words, where = BEHIND[truth["background"]]
        right = set(words.split())
        said = [*said_things(facts), *filter(None, [said_setting(facts)])]
        hits = [bool(words_of(one) & right) for one in said]
        scores["background"].add(any(hits), said=bool(said), error=f"{truth['background']}: {', '.join(said)}")
        for one, hit in zip(said, hits, strict=True):
            scores["things and places said"].add(hit, there=False, error=f"{truth['background']}: {one}")
        if where:
            place = said_place(facts)
            scores["indoors or outdoors"].add(place == where, said=bool(place), error=f"{truth['background']}: {place}")
        people = len(truth["people"])
        scores["people count"].add(facts.people_count == people, error=f"{facts.people_count} of {people}")
        if truth["light"] in LIGHT:
            scores["light"].add(facts.light in LIGHT[truth["light"]], error=f"{truth['light']}: {facts.light}")
        scores[f"behind: {truth['background']}"].add(any(hits), said=bool(said))
    return scores


def score_photos(
    folder: Path, instances: Mapping[str, set[str]], limit: int, config: HumanScenes
) -> tuple[dict[str, Score], float]:
    """Scores by kind, and seconds of CPU a picture that measuring took."""
    scores: dict[str, Score] = defaultdict(Score)
    rows = [json.loads(line) for line in (folder / "index.jsonl").open()]
    rows = [row for row in rows if row["captions"]]
    random.Random(0).shuffle(rows)
    rows = sorted(rows[:limit], key=lambda row: str(row["path"]))
    used = 0.0
    for row in rows:
        picture = detected(np.asarray(Image.open(folder / row["path"]).convert("RGB")), config)
        clock = time.process_time()
        facts = facts_of(picture)
        used += time.process_time() - clock
        captions = [words_of(text) for text in row["captions"]]
        written = set().union(*captions)
        name = f"{row['path']} ({row['captions'][0]})"
        if row["source"] == "coco2017":
            people = len(row.get("person_boxes_xywh") or ())
            scores["people count"].add(facts.people_count == people, error=f"{facts.people_count} of {people}: {name}")
            scores["people count, up to 3"].add(
                facts.people_count == people, said=people <= 3, there=people <= 3, error=name
            )
        shown = instances.get(Path(row["path"]).name)
        for thing in said_things(facts):
            if shown is None:
                scores["things (captions)"].add(named(thing, written), there=False, error=f"{thing}: {name}")
            else:
                right = thing in shown or named(thing, written)
                scores["things (boxes)"].add(right, there=False, error=f"{thing}: {name}")
        for thing in shown or ():
            scores["things (boxes)"].there += thing != "person"
        if setting := said_setting(facts):
            scores["setting (captions)"].add(named(setting, written), there=False, error=f"{setting}: {name}")
        for person in facts.people:
            does = getattr(person, "activity", None)
            if does and does.probability >= SAID:
                noun = does.value.removesuffix("ing").rpartition(" ")[2]
                right = named(noun, written) or named(does.value, written)
                scores["activity (captions)"].add(right, there=False, error=f"{does.value}: {name}")
        outside, inside = (sum(bool(words & set(known.split())) for words in captions) for known in (OUTDOORS, INDOORS))
        if (outside >= 2) != (inside >= 2) and not (outside and inside):
            where, place = "outdoors" if outside else "indoors", said_place(facts)
            scores[f"{where} (captions)"].add(place == where, said=bool(place), error=f"{place}: {name}")
    return scores, used / max(len(rows), 1)


def named(what: str, written: set[str]) -> bool:
    """Whether words of a caption name a thing or a place."""
    last = what.split()[-1]
    return bool({last, f"{last}s", f"{last}es", *ALSO.get(what, "").split()} & written)


def coco_instances(folder: Path) -> dict[str, set[str]]:
    """Categories by file name, of every ``instances_*.json`` in a folder."""
    found: dict[str, set[str]] = {}
    for path in sorted(folder.glob("instances_*.json")):
        data = json.loads(path.read_text())
        names = {category["id"]: category["name"] for category in data["categories"]}
        files = {image["id"]: image["file_name"] for image in data["images"]}
        found |= {name: set() for name in files.values()}
        for entry in data["annotations"]:
            found[files[entry["image_id"]]].add(names[entry["category_id"]])
    return found


def show(title: str, scores: Mapping[str, Score], errors: bool) -> dict[str, Any]:
    print(f"\n{title}\n{'':32}{'precision':>10}{'recall':>10}{'said':>8}{'there':>8}")
    figures = {name: score.figures() for name, score in sorted(scores.items())}
    for name, line in figures.items():
        print(f"{name:32}{cell(line['precision']):>10}{cell(line['recall']):>10}{line['said']:>8}{line['there']:>8}")
    if errors:
        for name, score in sorted(scores.items()):
            for error, times in Counter(score.errors).most_common():
                print(f"  {name} | {error}" + (f" x {times}" if times > 1 else ""))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=120, help="scenes of the sample crawl; 0: none")
    parser.add_argument("--seed", type=int, default=7000, help="of the first scene; the others follow")
    parser.add_argument("--photos", type=Path, help="folder with index.jsonl and captioned photographs")
    parser.add_argument("--limit", type=int, default=300, help="photographs, drawn by a fixed seed")
    parser.add_argument("--instances", type=Path, help="folder with COCO's instances_*.json of some of them")
    parser.add_argument("--errors", action="store_true", help="list what was said and not found in the truth")
    options = parser.parse_args()
    config, figures = HumanScenes(), {}
    if options.scenes:
        for title, read in (("scenes, pixels alone", False), ("scenes, with the index's texts", True)):
            figures[title] = show(title, score_scenes(options.scenes, options.seed, config, read), options.errors)
    if options.photos:
        instances = coco_instances(options.instances) if options.instances else {}
        scores, seconds = score_photos(options.photos, instances, options.limit, config)
        figures["photographs"] = show("photographs, pixels alone", scores, options.errors)
        figures["photographs"]["cpu_ms_per_picture"] = round(1000 * seconds, 1)
        print(f"measuring a photograph: {1000 * seconds:.0f} ms of CPU")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
