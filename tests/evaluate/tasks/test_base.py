"""Benchmarks in the files of their publishers: which question is asked about which picture."""

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from humanvlm.config.benchmark_scores import Source
from humanvlm.errors import UserError
from humanvlm.evaluate.records import score, task_scores
from humanvlm.evaluate.tasks.base import Coordinates, Loaded, Sample, choose, load_source
from humanvlm.evaluate.tasks.pictures import EncodedPicture
from humanvlm.evaluate.tasks.registry import TASKS

SHARED = Path(__file__).parents[4] / "shared"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared")
Write = Callable[[str, Any], str]


def load(name: str, source: Source) -> Loaded:
    return load_source(TASKS[source.kind], name, source)


def load_samples(name: str, source: Source) -> list[Sample]:
    return list(load(name, source).samples)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, value: Any) -> str:
        lines = value if isinstance(value, str) else "".join(json.dumps(row) + "\n" for row in value)
        (tmp_path / name).write_text(lines if not isinstance(value, dict) else json.dumps(value))
        return str(tmp_path / name)

    return write


def perfect(samples: Sequence[Sample]) -> list[str]:
    return [sample.references[0] for sample in samples]


def test_referring_expressions(write: Write) -> None:
    row = {
        "image_id": 7,
        "img_path": "a.jpg",
        "photo": "b/c.jpg",
        "bbox": [10, 20, 60, 100],
        "width": 100,
        "height": 200,
    }
    rows = [row | {"sent_id": 1, "expression": "the man"}, row | {"sent_id": 2, "expression": "him on the left"}]
    source = Source(kind="rec", references=write("rec.jsonl", rows), images="photos", picture="photo")
    first, second = load_samples("refcoco", source)
    nothing = Source(
        kind="rec", references=write("none.jsonl", [row | {"id": "n", "expression": "no one", "bbox": None}])
    )
    assert load("refcoco", nothing).dropped == [("n", "no_box", "refcoco: nothing to be found")]
    assert (first.id, first.image, first.picture) == ("1", "7", Path("photos/b/c.jpg"))
    assert "Where is him on the left?" in second.prompt
    scores = task_scores(score("rec", [first, second], perfect([first, second])))
    assert scores == pytest.approx({"mean_iou": 1, "acc50": 1, "acc75": 1, "acc50_authors": 1, "unparseable": 0})
    thousand = task_scores(score("rec", [first], ["(100,100),(600,500)"], Coordinates("thousand")))
    assert thousand["acc75"] == 1
    (region,) = load_samples("reg", source.model_copy(update={"kind": "reg", "picture": ""}))
    assert region.references == ("the man", "him on the left")
    assert (region.picture, region.prompt) == (
        Path("photos/a.jpg"),
        "Describe the person in the box [10, 10, 60, 50] in a short phrase.",
    )


def test_pope_and_vqa(write: Write) -> None:
    probes = [
        {"question_id": n, "image": "x.jpg", "text": "Is there a dog?", "label": label}
        for n, label in enumerate(("yes", "no"))
    ]
    samples = load_samples("pope", Source(kind="pope", references=write("coco_pope_random.json", probes)))
    assert [(sample.references, sample.part) for sample in samples] == [(("yes",), "random"), (("no",), "random")]
    scores = task_scores(score("pope", samples, ["Yes.", "I cannot tell"]))
    assert scores == pytest.approx(
        {
            "accuracy": 0.5,
            "precision": 0.5,
            "recall": 1,
            "f1": 2 / 3,
            "yes_ratio": 1,
            "unparseable": 0.5,
            "contradictions": 0,
        }
    )
    answers = [{"answer": "two", "answer_id": n} for n in range(10)]
    annotations = {"annotations": [{"question_id": 5, "image_id": 42, "answers": answers, "answer_type": "number"}]}
    source = Source(
        kind="vqa",
        references=write("annotations.json", annotations),
        questions=write("questions.json", {"questions": [{"question_id": 5, "image_id": 42, "question": "How many?"}]}),
        picture="COCO_val2014_{image:012d}.jpg",
    )
    (sample,) = load_samples("vqav2", source)
    assert sample.picture == Path("COCO_val2014_000000000042.jpg")
    assert (sample.prompt, sample.part) == ("How many? Answer with a word or a short phrase.", "number")
    assert task_scores(score("vqa", [sample], ["2"])) == {"accuracy": 1}
    with pytest.raises(UserError, match=r"sources\.vqav2: no questions"):
        load_samples("vqav2", source.model_copy(update={"questions": ""}))


def test_mme_and_multiple_choice_are_scored_by_picture(write: Write) -> None:
    halves = [
        {
            "question_id": n,
            "category": "color",
            "image": f"{n // 2}.jpg",
            "question": "Is it red?",
            "answer": ("Yes", "No")[n % 2],
        }
        for n in range(4)
    ]
    samples = load_samples("mme", Source(kind="mme", references=write("mme.jsonl", halves)))
    scores = task_scores(score("mme", samples, ["Yes", "No", "Yes", "Yes"]))
    assert (scores["acc"], scores["acc_plus"], scores["total"]) == (0.75, 0.5, 125)
    assert scores.keys() == {"total", "perception", "cognition", "acc", "acc_plus"}
    picture = base64.b64encode(b"\xff" * 300).decode()
    header = "index\tquestion\tA\tB\tanswer\tcategory\timage\n"
    table = f"{header}1\tWhat?\tcat\tdog\tA\tkind\t{picture}\n1000001\tWhat?\tdog\tcat\tB\tkind\t1\n"
    samples = load_samples("mmbench", Source(kind="choice", references=write("mmbench.tsv", table)))
    assert [sample.picture for sample in samples] == [EncodedPicture(picture)] * 2
    assert samples[0].prompt.splitlines() == [
        "What?",
        "A. cat",
        "B. dog",
        "Answer with the letter of the right option.",
    ]
    assert task_scores(score("choice", samples, ["A", "A"])) == {"circular": 0, "vanilla": 1}
    assert choose(samples, 1, 7, by_picture=True) == []
    assert choose([*samples, *samples], 2, 7, by_picture=True) == []


def test_attributes_and_keypoints(write: Write) -> None:
    source = Source(kind="attributes", references=write("list_attr.txt", "1\nBald Wearing_Hat\na.jpg 1 -1\n"))
    samples = load_samples("celeba", source)
    assert [(sample.id, sample.references) for sample in samples] == [
        ("a.jpg Bald", ("yes",)),
        ("a.jpg Wearing_Hat", ("no",)),
    ]
    assert samples[1].prompt == "Does this fit the person in the picture: wearing hat? Answer yes or no."
    scores = task_scores(score("attributes", samples, ["yes", "hm"]))
    assert scores == pytest.approx({"accuracy": 0.5, "balanced_accuracy": 0.5, "f1": 0.5, "unparseable": 0.5})
    points = [50, 20, 2, 60, 10, 1, *[0] * 45]
    person = {"id": 3, "image_id": 9, "category_id": 1, "bbox": [10, 0, 80, 100], "area": 800, "iscrowd": 0}
    file = {
        "images": [{"id": 9, "file_name": "p.jpg", "width": 100, "height": 200}],
        "annotations": [person | {"keypoints": points, "num_keypoints": 2}],
        "categories": [{"id": 1, "name": "person"}],
    }
    (sample,) = load_samples("coco", Source(kind="keypoints", references=write("kp.json", file), images="val"))
    assert sample.picture == Path("val/p.jpg")
    assert "Where are the nose, left eye of the person in the box [10, 0, 90, 50]?" in sample.prompt
    found = score("keypoints", [sample], ["nose: [50, 10], left eye: [90, 90]"])
    assert found.records[0].prediction == {"nose": (50, 20), "left_eye": (90, 180)}
    assert task_scores(found)["pck_0.05"] == 0.5


def test_pictures_that_are_not_named_or_lie_elsewhere_are_refused(write: Write) -> None:
    row = {"image_id": 7, "expression": "the man", "bbox": [1, 2, 3, 4], "width": 10, "height": 10, "id": 1}
    with pytest.raises(UserError, match="does not say in which file picture 7 is"):
        load_samples("r", Source(kind="rec", references=write("r.jsonl", [row])))
    with pytest.raises(UserError, match="outside of"):
        load_samples("r", Source(kind="rec", references=write("r.jsonl", [row | {"img_path": "../x.jpg"}])))
    with pytest.raises(UserError, match="does not fit"):
        load_samples("r", Source(kind="rec", references=write("r.jsonl", [row]), picture="{picture}.jpg"))
    with pytest.raises(UserError, match="no such file"):
        load_samples("r", Source(kind="rec", references="gone.jsonl"))


@needs_shared
@pytest.mark.parametrize(
    ("kind", "file", "count"),
    [
        ("rec", "grounding/refcoco_rows_with_photos.jsonl", 69),
        ("rec", "grounding/refcocos_rows_with_photos.jsonl", 24),
        ("pope", "pope/rows_with_photos.jsonl", 90),
    ],
)
def test_rows_with_photos(kind: Any, file: str, count: int) -> None:
    source = Source(
        kind=kind, references=str(SHARED / "benchmarks" / file), images=str(SHARED / "photos"), picture="photo"
    )
    samples = load_samples("rows", source)
    assert len(samples) == count
    assert all(isinstance(sample.picture, Path) and sample.picture.is_file() for sample in samples)


@needs_shared
def test_people_of_a_coco_file() -> None:
    file = SHARED / "benchmarks" / "keypoints" / "annotations_coco_mini" / "person_keypoints_val2017.json"
    source = Source(kind="keypoints", references=str(file), images=str(SHARED / "photos" / "images" / "coco"))
    samples = load_samples("coco", source)
    assert sum(isinstance(one.picture, Path) and one.picture.is_file() for one in samples) > 20
