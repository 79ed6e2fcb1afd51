"""Average precision and recall against COCOeval (pycocotools 2.0.11): its own result on real photographs, and seeded
cases with crowds, ignored and empty annotations, ties, unknown categories, and more results than it looks at."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from humanvlm.errors import UserError
from humanvlm.evaluate.metrics.detections import AveragePrecision, score_detections
from humanvlm.evaluate.stats.statistics import bootstrap
from humanvlm.evaluate.tasks.keypoints import read_ground_truth, read_results
from humanvlm.inference.points import NAMES

from ..coco_cases import coco_case

COCOEVAL = {
    "keypoints 0": [0.378548, 0.395306, 0.395306, 0.0, 1.0, 0.4875, 0.5, 0.5, 0.0, 1.0],
    "keypoints 1": [0.359167, 0.395591, 0.35512, -1.0, -1.0, 0.7, 0.7, 0.7, -1.0, -1.0],
    "keypoints 2": [0.105788, 0.112811, 0.112811, -1.0, 1.0, 0.7125, 0.75, 0.75, -1.0, 1.0],
    "keypoints 3": [0.12789, 0.132673, 0.132673, 0.663366, -1.0, 0.644444, 0.666667, 0.666667, 0.666667, -1.0],
    "bbox 0": [0.603623, 0.617858, 0.613861, 0.365531, 0.50495, 1.0, 0.619444, 0.652778, 0.652778, 0.475, 0.5, 1.0],
    "bbox 1": [0.295727, 0.341516, 0.286511, 0.319234, -1.0, -1.0, 0.211111, 0.5, 0.5, 0.5, -1.0, -1.0],
    "bbox 2": [0.482392, 0.553166, 0.553166, 0.461307, 0.50495, 1.0, 0.591667, 0.679167, 0.725, 0.716667, 0.5, 1.0],
    "bbox 3": [0.372606, 0.390432, 0.390432, 0.410121, 0.492327, 1.0, 0.586111, 0.630556, 0.630556, 0.761111, 0.5, 1.0],
}  # fmt: skip


def score(kind: Any, references: Path, predictions: Path) -> AveragePrecision:
    truth = read_ground_truth(references, kind)
    results = read_results(predictions, kind, truth, references)
    return score_detections(kind, truth.images, truth.categories, truth.truths, results)


def write(folder: Path, truth: Any, results: Any) -> tuple[Path, Path]:
    paths = folder / "truth.json", folder / "results.json"
    for path, value in zip(paths, (truth, results), strict=True):
        path.write_text(json.dumps(value))
    return paths


@pytest.mark.parametrize("kind", ["keypoints", "bbox"])
def test_people_of_coco(shared: Path, kind: str) -> None:
    folder = shared / "benchmarks" / "keypoints"
    expected = json.loads((folder / "train_expected.json").read_text())["stats"][kind]
    truth = folder / "annotations_coco_mini" / "person_keypoints_train2017.json"
    scored = score(kind, truth, folder / f"train_{kind}_predictions.json")
    assert list(scored.scores.values()) == pytest.approx(expected, abs=1e-9)
    assert scored.counts["annotations"] == 172


@pytest.mark.parametrize("case", COCOEVAL)
def test_seeded_cases(tmp_path: Path, case: str) -> None:
    kind, seed = case.split()
    scored = score(kind, *write(tmp_path, *coco_case(kind, int(seed))))
    assert list(scored.scores.values()) == pytest.approx(COCOEVAL[case], abs=1e-6)
    assert scored.counts["beyond_most"] > 0
    assert scored.counts["unknown_category"] > 0


@pytest.mark.parametrize("kind", ["keypoints", "bbox"])
def test_weights_are_repetitions(tmp_path: Path, kind: str) -> None:
    """A picture that is drawn twice counts as two pictures with the same content would."""
    truth, results = coco_case(kind, 5)
    for number, result in enumerate(results):
        result["score"] = 1 - number / 1000  # without ties, whose order repeated pictures change
    scored = score(kind, *write(tmp_path, truth, results))
    weights = dict(zip(sorted(scored.images), [2, 0, 1, 3, 1], strict=True))
    drawn = scored.resample(np.array([list(weights.values())], dtype=float))
    copies: dict[str, Any] = {"images": [], "annotations": [], "categories": truth["categories"]}
    repeated = []
    numbers = itertools.count(1)
    for image in truth["images"]:
        for copy in range(weights[str(image["id"])]):
            name = image["id"] * 10 + copy
            copies["images"].append({"id": name})
            for one in truth["annotations"]:
                if one["image_id"] == image["id"]:
                    copies["annotations"].append(one | {"id": next(numbers), "image_id": name})
            repeated += [one | {"image_id": name} for one in results if one["image_id"] == image["id"]]
    expected = score(kind, *write(tmp_path, copies, repeated)).scores
    assert {name: float(np.nan_to_num(value[0], nan=-1)) for name, value in drawn.items()} == pytest.approx(expected)


def test_intervals_hold_the_scores(tmp_path: Path) -> None:
    scored = score("keypoints", *write(tmp_path, *coco_case("keypoints", 0)))
    intervals = bootstrap(scored, 200, 7)
    assert intervals == bootstrap(scored, 200, 7)
    assert set(intervals) == set(scored.scores)
    for name, (low, high) in intervals.items():
        assert low <= scored.scores[name] <= high


def person(**changed: Any) -> dict[str, Any]:
    points = [10, 20, 2] * len(NAMES)
    row = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 50], "area": 2000, "iscrowd": 0}
    return row | {"keypoints": points, "num_keypoints": len(NAMES)} | changed


def case(*people: Any, **changed: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    truth = {"images": [{"id": 1}], "categories": [{"id": 1, "name": "person"}], "annotations": list(people)}
    return truth, [{"image_id": 1, "category_id": 1, "score": 0.5, "keypoints": person()["keypoints"]} | changed]


def test_a_perfect_result_is_one_and_absent_sizes_are_minus_one(tmp_path: Path) -> None:
    scores = score("keypoints", *write(tmp_path, *case(person()))).scores
    assert scores["ap"] == pytest.approx(1)
    assert scores["ar_medium"] == 1
    assert scores["ap_large"] == -1


def test_no_results_are_zero(tmp_path: Path) -> None:
    truth, _ = case(person())
    assert score("keypoints", *write(tmp_path, truth, [])).scores["ap"] == 0


@pytest.mark.parametrize(
    ("people", "changed", "told"),
    [
        ([person(), person()], {}, r"annotations\[1\]: id 1 is there twice"),
        ([person(image_id=2)], {}, r"annotations\[0\]: image_id 2 is not among the images"),
        ([person(bbox=[0, 0, 50])], {}, r"annotations\[0\]: bbox"),
        ([person(bbox=[0, 0, -50, 50])], {}, "negative side"),
        ([person(keypoints=[1, 2])], {}, r"annotations\[0\]: keypoints.* 51 numbers"),
        ([person(area=None)], {}, r"annotations\[0\]: no area"),
        ([person()], {"image_id": 7}, r"results.json\[0\]: image_id 7 is not in"),
        ([person()], {"score": float("nan")}, r"results.json\[0\]: score: a number is not finite"),
        ([person()], {"score": None}, r"results.json\[0\]: no score"),
        ([person()], {"keypoints": [float("inf")] * 51}, "not finite"),
        ([person()], {"keypoints": ["1"] * 51}, "51 numbers"),
    ],
)
def test_broken_rows_are_named(tmp_path: Path, people: list[Any], changed: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        score("keypoints", *write(tmp_path, *case(*people, **changed)))
